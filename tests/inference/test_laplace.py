"""Covariances under constraints, and types from independent evidence."""

import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.inference.information import Information
from onehotglm.inference.laplace import (
    Scope,
    Terms,
    covariance,
    one_hot_posterior,
    tied_precision,
)
from onehotglm.model import priors
from onehotglm.model.dale import Signs
from onehotglm.model.priors import GaussianPrior, OneHotPrior

N_STATES, N_POST, N_PRE = 3, 2, 2
SHAPE = (N_STATES, N_POST, 1 + N_PRE)


def make_information(seed=0):
    root = np.random.default_rng(seed).normal(size=(np.prod(SHAPE), 40))
    return root @ root.T / 4


def make_terms(**changes):
    values = {
        "precision": np.full(SHAPE, 0.7),
        "tie": np.zeros(SHAPE[1:]),
        "free": np.ones(SHAPE, bool),
        "shared": None,
    }
    return Terms(**values | changes)


def test_covariance_is_the_inverse():
    information = make_information()
    expected = np.linalg.inv(information + 0.7 * np.eye(len(information)))
    np.testing.assert_allclose(covariance(information, make_terms()), expected, rtol=1e-9)


def test_a_prior_against_roughness_adds_to_every_state():
    information, rough = make_information(), np.zeros((N_POST, 1 + N_PRE, 1 + N_PRE))
    rough[0, 1:, 1:] = [[3.0, -2.0], [-2.0, 3.0]]
    expected = information + 0.7 * np.eye(len(information))
    for state in range(N_STATES):
        first = state * N_POST * (1 + N_PRE)
        expected[first : first + 1 + N_PRE, first : first + 1 + N_PRE] += rough[0]
    found = covariance(information, make_terms(roughness=rough))
    np.testing.assert_allclose(found, np.linalg.inv(expected), rtol=1e-9)


def test_means_that_are_integrated_out_tie_the_states():
    # The same as estimating the mean W0 of each connection with the weights.
    information = make_information()
    prior = GaussianPrior(
        np.zeros((N_POST, N_PRE, 1)), np.full((N_POST, N_PRE, 1), 0.6), np.array([0.9])
    )
    precision, tie = (x[..., 0] for x in tied_precision(prior, N_STATES))
    terms = make_terms()
    terms.precision[..., 1:], terms.tie[:, 1:] = precision, tie
    found = covariance(information, terms)
    n_all = len(information)
    joint = np.zeros((n_all + N_POST * N_PRE,) * 2)
    joint[:n_all, :n_all] = information
    places = np.arange(n_all).reshape(SHAPE)
    for post in range(N_POST):
        joint[places[:, post, 0], places[:, post, 0]] += 0.7
        for pre in range(N_PRE):
            mine, mean = places[:, post, 1 + pre], n_all + post * N_PRE + pre
            joint[mine, mine] += 0.6**-2
            joint[mine, mean] = joint[mean, mine] = -(0.6**-2)
            joint[mean, mean] = N_STATES * 0.6**-2 + 0.9**-2
    np.testing.assert_allclose(found, np.linalg.inv(joint)[:n_all, :n_all], rtol=1e-8, atol=1e-10)


def test_what_is_held_or_shared():
    information = make_information()
    free = np.ones(SHAPE, bool)
    free[:, 1, 2] = False
    found = covariance(information, make_terms(free=free, shared=np.array([[0], [0]])))
    variance = np.diagonal(found).reshape(SHAPE)
    assert (variance[:, 1, 2] == 0).all()
    assert np.ptp(variance[..., 0], axis=0).max() < 1e-12
    blocks = found.reshape(*SHAPE, *SHAPE)
    assert blocks[0, 0, 0, 2, 0, 0] == pytest.approx(variance[0, 0, 0])
    # One number for all states is known better.
    apart = covariance(information, make_terms(free=free))
    assert (variance[..., 0] < np.diagonal(apart).reshape(SHAPE)[..., 0]).all()


def test_nothing_known_and_no_maximum():
    information = make_information()
    information[4], information[:, 4] = 0, 0
    precision = np.zeros(SHAPE)
    found = covariance(information, make_terms(precision=precision))
    assert np.isinf(found[4, 4])
    assert np.isfinite(np.delete(np.diagonal(found), 4)).all()
    with pytest.raises(InvalidInputError, match=r"not positive definite.*smaller tol"):
        covariance(-make_information(), make_terms())


def independent_evidence(n_states, estimate, variance):
    """Information of coefficients that do not meet, and their values."""
    shape = (n_states, N_POST, 1 + N_PRE)
    coefficients = np.zeros(shape)
    coefficients[..., 1:] = estimate
    matrix = np.diag(np.broadcast_to(1 / variance, shape).ravel())
    return Information(np.zeros(shape), matrix), coefficients


PRIOR = OneHotPrior(
    np.full((N_POST, N_PRE, 3), 1 / 3), np.array([[0.8], [0.6]]), np.array([[0.4], [0.3]])
)
ALL = np.ones((N_POST, N_PRE), bool)


def propagate(n_states, estimate, scope=None):
    scope = Scope(ALL, ALL, None) if scope is None else scope
    information, coefficients = independent_evidence(n_states, estimate, 0.04)
    shape = coefficients.shape
    terms = Terms(np.ones(shape), np.zeros(shape[1:]), np.ones(shape, bool), None)
    return one_hot_posterior(information, coefficients, terms, np.zeros(N_POST), PRIOR, scope)


def test_independent_evidence_is_read_off():
    estimate = np.array([[[0.7, -0.3], [0.05, 0.4]]])
    found = propagate(1, estimate)
    np.testing.assert_allclose(found.estimate[..., 0], estimate, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0.04, rtol=1e-6)
    expected = priors.type_posterior(PRIOR, estimate[..., None], np.full((1, 2, 2, 1), 0.04))
    np.testing.assert_allclose(found.types.type_proba, expected.type_proba, rtol=1e-6)
    mean, _ = priors.mixture_moments(expected)
    np.testing.assert_allclose(found.mean[..., 1:], mean[..., 0], rtol=0.02, atol=1e-3)


def test_other_states_inform_a_type_and_its_own_evidence_counts_once():
    weak = np.array([[[0.3, 0.0], [0.0, 0.0]]])
    alone = propagate(1, weak).types.type_proba[0, 0, 0]
    strong = weak + np.array([[[0.6, 0.0], [0.0, 0.0]]])
    others = np.concatenate([weak, strong, strong])
    together = propagate(3, others).types.type_proba[0, 0, 0]
    assert together[2] > alone[2] + 0.1
    # With one state there is nothing to learn from: the proportions of all remain the prior.
    np.testing.assert_allclose(
        alone,
        priors.type_posterior(PRIOR, weak[..., None], np.full((1, 2, 2, 1), 0.04)).type_proba[
            0, 0, 0
        ],
        rtol=1e-6,
    )


def test_scope_and_signs():
    estimate = np.array([[[0.7, -0.3], [0.05, 0.4]]])
    under_prior = np.array([[False, True], [True, True]])
    signs = Signs(np.array([1, 1]), np.array([1.0, 1.0]))
    found = propagate(1, estimate, Scope(under_prior, ALL, signs))
    np.testing.assert_array_equal(found.types.type_proba[0, 0, 0], [0, 1, 0])
    # Outside the prior a weight is under its ridge of precision 1.
    assert found.mean[0, 0, 1] == pytest.approx(0.7 * 25 / 26)
    assert found.types.type_proba[..., 0].max() < 1e-100
