import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh import (
    degree_tail,
    find_communities,
    graph_statistics,
    neuron_graph,
    rewire,
    strongest_edges,
)
from onehotglm.networks.bdh.core import BDHCore
from onehotglm.networks.bdh.model import BDH


def as_graph_of(weights):
    return xr.DataArray(np.asarray(weights, float), dims=("post", "pre"))


def modules(n_modules=4, size=12, inside=0.5, across=0.02, seed=0):
    rng = np.random.default_rng(seed)
    same = np.kron(np.eye(n_modules), np.ones((size, size))) > 0
    edges = rng.random(same.shape) < np.where(same, inside, across)
    return as_graph_of(edges & ~np.eye(len(same), dtype=bool))


def test_edges_are_the_products_of_out_and_in():
    rng = np.random.default_rng(0)
    encoder, decoder = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 3))
    model = BDH(np.zeros((5, 3)), BDHCore(encoder, encoder, decoder, 1), np.zeros((3, 5)))
    graph = neuron_graph(model)
    # From neuron 1 of head 1 to neuron 2 of head 0.
    assert graph.sel(post=2, pre=5).item() == pytest.approx(decoder[1, 1] @ encoder[0, :, 2])
    assert graph.sizes == {"post": 8, "pre": 8}


def test_strongest_edges_are_excitatory_and_between_neurons():
    weights = np.array([[9.0, 1.0, -5.0], [3.0, 8.0, 2.0], [-1.0, 0.5, 7.0]])
    kept = strongest_edges(as_graph_of(weights), 2)
    np.testing.assert_array_equal(kept, [[0, 0, 0], [3, 0, 2], [0, 0, 0]])
    assert kept.attrs["threshold"] == 2.0
    assert (strongest_edges(as_graph_of(weights), 99) > 0).sum() == 4


@pytest.mark.parametrize(("weights", "n_edges"), [(-np.ones((3, 3)), 2), (np.ones((3, 3)), 0)])
def test_no_edge_to_keep_is_an_error(weights, n_edges):
    with pytest.raises(InvalidInputError, match="excitatory edges, expected at least one"):
        strongest_edges(as_graph_of(weights), n_edges)


def test_planted_modules_are_found():
    community, modularity = find_communities(modules())
    planted = np.repeat(np.arange(4), 12)
    pairs = community.values[:, None] == community.values
    np.testing.assert_array_equal(pairs, planted[:, None] == planted)
    assert modularity > 0.5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((3, 3)), "weights from 0 to 0, expected at least 0 and one edge"),
        (np.eye(3) - 1, "weights from -1 to 0"),
        (np.full((3, 3), np.nan), "weights from nan to nan"),
    ],
)
def test_communities_need_edges(weights, message):
    with pytest.raises(InvalidInputError, match=message):
        find_communities(as_graph_of(weights))


@settings(max_examples=15, deadline=None)
@given(n_neurons=st.integers(2, 12), density=st.floats(0, 1), seed=st.integers(0, 999))
def test_rewiring_keeps_degrees(n_neurons, density, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n_neurons, n_neurons)) * (rng.random((n_neurons, n_neurons)) < density)
    np.fill_diagonal(weights, 0)
    rewired = rewire(as_graph_of(weights), random_state=seed).values
    for axis in (0, 1):
        np.testing.assert_array_equal((rewired > 0).sum(axis), (weights > 0).sum(axis))
    np.testing.assert_allclose(np.sort(rewired.ravel()), np.sort(weights.ravel()))
    assert not np.diag(rewired).any()


def test_rewiring_destroys_modules():
    graph = modules()
    assert not rewire(graph).equals(graph)
    assert rewire(graph, n_swaps=0).equals(graph)
    assert find_communities(rewire(graph))[1] < 0.6 * find_communities(graph)[1]


def test_tails_of_two_laws():
    rng = np.random.default_rng(0)
    heavy = degree_tail(rng.zipf(2.2, size=2000))
    assert float(heavy["exponent"]) == pytest.approx(2.2, abs=0.2)
    assert float(heavy["log_likelihood_ratio"]) > 2 * float(heavy["ratio_error"])
    light = degree_tail(rng.geometric(0.1, size=2000), min_tail=1000)
    assert float(light["log_likelihood_ratio"]) < -2 * float(light["ratio_error"])
    assert int(light["n_tail"]) >= 1000


@pytest.mark.parametrize("degrees", [np.arange(5), np.full(50, 3), np.zeros(40, int)])
def test_too_few_degrees_are_named(degrees):
    with pytest.raises(InvalidInputError, match="neurons have edges"):
        degree_tail(degrees)


def test_statistics_hold_graph_against_null():
    found = graph_statistics(modules(across=0.1), n_null=3)
    assert float(found["modularity"]) > float(found["null_modularity"].max())
    assert found["null_modularity"].sizes == {"null": 3}
    assert int(found["degree_in"].sum()) == int(found["degree_out"].sum())
    assert {"exponent", "community"} <= set(found)
