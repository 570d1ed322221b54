"""From a start to fitted parameters: EM under a ridge, then rounds that learn the prior.

A round takes the data's evidence about every weight, updates the shared prior and
its Gaussian penalty, and takes one EM step under the new penalty.  Within a round the
penalised objective never falls; between rounds it is another objective.  With the
one-hot prior the types are then fixed, absent connections held at zero, and the
strengths settled.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onehotglm.inference import em
from onehotglm.inference.em import EMConfig, EMState
from onehotglm.inference.newton import Penalty, feasible
from onehotglm.model import dale, priors
from onehotglm.model.dale import Signs
from onehotglm.model.params import from_weights
from onehotglm.model.priors import GaussianPrior, OneHotPrior, TypePosterior, WeightPenalty
from onehotglm.model.recording import Recording
from onehotglm.model.structure import Structure
from onehotglm.model.transitions import TransitionPrior

MAX_ROUNDS = 30
FINAL_ROUNDS = 3
# Part of each new site in the next: undamped parallel updates can oscillate.
DAMPING = 0.6
# Rounds end when their effect on the likelihood is less than this part of it.
ROUND_TOL = 2e-6


class Problem(NamedTuple):
    """Everything that stays the same during a fit.

    Attributes
    ----------
    recording : Recording
    config : EMConfig
    transition_prior : TransitionPrior
    bias_mean, bias_precision : array, shape (neuron,), and float
        Prior over biases.
    ridge : float
        Precision of the weights' prior until a prior is learned.
    structure : Structure
        Which couplings there are, and which move together.
    max_iter : int
    tol : float
    on_step : callable
        Called with the state after every EM step; returns True to stop early.
    """

    recording: Recording
    config: EMConfig
    transition_prior: TransitionPrior
    bias_mean: np.ndarray
    bias_precision: float
    ridge: float
    structure: Structure
    max_iter: int
    tol: float
    on_step: Callable[[EMState], bool]

    @property
    def n_basis(self) -> int:
        """Basis functions per coupling."""
        return self.recording.basis.shape[0]

    @property
    def n_chunks(self) -> int:
        """Chunks of the whole recording."""
        return self.recording.n_time // self.config.chunk_size


class Learned(NamedTuple):
    """A fit.

    Attributes
    ----------
    state : EMState
        At the final parameters.
    penalty : Penalty
        Of the last step.
    prior : GaussianPrior, OneHotPrior or None
    types : TypePosterior or None
        Of the one-hot prior, before the types were fixed.
    signs : Signs or None
        Of the presynaptic neurons, under Dale's law.
    reason : str
        Why it stopped.
    """

    state: EMState
    penalty: Penalty
    prior: GaussianPrior | OneHotPrior | None
    types: TypePosterior | None
    signs: Signs | None
    reason: str


def make_penalty(
    problem: Problem, weights: WeightPenalty, present: np.ndarray | bool = True
) -> Penalty:
    """Penalty over all coefficients from one over weights (state, post, pre, basis).

    `present` (state, post, pre, basis) restricts the couplings under the prior further than the
    structure does.
    """
    n_states, n_neurons = weights.mean.shape[:2]
    structure = problem.structure
    own = structure.own[..., None]
    free = np.broadcast_to(structure.free[..., None] & (own | present), weights.mean.shape)
    mean = np.where(free & ~own, weights.mean, 0.0)
    precision = np.where(own, structure.own_precision, weights.precision)

    def columns(bias, per_weight):
        bias = np.broadcast_to(bias, (n_states, n_neurons))[..., None]
        return np.concatenate([bias, per_weight.reshape(n_states, n_neurons, -1)], axis=-1)

    dtype = problem.recording.counts.dtype
    return Penalty(
        jnp.asarray(columns(problem.bias_mean, mean), dtype),
        jnp.asarray(columns(problem.bias_precision, precision), dtype),
        jnp.asarray(columns(True, free)),
        None if structure.tied is None else jnp.asarray(structure.tied),
        None if structure.sign is None else jnp.asarray(_column_signs(problem, structure.sign)),
    )


def _column_signs(problem: Problem, sign: np.ndarray) -> np.ndarray:
    """Signs (pre,) that bind the steps, as those of coefficients (post, column)."""
    signs = np.repeat(np.where(problem.structure.synapse, sign, 0), problem.n_basis, axis=1)
    return np.pad(signs, ((0, 0), (1, 0)))


def ridge_penalty(problem: Problem, n_states: int) -> Penalty:
    """Penalty before any prior is learned."""
    shape = (n_states, *problem.structure.free.shape, problem.n_basis)
    return make_penalty(problem, WeightPenalty(np.zeros(shape), np.full(shape, problem.ridge)))


def stepper(
    problem: Problem, penalty: Penalty, n_chunks: int | None = None
) -> Callable[[EMState], EMState]:
    """`em.step` on this problem, by default on the whole recording."""
    n_chunks = problem.n_chunks if n_chunks is None else n_chunks
    return partial(
        em.step,
        recording=problem.recording,
        penalty=penalty,
        transition_prior=problem.transition_prior,
        n_chunks=jnp.asarray(n_chunks, jnp.int32),
        config=problem.config,
    )


class Evidence(NamedTuple):
    """What the data alone say of each weight, shapes (state, post, pre, basis)."""

    estimate: np.ndarray
    variance: np.ndarray


def evidence(problem: Problem, state: EMState, penalty: Penalty) -> Evidence:
    """Divide the prior out of the Laplace posterior's marginals.

    ``1/v = 1/V - d`` and ``estimate = v (theta / V - d m)`` with prior precision d and
    mean m, posterior mean theta and variance V.
    """
    posterior_mean, posterior_variance = laplace_weights(problem, state, penalty)
    shape = posterior_mean.shape
    mean, precision = (
        np.asarray(x, float)[..., 1:].reshape(shape) for x in (penalty.mean, penalty.precision)
    )
    variance = 1 / np.maximum(1 / posterior_variance - precision, 1e-4)
    estimate = variance * (posterior_mean / posterior_variance - precision * mean)
    return Evidence(estimate, variance)


def laplace_weights(
    problem: Problem, state: EMState, penalty: Penalty
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and their Laplace variances given the states, (state, post, pre, basis)."""
    coefficients = np.asarray(state.accepted.coefficients, float)
    # One state at a time: all inverses together may not fit in memory.
    variances = np.stack(
        [
            _inverse_diagonal(np.asarray(information, float), np.asarray(precision, float))
            for information, precision in zip(
                state.curvature.information, penalty.precision, strict=True
            )
        ]
    )
    shape = (*coefficients.shape[:2], -1, problem.n_basis)
    return coefficients[..., 1:].reshape(shape), variances[..., 1:].reshape(shape)


