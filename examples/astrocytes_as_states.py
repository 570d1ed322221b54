"""
Do astrocytes look like hidden states?
======================================

A spiking network whose astrocytes are not recorded: their calcium is slow and hidden, and changes
how excitable the neurons are. ``AstroGenerator`` generates its spikes, the flagship decodes them
without knowing of astrocytes. Do its states find the calcium?
"""

# %%
# Two populations
# ---------------
#
# Twenty units with the same sparse wiring. In the first one calcium lowers the thresholds of the
# units whose activity it integrates. In the second one calcium rises and falls as well, and does
# nothing: it is what spikes leave behind. Freshly drawn astrocytes are closer to the second kind.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from onehotglm import OneHotHMMGLM, state_information
from onehotglm.networks.astrosnn import AstroGenerator, make_astro_population
from onehotglm.plots import plot_raster, plot_state_strip, state_colors

WIRING = {"n_neurons": 20, "density": 0.3, "contact": 4.0, "random_state": 2}
populations = {
    "astrocytes act": make_astro_population(coupling=-0.25, **WIRING),
    "astrocytes are mute": make_astro_population(strength=0.0, **WIRING),
}


def sample_settled(population, n_sessions: int = 12, warm_up: int = 500):
    """Spikes and calcium, without the seconds in which calcium rises from rest."""
    sample = AstroGenerator(population).sample(n_sessions, warm_up + 1000, random_state=1)
    settled = sample.isel(time=slice(warm_up, None))
    return settled.assign_coords(time=sample["time"][:1000].values)


samples = {name: sample_settled(population) for name, population in populations.items()}

# %%
# What the flagship decodes
# -------------------------
#
# Three states, fitted to the spikes, without a prior over couplings as only the states are asked
# for. How much they say about the mean calcium, whose levels are cut
# so that all are equally common, is held against the same states turned around in time.

SETTINGS = {"n_states": 3, "prior": "none", "n_init": 3, "random_state": 0}
HISTORY = {"basis": "raised_cosine", "n_lags": 15, "n_basis": 2}
decoded = {}
for name, sample in samples.items():
    model = OneHotHMMGLM(**SETTINGS, **HISTORY).fit(sample["spikes"])
    decoded[name] = model.predict_states(sample["spikes"])
    found = state_information(decoded[name], sample["calcium"].mean("neuron"))
    print(
        f"{name}: states share {float(found['information']):.3f} of "
        f"{float(found['signal_entropy']):.2f} bits with the mean calcium, "
        f"{float(found['shifted'].mean()):.3f} when turned around (p = "
        f"{float(found['p_value']):.3f})"
    )

# %%
# Where astrocytes act, the states are about calcium: nobody recorded it, and yet it can be read off
# the spikes. Where they are mute, calcium still follows the spikes, but there is nothing in these
# that states could find.


def order_by_rate(sample, states):
    """Give the state of the lowest population rate the number 0, and so on."""
    activity = sample["spikes"].mean("neuron").values
    in_state = np.eye(3)[states.values]
    means = (activity[..., None] * in_state).sum((0, 1)) / np.maximum(in_state.sum((0, 1)), 1)
    return states.copy(data=np.argsort(np.argsort(means))[states.values])


# The session in which calcium moves most where it acts.
travelled = np.ptp(samples["astrocytes act"]["calcium"].mean("neuron").values, axis=1)
session = int(travelled.argmax())
figure, axes = plt.subplots(
    3, 2, figsize=(10, 6), sharex=True, sharey="row", layout="constrained", height_ratios=[3, 4, 1]
)
for (name, sample), (top, middle, bottom) in zip(samples.items(), axes.T, strict=True):
    states = order_by_rate(sample, decoded[name])
    calcium = sample["calcium"][session]
    top.plot(sample["time"], calcium, color="0.75", linewidth=0.6)
    top.plot(sample["time"], calcium.mean("neuron"), color="black", linewidth=1.5)
    top.set_title(name)
    plot_raster(sample["spikes"], ax=middle, session=session)
    plot_state_strip(states, ax=bottom, session=session, n_states=3)
    middle.set_xlabel("")
axes[0, 0].set_ylabel("calcium (a.u.)")
for ax in axes[1:, 1]:
    ax.set_ylabel("")

# %%
# Calcium in each state
# ---------------------

levels, columns = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for (name, sample), ax in zip(samples.items(), columns, strict=True):
    states = order_by_rate(sample, decoded[name]).values
    calcium = sample["calcium"].mean("neuron").values
    edges = np.linspace(calcium.min(), calcium.max(), 40)
    for state, color in enumerate(state_colors(3)):
        share = np.full((states == state).sum(), 1 / states.size)
        ax.hist(calcium[states == state], edges, weights=share, color=color, alpha=0.7)
    ax.set(title=name, xlabel="mean calcium (a.u.)")
columns[0].set_ylabel("part of all bins")

# %%
# ``python benchmarks/brains.py astrosnn`` measures the same for several networks, with the wiring
# that is recovered beside it.

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the figures")
folder = parser.parse_args().out
if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "astrocytes_as_states.png", dpi=150)
    levels.savefig(folder / "astrocytes_as_states_levels.png", dpi=150)
