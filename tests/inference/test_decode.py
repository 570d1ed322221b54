"""Decoding under fixed parameters, against enumeration of every path in numpy."""

from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp

from onehotglm.inference import decode
from tests.inference.tiny import (
    LINKS,
    N_STATES,
    SIZE,
    design_of,
    log_likelihoods_of,
    make_counts,
    make_params,
    on_device,
    packed,
)

pytestmark = pytest.mark.usefixtures("float64")
OPTIONS = {"size": SIZE, "link": "softplus"}
# Two sessions in one recording, the second with a missing count.
SESSIONS = make_counts(lengths=(6, 5))
SESSIONS[1][2, 0] = np.nan


@pytest.fixture(scope="module")
def params():
    return make_params(1.0, 3)


def paths_of(counts, params):
    """Every path of a session, and its log joint probability."""
    log_lik = log_likelihoods_of(counts, params.coefficients, "softplus")
    paths = np.array(list(product(range(N_STATES), repeat=len(counts))))
    moves = np.log(params.transition)[paths[:, :-1], paths[:, 1:]].sum(1)
    bins = log_lik[np.arange(len(counts)), paths].sum(1)
    return paths, np.log(params.initial)[paths[:, 0]] + moves + bins


def per_session(flat):
    return np.split(np.asarray(flat)[:11], [6])


def test_posterior_is_that_of_all_paths(params):
    result = decode.smoothed(on_device(params), packed(SESSIONS).recording, **OPTIONS)
    marginals, normalizers = map(per_session, (result.marginals, result.log_normalizers))
    for counts, marginal, normalizer in zip(SESSIONS, marginals, normalizers, strict=True):
        paths, joint = paths_of(counts, params)
        expected = np.exp(joint - logsumexp(joint)) @ (paths == 1)
        np.testing.assert_allclose(marginal[:, 1], expected, atol=1e-12)
        np.testing.assert_allclose(normalizer.sum(), logsumexp(joint), rtol=1e-12)
    # Padding adds nothing.
    np.testing.assert_allclose(np.asarray(result.log_normalizers)[11:], 0, atol=1e-12)


def test_path_is_the_most_likely_one(params):
    path = decode.most_likely_path(on_device(params), packed(SESSIONS).recording, **OPTIONS)
    for counts, found in zip(SESSIONS, per_session(path), strict=True):
        paths, joint = paths_of(counts, params)
        np.testing.assert_array_equal(found, paths[joint.argmax()])


def test_rates_are_expected_given_the_past(params):
    rates = decode.predicted_rates(on_device(params), packed(SESSIONS).recording, **OPTIONS)
    for counts, found in zip(SESSIONS, per_session(rates), strict=True):
        for t in range(len(counts)):
            weights = params.initial
            if t:
                paths, joint = paths_of(counts[:t], params)
                last = np.exp(joint - logsumexp(joint)) @ (paths[:, -1:] == [0, 1])
                weights = last @ params.transition
            per_state = LINKS["softplus"](params.coefficients @ design_of(counts)[t])
            np.testing.assert_allclose(found[t], weights @ per_state, rtol=1e-10)


def test_log_proba_is_that_of_the_most_likely_path(params):
    flat = decode.path_log_proba(on_device(params), packed(SESSIONS).recording, **OPTIONS)
    for counts, per_bin in zip(SESSIONS, per_session(flat), strict=True):
        _, joint = paths_of(counts, params)
        np.testing.assert_allclose(per_bin.sum(), joint.max() - logsumexp(joint), rtol=1e-10)
    assert (np.asarray(flat)[11:] == 0).all()
