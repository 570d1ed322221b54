"""
Choose the number of states
===========================

A simulated recording with two hidden states; held-out blocks of time, BIC and ICL say how many
there are.
"""

# %%
# A recording
# -----------
#
# One session of two and a half minutes in bins of 20 ms, as it would come from a file. Ten neurons;
# two states that differ in their couplings.

import argparse
from pathlib import Path

from onehotglm import OneHotHMMGLM, select_n_states, simulate_population

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the results")
parser.add_argument("--n-jobs", type=int, help="processes; default: 1")
options = parser.parse_args()

truth = simulate_population(
    n_neurons=10, n_states=2, n_sessions=1, n_time_bins=7800, mean_rate=15.0, random_state=0
)
spikes = truth["spikes"]

# %%
# Compare
# -------
#
# The session is cut into blocks of about 15 s. Each fifth of them is held out in turn, with a gap
# on both sides as long as the history. Every number of states is fitted to the same folds and to
# all data.

selection = select_n_states(
    spikes,
    range(1, 4),
    model=OneHotHMMGLM(n_init=2, random_state=0),
    cv=5,
    block_length=15.0,
    n_jobs=options.n_jobs,
)
print(selection)

# %%
# ``one-se`` takes the smallest number that predicts as well as the best within a standard error of
# their difference. Hollow dots are fits with states that the data do not pay for.

axes = selection.plot()
figure = axes[0].figure

# %%
# States that are one too many
# ----------------------------
#
# Merging a state with its neighbour costs log-likelihood, but saves parameters. Where the cost is
# below the price, the two are duplicates.

columns = ["n_states", "state", "share", "nearest", "merging_cost", "price", "verdict"]
print(selection.states[columns].round(2).to_string(index=False))

# %%
# The fit
# -------

print(f"{selection.best_n_states} states; the simulation had {truth.sizes['state']}")
selection.model

# %%

if options.out is not None:
    options.out.mkdir(parents=True, exist_ok=True)
    selection.table.to_csv(options.out / "choose_n_states.csv")
    figure.savefig(options.out / "choose_n_states.png", dpi=150)
