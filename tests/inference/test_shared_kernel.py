"""Products of strengths and kernels: reading them, and steps that keep them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.inference import em, shared_kernel
from onehotglm.inference.learning import ridge_penalty, stepper
from onehotglm.inference.likelihood import Emission, marginal_log_likelihood
from onehotglm.inference.newton import feasible, log_penalty, newton_step
from onehotglm.inference.phases import learn
from onehotglm.inference.statistics import Curvature
from tests.inference.tiny import (
    BASIS,
    N_NEURONS,
    N_STATES,
    SIZE,
    make_counts,
    make_params,
    make_problem,
    on_device,
)

pytestmark = pytest.mark.usefixtures("float64")
SESSIONS = make_counts(lengths=(300, 250))
STRUCTURE = {"shared_kernel": True, "smoothness": 0.5}
N_BASIS = len(BASIS)


@pytest.fixture
def problem(float64):
    return make_problem(SESSIONS, structure=STRUCTURE)


def kernel_of(problem):
    return ridge_penalty(problem, N_STATES).kernel


def some_products(seed, one_signed=False):
    """Biases, strengths (state, post, 1 + pre) and kernels of the stated scale and sign."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(N_NEURONS, N_NEURONS, N_BASIS))
    if one_signed:
        shape = 0.5 + rng.random(shape.shape)
    over_lags = shape @ BASIS
    shape /= np.abs(over_lags).sum(-1, keepdims=True)
    shape *= np.where(over_lags.sum(-1, keepdims=True) < 0, -1, 1)
    return rng.normal(size=(N_STATES, N_NEURONS, 1 + N_NEURONS)), shape


def is_product(coefficients, kernel):
    strengths, shape = shared_kernel.factors(jnp.asarray(coefficients), kernel)
    np.testing.assert_allclose(
        shared_kernel.products(strengths, shape), coefficients, rtol=1e-9, atol=1e-12
    )
    return np.asarray(strengths), np.asarray(shape)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_factors_are_those_that_were_multiplied(seed):
    kernel = kernel_of(make_problem(SESSIONS, structure=STRUCTURE))
    strengths, shape = some_products(seed)
    found = is_product(shared_kernel.products(strengths, shape), kernel)
    np.testing.assert_allclose(found[0], strengths, rtol=1e-6)
    np.testing.assert_allclose(found[1], shape, rtol=1e-6)


def test_a_connection_without_weights_has_the_default_kernel(problem):
    kernel = kernel_of(problem)
    strengths, shape = some_products(0)
    strengths[:, 1, 2] = 0
    found = shared_kernel.factors(jnp.asarray(shared_kernel.products(strengths, shape)), kernel)
    np.testing.assert_allclose(found[1][1, 1], kernel.default[1])
    np.testing.assert_allclose((kernel.default @ BASIS).sum(-1), 1)
    assert np.isfinite(found[0]).all()


def test_what_is_no_product_becomes_one(problem):
    penalty = ridge_penalty(problem, N_STATES)
    weights = make_params().coefficients
    allowed = feasible(weights, penalty)
    is_product(allowed, penalty.kernel)
    np.testing.assert_allclose(feasible(allowed, penalty), allowed, atol=1e-12)


def test_regressions_on_strengths_are_the_chain_rule():
    strengths, shape = some_products(1)
    rng, n_others = np.random.default_rng(1), 2  # columns after those of weights
    n_columns = 1 + N_NEURONS * N_BASIS + n_others
    gradient = rng.normal(size=(N_STATES, N_NEURONS, n_columns))
    root = rng.normal(size=(N_STATES, N_NEURONS, n_columns, n_columns))
    hessian = root @ root.swapaxes(-1, -2)
    slope, curve = shared_kernel.on_strengths(gradient, hessian, shape)
    for state, post in np.ndindex(N_STATES, N_NEURONS):
        columns = np.zeros((n_columns, 1 + N_NEURONS + n_others))
        for index in range(1 + N_NEURONS + n_others):
            unit = np.zeros((*strengths.shape[:2], columns.shape[1]))
            unit[..., index] = 1
            columns[:, index] = shared_kernel.products(unit, shape)[state, post]
        np.testing.assert_allclose(slope[state, post], gradient[state, post] @ columns)
        np.testing.assert_allclose(
            curve[state, post], columns.T @ hessian[state, post] @ columns, rtol=1e-8
        )


