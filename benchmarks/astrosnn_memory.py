"""Do astrocytes help to remember?  Accuracy against delay, with and without them.

    python benchmarks/astrosnn_memory.py --out DIR [--minutes 45]    # trains, then the table
    python benchmarks/astrosnn_memory.py --out DIR --minutes 0       # the table only
    python benchmarks/astrosnn_memory.py --out DIR --only recall --seeds 0    # some

Three recurrent populations learn each task at each delay, each from its own start, with
the same steps and batches: AM-SUs, the same number of units without astrocytes, and more
leaky integrate-and-fire units without astrocytes, so that they have as many parameters as
the AM-SUs.  Two tasks: delayed recall of 4 bits under background spikes, and N-DMS on a
stream of bits.  Membranes start fast (2 to 10 bins) or as slow as calcium does (up to
twice the delay): the second asks whether astrocytes give anything but a slow variable.
(The delays of N-DMS are so short that its slow membranes are no slower than the fast
ones, but for the longest delay.)
Learning rates are tuned for each of these alike at the middle delay, on another seed.
`--minutes` is CPU time.

How numbers become verdicts: benchmarks/verdicts.py.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astrosnn_memory_runs import (
    DELAYS,
    MEMBRANES,
    N_SEEDS,
    TUNING_SEED,
    VARIANTS,
    Run,
    best_rate,
    read,
    train_all,
    tuning_runs,
)
from matplotlib.axes import Axes
from verdicts import Interval, interval, show, verdict_above_zero

from onehotglm.plots.style import FAINT, finish, state_colors, style

TITLES = dict(zip(VARIANTS, ("AM-SU", "no astrocyte", "LIF, same parameters"), strict=True))


class Results:
    """Accuracies of the final runs, by seed."""

    def __init__(self, found: dict[Run, dict]) -> None:
        self.final = {run: r for run, r in found.items() if run.random_state != TUNING_SEED}

    def accuracies(
        self, task: str, variant: str, membranes: str, delay: int, name: str = "accuracy"
    ) -> dict[int, float]:
        """One number per seed."""
        key = (task, variant, membranes, delay)
        return {run.random_state: r[name] for run, r in self.final.items() if run[:4] == key}

    def mean(self, *key: Any) -> Interval | None:
        """Mean of `accuracies` over the seeds, if there are any."""
        values = list(self.accuracies(*key).values())
        return interval(values) if values else None

    def gain(self, task: str, other: str, membranes: str, delay: int) -> Interval | None:
        """AM-SU minus another variant, seed by seed."""
        ours = self.accuracies(task, "amsu", membranes, delay)
        theirs = self.accuracies(task, other, membranes, delay)
        gained = [ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()]
        return interval(gained) if gained else None


def print_tables(results: Results) -> None:
    readings = [
        *((title, (variant, "accuracy")) for variant, title in TITLES.items()),
        ("AM-SU, astrocytes cut off", ("amsu", "accuracy_without_effect")),
    ]
    for task, membranes, delay in settings():
        print(f"\n{task}, {membranes} membranes, delay {delay}: accuracy")
        for title, (variant, name) in readings:
            show(title, results.mean(task, variant, membranes, delay, name), None)
    print("\nAM-SU remembers better than ... (difference of accuracies, paired by seed)")
    for other, (task, membranes, delay) in product(VARIANTS[1:], settings()):
        gain = results.gain(task, other, membranes, delay)
        label = f"{TITLES[other]}: {task}, {membranes} membranes, delay {delay}"
        show(label, gain, verdict_above_zero)


def settings() -> list[tuple[str, str, int]]:
    """Tasks, membranes and delays that are compared."""
    return [
        (task, membranes, delay)
        for task, membranes in product(DELAYS, MEMBRANES)
        for delay in DELAYS[task]
    ]


def draw(results: Results, path: Path) -> None:
    tasks = {"recall": "Delayed recall of 4 bits", "dms": "N-DMS on a stream of bits"}
    with plt.rc_context(style()):
        figure, axes = plt.subplots(2, 2, figsize=(7.4, 5.4), layout="constrained", sharey=True)
        for (task, membranes), ax in zip(product(DELAYS, MEMBRANES), axes.flat, strict=True):
            ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
            for place, variant in enumerate(VARIANTS):
                draw_variant(ax, results, task, membranes, variant, place)
            ax.set(xscale="log", ylim=(0.4, 1.03))
            ax.set_xticks(DELAYS[task], [str(delay) for delay in DELAYS[task]])
            ax.xaxis.minorticks_off()
            finish(ax, title=f"{tasks[task]}, {membranes} membranes", xlabel="Delay (bins)")
        for ax in axes[:, 0]:
            ax.set_ylabel("Accuracy")
        axes[0, 1].legend(loc="lower left")
        figure.savefig(path, dpi=150)
    print(f"\nfigure: {path}")


def draw_variant(
    ax: Axes, results: Results, task: str, membranes: str, variant: str, place: int
) -> None:
    """Accuracy of one variant against the delay: every seed, and a line through the means."""
    found = {
        delay: list(results.accuracies(task, variant, membranes, delay).values())
        for delay in DELAYS[task]
    }
    found = {delay: accuracies for delay, accuracies in found.items() if accuracies}
    color = state_colors(4)[(2, 3, 0)[place]]
    beside = 1.03 ** (place - 1)  # the three stand side by side
    for delay, accuracies in found.items():
        ax.plot([delay * beside] * len(accuracies), accuracies, ".", color=color)
    means = [np.mean(accuracies) for accuracies in found.values()]
    ax.plot(beside * np.array(list(found)), means, color=color, label=TITLES[variant])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory"))
    parser.add_argument("--minutes", type=float, default=45.0, help="CPU time for training")
    parser.add_argument("--only", choices=tuple(DELAYS), help="train for this task")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(N_SEEDS))
    options = parser.parse_args()
    (options.out / "checkpoints").mkdir(parents=True, exist_ok=True)
    tasks = [options.only] if options.only else list(DELAYS)
    train_all(options.out, tasks, options.seeds, options.minutes)
    found = read(options.out)
    for task, variant, membranes in product(DELAYS, VARIANTS, MEMBRANES):
        if all(run in found for run in tuning_runs(task)):
            rate = best_rate(found, task, variant, membranes)
            print(f"tuned learning rate: {task} {variant} {membranes} {rate}")
    results = Results(found)
    if results.final:
        print_tables(results)
        draw(results, options.out / "astrosnn_memory.png")


if __name__ == "__main__":
    main()
