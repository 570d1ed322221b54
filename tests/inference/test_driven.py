"""Transitions that inputs drive: the M-step against a general optimiser, and EM around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from onehotglm.inference import decode, driven, em
from onehotglm.inference.learning import ridge_penalty, stepper
from onehotglm.model.transitions import TransitionPrior
from tests.inference.tiny import (
    N_STATES,
    SIZE,
    log_likelihoods_of,
    make_counts,
    make_params,
    make_problem,
    on_device,
)
from tests.kernels.hmm_oracle import Enumeration, Problem

pytestmark = pytest.mark.usefixtures("float64")
N_INPUTS = 2
PRIOR = TransitionPrior(1.1, 2.0, 0.5)


def make_inputs(n_time, seed=0):
    return np.random.default_rng(seed).normal(size=(n_time, N_INPUTS))


def with_weights(params, scale=1.0, seed=0):
    weights = scale * np.random.default_rng(seed).normal(size=(N_STATES, N_INPUTS))
    return params._replace(transition_weights=weights - weights.mean(0))


def make_driven_problem(sessions, **changes):
    problem = make_problem(sessions, transition_prior=PRIOR, **changes)
    inputs = jnp.asarray(make_inputs(problem.recording.n_time))
    return problem._replace(recording=problem.recording._replace(transition_inputs=inputs))


# ---------------------------------------------------------------------------- M-step


def random_expectations(seed, n_time=2 * SIZE, n_states=3):
    """Pair probabilities as a smoother might find them, and inputs that have to do with them."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_time, N_INPUTS))
    starts = rng.random(n_time) < 0.1
    starts[0] = True
    pairs = rng.dirichlet(np.full(n_states**2, 0.3), n_time).reshape(-1, n_states, n_states)
    pairs[:, :, 0] *= np.exp(inputs[:, :1])
    pairs = np.where(starts[:, None, None], 0.0, pairs / pairs.sum((1, 2), keepdims=True))
    found = driven.Expected(pairs.sum(0), pairs.sum(2), pairs.sum(1), inputs)
    return found, pairs


def objective(x, prior, pairs, inputs):
    """Minus the penalised expected log-likelihood, by its definition."""
    n_states = pairs.shape[1]
    base = log_softmax(x[: n_states**2].reshape(n_states, -1), axis=-1)
    weights = x[n_states**2 :].reshape(n_states, -1)
    log_proba = log_softmax(base + (inputs @ weights.T)[:, None], axis=-1)
    pseudo = prior.concentration - 1 + prior.stickiness * np.eye(n_states)
    penalty = 0.5 * prior.input_ridge * (weights**2).sum()
    return penalty - (pairs * log_proba).sum() - (pseudo * base).sum()


@jax.jit
def m_step(params, found):
    at = params.transition, params.transition_weights
    return driven.most_probable(PRIOR, *at, found, jnp.asarray(2), SIZE)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_m_step_ends_at_the_maximum(seed):
    found, pairs = random_expectations(seed)
    params = make_params()._replace(
        transition=jnp.full((3, 3), 1 / 3), transition_weights=jnp.zeros((3, N_INPUTS))
    )
    with jax.enable_x64(True):
        values = []
        for _ in range(4):
            transition, weights = m_step(on_device(params), on_device(found))
            params = params._replace(transition=transition, transition_weights=weights)
            x = np.concatenate([np.log(transition).ravel(), np.ravel(weights)])
            values.append(objective(x, PRIOR, pairs, found.inputs))
    best = minimize(objective, np.zeros(9 + 3 * N_INPUTS), (PRIOR, pairs, found.inputs), tol=1e-12)
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(weights, best.x[9:].reshape(3, -1), atol=1e-3)
    np.testing.assert_allclose(np.asarray(weights).sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(transition).sum(1), 1, rtol=1e-12)


