"""Held-out prediction of a real recording: priors, numbers of states, amounts of data, histories.

    python benchmarks/recording.py --out results/recording.csv
    python benchmarks/recording.py --history --out results/history.csv

Rat CA1 on a maze (wmaze.nwb; nelpy's example data): the run epochs in bins of 20 ms, whole blocks
of 20 s, every fifth block held out, units with more than 200 spikes.  Bits per spike are over the
training data's mean rates; intervals of 95 % come from resampling held-out blocks.  They are wide:
one unit fires at 100 Hz, and blocks in which it pauses weigh much.  So `median_block` gives the
median over blocks beside the score of all, and `gain`, `gain_low`, `gain_high` the difference to
the first prior ("none") on the same blocks, paired.
"""

import argparse
import statistics
from itertools import product
from pathlib import Path

from measuring import Stopwatch, Table, find_data, use_threads

PRIORS = ("none", "gaussian", "one-hot")
N_STATES = (1, 2, 3, 4, 5, 6)
FRACTIONS = (1.0, 0.25, 0.1)
MIN_SPIKES = 200
HISTORIES = (
    {"basis": "exponential", "n_lags": 5},
    {"basis": "raised_cosine", "n_lags": 10, "n_basis": 2},
    {"basis": "raised_cosine", "n_lags": 25, "n_basis": 2},
    {"basis": "raised_cosine", "n_lags": 10, "n_basis": 3},
    {"basis": "raised_cosine", "n_lags": 25, "n_basis": 3},
    {"basis": "raised_cosine", "n_lags": 50, "n_basis": 3},
    {"basis": "raised_cosine", "n_lags": 50, "n_basis": 5},
    {"basis": "lags", "n_lags": 5},
    {"basis": "exponential", "n_lags": 10},
)
DEFAULT_HISTORY = HISTORIES[0]


def read_blocks(path: Path, n_history_bins: int):
    """Whole blocks of the run epochs, active units only."""
    from onehotglm import load_nwb
    from onehotglm.io.spikes import modelled, session_lengths

    blocks = load_nwb(path, 0.02, epochs="run", session_length=20.0, n_history_bins=n_history_bins)
    # What is left at the end of an epoch would shift which blocks are held out.
    lengths = session_lengths(blocks)
    blocks = blocks.isel(session=lengths == lengths.max())
    active = (modelled(blocks).sum(("session", "time")) > MIN_SPIKES).values
    return blocks.isel(neuron=active)


def read(path: Path, n_history_bins: int):
    """Training and test blocks."""
    from onehotglm.evaluation import hold_out

    return hold_out(read_blocks(path, n_history_bins), every=5)


def part_of(train, fraction: float):
    """So many of the training blocks, evenly spread over the recording."""
    import numpy as np

    n_blocks = train.sizes["session"]
    n_kept = max(round(fraction * n_blocks), 1)
    kept = np.floor((np.arange(n_kept) + 0.5) * n_blocks / n_kept).astype(int)
    return train.isel(session=kept)


def fit(train, prior: str, n_states: int, args: argparse.Namespace, random_state: int, **history):
    from onehotglm import OneHotHMMGLM

    with Stopwatch() as watch:
        model = OneHotHMMGLM(
            n_states=n_states,
            prior=prior,
            n_init=args.n_init,
            random_state=random_state,
            progress=False,
            **history,
        ).fit(train)
    return model, watch


def scores(model, baseline, train, test) -> dict[str, float]:
    from onehotglm.evaluation import block_interval

    low, high = block_interval(model, test)
    gain_low, gain_high = block_interval(model, test, minus=baseline)
    bits = model.score(test)
    blocks = [test.isel(session=[index]) for index in range(test.sizes["session"])]
    return {
        "bits_per_spike": bits,
        "low": low,
        "high": high,
        "median_block": statistics.median(model.score(block) for block in blocks),
        "training": model.score(train),
        "gain": bits - baseline.score(test),
        "gain_low": gain_low,
        "gain_high": gain_high,
    }


def columns_of(model, watch) -> dict[str, float]:
    types = model.connection_type_
    return {
        "present": float("nan") if types is None else float((types != 0).mean()),
        "smallest_state": float(model.occupancy_.min() / model.occupancy_.sum()),
        "objective": float(model.objective_path_[-1]),
        "n_iter": model.n_iter_,
        "stopped_by": model.stop_reason_,
        "wall_s": watch.wall,
        "compile_s": watch.compile_seconds,
    }


def compare_priors(args: argparse.Namespace, table: Table) -> None:
    train, test = read(args.data or find_data("wmaze.nwb"), DEFAULT_HISTORY["n_lags"])
    print(f"train {dict(train.sizes)}, test {dict(test.sizes)}")
    settings = product(args.fractions, args.n_states, range(args.n_seeds))
    for fraction, n_states, random_state in settings:
        part = part_of(train, fraction)
        baseline = None
        for prior in args.priors:
            model, watch = fit(part, prior, n_states, args, random_state, **DEFAULT_HISTORY)
            baseline = baseline or model
            row = {
                "fraction": fraction,
                "n_states": n_states,
                "random_state": random_state,
                "prior": prior,
            }
            table.add(row | scores(model, baseline, part, test) | columns_of(model, watch))


def compare_histories(args: argparse.Namespace, table: Table) -> None:
    longest = max(history["n_lags"] for history in HISTORIES)
    train, test = read(args.data or find_data("wmaze.nwb"), longest)
    for history, random_state in product(HISTORIES, range(args.n_seeds)):
        baseline = None
        for prior in args.priors:
            model, watch = fit(train, prior, 5, args, random_state, **history)
            baseline = baseline or model
            row = {
                "basis": history["basis"],
                "n_lags": history["n_lags"],
                "n_basis": len(model.basis_functions_),
                "random_state": random_state,
                "prior": prior,
            }
            table.add(row | scores(model, baseline, train, test) | columns_of(model, watch))


def summary(table: Table, rows: list[str]) -> str:
    """Means over random states, priors side by side."""
    import pandas as pd

    frame = pd.DataFrame(table.rows)
    columns = ["bits_per_spike", "median_block", "gain"]
    means = frame.pivot_table(columns, rows, "prior", "mean", sort=False)
    return means.reindex(columns=dict.fromkeys(frame["prior"]), level="prior").round(4).to_string()


def some(kind: type):
    return lambda text: tuple(kind(item) for item in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="default: wmaze.nwb")
    parser.add_argument("--history", action="store_true", help="bases and lags, at five states")
    parser.add_argument("--priors", type=some(str), default=PRIORS)
    parser.add_argument("--n-states", type=some(int), default=N_STATES)
    parser.add_argument("--fractions", type=some(float), default=FRACTIONS)
    parser.add_argument("--n-init", type=int, default=3, help="starts of each fit")
    parser.add_argument("--n-seeds", type=int, default=2, help="random states 0, 1, ...")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    args = parser.parse_args()
    use_threads(args.threads)
    table = Table(args.out)
    if args.history:
        compare_histories(args, table)
        print("\n" + summary(table, ["basis", "n_lags", "n_basis"]))
    else:
        compare_priors(args, table)
        print("\n" + summary(table, ["fraction", "n_states"]))


if __name__ == "__main__":
    main()
