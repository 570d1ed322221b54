"""Chains of groups switch by themselves, and drive the rates of their own neurons."""

import numpy as np
import pytest

from onehotglm import InvalidInputError, simulate_population
from onehotglm.simulate import simulate_independent_chains


@pytest.fixture(scope="module")
def parameters():
    return simulate_population(
        n_neurons=4, n_states=2, n_sessions=1, n_time_bins=100, dwell_time=0.2, n_lags=2
    )


def test_rates_are_those_of_the_groups_states(parameters):
    groups = np.array([0, 1, 0, 1])
    out = simulate_independent_chains(parameters, groups, n_sessions=2, n_time_bins=60)
    counts, states = out["spikes"].values, out["states"].values
    phi = parameters["basis_functions"].values[0]
    for session, time in np.ndindex(2, 60):
        history = sum(phi[k] * counts[session, time - k - 1] for k in range(min(2, time)))
        state = states[groups, session, time]
        weights = parameters["weights"].values[state, np.arange(4), :, 0]
        eta = parameters["bias"].values[state, np.arange(4)] + weights @ (history + np.zeros(4))
        rate = np.logaddexp(0, eta) / parameters.attrs["bin_size"]
        np.testing.assert_allclose(out["rates"].values[session, time], rate, rtol=1e-4)


@pytest.mark.slow
def test_groups_switch_independently_and_as_often_as_one_chain(parameters):
    out = simulate_independent_chains(parameters, [0, 0, 1, 1], n_sessions=20, n_time_bins=500)
    first, second = out["states"].values
    switches = [np.diff(path, axis=1) != 0 for path in (first, second)]
    leave = 1 - parameters["transition_matrix"].values[0, 0]
    for path in switches:
        np.testing.assert_allclose(path.mean(), leave, rtol=0.2)
    together = (switches[0] & switches[1]).mean()
    np.testing.assert_allclose(together, leave**2, rtol=0.5)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.15


def test_one_label_per_neuron(parameters):
    with pytest.raises(InvalidInputError, match="expected one label per neuron"):
        simulate_independent_chains(parameters, [0, 1])
