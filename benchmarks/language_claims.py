"""The claims about BDH and AstroSNN as models of text, measured: one table, one figure.

    python benchmarks/language_runs.py --minutes 120        # trains; goes on where it was
    python benchmarks/language_measures.py [--at STEPS]     # measures, ten minutes
    python benchmarks/language_claims.py [--at STEPS]       # prints the table

How numbers become verdicts: benchmarks/verdicts.py.  One model "rivals" another one if its
held-out loss is at most 2 % higher: that holds if the whole interval of the relative
difference is below, and does not hold if all of it is above.  Differences are paired: both
models of a seed read the same windows.
"""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from language_measures import CONCEPTS, EDGES_PER_NEURON, LEVEL, measures_path
from language_runs import (
    ABLATIONS,
    MODELS,
    STEPS_PER_CALL,
    Plan,
    make_model,
    plan_of,
    read_history,
    read_task,
    round_of,
    round_parser,
)
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from verdicts import Interval, interval, show, verdict_above_zero

from onehotglm.networks.layers import count_parameters
from onehotglm.plots.style import finish, state_colors, style

TASKS = {"shakespeare": "tinyshakespeare", "multi30k": "English to German"}
RIVAL = 0.02
MIN_SIZES = 3  # of a fitted exponent
TITLES = {
    "bdh": "BDH",
    "transformer": "transformer",
    "astrosnn": "AstroSNN",
    "no_astrocyte": "without astrocytes",
    "lif": "leaky integrate-and-fire, as many parameters",
}

Found = dict[tuple[str, str, str], dict[int, dict]]
"""By task, model and size, then by seed: test loss, training curve and measures."""


def verdict_rivals(found: Interval) -> str:
    if found.high < RIVAL:
        return "holds"
    return "does not hold" if found.low > RIVAL else "undecided here"


def verdict_below_zero(found: Interval) -> str:
    return verdict_above_zero(Interval(-found.mean, -found.high, -found.low, found.n))


