"""Recurrent networks whose neurons have trainable timescales.

Follows Khajehabdollahi, Zeraati, Giannakakis, Schäfer, Martius and Levina,
"Emergent mechanisms for long timescales depend on training curriculum and affect
performance in memory tasks" (2023).
"""

from onehotglm.networks.rnn.accuracy import accuracy_along, accuracy_at_end, drive_randomly
from onehotglm.networks.rnn.curriculum import (
    Curriculum,
    CurriculumRun,
    run_curriculum,
    train_span,
)
from onehotglm.networks.rnn.decoder import RNNDecoder
from onehotglm.networks.rnn.dimensionality import dimensionality
from onehotglm.networks.rnn.generator import RNNGenerator
from onehotglm.networks.rnn.lesions import (
    ablation_curve,
    perturb,
    perturbation_curve,
    remove,
    silence,
)
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.published import load_published, published_names
from onehotglm.networks.rnn.timescales import measure_timescales, network_timescales

__all__ = [
    "RNN",
    "Curriculum",
    "CurriculumRun",
    "RNNDecoder",
    "RNNGenerator",
    "ablation_curve",
    "accuracy_along",
    "accuracy_at_end",
    "dimensionality",
    "drive_randomly",
    "load_published",
    "make_rnn",
    "measure_timescales",
    "network_timescales",
    "perturb",
    "perturbation_curve",
    "published_names",
    "remove",
    "run_curriculum",
    "silence",
    "train_span",
]
