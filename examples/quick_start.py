"""
Quick start
===========

Simulate a recording whose couplings switch between hidden states, fit the model to the spikes
alone, and see what it found. On your own recording only the first step differs:
``spikes = load_nwb("session.nwb", bin_size=0.02)``.
"""

# %%
# A recording
# -----------
#
# Sixteen neurons obey Dale's law (each one either excites or inhibits). The network visits three
# hidden states; from state to state some of the connections fall silent. Sessions are independent
# stretches of recording, such as trials or blocks.

import argparse
from pathlib import Path

from onehotglm import OneHotHMMGLM, recovery, simulate_population

truth = simulate_population(
    n_neurons=16, n_states=3, n_sessions=12, n_time_bins=2000, random_state=0
)
spikes = truth["spikes"]
truth

# %%
# Fit
# ---
#
# The first eight sessions are for fitting, the others for testing. The one-hot prior learns, for
# every pair of neurons, how likely a connection is inhibitory, absent or excitatory in all states.

train, test = spikes.isel(session=slice(0, 8)), spikes.isel(session=slice(8, None))
model = OneHotHMMGLM(n_states=3, prior="one-hot", n_init=2, random_state=0).fit(train)
model

# %%
# How well does it predict? In bits per spike on the sessions that it has not seen, beside a model
# without states:

one_state = OneHotHMMGLM(n_states=1, prior="one-hot", random_state=0).fit(train)
print(f"one state:    {one_state.score(test):.3f} bits/spike")
print(f"three states: {model.score(test):.3f} bits/spike")

# %%
# States
# ------
#
# Most likely state of every bin, with the posterior probabilities under the raster.

axes = model.plot_states(test, session=8)
states_figure = axes[0].figure

# %%
# Couplings
# ---------
#
# One matrix per state, beside what all states share. Rows receive, columns send; zero means that
# the connection is absent.

axes = model.plot_connectivity()
coupling_figure = axes.flat[0].figure

# %%
# The strongest connections, averaged over states, with the probability of their type in all states:

fit = model.to_dataset()
table = fit["connectivity"].mean("state").to_dataframe("coupling")
table["type"] = fit["shared_type_proba"].idxmax("type").to_series()
table["probability"] = fit["shared_type_proba"].max("type").to_series()
print(table.sort_values("coupling", key=abs, ascending=False).head(6).round(2))

# %%
# Against the truth
# -----------------
#
# This recording is simulated, so the answer is known. ``recovery`` matches the arbitrary state
# labels first.

print(recovery(model, truth).round(3))

# %%
# Keep it
# -------
#
# One netCDF file holds the fit; ``OneHotHMMGLM.load`` gives it back.

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the results")
folder = parser.parse_args().out
if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "quick_start.nc")
    states_figure.savefig(folder / "quick_start_states.png", dpi=150)
    coupling_figure.savefig(folder / "quick_start_couplings.png", dpi=150)
