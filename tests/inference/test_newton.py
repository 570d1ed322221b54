"""Newton steps against dense solutions of the same quadratic model."""

import jax
import numpy as np
import pytest

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


def test_feasible_is_what_the_penalty_allows():
    _, penalty, _ = make_problem(5, 0.4, TIED["two"])
    some = np.random.default_rng(0).normal(size=SHAPE)
    allowed = feasible(some, penalty)
    np.testing.assert_array_equal(allowed[~penalty.free], 0)
    np.testing.assert_array_equal(allowed[:, 1, 3], some[:, 1, 3].mean())
    np.testing.assert_array_equal(allowed[:, 1, 1], np.where(penalty.free, some, 0)[:, 1, 1])
    np.testing.assert_array_equal(feasible(allowed, penalty), allowed)


def test_log_penalty_is_a_normal_density_up_to_a_constant():
    _, penalty, coefficients = make_problem(4, fixed=0.4)
    squares = penalty.precision * (coefficients - penalty.mean) ** 2
    np.testing.assert_allclose(
        log_penalty(penalty, coefficients), -0.5 * squares[penalty.free].sum()
    )
