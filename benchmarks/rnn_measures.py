"""Measure the networks that benchmarks/rnn_runs.py trained, one JSON file per run.

    python benchmarks/rnn_measures.py --out benchmarks/results/rnn \
        [--published ../shared/data/rnn_reference.npz]

Per run of leaky neurons: both kinds of timescales at several spans, accuracy left after
ablation and perturbation, and how well longer spans are learnt afterwards.  The last two
at one span that the networks of both curricula have mastered.
"""

import argparse
import json
import time
from pathlib import Path

import equinox as eqx
import numpy as np
from rnn_runs import Run, all_runs, is_finished, network_of, read_stages

from onehotglm.networks.rnn.accuracy import accuracy_along, accuracy_at_end, drive_randomly
from onehotglm.networks.rnn.curriculum import PUBLISHED_OPTIMISER, Curriculum, train_span
from onehotglm.networks.rnn.dimensionality import dimensionality
from onehotglm.networks.rnn.lesions import ablation_curve, perturbation_curve
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.published import load_published
from onehotglm.networks.rnn.tasks import MIN_SPAN
from onehotglm.networks.rnn.timescales import measure_timescales
from onehotglm.networks.training import start_training

MATCHED_SPAN = 10
TIMESCALE_SPANS = (2, 4, 6, 8, 10, 15, 20, 25, 30, 35, 40)
ABLATED = (1 / 32, 1 / 16, 1 / 8, 1 / 4)  # fractions of the neurons
WEIGHT_NOISE = (0.1, 0.2, 0.4, 0.8)
TAU_NOISE = (0.05, 0.1, 0.2, 0.4)
LONGER_BY = (1, 2, 4)
READOUT_STEPS = 1000
TRAINING_STEPS = 300


def timescales(network: RNN) -> dict:
    found = measure_timescales(network, n_time_bins=5000)
    activity = drive_randomly(network, 2000).activity[200:]
    return {
        "mean_tau": float(found["tau"].mean()),
        "mean_network_tau": float(found["network_tau"].mean()),
        "median_network_tau": float(found["network_tau"].median()),
        "top_network_tau": float(found["network_tau"].quantile(0.9)),
        "participation_ratio": float(dimensionality(activity)["participation_ratio"]),
    }


def robustness(network: RNN, task: str, span: int) -> dict:
    """Accuracy above chance that is left, relative, as means over sizes or strengths."""
    tau = np.asarray(network.layers[0].effective_tau)
    sizes = [round(fraction * len(tau)) for fraction in ABLATED]
    rankings = {
        "longest_tau": np.argsort(-tau),
        "random": np.random.default_rng(0).permutation(len(tau)),
    }
    left = {
        f"ablation_{name}": ablation_curve(network, task, span, ranking, sizes)
        for name, ranking in rankings.items()
    }
    for what, strengths in (("weights", WEIGHT_NOISE), ("tau", TAU_NOISE)):
        left[f"noise_{what}"] = perturbation_curve(network, task, span, strengths, what=what)
    return {name: curve["relative_accuracy"].values.tolist() for name, curve in left.items()}


def generalisation(network: RNN, task: str, span: int) -> dict:
    """Accuracy on longer spans of a fresh head on the layers as they are, and after training."""
    fresh = make_rnn(network.layers[0].n_neurons, random_state=7)
    one_head = eqx.tree_at(lambda n: n.layers, fresh, network.layers)
    found: dict[str, list[float]] = {"readout": [], "training": []}
    for name, n_steps in (("readout", READOUT_STEPS), ("training", TRAINING_STEPS)):
        for longer in (span + by for by in LONGER_BY):
            # No accuracy passes the threshold: every network gets all the steps.
            curriculum = Curriculum(
                "single",
                task,
                max_span=longer,
                threshold=1 - 1e-9,
                readout_only=name == "readout",
            )
            state = start_training(one_head, PUBLISHED_OPTIMISER, random_state=5)
            state, _ = train_span(state, curriculum, longer, n_steps=n_steps)
            found[name].append(float(accuracy_at_end(state.model, task, longer)[0, -1]))
    return found


def accuracy_of_heads(network: RNN, run: Run, span: int) -> list[float]:
    """Accuracy of each head that is asked at a span, on its own question."""
    accuracy = accuracy_at_end(network, run.task, span, n_batches=64)
    n_heads = span - MIN_SPAN + 1
    asked = run.curriculum.asked(span)[:n_heads] > 0
    own = accuracy[0, -1:] if run.kind == "single" else np.diag(accuracy[:n_heads])[asked]
    return [round(float(a), 5) for a in own]


def measure_run(run: Run, out: Path) -> dict:
    stages = read_stages(out / run.name)
    mastered = [stage["span"] for stage in stages if stage["passed"]]
    last = max(mastered)
    network = network_of(out, run, last)
    found = {
        "run": run._asdict(),
        "span": last,
        "n_steps": sum(stage["n_steps"] for stage in stages),
        "steps_to_span": {
            stage["span"]: sum(s["n_steps"] for s in stages[: i + 1])
            for i, stage in enumerate(stages)
            if stage["passed"]
        },
        "accuracy_of_heads": accuracy_of_heads(network, run, last),
        "accuracy_along_fair_bits": accuracy_along(
            network, run.task, last, head=0 if run.kind == "single" else last - MIN_SPAN
        ),
    }
    if run.cell != "leaky":
        return found
    spans = [span for span in TIMESCALE_SPANS if span < last] + [last]
    found["timescales"] = {span: timescales(network_of(out, run, span)) for span in spans}
    if last >= MATCHED_SPAN:
        matched = network_of(out, run, MATCHED_SPAN)
        found["accuracy_of_heads_at_matched_span"] = accuracy_of_heads(matched, run, MATCHED_SPAN)
        found["robustness"] = robustness(matched, run.task, MATCHED_SPAN)
        found["generalisation"] = generalisation(matched, run.task, MATCHED_SPAN)
    return found


def measure_published(path: Path) -> dict:
    """Measure the stored networks of 500 neurons, one per curriculum and span."""
    found: dict[str, dict] = {"timescales": {}, "robustness": {}, "generalisation": {}}
    for kind in ("single", "cumulative"):
        for span in (2, 6, 10):
            network, _ = load_published(path, f"{kind}_N{span}")
            found["timescales"][f"{kind}_N{span}"] = timescales(network)
        found["robustness"][kind] = robustness(network, "parity", MATCHED_SPAN)
        found["generalisation"][kind] = generalisation(network, "parity", MATCHED_SPAN)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rnn"))
    parser.add_argument("--published", type=Path)
    options = parser.parse_args()
    jobs = {
        run.name: lambda run=run: measure_run(run, options.out)
        for run in all_runs()
        if is_finished(run, read_stages(options.out / run.name))
    }
    if options.published is not None:
        jobs["published"] = lambda: measure_published(options.published)
    for name, measure in jobs.items():
        path = options.out / f"{name}.json"
        if path.exists():
            continue
        start = time.time()
        path.write_text(json.dumps(measure(), indent=1))
        print(f"{name}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
