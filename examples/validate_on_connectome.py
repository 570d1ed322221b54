"""
Validate on a connectome
========================

Which couplings could *your* recording show at all? Simulate a population like yours on a known
wiring, fit it with the settings that you will use, and compare with the truth. Here the wiring lies
on a sheet: neurons close to each other connect more often, and each one either excites or inhibits.
"""

# %%
# A wiring, and a recording of it
# -------------------------------
#
# ``connectome_from_edges`` and ``connectome_from_adjacency`` take a published connectome in place
# of this one. Change ``mean_rate``, ``n_time_bins`` and the number of neurons to those of your
# data.

import argparse
from pathlib import Path

import pandas as pd

from onehotglm import (
    OneHotHMMGLM,
    make_connectome,
    match_paths,
    plots,
    recovery,
    reorder_states,
    simulate_from,
    simulate_population,
    true_model,
)

connectome = make_connectome("distance", n_neurons=20, length_scale=0.25, random_state=1)
truth = simulate_population(
    connectome, n_states=3, n_sessions=12, n_time_bins=2500, mean_rate=8.0, random_state=1
)
fresh = simulate_from(truth, n_sessions=4, n_time_bins=2500, random_state=2)

# %%
# Three priors
# ------------
#
# Held-out bits per spike, and how close couplings, types and states come to the truth.

rows, models = [], {}
for prior in ("none", "gaussian", "one-hot"):
    models[prior] = OneHotHMMGLM(n_states=3, prior=prior, n_init=2, random_state=0)
    models[prior].fit(truth["spikes"])
    score = {"held-out bits/spike": models[prior].score(fresh["spikes"])}
    rows.append(score | dict(recovery(models[prior], truth)))
table = pd.DataFrame(rows, index=pd.Index(models, name="prior"))
print(f"true parameters: {true_model(models['none'], truth).score(fresh['spikes']):.3f} bits/spike")
print(table.T.round(3))

# %%
# The couplings against the true ones, and the types that the one-hot prior assigns. State labels
# are arbitrary: the truth's are given the names of the states that they match.

one_hot = models["one-hot"]
matching = match_paths(truth["states"], one_hot.predict_states(truth["spikes"]))
axes = plots.plot_recovery(one_hot.to_dataset(), reorder_states(truth, matching))
figure = axes.flat[0].figure

# %%
# How much recording does it take?
# --------------------------------
#
# The same with the first sessions only.

rows = []
for n_sessions in (2, 6):
    part = truth["spikes"].isel(session=slice(0, n_sessions))
    for prior in ("none", "one-hot"):
        model = OneHotHMMGLM(n_states=3, prior=prior, n_init=2, random_state=0).fit(part)
        minutes = n_sessions * 2500 * 0.02 / 60
        row = {"minutes": round(minutes, 1), "prior": prior}
        rows.append(row | {"held-out bits/spike": model.score(fresh["spikes"])})
print(pd.DataFrame(rows).pivot(index="minutes", columns="prior").round(3))

# %%

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the results")
folder = parser.parse_args().out
if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "validate_on_connectome.csv")
    figure.savefig(folder / "validate_on_connectome.png", dpi=150)
