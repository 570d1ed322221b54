"""Truncated normals and spike-and-slab marginals against scipy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, truncnorm

from onehotglm.kernels import truncated

LOC = np.array([-2.0, -0.5, 0.0, 0.3, 2.0, 30.0])
SCALE = np.array([0.7, 1.5, 0.2, 0.4, 0.1, 1.0])
PROBA = np.array([0.2, 0.5, 0.3])


def slab(loc, scale):
    return truncnorm(-loc / scale, np.inf, loc=loc, scale=scale)


def test_moments(float64):
    first, second = jax.jit(truncated.moments)(LOC, SCALE)
    np.testing.assert_allclose(first, slab(LOC, SCALE).mean(), rtol=1e-6)
    np.testing.assert_allclose(second, slab(LOC, SCALE).moment(2), rtol=1e-6)


def test_moments_far_below_zero_stay_finite_in_single_precision():
    first, second = jax.jit(truncated.moments)(jnp.full(6, -1e3), jnp.full(6, 0.5))
    assert 0 < first[0] < 0.1
    assert 0 < second[0] < 0.01


@pytest.mark.parametrize("case", range(4))
def test_divergence(float64, case):
    q, p = slab(LOC[case], SCALE[case]), slab(0.6, 0.5)
    expected = quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), 0, q.ppf(1 - 1e-12))[0]
    value = jax.jit(truncated.divergence)(LOC[case], SCALE[case], 0.6, 0.5)
    assert float(value) == pytest.approx(expected, abs=1e-6)


quantiles = jax.jit(truncated.spike_slab_quantile)


def test_quantile_is_the_inverse_of_the_mixtures_distribution(float64):
    loc, scale = np.array([0.5, 1.0]), np.array([0.3, 0.6])
    z = np.linspace(-4, 4, 101)
    value = np.asarray(quantiles(jnp.asarray(z), jnp.log(PROBA), loc, scale))
    inhibitory, excitatory = slab(loc[0], scale[0]), slab(loc[1], scale[1])
    below = PROBA[0] * inhibitory.sf(-value) * (value <= 0) + (value > 0) * (
        PROBA[:2].sum() + PROBA[2] * excitatory.cdf(value)
    )
    present = value != 0
    np.testing.assert_allclose(below[present], norm.cdf(z)[present], rtol=1e-7)
    absent = (norm.cdf(z) > PROBA[0]) & (norm.cdf(z) < PROBA[:2].sum())
    np.testing.assert_array_equal(~present, absent)
    assert (np.diff(value) >= 0).all()


def test_a_certain_slab_is_a_normal():
    # Far from zero nothing is truncated: the quantile is linear in the score.
    z = jnp.linspace(-3, 3, 7)
    value = quantiles(z, jnp.log(jnp.array([1e-9, 1e-9, 1.0])), jnp.full(2, 5.0), jnp.full(2, 0.1))
    np.testing.assert_allclose(value, 5 + 0.1 * z, atol=2e-4)


def test_derivatives_of_draws_are_unbiased_also_in_the_types(float64):
    # The mean of a nonlinear function, by draws and in closed form, has the same gradient.
    n = 100_000
    z = jnp.asarray(norm.ppf((np.arange(n) + 0.5) / n))

    def by_draws(logits, loc, scale):
        w = quantiles(z, jax.nn.log_softmax(logits), loc, scale)
        return (w**2 + 0.5 * w).mean()

    def exactly(logits, loc, scale):
        first, second = truncated.moments(loc, scale)
        proba = jax.nn.softmax(logits)[::2]
        return (proba * (second + 0.5 * jnp.array([-1, 1]) * first)).sum()

    point = jnp.log(PROBA), jnp.array([0.5, -0.2]), jnp.array([0.3, 0.6])
    value_and_gradient = jax.jit(
        lambda *point: [
            jax.value_and_grad(f, argnums=(0, 1, 2))(*point) for f in (by_draws, exactly)
        ]
    )
    (one, found), (other, expected) = value_and_gradient(*point)
    assert float(one) == pytest.approx(float(other), rel=1e-3)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-3, atol=1e-4)