def _inverse_diagonal(information: np.ndarray, precision: np.ndarray) -> np.ndarray:
    eye = np.eye(information.shape[-1])
    jitter = 1e-9 * np.trace(information, axis1=-2, axis2=-1)[:, None] / len(eye) + 1e-8
    inverse = np.linalg.inv(information + (precision + jitter)[..., None] * eye)
    return np.diagonal(inverse, axis1=-2, axis2=-1)


def learn(problem: Problem, state: EMState, prior: str) -> Learned:
    """Converge under the ridge and learn the prior.

    Under Dale's law signs that are not given are inferred once EM has converged without
    them, and bind the steps after that; with the one-hot prior they are learned with the types.

    Parameters
    ----------
    problem : Problem
    state : EMState
        From the best start, after steps under the ridge.
    prior : {"none", "gaussian", "one-hot"}

    Returns
    -------
    Learned
    """
    penalty = ridge_penalty(problem, state.occupancy.size)
    state, reason = _converge(problem, state, penalty)
    if prior == "one-hot":
        return _learn_one_hot(problem, state, penalty)
    signs = None
    structure = problem.structure
    if structure.dale is not None:
        signs = dale.signs_of_weights(
            *evidence(problem, state, penalty), structure.synapse, structure.dale
        )
        if (structure.dale == 0).any():
            problem = problem._replace(structure=structure.with_sign(signs.sign))
            penalty = ridge_penalty(problem, state.occupancy.size)
            state, reason = _converge(problem, _allowed(state, penalty), penalty)
    if prior == "none":
        return Learned(state, penalty, None, None, signs, reason)
    return _learn_gaussian(problem, state, penalty)._replace(signs=signs)


def _allowed(state: EMState, penalty: Penalty) -> EMState:
    """Start anew from the nearest parameters that the penalty allows."""
    coefficients = jnp.asarray(feasible(state.accepted.coefficients, penalty))
    return em.init(state.accepted._replace(coefficients=coefficients))


def _converge(problem: Problem, state: EMState, penalty: Penalty) -> tuple[EMState, str]:
    return em.run(
        state,
        stepper(problem, penalty),
        max_iter=problem.max_iter,
        tol=problem.tol,
        on_step=problem.on_step,
    )


def _one_step(problem: Problem, state: EMState, old: Penalty, new: Penalty) -> tuple[EMState, bool]:
    """One accepted step under a new penalty, and whether to stop early."""
    state = em.change_penalty(state, old, new)
    advance = stepper(problem, new)
    for _ in range(em.MAX_HALVINGS):
        state = advance(state)
        stop = problem.on_step(state)
        if stop or not state.rejected:
            break
    return state, stop


def _moved(before: EMState, after: EMState) -> float:
    """Relative effect on the likelihood of a round's change of coefficients.

    ``d' H d / 2`` in units of the objective: what the data do not see does not count.
    """
    old, new = (np.asarray(s.accepted.coefficients, float) for s in (before, after))
    information = np.asarray(after.curvature.information)
    effect = 0.5 * np.einsum("snp,snpq,snq->", new - old, information, new - old, optimize=True)
    return float(effect / max(abs(float(after.objective)), 1.0))


