"""Recovery of the published synthetic benchmark: states, couplings, types; and the time of a fit.

    python benchmarks/recovery.py DATA.npz --prior one-hot --n-train 30 --threads 1 --out FIT.npz
    python benchmarks/recovery.py --all --out results/recovery.csv

The first form fits one data set twice and writes what the benchmark's own score sheet reads.
The second fits the three data sets with the three priors and 30, 10 and 3 training sessions.
A data set demo_seed*.npz holds 50 sessions of 2,000 bins of 20 neurons in 5 states; the
sessions from 30 on, those after the training sessions otherwise, are the test.
"""

import argparse
import time
from pathlib import Path

from measuring import Stopwatch, Table, find_data, use_threads

N_TRAIN = (30, 10, 3)
PRIORS = ("none", "gaussian", "one-hot")
FILES = tuple(f"demo_seed{seed}.npz" for seed in range(3))


def read(path: Path):
    """Read a simulation, as `simulate_population` returns it."""
    import numpy as np
    import xarray as xr

    data = np.load(path)
    dims = ("session", "time", "neuron")
    couple = ("state", "post", "pre")
    n_sessions, n_time_bins, n_neurons = data["spikes"].shape
    transition = data["transition"].astype(float)
    transition /= transition.sum(1, keepdims=True)
    n_states = len(transition)
    spikes = xr.DataArray(
        data["spikes"].astype(np.float32),
        dims=dims,
        coords={
            "session": np.arange(n_sessions),
            "time": np.arange(n_time_bins) * 1.0,
            "neuron": np.arange(n_neurons),
        },
        attrs={"bin_size": 1.0},
    )
    return xr.Dataset(
        {
            "spikes": spikes,
            "states": (dims[:2], data["states"].astype(int)),
            "weights": ((*couple, "basis"), data["weights_true"][..., None]),
            "connectivity": (couple, data["weights_true"]),
            "connection_type": (couple, data["adjacency_true"].astype(int)),
            "shared_type_proba": (("post", "pre", "type"), data["adjacency_prior"]),
            "bias": (("state", "neuron"), np.tile(data["bias"], (n_states, 1))),
            "transition_matrix": (("state", "next_state"), transition),
            # The generator draws the first state by a transition from state 0.
            "initial_proba": ("state", transition[0]),
            "basis_functions": (("basis", "lag"), data["basis"][None]),
        },
        attrs={"link": "sigmoid", "bin_size": 1.0},
    )


def make_model(prior: str, n_init: int, random_state: int):
    from onehotglm import OneHotHMMGLM

    return OneHotHMMGLM(
        n_states=5,
        prior=prior,
        link="sigmoid",
        basis="exponential",
        n_lags=5,
        n_init=n_init,
        random_state=random_state,
        progress=False,
    )


def measure(model, truth, n_train: int) -> dict[str, float]:
    """Prediction and decoding of the test sessions beside the truth's, and recovery."""
    from onehotglm.evaluation import recovery, true_model

    test = truth.isel(session=slice(n_train, None))
    true = true_model(model, truth)
    bits, true_bits = model.score(test["spikes"]), true.score(test["spikes"])
    states, true_states = (
        fit.predict_proba(test["spikes"]).argmax("state") for fit in (model, true)
    )
    measures = dict(recovery(model, test, states))
    true_accuracy = float((true_states == test["states"]).mean())
    return {
        "bits_per_spike": bits,
        "of_the_truth": bits / true_bits,
        "below_true_accuracy": true_accuracy - measures["state_accuracy"],
        **measures,
    }


def write_fit(model, path: Path) -> None:
    """Write the arrays that the score sheet reads."""
    import numpy as np

    arrays = {
        "weights": model.weights_[..., 0],
        "bias": model.bias_,
        "transition": model.transition_matrix_,
        "init": model.initial_proba_,
        "activation": model.link,
        "lowerbound": 0.0,
        "basis": model.basis_functions_[0],
    }
    if model.connection_type_ is not None:
        arrays["adjacency"] = model.connection_type_
        # inhibitory, absent, excitatory: the order of both.
        arrays["adjacency_prior"] = model.shared_type_proba_
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def timed_fit(args: argparse.Namespace, prior: str, spikes):
    with Stopwatch() as watch:
        model = make_model(prior, args.n_init, args.random_state).fit(spikes)
    seconds = {
        "wall_s": watch.wall,
        "cpu_s": watch.cpu,
        "compiled": watch.compiled,
        "compile_s": watch.compile_seconds,
        "n_iter": model.n_iter_,
    }
    return model, seconds


def one(args: argparse.Namespace, begin: float) -> None:
    truth = read(args.data or find_data(FILES[0]))
    spikes = truth["spikes"].isel(session=slice(args.n_train))
    model, first = timed_fit(args, args.prior, spikes)
    since_start = time.perf_counter() - begin
    _, second = timed_fit(args, args.prior, spikes)
    for name, value in measure(model, truth, args.n_train).items():
        print(f"{name:32s}{value:9.4f}")
    print(f"{'stopped by':32s}{model.stop_reason_}")
    for name, seconds in (("first fit", first), ("second fit", second)):
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in seconds.items()))
    print(f"from the start of the process to the first fit's end: {since_start:.2f} s")
    if args.out is not None:
        write_fit(model, args.out)


def everything(args: argparse.Namespace) -> None:
    import pandas as pd

    table = Table(args.out)
    for n_train in N_TRAIN:
        for name in FILES:
            truth = read(find_data(name))
            for prior in PRIORS:
                spikes = truth["spikes"].isel(session=slice(n_train))
                model, seconds = timed_fit(args, prior, spikes)
                row = {"n_train": n_train, "data": name, "prior": prior}
                table.add(row | measure(model, truth, n_train) | seconds)
    rows = pd.DataFrame(table.rows).drop(columns="data")
    means = rows.groupby(["n_train", "prior"], sort=False).mean()
    print("\nmeans over the data sets")
    print(means.round(4).T.to_string())


def main() -> None:
    begin = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="default: demo_seed0.npz")
    parser.add_argument("--all", action="store_true", help="all data sets, priors and sizes")
    parser.add_argument("--prior", choices=PRIORS, default="one-hot")
    parser.add_argument("--n-train", type=int, default=30, help="sessions to train on")
    parser.add_argument("--n-init", type=int, default=3, help="starts of each fit")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="FIT.npz, or the table of --all (CSV)")
    args = parser.parse_args()
    use_threads(args.threads)
    if args.all:
        everything(args)
    else:
        one(args, begin)


if __name__ == "__main__":
    main()
