"""Recovery of couplings where part of the data is missing, beside fits to as much complete data.

    python benchmarks/missing.py --out results/missing.csv
    python benchmarks/missing.py --filled --out results/missing_filled.csv

Ten training sessions of demo_seed*.npz (2,000 bins of 20 neurons in 5 states; sigmoid link).
Removed are 20 % of the bins, all neurons together, and separately 30 % of each neuron's time,
either bin by bin or in stretches of 200 bins on average.  `mse` is the mean squared error of
couplings.  A coupling is learned from pairs, a count and the sender's count just before: `pairs`
is the share of them that is left, which single missing bins lower more than stretches.  The fits
to complete data have as many bins as are left (`bins`), or as many pairs (`pairs`).

`--filled` asks what filling missing counts in histories could gain at best.  A missing count has no
likelihood, but the bins after it need it as history.  Of single missing bins it is filled with

- `mean`: the neuron's mean, as the package does,
- `rate`: the true rate given the true state and the true past, the best one-step prediction
  that any model could make,
- `count`: the true count, which nobody knows: what is lost then is likelihood only.

`over_bins` is the mean squared error of couplings over that of complete data of as many bins.
What is known of a missing count is the part of its variance that is explained: by its rate, and
by the counts of all neurons in the bins that follow, which depend on it.
"""

import argparse
from functools import cache
from pathlib import Path

from measuring import Table, find_data, use_threads
from recovery import make_model, measure, read

N_TRAIN, N_TEST_FROM = 10, 30
PARTS = {"bins": 0.2, "neurons": 0.3}
STRETCH = 200


def remove(spikes, what: str, in_stretches: bool, seed: int):
    """Spikes with NaN in a part of the bins, or of each neuron's time."""
    import numpy as np

    rng = np.random.default_rng(seed)
    n_sessions, n_time, n_neurons = spikes.shape
    columns = 1 if what == "bins" else n_neurons
    part = PARTS[what]
    if in_stretches:
        missing = np.stack(
            [_stretches(rng, n_sessions * n_time, part) for _ in range(columns)], axis=-1
        ).reshape(n_sessions, n_time, columns)
    else:
        missing = rng.random((n_sessions, n_time, columns)) < part
    return spikes.where(~np.broadcast_to(missing, spikes.shape))


def _stretches(rng, n_time: int, part: float):
    """Gaps and what lies between them, both of exponential lengths, until a part is missing."""
    import numpy as np

    missing, at = np.zeros(n_time, bool), 0
    while at < n_time:
        at += 1 + int(rng.exponential(STRETCH * (1 - part) / part))
        gap = 1 + int(rng.exponential(STRETCH))
        missing[at : at + gap] = True
        at += gap
    return missing


def share_of_pairs(spikes) -> float:
    """Part of (count, sender's count in the bin before) of which both are there, mean of all."""
    import numpy as np

    there = np.isfinite(spikes.values)
    both = np.einsum("rtn,rtm->nm", there[:, 1:].astype(float), there[:, :-1].astype(float))
    return float(both.mean() / there[:, 1:, 0].size)


def fit_and_measure(args, truth, prior: str, spikes, seed: int) -> dict[str, float]:
    model = make_model(prior, args.n_init, seed).fit(spikes)
    measures = measure(model, truth, N_TEST_FROM)
    return {
        "mse": measures["connectivity_mse"],
        "bits_per_spike": measures["bits_per_spike"],
        "state_accuracy": measures["state_accuracy"],
    }


def compare_gaps(args: argparse.Namespace, truth) -> None:
    """Show what is lost, by what is missing."""
    import pandas as pd

    train = truth["spikes"].isel(session=slice(N_TRAIN))
    n_time = train.sizes["time"]
    table = Table(args.out)
    for seed in range(args.n_seeds):
        for prior in args.priors:
            # As much complete data: the first part of every session.
            complete = cache(
                lambda n_kept, prior=prior, seed=seed: fit_and_measure(
                    args, truth, prior, train.isel(time=slice(n_kept)), seed
                )["mse"]
            )
            for what in PARTS:
                for in_stretches in (False, True):
                    left = remove(train, what, in_stretches, seed)
                    observed, pairs = float(left.notnull().mean()), share_of_pairs(left)
                    found = fit_and_measure(args, truth, prior, left, seed)
                    row = {
                        "prior": prior, "missing": what, "in_stretches": in_stretches,
                        "seed": seed, "observed": observed, "pairs": pairs,
                        "mse_whole": complete(n_time), **found,
                    }  # fmt: skip
                    for name, share in (("bins", observed), ("pairs", pairs)):
                        row[f"mse_{name}"] = complete(round(round(share, 2) * n_time))
                    table.add(row)
    rows = pd.DataFrame(table.rows)
    groups = rows.drop(columns="seed").groupby(["prior", "missing", "in_stretches"], sort=False)
    means = groups.mean()
    means["over_bins"] = means["mse"] / means["mse_bins"]
    means["over_pairs"] = means["mse"] / means["mse_pairs"]
    print(f"\nmeans over {args.n_seeds} seeds")
    print(means.round(4).to_string())


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


def compare_fillings(args: argparse.Namespace, truth) -> None:
    """Show what is lost, by what stands in for missing counts."""
    import numpy as np
    import pandas as pd

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="default: demo_seed0.npz")
    parser.add_argument("--filled", action="store_true", help="what filling could gain at best")
    parser.add_argument("--priors", type=lambda text: text.split(","), default=("one-hot", "none"))
    parser.add_argument("--n-seeds", type=int, default=3, help="masks and starts")
    parser.add_argument("--n-init", type=int, default=3, help="starts of each fit")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    args = parser.parse_args()
    use_threads(args.threads)
    truth = read(args.data or find_data("demo_seed0.npz"))
    (compare_fillings if args.filled else compare_gaps)(args, truth)


if __name__ == "__main__":
    main()
