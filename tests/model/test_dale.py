"""Signs of neurons, against summing over both by hand."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

from onehotglm.model import dale, priors

N_STATES, N_NEURONS = 2, 4
SHAPE = (N_STATES, N_NEURONS, N_NEURONS, 1)
SYNAPSE = ~np.eye(N_NEURONS, dtype=bool)
UNKNOWN = np.zeros(N_NEURONS, int)


def evidence(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.4, SHAPE), rng.uniform(0.05, 0.5, SHAPE)


def prior(seed=0):
    start = priors.initial_one_hot((N_NEURONS, N_NEURONS), 1)
    proba = np.random.default_rng(seed).dirichlet(np.ones(3), (N_NEURONS, N_NEURONS))
    return start._replace(type_proba=proba)


def test_types_and_signs_are_summed_over_both_signs_of_a_neuron():
    estimate, variance = evidence()
    types, signs = dale.signed_types(prior(), estimate, variance, SYNAPSE, UNKNOWN)
    # Types without the law, at even probabilities, hold the evidence of each type.
    even = prior()._replace(type_proba=np.full((N_NEURONS, N_NEURONS, 3), 1 / 3))
    log_lik = np.log(priors.type_posterior(even, estimate, variance).type_proba)
    absent = prior().type_proba[..., 1]
    joint = np.zeros((2, *SHAPE[:3], 3))
    for index, side in enumerate((0, 2)):
        joint[index, ..., 1] = absent * np.exp(log_lik[..., 1])
        joint[index, ..., side] = (1 - absent) * np.exp(log_lik[..., side])
    total = np.log(joint.sum(-1))
    odds = np.where(SYNAPSE, total[1] - total[0], 0).sum((0, 1))
    part = (signs.proba.sum() + 1) / (N_NEURONS + 2)
    np.testing.assert_allclose(
        np.log(signs.proba / (1 - signs.proba)), odds + np.log(part / (1 - part)), atol=1e-4
    )
    np.testing.assert_array_equal(signs.sign, np.where(signs.proba >= 0.5, 1, -1))
    given_sign = joint / joint.sum(-1, keepdims=True)
    q = signs.proba[:, None]
    expected = (1 - q) * given_sign[0] + q * given_sign[1]
    np.testing.assert_allclose(types.type_proba[:, SYNAPSE], expected[:, SYNAPSE], rtol=1e-9)


def test_the_law_does_not_hold_for_self_histories():
    estimate, variance = evidence()
    types, signs = dale.signed_types(prior(), estimate, variance, SYNAPSE, UNKNOWN)
    plain = priors.type_posterior(prior(), estimate, variance)
    np.testing.assert_array_equal(types.type_proba[:, ~SYNAPSE], plain.type_proba[:, ~SYNAPSE])
    other = np.where(SYNAPSE[None, :, :, None], estimate, -5.0)
    _, same = dale.signed_types(prior(), other, variance, SYNAPSE, UNKNOWN)
    np.testing.assert_array_equal(same.proba, signs.proba)
    divided = dale.with_signs(prior(), signs, SYNAPSE).type_proba
    np.testing.assert_array_equal(divided[~SYNAPSE], prior().type_proba[~SYNAPSE])


@pytest.mark.parametrize("given", [[1, -1, 1, -1], [0, 0, 1, -1]])
def test_given_signs_are_kept(given):
    given = np.array(given)
    types, signs = dale.signed_types(prior(), *evidence(), SYNAPSE, given)
    known = given != 0
    np.testing.assert_array_equal(signs.sign[known], given[known])
    np.testing.assert_array_equal(signs.proba[known], given[known] > 0)
    assert ((signs.proba[~known] > 0) & (signs.proba[~known] < 1)).all()
    wrong = np.where(given > 0, types.type_proba[..., 0], types.type_proba[..., 2])
    assert (wrong[:, SYNAPSE & known] < 1e-200).all()
    divided = dale.with_signs(prior(), signs, SYNAPSE).type_proba
    np.testing.assert_allclose(divided.sum(-1), 1)
    np.testing.assert_allclose(divided[..., 1], prior().type_proba[..., 1])


def joint(strength, sign, slab_sd, estimate, sd):
    return norm.pdf(strength, 0, slab_sd) * norm.pdf(sign * strength, estimate, sd)


def test_signs_of_weights_that_are_absent_or_half_normal():
    estimate, variance = evidence(3)
    estimate = np.where(np.random.default_rng(4).random(SHAPE) < 0.5, 4 * estimate, estimate)
    found = dale.signs_of_weights(estimate, variance, SYNAPSE, UNKNOWN)
    between = estimate[:, SYNAPSE].ravel(), variance[:, SYNAPSE].ravel()

    def negative_log_posterior(parameters):
        present, slab = expit(parameters[0]), np.exp(parameters[1])
        absent = norm.pdf(between[0], 0, between[1] ** 0.5)
        exists = norm.pdf(between[0], 0, (slab + between[1]) ** 0.5)
        prior = np.log(present) + np.log(1 - present)
        return -np.log((1 - present) * absent + present * exists).sum() - prior

    best = minimize(negative_log_posterior, [0.0, -2.0], method="Nelder-Mead").x
    present, slab = expit(best[0]), np.exp(best[1])
    assert 0.2 < present < 0.8
    odds = np.zeros(N_NEURONS)
    for state, post, pre in np.argwhere(np.broadcast_to(SYNAPSE, SHAPE[:3])):
        where = estimate[state, post, pre, 0], variance[state, post, pre, 0] ** 0.5
        mass = [quad(joint, 0, 9, (s, slab**0.5, *where))[0] for s in (-1, 1)]
        absent = (1 - present) * norm.pdf(0, *where)
        odds[pre] += np.log((absent + 2 * present * mass[1]) / (absent + 2 * present * mass[0]))
    part = (found.proba.sum() + 1) / (N_NEURONS + 2)
    np.testing.assert_allclose(
        np.log(found.proba / (1 - found.proba)), odds + np.log(part / (1 - part)), atol=1e-2
    )


def test_a_neuron_that_sends_nothing_has_no_sign_for_sure():
    rng = np.random.default_rng(0)
    true = np.where(SYNAPSE, rng.uniform(0.4, 1.2, (2, N_NEURONS, N_NEURONS)), 0)
    true[:, :, 0] = 0
    estimate = (true + rng.normal(0, 0.2, true.shape))[..., None]
    found = dale.signs_of_weights(estimate, np.full(SHAPE, 0.04), SYNAPSE, UNKNOWN)
    assert (found.proba[1:] > 0.999).all()
    assert 0.1 < found.proba[0] < 0.95