def read(plan: Plan, n_steps: int) -> Found:
    found: Found = {}
    for run in plan.runs():
        history = read_history(plan.out, run)
        if str(n_steps) not in history["held_out"]:
            continue
        path = measures_path(plan.out, run, n_steps)
        measures = json.loads(path.read_text()) if path.exists() else {}
        curve = history["train"][: n_steps // STEPS_PER_CALL]
        one = {"test": history["held_out"][str(n_steps)]["test"], "curve": curve, **measures}
        found.setdefault((run.task, run.model, run.size), {})[run.random_state] = one
    return found


def over_seeds(runs: dict[int, dict], value: Callable[..., float], *args) -> Interval | None:
    """Interval of ``value(one, *args)`` over the runs that have been measured."""
    values = [value(one, *args) for one in runs.values() if value is test_loss or "sample" in one]
    return interval(values) if values else None


def show_change(
    label: str, runs: dict[int, dict], value: Callable[..., float], *args, claimed: Callable
) -> None:
    """Show how much ``value(one, state, *args)`` changed by training."""
    change = over_seeds(
        runs, lambda one: value(one, "trained", *args) - value(one, "untrained", *args)
    )
    show(label, change, claimed)


def test_loss(one: dict) -> float:
    return one["test"]


def active(one: dict, state: str, kind: str, level: int) -> float:
    return one[state]["active"][kind][level]


def modularity(one: dict, state: str, density: int) -> float:
    return one[state]["graph"][str(density)]["modularity"]


def modularity_above_random(one: dict, state: str, density: int) -> float:
    measured = one[state]["graph"][str(density)]
    return measured["modularity"] - measured["null_modularity"]


def tail_ratio(one: dict, state: str, density: int) -> float:
    return one[state]["graph"][str(density)]["tail_ratio"]


def above_shuffled(one: dict, state: str, name: str) -> float:
    measured = one[state]["concepts"][name]
    return measured["largest_t"] - measured["shuffled_largest_t"]


def above_chance(one: dict, state: str, name: str, key: str) -> float:
    return one[state]["concepts"][name][key] - 0.5


def gain_from_context(one: dict) -> float:
    return one["loss_by_place"][0] - one["loss_by_place"][-1]


def words_above_scrambled(one: dict) -> float:
    return one["known_words"] - one["scrambled_words"]


def paired(
    found: Found,
    first: tuple[str, str, str],
    second: tuple[str, str, str],
    combine: Callable[[dict, dict], float],
) -> Interval | None:
    """Two models against each other, seed by seed."""
    one, other = found.get(first, {}), found.get(second, {})
    seeds = sorted(one.keys() & other.keys())
    if combine is not relative_loss:
        seeds = [seed for seed in seeds if "sample" in one[seed] and "sample" in other[seed]]
    values = [combine(one[seed], other[seed]) for seed in seeds]
    return interval(values) if values else None


def relative_loss(one: dict, other: dict) -> float:
    return one["test"] / other["test"] - 1


def relative_late_loss(one: dict, other: dict) -> float:
    return one["loss_by_place"][-1] / other["loss_by_place"][-1] - 1


def show_scale(plan: Plan, n_steps: int) -> None:
    task = read_task("shakespeare")
    print(f"{n_steps} steps of {task.batch_size} windows of {task.window} bytes")
    print(f"\nLearning rates (best of those tried, by the loss after {plan.steps[0]} steps)")
    for model, size in plan.kinds():
        n_parameters = count_parameters(make_model(model, size, task.window, 0))
        losses = []
        for run in plan.tuning_runs(model, size):
            found = read_history(plan.out, run)["held_out"].get(str(plan.steps[0]))
            if found is not None:
                losses.append(f"{run.learning_rate:g}: {found['validation']:.3f}")
        print(
            f"  {TITLES[model]:<46} {n_parameters:>8} parameters: {plan.best_rate(model, size)} "
            f"({', '.join(losses)})"
        )


def show_losses(found: Found) -> None:
    print("\nHeld-out loss, nats per byte (multi30k: per byte of the German sentence)")
    for (task, model, size), runs in found.items():
        show(f"{task}, {TITLES[model]}, {size}", over_seeds(runs, test_loss), None)


def claim_rivals(found: Found, sizes: list[str]) -> None:
    print("\n1. BDH rivals a transformer of the same size (relative difference of the loss)")
    for task in TASKS:
        for size in compared_sizes(found, task, sizes):
            pair = (task, "bdh", size), (task, "transformer", size)
            show(f"{task}, {size}", paired(found, *pair, relative_loss), verdict_rivals)


def compared_sizes(found: Found, task: str, sizes: list[str]) -> list[str]:
    """Sizes at which all models have learned a task."""
    return [size for size in sizes if all((task, model, size) in found for model in MODELS)]


def exponents(found: Found, task: str, model: str, sizes: list[str]) -> dict[int, float]:
    """Exponent a of ``loss = c parameters^(-a)`` of each seed that has all sizes."""
    window = read_task(task).window
    n_parameters = [count_parameters(make_model(model, size, window, 0)) for size in sizes]
    runs = [found[(task, model, size)] for size in sizes]
    return {
        seed: -np.polyfit(np.log(n_parameters), np.log([one[seed]["test"] for one in runs]), 1)[0]
        for seed in sorted(set.intersection(*(set(one) for one in runs)))
    }


def claim_scaling(found: Found, sizes: list[str]) -> None:
    print("\n2. Loss falls as a power of the parameters (exponent)")
    for task in TASKS:
        common = compared_sizes(found, task, sizes)
        if len(common) < MIN_SIZES:
            continue
        by_model = {model: exponents(found, task, model, common) for model in MODELS}
        for model, of_seed in by_model.items():
            values = list(of_seed.values())
            show(
                f"{task}, {TITLES[model]}, {common[0]} to {common[-1]}",
                interval(values) if values else None,
                verdict_above_zero,
            )
        seeds = sorted(by_model["bdh"].keys() & by_model["transformer"].keys())
        gained = [by_model["bdh"][seed] - by_model["transformer"][seed] for seed in seeds]
        show(
            f"{task}, BDH minus transformer",
            interval(gained) if gained else None,
            verdict_above_zero,
        )


def claim_sparse(found: Found, sizes: list[str]) -> None:
    print("\n3. Activations are sparse (share of active neurons; change by training)")
    for size, kind, level in product(sizes, ("x", "output"), range(4)):
        runs = found.get(("shakespeare", "bdh", size), {})
        label = f"{size}, level {level}: {kind}"
        show(label, over_seeds(runs, active, "trained", kind, level), None)
        show_change(f"{label}, change", runs, active, kind, level, claimed=verdict_below_zero)


def claim_graph(found: Found, sizes: list[str]) -> None:
    print("\n4. The graph of the neurons is modular and heavy-tailed (modularity minus that of")
    print("   graphs with the same degrees; log-likelihood of a power law over an exponential)")
    measures = {"modularity above random": modularity_above_random, "power law": tail_ratio}
    for size, density in product(sizes, EDGES_PER_NEURON):
        runs = found.get(("shakespeare", "bdh", size), {})
        label = f"{size}, {density} edges per neuron"
        show(f"{label}: modularity", over_seeds(runs, modularity, "trained", density), None)
        for name, value in measures.items():
            measured = over_seeds(runs, value, "trained", density)
            show(f"{label}: {name}", measured, verdict_above_zero)
            show_change(f"{label}:   change", runs, value, density, claimed=verdict_above_zero)


def claim_concepts(found: Found, size: str) -> None:
    print(f"\n5. Single synapses strengthen for one concept ({size}, level {LEVEL}; the area")
    print("   under the ROC curve minus 1/2)")
    runs = found.get(("shakespeare", "bdh", size), {})
    for name, concept in CONCEPTS.items():
        for title, value, *key in (
            ("largest t above shuffled labels", above_shuffled),
            ("new text, against all tokens", above_chance, "new_text"),
            ("new text, against its letter", above_chance, "new_text_same_letter"),
            ("the same, chosen by it", above_chance, "new_text_same_letter_contrast"),
        ):
            label = f"{concept.strip()}: {title}"
            show(label, over_seeds(runs, value, "trained", name, *key), verdict_above_zero)
            show_change(
                f"{concept.strip()}:   change", runs, value, name, *key, claimed=verdict_above_zero
            )


def claim_astrocytes(found: Found, sizes: list[str], middle: str) -> None:
    print("\n6. Astrocytes help (loss of the others minus AstroSNN's, relative)")

    def compare(other: str, size: str, value: Callable[[dict, dict], float], what: str) -> None:
        pair = ("shakespeare", other, size), ("shakespeare", "astrosnn", size)
        show(f"{TITLES[other]}, {size}{what}", paired(found, *pair, value), verdict_above_zero)

    for other in ABLATIONS:
        compare(other, middle, relative_loss, "")
        compare(other, middle, relative_late_loss, ", last quarter of the window")
    for size in sizes:
        compare("transformer", size, relative_loss, "")


def show_context(found: Found) -> None:
    print("\nGain from reading on (loss in the first quarter of the window minus in the last)")
    for (task, model, size), runs in found.items():
        if task == "shakespeare":
            show(f"{TITLES[model]}, {size}", over_seeds(runs, gain_from_context), None)


def claim_writing(found: Found, sizes: list[str]) -> None:
    print("\n7. They write (share of written words that the training text knows, above that of")
    print("   bytes without order; words of at least three letters)")
    for (task, model, size), runs in found.items():
        if task == "shakespeare":
            share = over_seeds(runs, words_above_scrambled)
            show(f"{TITLES[model]}, {size}", share, verdict_above_zero)
    for (task, model, size), runs in found.items():
        samples = [one["sample"] for one in runs.values() if "sample" in one]
        if samples and (size == sizes[-1] or task == "multi30k"):
            print(f"\n  {task}, {TITLES[model]}, {size}: {samples[0]!r}")


def draw(found: Found, sizes: list[str], path: Path) -> None:
    """Loss during training at the largest size, and after it against parameters, per task."""
    drawn = [task for task in TASKS if len(compared_sizes(found, task, sizes)) >= MIN_SIZES]
    if not drawn:
        return
    with plt.rc_context(style()):
        figure, axes = plt.subplots(
            len(drawn), 2, figsize=(7.4, 3.1 * len(drawn)), layout="constrained", squeeze=False
        )
        for (left, right), task in zip(axes, drawn, strict=True):
            draw_task(left, right, found, task, compared_sizes(found, task, sizes))
        figure.savefig(path, dpi=150)
    print(f"\nfigure: {path}")


def _in_words(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"


def draw_task(left: Axes, right: Axes, found: Found, task: str, sizes: list[str]) -> None:
    """Curves of the largest size on the left, scaling on the right."""
    window = read_task(task).window
    for model, color in zip(MODELS, state_colors(len(MODELS)), strict=True):
        curves = [one["curve"] for one in found[(task, model, sizes[-1])].values()]
        steps = STEPS_PER_CALL * (np.arange(len(curves[0])) + 0.5)
        left.plot(steps, np.mean(curves, axis=0), color=color, label=TITLES[model])
        n_parameters = [count_parameters(make_model(model, s, window, 0)) for s in sizes]
        losses = [[one["test"] for one in found[(task, model, s)].values()] for s in sizes]
        for n, of_size in zip(n_parameters, losses, strict=True):
            right.plot([n] * len(of_size), of_size, ".", color=color)
        means = [np.mean(of_size) for of_size in losses]
        slope, offset = np.polyfit(np.log(n_parameters), np.log(means), 1)
        fitted = np.exp(offset + slope * np.log(n_parameters))
        right.plot(n_parameters, fitted, color=color, label=f"exponent {-slope:.3f}")
    right.set(xscale="log", yscale="log")
    # All models of a size have about as many parameters.
    right.set_xticks(n_parameters, [_in_words(n) for n in n_parameters])
    right.xaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter("{x:.2f}")
    right.yaxis.set_minor_formatter("{x:.2f}")
    left.legend()
    right.legend()
    largest = f"{TASKS[task]}, {_in_words(n_parameters[-1])} parameters"
    finish(left, xlabel="step", ylabel="training loss (nats per byte)", title=largest)
    finish(right, xlabel="parameters", ylabel="held-out loss", title="Scaling")


def main() -> None:
    options = round_parser("Show what the measures say about the claims.").parse_args()
    plan, n_steps = plan_of(options), round_of(options)
    sizes = plan.sizes
    found = read(plan, n_steps)
    show_scale(plan, n_steps)
    show_losses(found)
    claim_rivals(found, sizes)
    claim_scaling(found, sizes)
    claim_sparse(found, sizes)
    claim_graph(found, sizes)
    claim_concepts(found, plan.with_synapses)
    claim_astrocytes(found, sizes, plan.middle)
    show_context(found)
    claim_writing(found, sizes)
    draw(found, sizes, plan.out / f"language_{n_steps:05d}.png")


if __name__ == "__main__":
    main()
