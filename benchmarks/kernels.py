"""Nanoseconds per step and errors of the hidden Markov kernels, beside other packages.

    python benchmarks/kernels.py [--states 5] [--repeats 20] [--out FILE.json]

Smoother, filter and most likely path, in float32, on the same arrays in one run on
one core: this package, dynamax (float32) and hmmlearn (float64, its only precision).
Compilation is timed apart.  The errors are against the sequential form in float64.
Needs the `bench` extra.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# (sessions, bins per session)
SIZES = [(30, 2_000), (1, 100_000), (1, 1_000_000)]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def stay_on_one_core() -> None:
    """Start this script anew, single-threaded and on one core where `taskset` exists."""
    if os.environ.get("ONEHOTGLM_ONE_CORE"):
        return
    core = str(min(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else "0"
    prefix = ["taskset", "-c", core] if shutil.which("taskset") else []
    command = [*prefix, sys.executable, *sys.argv]
    os.execvpe(command[0], command, {**os.environ, **ONE_THREAD, "ONEHOTGLM_ONE_CORE": "1"})


def make_arrays(n_sessions: int, n_time_bins: int, n_states: int) -> tuple[np.ndarray, ...]:
    """Make initial and transition probabilities, log-likelihoods and starts of a sticky chain."""
    rng = np.random.default_rng(0)
    n_bins = n_sessions * n_time_bins
    switches = rng.random(n_bins) < 0.02
    states = np.cumsum(switches * rng.integers(1, n_states, n_bins)) % n_states
    log_lik = 2.0 * rng.normal(size=(n_bins, n_states)) - 10.0
    log_lik[np.arange(n_bins), states] += 1.5
    other = 0.02 / (n_states - 1)
    transition = np.full((n_states, n_states), other) + (0.98 - other) * np.eye(n_states)
    starts = np.zeros(n_bins, bool)
    starts[::n_time_bins] = True
    return np.full(n_states, 1 / n_states), transition, log_lik, starts


def time_calls(call: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Seconds of the first call, and the least and median of those that follow."""
    import jax

    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    # A first call runs as well as compiles.
    compile_time = max(0.0, seconds[0] - min(seconds[1:]))
    return {"compile": compile_time, "min": min(seconds[1:]), "median": np.median(seconds[1:])}


def our_calls(arrays) -> dict[str, Callable[[], Any]]:
    import jax.numpy as jnp

    from onehotglm.kernels import hmm_scan

    arguments = (*(jnp.asarray(x, jnp.float32) for x in arrays[:3]), jnp.asarray(arrays[3]))
    return {
        "smoother": lambda: hmm_scan.smooth(*arguments),
        "filter": lambda: hmm_scan.filter_states(*arguments),
        "Viterbi": lambda: hmm_scan.most_likely_path(*arguments),
    }


def dynamax_calls(arrays, n_sessions: int) -> dict[str, Callable[[], Any]]:
    """Sessions as a batch; the smoother with summed transitions, like ours."""
    import jax
    import jax.numpy as jnp
    from dynamax.hidden_markov_model import hmm_filter, hmm_posterior_mode, hmm_smoother

    initial, transition, log_lik = (jnp.asarray(x, jnp.float32) for x in arrays[:3])
    sessions = log_lik.reshape(n_sessions, -1, log_lik.shape[1])

    def smoother(ll):
        posterior = hmm_smoother(initial, transition, ll)
        return posterior.marginal_loglik, posterior.smoothed_probs, posterior.trans_probs

    functions = {
        "smoother": smoother,
        "filter": lambda ll: hmm_filter(initial, transition, ll),
        "Viterbi": lambda ll: hmm_posterior_mode(initial, transition, ll),
    }

    def call(function):
        compiled = jax.jit(jax.vmap(function))
        return lambda: compiled(sessions)

    return {name: call(function) for name, function in functions.items()}


