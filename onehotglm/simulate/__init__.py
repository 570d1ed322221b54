"""Simulated populations: a wiring, what brain states make of it, and its spikes."""

from onehotglm.simulate.connectome import Connectome
from onehotglm.simulate.independent import simulate_independent_chains
from onehotglm.simulate.population import simulate_population, simulate_published
from onehotglm.simulate.recording import simulate_from
from onehotglm.simulate.synapses import make_connectome, published_connectome
from onehotglm.simulate.tables import connectome_from_adjacency, connectome_from_edges

__all__ = [
    "Connectome",
    "connectome_from_adjacency",
    "connectome_from_edges",
    "make_connectome",
    "published_connectome",
    "simulate_from",
    "simulate_independent_chains",
    "simulate_population",
    "simulate_published",
]
