"""How the time of an EM step and the memory grow with neurons and bins.

    python benchmarks/scale.py --out results/scale.csv [--quick]

Every point is a process of its own, so that its peak memory is its own: Poisson counts whose
rates switch between five states are fitted with few iterations.  Time per step is the median
over the steps, without compilation, by the clock and summed over cores; memory is the peak of
the resident set, less what the process held before the data.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from itertools import product
from pathlib import Path

from measuring import Table, use_threads

N_STATES = 5
SESSION = 2000
N_NEURONS = (20, 50, 100, 200)
N_TIME_BINS = (20_000, 60_000, 200_000)


def peak_memory() -> float:
    """Peak of the resident set so far, GiB."""
    per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_unit / 2**30


def switching_counts(n_neurons: int, n_time_bins: int):
    import numpy as np

    rng = np.random.default_rng(0)
    rates = rng.lognormal(-2.0, 0.7, size=(N_STATES, n_neurons))
    states = np.repeat(rng.integers(N_STATES, size=n_time_bins // 50 + 1), 50)[:n_time_bins]
    counts = np.empty((n_time_bins, n_neurons), np.float32)
    for begin in range(0, n_time_bins, SESSION):
        part = slice(begin, begin + SESSION)
        counts[part] = rng.poisson(rates[states[part]])
    return counts.reshape(-1, SESSION, n_neurons)


def measure_point(n_neurons: int, n_time_bins: int, prior: str, max_iter: int) -> dict:
    """Fit in this process."""
    import numpy as np

    from onehotglm import OneHotHMMGLM
    from onehotglm.estimator import onehot_hmm_glm
    from onehotglm.estimator.monitor import Monitor

    ends = []

    class Clock(Monitor):
        """Notes when each step ends."""

        def __call__(self, state) -> bool:
            stop = super().__call__(state)  # waits for the step's result
            ends.append((time.perf_counter(), time.process_time()))
            return stop

    onehot_hmm_glm.Monitor = Clock
    before = peak_memory()
    counts = switching_counts(n_neurons, n_time_bins)
    model = OneHotHMMGLM(
        n_states=N_STATES, prior=prior, n_init=1, max_iter=max_iter, tol=0.0, progress=False
    )
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is stopped on purpose
        model.fit(counts)
    step_s, step_cpu_s = np.median(np.diff(ends, axis=0), axis=0)
    return {
        "n_neurons": n_neurons,
        "n_time_bins": n_time_bins,
        "prior": prior,
        "step_s": float(step_s),
        "step_cpu_s": float(step_cpu_s),
        "n_steps": len(ends),
        "fit_s": time.perf_counter() - begin,
        "memory_gib": peak_memory() - before,
        "peak_gib": peak_memory(),
    }


def exponents(rows: list[dict], column: str):
    """Least squares of ``log column = c + a log neurons + b log bins``: a, b."""
    import numpy as np

    logs = {name: np.log([row[name] for row in rows]) for name in ("n_neurons", "n_time_bins")}
    design = np.stack([np.ones(len(rows)), *logs.values()], axis=1)
    values = np.log([row[column] for row in rows])
    return np.linalg.lstsq(design, values, rcond=None)[0][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="20 and 50 neurons, 20,000 bins")
    parser.add_argument("--prior", choices=("none", "gaussian", "one-hot"), default="one-hot")
    parser.add_argument("--max-iter", type=int, default=3, help="EM steps of each convergence")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    parser.add_argument("--point", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    use_threads(args.threads)
    if args.point is not None:
        print(json.dumps(measure_point(*args.point, args.prior, args.max_iter)))
        return
    table = Table(args.out)
    sizes = (
        product(N_NEURONS[:2], N_TIME_BINS[:1]) if args.quick else product(N_NEURONS, N_TIME_BINS)
    )
    options = ["--prior", args.prior, "--max-iter", str(args.max_iter)]
    options += ["--threads", str(args.threads)] if args.threads else []
    for n_neurons, n_time_bins in sizes:
        point = ["--point", str(n_neurons), str(n_time_bins)]
        command = [sys.executable, __file__, *point, *options]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        table.add(json.loads(done.stdout.splitlines()[-1]))
    if args.quick:
        return
    for column in ("step_s", "step_cpu_s", "memory_gib"):
        over_neurons, over_bins = exponents(table.rows, column)
        print(f"{column} ~ n_neurons^{over_neurons:.2f} n_time_bins^{over_bins:.2f}")


if __name__ == "__main__":
    main()
