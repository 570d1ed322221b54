"""Online decoding: time per bin, equality with the offline filter, delay of a change of state.

    python benchmarks/online.py [--n-steps 10000] [--out FILE.csv]
    python benchmarks/online.py --delays [--repeats 5] [--out FILE.csv]

The first form times single steps on one core, beside the bare filter (no smoother, no missing
counts, no checks) in numpy and the model's precision, and compares with the offline filter.
The second measures, with the true parameters, the delay from a change of state until its
posterior passes one half, against the number of neurons and their rates: the median over
changes, its range over recordings, and the part that was seen before the next change.
"""

import argparse
import time
import warnings
from pathlib import Path

from measuring import Table, use_threads

N_STATES = 5
SIZES = (20, 100, 200)
DELAY_NEURONS = (5, 10, 20, 40, 80)
DELAY_RATES = (2.0, 8.0, 20.0)


def make(n_neurons: int, n_time_bins: int, mean_rate: float = 8.0, random_state: int = 0):
    """Make a recording and a model that has its true parameters."""
    from onehotglm import OneHotHMMGLM, simulate_population, true_model

    truth = simulate_population(
        n_neurons=n_neurons,
        n_states=N_STATES,
        n_sessions=1,
        n_time_bins=n_time_bins,
        mean_rate=mean_rate,
        random_state=random_state,
    )
    model = OneHotHMMGLM(n_states=1, prior="none", n_init=1, max_iter=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # only the mean rates are of use
        return truth, true_model(model.fit(truth["spikes"][:, :200]), truth)


def numpy_step(model):
    """Write the same step in numpy, without smoother and checks; for comparison."""
    import numpy as np
    from scipy.special import gammaln

    bias = model.bias_.astype(model.dtype)
    n_states, n_neurons = bias.shape
    weights = model.weights_.reshape(n_states * n_neurons, -1).astype(model.dtype)
    past = np.zeros((model.n_lags, n_neurons), model.dtype)
    basis = model.basis_functions_[:, ::-1].astype(model.dtype)
    rate, predicted = np.logaddexp(0, bias), model.initial_proba_

    def call(counts):
        nonlocal rate, predicted
        log_lik = np.log(rate) @ counts - rate.sum(1) - gammaln(counts + 1).sum()
        best = log_lik.max()
        joint = predicted * np.exp(log_lik - best)
        posterior = joint / joint.sum()
        past[:-1] = past[1:]
        past[-1] = counts
        eta = (weights @ (basis @ past).T.ravel()).reshape(bias.shape) + bias
        rate = np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta)))
        predicted = posterior @ model.transition_matrix_
        return posterior, predicted @ rate / model.bin_size_, np.log(joint.sum()) + best

    return call


def microseconds(call, counts) -> tuple[list, dict[str, float]]:
    """Results of every step, and the median and 99th percentile of its time."""
    import numpy as np

    results, seconds = [], []
    for row in counts:
        begin = time.perf_counter()
        result = call(row)
        seconds.append(time.perf_counter() - begin)
        results.append(result)
    median, high = np.percentile(np.array(seconds) * 1e6, (50, 99))
    return results, {"median_us": float(median), "p99_us": float(high)}


def speed(args: argparse.Namespace) -> None:
    import numpy as np

    from onehotglm import StateDecoder

    table = Table(args.out)
    for n_neurons in SIZES:
        truth, model = make(n_neurons, args.n_steps)
        counts = truth["spikes"].values[0].astype(float)
        for dtype in ("float32", "float64"):
            model.dtype = dtype
            offline = model.predict_proba(truth["spikes"], causal=True).values[0]
            decoder = StateDecoder(model)
            steps, times = microseconds(decoder.step, counts)
            posterior = np.array([step.posterior for step in steps])
            _, in_numpy = microseconds(numpy_step(model), counts)
            row = {"n_neurons": n_neurons, "n_states": N_STATES, "model": dtype, **times}
            row["from_offline"] = float(np.abs(posterior - offline).max())
            table.add(row | {f"numpy_{name}": value for name, value in in_numpy.items()})


def delays(args: argparse.Namespace) -> None:
    import numpy as np

    from onehotglm import detection_delays

    table = Table(args.out)
    for mean_rate in DELAY_RATES:
        for n_neurons in DELAY_NEURONS:
            medians, seen, wrong, n_changes = [], [], [], 0
            for random_state in range(args.repeats):
                truth, model = make(n_neurons, args.n_steps, mean_rate, random_state)
                posterior = model.predict_proba(truth["spikes"], causal=True)
                found = detection_delays(truth["states"], posterior)
                n_changes += len(found)
                medians.append(1000 * float(found["delay"].median()))
                seen.append(float(np.isfinite(found["delay"]).mean()))
                right = posterior.argmax("state") == truth["states"]
                wrong.append(1 - float(right.mean()))
            table.add(
                {
                    "mean_rate_hz": mean_rate,
                    "n_neurons": n_neurons,
                    "n_changes": n_changes,
                    "median_delay_ms": float(np.median(medians)),
                    "least_ms": float(np.min(medians)),
                    "most_ms": float(np.max(medians)),
                    "seen": float(np.mean(seen)),
                    "wrong_bins": float(np.mean(wrong)),
                }
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--delays", action="store_true", help="measure delays instead of speed")
    parser.add_argument("--n-steps", type=int, default=10_000, help="bins of each stream")
    parser.add_argument("--repeats", type=int, default=5, help="recordings per delay")
    parser.add_argument("--out", type=Path, help="table (CSV)")
    args = parser.parse_args()
    use_threads(1)
    if args.delays:
        delays(args)
    else:
        speed(args)


if __name__ == "__main__":
    main()
