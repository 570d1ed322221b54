"""EM: objectives that never fall, and a likelihood that is the sum over all paths."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from onehotglm.inference import em
from onehotglm.inference.learning import ridge_penalty, stepper
from onehotglm.inference.newton import log_penalty
from onehotglm.model.transitions import TransitionPrior, log_density
from tests.inference.tiny import (
    LINKS,
    N_STATES,
    SIZE,
    log_likelihoods_of,
    make_counts,
    make_params,
    make_problem,
    on_device,
)

pytestmark = pytest.mark.usefixtures("float64")
SESSIONS = make_counts(missing=0.05)


def advance_of(problem):
    return stepper(problem, ridge_penalty(problem, N_STATES))


def accepted_objectives(problem, params, n_steps):
    """Objectives of accepted steps, and how many steps were rejected."""
    state, advance = em.init(on_device(params)), advance_of(problem)
    objectives, rejections = [], 0
    for _ in range(n_steps):
        state = advance(state)
        rejections += bool(state.rejected)
        if not state.rejected:
            objectives.append(float(state.objective))
    return np.array(objectives), rejections


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "cheap"])
@pytest.mark.parametrize("link", LINKS)
def test_penalised_objective_never_falls(link, exact):
    problem = make_problem(SESSIONS, link, exact)
    for seed, scale in [(0, 0.3), (1, 1.5), (2, 4.0)]:
        objectives, _ = accepted_objectives(problem, make_params(scale, seed), 30)
        assert len(objectives) >= 5
        falls = -np.diff(objectives).min()
        assert falls <= 1e-9 * abs(objectives[-1])
        assert objectives[-1] > objectives[0]


def test_objective_never_falls_with_a_shared_bias():
    problem = make_problem(SESSIONS, structure={"shared_bias": True})
    params = make_params(1.5, 1)
    coefficients = params.coefficients.copy()
    coefficients[..., 0] = coefficients[0, :, 0]
    objectives, _ = accepted_objectives(problem, params._replace(coefficients=coefficients), 30)
    assert -np.diff(objectives).min() <= 1e-9 * abs(objectives[-1])
    state, _ = em.run(
        em.init(on_device(params._replace(coefficients=coefficients))),
        advance_of(problem),
        max_iter=20,
        tol=0.0,
    )
    bias = np.asarray(state.accepted.bias)
    np.testing.assert_allclose(bias[0], bias[1], rtol=1e-12)


def test_rejected_candidates_move_half_way_back():
    problem = make_problem(SESSIONS)
    advance = advance_of(problem)
    good = advance(em.init(on_device(make_params())))
    far = good.accepted._replace(coefficients=good.accepted.coefficients + 20.0)
    state = advance(good._replace(candidate=far))
    assert state.rejected
    np.testing.assert_allclose(
        state.candidate.coefficients, 0.5 * (good.accepted.coefficients + far.coefficients)
    )
    np.testing.assert_array_equal(state.accepted.coefficients, good.accepted.coefficients)
    assert state.objective == good.objective
    for _ in range(em.MAX_HALVINGS):
        state = advance(state)
        if not state.rejected:
            break
    assert not state.rejected
    assert state.objective >= good.objective


def test_marginal_likelihood_sums_over_all_paths():
    counts = make_counts(lengths=(7,))[0]
    problem, params = make_problem([counts]), make_params()
    state = advance_of(problem)(em.init(on_device(params)))
    log_lik = log_likelihoods_of(counts, params.coefficients, "softplus")
    joint = []
    for path in product(range(N_STATES), repeat=len(counts)):
        moves = np.log(params.transition[path[:-1], path[1:]]).sum()
        bins = log_lik[np.arange(len(counts)), path].sum()
        joint.append(np.log(params.initial[path[0]]) + moves + bins)
    np.testing.assert_allclose(state.log_likelihood, logsumexp(joint), rtol=1e-12)
    # Expected bins per state from the same paths.
    weights = np.exp(joint - logsumexp(joint))
    visits = [np.bincount(p, minlength=N_STATES) for p in product(range(N_STATES), repeat=7)]
    np.testing.assert_allclose(state.occupancy, weights @ visits, rtol=1e-10)


def test_objective_is_likelihood_and_priors():
    problem, params = make_problem(SESSIONS), on_device(make_params())
    state = advance_of(problem)(em.init(params))
    prior = log_penalty(ridge_penalty(problem, N_STATES), params.coefficients) + log_density(
        problem.transition_prior, params.transition, params.initial
    )
    np.testing.assert_allclose(state.objective, state.log_likelihood + prior, rtol=1e-12)


def test_a_fixed_point_has_no_gradient():
    problem = make_problem(SESSIONS, tol=0.0)
    state, reason = em.run(
        em.init(on_device(make_params())), advance_of(problem), max_iter=400, tol=0.0
    )
    assert reason in ("converged", "no further increase")
    penalty = ridge_penalty(problem, N_STATES)
    gradient = state.curvature.gradient - penalty.precision * (
        state.accepted.coefficients - penalty.mean
    )
    assert np.abs(gradient).max() < 1e-3


def test_change_of_penalty_keeps_the_books():
    problem = make_problem(SESSIONS)
    old = ridge_penalty(problem, N_STATES)
    new = old._replace(precision=3.0 * old.precision)
    state = stepper(problem, old)(em.init(on_device(make_params())))
    changed = em.change_penalty(state, old, new)
    fresh = stepper(problem, new)(em.init(state.accepted))
    np.testing.assert_allclose(changed.objective, fresh.objective, rtol=1e-12)
    np.testing.assert_allclose(
        changed.candidate.coefficients, fresh.candidate.coefficients, rtol=1e-9
    )


# ----------------------------------------------------------------------- when it stops


def run(problem, params=None, **options):
    params = make_params() if params is None else params
    return em.run(em.init(on_device(params)), advance_of(problem), **options)


@pytest.mark.slow
def test_convergence_is_the_same_for_repeated_bins():
    # A prior that counts twice for twice the data, so that the optimum stays.
    once = make_problem(SESSIONS[:1], transition_prior=TransitionPrior(1.1, 0.0))
    twice = make_problem(
        SESSIONS[:1] * 2,
        transition_prior=TransitionPrior(1.2, 0.0),
        ridge=2.0,
        bias_precision=0.02,
    )
    steps = []
    for problem in (once, twice):
        taken = []
        state, reason = run(
            problem, max_iter=200, tol=1e-5, on_step=lambda s, taken=taken: taken.append(s)
        )
        assert reason == "converged"
        steps.append((len(taken), float(state.objective)))
    assert steps[0][0] == steps[1][0]
    np.testing.assert_allclose(2 * steps[0][1], steps[1][1], rtol=1e-9)


def fake_steps(objectives):
    """An `advance` that goes through given objectives; None is a rejection."""
    queue = iter(objectives)
    best = -np.inf

    def advance(state):
        nonlocal best
        value = next(queue)
        best = best if value is None else value
        return state._replace(objective=jnp.asarray(best), rejected=value is None)

    return advance


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_tolerance_is_relative(scale):
    # As for duplicated neurons, or bins, or another unit: all objectives scale alike.
    path = [scale * x for x in (-1e6, -1.5e5, -1.2e5, -1.19e5, -1.1899999e5, -1.18e5)]
    steps = []
    _, reason = em.run(
        em.init(on_device(make_params())),
        fake_steps(path),
        max_iter=50,
        tol=1e-6,
        on_step=lambda s: steps.append(s),
    )
    assert reason == "converged"
    assert len(steps) == 5


def test_stop_reasons():
    state = em.init(on_device(make_params()))
    options = {"max_iter": 20, "tol": 1e-9}
    assert em.run(state, fake_steps([-3.0, -2.0, -2.0]), **options)[1] == "converged"
    assert em.run(state, fake_steps(-1.0 / np.arange(1, 30)), **options)[1] == "max_iter"
    rejected = [-3.0] + [None] * em.MAX_HALVINGS
    assert em.run(state, fake_steps(rejected), **options)[1] == "no further increase"
    stopped = em.run(state, fake_steps([-3.0]), on_step=lambda _: True, **options)
    assert stopped[1] == "interrupted"


def test_short_runs_see_the_first_chunks_only():
    problem = make_problem(SESSIONS)
    params = on_device(make_params())
    short = stepper(problem, ridge_penalty(problem, N_STATES), 1)(em.init(params))
    cut = make_problem([SESSIONS[0][:SIZE]])
    alone = advance_of(cut)(em.init(params))
    np.testing.assert_allclose(short.log_likelihood, alone.log_likelihood, rtol=1e-10)
    for one, other in zip(*map(jax.tree.leaves, (short.candidate, alone.candidate)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)
