"""How many states: the number that cross-validation, BIC and ICL choose, known or not.

    python benchmarks/select_states.py --out results/select_demo.csv
    python benchmarks/select_states.py --recording --out results/select_recording.csv

The first form offers 2 to 8 states for the first ten sessions of each published simulation
(demo_seed*.npz), which have five; whole sessions are held out.  The second offers 1 to 8 for the
run epochs of a rat's CA1 (wmaze.nwb) in bins of 20 ms and blocks of 20 s, units with more than
200 spikes.  With several values of --n-init it shows whether more restarts change the choice.
"""

import argparse
from itertools import product
from pathlib import Path

import recording
import recovery
from measuring import Stopwatch, Table, find_data, use_threads

TRUE_N_STATES = 5


def simulations(args: argparse.Namespace):
    """Name, spikes and settings of the simulations."""
    for name in recovery.FILES[: args.n_data]:
        truth = recovery.read(find_data(name))
        yield name, truth["spikes"].isel(session=slice(args.n_train)), {"link": "sigmoid"}


def recordings(args: argparse.Namespace):
    """Name, spikes and settings of the recording."""
    import xarray as xr

    name = "wmaze.nwb"
    parts = recording.read(find_data(name), recording.DEFAULT_HISTORY["n_lags"])
    yield name, xr.concat(parts, "session").sortby("session_start"), recording.DEFAULT_HISTORY


def select(spikes, settings: dict, candidates: range, n_init: int, args: argparse.Namespace):
    from onehotglm import OneHotHMMGLM, select_n_states

    model = OneHotHMMGLM(
        prior=args.prior, n_init=n_init, random_state=args.random_state, **settings
    )
    return select_n_states(
        spikes,
        candidates,
        model=model,
        cv=args.cv,
        warm_start=args.warm_start,
        n_jobs=args.n_jobs,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recording", action="store_true", help="wmaze.nwb")
    parser.add_argument("--n-states", type=recording.some(int), help="default: as above")
    parser.add_argument("--n-data", type=int, default=3, help="so many of the simulations")
    parser.add_argument("--n-train", type=int, default=10, help="sessions of a simulation")
    parser.add_argument("--cv", type=int, default=5, help="folds")
    parser.add_argument("--prior", choices=recording.PRIORS, default="one-hot")
    parser.add_argument("--n-init", type=recording.some(int), default=(3,), help="starts, 1,3,...")
    parser.add_argument("--warm-start", action="store_true", help="split states of smaller fits")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    args = parser.parse_args()
    use_threads(args.threads)
    candidates = args.n_states or (range(1, 9) if args.recording else range(2, 9))
    table, chosen = Table(args.out), []
    data = recordings(args) if args.recording else simulations(args)
    for (name, spikes, settings), n_init in product(data, args.n_init):
        print(f"{name}: {dict(spikes.sizes)}, n_init {n_init}")
        with Stopwatch() as watch:
            selection = select(spikes, settings, candidates, n_init, args)
        for number, row in selection.table.iterrows():
            table.add({"data": name, "n_init": n_init, "n_states": number, **row})
        rules = dict(selection.choices)
        chosen.append({"data": name, "n_init": n_init, **rules, "wall_s": watch.wall})
    report(chosen, known=not args.recording)


def report(chosen: list[dict], *, known: bool) -> None:
    import pandas as pd

    frame = pd.DataFrame(chosen)
    print("\nchosen numbers of states")
    print(frame.round(1).to_string(index=False))
    if known:
        rules = frame.drop(columns=["data", "n_init", "wall_s"])
        print(f"\nfound {TRUE_N_STATES}, of {len(frame)} selections")
        print((rules == TRUE_N_STATES).sum().to_string())


if __name__ == "__main__":
    main()
