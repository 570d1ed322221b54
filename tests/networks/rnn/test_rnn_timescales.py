import time

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.network import make_rnn
from onehotglm.networks.rnn.published import load_published
from onehotglm.networks.rnn.timescales import (
    autocorrelation,
    measure_timescales,
    network_timescales,
)


def ar1(tau, n_bins=10_000, n_trials=10, n_neurons=12, seed=0):
    """Stationary first-order processes of unit variance, (time, trial, neuron)."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    keep = np.exp(-1 / tau)
    noise = rng.standard_normal((n_bins + 500, n_trials, n_neurons)) * np.sqrt(1 - keep**2)
    return lfilter([1], [1, -keep], noise, axis=0)[500:]


@pytest.mark.parametrize("tau", [1.5, 5, 15])
def test_timescale_of_a_first_order_process(tau):
    found = network_timescales(ar1(tau))
    assert np.median(found["network_tau"]) == pytest.approx(tau, rel=0.05)
    assert (found["n_exponentials"] == 1).mean() > 0.75
    np.testing.assert_allclose(
        found["fitted_autocorrelation"].median("neuron"), np.exp(-np.arange(31) / tau), atol=0.02
    )


@pytest.mark.parametrize(("fast", "slow", "share"), [(2, 20, 0.5), (1, 10, 0.3)])
def test_slowest_timescale_of_a_process_that_has_two(fast, slow, share):
    activity = np.sqrt(1 - share) * ar1(fast, seed=1) + np.sqrt(share) * ar1(slow, seed=2)
    found = network_timescales(activity)
    assert (found["n_exponentials"] == 2).all()
    assert np.median(found["network_tau"]) == pytest.approx(slow, rel=0.05)
    assert np.median(found["amplitude"]) == pytest.approx(share, rel=0.1)


def test_autocorrelation_is_that_of_the_definition():
    activity = ar1(3, n_bins=100, n_trials=2, n_neurons=2)
    centred = activity - activity.mean(axis=(0, 1))
    by_hand = [(centred[: 100 - lag] * centred[lag:]).mean(axis=(0, 1)) for lag in range(6)]
    found = autocorrelation(activity, max_lag=5).values
    np.testing.assert_allclose(found.T, by_hand / by_hand[0])


def test_stated_errors_of_the_autocorrelation_are_its_errors():
    activity = ar1(4, n_bins=500, n_trials=4, n_neurons=400)
    found = autocorrelation(activity, max_lag=8)
    # Scaled by the sample's own variance, the value at lag 0 has no error left: look
    # at differences from it, which Bartlett's formula gives as well.
    stated = found.covariance.mean(axis=0)
    true = np.exp(-np.arange(9) / 4)
    relative = stated - np.outer(true, stated[0]) - np.outer(stated[0], true)
    relative += np.outer(true, true) * stated[0, 0]
    measured = np.cov(found.values, rowvar=False)
    np.testing.assert_allclose(np.diag(measured)[1:], np.diag(relative)[1:], rtol=0.3)


def test_scale_and_offset_of_activity_do_not_matter():
    activity = ar1(4, n_bins=2000, n_neurons=3)
    found, other = network_timescales(activity), network_timescales(1e3 * activity + 7)
    np.testing.assert_allclose(found["network_tau"], other["network_tau"], rtol=1e-3)


def test_constant_neurons_have_no_timescale():
    activity = ar1(4, n_bins=1000, n_neurons=3)
    activity[..., 1] = 2.0
    found = network_timescales(activity)
    assert np.isnan(found["network_tau"][1])
    assert found["n_exponentials"].values.tolist()[1] == 0
    assert np.isfinite(found["network_tau"][[0, 2]]).all()
    assert np.isnan(network_timescales(np.ones((100, 1, 2)))["network_tau"]).all()


def test_alternating_activity_has_the_fastest_timescale():
    activity = np.tile([1.0, -1.0], 500)[:, None, None] + 0.1 * ar1(1, 1000, 1, 1)
    assert network_timescales(activity)["network_tau"][0] < 0.5


def test_isolated_neurons_show_their_own_timescale():
    # Without recurrence and always above zero, a neuron filters its input with tau.
    network = make_rnn(4)
    network = eqx.tree_at(
        lambda n: (n.layers[0].w_hh, n.layers[0].w_in, n.layers[0].b_in, n.layers[0].tau),
        network,
        (jnp.zeros((4, 4)), jnp.ones((4, 1)), jnp.ones(4), jnp.array([1.5, 3.0, 6.0, 12.0])),
    )
    found = measure_timescales(network)
    expected = -1 / np.log(1 - 1 / np.array([1.5, 3.0, 6.0, 12.0]))
    np.testing.assert_allclose(found["network_tau"], expected, rtol=0.05)
    np.testing.assert_allclose(found["tau"], [1.5, 3.0, 6.0, 12.0])


def test_gated_neurons_have_no_tau_of_their_own():
    found = measure_timescales(make_rnn(3, cell="lstm"), n_time_bins=400, n_streams=2)
    assert "tau" not in found


@pytest.mark.slow
def test_stored_network_of_500_neurons_in_under_a_minute(shared_data):
    network, _ = load_published(shared_data("rnn_reference.npz"), "cumulative_N10")
    start = time.perf_counter()
    found = measure_timescales(network, n_time_bins=10_000, n_streams=10)
    assert time.perf_counter() - start < 60
    assert found.sizes["neuron"] == 500
    assert np.isfinite(found["network_tau"]).mean() > 0.95


@pytest.mark.parametrize(
    ("activity", "message"),
    [
        (np.zeros((100, 3)), r"shape \(100, 3\), expected \(time, trial, neuron\)"),
        (np.zeros((40, 1, 1)), "40 bins are too few for max_lag=30; give at least 62"),
    ],
)
def test_wrong_activity_is_named(activity, message):
    with pytest.raises(InvalidInputError, match=message):
        network_timescales(activity)
