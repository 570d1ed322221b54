"""Priors over couplings: densities, draws and divergences against independent ways."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multivariate_normal, norm

from onehotglm.model import couplings, priors
from onehotglm.model.couplings import (
    GaussianCouplings,
    Layout,
    Normals,
    OneHotCouplings,
    RidgeCouplings,
    SpikeSlabs,
)

N_STATES, N_NEURONS = 3, 2
FREE = np.array([[True, True], [True, False]])
SHARE = np.array([0.2, 0.5, 0.3])


def layout(shared_bias=False):
    return Layout(jnp.array([-0.5, 0.2]), 0.5, jnp.asarray(FREE), shared_bias)


def make(kind, **options):
    if kind == "none":
        return RidgeCouplings(layout(**options), N_STATES, 2.0)
    if kind == "gaussian":
        scatter = jnp.array([[0.1, 0.3], [0.2, 0.4]])
        return GaussianCouplings(layout(**options), N_STATES, scatter, jnp.asarray(0.7))
    slabs = jnp.array([0.5, 0.8]), jnp.array([0.4, 0.3])
    return OneHotCouplings(layout(**options), N_STATES, jnp.asarray(SHARE), *slabs)


def marginals(kind):
    rng = np.random.default_rng(0)
    shape = (N_STATES, N_NEURONS)
    bias = Normals(rng.normal(size=shape), rng.uniform(0.1, 0.5, shape))
    if kind != "one-hot":
        return bias, Normals(rng.normal(size=(*shape, 2)), rng.uniform(0.1, 0.5, (*shape, 2)))
    log_proba = np.log(rng.dirichlet(np.ones(3), (*shape, 2)))
    loc, scale = rng.uniform(-0.2, 1.0, (2, *shape, 2)), rng.uniform(0.1, 0.5, (2, *shape, 2))
    return bias, SpikeSlabs(*(jnp.asarray(x) for x in (log_proba, loc, scale)))


def log_density(weights, w):
    """Log density of independent marginals at w, the types read off the signs."""
    if isinstance(weights, Normals):
        return norm.logpdf(w, weights.loc, weights.scale)
    side = (w > 0).astype(int)
    loc, scale = (np.where(side, x[1], x[0]) for x in (weights.loc, weights.scale))
    slab = norm.logpdf(np.abs(w), loc, scale) - norm.logcdf(loc / scale)
    types = np.sign(w).astype(int) + 1
    log_type = np.take_along_axis(
        np.broadcast_to(weights.log_proba, (*w.shape, 3)), types[..., None], -1
    )
    return log_type[..., 0] + np.where(w == 0, 0.0, slab)


@pytest.mark.parametrize("kind", ["none", "gaussian", "one-hot"])
def test_divergence_is_the_mean_log_ratio(float64, kind):
    prior, (bias, weights) = make(kind), marginals(kind)
    n = 20_000
    z = np.random.default_rng(3).normal(size=(n, N_STATES, N_NEURONS, 3))
    b, w = bias.quantile(z[..., 0]), np.asarray(jax.jit(weights.quantile)(z[..., 1:]))
    values = np.concatenate([b[..., None], np.where(FREE, w, 0.0)], axis=-1)
    log_p = np.array(jax.jit(jax.vmap(prior.log_prob))(values))
    if kind != "one-hot":  # excluded weights are standard normal stand-ins in log_prob
        log_p += N_STATES * (~FREE).sum() * 0.5 * np.log(2 * np.pi)
    log_q = norm.logpdf(b, bias.loc, bias.scale).sum((1, 2))
    log_q += np.where(FREE, log_density(weights, w), 0.0).sum((1, 2, 3))
    ratio = log_q - log_p
    error = ratio.std() / np.sqrt(n)
    divergence = float(jax.jit(prior.divergence)(bias, weights))
    assert abs(divergence - ratio.mean()) < 4 * error


def test_the_same_distribution_has_no_divergence(float64):
    prior = make("none")
    mean = np.tile(prior.layout.bias_mean, (N_STATES, 1))
    bias = Normals(mean, np.full(mean.shape, np.sqrt(2.0)))
    weights = Normals(np.zeros((N_STATES, 2, 2)), np.full((N_STATES, 2, 2), np.sqrt(0.5)))
    assert float(prior.divergence(bias, weights)) == pytest.approx(0.0, abs=1e-10)


def test_gaussian_states_are_jointly_normal(float64):
    prior = make("gaussian")
    value = np.random.default_rng(1).normal(size=prior.event_shape)
    expected = norm.logpdf(value[..., 0], prior.layout.bias_mean, np.sqrt(2)).sum()
    for n, m in product(range(2), range(2)):
        covariance = prior.scatter[n, m] * np.eye(N_STATES) + 0.7**2
        joint = multivariate_normal(np.zeros(N_STATES), covariance)
        w = value[:, n, 1 + m]
        expected += joint.logpdf(w) if FREE[n, m] else norm.logpdf(w).sum()
    assert float(prior.log_prob(jnp.asarray(value))) == pytest.approx(expected)


def test_types_of_all_states_by_enumeration(float64):
    prior = make("one-hot")
    proba = np.random.default_rng(2).dirichlet(np.ones(3), N_STATES)
    a = priors.TYPE_PSEUDO_STATES * SHARE
    expected = 0.0
    for types in product(range(3), repeat=N_STATES):
        counts = np.bincount(types, minlength=3)
        log_p = gammaln(a.sum()) - gammaln(a.sum() + N_STATES)
        log_p += (gammaln(counts + a) - gammaln(a)).sum()
        expected += np.prod([proba[s, t] for s, t in enumerate(types)]) * log_p
    found = prior.log_types(jnp.asarray(proba)[:, None, None])
    assert float(found[0, 0]) == pytest.approx(expected)


def test_counts_of_types(float64):
    p = np.array([0.2, 0.7, 0.5])
    counts = couplings._poisson_binomial(jnp.asarray(p))
    assert float(counts[3]) == pytest.approx(np.prod(p))
    assert float(counts[0]) == pytest.approx(np.prod(1 - p))
    assert float((counts * np.arange(4)).sum()) == pytest.approx(p.sum())


def test_one_hot_draws_have_the_priors_types_and_strengths(float64):
    prior = make("one-hot")
    draw = jax.jit(lambda key: prior.sample(key, (20_000,)))
    value = np.asarray(draw(jax.random.key(1)))[..., 1:]
    types = np.stack([value < 0, value == 0, value > 0], axis=-1).mean((0, 1, 2, 3))
    np.testing.assert_allclose(types, SHARE, atol=0.01)
    # Two states share their type with probability (1 + a E[pi]) / (1 + a), summed over types.
    a = priors.TYPE_PSEUDO_STATES
    same = (np.sign(value[:, 0]) == np.sign(value[:, 1])).mean()
    assert same == pytest.approx((SHARE * (1 + a * SHARE) / (1 + a)).sum(), abs=0.01)
    strengths = value[value > 0]
    first = 0.8 + 0.3 * norm.pdf(0.8 / 0.3) / norm.cdf(0.8 / 0.3)
    assert strengths.mean() == pytest.approx(first, abs=0.01)


def test_a_shared_bias_counts_once_per_state():
    prior, (bias, weights) = make("none", shared_bias=True), marginals("none")
    other = Normals(bias.loc * np.array([[1.0], [9.0], [9.0]]), bias.scale)
    assert float(prior.divergence(bias, weights)) == float(prior.divergence(other, weights))
    assert float(prior.layout.bias_sd(N_STATES)) == pytest.approx(1 / np.sqrt(0.5 * N_STATES))
    tied = prior.layout.tie(jnp.arange(18.0).reshape(prior.event_shape))
    np.testing.assert_array_equal(tied[1, :, 0], tied[0, :, 0])
    np.testing.assert_array_equal(tied[:, 1, 2], 0.0)
