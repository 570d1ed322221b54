"""The graph of BDH's neurons: its strongest edges, its modules, its hubs.

Neuron m speaks to neuron n through ``G[n, m] = (E D_x)[m, n]``: what one unit of m's
output z adds to the potential of n's activity at the next level, up to normalisation.
"""

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.model import BDH
from onehotglm.random_state import RandomState, numpy_generator


def neuron_graph(model: BDH) -> xr.DataArray:
    """Edges from neuron to neuron, E D_x.

    Parameters
    ----------
    model : BDH
        Memory grows with the square of its neurons.

    Returns
    -------
    DataArray, dims (post, pre)
        Signed weights; neurons of all heads in one row, head after head.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> neuron_graph(make_bdh(4, n_neurons=16, n_heads=2, n_levels=1)).shape
    (16, 16)
    """
    core = model.core
    outward = np.asarray(core.decoder).reshape(-1, core.decoder.shape[-1])
    inward = np.concatenate(np.asarray(core.encoder_x), axis=1)
    neurons = np.arange(len(outward))
    return xr.DataArray(
        (outward @ inward).T,
        dims=("post", "pre"),
        coords={"post": neurons, "pre": neurons},
        name="connectivity",
    )


def strongest_edges(graph: xr.DataArray, n_edges: int) -> xr.DataArray:
    """Keep the strongest excitatory edges between different neurons.

    Parameters
    ----------
    graph : DataArray, dims (post, pre)
        Weights.
    n_edges : int
        How many edges to keep, if so many are above zero; of equal ones that would be
        the last, all are kept.

    Returns
    -------
    DataArray, dims (post, pre)
        The kept weights, zero elsewhere; attribute ``threshold`` is the weakest one.

    Raises
    ------
    InvalidInputError
        If `n_edges` is below 1, or no edge is excitatory.

    Examples
    --------
    >>> graph = xr.DataArray([[9.0, 2.0], [1.0, 0.0]], dims=("post", "pre"))
    >>> strongest_edges(graph, 1).values
    array([[0., 2.],
           [0., 0.]])
    """
    weights = graph.transpose("post", "pre").values * ~np.eye(len(graph), dtype=bool)
    n_positive = int((weights > 0).sum())
    if n_edges < 1 or not n_positive:
        raise InvalidInputError(
            f"n_edges={n_edges} of {n_positive} excitatory edges, expected at least one"
        )
    n_edges = min(n_edges, n_positive)
    threshold = float(np.partition(weights.ravel(), -n_edges)[-n_edges])
    kept = np.where(weights >= threshold, weights, 0)
    return graph.transpose("post", "pre").copy(data=kept).assign_attrs(threshold=threshold)


def find_communities(
    graph: xr.DataArray, random_state: RandomState = 0
) -> tuple[xr.DataArray, float]:
    """Divide the neurons into communities by Louvain's method.

    Parameters
    ----------
    graph : DataArray, dims (post, pre)
        Weights of at least 0; from `strongest_edges`.
    random_state : int or numpy Generator
        Seed of the order of neurons.

    Returns
    -------
    community : DataArray, dims (neuron,)
        Number of each neuron's community, the largest is 0; neurons without an edge
        are communities of one.
    modularity : float
        Weight of the edges inside communities beyond that of random edges with the
        same strengths, as a share of all; at most 1.

    Raises
    ------
    InvalidInputError
        If a weight is below 0 or no number, or there is no edge.

    Examples
    --------
    >>> pairs = np.kron(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> community, modularity = find_communities(xr.DataArray(pairs, dims=("post", "pre")))
    >>> community.values, modularity
    (array([0, 0, 1, 1]), 0.5)
    """
    import networkx as nx

    if not (graph.values >= 0).all() or not graph.values.any():
        raise InvalidInputError(
            f"the graph has weights from {graph.values.min():g} to {graph.values.max():g}, "
            "expected at least 0 and one edge; take the graph of strongest_edges"
        )
    rng = numpy_generator(random_state)
    links = nx.from_numpy_array(graph.transpose("pre", "post").values, create_using=nx.DiGraph)
    found = nx.community.louvain_communities(links, seed=int(rng.integers(2**31)))
    found = sorted(found, key=lambda members: (-len(members), min(members)))
    community = np.empty(len(links), int)
    for number, members in enumerate(found):
        community[list(members)] = number
    neurons = graph["post"].values if "post" in graph.coords else np.arange(len(links))
    labels = xr.DataArray(community, dims=("neuron",), coords={"neuron": neurons})
    return labels, float(nx.community.modularity(links, found))


def rewire(
    graph: xr.DataArray, *, n_swaps: int = 10, random_state: RandomState = 0
) -> xr.DataArray:
    """Random graph in which every neuron keeps its number of edges in and out.

    Pairs of edges exchange their ends, unless that makes a self-edge or a double one.
    Each edge takes its weight along from the presynaptic side.

    Parameters
    ----------
    graph : DataArray, dims (post, pre)
        Weights; zeros are no edges.
    n_swaps : int
        Tries per edge.
    random_state : int or numpy Generator
        Seed.

    Returns
    -------
    DataArray, dims (post, pre)

    Examples
    --------
    >>> ring = xr.DataArray(np.roll(np.eye(6), 1, axis=0), dims=("post", "pre"))
    >>> shuffled = rewire(ring)
    >>> (shuffled.sum("pre") == 1).all().item(), (shuffled.sum("post") == 1).all().item()
    (True, True)
    """
    rng = numpy_generator(random_state)
    weights = graph.transpose("post", "pre").values
    post, pre = (ends.tolist() for ends in np.nonzero(weights))
    strength = weights[post, pre]
    present = set(zip(post, pre, strict=True))
    pairs = rng.integers(len(post), size=(n_swaps * len(post), 2)).tolist() if post else []
    for first, second in pairs:
        a, b = (post[second], pre[first]), (post[first], pre[second])
        if a[0] == a[1] or b[0] == b[1] or a in present or b in present:
            continue
        present -= {(post[first], pre[first]), (post[second], pre[second])}
        present |= {a, b}
        post[first], post[second] = post[second], post[first]
    rewired = np.zeros_like(weights)
    rewired[post, pre] = strength
    return graph.transpose("post", "pre").copy(data=rewired)


