"""Expectation-maximisation for the switching GLM with a fixed Gaussian penalty.

One `step` evaluates a candidate (E-step: chunked log-likelihoods and the smoother)
and, if the penalised objective did not fall, takes one Newton step for all
regressions and the update of the chain and of dispersions.  If it fell, the candidate moves
half-way back to the last accepted parameters.  So accepted objectives never fall,
although a single Newton step need not increase them (generalised EM, Dempster,
Laird & Rubin 1977).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from onehotglm.inference import driven
from onehotglm.inference.newton import Penalty, log_penalty, newton_step
from onehotglm.inference.statistics import Curvature, curvature, log_likelihoods
from onehotglm.kernels import hmm, hmm_scan
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model import transitions
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording
from onehotglm.model.transitions import TransitionPrior

MAX_HALVINGS = 12


class EMConfig(NamedTuple):
    """What a compiled step depends on beside shapes.

    Attributes
    ----------
    chunk_size : int
        Bins per chunk.
    link : str
    exact_information : bool
        See `onehotglm.inference.statistics.curvature`.
    observation : str
        Key of `onehotglm.kernels.observations.OBSERVATIONS`.
    """

    chunk_size: int
    link: str
    exact_information: bool
    observation: str = "poisson"


class EMState(NamedTuple):
    """Where EM stands.

    Attributes
    ----------
    candidate : Params
        To be evaluated next.
    accepted : Params
        Best so far.
    objective : scalar
        Penalised log-likelihood of `accepted` in nats, without ``log x!``.
    log_likelihood : scalar
        Of `accepted`.
    curvature : Curvature
        At `accepted`.
    occupancy : array, shape (state,)
        Expected number of bins in each state.
    rejected : bool scalar
        Whether the last candidate was turned down.
    """

    candidate: Params
    accepted: Params
    objective: Float[Array, ""]
    log_likelihood: Float[Array, ""]
    curvature: Curvature
    occupancy: Float[Array, " state"]
    rejected: Array


def init(params: Params) -> EMState:
    """State before the first step: nothing evaluated yet."""
    shape, dtype = params.coefficients.shape, params.coefficients.dtype
    sums = None if params.dispersion is None else jnp.zeros((2, shape[1]), dtype)
    nothing = Curvature(jnp.zeros(shape, dtype), jnp.zeros((*shape, shape[-1]), dtype), sums)
    low = jnp.asarray(-jnp.inf, dtype)
    occupancy = jnp.zeros(shape[0], dtype)
    return EMState(params, params, low, low, nothing, occupancy, jnp.asarray(False))


@jax.jit
def change_penalty(state: EMState, old: Penalty, new: Penalty) -> EMState:
    """Go on under another penalty, from the accepted parameters and their curvature.

    Parameters
    ----------
    state : EMState
        After at least one step under `old`.
    old, new : Penalty
        That allow the same coefficients.

    Returns
    -------
    EMState
        Its objective is the accepted parameters' under `new`.
    """
    coefficients = state.accepted.coefficients
    objective = state.objective - log_penalty(old, coefficients) + log_penalty(new, coefficients)
    move = newton_step(state.curvature, new, coefficients)
    candidate = state.candidate._replace(coefficients=coefficients + move)
    return state._replace(objective=objective, candidate=candidate)


@partial(jax.jit, static_argnames="config")
def step(
    state: EMState,
    recording: Recording,
    penalty: Penalty,
    transition_prior: TransitionPrior,
    n_chunks: Array,
    config: EMConfig,
    dispersion_centre: Any = None,
) -> EMState:
    """Evaluate the candidate and propose the next one.

    Parameters
    ----------
    state : EMState
    recording : Recording
    penalty : Penalty
    transition_prior : TransitionPrior
    n_chunks : int scalar
        Only the first so many chunks are used: short runs need no compilation of
        their own.
    config : EMConfig
        Static.
    dispersion_centre : array, shape (neuron,), or None
        Of the prior over dispersions, where the observations have any.

    Returns
    -------
    EMState
    """
    candidate = state.candidate
    emission = _emission(config, candidate.dispersion)
    log_lik = log_likelihoods(recording, candidate.coefficients, n_chunks, **emission)
    used = jnp.arange(recording.n_time) < n_chunks * config.chunk_size
    starts = recording.chain_starts | ~used
    log_lik = driven.as_homogeneous(candidate, recording, log_lik, starts)
    smoothed = hmm_scan.smooth(candidate.initial, candidate.transition, log_lik, starts)
    prior = _log_prior(candidate, penalty, transition_prior, config, dispersion_centre)
    objective = smoothed.log_likelihood + prior
    marginals = jnp.where((recording.modelled & used)[:, None], smoothed.marginals, 0.0)

    def accept():
        curve = curvature(
            recording,
            candidate.coefficients,
            marginals,
            n_chunks,
            exact=config.exact_information,
            **emission,
        )
        move = newton_step(curve, penalty, candidate.coefficients)
        initial_counts = hmm.expected_starts(marginals, recording.starts & used)
        counts, weights = smoothed.transition_counts, candidate.transition_weights
        transition, initial = transitions.most_probable(transition_prior, counts, initial_counts)
        if weights is not None:
            steps = driven.expected(counts, marginals, starts, recording)
            transition, weights = driven.most_probable(
                transition_prior, candidate.transition, weights, steps, n_chunks, config.chunk_size
            )
        spread, dispersion = OBSERVATIONS[config.observation].dispersion, candidate.dispersion
        if spread is not None:
            dispersion = spread.update(curve.dispersion_sums, dispersion, dispersion_centre)
        return EMState(
            Params(candidate.coefficients + move, transition, initial, dispersion, weights),
            candidate,
            objective,
            smoothed.log_likelihood,
            curve,
            marginals.sum(0),
            jnp.asarray(False),
        )

    def reject():
        half_way = jax.tree.map(lambda a, b: 0.5 * (a + b), state.accepted, candidate)
        return state._replace(candidate=half_way, rejected=jnp.asarray(True))

    # The last digits of a sum over many bins are rounding: a fall of them is none.
    slack = 8 * jnp.finfo(objective.dtype).eps * jnp.abs(objective)
    return lax.cond(objective >= state.objective - slack, accept, reject)


def _emission(config: EMConfig, dispersion: Array | None) -> dict[str, Any]:
    """Keywords that passes over the recording share."""
    return {
        "size": config.chunk_size,
        "link": config.link,
        "observation": config.observation,
        "dispersion": dispersion,
    }


class Run(NamedTuple):
    """EM on its way to convergence.

    Attributes
    ----------
    state : EMState
    n_steps : int
    previous : float
        Objective after the last accepted step.
    rejections : int
        Steps turned down since.
    reason : str
        Why it ended: "converged", "no further increase", "max_iter" or "interrupted"; empty
        as long as it goes on.
    """

    state: EMState
    n_steps: int = 0
    previous: float = -math.inf
    rejections: int = 0
    reason: str = ""


def next_step(
    run: Run,
    advance: Callable[[EMState], EMState],
    *,
    max_iter: int,
    tol: float,
    on_step: Callable[[EMState], bool],
) -> Run:
    """Take one step of a run; parameters as in `run`."""
    state, n_steps = advance(run.state), run.n_steps + 1
    reason = "max_iter" if n_steps >= max_iter else ""
    previous, rejections = run.previous, run.rejections
    if on_step(state):
        reason = "interrupted"
    elif state.rejected:
        rejections += 1
        if rejections >= MAX_HALVINGS:
            reason = "no further increase"
    else:
        objective, rejections = float(state.objective), 0
        if objective - previous <= tol * max(abs(objective), 1.0):
            reason = "converged"
        previous = objective
    return Run(state, n_steps, previous, rejections, reason)


def _log_prior(
    params: Params,
    penalty: Penalty,
    transition_prior: TransitionPrior,
    config: EMConfig,
    dispersion_centre: Any,
) -> Array:
    """Log density of all parameters, up to a constant."""
    prior = log_penalty(penalty, params.coefficients) + transitions.log_density(
        transition_prior, params.transition, params.initial
    )
    if params.transition_weights is not None:
        prior += driven.log_density(transition_prior, params.transition_weights)
    spread = OBSERVATIONS[config.observation].dispersion
    if spread is None:
        return prior
    return prior + spread.log_prior(params.dispersion, dispersion_centre).sum()


def run(
    state: EMState,
    advance: Callable[[EMState], EMState],
    *,
    max_iter: int,
    tol: float,
    on_step: Callable[[EMState], bool] = lambda _: False,
) -> tuple[EMState, str]:
    """Step until the objective settles.

    Parameters
    ----------
    state : EMState
    advance : callable
        `step` with its other arguments filled in.
    max_iter : int
    tol : float
        Smallest relative change of the objective that counts as progress; being
        relative, it means the same for any unit and any number of bins or neurons.
        Infinite, it ends the run at the first step that is accepted.
    on_step : callable
        Called with the state after every step; returns True to stop.

    Returns
    -------
    state : EMState
    reason : str
        See `Run`.
    """
    run = Run(state)
    while not run.reason:
        run = next_step(run, advance, max_iter=max_iter, tol=tol, on_step=on_step)
    return run.state, run.reason


def without_curvature(state: EMState) -> EMState:
    """Leave out what is large and follows from the rest; see `with_curvature`."""
    nothing = jnp.zeros(0)
    return state._replace(curvature=Curvature(nothing, nothing))


def with_curvature(state: EMState, advance: Callable[[EMState], EMState]) -> EMState:
    """Compute the curvature of a state that was kept without it, by one step.

    The same program at the same parameters gives the same curvature, to the last bit.
    """
    fresh = init(state.accepted)
    evaluated = fresh if math.isinf(state.objective) else advance(fresh)
    return state._replace(curvature=evaluated.curvature)
