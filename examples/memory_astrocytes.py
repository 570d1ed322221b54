"""
Remembering with astrocytes
===========================

Four bits are shown to a recurrent population of spiking neurons, then comes a delay with nothing
but background spikes, then a go signal, and all bits are to be told. One population has astrocytes,
the other has none, but more neurons, so that both have as many parameters to train. Who can do it
after 40 bins, and where was the memory?

``python memory_astrocytes.py --out FOLDER`` writes the figure into a folder. That one pair of
networks proves nothing: ``benchmarks/astrosnn_memory.py`` repeats it over seeds, delays and tasks,
and also with slow membranes, which do without astrocytes.
"""

# %%
# Two populations
# ---------------
#
# Calcium starts with timescales up to twice the delay, membranes with 2 to 10 bins; all of them are
# trained.

import argparse
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from onehotglm.networks.astrosnn import (
    DelayedRecall,
    make_memory_network,
    recall_accuracy,
    size_without_astrocytes,
)
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.training import Optimiser, start_training, train
from onehotglm.plots.style import FAINT, MUTED, finish, state_colors, style

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the figure; default: a temporary one")
folder = parser.parse_args().out or Path(tempfile.mkdtemp())
folder.mkdir(parents=True, exist_ok=True)

DELAY = 40
task = DelayedRecall(max_delay=DELAY, min_delay=DELAY, n_items=4)
sizes = {
    "n_inputs": task.n_inputs,
    "n_heads": task.n_items,
    "n_cue_spikes": task.n_cue_spikes,
    "random_state": 1,
}
with_astrocytes = make_memory_network(32, DELAY, **sizes)
n_neurons = size_without_astrocytes(with_astrocytes)
networks = {
    "with astrocytes": with_astrocytes,
    "without": make_memory_network(n_neurons, DELAY, astrocyte=False, **sizes),
}

# %%
# Training
# --------

optimiser = Optimiser("adam", learning_rate=0.02, clip_norm=1.0)
learning = {}
for name, network in networks.items():
    run = train(start_training(network, optimiser), task, optimiser, n_steps=800)
    networks[name], learning[name] = run.state.model, run.metrics["accuracy"]
    print(
        f"{name}: {network.layers[0].n_neurons} neurons, {count_parameters(network)} parameters, "
        f"accuracy after {DELAY} bins {recall_accuracy(run.state.model, task, DELAY):.3f}"
    )

# %%
# Where the memory is
# -------------------
#
# Many trials are run with the trained astrocytes, and the calcium of each unit is compared between
# those in which the first bit was 0 and those in which it was 1. The unit that tells them apart
# best at the end of the delay is drawn.

inputs, _, bits = task.draw(jax.random.key(5), DELAY)
population = networks["with astrocytes"].dynamics()
start = networks["with astrocytes"].initial_state(jax.random.key(0), task.batch_size)


@jax.jit
def calcium_along(inputs):
    def step(states, x):
        states = population.step(states, x)
        return states, states[0][2]

    return jax.lax.scan(step, start, inputs)[1]


calcium, first = np.asarray(calcium_along(inputs)), np.asarray(bits[:, 0])
before_go = calcium[-task.n_go_bins - 1]
groups = [before_go[first == bit] for bit in (0, 1)]
distance = abs(groups[1].mean(axis=0) - groups[0].mean(axis=0))
unit = int((distance / (groups[0].std(axis=0) + groups[1].std(axis=0) + 1e-3)).argmax())

# %%

with plt.rc_context(style()):
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.9), layout="constrained")
    colors = np.array(state_colors(4))
    for (name, accuracy), color in zip(learning.items(), colors[[2, 0]], strict=True):
        smooth = accuracy.reshape(-1, 20).mean(axis=1)
        left.plot(20 * np.arange(len(smooth)) + 10, smooth, color=color, label=name)
    left.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
    left.set_ylim(0.45, 1.02)
    left.legend()
    finish(
        left, xlabel="Training step", ylabel="Bits told right", title=f"Recall after {DELAY} bins"
    )

    bins = np.arange(len(calcium)) - task.n_cue_bins
    for bit, color in zip((0, 1), colors[[0, 3]], strict=True):
        low, middle, high = np.percentile(calcium[:, first == bit, unit], [25, 50, 75], axis=1)
        right.plot(bins, middle, color=color, label=f"bit {bit}")
        right.fill_between(bins, low, high, color=color, alpha=0.2, linewidth=0)
    top = right.get_ylim()[1]
    for begin, end, name in ((bins[0], 0, "cue"), (DELAY, bins[-1] + 1, "go")):
        right.axvspan(begin, end, color=FAINT, alpha=0.6, linewidth=0, zorder=0)
        right.text((begin + end) / 2, top, name, ha="center", va="bottom", color=MUTED, fontsize=8)
    right.legend(loc="center right")
    finish(right, xlabel="Bins after the cue", ylabel="Calcium of one unit")
    right.set_title("What its astrocyte keeps", pad=14)
    figure.savefig(folder / "memory_astrocytes.png", dpi=150)
print("figure:", folder / "memory_astrocytes.png")
