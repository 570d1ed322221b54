"""Recovery of couplings where part of the data is missing, beside fits to as much complete data.

    python benchmarks/missing.py --out results/missing.csv

Ten training sessions of demo_seed*.npz (2,000 bins of 20 neurons in 5 states; sigmoid link).
Removed are 20 % of the bins, all neurons together, and separately 30 % of each neuron's time,
either bin by bin or in stretches of 200 bins on average.  `mse` is the mean squared error of
couplings.  A coupling is learned from pairs, a count and the sender's count just before: `pairs`
is the share of them that is left, which single missing bins lower more than stretches.  The fits
to complete data have as many bins as are left (`bins`), or as many pairs (`pairs`).
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
    import pandas as pd

    truth = read(args.data or find_data("demo_seed0.npz"))
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


if __name__ == "__main__":
    main()
