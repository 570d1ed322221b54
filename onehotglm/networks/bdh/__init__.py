"""BDH, the Dragon Hatchling: a model of text whose neurons form a graph.

Follows Kosowski, Uznański, Chorowski, Stamirowska and Bartoszkiewicz, "The Dragon
Hatchling: The Missing Link between the Transformer and Models of the Brain" (2025).
"""

from onehotglm.networks.bdh.concepts import mark_concept, mark_last_letter
from onehotglm.networks.bdh.decoder import BDHDecoder
from onehotglm.networks.bdh.generator import BDHGenerator
from onehotglm.networks.bdh.graph import (
    degree_tail,
    find_communities,
    graph_statistics,
    neuron_graph,
    rewire,
    strongest_edges,
)
from onehotglm.networks.bdh.graph_form import GraphBDH, as_graph
from onehotglm.networks.bdh.model import BDH, make_bdh
from onehotglm.networks.bdh.published import load_published
from onehotglm.networks.bdh.selectivity import synapse_selectivity
from onehotglm.networks.bdh.synapses import Synapse, synapse_growth, synapse_strength

__all__ = [
    "BDH",
    "BDHDecoder",
    "BDHGenerator",
    "GraphBDH",
    "Synapse",
    "as_graph",
    "degree_tail",
    "find_communities",
    "graph_statistics",
    "load_published",
    "make_bdh",
    "mark_concept",
    "mark_last_letter",
    "neuron_graph",
    "rewire",
    "strongest_edges",
    "synapse_growth",
    "synapse_selectivity",
    "synapse_strength",
]
