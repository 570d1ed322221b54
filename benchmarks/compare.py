"""Decoders on the same blocks: a real recording, simulations, and spikes of a recurrent network.

    python benchmarks/compare.py recording --out results/compare
    python benchmarks/compare.py population --n-seeds 3 --out results/compare
    python benchmarks/compare.py published --n-seeds 2 --out results/compare
    python benchmarks/compare.py rnn --n-seeds 3 --out results/compare
    python benchmarks/compare.py recording --decoders astrosnn bdh --out results/spiking

`recording`: wmaze.nwb as in recording.py, the same held-out blocks.  The flagship with its default
history (5 lags, one exponential) stands beside one whose history was chosen among HISTORIES on
inner blocks of the training data only (every fifth of them, one fit each).  `rates_only` scores the
predicted rates as if neurons of a bin were independent; what is lost is what the flagship gains by
their common state.
`population`: simulate_population with 20 neurons, 3 states and a known wiring.
`published`: the published synthetic benchmark, demo_seed*.npz, 5 states, sessions of 2,000 bins.
`rnn`: spikes of a recurrent network of 20 neurons, 30 % of its weights present, under random
bits that no decoder sees; its wiring are the recurrent weights.

Writes MODE_scores.csv (a row per decoder, differences paired) and, where the wiring is known,
MODE_wiring.csv (a row per reading of a connectivity).  Only pairs of different neurons count.
"""

import argparse
from pathlib import Path

from measuring import Table, find_data, use_threads
from recording import read_blocks
from recovery import FILES, read as read_published

HISTORIES = {
    "exponential, 5 lags": {},
    "2 cosines, 10 lags": {"basis": "raised_cosine", "n_lags": 10, "n_basis": 2},
    "2 cosines, 25 lags": {"basis": "raised_cosine", "n_lags": 25, "n_basis": 2},
    "3 cosines, 25 lags": {"basis": "raised_cosine", "n_lags": 25, "n_basis": 3},
}
LONGEST_HISTORY = 25
DENSITY, WEIGHT_SCALE = 0.3, 2.0


def flagship(n_states: int, random_state: int, n_init: int = 3, **history):
    from onehotglm import OneHotHMMGLM
    from onehotglm.networks import HMMGLMDecoder

    model = OneHotHMMGLM(
        n_states=n_states,
        n_init=1 if n_states == 1 else n_init,
        random_state=random_state,
        progress=False,
        **history,
    )
    return HMMGLMDecoder(model, random_state=random_state)


def networks(random_state: int) -> dict:
    from onehotglm.comparison import make_decoders

    names = ["rnn", "gru", "astrosnn", "bdh"]
    return make_decoders(names, n_states=1, random_state=random_state)


def best_history(blocks, n_states: int, random_state: int) -> str:
    """Choose on inner blocks; the held-out ones are not looked at."""
    from onehotglm import OneHotHMMGLM
    from onehotglm.evaluation import hold_out

    train, _ = hold_out(blocks)
    inner, inner_test = hold_out(train)
    scores = {}
    for name, history in HISTORIES.items():
        options = {"n_init": 1, "random_state": random_state, "progress": False, **history}
        scores[name] = OneHotHMMGLM(n_states=n_states, **options).fit(inner).score(inner_test)
        print(f"inner blocks, {name}: {scores[name]:.4f} bits per spike", flush=True)
    return max(scores, key=scores.get)


def recordings(args: argparse.Namespace):
    """Yield the recording, with its decoders."""
    from onehotglm.networks import HomogeneousPoisson

    blocks = read_blocks(args.data or find_data("wmaze.nwb"), LONGEST_HISTORY)
    for seed in range(args.n_seeds):
        decoders = {
            "homogeneous": HomogeneousPoisson(),
            "glm": flagship(1, seed),
            "hmm-glm": flagship(5, seed),
            **networks(seed),
        }
        if args.histories:
            name = best_history(blocks, 5, seed)
            decoders[f"hmm-glm, {name}"] = flagship(5, seed, **HISTORIES[name])
        yield f"wmaze, seed {seed}", blocks, decoders


def populations(args: argparse.Namespace):
    """Yield simulations of three states, with their decoders."""
    from onehotglm import simulate_population
    from onehotglm.networks import HomogeneousPoisson

    for seed in range(args.n_seeds):
        simulation = simulate_population(
            "distance", n_neurons=20, n_states=3, n_sessions=30, n_time_bins=2000, random_state=seed
        )
        decoders = {
            "homogeneous": HomogeneousPoisson(),
            "glm": flagship(1, seed),
            "hmm-glm": flagship(3, seed),
            **networks(seed),
        }
        yield f"population {seed}", simulation, decoders


