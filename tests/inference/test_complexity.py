"""Effective numbers of parameters, where they are known."""

import numpy as np
import pytest

from onehotglm.inference.complexity import effective_parameters
from onehotglm.inference.em import EMState
from onehotglm.inference.learning import Learned
from onehotglm.inference.newton import Penalty
from onehotglm.inference.statistics import Curvature
from onehotglm.model.params import Params
from onehotglm.model.priors import GaussianPrior, gaussian_penalty
from tests.inference.tiny import N_COLUMNS, N_NEURONS, N_STATES, make_counts, make_problem

SHAPE = (N_STATES, N_NEURONS, N_COLUMNS)
CHAIN = N_STATES**2 - 1


def learned(precision, free=True, prior=None, information=None, **rest) -> Learned:
    """A fit of which only the curvature and the penalty matter."""
    rng = np.random.default_rng(0)
    if information is None:
        factors = rng.normal(size=(*SHAPE, 2 * N_COLUMNS))
        information = factors @ np.swapaxes(factors, -1, -2)
    curvature = Curvature(np.zeros(SHAPE), information)
    params = Params(np.ones(SHAPE), np.eye(N_STATES), np.ones(N_STATES) / N_STATES)
    state = EMState(params, params, 0.0, 0.0, curvature, np.ones(N_STATES), False)
    penalty = Penalty(
        np.zeros(SHAPE), np.broadcast_to(precision, SHAPE), free & np.ones(SHAPE, bool), **rest
    )
    return Learned(state, penalty, prior, None, None, "converged")


@pytest.fixture
def problem(float64):
    return make_problem(make_counts())


def test_without_a_prior_every_coefficient_counts(problem) -> None:
    assert effective_parameters(problem, learned(0.0)) == pytest.approx(np.prod(SHAPE) + CHAIN)


def test_what_the_prior_holds_does_not_count(problem) -> None:
    precision = np.full(N_COLUMNS, 1e9)
    precision[0] = 0.0
    found = effective_parameters(problem, learned(precision))
    assert found == pytest.approx(N_STATES * N_NEURONS + CHAIN, abs=1e-3)
    halves = np.broadcast_to(7.0 * np.eye(N_COLUMNS), (*SHAPE, N_COLUMNS))
    found = effective_parameters(problem, learned(7.0, information=halves))
    assert found == pytest.approx(np.prod(SHAPE) / 2 + CHAIN)


def test_absent_connections_do_not_count(problem) -> None:
    free = np.random.default_rng(1).random(SHAPE) < 0.5
    assert effective_parameters(problem, learned(0.0, free)) == pytest.approx(free.sum() + CHAIN)


def test_what_a_sign_holds_at_zero_does_not_count(problem) -> None:
    fit = learned(0.0, sign=np.ones(SHAPE[1:], int))
    coefficients = np.random.default_rng(1).integers(0, 2, SHAPE).astype(float)
    accepted = fit.state.accepted._replace(coefficients=coefficients)
    fit = fit._replace(state=fit.state._replace(accepted=accepted))
    assert effective_parameters(problem, fit) == pytest.approx(coefficients.sum() + CHAIN)


def test_what_states_share_counts_once(problem) -> None:
    tied = np.array([[0, 2], [0, 3], [0, 1]])
    found = effective_parameters(problem, learned(0.0, tied=tied))
    assert found == pytest.approx(np.prod(SHAPE) - (N_STATES - 1) * tied.size + CHAIN)


def test_a_learned_mean_counts_for_what_follows_it(problem) -> None:
    rng = np.random.default_rng(2)
    shape = (N_NEURONS, N_NEURONS, problem.n_basis)
    sd, mean_sd = rng.uniform(0.1, 1.0, shape), np.full(problem.n_basis, 0.7)
    prior = GaussianPrior(np.zeros(shape), sd, mean_sd)
    precision = np.zeros(SHAPE)
    precision[..., 1:] = gaussian_penalty(prior, N_STATES).precision.reshape(*SHAPE[:2], -1)
    data = rng.uniform(1.0, 30.0, SHAPE)
    information = data[..., None] * np.eye(N_COLUMNS)
    found = effective_parameters(problem, learned(precision, prior=prior, information=information))
    # With independent weights: trace of (H + D)^-1 H, D the inverse of the weights' covariance
    # over states once the mean is integrated out.
    weights = data[..., 1:].reshape(N_STATES, *shape)
    expected = N_STATES * N_NEURONS + CHAIN
    for place in np.ndindex(shape):
        covariance = sd[place] ** 2 * np.eye(N_STATES) + mean_sd[place[-1]] ** 2
        h = np.diag(weights[(slice(None), *place)])
        expected += np.trace(np.linalg.solve(h + np.linalg.inv(covariance), h))
    assert found == pytest.approx(expected, rel=1e-4)
