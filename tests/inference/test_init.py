"""Starts: different in every state, around the same biases."""

import numpy as np
import pytest

from onehotglm.inference.init import initial_coefficients, sticky_chain


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