def degree_tail(degrees: np.ndarray, min_tail: int = 20) -> xr.Dataset:
    """Compare the upper tail of degrees with a power law and an exponential.

    The tail starts at the degree from which a power law fits best by the distance of
    Kolmogorov and Smirnov (Clauset, Shalizi and Newman 2009).  Both laws are discrete
    and fitted by maximum likelihood there.

    Parameters
    ----------
    degrees : int array, shape (neuron,)
        Numbers of edges.
    min_tail : int
        The tail holds at least so many neurons.

    Returns
    -------
    Dataset
        ``exponent`` of the power law, ``start`` of the tail, ``n_tail`` neurons in it,
        ``distance`` (Kolmogorov and Smirnov), ``log_likelihood_ratio`` of the power
        law over the exponential in nats per neuron (above 0: a heavy tail) and its
        standard error ``ratio_error``.

    Raises
    ------
    InvalidInputError
        If fewer than `min_tail` neurons have edges, or all have equally many.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = degree_tail(rng.zipf(2.5, size=3000))
    >>> abs(float(found["exponent"]) - 2.5) < 0.2, float(found["log_likelihood_ratio"]) > 0
    (True, True)
    """
    degrees = np.sort(np.asarray(degrees)[np.asarray(degrees) > 0])
    if len(degrees) < min_tail or degrees[0] == degrees[-1]:
        raise InvalidInputError(
            f"{len(degrees)} neurons have edges, {len(np.unique(degrees))} different numbers of "
            f"them; expected at least {min_tail} neurons and two numbers: keep more edges"
        )
    starts = [d for d in np.unique(degrees)[:-1] if (degrees >= d).sum() >= min_tail]
    fits = [_power_law(degrees[degrees >= start], start) for start in starts]
    best = int(np.argmin([distance for _, distance in fits]))
    (exponent, distance), start = fits[best], int(starts[best])
    tail = degrees[degrees >= start]
    heavy = -exponent * np.log(tail) - np.log(_zeta(exponent, start))
    decay = np.log1p(1 / np.mean(tail - start))  # geometric, its maximum likelihood
    light = -decay * (tail - start) + np.log(-np.expm1(-decay))
    ratio = heavy - light
    values = {
        "exponent": exponent,
        "start": start,
        "n_tail": len(tail),
        "distance": distance,
        "log_likelihood_ratio": ratio.mean(),
        "ratio_error": ratio.std() / np.sqrt(len(tail)),
    }
    return xr.Dataset(values)


def _zeta(exponent: float, start: float) -> float:
    from scipy.special import zeta

    return float(zeta(exponent, start))


def _power_law(tail: np.ndarray, start: int) -> tuple[float, float]:
    """Exponent by maximum likelihood, and the distance of Kolmogorov and Smirnov."""
    from scipy.optimize import minimize_scalar
    from scipy.special import zeta

    log_mean = np.log(tail).mean()
    found = minimize_scalar(
        lambda a: a * log_mean + np.log(_zeta(a, start)), bounds=(1.01, 12.0), method="bounded"
    )
    values, counts = np.unique(tail, return_counts=True)
    above = zeta(found.x, values + 1) / _zeta(found.x, start)
    return float(found.x), float(np.abs(np.cumsum(counts) / len(tail) - (1 - above)).max())


def graph_statistics(
    graph: xr.DataArray, *, n_null: int = 10, random_state: RandomState = 0
) -> xr.Dataset:
    """Modularity and degree tail of a graph, beside graphs with the same degrees.

    Parameters
    ----------
    graph : DataArray, dims (post, pre)
        From `strongest_edges`.
    n_null : int
        Number of rewired graphs.
    random_state : int or numpy Generator
        Seed.

    Returns
    -------
    Dataset
        ``modularity``, ``null_modularity`` (null), ``community`` (neuron),
        ``degree_in`` and ``degree_out`` (neuron), and the variables of `degree_tail`
        for the sum of both.

    Raises
    ------
    InvalidInputError
        As in `find_communities` and `degree_tail`.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> edges = strongest_edges(neuron_graph(make_bdh(4, n_neurons=64, n_heads=2)), 256)
    >>> found = graph_statistics(edges, n_null=2)
    >>> int(found["degree_in"].sum()), found["null_modularity"].sizes["null"]
    (256, 2)
    """
    rng = numpy_generator(random_state)
    community, modularity = find_communities(graph, rng)
    null = [find_communities(rewire(graph, random_state=rng), rng)[1] for _ in range(n_null)]
    edges = graph.transpose("post", "pre").values > 0
    degrees = {"degree_in": edges.sum(axis=1), "degree_out": edges.sum(axis=0)}
    found = degree_tail(degrees["degree_in"] + degrees["degree_out"])
    found["modularity"] = modularity
    found["null_modularity"] = ("null", np.array(null))
    found["community"] = community
    for name, values in degrees.items():
        found[name] = ("neuron", values)
    return found
