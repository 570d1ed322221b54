"""Newton steps against dense solutions of the same quadratic model."""

import jax
import numpy as np
import pytest

from onehotglm.inference.newton import Penalty, log_penalty, newton_step
from onehotglm.inference.statistics import Curvature

pytestmark = pytest.mark.usefixtures("float64")
SHAPE = N_STATES, N_NEURONS, N_COLUMNS = 2, 3, 4
step = jax.jit(newton_step, static_argnames="shared_bias")


def make_problem(seed=0, fixed=0.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(*SHAPE, 3 * N_COLUMNS))
    curvature = Curvature(rng.normal(size=SHAPE), root @ root.swapaxes(-1, -2))
    free = rng.random(SHAPE) >= fixed
    free[..., 0] = True
    penalty = Penalty(rng.normal(size=SHAPE), rng.gamma(2.0, size=SHAPE), free)
    return curvature, penalty, np.where(free, rng.normal(size=SHAPE), 0.0)


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
    np.testing.assert_allclose(step(*problem, shared_bias=False), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fixed", [0.0, 0.4])
def test_shared_bias_is_the_joint_solution_over_states(fixed):
    curvature, penalty, coefficients = make_problem(1, fixed)
    coefficients[..., 0] = coefficients[0, :, 0]
    gradient, hessian = penalised(curvature, penalty, coefficients)
    found = np.asarray(step(curvature, penalty, coefficients, shared_bias=True))
    np.testing.assert_array_equal(found[0, :, 0], found[1, :, 0])
    n_weights = N_COLUMNS - 1
    for neuron in range(N_NEURONS):
        # Columns: the bias, then each state's weights.
        size = 1 + N_STATES * n_weights
        dense, right, free = np.zeros((size, size)), np.zeros(size), np.ones(size, bool)
        for state in range(N_STATES):
            index = np.r_[0, 1 + state * n_weights : 1 + (state + 1) * n_weights]
            dense[np.ix_(index, index)] += hessian[state, neuron]
            right[index] += gradient[state, neuron]
            free[index] = penalty.free[state, neuron]
        solution = np.zeros(size)
        solution[free] = np.linalg.solve(dense[np.ix_(free, free)], right[free])
        np.testing.assert_allclose(found[0, neuron, 0], solution[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[:, neuron, 1:].ravel(), solution[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared_bias", [False, True])
def test_fixed_coefficients_do_not_move(shared_bias):
    curvature, penalty, coefficients = make_problem(2, fixed=0.5)
    move = np.asarray(step(curvature, penalty, coefficients, shared_bias=shared_bias))
    assert not penalty.free.all()
    np.testing.assert_array_equal(move[~penalty.free], 0)


@pytest.mark.parametrize("shared_bias", [False, True])
def test_nothing_known_and_a_flat_prior_leave_a_silent_neuron_where_it_is(shared_bias):
    curvature, penalty, coefficients = make_problem(3)
    curvature.gradient[:, 1] = curvature.information[:, 1] = 0
    flat = penalty._replace(precision=np.zeros(SHAPE))
    move = np.asarray(step(curvature, flat, coefficients, shared_bias=shared_bias))
    assert np.isfinite(move).all()
    np.testing.assert_array_equal(move[:, 1], 0)


def test_log_penalty_is_a_normal_density_up_to_a_constant():
    _, penalty, coefficients = make_problem(4, fixed=0.4)
    squares = penalty.precision * (coefficients - penalty.mean) ** 2
    np.testing.assert_allclose(
        log_penalty(penalty, coefficients), -0.5 * squares[penalty.free].sum()
    )
