"""From evidence to a learned prior, on tiny problems in double precision."""

import numpy as np
import pytest
from scipy.optimize import minimize

from onehotglm.inference import em, learning
from onehotglm.inference.learning import evidence, laplace_weights, ridge_penalty, stepper
from onehotglm.inference.newton import feasible, log_penalty
from onehotglm.inference.phases import learn
from onehotglm.model.params import Params
from onehotglm.model.priors import GaussianPrior, OneHotPrior, WeightPenalty
from tests.inference.tiny import (
    BASIS,
    N_COLUMNS,
    N_NEURONS,
    N_STATES,
    design_of,
    make_counts,
    make_params,
    make_problem,
    on_device,
)

pytestmark = pytest.mark.usefixtures("float64")
SESSIONS = make_counts(lengths=(300, 250), missing=0.05)
SHAPE = (N_STATES, N_NEURONS, N_NEURONS, len(BASIS))
NO_SELF = ~np.eye(N_NEURONS, dtype=bool)
NO_SELF_HISTORY = {"self_history": "none"}


def started(problem, scale=0.4):
    """After some steps under the ridge, as `best_start` leaves it."""
    penalty = ridge_penalty(problem, N_STATES)
    params = make_params(scale)
    coefficients = feasible(params.coefficients, penalty)
    state = em.init(on_device(params._replace(coefficients=coefficients)))
    return em.run(state, stepper(problem, penalty), max_iter=5, tol=0.0)[0]


def test_penalty_has_a_row_per_regression():
    problem = make_problem(SESSIONS, structure=NO_SELF_HISTORY)
    rng = np.random.default_rng(0)
    mean, precision = rng.normal(size=SHAPE), rng.gamma(2.0, size=SHAPE)
    penalty = learning.make_penalty(problem, WeightPenalty(mean, precision))
    assert penalty.mean.shape == (N_STATES, N_NEURONS, N_COLUMNS)
    np.testing.assert_array_equal(penalty.mean[..., 0], -0.5)
    np.testing.assert_array_equal(penalty.precision[..., 0], 0.01)
    assert np.asarray(penalty.free[..., 0]).all()
    # Column 1 + m * n_basis + k.
    assert penalty.mean[1, 2, 1 + 0 * 2 + 1] == mean[1, 2, 0, 1]
    assert penalty.precision[1, 2, 1 + 1 * 2 + 0] == precision[1, 2, 1, 0]
    own = [1 + 2 * 2, 2 + 2 * 2]
    assert not np.asarray(penalty.free[:, 2, own]).any()
    np.testing.assert_array_equal(penalty.mean[:, 2, own], 0)


def test_laplace_variances_are_those_of_the_whole_regression():
    problem = make_problem(SESSIONS)
    state, penalty = started(problem), ridge_penalty(problem, N_STATES)
    mean, variance = laplace_weights(problem, state, penalty)
    np.testing.assert_array_equal(
        mean.reshape(N_STATES, N_NEURONS, -1), state.accepted.coefficients[..., 1:]
    )
    hessian = np.asarray(state.curvature.information[1, 2]) + np.diag(penalty.precision[1, 2])
    np.testing.assert_allclose(
        variance[1, 2].ravel(), np.diag(np.linalg.inv(hessian))[1:], rtol=1e-6
    )


@pytest.mark.slow
def test_smooth_couplings_are_those_of_an_optimiser():
    """One state: a Poisson GLM whose penalty is written out."""
    problem = make_problem(SESSIONS, structure={"smoothness": 30.0})
    penalty = ridge_penalty(problem, 1)
    start = on_device(Params(np.zeros((1, N_NEURONS, N_COLUMNS)), np.ones((1, 1)), np.ones(1)))
    state = em.run(em.init(start), stepper(problem, penalty), max_iter=100, tol=1e-14)[0]
    designs = [design_of(counts) for counts in SESSIONS]

    def loss(flat):
        coefficients = flat.reshape(N_NEURONS, N_COLUMNS)
        over_lags = coefficients[:, 1:].reshape(N_NEURONS, N_NEURONS, -1) @ BASIS
        total = 0.5 * 0.01 * ((coefficients[:, 0] + 0.5) ** 2).sum()
        total += 0.5 * (coefficients[:, 1:] ** 2).sum()
        total += 0.5 * 30.0 * (np.diff(over_lags, 2, axis=-1) ** 2).sum()
        for counts, design in zip(SESSIONS, designs, strict=True):
            rate = np.logaddexp(0, design @ coefficients.T)
            total -= np.nansum(counts * np.log(rate) - rate * ~np.isnan(counts))
        return total

    found = np.asarray(state.accepted.coefficients).ravel()
    best = minimize(loss, found + 0.1, options={"gtol": 1e-4})
    np.testing.assert_allclose(found, best.x, atol=1e-4)
    assert float(state.objective) == pytest.approx(-best.fun, abs=1e-6)


