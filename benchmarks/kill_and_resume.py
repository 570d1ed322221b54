"""Kill a fit at random moments, resume it each time, and compare with one that was left alone.

    python benchmarks/kill_and_resume.py [--size small|demo] [--kills 30] [--prior one-hot]
    python benchmarks/kill_and_resume.py --method vi

Every process gets SIGKILL at a random moment: while it starts and compiles, or within the
time that a few EM steps (or blocks of variational steps) take after it has gone on.  `small`
is a recording that it simulates; `demo` are the 30 training sessions of demo_seed0.npz.  The
run ends with an error unless all results are the same to the last bit, and no more than one
step was lost per kill.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import find_data
from recovery import FILES, make_model, read

RESULTS = (
    "weights_",
    "bias_",
    "transition_matrix_",
    "initial_proba_",
    "connection_type_proba_",
    "shared_type_proba_",
    "shared_connectivity_",
    "log_likelihood_path_",
    "objective_path_",
    "stop_reason_",
)
# Part of the kills that come while a process starts.
EARLY = 0.2


def child(args: argparse.Namespace) -> None:
    """Fit or go on, note every step, and write the results."""
    import numpy as np

    from onehotglm import simulate_population
    from onehotglm.estimator.monitor import Monitor

    if args.size == "demo":
        spikes = read(find_data(FILES[0]))["spikes"][:30]
    else:
        spikes = simulate_population(
            n_neurons=8, n_states=3, n_sessions=6, n_time_bins=1000, random_state=0
        )["spikes"]
    model = make_model(args.prior, 3, 0).set_params(method=args.method)
    if args.size == "small":
        model.set_params(n_states=3, link="softplus")
    if args.checkpoint is not None:
        model.set_params(checkpoint=args.checkpoint, resume=True)
    steps = os.open(args.steps, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def noting(note):
        def call(self, state):
            stop = note(self, state)  # waits for the step's results
            os.write(steps, b".")
            return stop

        return call

    for name in ("__call__", "watch_bound"):
        setattr(Monitor, name, noting(getattr(Monitor, name)))
    model.fit(spikes)
    results = {name: getattr(model, name) for name in RESULTS}
    np.savez(args.out, **{name: value for name, value in results.items() if value is not None})


def start(args: argparse.Namespace, folder: Path, name: str, checkpoint: Path | None):
    command = [sys.executable, __file__, "--child", "--size", args.size, "--prior", args.prior]
    command += ["--method", args.method]
    command += ["--steps", str(folder / f"{name}.steps"), "--out", str(folder / f"{name}.npz")]
    if checkpoint is not None:
        command += ["--checkpoint", str(checkpoint)]
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(command, env={**cache, **os.environ})


def steps_of(folder: Path, name: str) -> int:
    path = folder / f"{name}.steps"
    return path.stat().st_size if path.exists() else 0


def kill_once(
    process: subprocess.Popen, folder: Path, draw: random.Random, pause: float, most: int
) -> bool:
    """Kill a process at a random moment, after `most` steps at most; False if it ended before."""
    enough, begin = steps_of(folder, "killed") + draw.randint(1, most), time.perf_counter()
    early = draw.random() < EARLY
    limit = draw.uniform(0, 2.0) if early else float("inf")
    while process.poll() is None and time.perf_counter() - begin < limit:
        if not early and steps_of(folder, "killed") >= enough:
            time.sleep(draw.uniform(0, pause))
            break
        time.sleep(0.001)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def same(one: Path, other: Path) -> list[str]:
    """Names of the results that differ."""
    import numpy as np

    with np.load(one) as a, np.load(other) as b:
        assert a.files == b.files
        return [name for name in a.files if a[name].tobytes() != b[name].tobytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=("small", "demo"), default="small")
    parser.add_argument("--prior", choices=("none", "gaussian", "one-hot"), default="one-hot")
    parser.add_argument("--method", choices=("em", "vi"), default="em")
    parser.add_argument("--kills", type=int, default=30, help="at least so many")
    parser.add_argument("--random-state", type=int, default=0, help="of the moments")
    for name in ("--checkpoint", "--steps", "--out"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    with tempfile.TemporaryDirectory() as name:
        folder, draw = Path(name), random.Random(args.random_state)
        begin = time.perf_counter()
        assert start(args, folder, "alone", None).wait() == 0
        n_steps, seconds = steps_of(folder, "alone"), time.perf_counter() - begin
        print(f"left alone: {n_steps} steps, {seconds:.1f} s with start and compilation")
        # So few and so short that the kills are spread over the fit, of any speed.
        most, pause = max(2 * n_steps // args.kills, 1), 0.6 if args.size == "demo" else 0.15
        kills, runs, checkpoint = 0, 0, folder / "fit.ckpt"
        while kills < args.kills:
            process = start(args, folder, "killed", checkpoint)
            runs += 1
            if kill_once(process, folder, draw, pause, most):
                kills += 1
                if kills % 10 == 0:
                    print(f"{kills} kills, {steps_of(folder, 'killed')} steps", flush=True)
            else:  # ended too soon: once more from the start
                assert process.returncode == 0
                assert not same(folder / "alone.npz", folder / "killed.npz")
                checkpoint.unlink()
                n_steps += steps_of(folder, "alone")
        assert start(args, folder, "killed", checkpoint).wait() == 0
        repeated = steps_of(folder, "killed") - n_steps
        different = same(folder / "alone.npz", folder / "killed.npz")
        print(f"{kills} kills in {runs + 1} processes; steps done twice: {repeated}")
        print(f"results that differ: {', '.join(different) or 'none, to the last bit'}")
        raise SystemExit(bool(different) or repeated > kills)


if __name__ == "__main__":
    main()
