"""
Comparing decoders
==================

The flagship beside a GLM without states and a recurrent network: which predicts held-out spikes
best, and what does each say about who is connected to whom? On a simulation the answer to the
second question is known; with a recording the same call leaves it out.

``python compare_decoders.py --out FOLDER`` writes the table, the figures and a page into a folder;
the command line does the same with ``onehotglm compare FILE.nwb``.
"""

# %%
# A recording with a known wiring
# -------------------------------

import argparse
import tempfile
from pathlib import Path

from onehotglm import OneHotHMMGLM, RNNDecoder, compare, simulate_population
from onehotglm.comparison import write_comparison
from onehotglm.networks import HMMGLMDecoder, HomogeneousPoisson

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, help="folder for the results; default: a temporary one")
folder = parser.parse_args().out or Path(tempfile.mkdtemp())

simulation = simulate_population(
    "distance", n_neurons=8, n_states=2, n_sessions=10, n_time_bins=2000, random_state=2
)

# %%
# The same blocks for all
# -----------------------
#
# Every decoder is fitted to four fifths of the blocks of 20 s, and predicts every bin of the others
# from the bins before it. Decoders may be chosen by name, ``compare(simulation, ["glm", "rnn"])``,
# or made by hand, as here.


def hmm_glm(n_states: int) -> HMMGLMDecoder:
    return HMMGLMDecoder(OneHotHMMGLM(n_states=n_states, n_init=1, progress=False))


comparison = compare(
    simulation,
    {
        "mean rates": HomogeneousPoisson(),
        "GLM": hmm_glm(1),
        "HMM-GLM": hmm_glm(2),
        "RNN": RNNDecoder(n_hidden=32, n_steps=400),
    },
    reference="HMM-GLM",
)
print(comparison.table.set_index("name").T.to_string(float_format="{:.3f}".format))

# %%
# Prediction
# ----------
#
# Intervals of the scores are wide because some blocks are easier than others; the difference of two
# decoders on the same blocks is far better known.

comparison.plot_differences()

# %%
# Connectivities
# --------------
#
# A decoder's name alone stands for the mean Jacobian of its predictions: how many Hz a spike adds.
# That of the HMM-GLM holds what a spike does, and also what it says about the state; its couplings
# are what the model says about connections. The recurrent network cannot tell the two apart.

comparison.plot_connectivity()

# %%

comparison.plot_correlations()

# %%
# How much of the wiring is found
# -------------------------------

comparison.plot_wiring()

# %%

write_comparison(folder, "Decoders of a simulation", comparison, spikes=simulation["spikes"])
print(f"wrote {folder / 'report.html'}")
