"""Connectomes from tables of edges and matrices."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.simulate import connectome_from_adjacency, connectome_from_edges

EDGES = pd.DataFrame(
    {"pre": ["a", "b", "c", "a"], "post": ["b", "c", "a", "b"], "weight": [1.0, 2.0, 4.0, 0.5]}
)
# Rows of (a, b), (b, c), (c, a) as (post, pre) in alphabetical order.
EXPECTED = np.array([[0, 0, 4.0], [1.5, 0, 0], [0, 2.0, 0]])


def test_edges_go_from_pre_to_post_and_add_up():
    connectome = connectome_from_edges(EDGES)
    np.testing.assert_array_equal(connectome.weights, EXPECTED)
    assert connectome.neuron_ids.tolist() == ["a", "b", "c"]


@given(st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_matrix_and_edge_list_agree(n_neurons, seed):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n_neurons, n_neurons)) * (rng.random((n_neurons, n_neurons)) < 0.5)
    from_matrix = connectome_from_adjacency(weights)
    np.testing.assert_array_equal(from_matrix.weights, weights)
    np.testing.assert_array_equal(connectome_from_adjacency(weights.T, rows="pre").weights, weights)
    edges = [(pre, post, weights[post, pre]) for post, pre in np.argwhere(weights)]
    if edges:
        from_edges = connectome_from_edges(edges, neuron_ids=range(n_neurons))
        np.testing.assert_array_equal(from_edges.weights, weights)
        assert from_edges.dale == from_matrix.dale


def test_other_names_of_columns():
    table = EDGES.rename(columns={"pre": "Source", "post": "Target", "weight": "N"})
    connectome = connectome_from_edges(table, pre="Source", post="Target", weight="N")
    np.testing.assert_array_equal(connectome.weights, EXPECTED)
    unweighted = connectome_from_edges(table, pre="Source", post="Target")
    assert unweighted.weights.max() == 2  # two rows of weight one


@pytest.mark.parametrize(
    "signs",
    [["exc", "inh", "exc", "exc"], ["E", "I", "e", " E "], ["+", "-", "+", "+"], [1, -3, 1, 1]],
)
def test_signs_in_words_or_numbers(signs):
    expected = EXPECTED * [[1, -1, 1]]
    connectome = connectome_from_edges(EDGES.assign(sign=signs))
    np.testing.assert_array_equal(connectome.weights, expected)
    other = connectome_from_edges(EDGES.assign(nt=signs), sign="nt")
    np.testing.assert_array_equal(other.weights, expected)


def test_inhibitory_neurons():
    expected = EXPECTED * [[1, -1, 1]]
    assert connectome_from_edges(EDGES, inhibitory={"b"}).dale
    np.testing.assert_array_equal(connectome_from_edges(EDGES, inhibitory=["b"]).weights, expected)
    frame = pd.DataFrame(EXPECTED, index=list("abc"), columns=list("abc"))
    connectome = connectome_from_adjacency(frame, inhibitory=["b"])
    np.testing.assert_array_equal(connectome.weights, expected)
    assert connectome.neuron_ids.tolist() == ["a", "b", "c"]


def test_ids_may_be_given_and_mixed():
    connectome = connectome_from_edges(EDGES, neuron_ids=["c", "b", "a", "z"])
    assert connectome.neuron_ids.tolist() == ["c", "b", "a", "z"]
    assert connectome.weights[1, 2] == 1.5
    assert connectome_from_edges([(1, "x"), ("x", 2)]).n_neurons == 3


@pytest.mark.parametrize(
    ("edges", "options", "message"),
    [
        (EDGES, {"pre": "from"}, "no column from; it has pre, post, weight"),
        (EDGES.iloc[:0], {}, "the table of edges is empty"),
        ([], {}, "the table of edges is empty"),
        ([(1, 2, 3, 4)], {}, "edges have .4. entries"),
        (EDGES.assign(weight="strong"), {}, "column 'weight' holds what is not a number"),
        (EDGES.assign(weight=np.nan), {}, "column 'weight' holds NaN"),
        (EDGES.assign(sign="GABA"), {}, "column 'sign' holds 'GABA'; expected numbers or excit"),
        (EDGES.assign(sign=1, weight=-1), {}, "signs come twice"),
        (EDGES.assign(sign=1), {"inhibitory": ["b"]}, "signs come twice"),
        (EDGES.assign(weight=[1, 1, 1, -1]), {}, "both signs, among them 'a' to 'b'"),
        (EDGES, {"inhibitory": ["q"]}, "inhibitory names q"),
        (EDGES, {"neuron_ids": ["a"]}, "2 neurons of the table are not in neuron_ids: b, c"),
        (EDGES.assign(pre=np.nan), {}, "no neuron id"),
    ],
)
def test_bad_edges(edges, options, message):
    with pytest.raises(InvalidInputError, match=message):
        connectome_from_edges(edges, **options)


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.ones((2, 3)), {}, r"shape \(2, 3\); expected a square one"),
        ([["a"]], {}, "not a number"),
        ([[np.nan]], {}, "NaN or infinity"),
        (np.eye(2), {"rows": "source"}, "rows='source'"),
        (np.eye(2), {"inhibitory": [5]}, "inhibitory names 5"),
        (-np.eye(2), {"inhibitory": [0]}, "signs come twice"),
        (pd.DataFrame(np.eye(2), columns=list("ab")), {}, "other labels"),
        (np.eye(2), {"neuron_ids": [1]}, "neuron_ids has shape"),
    ],
)
def test_bad_matrix(matrix, options, message):
    with pytest.raises(InvalidInputError, match=message):
        connectome_from_adjacency(matrix, **options)
