"""Newton steps against dense solutions of the same quadratic model."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import lsq_linear

from onehotglm.inference import newton
from onehotglm.inference.newton import Penalty, feasible, log_penalty, newton_step
from onehotglm.inference.statistics import Curvature

pytestmark = pytest.mark.usefixtures("float64")
SHAPE = N_STATES, N_NEURONS, N_COLUMNS = 2, 3, 4
step = jax.jit(newton_step)
# The bias of all neurons, and another column of each.
TIED = {"bias": np.zeros((N_NEURONS, 1), int), "two": np.array([[0, 1], [0, 3], [0, 2]])}


def make_problem(seed=0, fixed=0.0, tied=None):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(*SHAPE, 3 * N_COLUMNS))
    curvature = Curvature(rng.normal(size=SHAPE), root @ root.swapaxes(-1, -2))
    free = rng.random(SHAPE) >= fixed
    free[..., 0] = True
    if tied is not None:
        np.put_along_axis(free, np.broadcast_to(tied, (N_STATES, *tied.shape)), True, -1)
    penalty = Penalty(rng.normal(size=SHAPE), rng.gamma(2.0, size=SHAPE), free, tied)
    return curvature, penalty, feasible(rng.normal(size=SHAPE), penalty)


def penalised(curvature, penalty, coefficients):
    gradient = curvature.gradient - penalty.precision * (coefficients - penalty.mean)
    eye = np.eye(N_COLUMNS)
    return gradient, curvature.information + penalty.precision[..., None] * eye


@pytest.mark.parametrize("fixed", [0.0, 0.4])
def test_step_solves_every_regression(fixed):
    problem = make_problem(fixed=fixed)
    gradient, hessian = penalised(*problem)
    expected = np.zeros(SHAPE)
    for index in np.ndindex(SHAPE[:2]):
        free = np.flatnonzero(problem[1].free[index])
        block = hessian[index][np.ix_(free, free)]
        expected[(*index, free)] = np.linalg.solve(block, gradient[(*index, free)])
    # A relative jitter of 1e-6 shapes the step.
    np.testing.assert_allclose(step(*problem), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", TIED.values(), ids=TIED)
@pytest.mark.parametrize("fixed", [0.0, 0.4])
def test_tied_columns_are_the_joint_solution_over_states(fixed, tied):
    curvature, penalty, coefficients = make_problem(1, fixed, tied)
    gradient, hessian = penalised(curvature, penalty, coefficients)
    found = np.asarray(step(curvature, penalty, coefficients))
    for neuron, columns in enumerate(tied):
        np.testing.assert_array_equal(found[0, neuron, columns], found[1, neuron, columns])
        # From what moves to the columns of both states.
        eye = np.eye(N_COLUMNS)
        rest = np.delete(eye, columns, axis=1)
        moves = np.block([[eye[:, columns], rest, 0 * rest], [eye[:, columns], 0 * rest, rest]])
        moves = moves[:, moves[penalty.free[:, neuron].ravel()].any(0)]
        both = np.zeros((2 * N_COLUMNS, 2 * N_COLUMNS))
        both[:N_COLUMNS, :N_COLUMNS], both[N_COLUMNS:, N_COLUMNS:] = hessian[:, neuron]
        right = moves.T @ gradient[:, neuron].ravel()
        expected = moves @ np.linalg.solve(moves.T @ both @ moves, right)
        np.testing.assert_allclose(found[:, neuron].ravel(), expected, rtol=1e-4, atol=1e-5)


def test_all_columns_may_be_tied():
    tied = np.broadcast_to(np.arange(N_COLUMNS), (N_NEURONS, N_COLUMNS))
    found = np.asarray(step(*make_problem(1, tied=tied)))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("tied", [None, TIED["bias"]])
def test_fixed_coefficients_do_not_move(tied):
    curvature, penalty, coefficients = make_problem(2, 0.5, tied)
    move = np.asarray(step(curvature, penalty, coefficients))
    assert not penalty.free.all()
    np.testing.assert_array_equal(move[~penalty.free], 0)


@pytest.mark.parametrize("tied", [None, TIED["bias"]])
def test_nothing_known_and_a_flat_prior_leave_a_silent_neuron_where_it_is(tied):
    curvature, penalty, coefficients = make_problem(3, tied=tied)
    curvature.gradient[:, 1] = curvature.information[:, 1] = 0
    flat = penalty._replace(precision=np.zeros(SHAPE))
    move = np.asarray(step(curvature, flat, coefficients))
    assert np.isfinite(move).all()
    np.testing.assert_array_equal(move[:, 1], 0)


def signed_problem(seed, tied=None):
    curvature, penalty, coefficients = make_problem(seed, 0.2, tied)
    sign = np.random.default_rng(seed).choice([-1, 0, 1], SHAPE[1:])
    sign[:, 0] = 0
    if tied is not None:
        np.put_along_axis(sign, tied, 0, -1)
    # Strong enough that the best step without signs breaks many.
    curvature = curvature._replace(gradient=10 * curvature.gradient)
    penalty = penalty._replace(sign=sign)
    return curvature, penalty, feasible(coefficients, penalty)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_signed_step_is_the_best_that_keeps_the_signs(seed):
    curvature, penalty, coefficients = signed_problem(seed)
    gradient, hessian = penalised(curvature, penalty, coefficients)
    move = np.asarray(step(curvature, penalty, coefficients))
    moved = coefficients + move
    assert (moved * penalty.sign >= 0).all()
    np.testing.assert_array_equal(move[~penalty.free], 0)
    low = np.where(penalty.sign > 0, 0, -np.inf)
    high = np.where(penalty.sign < 0, 0, np.inf)
    for index in np.ndindex(SHAPE[:2]):
        free = np.flatnonzero(penalty.free[index])
        root = np.linalg.cholesky(hessian[index][np.ix_(free, free)])
        centre = root.T @ coefficients[index][free] + np.linalg.solve(root, gradient[index][free])
        bounds = low[index[1], free] - 1e-300, high[index[1], free] + 1e-300
        best = lsq_linear(root.T, centre, bounds, method="bvls", tol=1e-12).x
        np.testing.assert_allclose(moved[index][free], best, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tied", TIED.values(), ids=TIED)
def test_signed_step_with_tied_columns_improves_and_cannot_be_improved(tied):
    curvature, penalty, coefficients = signed_problem(6, tied)
    gradient, hessian = penalised(curvature, penalty, coefficients)
    move = np.asarray(step(curvature, penalty, coefficients))
    assert (((coefficients + move) * penalty.sign) >= 0).all()
    slope = gradient - np.einsum("snpq,snq->snp", hessian, move)
    is_tied = np.zeros(SHAPE[1:], bool)
    np.put_along_axis(is_tied, tied, True, -1)
    np.testing.assert_allclose(slope.sum(0)[is_tied], 0, atol=1e-3)
    at_border = (penalty.sign != 0) & (coefficients + move == 0)
    assert at_border.any()
    inside = penalty.free & ~at_border & ~is_tied
    np.testing.assert_allclose(slope[inside], 0, atol=1e-3)
    assert ((slope * penalty.sign)[penalty.free & at_border] <= 1e-6).all()


def test_where_pivots_run_out_the_step_still_improves(monkeypatch):
    monkeypatch.setattr(newton, "MAX_PIVOTS", 0)
    curvature, penalty, coefficients = signed_problem(8)
    gradient, hessian = penalised(curvature, penalty, coefficients)
    move = np.asarray(newton_step(curvature, penalty, coefficients))
    assert (((coefficients + move) * penalty.sign) >= 0).all()
    gain = (move * gradient).sum(-1) - 0.5 * np.einsum("snp,snpq,snq->sn", move, hessian, move)
    assert (gain > 0).all()


def test_feasible_is_what_the_penalty_allows():
    _, penalty, _ = make_problem(5, 0.4, TIED["two"])
    some = np.random.default_rng(0).normal(size=SHAPE)
    allowed = feasible(some, penalty)
    np.testing.assert_array_equal(allowed[~penalty.free], 0)
    np.testing.assert_array_equal(allowed[:, 1, 3], some[:, 1, 3].mean())
    np.testing.assert_array_equal(allowed[:, 1, 1], np.where(penalty.free, some, 0)[:, 1, 1])
    np.testing.assert_array_equal(feasible(allowed, penalty), allowed)
    signed = penalty._replace(tied=None, sign=np.ones(SHAPE[1:], int))
    np.testing.assert_array_equal(
        feasible(some, signed), np.where(penalty.free, np.maximum(some, 0), 0)
    )


@pytest.mark.parametrize("tied", [None, TIED["bias"]])
def test_from_coefficients_that_are_not_allowed_to_the_best_that_are(tied):
    curvature, penalty, _ = make_problem(3, 0.4, tied)
    before = np.random.default_rng(4).normal(size=SHAPE)
    best = np.asarray(newton.allowed_optimum(curvature, penalty, before))
    np.testing.assert_array_equal(best[~penalty.free], 0)
    slope = curvature.gradient - np.einsum("snpq,snq->snp", curvature.information, best - before)
    slope -= penalty.precision * (best - penalty.mean)
    if tied is not None:
        np.testing.assert_array_equal(best[0, :, 0], best[1, :, 0])
        slope[..., 0] = slope[..., 0].sum(0)
    np.testing.assert_allclose(slope[penalty.free], 0, atol=1e-3)


def test_signs_may_differ_between_states():
    curvature, penalty, _ = make_problem(5)
    sign = np.ones(SHAPE, int)
    sign[1] = -1
    signed = penalty._replace(sign=sign)
    best = np.asarray(newton.allowed_optimum(curvature, signed, np.zeros(SHAPE)))
    assert (best * sign >= 0).all()
    assert (best[0] > 0).any()
    assert (best[1] < 0).any()
    slope = curvature.gradient - np.einsum("snpq,snq->snp", curvature.information, best)
    slope -= penalty.precision * (best - penalty.mean)
    inside = penalty.free & (best != 0)
    np.testing.assert_allclose(slope[inside], 0, atol=1e-3)
    # What is held at zero would leave its side.
    assert (slope * sign)[penalty.free & (best == 0)].max() <= 1e-3


def test_a_prior_against_roughness_adds_to_both():
    curvature, penalty, coefficients = make_problem(9)
    root = np.random.default_rng(9).normal(size=(N_COLUMNS, N_COLUMNS))
    rough = penalty._replace(roughness=root @ root.T)
    gradient, hessian = penalised(curvature, penalty, coefficients)
    expected = np.linalg.solve(
        hessian + rough.roughness, (gradient - coefficients @ rough.roughness)[..., None]
    )[..., 0]
    move = np.asarray(step(curvature, rough, coefficients))
    np.testing.assert_allclose(move, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        log_penalty(rough, coefficients) - log_penalty(penalty, coefficients),
        -0.5 * np.einsum("snp,pq,snq->", coefficients, rough.roughness, coefficients),
    )


def test_log_penalty_is_a_normal_density_up_to_a_constant():
    _, penalty, coefficients = make_problem(4, fixed=0.4)
    squares = penalty.precision * (coefficients - penalty.mean) ** 2
    np.testing.assert_allclose(
        log_penalty(penalty, coefficients), -0.5 * squares[penalty.free].sum()
    )
