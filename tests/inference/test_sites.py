"""The Gaussian prior times sites, against dense matrices over all states of a neuron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from onehotglm.inference.sites import Sites, SitesGuide, absolute_sites
from onehotglm.model.couplings import GaussianCouplings, Layout

N_STATES, N_NEURONS, N_WEIGHTS = 3, 2, 2
N_DRAWS = 20_000
ALL = np.ones((N_NEURONS, N_WEIGHTS), bool)
BIAS_MEAN, BIAS_PRECISION = np.array([-1.0, 0.5]), 0.7


@pytest.fixture
def parts(float64):
    rng = np.random.default_rng(0)
    shape = (N_STATES, N_NEURONS, 1 + N_WEIGHTS)
    factor = np.tril(rng.normal(size=(*shape, shape[-1])))
    sites = Sites(rng.normal(size=shape), factor)
    variance = rng.uniform(0.05, 0.5, (N_NEURONS, N_WEIGHTS))
    return sites, variance, np.array([0.6, 0.4])


def make(parts, free=True, shared_bias=False):
    sites, variance, mean_sd = jax.tree.map(jnp.asarray, parts)
    free = jnp.broadcast_to(free, variance.shape)
    layout = Layout(jnp.asarray(BIAS_MEAN), BIAS_PRECISION, free, shared_bias)
    return SitesGuide(sites, GaussianCouplings(layout, N_STATES, variance, mean_sd))


@jax.jit
def evaluate(parts, free):
    """All of it at once: compiling takes longer than computing."""
    guide = make(parts, free)
    given = guide.condition()
    draws = guide.sample(jax.random.key(0), (N_DRAWS,))
    shared = make(parts, free, shared_bias=True).divergence()
    return *given.moments(), given.log_evidence, guide.divergence(), draws, shared


def dense(parts, neuron):
    """Prior covariance, information and shift of all states of a neuron, states outermost."""
    (shift, factor), variance, mean_sd = parts
    size = 1 + N_WEIGHTS
    one = np.diag([1 / BIAS_PRECISION, *variance[neuron]])
    between = np.diag([0.0, *mean_sd**2])
    prior = np.kron(np.eye(N_STATES), one) + np.kron(np.ones((N_STATES, N_STATES)), between)
    information = np.zeros((N_STATES * size, N_STATES * size))
    for s in range(N_STATES):
        block = slice(s * size, (s + 1) * size)
        information[block, block] = factor[s, neuron] @ factor[s, neuron].T
    return prior, information, shift[:, neuron].ravel()


def test_moments_and_divergence_are_those_of_dense_gaussians(parts):
    mean, covariance, _, found, _, _ = evaluate(parts, ALL)
    divergence = 0.0
    for n in range(N_NEURONS):
        prior, information, shift = dense(parts, n)
        spread = np.linalg.inv(np.linalg.inv(prior) + information)
        centre = spread @ shift
        np.testing.assert_allclose(mean[:, n].ravel(), centre, rtol=1e-9)
        blocks = spread.reshape(N_STATES, 1 + N_WEIGHTS, N_STATES, 1 + N_WEIGHTS)
        for s in range(N_STATES):
            np.testing.assert_allclose(covariance[s, n], blocks[s, :, s], rtol=1e-9)
        ratio = np.linalg.solve(prior, spread)
        divergence += 0.5 * (
            np.trace(ratio)
            + centre @ np.linalg.solve(prior, centre)
            - len(centre)
            - np.linalg.slogdet(ratio)[1]
        )
    assert float(found) == pytest.approx(divergence, rel=1e-9)


def test_the_evidence_is_the_mean_of_the_sites_under_the_prior(parts):
    found = float(evaluate(parts, ALL)[2])
    exact = 0.0
    for n in range(N_NEURONS):
        prior, information, shift = dense(parts, n)
        spread = np.linalg.inv(np.linalg.inv(prior) + information)
        at_zero = multivariate_normal(np.zeros(len(shift)), prior).logpdf(np.zeros(len(shift)))
        exact += at_zero - multivariate_normal(spread @ shift, spread).logpdf(np.zeros(len(shift)))
    assert found == pytest.approx(exact, rel=1e-9)


def test_draws_have_the_moments_and_tie_the_states(parts):
    mean, covariance, _, _, draws, _ = map(np.array, evaluate(parts, ALL))
    mean[..., 0] += BIAS_MEAN
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    np.testing.assert_allclose((draws.mean(0) - mean) / sd, 0, atol=0.03)
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.03)
    prior, information, _ = dense(parts, 0)
    spread = np.linalg.inv(np.linalg.inv(prior) + information)
    np.testing.assert_allclose(np.cov(draws[:, :, 0].reshape(N_DRAWS, -1).T), spread, atol=0.05)


def test_what_the_likelihood_does_not_depend_on_costs_nothing(parts):
    free = np.array([[True, False], [True, True]])
    sites, variance, mean_sd = parts
    other = Sites(sites.shift.copy(), sites.factor.copy())
    other.shift[1:, :, 0] += 5  # biases of other states, where it is shared
    other.shift[:, 0, 2] += 5
    values = [float(evaluate((x, variance, mean_sd), free)[-1]) for x in (sites, other)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert values[0] < float(evaluate(parts, ALL)[3])


def test_sites_move_in_units_of_the_anchor(parts):
    anchor = parts[0]
    still = Sites(np.zeros_like(anchor.shift), np.zeros_like(anchor.factor))
    for found, expected in zip(absolute_sites(still, anchor), anchor, strict=True):
        np.testing.assert_allclose(found, expected)
    moved = absolute_sites(still._replace(shift=still.shift + 1), anchor)
    np.testing.assert_allclose(moved.shift - anchor.shift, anchor.factor.sum(-1), rtol=1e-12)