@pytest.mark.slow
def test_a_kernel_step_is_the_best_that_keeps_the_strengths(problem):
    kernel = kernel_of(problem)
    strengths, shape = some_products(2, one_signed=True)
    weights = np.asarray(shared_kernel.products(strengths, shape))
    rng = np.random.default_rng(2)
    gradient = 0.05 * rng.normal(size=weights.shape)
    root = rng.normal(size=(*weights.shape, weights.shape[-1]))
    hessian = root @ root.swapaxes(-1, -2)
    move, gain = shared_kernel.kernel_step(gradient, hessian, strengths, shape, kernel)
    found = is_product(weights + move, kernel)
    np.testing.assert_allclose(found[0], strengths, rtol=1e-6)

    def model(shape):
        step = np.asarray(shared_kernel.products(strengths, shape)) - weights
        quadratic = (step * gradient).sum() - 0.5 * np.einsum("snp,snpq,snq->", step, hessian, step)
        return quadratic + float(shared_kernel.log_prior(jnp.asarray(shape), kernel))

    np.testing.assert_allclose(gain.sum(), model(found[1]) - model(shape), rtol=1e-6)
    for scale in (0.9, 1.1):
        assert model(shape + scale * (found[1] - shape)) < model(found[1])


def test_unused_kernels_stay_and_gain_nothing(problem):
    kernel = kernel_of(problem)
    strengths, shape = some_products(5, one_signed=True)
    strengths[:, :, 1:] = 0
    strengths[0, 0, 1] = 1.0
    hessian = np.broadcast_to(np.eye(1 + N_NEURONS * N_BASIS), (N_STATES, N_NEURONS, 7, 7))
    gradient = np.random.default_rng(5).normal(size=hessian.shape[:3])
    move, gain = shared_kernel.kernel_step(gradient, hessian, strengths, shape, kernel)
    assert gain[0] > 0
    np.testing.assert_array_equal(gain[1:], 0)
    np.testing.assert_array_equal(np.asarray(move)[..., 1 + N_BASIS :], 0)
    count = shared_kernel.effective_shapes(hessian, strengths, shape, kernel)
    assert 0 < float(count) < N_BASIS - 1
    certain = shared_kernel.effective_shapes(1e9 * hessian, strengths, shape, kernel)
    assert float(certain) == pytest.approx(N_BASIS - 1, abs=1e-5)


@pytest.mark.slow
def test_only_one_factor_of_a_neuron_moves(problem):
    penalty = ridge_penalty(problem, N_STATES)
    strengths, shape = some_products(3, one_signed=True)
    weights = jnp.asarray(shared_kernel.products(strengths, shape))
    rng = np.random.default_rng(3)
    root = rng.normal(size=(*weights.shape, weights.shape[-1]))
    curvature = Curvature(
        jnp.asarray(0.05 * rng.normal(size=weights.shape)),
        jnp.asarray(root @ root.swapaxes(-1, -2)),
    )
    for learned in (True, False):
        held = penalty._replace(kernel=penalty.kernel._replace(learned=jnp.asarray(learned)))
        moved = weights + newton_step(curvature, held, weights)
        found = is_product(moved, penalty.kernel)
        same = [
            np.isclose(new, old, rtol=1e-6).reshape(*new.shape[:-2], -1).all(-1)
            for new, old in zip(
                (found[0].swapaxes(0, 1)[:, None], found[1][:, None]),
                (strengths.swapaxes(0, 1)[:, None], shape[:, None]),
                strict=True,
            )
        ]
        assert (same[0] | same[1]).all()
        assert learned or same[1].all()
        is_product(weights + 0.5 * (moved - weights), penalty.kernel)