def test_kernels_that_are_tied_are_smoothed_once():
    structure = {"smoothness": 2.0, "self_history": "shared", "own_precision": 1.0}
    problem = make_problem(SESSIONS, structure=structure)
    penalty, weights = ridge_penalty(problem, N_STATES), np.zeros((N_STATES, N_NEURONS, N_COLUMNS))
    own = np.array([0.5, -1.0])
    weights[:, 1, 3:5] = own
    weights[..., 0] = -0.5
    rough = (np.diff(own @ BASIS, 2) ** 2).sum()
    assert float(log_penalty(penalty, weights)) == pytest.approx(
        -0.5 * (own**2).sum() - 0.5 * 2.0 * rough
    )


def test_evidence_and_prior_multiply_to_the_posterior():
    problem = make_problem(SESSIONS)
    state, penalty = started(problem), ridge_penalty(problem, N_STATES)
    mean, variance = laplace_weights(problem, state, penalty)
    data = evidence(problem, state, penalty)
    # The ridge: precision 1 around zero.
    precision = 1 / data.variance + problem.ridge
    np.testing.assert_allclose(1 / precision, variance, rtol=1e-9)
    np.testing.assert_allclose(data.estimate / data.variance / precision, mean, rtol=1e-9)
    assert (data.variance > 0).all()


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_excluded_couplings_are_zero(prior):
    problem = make_problem(SESSIONS, structure=NO_SELF_HISTORY)
    learned = learn(problem, started(problem), prior)
    weights = np.asarray(learned.state.accepted.weights(len(BASIS)))
    np.testing.assert_array_equal(weights[:, ~NO_SELF], 0)
    if learned.types is None:
        assert (weights[:, NO_SELF] != 0).all()
    else:
        np.testing.assert_array_equal(learned.types.type_proba[:, ~NO_SELF], [[[0, 1, 0]] * 3] * 2)
        np.testing.assert_array_equal(learned.prior.type_proba[~NO_SELF], [[0, 1, 0]] * 3)


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
@pytest.mark.parametrize("self_history", ["per_state", "shared"])
def test_self_history_apart_has_its_own_penalty_and_no_type(prior, self_history):
    structure = {"self_history": self_history, "own_precision": 3.0}
    problem = make_problem(SESSIONS, structure=structure)
    learned = learn(problem, started(problem), prior)
    shape = (*SHAPE[:3], -1)
    precision = np.asarray(learned.penalty.precision)[..., 1:].reshape(shape)
    shared = self_history == "shared"
    # The penalty of a tied coefficient is counted in every state.
    np.testing.assert_allclose(precision[:, ~NO_SELF], 3.0 / (N_STATES if shared else 1))
    mean = np.asarray(learned.penalty.mean)[..., 1:].reshape(shape)
    np.testing.assert_array_equal(mean[:, ~NO_SELF], 0)
    own = np.asarray(learned.state.accepted.weights(len(BASIS)))[:, ~NO_SELF]
    assert (own != 0).all()
    np.testing.assert_allclose(own[0] == own[1], shared)
    if learned.types is not None:
        np.testing.assert_array_equal(learned.types.type_proba[:, ~NO_SELF], [[[0, 1, 0]] * 3] * 2)


