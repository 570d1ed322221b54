"""Passes over the recording, against float64 loops and automatic differentiation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.inference.statistics import chunk_size, curvature, log_likelihoods
from tests.inference.tiny import (
    BASIS,
    LINKS,
    N_COLUMNS,
    N_NEURONS,
    N_STATES,
    SIZE,
    design_of,
    log_likelihoods_of,
    make_counts,
    make_params,
    packed,
)

pytestmark = pytest.mark.usefixtures("float64")
# Compiled as in EM, where both run inside one jitted step.
likelihood = jax.jit(log_likelihoods, static_argnames=("size", "link"))
curve = jax.jit(curvature, static_argnames=("size", "link", "exact"))


@pytest.fixture(scope="module")
def sessions():
    return make_counts(missing=0.1)


def evaluate(sessions, link="softplus", size=SIZE, coefficients=None):
    recording = packed(sessions, size).recording
    if coefficients is None:
        coefficients = make_params().coefficients
    n_chunks = jnp.asarray(recording.n_time // size)
    return np.asarray(likelihood(recording, coefficients, n_chunks, size=size, link=link))


def marginals_for(n_time, seed=5):
    return np.random.default_rng(seed).dirichlet(np.ones(N_STATES), n_time)


def curvature_of(sessions, link="softplus", exact=True, size=SIZE, coefficients=None):
    recording = packed(sessions, size).recording
    if coefficients is None:
        coefficients = make_params().coefficients
    # The same states for every bin, however the end is padded.
    marginals = marginals_for(1000)[: recording.n_time]
    n_chunks = jnp.asarray(recording.n_time // size)
    return curve(recording, coefficients, marginals, n_chunks, size=size, link=link, exact=exact)


@pytest.mark.parametrize("link", LINKS)
def test_log_likelihoods_match_a_loop(sessions, link):
    found = evaluate(sessions, link)
    expected = [log_likelihoods_of(s, make_params().coefficients, link) for s in sessions]
    expected = np.concatenate(expected)
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-12, atol=1e-12)
    assert not found[len(expected) :].any()


@pytest.mark.parametrize("link", LINKS)
def test_gradient_is_that_of_the_expected_log_likelihood(sessions, link):
    recording = packed(sessions).recording
    marginals = marginals_for(1000)[: recording.n_time]
    n_chunks = recording.n_time // SIZE

    @jax.grad
    def gradient(coefficients):
        likelihoods = log_likelihoods(recording, coefficients, n_chunks, size=SIZE, link=link)
        return (marginals * likelihoods).sum()

    expected = gradient(jnp.asarray(make_params().coefficients))
    found = curvature_of(sessions, link).gradient
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("link", LINKS)
def test_information_is_the_sum_over_bins(sessions, link):
    coefficients = make_params().coefficients
    information = curvature_of(sessions, link).information
    expected = np.zeros((N_STATES, N_NEURONS, N_COLUMNS, N_COLUMNS))
    marginals = iter(marginals_for(1000))
    slope_of = jax.grad(
        {"softplus": jax.nn.softplus, "exp": jnp.exp, "sigmoid": jax.nn.sigmoid}[link]
    )
    for counts in sessions:
        eta = np.einsum("tc,snc->tsn", design_of(counts), coefficients)
        slope = np.asarray(jax.vmap(slope_of)(eta.ravel())).reshape(eta.shape)
        fisher = slope**2 / LINKS[link](eta) * ~np.isnan(counts)[:, None]
        for row, weight in zip(design_of(counts), fisher, strict=True):
            gamma = next(marginals)
            expected += (gamma[:, None] * weight)[..., None, None] * np.outer(row, row)
    np.testing.assert_allclose(information, expected, rtol=1e-9, atol=1e-9)


def test_cheap_information_keeps_the_gradient(sessions):
    exact, cheap = (curvature_of(sessions, exact=exact) for exact in (True, False))
    np.testing.assert_allclose(cheap.gradient, exact.gradient, rtol=1e-12)
    # The right size, and positive definite.
    traces = np.trace(cheap.information, axis1=-2, axis2=-1) / np.trace(
        exact.information, axis1=-2, axis2=-1
    )
    assert ((traces > 0.5) & (traces < 2)).all()
    assert (np.linalg.eigvalsh(cheap.information) > -1e-9).all()


def test_cheap_information_is_exact_at_constant_rates():
    coefficients = np.array(make_params().coefficients)
    coefficients[..., 1:] = 0
    both = [
        curvature_of(make_counts(), exact=exact, coefficients=coefficients).information
        for exact in (True, False)
    ]
    np.testing.assert_allclose(*both, rtol=1e-9)


def test_cheap_information_knows_how_long_each_neuron_was_observed():
    sessions = make_counts()
    sessions[0][:60, 1] = np.nan
    exact, cheap = (curvature_of(sessions, exact=exact).information for exact in (True, False))
    # Of the biases there is exactly as much as there are counts.
    np.testing.assert_allclose(cheap[..., 0, 0], exact[..., 0, 0], rtol=1e-9)


def test_chunks_of_any_size_give_the_same(sessions):
    n_bins = sum(map(len, sessions))
    small, large = (evaluate(sessions, size=size)[:n_bins] for size in (20, SIZE))
    np.testing.assert_allclose(small, large, rtol=1e-13)
    small, large = (curvature_of(sessions, size=size) for size in (20, SIZE))
    for one, other in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def test_what_lies_under_the_mask_changes_no_bit():
    sessions = make_counts(missing=0.1)
    recording = packed(sessions).recording
    hidden = np.pad(~np.asarray(recording.observed), ((BASIS.shape[1], 0), (0, 0)))
    other = recording._replace(counts=jnp.where(hidden, 7.0, recording.counts))
    coefficients, n_chunks = make_params().coefficients, jnp.asarray(recording.n_time // SIZE)
    marginals = marginals_for(recording.n_time)
    run = partial(likelihood, size=SIZE, link="softplus")
    np.testing.assert_array_equal(
        run(recording, coefficients, n_chunks), run(other, coefficients, n_chunks)
    )
    run = partial(curve, size=SIZE, link="softplus", exact=True)
    for one, changed in zip(
        jax.tree.leaves(run(recording, coefficients, marginals, n_chunks)),
        jax.tree.leaves(run(other, coefficients, marginals, n_chunks)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, changed)


def test_chunks_beyond_the_first_few_are_left_out(sessions):
    recording = packed(sessions).recording
    coefficients = make_params().coefficients
    found = likelihood(recording, coefficients, jnp.asarray(1), size=SIZE, link="softplus")
    np.testing.assert_array_equal(found[:SIZE], evaluate(sessions)[:SIZE])
    assert not found[SIZE:].any()


def test_single_precision_is_close():
    sessions = make_counts()
    recording = packed(sessions, dtype="float32").recording
    coefficients = make_params().coefficients.astype(np.float32)
    n_chunks = jnp.asarray(recording.n_time // SIZE)
    found = likelihood(recording, coefficients, n_chunks, size=SIZE, link="softplus")
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, evaluate(sessions), rtol=1e-5, atol=1e-5)


def test_chunk_size_bounds_what_a_chunk_holds():
    for n_states in (1, 3, 8):
        for n_neurons in (1, 20, 100):
            size = chunk_size(n_states, n_neurons)
            assert size % 200 == 0
            assert 200 <= size <= 2000
            assert size == 200 or size * n_states * n_neurons <= 200_000
