"""Families of random graphs: which neuron contacts which.

Every family returns a boolean matrix (post, pre) without self-connections; signs
and strengths come later (`synapses.py`).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.simulate.checks import check_count, check_number


class Wiring(NamedTuple):
    """A graph, and where its neurons lie or which module they belong to."""

    adjacency: np.ndarray  # bool (post, pre)
    position: np.ndarray | None = None  # (neuron, 2), mm
    module: np.ndarray | None = None  # int (neuron,)


def random_wiring(n_neurons: int, rng: np.random.Generator, *, density: float = 0.2) -> Wiring:
    """Directed Erdős-Rényi graph: every connection is there with the same probability.

    Parameters
    ----------
    n_neurons : int
    rng : numpy.random.Generator
    density : float
        Probability of a connection.

    Returns
    -------
    Wiring

    Examples
    --------
    >>> graph = random_wiring(100, np.random.default_rng(0), density=0.1)
    >>> float(graph.adjacency.mean().round(2))
    0.1
    """
    density = check_number("density", density, 0.0, 1.0)
    return Wiring(_bernoulli(np.full((n_neurons, n_neurons), density), rng))


def distance_wiring(
    n_neurons: int,
    rng: np.random.Generator,
    *,
    density: float = 0.2,
    length_scale: float = 0.2,
    sheet_size: float = 1.0,
) -> Wiring:
    """Neurons scattered over a square sheet; nearby ones connect more often.

    ``p(connection) = min(1, a exp(-distance / length_scale))`` with `a` such that the
    expected density is `density` (exponential fall-off as measured in cortex:
    Ercsey-Ravasz et al. 2013, Neuron 80:184).

    Parameters
    ----------
    n_neurons : int
    rng : numpy.random.Generator
    density : float
        Expected fraction of connections that exist.
    length_scale : float
        Distance over which the probability falls by a factor e, in mm.
    sheet_size : float
        Side of the sheet, in mm.

    Returns
    -------
    Wiring
        With `position` in mm.
    """
    density = check_number("density", density, 0.0, 1.0)
    length_scale = check_number("length_scale", length_scale, 0.0, above=True)
    sheet_size = check_number("sheet_size", sheet_size, 0.0, above=True)
    position = rng.uniform(0, sheet_size, (n_neurons, 2))
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    proba = _scaled_to_mean(np.exp(-distance / length_scale), density)
    return Wiring(_bernoulli(proba, rng), position=position)


def small_world_wiring(
    n_neurons: int, rng: np.random.Generator, *, n_neighbors: int = 4, rewiring: float = 0.1
) -> Wiring:
    """Ring in which every neuron hears its neighbours, with a few shortcuts.

    The directed form of Watts and Strogatz (1998, Nature 393:440): the source of each
    connection is replaced by a random neuron with probability `rewiring`, so every
    neuron keeps `n_neighbors` inputs.

    Parameters
    ----------
    n_neurons : int
    rng : numpy.random.Generator
    n_neighbors : int
        Inputs per neuron, from the nearest on both sides; even and below `n_neurons`.
    rewiring : float
        Probability of a shortcut: 0 keeps the ring, 1 makes the graph random.

    Returns
    -------
    Wiring

    Examples
    --------
    >>> graph = small_world_wiring(10, np.random.default_rng(0), n_neighbors=2)
    >>> graph.adjacency.sum(axis=1).tolist()
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    n_neighbors = check_count("n_neighbors", n_neighbors, 2)
    rewiring = check_number("rewiring", rewiring, 0.0, 1.0)
    if n_neighbors % 2 or n_neighbors >= n_neurons:
        raise InvalidInputError(
            f"n_neighbors={n_neighbors} with {n_neurons} neurons; expected an even number "
            "below the number of neurons"
        )
    adjacency = np.zeros((n_neurons, n_neurons), bool)
    offsets = np.arange(1, n_neighbors // 2 + 1)
    offsets = np.concatenate([-offsets, offsets])
    for post in range(n_neurons):
        sources = (post + offsets) % n_neurons
        moved = rng.random(n_neighbors) < rewiring
        free = np.setdiff1d(np.arange(n_neurons), [post, *sources[~moved]])
        sources[moved] = rng.choice(free, moved.sum(), replace=False)
        adjacency[post, sources] = True
    return Wiring(adjacency)


def modular_wiring(
    n_neurons: int,
    rng: np.random.Generator,
    *,
    n_modules: int = 4,
    within: float = 0.5,
    between: float = 0.05,
) -> Wiring:
    """Form groups of equal size, dense inside and sparse across (stochastic block model).

    Parameters
    ----------
    n_neurons : int
    rng : numpy.random.Generator
    n_modules : int
        Neurons are numbered module by module.
    within, between : float
        Probability of a connection inside a module and across two.

    Returns
    -------
    Wiring
        With the `module` of each neuron.

    Examples
    --------
    >>> modular_wiring(6, np.random.default_rng(0), n_modules=3).module.tolist()
    [0, 0, 1, 1, 2, 2]
    """
    n_modules = check_count("n_modules", n_modules)
    within = check_number("within", within, 0.0, 1.0)
    between = check_number("between", between, 0.0, 1.0)
    if n_modules > n_neurons:
        raise InvalidInputError(
            f"n_modules={n_modules} with {n_neurons} neurons; use as many neurons or more"
        )
    module = np.arange(n_neurons) * n_modules // n_neurons
    proba = np.where(module[:, None] == module[None], within, between)
    return Wiring(_bernoulli(proba, rng), module=module)


def scale_free_wiring(
    n_neurons: int, rng: np.random.Generator, *, n_links: int = 3, reciprocal: float = 0.25
) -> Wiring:
    """Hubs: neurons join one by one and prefer to contact those with many contacts.

    Barabási and Albert (1999, Science 286:509). The model is undirected: each contact
    becomes a connection in a random direction, or in both.

    Parameters
    ----------
    n_neurons : int
    rng : numpy.random.Generator
    n_links : int
        Contacts that each new neuron makes; below `n_neurons`.
    reciprocal : float
        Fraction of contacts that connect both ways.

    Returns
    -------
    Wiring
    """
    import networkx as nx

    n_links = check_count("n_links", n_links)
    reciprocal = check_number("reciprocal", reciprocal, 0.0, 1.0)
    if n_links >= n_neurons:
        raise InvalidInputError(
            f"n_links={n_links} with {n_neurons} neurons; expected fewer links than neurons"
        )
    graph = nx.barabasi_albert_graph(n_neurons, n_links, seed=int(rng.integers(2**32)))
    # Shuffled, or else a neuron's number would tell how well connected it is.
    label = rng.permutation(n_neurons)
    ends = label[np.array(graph.edges)]
    ends = np.where(rng.random((len(ends), 1)) < 0.5, ends, ends[:, ::-1])
    both = rng.random(len(ends)) < reciprocal
    adjacency = np.zeros((n_neurons, n_neurons), bool)
    adjacency[ends[:, 0], ends[:, 1]] = True
    adjacency[ends[both, 1], ends[both, 0]] = True
    return Wiring(adjacency)


WIRINGS: dict[str, Callable[..., Wiring]] = {
    "random": random_wiring,
    "distance": distance_wiring,
    "small_world": small_world_wiring,
    "modular": modular_wiring,
    "scale_free": scale_free_wiring,
}


def _bernoulli(proba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    adjacency = rng.random(proba.shape) < proba
    np.fill_diagonal(adjacency, False)
    return adjacency


def _scaled_to_mean(proba: np.ndarray, mean: float) -> np.ndarray:
    """Find `min(1, a * proba)` whose mean off the diagonal is `mean`, by bisection on a."""
    off_diagonal = ~np.eye(len(proba), dtype=bool)
    if len(proba) < 2 or mean == 0:
        return np.zeros_like(proba)
    low, high = 0.0, 1.0 / proba[off_diagonal].min()
    for _ in range(60):
        middle = (low + high) / 2
        if np.minimum(1, middle * proba)[off_diagonal].mean() < mean:
            low = middle
        else:
            high = middle
    return np.minimum(1, high * proba)
