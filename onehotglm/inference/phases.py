"""From a start to fitted parameters, phase after phase: init / step / run with explicit state.

A phase is a run of EM under one penalty; where it ends decides what comes next:

- prior "none":     ridge -> (signs) -> done
- prior "gaussian": ridge -> (signs) -> round -> round ... -> settle -> done
- prior "one-hot":  ridge -> round -> round ... -> strengths -> ... -> (held) -> done

A round takes the data's evidence about every weight, updates the shared prior and its
Gaussian penalty, and takes one EM step under the new penalty.  Within a round the penalised
objective never falls; between rounds it is another objective.  With the one-hot prior the
types are then fixed, absent connections held at zero, and the strengths settled.  Where an
interrupt ends this while some strengths are of the wrong sign, these are held at zero, too.

The state holds everything that later steps depend on, so a fit can go on from it.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from onehotglm.inference import em
from onehotglm.inference.em import EMState
from onehotglm.inference.learning import (
    Evidence,
    Learned,
    Problem,
    column_signs,
    evidence,
    laplace_weights,
    make_penalty,
    ridge_penalty,
    stepper,
    weights_under_prior,
)
from onehotglm.inference.newton import Penalty, allowed_optimum, feasible
from onehotglm.model import dale, priors
from onehotglm.model.dale import Signs
from onehotglm.model.priors import OneHotPrior, TypePosterior, WeightPenalty

MAX_ROUNDS = 30
FINAL_ROUNDS = 10
# Part of each new site in the next: undamped parallel updates can oscillate.
DAMPING = 0.6
# Rounds end when their effect on the likelihood is less than this part of it.
ROUND_TOL = 2e-6


class Learning(NamedTuple):
    """Where learning stands.

    Attributes
    ----------
    phase : str
        See the head of this file.
    target : {"none", "gaussian", "one-hot"}
        The prior to be learned.
    run : Run
        The EM run of this phase.
    penalty : Penalty
        That it goes under.
    prior, types, signs
        As far as they are known, see `Learned`.
    site : WeightPenalty or None
        Of the one-hot prior, damped over rounds.
    before : array, shape (state, post, column), or None
        Coefficients that the round began with.
    allowed : bool array, shape (state, post, pre, basis), or None
        Weights that are not held at zero while the strengths settle.
    n_rounds : int
        Begun so far: of those that learn the prior, then of those that settle the strengths.
    reason : str
        Why the rounds, and in the end the fit, stopped.
    """

    phase: str
    target: str
    run: em.Run
    penalty: Penalty
    # Any: which of them there are follows from `phase` and `target`.
    prior: Any = None
    types: Any = None
    signs: Any = None
    site: WeightPenalty | None = None
    before: Any = None
    allowed: Any = None
    n_rounds: int = 0
    reason: str = ""


def init(problem: Problem, state: EMState, prior: str) -> Learning:
    """Begin to learn.

    Parameters
    ----------
    problem : Problem
    state : EMState
        From the best start, after steps under the ridge.
    prior : {"none", "gaussian", "one-hot"}

    Returns
    -------
    Learning
    """
    return Learning("ridge", prior, em.Run(state), ridge_penalty(problem, state.occupancy.size))


def is_done(learning: Learning) -> bool:
    """Whether nothing is left to do."""
    return learning.phase == "done"


def step(problem: Problem, learning: Learning) -> Learning:
    """Take one EM step, and go over to the next phase where this one ends.

    Parameters
    ----------
    problem : Problem
    learning : Learning
        Not done.

    Returns
    -------
    Learning
    """
    problem = _bound(problem, learning)
    one_step = learning.phase in ("round", "held")
    run = em.next_step(
        learning.run,
        stepper(problem, learning.penalty),
        max_iter=em.MAX_HALVINGS if one_step else problem.max_iter,
        tol=math.inf if one_step else problem.tol,
        on_step=problem.on_step,
    )
    learning = learning._replace(run=run)
    return _NEXT[learning.phase](problem, learning) if run.reason else learning


def learn(problem: Problem, state: EMState, prior: str) -> Learned:
    """Converge under the ridge and learn the prior.

    Under Dale's law signs that are not given are inferred once EM has converged without
    them, and bind the steps after that; with the one-hot prior they are learned with the types.

    Parameters
    ----------
    problem, state, prior
        As in `init`.

    Returns
    -------
    Learned
    """
    learning = init(problem, state, prior)
    while not is_done(learning):
        learning = step(problem, learning)
    return result(learning)


def result(learning: Learning) -> Learned:
    """Fit of a learning that is done."""
    return Learned(
        learning.run.state,
        learning.penalty,
        learning.prior,
        learning.types,
        learning.signs,
        learning.reason,
    )


def compact(learning: Learning) -> Learning:
    """Leave out what can be computed again, see `restore`."""
    return learning._replace(
        run=learning.run._replace(state=em.without_curvature(learning.run.state))
    )


def restore(problem: Problem, learning: Learning) -> Learning:
    """Undo `compact`."""
    advance = stepper(_bound(problem, learning), learning.penalty)
    state = em.with_curvature(learning.run.state, advance)
    return learning._replace(run=learning.run._replace(state=state))


# ------------------------------------------------------------------ what follows a phase


def _bound(problem: Problem, learning: Learning) -> Problem:
    """Problem whose steps are bound to the signs that were inferred."""
    structure = problem.structure
    if learning.target == "one-hot" or learning.signs is None or structure.dale is None:
        return problem
    if not (structure.dale == 0).any():
        return problem
    return problem._replace(structure=structure.with_sign(learning.signs.sign))


def _begin(learning: Learning, phase: str, state: EMState, penalty: Penalty) -> Learning:
    return learning._replace(phase=phase, run=em.Run(state), penalty=penalty)


def _end(problem: Problem, learning: Learning) -> Learning:
    return learning._replace(phase="done", reason=learning.reason or learning.run.reason)


def _allowed(state: EMState, penalty: Penalty) -> EMState:
    """Start anew from the nearest parameters that the penalty allows."""
    coefficients = jnp.asarray(feasible(state.accepted.coefficients, penalty))
    return em.init(state.accepted._replace(coefficients=coefficients))


def _best(state: EMState, penalty: Penalty) -> EMState:
    """Start anew from the best that the curvature says the penalty allows.

    What it does not allow was part of every rate: the rest takes its place at once, or rates
    may be so far off that no step from there helps.
    """
    accepted = state.accepted
    best = allowed_optimum(state.curvature, penalty, accepted.coefficients)
    return em.init(accepted._replace(coefficients=best))


def _after_ridge(problem: Problem, learning: Learning) -> Learning:
    structure, state = problem.structure, learning.run.state
    if learning.target == "one-hot":
        prior = priors.initial_one_hot(structure.free.shape, problem.n_weights)
        data = evidence(problem, state, learning.penalty)
        return _one_hot_round(problem, learning._replace(prior=prior), data)
    if structure.dale is None:
        return _after_signs(problem, learning)
    data = evidence(problem, state, learning.penalty)
    signs = dale.signs_of_weights(*data, structure.synapse, structure.dale)
    learning = learning._replace(signs=signs)
    if not (structure.dale == 0).any():
        return _after_signs(problem, learning)
    penalty = ridge_penalty(_bound(problem, learning), state.occupancy.size)
    return _begin(learning, "signs", _allowed(state, penalty), penalty)


def _after_signs(problem: Problem, learning: Learning) -> Learning:
    if learning.target == "none":
        return _end(problem, learning)
    mean, _ = laplace_weights(problem, learning.run.state, learning.penalty)
    prior = priors.initial_gaussian(mean, _learned_from(problem))
    return _gaussian_round(problem, learning._replace(prior=prior))


def _after_round(problem: Problem, learning: Learning) -> Learning:
    stop = learning.run.reason == "interrupted"
    settled = stop or _moved(learning) < ROUND_TOL
    if learning.target == "gaussian":
        if not settled and learning.n_rounds < MAX_ROUNDS:
            return _gaussian_round(problem, learning)
        penalty = _kernels_learned(learning.penalty)
        return _begin(learning, "settle", learning.run.state, penalty)
    data = evidence(problem, learning.run.state, learning.penalty)
    if not settled and learning.n_rounds < MAX_ROUNDS:
        return _one_hot_round(problem, learning, data)
    reason = "interrupted" if stop else "converged" if settled else "max_rounds"
    types, signs = _types(problem, learning.prior, data, problem.structure.dale)
    if signs is not None:  # connections of a neuron need one sign, not the mean over both
        types, _ = _types(problem, learning.prior, data, signs.sign)
    allowed = np.broadcast_to((types.type_proba.argmax(-1) != 1)[..., None], data.estimate.shape)
    learning = learning._replace(types=types, signs=signs, reason=reason, n_rounds=0)
    return _settle_strengths(problem, learning, allowed)


def _after_strengths(problem: Problem, learning: Learning) -> Learning:
    """Hold strengths at zero that the data would rather have negative, and settle again."""
    state, settled = learning.run.state, learning.run.reason
    signs = _signs(learning)
    wrong = weights_under_prior(problem, state, learning.penalty) * signs < 0
    still_allowed = learning.allowed & ~wrong
    again = (learning.allowed & wrong).any() and settled != "interrupted"
    if again and learning.n_rounds < FINAL_ROUNDS:
        return _settle_strengths(problem, learning, still_allowed)
    reason = learning.reason if settled == "converged" else settled
    learning = learning._replace(reason=reason)
    if not wrong.any():
        return _end(problem, learning)
    # After an interrupt, or rounds enough: what the curvature says is best with the right signs.
    bound = learning.penalty._replace(sign=column_signs(problem, signs[..., 0]))
    return _begin(learning, "held", _best(state, bound), learning.penalty)


_NEXT: dict[str, Callable[[Problem, Learning], Learning]] = {
    "ridge": _after_ridge,
    "signs": _after_signs,
    "round": _after_round,
    "settle": _end,
    "strengths": _after_strengths,
    "held": _end,
}


# ------------------------------------------------------------------ rounds


def _moved(learning: Learning) -> float:
    """Relative effect on the likelihood of a round's change of coefficients.

    ``d' H d / 2`` in units of the objective: what the data do not see does not count.
    """
    state = learning.run.state
    old, new = (np.asarray(x, float) for x in (learning.before, state.accepted.coefficients))
    information = np.asarray(state.curvature.information)
    effect = 0.5 * np.einsum("snp,snpq,snq->", new - old, information, new - old, optimize=True)
    return float(effect / max(abs(float(state.objective)), 1.0))


def _begin_round(learning: Learning, penalty: Penalty) -> Learning:
    """One accepted step under a new penalty."""
    before = learning.run.state
    state = em.change_penalty(before, learning.penalty, penalty)
    return _begin(
        learning._replace(before=before.accepted.coefficients, n_rounds=learning.n_rounds + 1),
        "round",
        state,
        penalty,
    )


def _learned_from(problem: Problem) -> np.ndarray:
    """Couplings that a Gaussian prior is learned from, shape (post, pre)."""
    under_prior = problem.structure.under_prior
    # A single neuron may have no couplings.
    return under_prior if under_prior.any() else ~under_prior


def _gaussian_round(problem: Problem, learning: Learning) -> Learning:
    mean, variance = laplace_weights(problem, learning.run.state, learning.penalty)
    prior = priors.update_gaussian(learning.prior, mean, variance, _learned_from(problem))
    weights = priors.gaussian_penalty(prior, len(mean))
    penalty = make_penalty(problem, weights, learn_kernels=False)
    return _begin_round(learning._replace(prior=prior), penalty)


def _one_hot_round(problem: Problem, learning: Learning, data: Evidence) -> Learning:
    types, signs = _types(problem, learning.prior, data, problem.structure.dale)
    prior = priors.update_one_hot(learning.prior, types)
    if signs is not None:
        prior = dale.with_signs(prior, signs, problem.structure.synapse)
    prior = prior._replace(type_proba=_exclude(problem, prior.type_proba))
    site = priors.damped(learning.site, priors.moment_matched_penalty(types, *data), DAMPING)
    penalty = make_penalty(problem, site, learn_kernels=False)
    return _begin_round(learning._replace(prior=prior, site=site), penalty)


def _kernels_learned(penalty: Penalty) -> Penalty:
    """Let kernels move again, which stay as they are while a prior is learned."""
    if penalty.kernel is None:
        return penalty
    return penalty._replace(kernel=penalty.kernel._replace(learned=jnp.asarray(True)))


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


def _signs(learning: Learning) -> np.ndarray:
    """Most probable types -1, 0, 1, shape (state, post, pre, 1)."""
    return (learning.types.type_proba.argmax(-1) - 1)[..., None]


def _settle_strengths(problem: Problem, learning: Learning, allowed: np.ndarray) -> Learning:
    """Most probable strengths given the most probable types.

    Absent couplings are held at zero, and so are strengths that the data would rather
    have negative: the optimum under the truncated slabs lies on that border.
    """
    weights = priors.slab_penalty(learning.prior, _signs(learning)[..., 0])
    penalty = make_penalty(problem, weights, allowed)
    learning = learning._replace(allowed=allowed, n_rounds=learning.n_rounds + 1)
    return _begin(learning, "strengths", _best(learning.run.state, penalty), penalty)
