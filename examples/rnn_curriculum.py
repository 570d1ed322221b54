"""Train networks with trainable timescales to remember more and more bits.

Two networks of the same size learn N-parity, one span N at a time (single-head) or all
spans up to N at once (multi-head), for the same number of steps.  The figure shows how
far each gets, their neurons' own timescales and those of their activity, and what is left
of the accuracy under noise on the weights.

    python examples/rnn_curriculum.py [--out FOLDER] [--steps 4000] [--neurons 96]
"""

import argparse
import os
from pathlib import Path

# Two cores share each batch.  Read when the first array is made.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(min(2, os.cpu_count() or 1)))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from onehotglm.networks.rnn.curriculum import Curriculum, CurriculumRun, run_curriculum
from onehotglm.networks.rnn.lesions import perturbation_curve
from onehotglm.networks.rnn.timescales import measure_timescales
from onehotglm.plots.style import style
from onehotglm.plots.timescales import plot_curriculum, plot_robustness, plot_timescales

KINDS = ("multi", "single")


def train(kind: str, n_neurons: int, n_steps: int) -> CurriculumRun:
    curriculum = Curriculum(kind, "parity", max_span=20)
    run = run_curriculum(n_neurons, curriculum, n_steps=n_steps, random_state=0, progress=True)
    print(f"{kind}-head: parity of up to {run.span} bits after {n_steps} steps")
    return run


def draw(runs: dict[str, CurriculumRun], path: Path) -> None:
    span = min(run.span for run in runs.values())
    timescales, noise = {}, {}
    for kind, run in runs.items():
        # The network right after it mastered the span that both know.
        network = next(stage.network for stage in run.stages if stage.span == span)
        timescales[f"{kind}-head"] = measure_timescales(network, n_time_bins=3000)
        noise[f"{kind}-head"] = perturbation_curve(
            network, "parity", span, [0.0, 0.2, 0.4, 0.6, 0.8], n_draws=3
        )
    paths = {f"{kind}-head": run.to_dataset() for kind, run in runs.items()}
    with plt.rc_context(style()):
        figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.6), layout="constrained")
        plot_curriculum(paths, ax=axes[0, 0])
        plot_robustness(noise, ax=axes[0, 1]).set_title(f"After N = {span}")
        plot_timescales(timescales, variable="tau", ax=axes[1, 0])
        plot_timescales(timescales, ax=axes[1, 1])
        figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--neurons", type=int, default=96)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = {kind: train(kind, options.neurons, options.steps) for kind in KINDS}
    draw(runs, options.out / "rnn_curriculum.png")


if __name__ == "__main__":
    main()