@pytest.mark.slow
@pytest.mark.parametrize("self_history", ["coupling", "shared"])
def test_the_objective_never_falls_and_products_stay_products(self_history):
    structure = STRUCTURE | {"self_history": self_history}
    problem = make_problem(SESSIONS, structure=structure)
    penalty = ridge_penalty(problem, N_STATES)
    params = make_params(0.6)
    start = params._replace(coefficients=feasible(params.coefficients, penalty))
    state, advance, objectives = em.init(on_device(start)), stepper(problem, penalty), []
    for _ in range(25):
        state = advance(state)
        objectives.append(float(state.objective))
    assert np.diff(objectives).min() >= -1e-9 * abs(objectives[0])
    strengths, shape = is_product(state.accepted.coefficients, penalty.kernel)
    assert np.abs(shape - penalty.kernel.default).max() > 0.01
    if self_history == "shared":
        own = np.einsum("snn->sn", strengths[..., 1:])
        np.testing.assert_allclose(own[0], own[1])


@pytest.mark.slow
def test_the_slope_is_zero_at_the_fit(problem):
    penalty, params = ridge_penalty(problem, N_STATES), on_device(make_params(0.6))
    state = em.init(params._replace(coefficients=jnp.asarray(feasible(params[0], penalty))))
    state = em.run(state, stepper(problem, penalty), max_iter=1000, tol=1e-15)[0]
    strengths, shape = shared_kernel.factors(state.accepted.coefficients, penalty.kernel)

    def objective(strengths, shape):
        weights = shared_kernel.products(strengths, shape)
        fitted = state.accepted._replace(coefficients=weights)
        likelihood = marginal_log_likelihood(fitted, problem.recording, Emission(SIZE, "softplus"))
        return likelihood + log_penalty(penalty, weights)

    slopes = jax.jit(jax.grad(objective, (0, 1)))
    for slope, before in zip(slopes(strengths, shape), slopes(0.9 * strengths, shape), strict=True):
        assert np.abs(slope).max() < 1e-3 * np.abs(before).max()


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_priors_are_learned_about_strengths(problem, prior):
    params = make_params(0.6)
    penalty = ridge_penalty(problem, N_STATES)
    start = params._replace(coefficients=feasible(params.coefficients, penalty))
    state = em.run(em.init(on_device(start)), stepper(problem, penalty), max_iter=5, tol=0.0)[0]
    learned = learn(problem, state, prior)
    strengths, _ = is_product(learned.state.accepted.coefficients, penalty.kernel)
    if prior == "gaussian":
        assert learned.prior.mean.shape == (N_NEURONS, N_NEURONS, 1)
        assert bool(learned.penalty.kernel.learned)
    if prior == "one-hot":
        types = learned.types.type_proba.argmax(-1) - 1
        assert (strengths[..., 1:][types == 0] == 0).all()
        assert (strengths[..., 1:] * types >= 0).all()


def test_the_prior_counts_kernels_and_their_roughness(problem):
    penalty = ridge_penalty(problem, N_STATES)
    strengths, shape = some_products(4)
    weights = jnp.asarray(shared_kernel.products(strengths, shape))
    deviation = strengths - np.asarray(penalty.mean)
    expected = -0.5 * (np.asarray(penalty.precision) * deviation**2).sum()
    expected -= 0.5 * ((shape - penalty.kernel.default) ** 2).sum() / shared_kernel.KERNEL_SD**2
    expected -= 0.5 * 0.5 * (np.diff(shape @ BASIS, 2, axis=-1) ** 2).sum()
    np.testing.assert_allclose(log_penalty(penalty, weights), expected)