def hmmlearn_calls(arrays, n_sessions: int) -> dict[str, Callable[[], Any]]:
    """Call what its fit (the faster `scaling` form) and decode run per session."""
    from hmmlearn import _hmmc

    initial, transition, log_lik = arrays[:3]
    sessions = log_lik.reshape(n_sessions, -1, log_lik.shape[1])

    def forward(log_lik):
        best = log_lik.max(1, keepdims=True)
        lik = np.exp(log_lik - best)
        log_prob, alpha, scaling = _hmmc.forward_scaling(initial, transition, lik)
        return lik, log_prob + best.sum(), alpha, scaling

    def smoother():
        out = []
        for session in sessions:
            lik, log_prob, alpha, scaling = forward(session)
            beta = _hmmc.backward_scaling(initial, transition, lik, scaling)
            gamma = alpha * beta
            gamma /= gamma.sum(1, keepdims=True)
            pairs = _hmmc.compute_scaling_xi_sum(alpha, transition, beta, lik)
            out.append((log_prob, gamma, pairs))
        return out

    return {
        "smoother": smoother,
        "filter": lambda: [forward(session)[1:3] for session in sessions],
        "Viterbi": lambda: [_hmmc.viterbi(initial, transition, ll) for ll in sessions],
    }


def errors(arrays) -> dict[str, dict[str, float]]:
    """Of the parallel form in each precision, against the sequential one in float64."""
    import jax
    import jax.numpy as jnp

    from onehotglm.kernels import hmm, hmm_scan

    found = {}
    with jax.enable_x64(True):
        exact = jax.jit(hmm.smooth)(*map(jnp.asarray, arrays))
        path = jax.jit(hmm.most_likely_path)(*map(jnp.asarray, arrays))
        for dtype in ("float32", "float64"):
            arguments = (*(jnp.asarray(x, dtype) for x in arrays[:3]), jnp.asarray(arrays[3]))
            ours = hmm_scan.smooth(*arguments)
            states = hmm_scan.most_likely_path(*arguments)
            found[dtype] = {
                "marginals": float(abs(ours.marginals - exact.marginals).max()),
                "log_likelihood": float(abs(ours.log_likelihood / exact.log_likelihood - 1)),
                "path": float((states != path).mean()),
            }
    return found


def load_peers() -> list[tuple[str, Callable]]:
    peers = []
    for name, calls in (("dynamax", dynamax_calls), ("hmmlearn", hmmlearn_calls)):
        try:
            __import__(name)
        except ImportError:
            print(f"{name} is not installed and left out: pip install 'onehotglm[bench]'")
        else:
            peers.append((name, calls))
    return peers


def measure(size: tuple[int, int], n_states: int, repeats: int, peers) -> list[dict]:
    """Time all packages at one size; rows of the table."""
    arrays = make_arrays(*size, n_states)
    n_bins = len(arrays[3])
    packages = {"onehotglm": our_calls(arrays)}
    packages |= {name: calls(arrays, size[0]) for name, calls in peers}
    rows = []
    for job in ("smoother", "filter", "Viterbi"):
        ours = None
        for package, calls in packages.items():
            seconds = time_calls(calls[job], repeats if n_bins < 1e6 else max(3, repeats // 4))
            ours = ours or seconds["min"]
            row = {"sessions": size[0], "bins": size[1], "job": job, "package": package}
            row |= {"ns_min": seconds["min"] / n_bins * 1e9}
            row |= {"ns_median": float(seconds["median"]) / n_bins * 1e9}
            row |= {"compile_s": seconds["compile"], "ratio": seconds["min"] / ours}
            rows.append(row)
            print(
                f"{size[0]:>3} x {size[1]:<9,} {job:<9} {package:<10} {row['ns_min']:8.1f} "
                f"{row['ns_median']:8.1f} {row['ratio']:8.2f} {row['compile_s']:8.2f}",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", help="JSON file for the numbers")
    options = parser.parse_args()
    stay_on_one_core()
    peers = load_peers()
    print(f"one core, float32 (hmmlearn: float64), {options.states} states; ns per step")
    print(f"{'size':<15} {'job':<9} {'package':<10} {'min':>8} {'median':>8} {'ratio':>8} "
          f"{'compile s':>9}")  # fmt: skip
    times, accuracy = [], []
    for size in SIZES:
        times += measure(size, options.states, options.repeats, peers)
    print("\nerrors against the sequential form in float64: marginals, log-likelihood, paths")
    for size in SIZES:
        for dtype, values in errors(make_arrays(*size, options.states)).items():
            accuracy.append({"sessions": size[0], "bins": size[1], "dtype": dtype, **values})
            numbers = "  ".join(f"{value:.1e}" for value in values.values())
            print(f"{size[0]:>3} x {size[1]:<9,} {dtype:<8} {numbers}", flush=True)
    if options.out:
        with open(options.out, "w") as file:
            json.dump({"states": options.states, "times": times, "errors": accuracy}, file)


if __name__ == "__main__":
    main()