def test_without_effect_of_the_inputs_the_matrix_is_that_of_counts():
    found, _ = random_expectations(0)
    found = found._replace(inputs=np.zeros_like(found.inputs))
    params = make_params()._replace(
        transition=jnp.full((3, 3), 1 / 3), transition_weights=jnp.zeros((3, N_INPUTS))
    )
    for _ in range(3):
        transition, weights = m_step(on_device(params), on_device(found))
        params = params._replace(transition=transition, transition_weights=weights)
    counts = found.counts + 0.1 + 2.0 * np.eye(3)
    np.testing.assert_allclose(transition, counts / counts.sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(weights, 0)


@pytest.mark.slow
def test_m_step_survives_single_precision_and_impossible_transitions():
    found, pairs = random_expectations(3)
    matrix = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1 / 3] * 3])
    params = make_params()._replace(transition=matrix, transition_weights=np.zeros((3, N_INPUTS)))
    with jax.enable_x64(False):
        for _ in range(6):
            transition, weights = m_step(on_device(params, "float32"), on_device(found, "float32"))
            assert transition.dtype == weights.dtype == "float32"
            params = params._replace(transition=transition, transition_weights=weights)
    x = np.concatenate([np.log(transition).ravel(), np.ravel(weights)]).astype(float)
    best = minimize(objective, np.zeros(15), (PRIOR, pairs, found.inputs), tol=1e-12)
    assert objective(x, PRIOR, pairs, found.inputs) == pytest.approx(best.fun, abs=0.02)


# -------------------------------------------------------------------------------- EM


@pytest.mark.slow
def test_penalised_objective_never_falls_and_ends_flat():
    problem = make_driven_problem(make_counts())
    advance = stepper(problem, ridge_penalty(problem, N_STATES))
    objectives = []
    state = em.init(on_device(with_weights(make_params(1.5, 1))))
    for _ in range(60):
        state = advance(state)
        objectives.append(float(state.objective))
    assert np.diff(objectives).min() >= -1e-9 * abs(objectives[-1])
    # At the end no direction of the inputs' weights leads higher.
    accepted = state.accepted

    def objective_at(weights):
        moved = accepted._replace(transition_weights=weights)
        return advance(em.init(moved)).objective

    at = np.asarray(accepted.transition_weights)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-3
        slope = (objective_at(at + step) - objective_at(at - step)) / 2e-3
        assert abs(slope) < 0.02


@pytest.mark.slow
def test_likelihood_is_the_sum_over_all_paths():
    counts = make_counts(lengths=(7,))[0]
    problem, params = make_driven_problem([counts]), with_weights(make_params())
    log_lik = log_likelihoods_of(counts, params.coefficients, "softplus")
    inputs = np.asarray(problem.recording.transition_inputs)[:7]
    moves = params.transition * np.exp(inputs @ params.transition_weights.T)[:, None]
    moves /= moves.sum(-1, keepdims=True)
    truth = Enumeration(Problem(params.initial, moves, log_lik, np.zeros(7, bool)))
    state = stepper(problem, ridge_penalty(problem, N_STATES))(em.init(on_device(params)))
    np.testing.assert_allclose(state.log_likelihood, truth.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(state.occupancy, truth.marginals().sum(0), rtol=1e-10)
    options = {"size": SIZE, "link": "softplus"}
    path = decode.most_likely_path(on_device(params), problem.recording, **options)
    np.testing.assert_array_equal(path[:7], truth.best_path())
    proba = decode.path_log_proba(on_device(params), problem.recording, **options)
    best = truth.log_joint.max() - truth.log_likelihood
    np.testing.assert_allclose(np.asarray(proba)[:7].sum(), best, rtol=1e-9)
    causal = decode.filtered(on_device(params), problem.recording, **options)
    np.testing.assert_allclose(causal.probabilities[6], truth.marginals()[6], atol=1e-10)
    np.testing.assert_allclose(
        np.asarray(causal.log_normalizers)[:7].sum(), truth.log_likelihood, rtol=1e-10
    )
