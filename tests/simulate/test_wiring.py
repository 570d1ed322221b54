"""What makes each family of graphs what it is."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.simulate.wiring import (
    WIRINGS,
    distance_wiring,
    modular_wiring,
    random_wiring,
    scale_free_wiring,
    small_world_wiring,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.sampled_from(sorted(WIRINGS)), st.integers(5, 60), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_every_family_is_a_simple_directed_graph(kind, n_neurons, seed):
    wiring = WIRINGS[kind](n_neurons, rng(seed))
    assert wiring.adjacency.shape == (n_neurons, n_neurons)
    assert wiring.adjacency.dtype == bool
    assert not wiring.adjacency.diagonal().any()
    np.testing.assert_array_equal(wiring.adjacency, WIRINGS[kind](n_neurons, rng(seed))[0])


@pytest.mark.parametrize("kind", ["random", "distance"])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
def test_density_is_what_was_asked_for(kind, density):
    adjacency = WIRINGS[kind](150, rng(), density=density).adjacency
    found = adjacency.sum() / (150 * 149)
    assert found == pytest.approx(density, abs=4 * np.sqrt(0.25 / 150**2))


def test_random_graph_has_binomial_degrees():
    adjacency = random_wiring(400, rng(), density=0.1).adjacency
    for degree in (adjacency.sum(0), adjacency.sum(1)):
        assert degree.mean() == pytest.approx(39.9, abs=1)
        assert degree.var() == pytest.approx(399 * 0.1 * 0.9, rel=0.25)


def test_connections_get_rarer_with_distance_as_asked():
    wiring = distance_wiring(400, rng(), density=0.05, length_scale=0.15, sheet_size=1.0)
    assert wiring.position.shape == (400, 2)
    assert 0 <= wiring.position.min() <= wiring.position.max() <= 1
    distance = np.linalg.norm(wiring.position[:, None] - wiring.position[None], axis=-1)
    edges = np.arange(0.05, 0.66, 0.1)
    pairs = [(distance >= low) & (distance < low + 0.1) for low in edges[:-1]]
    rates = np.array([wiring.adjacency[pair].mean() for pair in pairs])
    assert (np.diff(rates) < 0).all()
    slope = np.polyfit([distance[pair].mean() for pair in pairs], np.log(rates), 1)[0]
    assert -1 / slope == pytest.approx(0.15, rel=0.15)


def test_the_sheet_can_be_larger():
    assert distance_wiring(50, rng(), sheet_size=3.0).position.max() > 2


def test_small_world_without_rewiring_is_the_ring():
    adjacency = small_world_wiring(12, rng(), n_neighbors=4, rewiring=0.0).adjacency
    expected = sum(np.roll(np.eye(12), k, axis=1) for k in (-2, -1, 1, 2)).astype(bool)
    np.testing.assert_array_equal(adjacency, expected)


def test_small_world_is_clustered_and_has_short_paths():
    import networkx as nx

    def measure(rewiring):
        adjacency = small_world_wiring(200, rng(), n_neighbors=8, rewiring=rewiring).adjacency
        assert (adjacency.sum(1) == 8).all()
        graph = nx.from_numpy_array((adjacency | adjacency.T).astype(int))
        return nx.average_clustering(graph), nx.average_shortest_path_length(graph)

    ring, small_world, random = (measure(p) for p in (0.0, 0.1, 1.0))
    assert small_world[0] > 3 * random[0]
    assert small_world[1] < 0.4 * ring[1]


def test_modules_are_denser_inside():
    wiring = modular_wiring(120, rng(), n_modules=3, within=0.4, between=0.05)
    same = wiring.module[:, None] == wiring.module[None]
    inside = same & ~np.eye(120, dtype=bool)
    assert np.bincount(wiring.module).tolist() == [40, 40, 40]
    assert wiring.adjacency[inside].mean() == pytest.approx(0.4, abs=0.03)
    assert wiring.adjacency[~same].mean() == pytest.approx(0.05, abs=0.01)


def test_scale_free_graph_has_hubs_in_both_directions():
    n = 600
    adjacency = scale_free_wiring(n, rng(), n_links=3, reciprocal=0.25).adjacency
    contacts = adjacency | adjacency.T
    assert contacts.sum() // 2 == 3 * (n - 3)
    reciprocal = (adjacency & adjacency.T).sum() / contacts.sum()
    assert reciprocal == pytest.approx(0.25, abs=0.04)
    control = random_wiring(n, rng(), density=adjacency.mean()).adjacency
    for axis in (0, 1):
        assert adjacency.sum(axis).max() > 2.5 * control.sum(axis).max()
    degree = contacts.sum(0)
    tail = np.sort(degree)[-n // 5 :]
    exponent = 1 + len(tail) / np.log(tail / tail[0]).sum()  # maximum likelihood (Hill)
    assert 2 < exponent < 4  # 3 in the limit
    assert abs(np.corrcoef(degree, np.arange(n))[0, 1]) < 0.15  # hubs are anywhere


@pytest.mark.parametrize(
    ("kind", "option", "message"),
    [
        ("random", {"density": 1.5}, "density=1.5; expected a finite number of at least 0"),
        ("distance", {"length_scale": 0}, "length_scale=0; expected a finite number above 0"),
        ("small_world", {"n_neighbors": 3}, "expected an even number below"),
        ("small_world", {"n_neighbors": 10}, "expected an even number below"),
        ("small_world", {"rewiring": float("nan")}, "rewiring=nan"),
        ("modular", {"n_modules": 11}, "n_modules=11 with 10 neurons"),
        ("modular", {"n_modules": 2.5}, "n_modules=2.5; expected an integer"),
        ("scale_free", {"n_links": 10}, "expected fewer links than neurons"),
        ("scale_free", {"reciprocal": "no"}, "reciprocal='no'; expected a finite number"),
    ],
)
def test_options_out_of_range(kind, option, message):
    with pytest.raises(InvalidInputError, match=message):
        WIRINGS[kind](10, rng(), **option)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("small_world", {"rewiring": 0.0}, {"rewiring": 0.5}),
        ("scale_free", {"n_links": 2}, {"n_links": 3}),
        ("modular", {"n_modules": 2}, {"n_modules": 5}),
        ("distance", {"length_scale": 0.1}, {"length_scale": 0.5}),
    ],
)
def test_each_option_changes_the_graph(kind, low, high):
    first, second = (WIRINGS[kind](30, rng(), **option).adjacency for option in (low, high))
    assert (first != second).any()
