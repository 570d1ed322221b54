"""Spikes that AstroSNN and BDH generate, decoded by the flagship.

    python benchmarks/brains.py astrosnn --n-seeds 3 --out results/brains
    python benchmarks/brains.py bdh --n-seeds 3 --out results/brains

`astrosnn`: populations of 20 units, 30 % of the pairs connected, in four kinds: calcium that is
there but does nothing (`mute`; the same wiring without astrocytes, as far as spikes go), freshly
drawn astrocytes (`fresh`), and those whose calcium makes units more excitable, `mild` and `strong`.
Are the flagship's states (3, decoded by Viterbi) about calcium?  Mutual information with its four
levels: of the mean over units, of the first principal component, and per unit (mean over units),
beside states shifted in time.  Calcium counts spikes, so that states may follow it without any
astrocyte: the comparison that says something about astrocytes is that with `mute`.
`state_gain` is what three states predict beyond one, in bits per spike, held-out blocks, paired.

`bdh`: E D_x is the wiring; all pairs have a weight, and the strongest excitatory tenth are the
edges to find, from the flagship's couplings (excitatory first).  The controls are the same graph
rewired with its degrees kept (`null`, `null_high`: mean and 97.5th percentile over rewirings), and
random order (`base_rate`).  Networks: `random` (32 neurons), `trained` on tinyshakespeare.txt
(64 neurons, reading it), `published` (bdh_reference.npz, whose weights are as good as random: its
loss is above that of guessing; the 40 most active of 512 neurons are recorded).
"""

import argparse
from pathlib import Path

from compare import flagship, summarise
from measuring import Table, find_data, use_threads

N_SESSIONS = {"astrosnn": 30, "bdh": 40}
N_BINS, WARM_UP = 1000, 500
KINDS = {
    "mute": {"contact": 4.0, "strength": 0.0},
    "fresh": {},
    "mild": {"contact": 4.0, "coupling": -0.2},
    "strong": {"contact": 4.0, "coupling": -0.3},
}
# Membranes integrate over 2 to 10 bins.
HISTORY = {"basis": "raised_cosine", "n_lags": 15, "n_basis": 2, "prior": "none"}
N_STATES = 3
EDGES = 0.1
N_REWIRED = 100
N_RECORDED = 40
TRAINING_STEPS = 1500


def seeds(args: argparse.Namespace) -> range:
    return range(args.first_seed, args.first_seed + args.n_seeds)


def settled(sample):
    """Drop the bins in which calcium rises from rest; those just before stay as lead-in."""
    sample = sample.isel(time=slice(WARM_UP - HISTORY["n_lags"], None))
    return sample.assign_coords(time=sample["time"] - WARM_UP * sample.attrs["bin_size"])


def compared(sample, seed: int, history: dict):
    """Flagship with one state and with several, fitted and held against the wiring."""
    from onehotglm import compare

    decoders = {
        "glm": flagship(1, seed, **history),
        "hmm-glm": flagship(N_STATES, seed, **history),
    }
    for decoder in decoders.values():
        decoder.set_params(n_lags=1)  # the effective connectivity is not looked at
    found = compare(sample, decoders, block_length=None, reference="hmm-glm", progress=False)
    for name, reason in found.failures.items():
        print(f"{name} failed: {reason}")
    return found


def first_component(calcium):
    """First principal component over units, (session, time)."""
    import numpy as np

    values = (calcium - calcium.mean(("session", "time"))).values.astype(float)
    flat = values.reshape(-1, values.shape[-1])
    direction = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    return calcium.isel(neuron=0, drop=True).copy(data=values @ direction)


def measure_information(states, calcium, seed: int) -> dict:
    """Bits that states share with readings of calcium, beside shifted states."""
    from onehotglm import state_information

    readings = {
        "mean": calcium.mean("neuron"),
        "component": first_component(calcium),
        "units": calcium,
    }
    row = {}
    for name, signal in readings.items():
        found = state_information(states, signal, random_state=seed)
        row[name] = float(found["information"].mean())
        row[f"{name}_shifted"] = float(found["shifted"].mean())
        if "neuron" in found.dims:
            row["units_significant"] = float((found["p_value"] < 0.05).mean())
        else:
            row[f"{name}_p"] = float(found["p_value"])
    return row


def measure_astrosnn(args: argparse.Namespace) -> None:
    from onehotglm.networks.astrosnn import AstroGenerator, make_astro_population

    table = Table(args.out and args.out / "astrosnn.csv")
    for seed in seeds(args):
        for kind in args.kinds or KINDS:
            options = {"density": 0.3, "random_state": seed, **KINDS[kind]}
            population = make_astro_population(20, **options)
            generator = AstroGenerator(population)
            sample = settled(
                generator.sample(N_SESSIONS["astrosnn"], WARM_UP + N_BINS, random_state=seed)
            )
            found = compared(sample, seed, HISTORY)
            rows = found.table.set_index("name")
            # Calcium is new to the model in every session, be its spikes known or not.
            states = found.decoders["hmm-glm"].model_.predict_states(sample["spikes"])
            calcium = sample["calcium"].sel(time=states["time"])
            table.add(
                {
                    "kind": kind,
                    "data": seed,
                    "rate": float(sample["spikes"].mean()) / sample.attrs["bin_size"],
                    "calcium_sd": float(calcium.mean("neuron").std()),
                    "state_gain": -rows.loc["glm", "difference"],
                    "gain_low": -rows.loc["glm", "difference_high"],
                    "gain_high": -rows.loc["glm", "difference_low"],
                    **measure_information(states, calcium, seed),
                    **wiring_columns(found),
                }
            )
    summarise(table, "kind", [name for name in table.rows[0] if name not in ("kind", "data")])


