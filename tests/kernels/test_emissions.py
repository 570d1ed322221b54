"""Links against numpy in float64, over every predictor that float32 can hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels.emissions import LINKS, predictor_at

WIDE = np.concatenate(
    [
        np.linspace(-30, 30, 2001),
        np.array([-1e4, -700.0, -120.0, -88.0, -50.0, 50.0, 80.0, 700.0, 1e4]),
        np.array([-1e-3, -1e-8, 0.0, 1e-8, 1e-3]),
        -8.0 + np.linspace(-1e-3, 1e-3, 11),
        np.log(1e-3) + np.linspace(-1e-3, 1e-3, 11),
    ]
)


def softplus(eta):
    return np.logaddexp(0.0, eta)


def log_softplus(eta):
    # log(log(1 + u)) = log(u) - u/2 + ... where u = exp(eta) is small.
    with np.errstate(divide="ignore"):
        return np.where(eta < -30.0, eta, np.log(softplus(eta)))


def sigmoid(eta):
    return np.exp(-np.logaddexp(0.0, -eta))


with np.errstate(over="ignore", divide="ignore"):
    # name: rate, its logarithm and slope, in float64.
    EXACT = {
        "softplus": (softplus(WIDE), log_softplus(WIDE), sigmoid(WIDE)),
        "sigmoid": (sigmoid(WIDE), -softplus(-WIDE), sigmoid(WIDE) * sigmoid(-WIDE)),
        "exp": (np.exp(WIDE), WIDE, np.exp(WIDE)),
        "log1p_softplus": (
            np.log1p(softplus(WIDE)),
            np.where(WIDE < -30.0, WIDE, np.log(np.log1p(softplus(WIDE)))),
            sigmoid(WIDE) / (1 + softplus(WIDE)),
        ),
        "sqrt_softplus": (
            np.exp(0.5 * log_softplus(WIDE)),
            0.5 * log_softplus(WIDE),
            0.5 * np.exp(-softplus(-WIDE) - 0.5 * log_softplus(WIDE)),
        ),
    }
# Relative error; subnormal numbers may be flushed to zero.
TOLERANCE = {"float32": {"rtol": 3e-6, "atol": 1e-37}, "float64": {"rtol": 3e-10, "atol": 1e-307}}


def test_every_link_is_tested():
    assert set(EXACT) == set(LINKS)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", LINKS)
def test_rates_logarithms_and_slopes(name, dtype, float64):
    link, (rate, log_rate, slope) = LINKS[name], EXACT[name]
    eta = jnp.asarray(WIDE, dtype)
    with np.errstate(over="ignore"):
        rate, log_rate, slope = (x.astype(dtype) for x in (rate, log_rate, slope))
    tolerance = TOLERANCE[dtype]
    if name == "exp" or dtype == "float32":
        # The rounding of eta alone moves exp(eta) by eta * eps.
        tolerance = {**tolerance, "rtol": 1e4 * np.finfo(dtype).eps}
    np.testing.assert_allclose(link.rate(eta), rate, **tolerance)
    np.testing.assert_allclose(link.rate_and_log(eta)[0], rate, **tolerance)
    np.testing.assert_allclose(link.rate_and_log(eta)[1], log_rate, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(link.rate_and_slope(eta)[0], rate, **tolerance)
    np.testing.assert_allclose(link.rate_and_slope(eta)[1], slope, **tolerance)
    if dtype == "float64":
        np.testing.assert_allclose(link.rate_and_log(eta)[1], log_rate, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", LINKS)
def test_slope_is_the_derivative(name, float64):
    link, eta = LINKS[name], jnp.linspace(-20.0, 20.0, 401)
    derivative = jax.vmap(jax.grad(link.rate))(eta)
    # At zero the parts of |eta| meet; autodiff takes one side.
    away = jnp.abs(eta) > 1e-9
    slope = link.rate_and_slope(eta)[1]
    np.testing.assert_allclose(slope[away], derivative[away], rtol=1e-8)


@pytest.mark.parametrize("name", LINKS)
@settings(max_examples=50, deadline=None)
@given(eta=st.floats(-15.0, 15.0))
def test_inverse_takes_back(name, eta):
    link = LINKS[name]
    with jax.enable_x64(True):
        rate = link.rate(jnp.float64(eta))
        assert float(link.inverse(rate)) == pytest.approx(eta, abs=1e-8)


@pytest.mark.parametrize("name", LINKS)
def test_rates_rise_and_stay_above_zero(name):
    eta = jnp.linspace(-80.0, 80.0, 10_001, dtype=jnp.float32)
    rate, log_rate = LINKS[name].rate_and_log(eta)
    assert (rate > 0).all()
    assert (jnp.diff(rate) >= -3e-7 * rate[1:]).all()
    assert jnp.isfinite(log_rate).all()


@pytest.mark.parametrize("name", LINKS)
def test_steepest_and_highest_bound_the_link(name, float64):
    link = LINKS[name]
    rate, slope = link.rate_and_slope(jnp.linspace(-20.0, 20.0, 100_001))
    assert rate.max() < link.highest
    assert slope.max() <= link.steepest
    if np.isfinite(link.steepest):
        assert slope.max() == pytest.approx(link.steepest, rel=1e-3)


@pytest.mark.parametrize("name", LINKS)
def test_predictor_at_is_within_reach(name):
    rates = np.array([1e-4, 0.01, 0.5, 0.9])
    np.testing.assert_allclose(LINKS[name].rate(predictor_at(rates, name)), rates, rtol=1e-3)
    assert np.isfinite(predictor_at([0.0, 50.0], name)).all()
