"""Chains that an input drives against enumeration of every path, with a matrix per bin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels import hmm, hmm_driven
from tests.kernels.hmm_oracle import Enumeration, make_problem, up_to

N_TIME, N_STATES = 6, 3


@jax.jit
def decode(initial, transition, log_lik, starts, drive):
    """Everything that the kernels say of a driven chain."""
    given = hmm_driven.as_homogeneous(transition, drive, log_lik, starts)
    chain = (initial, transition, given, starts)
    filtered = hmm_driven.causal(hmm.filter_states(*chain), transition, drive, log_lik, starts)
    return hmm.smooth(*chain), hmm.most_likely_path(*chain), filtered


def driven(problem, drive):
    """Matrices (time, state, next_state) by the definition."""
    weights = problem.transition * np.exp(drive)[:, None]
    return problem._replace(transition=weights / weights.sum(-1, keepdims=True))


@st.composite
def problems(draw):
    starts = draw(st.sets(st.integers(0, N_TIME - 1)))
    seed = draw(st.integers(0, 1000))
    problem = make_problem(N_TIME, N_STATES, starts, seed, draw(st.sampled_from([0.0, 3.0])))
    if draw(st.booleans()):  # a transition that cannot be
        problem.transition[0] = [0.7, 0.3, 0.0]
    drive = draw(st.sampled_from([0.0, 2.0, 20.0])) * np.random.default_rng(seed).normal(
        size=(N_TIME, N_STATES)
    )
    return problem, drive


@settings(max_examples=25, deadline=None)
@given(problems())
def test_posterior_and_path_are_those_of_all_paths(case):
    problem, drive = case
    truth = Enumeration(driven(problem, drive))
    with jax.enable_x64(True):
        smoothed, path, _ = decode(*problem.jax(), jnp.asarray(drive))
    np.testing.assert_allclose(smoothed.log_likelihood, truth.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(smoothed.marginals, truth.marginals(), atol=1e-10)
    np.testing.assert_allclose(smoothed.transition_counts, truth.transition_counts(), atol=1e-10)
    which = (truth.paths == np.asarray(path)).all(1).argmax()
    assert truth.log_joint[which] == pytest.approx(truth.log_joint.max(), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(problems())
def test_filter_knows_no_later_input(case):
    problem, drive = case
    matrices = driven(problem, drive)
    with jax.enable_x64(True):
        _, _, filtered = decode(*problem.jax(), jnp.asarray(drive))
    before = 0.0
    for t in range(N_TIME):
        truth = Enumeration(up_to(matrices, t + 1))
        np.testing.assert_allclose(filtered.probabilities[t], truth.marginals()[t], atol=1e-10)
        added = truth.log_likelihood - before
        assert float(filtered.log_normalizers[t]) == pytest.approx(added, abs=1e-9)
        before = truth.log_likelihood
        unseen = matrices.log_lik.copy()
        unseen[t] = 0.0
        blind = Enumeration(up_to(matrices._replace(log_lik=unseen), t + 1))
        np.testing.assert_allclose(filtered.predicted[t], blind.marginals()[t], atol=1e-10)


def test_sessions_sum_to_their_own_likelihoods(float64):
    problem = make_problem(N_TIME, N_STATES, starts=[4])
    drive = np.random.default_rng(1).normal(size=(N_TIME, N_STATES))
    smoothed, *_ = decode(*problem.jax(), jnp.asarray(drive))
    first = Enumeration(up_to(driven(problem, drive), 4)).log_likelihood
    assert float(smoothed.log_normalizers[:4].sum()) == pytest.approx(first, rel=1e-12)


def test_without_a_drive_the_chain_is_homogeneous(float64):
    problem = make_problem(N_TIME, N_STATES, starts=[4])
    smoothed, *_ = decode(*problem.jax(), jnp.zeros((N_TIME, N_STATES)))
    truth = Enumeration(problem)
    np.testing.assert_allclose(smoothed.log_likelihood, truth.log_likelihood, rtol=1e-12)