def wiring_columns(found) -> dict:
    """Recovery of the wiring by the one-state and the switching model's couplings."""
    return {
        f"{short}_{measure}": float(found.wiring.loc[f"{name}, couplings", measure])
        for name, short in (("glm", "glm"), ("hmm-glm", "hmm"))
        for measure in ("average_precision", "sign_accuracy", "correlation")
    } | {"base_rate": float(found.wiring["base_rate"].iloc[0])}


def trained_bdh(seed: int):
    """Small BDH that has learned a text; and that text."""
    from onehotglm.networks.bdh import make_bdh
    from onehotglm.networks.language import TextObjective, text_loss
    from onehotglm.networks.text import read_text, split_text
    from onehotglm.networks.training import Optimiser, start_training, train

    text, held_out = split_text(read_text(find_data("tinyshakespeare.txt")))
    model = make_bdh(32, n_neurons=64, n_heads=2, n_levels=4, random_state=seed)
    optimiser = Optimiser("adam", learning_rate=3e-3, clip_norm=1.0)
    state = start_training(model, optimiser, seed)
    objective = TextObjective(window=64, batch_size=16)
    run = train(state, objective, optimiser, text, n_steps=TRAINING_STEPS)
    print(f"trained BDH {seed}: {text_loss(run.state.model, held_out, 64):.3f} nats per byte")
    return run.state.model, bytes(held_out.tokens)


def bdh_networks(args: argparse.Namespace):
    """Yield kind, seed and generator."""
    import jax

    from onehotglm.networks.bdh import BDHGenerator, load_published, make_bdh
    from onehotglm.networks.bdh.generator import DEFAULT_SCALE

    def random_network(seed: int) -> BDHGenerator:
        fresh = make_bdh(16, n_neurons=32, n_heads=2, n_levels=4, random_state=seed)
        return BDHGenerator(jax.tree.map(lambda weights: DEFAULT_SCALE * weights, fresh))

    def trained_network(seed: int) -> BDHGenerator:
        model, text = trained_bdh(seed)
        return BDHGenerator(model, text=text)

    def published_network(seed: int) -> BDHGenerator:
        return BDHGenerator(load_published(find_data("bdh_reference.npz")))

    networks = {
        "random": random_network,
        "trained": trained_network,
        "published": published_network,
    }
    for kind in args.kinds or networks:
        for seed in seeds(args):
            yield kind, seed, networks[kind](seed)


def recorded(sample):
    """Sample of the most active neurons, and their part of the wiring."""
    import numpy as np

    activity = sample["spikes"].sum(("session", "time")).values
    chosen = np.sort(np.argsort(-activity)[:N_RECORDED])
    return sample.isel(neuron=chosen, post=chosen, pre=chosen)


def measure_bdh(args: argparse.Namespace) -> None:
    table = Table(args.out and args.out / "bdh.csv")
    for kind, seed, generator in bdh_networks(args):
        sample = recorded(generator.sample(N_SESSIONS["bdh"], N_BINS, random_state=seed))
        found = compared(sample, seed, {"basis": "lags", "n_lags": 1})  # a level hears the last
        rows = found.table.set_index("name")
        for name in found.decoders:
            table.add(
                {
                    "kind": kind,
                    "data": seed,
                    "model": name,
                    "rate": float(sample["spikes"].mean()) / sample.attrs["bin_size"],
                    "bits_per_spike": rows.loc[name, "bits_per_spike"],
                    "sign_accuracy": found.wiring.loc[f"{name}, couplings", "sign_accuracy"],
                    "correlation": found.wiring.loc[f"{name}, couplings", "correlation"],
                    **strongest_found(
                        found.decoders[name].couplings_, sample["connectivity"], seed
                    ),
                }
            )
    for model in ("glm", "hmm-glm"):
        part = Table(None)
        part.rows = [row for row in table.rows if row["model"] == model]
        print(f"\n{model}")
        summarise(part, "kind", list(table.rows[0])[3:])


def strongest_found(couplings, graph, seed: int) -> dict:
    """Recovery of the strongest excitatory edges, against rewired graphs."""
    import numpy as np

    from onehotglm.networks.bdh import rewire, strongest_edges
    from onehotglm.plots.recovery import between_neurons, precision_recall

    n_neurons = len(graph)
    n_edges = round(EDGES * n_neurons * (n_neurons - 1))
    edges = strongest_edges(graph, n_edges)
    score = between_neurons(couplings)
    rng = np.random.default_rng(seed)

    def recovered(truth) -> tuple[float, float]:
        exists = between_neurons(truth) != 0
        mixed = rng.permutation(len(score))  # equal couplings in random order
        highest = mixed[np.argsort(-score[mixed], kind="stable")[:n_edges]]
        return exists[highest].mean(), precision_recall(exists, score)[2]

    null = np.array([recovered(rewire(edges, random_state=rng)) for _ in range(N_REWIRED)])
    at_k, average = recovered(edges)
    return {
        "precision_at_k": at_k,
        "precision_null": null[:, 0].mean(),
        "precision_null_high": np.quantile(null[:, 0], 0.975),
        "average_precision": average,
        "null": null[:, 1].mean(),
        "null_high": np.quantile(null[:, 1], 0.975),
        "base_rate": EDGES,
    }


MODES = {"astrosnn": measure_astrosnn, "bdh": measure_bdh}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--n-seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", help="of networks; default: all of the mode")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="folder for the tables")
    args = parser.parse_args()
    use_threads(args.threads)
    MODES[args.mode](args)


if __name__ == "__main__":
    main()