def dale_problem(given, prior, **changes):
    problem = make_problem(SESSIONS, structure={"dale": np.array(given)}, **changes)
    structure = problem.structure
    bound = structure if prior == "one-hot" else structure.with_sign(structure.dale)
    return problem._replace(structure=bound)


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
@pytest.mark.parametrize("given", [(1, -1, 1), (0, -1, 0)])
def test_under_dales_law_all_couplings_of_a_neuron_have_its_sign(prior, given):
    problem = dale_problem(given, prior)
    learned = learn(problem, started(problem), prior)
    sign = learned.signs.sign
    known = np.array(given) != 0
    np.testing.assert_array_equal(sign[known], np.array(given)[known])
    np.testing.assert_array_equal(learned.signs.proba[known], sign[known] > 0)
    signed = np.asarray(learned.state.accepted.weights(len(BASIS))) * sign[:, None]
    assert (signed[:, NO_SELF] >= 0).all()
    if prior != "one-hot":
        assert (signed[:, NO_SELF] > 0).any()
        # Self-histories are free.
        assert (signed[:, ~NO_SELF] < 0).any()


def test_the_objective_never_falls_under_given_signs():
    objectives = []

    def on_step(state):
        objectives.append(float(state.objective))
        return False

    problem = dale_problem((1, -1, 1), "none", on_step=on_step, tol=1e-12)
    learned = learn(problem, started(problem), "none")
    assert len(objectives) > 20
    assert np.diff(objectives).min() > -1e-9
    # Nothing that may move is left to gain.
    free = learn(make_problem(SESSIONS, tol=1e-12), started(problem), "none")
    assert float(learned.state.objective) < float(free.state.objective)


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_shared_biases_stay_shared(prior):
    problem = make_problem(SESSIONS, structure={"shared_bias": True})
    bias = np.asarray(learn(problem, started(problem), prior).state.accepted.bias)
    np.testing.assert_allclose(bias[0], bias[1], rtol=1e-10)


def test_no_prior_means_the_ridge():
    problem = make_problem(SESSIONS, tol=1e-6)
    learned = learn(problem, started(problem), "none")
    assert learned.prior is None
    assert learned.types is None
    assert learned.reason == "converged"
    np.testing.assert_array_equal(learned.penalty.precision[..., 1:], 1.0)


def test_gaussian_prior_draws_the_states_together():
    problem = make_problem(SESSIONS)
    start = started(problem)
    spread = {}
    for prior in ("none", "gaussian"):
        learned = learn(problem, start, prior)
        weights = np.asarray(learned.state.accepted.weights(len(BASIS)))
        spread[prior] = np.abs(np.diff(weights, axis=0)).mean()
    assert spread["gaussian"] < 0.7 * spread["none"]
    assert isinstance(learned.prior, GaussianPrior)
    assert learned.prior.mean.shape == SHAPE[1:]
    # The penalty of the last steps is the learned prior's.
    np.testing.assert_allclose(
        learned.penalty.precision[0, :, 1:].reshape(SHAPE[1:]), learned.prior.sd**-2.0
    )


def test_one_hot_prior_signs_and_zeros():
    problem = make_problem(SESSIONS)
    learned = learn(problem, started(problem, 1.0), "one-hot")
    assert isinstance(learned.prior, OneHotPrior)
    types = learned.types.type_proba.argmax(-1) - 1
    weights = np.asarray(learned.state.accepted.weights(len(BASIS)))
    assert (weights[types == 0] == 0).all()
    assert (weights * types[..., None] >= 0).all()
    np.testing.assert_allclose(learned.prior.type_proba.sum(-1), 1)
    np.testing.assert_allclose(learned.types.type_proba.sum(-1), 1)


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
@pytest.mark.parametrize("stop_at", [1, 4, 8])
def test_a_stop_ends_the_fit_soon_and_whole(prior, stop_at):
    steps = []

    def on_step(state):
        steps.append(state)
        return len(steps) >= stop_at

    problem = make_problem(SESSIONS)
    start = started(problem)
    learned = learn(problem._replace(on_step=on_step), start, prior)
    assert np.isfinite(learned.state.accepted.coefficients).all()
    assert len(steps) <= stop_at + 5
    if prior == "one-hot":
        types = learned.types.type_proba.argmax(-1) - 1
        assert (np.asarray(learned.state.accepted.weights(2))[types == 0] == 0).all()


def test_the_state_returned_was_evaluated_at_its_parameters():
    problem = make_problem(SESSIONS)
    for prior in ("none", "gaussian", "one-hot"):
        learned = learn(problem, started(problem), prior)
        again = stepper(problem, learned.penalty)(em.init(learned.state.accepted))
        np.testing.assert_allclose(again.log_likelihood, learned.state.log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(again.occupancy, learned.state.occupancy, rtol=1e-9)
