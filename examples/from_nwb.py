"""
From an NWB file
================

From a recording to states that stand on its own clock: what the file holds, which bins and units to
read, how many states the data support, and the result in files.

``python from_nwb.py session.nwb --out FOLDER`` does it with a file of yours; without one the script
writes a small recording first.
"""

# %%
# A recording
# -----------

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from onehotglm import (
    OneHotHMMGLM,
    block_interval,
    describe_nwb,
    load_nwb,
    save_nwb,
    simulate_population,
)

parser = argparse.ArgumentParser()
parser.add_argument("file", type=Path, nargs="?", help="NWB file; default: a simulated one")
parser.add_argument("--out", type=Path, help="folder for the results; default: a temporary one")
options = parser.parse_args()
folder = options.out or Path(tempfile.mkdtemp())
folder.mkdir(parents=True, exist_ok=True)
file = options.file
if file is None:
    file = folder / "recording.nwb"
    simulation = simulate_population(
        "modular", n_neurons=15, n_states=3, n_sessions=1, n_time_bins=18000, random_state=3
    )
    save_nwb(file, simulation[["spikes"]])

print(describe_nwb(file))

# %%
# Bins, epochs and units
# ----------------------
#
# Bins of 20 ms; units below 0.1 Hz have no couplings to speak of and are left out. Epochs are cut
# into blocks of 20 s, so that whole blocks can be held out. Bins with a negative time are the true
# past of each block: they serve as spike history only.

spikes = load_nwb(file, bin_size=0.02, session_length=20.0, min_rate=0.1, n_history_bins=5)
print(spikes.coords)

# %%
# How many states?
# ----------------
#
# Every fifth block is held out. Take the smallest number of states that predicts as well as the
# best one: more states always describe the *training* data better.

held_out = spikes["session"] % 5 == 2
train, test = spikes.isel(session=~held_out), spikes.isel(session=held_out)
scores = {}
for n_states in (1, 2, 3):
    model = OneHotHMMGLM(n_states=n_states, n_init=2, random_state=0).fit(train)
    scores[n_states] = [model.score(train), model.score(test), *block_interval(model, test)]
columns = ["training", "held out", "low", "high"]
print(pd.DataFrame.from_dict(scores, orient="index", columns=columns).round(3))

# %%
# The fit
# -------

best = OneHotHMMGLM(n_states=3, prior="one-hot", n_init=2, random_state=0).fit(spikes)
axes = best.plot_states(spikes)
states_figure = axes[0].figure

# %%
# States on the recording's clock
# -------------------------------
#
# ``session_start + time`` is a time in the file, so that states can be set against behaviour.
# States also go back into an NWB file, as intervals.

states = best.predict_states(spikes)
clock = states["session_start"] + states["time"]
table = pd.DataFrame({"seconds": clock.values.ravel(), "state": states.values.ravel()})
table = table[table["state"] >= 0]
print(table.head())

# %%

save_nwb(folder / "with_states.nwb", spikes, states=states)
best.save(folder / "fit.nc")
table.to_csv(folder / "states.csv", index=False)

# %%
# Couplings
# ---------

axes = best.plot_connectivity()
coupling_figure = axes.flat[0].figure

states_figure.savefig(folder / "from_nwb_states.png", dpi=150)
coupling_figure.savefig(folder / "from_nwb_couplings.png", dpi=150)
