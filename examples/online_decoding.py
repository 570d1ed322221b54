"""
Decoding while you record
=========================

Which state is the network in, now? ``StateDecoder`` takes in one bin of counts after the other and
answers within a fraction of a millisecond, for closed-loop experiments. This example decodes a
simulated stream, and measures how soon a change of state can be seen at all.
"""

# %%
# A fitted model
# --------------
#
# Twenty neurons in three states. The model is fitted to eight sessions; the others come in as
# streams.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from onehotglm import (
    OneHotHMMGLM,
    StateDecoder,
    detection_delays,
    match_paths,
    reorder_states,
    simulate_population,
)
from onehotglm.plots import plot_posterior, plot_raster, plot_state_strip

truth = simulate_population(
    n_neurons=20, n_states=3, n_sessions=16, n_time_bins=2000, random_state=0
)
train, test = truth["spikes"][:8], truth["spikes"][8:]
model = OneHotHMMGLM(n_states=3, prior="one-hot", n_init=2, random_state=0).fit(train)

# %%
# Bin after bin
# -------------
#
# Each step returns the causal posterior, the rates expected in the next bin, the log-likelihood of
# the bin, the probability that the state changes within the next ``horizon`` bins, and the
# posterior of the bin ``lag`` steps ago, which has seen some of its future.

decoder = StateDecoder(model, lag=10, horizon=10)
steps = [decoder.step(counts) for counts in test[0].values]
print(steps[-1])

# %%
# The stream can stop and go on anywhere, with the same results: ``decoder.save("stream.nc")``,
# later ``StateDecoder.load("stream.nc")``. ``decoder.reset()`` begins a new session.
#
# Online against smoothed
# -----------------------
#
# The causal posterior follows a change by what it takes to be sure, and doubts more. Ten bins (0.2
# s) later most of the doubt is gone. Labels of states are arbitrary: those of the simulation are
# given the fit's names first.

decoded = model.predict_states(test)
true_states = truth["states"][8:]
names = match_paths(true_states, decoded, n_states=3)
true_states = reorder_states(true_states.to_dataset(name="states"), names)["states"]


def as_posterior(rows: list) -> xr.DataArray:
    """Label what the steps of the first stream returned."""
    first = decoded[:1]
    return xr.DataArray(
        np.array(rows)[None], {**first.coords, "state": np.arange(3)}, ("session", "time", "state")
    ).assign_attrs(bin_size=test.attrs["bin_size"])


causal = as_posterior([step.posterior for step in steps])
later = as_posterior([step.smoothed for step in steps]).shift(time=-decoder.lag)

window = {"session": int(test["session"][0]), "start": 10.0, "stop": 25.0}
stream_figure, axes = plt.subplots(
    4, sharex=True, figsize=(7, 6), height_ratios=[3, 0.6, 1.5, 1.5], layout="constrained"
)
plot_raster(test, ax=axes[0], **window)
plot_state_strip(true_states, ax=axes[1], n_states=3, label="true state", **window)
plot_posterior(causal, ax=axes[2], **window)
plot_posterior(later, ax=axes[3], **window)
axes[2].set_ylabel("on line")
axes[3].set_ylabel("0.2 s later")
for ax in axes[:-1]:
    ax.set_xlabel("")

# %%
# How soon can a change be seen?
# ------------------------------
#
# As soon as the spikes since the change speak clearly enough for the new state: it depends on how
# many neurons are recorded, how fast they fire, and how much the states differ. Neurons that are
# not recorded are NaN, which the model takes in its stride.

delay_figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for n_recorded in (3, 5, 10, 20):
    recorded = test.where(test["neuron"] < n_recorded)
    delays = detection_delays(true_states, model.predict_proba(recorded, causal=True))["delay"]
    print(
        f"{n_recorded:2d} neurons: {len(delays)} changes, half of them seen within "
        f"{delays.median():.2f} s, {np.isfinite(delays).mean():.0%} before the next change"
    )
    times = np.sort(delays)
    ax.step(times, (np.arange(len(times)) + 1) / len(times), where="post", label=str(n_recorded))
ax.set(xlabel="time since the change (s)", ylabel="part of the changes seen", xlim=(0, 2))
ax.legend(title="neurons", frameon=False)

# %%
# ``python benchmarks/online.py --delays`` measures the same for other rates and sizes.

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the results")
folder = parser.parse_args().out
if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
    decoder.save(folder / "online_decoding.nc")
    stream_figure.savefig(folder / "online_decoding_stream.png", dpi=150)
    delay_figure.savefig(folder / "online_decoding_delays.png", dpi=150)