def _learn_gaussian(problem: Problem, state: EMState, penalty: Penalty) -> Learned:
    mean, _ = laplace_weights(problem, state, penalty)
    learned_from = problem.structure.under_prior
    if not learned_from.any():  # a single neuron without couplings
        learned_from = ~learned_from
    prior = priors.initial_gaussian(mean, learned_from)
    for _ in range(MAX_ROUNDS):
        mean, variance = laplace_weights(problem, state, penalty)
        prior = priors.update_gaussian(prior, mean, variance, learned_from)
        new = make_penalty(problem, priors.gaussian_penalty(prior, len(mean)))
        before = state
        state, stop = _one_step(problem, state, penalty, new)
        penalty = new
        if stop or _moved(before, state) < ROUND_TOL:
            break
    state, reason = _converge(problem, state, penalty)
    return Learned(state, penalty, prior, None, None, reason)


def _learn_one_hot(problem: Problem, state: EMState, penalty: Penalty) -> Learned:
    prior = priors.initial_one_hot(problem.structure.free.shape, problem.n_basis)
    reason = "max_rounds"
    data = evidence(problem, state, penalty)
    site = None
    for _ in range(MAX_ROUNDS):
        types, signs = _types(problem, prior, data, problem.structure.dale)
        prior = priors.update_one_hot(prior, types)
        if signs is not None:
            prior = dale.with_signs(prior, signs, problem.structure.synapse)
        prior = prior._replace(type_proba=_exclude(problem, prior.type_proba))
        site = priors.damped(site, priors.moment_matched_penalty(types, *data), DAMPING)
        new = make_penalty(problem, site)
        before = state
        state, stop = _one_step(problem, state, penalty, new)
        penalty = new
        data = evidence(problem, state, penalty)
        if stop or _moved(before, state) < ROUND_TOL:
            reason = "interrupted" if stop else "converged"
            break
    types, signs = _types(problem, prior, data, problem.structure.dale)
    if signs is not None:  # connections of a neuron need one sign, not the mean over both
        types, _ = _types(problem, prior, data, signs.sign)
    state, penalty, settled = _settle_strengths(problem, state, prior, types)
    reason = reason if settled == "converged" else settled
    return Learned(state, penalty, prior, types, signs, reason)


def _exclude(problem: Problem, type_proba: np.ndarray) -> np.ndarray:
    """Make absent for certain what the prior does not hold for: (..., post, pre, type)."""
    return np.where(problem.structure.under_prior[..., None], type_proba, [0.0, 1.0, 0.0])


def _types(
    problem: Problem, prior: OneHotPrior, data: Evidence, known: np.ndarray | None
) -> tuple[TypePosterior, Signs | None]:
    """Types of connections, and signs of neurons (pre,) where Dale's law holds."""
    if known is None:
        types, signs = priors.type_posterior(prior, *data), None
    else:
        types, signs = dale.signed_types(prior, *data, problem.structure.synapse, known)
    return types._replace(type_proba=_exclude(problem, types.type_proba)), signs


def _settle_strengths(
    problem: Problem, state: EMState, prior: OneHotPrior, types: TypePosterior
) -> tuple[EMState, Penalty, str]:
    """Most probable strengths given the most probable types.

    Absent couplings are held at zero, and so are strengths that the data would rather
    have negative: the optimum under the truncated slabs lies on that border.
    """
    signs = (types.type_proba.argmax(-1) - 1)[..., None]
    weights = priors.slab_penalty(prior, signs[..., 0])
    allowed = np.broadcast_to(signs != 0, weights.mean.shape)
    for _ in range(FINAL_ROUNDS):
        penalty = make_penalty(problem, weights, allowed)
        state, reason = _converge(problem, _allowed(state, penalty), penalty)
        found = np.asarray(state.accepted.weights(problem.n_basis))
        wrong = allowed & (found * signs < 0)
        if not wrong.any() or reason == "interrupted":
            break
        allowed = allowed & ~wrong
    return _hold_signs(problem, state, penalty, signs), penalty, reason


def _hold_signs(problem: Problem, state: EMState, penalty: Penalty, signs: np.ndarray) -> EMState:
    """Drop what still has the wrong sign, and evaluate once more if anything did."""
    accepted = state.accepted
    weights = np.asarray(accepted.weights(problem.n_basis))
    wrong = weights * signs < 0
    if not wrong.any():
        return state
    kept = jnp.asarray(np.where(wrong, 0, weights))
    moved = from_weights(accepted.bias, kept, accepted.transition, accepted.initial)
    state = stepper(problem, penalty)(em.init(moved))
    problem.on_step(state)
    return state
