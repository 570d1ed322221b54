"""Dead and duplicate states are named, distinct ones are not."""

import copy

import numpy as np
import pytest

from onehotglm.evaluation.redundancy import describe_states


def with_states(model, order, transition):
    """A model whose states are those of another, some of them twice."""
    other = copy.copy(model)
    other.n_states = len(order)
    other.bias_, other.weights_ = model.bias_[order].copy(), model.weights_[order].copy()
    other.connectivity_ = model.connectivity_[order].copy()
    other.transition_matrix_ = np.asarray(transition)
    other.initial_proba_ = np.full(len(order), 1 / len(order))
    other.n_parameters_ = len(order) * 12 + len(order) ** 2 - 1.0
    return other


def test_distinct_states(fitted_small) -> None:
    model, spikes = fitted_small
    table = describe_states(model, spikes)
    assert table["verdict"].tolist() == ["", ""]
    assert table["nearest"].tolist() == [1, 0]
    proba = model.predict_proba(spikes)
    np.testing.assert_allclose(table["share"], proba.mean(("session", "time")), rtol=1e-5)
    stay = np.diagonal(model.transition_matrix_)
    np.testing.assert_allclose(table["dwell"], 0.1 / (1 - stay), rtol=1e-4)
    # Twice the data: twice the cost of merging.
    twice = describe_states(model, spikes, 2 * spikes.sizes["session"] * spikes.sizes["time"])
    np.testing.assert_allclose(twice["merging_cost"], 2 * table["merging_cost"], rtol=1e-6)
    assert (twice["price"] > table["price"]).all()


def test_a_duplicate_is_named(fitted_small) -> None:
    model, spikes = fitted_small
    transition = np.array([[0.9, 0.04, 0.06], [0.05, 0.9, 0.05], [0.06, 0.04, 0.9]])
    model = with_states(model, [0, 1, 0], transition)
    model.bias_[2] += 0.02
    table = describe_states(model, spikes)
    assert table["verdict"].tolist() == ["duplicate of 2", "", "duplicate of 0"]
    assert table["merging_cost"][0] < 1 < table["merging_cost"][1]
    assert table["coupling_correlation"][0] == pytest.approx(1)
    assert table["row_similarity"][0] == pytest.approx(1)


def test_where_the_two_go_is_compared(fitted_small) -> None:
    model, spikes = fitted_small
    transition = np.array([[0.6, 0.4, 0.0], [0.05, 0.9, 0.05], [0.5, 0.1, 0.4]])
    table = describe_states(with_states(model, [0, 1, 0], transition), spikes)
    assert table["nearest"].tolist()[::2] == [2, 0]
    assert table["row_similarity"][0] == pytest.approx(1)  # all who leave go to state 1
    transition[0] = [0.6, 0.0, 0.4]  # it is left for its double only
    table = describe_states(with_states(model, [0, 1, 0], transition), spikes)
    assert np.isnan(table["row_similarity"][0])


def test_a_dead_state_is_named(fitted_small) -> None:
    model, spikes = fitted_small
    transition = np.array([[0.95, 0.05, 0.0], [0.05, 0.95, 0.0], [0.5, 0.5, 0.0]])
    model = with_states(model, [0, 1, 1], transition)
    model.initial_proba_ = np.array([0.5, 0.5, 0.0])
    table = describe_states(model, spikes)
    assert table["verdict"].tolist()[::2] == ["", "dead"]
    assert table["share"][2] == 0


def test_one_state_has_no_neighbour(fitted_small) -> None:
    model, spikes = fitted_small
    table = describe_states(with_states(model, [0], [[1.0]]), spikes)
    assert table["verdict"].tolist() == [""]
    assert "nearest" not in table


def test_cost_of_merging_is_what_the_likelihood_loses(fitted_small) -> None:
    model, spikes = fitted_small
    model = copy.copy(model)
    model.weights_ = np.zeros_like(model.weights_)
    table = describe_states(model, spikes)
    rates = np.logaddexp(0, model.bias_.astype(float))
    gamma = model.predict_proba(spikes).values.reshape(-1, 2).sum(0).astype(float)
    merged = gamma @ rates / gamma.sum()
    loss = gamma[:, None] * (rates * np.log(rates / merged) - rates + merged)
    np.testing.assert_allclose(table["merging_cost"], loss.sum(), rtol=1e-4)
    np.testing.assert_allclose(table["divergence"], loss.sum() / gamma.sum(), rtol=1e-4)
