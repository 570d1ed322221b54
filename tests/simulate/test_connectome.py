"""The container: what it refuses, how it shows itself, its graph."""

import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.simulate import Connectome, make_connectome, published_connectome
from onehotglm.simulate.wiring import WIRINGS

TYPES = np.array([[0, -1, 0], [1, 0, 0], [1, 0, 0]])
STRENGTH = np.abs(TYPES) * 0.5
MIXED = np.array([[0, -1, 0], [1, 0, 0], [1, 1, 0]])  # the middle column has both signs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"connection_type": TYPES[:2]}, r"connection_type has shape \(2, 3\); expected \(2, 2\)"),
        ({"connection_type": TYPES * 2}, "values other than -1"),
        ({"connection_type": np.zeros((0, 0)), "strength": None}, "no neurons"),
        ({"strength": STRENGTH[0]}, r"strength has shape \(3,\); expected \(3, 3\)"),
        ({"strength": -STRENGTH}, "finite and non-negative"),
        ({"strength": STRENGTH + np.nan}, "finite and non-negative"),
        ({"strength": STRENGTH + 1}, "positive where connection_type is not 0"),
        ({"neuron_ids": ["a", "b", "a"]}, "duplicates"),
        ({"position": np.zeros((3, 3))}, "position has shape"),
        ({"module": [0, 1]}, "module has shape"),
        ({"shared_type_proba": np.ones((3, 3, 3))}, "sum to one"),
        ({"connection_type": MIXED, "strength": None, "dale": True}, "pass dale=False"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    with pytest.raises(InvalidInputError, match=message):
        Connectome(**({"kind": "x", "connection_type": TYPES, "strength": STRENGTH} | change))


def test_shows_itself_in_a_line():
    connectome = Connectome("mine", TYPES, STRENGTH)
    assert repr(connectome) == (
        "<Connectome 'mine': 3 neurons, 3 connections (2 excitatory, 1 inhibitory)>"
    )


def test_graph_goes_from_pre_to_post_with_signed_weights():
    connectome = Connectome(
        "mine", TYPES, STRENGTH, neuron_ids=["a", "b", "c"], position=np.eye(3)[:, :2],
        module=[0, 0, 1],
    )  # fmt: skip
    graph = connectome.to_networkx()
    assert set(graph.edges) == {("b", "a"), ("a", "b"), ("a", "c")}
    assert graph.edges["b", "a"] == {"weight": -0.5, "type": "inhibitory"}
    assert graph.nodes["c"] == {"position": (0.0, 0.0), "module": 1}


@pytest.mark.parametrize("kind", WIRINGS)
def test_graph_holds_the_same_weights_as_the_matrix(kind):
    import networkx as nx

    connectome = make_connectome(kind, 15)
    matrix = nx.to_numpy_array(connectome.to_networkx(), nodelist=list(range(15)))
    np.testing.assert_allclose(matrix.T, connectome.weights)


def test_summary():
    summary = Connectome("mine", TYPES, STRENGTH, dale=True).summary()
    assert summary["n_connections"] == 3
    assert summary["density"] == pytest.approx(1 / 3)
    assert summary["excitatory_fraction"] == pytest.approx(2 / 3)
    assert summary["reciprocity"] == pytest.approx(2 / 3)
    assert (summary["max_in_degree"], summary["max_out_degree"]) == (1, 2)
    assert summary["dale"]


def test_summary_of_one_neuron_and_of_random_types():
    assert make_connectome(n_neurons=1).summary()["n_connections"] == 0
    published = published_connectome(30)
    assert published.weights.max() == 1  # no shared strength: the types
    assert published.summary()["density"] > 0
