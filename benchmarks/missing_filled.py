"""What filling missing counts in histories could gain at best: fits that are told the truth.

    python benchmarks/missing_filled.py --out results/missing_filled.csv

As in `missing.py` 20 % of the bins of ten training sessions of demo_seed0.npz are removed at
random.  A missing count has no likelihood, but the bins after it need it as history.  It is
filled with

- `mean`: the neuron's mean, as the package does,
- `rate`: the true rate given the true state and the true past, the best one-step prediction
  that any model could make,
- `count`: the true count, which nobody knows: what is lost then is likelihood only.

`over_bins` is the mean squared error of couplings over that of complete data of as many bins.
What is known of a missing count is the part of its variance that is explained: by its rate, and
by the counts of all neurons in the bins that follow, which depend on it.
"""

import argparse
from pathlib import Path

from measuring import Table, find_data, use_threads
from missing import N_TEST_FROM, N_TRAIN, fit_and_measure, remove
from recovery import make_model, measure, read


def filled_model(prior: str, n_init: int, seed: int, stand_in):
    """Make a model that reads `stand_in` (session, time, neuron) where counts are missing."""
    import jax.numpy as jnp
    import numpy as np

    from onehotglm import OneHotHMMGLM

    class Filled(OneHotHMMGLM):
        def _pack(self, spikes, dtype=None):
            packed = super()._pack(spikes, dtype)
            if spikes.shape != stand_in.shape:
                return packed  # the test sessions, which lack nothing
            filled = np.where(np.isnan(spikes.values), stand_in, spikes.values)
            n_lags = self.basis_functions_.shape[1]
            past = np.array(packed.recording.past)
            past[n_lags + packed.position] = filled[packed.session, packed.time]
            return packed._replace(
                recording=packed.recording._replace(past=jnp.asarray(past, past.dtype))
            )

    return Filled(**make_model(prior, n_init, seed).get_params())


def true_rates(truth):
    """Rates per bin (session, time, neuron) given the true states and the true past."""
    import numpy as np

    from onehotglm.kernels.emissions import LINKS

    counts, states = truth["spikes"].values, truth["states"].values
    basis, weights = truth["basis_functions"].values[0], truth["weights"].values[..., 0]
    history = np.zeros_like(counts)
    for lag, part in enumerate(basis, start=1):
        history[:, lag:] += part * counts[:, :-lag]
    eta = truth["bias"].values[states] + np.einsum("rtnm,rtm->rtn", weights[states], history)
    return np.asarray(LINKS[truth.attrs["link"]].rate(eta))


def explained(truth, rates) -> tuple[float, float]:
    """Part of the counts' variance that rates explain, and of the rest that later counts do.

    The second is that of the Gaussian approximation: a bin's missing counts have the prior
    variance of their rates, and each later count c of a rate r adds the information
    ``(dr / dx)^2 / r``; the state stays.
    """
    import numpy as np

    counts, states = truth["spikes"].values, truth["states"].values
    from_rates = rates.var((0, 1)).mean() / counts.var((0, 1)).mean()
    basis, weights = truth["basis_functions"].values[0], truth["weights"].values[..., 0]
    left = []
    for state, of_state in enumerate(weights):
        mean = rates[states == state].mean(0)
        slope = mean * (1 - mean)  # of the sigmoid
        information = (of_state * (slope**2 / mean)[:, None]).T @ of_state * (basis**2).sum()
        posterior = np.linalg.inv(np.diag(1 / mean) + information)
        left.append(np.trace(posterior) / mean.sum())
    return float(from_rates), float(1 - np.mean(left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="default: demo_seed0.npz")
    parser.add_argument("--priors", type=lambda text: text.split(","), default=("one-hot", "none"))
    parser.add_argument("--n-seeds", type=int, default=3, help="masks and starts")
    parser.add_argument("--n-init", type=int, default=3, help="starts of each fit")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    args = parser.parse_args()
    use_threads(args.threads)
    import numpy as np
    import pandas as pd

    truth = read(args.data or find_data("demo_seed0.npz"))
    training = truth.isel(session=slice(N_TRAIN))
    train, rates = training["spikes"], true_rates(training)
    print(
        "variance of counts explained by rates {:.3f}, of the rest by later counts {:.3f}".format(
            *explained(training, rates)
        )
    )
    table = Table(args.out)
    for seed in range(args.n_seeds):
        left = remove(train, "bins", False, seed)
        n_kept = round(float(left.notnull().mean()) * train.sizes["time"])
        fills = {
            "mean": np.broadcast_to(left.mean(("session", "time")).values, train.shape),
            "rate": rates,
            "count": train.values,
        }
        for prior in args.priors:
            bins = fit_and_measure(args, truth, prior, train.isel(time=slice(n_kept)), seed)["mse"]
            for name, stand_in in fills.items():
                model = filled_model(prior, args.n_init, seed, stand_in).fit(left)
                found = measure(model, truth, N_TEST_FROM)
                mse = found["connectivity_mse"]
                table.add(
                    {
                        "prior": prior, "seed": seed, "filled": name, "mse": mse,
                        "mse_bins": bins, "over_bins": mse / bins,
                        "state_accuracy": found["state_accuracy"],
                    }
                )  # fmt: skip
    means = pd.DataFrame(table.rows).drop(columns="seed").groupby(["prior", "filled"], sort=False)
    print(f"\nmeans over {args.n_seeds} seeds")
    print(means.mean().round(4).to_string())


if __name__ == "__main__":
    main()
