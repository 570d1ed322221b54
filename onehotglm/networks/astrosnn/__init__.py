"""Spiking networks whose astrocytes act on synapses, slowly.

Follows the idea of Shen, Zhao, Dong, Li, Li, Sun and Zeng, "Astrocyte-Enabled
Advancements in Spiking Neural Networks for Large Language Modeling" (2023).  The
equations, in `onehotglm.networks.astrosnn.unit`, are this project's reading.
"""

from onehotglm.networks.astrosnn.decoder import AstroDecoder
from onehotglm.networks.astrosnn.generator import AstroGenerator
from onehotglm.networks.astrosnn.language import AstroSNN, make_astrosnn
from onehotglm.networks.astrosnn.memory import make_memory_network, size_without_astrocytes
from onehotglm.networks.astrosnn.population import (
    AstroPopulation,
    make_astro_population,
    make_astro_rnn,
)
from onehotglm.networks.astrosnn.recall import DelayedRecall, recall_accuracy
from onehotglm.networks.astrosnn.surrogate import spike
from onehotglm.networks.astrosnn.unit import AMSU, AMSUState, AMSUTrace, make_amsu

__all__ = [
    "AMSU",
    "AMSUState",
    "AMSUTrace",
    "AstroDecoder",
    "AstroGenerator",
    "AstroPopulation",
    "AstroSNN",
    "DelayedRecall",
    "make_amsu",
    "make_astro_population",
    "make_astro_rnn",
    "make_astrosnn",
    "make_memory_network",
    "recall_accuracy",
    "size_without_astrocytes",
    "spike",
]