def published(args: argparse.Namespace):
    """Yield the published benchmark, whose link is the sigmoid."""
    from onehotglm.networks import HomogeneousPoisson

    for seed, name in enumerate(FILES[: args.n_seeds]):
        decoders = {
            "homogeneous": HomogeneousPoisson(),
            "glm": flagship(1, seed, link="sigmoid"),
            "hmm-glm": flagship(5, seed, link="sigmoid"),
            **networks(seed),
        }
        yield name, read_published(find_data(name)), decoders


def network_spikes(args: argparse.Namespace):
    """Yield spikes of sparse recurrent networks, with decoders of one state and of more."""
    from onehotglm.networks import HomogeneousPoisson

    for seed in range(args.n_seeds):
        decoders = {
            "homogeneous": HomogeneousPoisson(),
            "glm": flagship(1, seed),
            "hmm-glm": flagship(2, seed),
            "hmm-glm, 3 states": flagship(3, seed),
            "rnn": networks(seed)["rnn"],
        }
        sample = sparse_network(seed).sample(n_sessions=30, n_time_bins=1000, random_state=seed)
        yield f"network {seed}", sample, decoders


def sparse_network(seed: int):
    """Make a generator whose recurrent weights are mostly absent, the others stronger."""
    import equinox as eqx
    import numpy as np

    from onehotglm import RNNGenerator
    from onehotglm.networks.rnn import make_rnn

    network = make_rnn(20, random_state=seed)
    weights = np.asarray(network.layers[0].w_hh)
    kept = np.random.default_rng(seed).random(weights.shape) < DENSITY
    return RNNGenerator(
        eqx.tree_at(lambda net: net.layers[0].w_hh, network, WEIGHT_SCALE * weights * kept)
    )


MODES = {
    "recording": recordings,
    "population": populations,
    "published": published,
    "rnn": network_spikes,
}


def score_by_rates(comparison, test) -> dict[str, float]:
    """Bits per spike of the predicted rates alone."""
    from onehotglm.estimator.scoring import bits_per_spike, poisson_log_likelihood

    return {
        name: bits_per_spike(
            poisson_log_likelihood(decoder.predict_rates(test), test), test, decoder.mean_rates_
        )
        for name, decoder in comparison.decoders.items()
    }


def measure(args: argparse.Namespace) -> None:
    from onehotglm import compare
    from onehotglm.evaluation import hold_out

    folder = args.out
    scores = Table(folder and folder / f"{args.mode}_scores.csv")
    wiring = Table(folder and folder / f"{args.mode}_wiring.csv")
    for label, data, decoders in MODES[args.mode](args):
        if args.decoders:
            chosen = ["hmm-glm", *args.decoders]
            decoders = {name: made for name, made in decoders.items() if name in chosen}
        # Sessions are the blocks: those of the recording are cut, simulations come in sessions.
        comparison = compare(
            data,
            decoders,
            block_length=None,
            reference="hmm-glm",
            progress=False,
            on_result=lambda found: print(f"fitted {found.results[-1].name}", flush=True),
        )
        for name, reason in comparison.failures.items():
            print(f"{name} failed: {reason}")
        spikes = data["spikes"] if "spikes" in getattr(data, "data_vars", ()) else data
        by_rates = score_by_rates(comparison, hold_out(spikes)[1])
        for row in comparison.table.to_dict("records"):
            scores.add({"data": label, **row, "rates_only": by_rates[row["name"]]})
        if comparison.wiring is not None:
            for name, row in comparison.wiring.iterrows():
                wiring.add({"data": label, "reading": name, **row.to_dict()})
    summarise(scores, "name", ["bits_per_spike", "difference", "fit_seconds"])
    if wiring.rows:
        summarise(wiring, "reading", list(wiring.rows[0])[2:])


def summarise(table: Table, by: str, columns: list[str]) -> None:
    """Mean over data sets, and the standard error of it where there are several."""
    import pandas as pd

    groups = pd.DataFrame(table.rows).groupby(by, sort=False)[columns]
    print(f"\nmeans over {len({row['data'] for row in table.rows})} data sets, standard errors")
    print(groups.agg(["mean", "sem"]).round(4).to_string(na_rep="-"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--data", type=Path, help="the recording; default: wmaze.nwb")
    parser.add_argument("--n-seeds", type=int, default=1)
    parser.add_argument("--histories", action="store_true", help="with a chosen history, too")
    parser.add_argument("--decoders", nargs="+", help="which beside hmm-glm; default: all")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="folder for the tables")
    args = parser.parse_args()
    use_threads(args.threads)
    measure(args)


if __name__ == "__main__":
    main()
