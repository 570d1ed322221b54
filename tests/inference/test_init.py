"""Starts: different in every state, around the same biases."""

import numpy as np
import pytest

from onehotglm.inference.init import initial_coefficients, split_state, sticky_chain
from tests.inference.tiny import make_params


def test_states_start_apart_around_the_bias():
    bias = np.array([-1.0, 0.5])
    found = initial_coefficients(np.random.default_rng(0), bias, 201, 3, scale=0.2)
    assert found.shape == (3, 2, 201)
    np.testing.assert_array_equal(found[..., 0], np.tile(bias, (3, 1)))
    np.testing.assert_allclose(found[..., 1:].std(), 0.2, rtol=0.1)
    assert np.abs(np.diff(found[..., 1:], axis=0)).mean() > 0.1


@pytest.mark.parametrize("n_states", [1, 2, 4])
def test_sticky_chain_is_stochastic(n_states):
    transition, initial = sticky_chain(n_states, 0.9)
    np.testing.assert_allclose(transition.sum(1), 1)
    np.testing.assert_allclose(initial, 1 / n_states)
    np.testing.assert_allclose(np.diag(transition), 0.9 if n_states > 1 else 1.0)


def test_halves_of_a_state_replace_it():
    params = make_params()
    start = split_state(params, 1, np.random.default_rng(0), scale=0.3)
    halves = start.coefficients[[1, 2]]
    np.testing.assert_allclose(halves.mean(0), params.coefficients[1])
    np.testing.assert_array_equal(halves[..., 0], params.coefficients[[1, 1], :, 0])
    assert (halves[0] - halves[1])[..., 1:].std() == pytest.approx(0.6, rel=0.4)
    np.testing.assert_array_equal(start.coefficients[0], params.coefficients[0])
    # Lumped together the halves move as the state did.
    np.testing.assert_allclose(start.transition.sum(1), 1)
    lumped = np.c_[start.transition[:, 0], start.transition[:, 1:].sum(1)]
    np.testing.assert_allclose(lumped, params.transition[[0, 1, 1]])
    np.testing.assert_allclose(start.transition[0, 1], start.transition[0, 2])
    assert start.transition[1, 1] == pytest.approx(19 * start.transition[1, 2])
    np.testing.assert_allclose(start.initial[[0, 1]], params.initial * [1, 0.5])
    assert start.initial.sum() == pytest.approx(1)
