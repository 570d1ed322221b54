"""Transitions that inputs drive: where they enter the E-step, and their M-step.

With ``p(z_t = j | z_{t-1} = i, v_t) = softmax_j(log A[i, j] + weights[j] . v_t)`` the expected
log-likelihood of the transitions is

    sum_ij N_ij log A_ij + sum_t gamma_t(j) weights[j] . v_t
        - sum_t gamma_{t-1}(i) log sum_j exp(log A[i, j] + weights[j] . v_t),

concave in log A and the weights together: all rows are multinomial regressions that share
the inputs' coefficients.  The M-step takes Newton steps, halved where they fail.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import block_diag, cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int

from onehotglm.kernels import hmm_driven
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording
from onehotglm.model.transitions import TransitionPrior, pseudo_counts

# Evaluations of an M-step; EM comes back to it, so it need not end at the maximum.
MAX_EVALUATIONS = 4
# Gain in nats of a Newton step that is taken without looking.
SMALL_GAIN = 1e-3
# Curvature, in counts, that every coefficient has at least: keeps steps of rare ones short.
DAMPING = 1e-3
# Farthest that a step moves the logarithm of a probability, and where it begins at the least:
# far below its best value there is no curvature that would say how far.
LONGEST, RAREST = 4.0, 1e-10


def drive(params: Params, recording: Recording) -> Float[Array, "time state"]:
    """``weights . v_t``, how much the input drives into each state."""
    inputs, weights = recording.transition_inputs, params.transition_weights
    assert inputs is not None
    assert weights is not None
    return inputs @ weights.T


def as_homogeneous(
    params: Params,
    recording: Recording,
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Float[Array, "time state"]:
    """Log-likelihoods that the kernels of homogeneous chains take; without inputs as they are.

    Parameters
    ----------
    params : Params
    recording : Recording
    log_lik : array, shape (time, state)
        Of the observations.
    starts : bool array, shape (time,)
        Where the chain restarts.

    Returns
    -------
    array, shape (time, state)
        See `onehotglm.kernels.hmm_driven`.
    """
    if params.transition_weights is None:
        return log_lik
    return hmm_driven.as_homogeneous(params.transition, drive(params, recording), log_lik, starts)


def log_density(prior: TransitionPrior, weights: Float[Array, "state input"]) -> Array:
    """Log prior density of the inputs' weights, up to a constant."""
    return -0.5 * prior.input_ridge * (weights**2).sum()


class Expected(NamedTuple):
    """What the E-step says of the transitions.

    Attributes
    ----------
    counts : array, shape (state, next_state)
        Expected transitions.
    before, after : array, shape (time, state)
        Posterior of the states that the step into a bin leaves and reaches; 0 at starts
        and where nothing is modelled.
    inputs : array, shape (time, input)
    """

    counts: Float[Array, "state next_state"]
    before: Float[Array, "time state"]
    after: Float[Array, "time state"]
    inputs: Float[Array, "time input"]


def expected(
    counts: Float[Array, "state next_state"],
    marginals: Float[Array, "time state"],
    starts: Bool[Array, " time"],
    recording: Recording,
) -> Expected:
    """Collect what the M-step needs.

    Parameters
    ----------
    counts : array, shape (state, next_state)
        Expected transitions.
    marginals : array, shape (time, state)
        Posterior of the states, 0 where nothing is modelled.
    starts : bool array, shape (time,)
        Where the chain restarts.
    recording : Recording
        With inputs.

    Returns
    -------
    Expected
    """
    assert recording.transition_inputs is not None
    steps = ~starts.at[0].set(True)[:, None]
    before = jnp.where(steps, jnp.roll(marginals, 1, axis=0), 0.0)
    after = jnp.where(steps, marginals, 0.0)
    return Expected(counts, before, after, recording.transition_inputs)


class _Logits(NamedTuple):
    """The regressions' coefficients: log A up to a constant per row, and the weights."""

    base: Float[Array, "state next_state"]
    weights: Float[Array, "state input"]


class _Evaluation(NamedTuple):
    """Penalised expected log-likelihood, and the Newton step from there with its gain."""

    value: Float[Array, ""]
    step: _Logits
    gain: Float[Array, ""]


def most_probable(
    prior: TransitionPrior,
    transition: Float[Array, "state next_state"],
    weights: Float[Array, "state input"],
    found: Expected,
    n_chunks: Int[Array, ""],
    size: int,
) -> tuple[Float[Array, "state next_state"], Float[Array, "state input"]]:
    """Transition matrix and weights that raise the expected log posterior.

    Parameters
    ----------
    prior : TransitionPrior
    transition, weights : arrays, shapes (state, next_state) and (state, input)
        Those of the E-step.
    found : Expected
    n_chunks : int scalar
        Chunks of bins that hold anything.
    size : int
        Bins per chunk; static.

    Returns
    -------
    transition : array, shape (state, next_state)
        Where the inputs are zero.
    weights : array, shape (state, input)
        Their sum over states is zero: what drives into all states alike has no effect.
    """
    evaluate = partial(_evaluate, prior, found, n_chunks, size)
    start = _Logits(jnp.log(jnp.maximum(transition, RAREST)), weights)
    one, nowhere = jnp.ones((), transition.dtype), jax.tree.map(jnp.zeros_like, start)
    # The first step goes nowhere and is better than nothing: so evaluations are compiled once.
    unknown = _Evaluation(-jnp.inf * one, nowhere, jnp.inf * one)

    def search(carry):
        at, here, scale, n_evaluations = carry
        point = jax.tree.map(lambda x, move: x + scale * move, at, here.step)
        there = evaluate(point)
        # The last digits of a sum over many bins are rounding.
        slack = 8 * jnp.finfo(here.value.dtype).eps * jnp.abs(here.value)
        better = there.value >= here.value - slack
        at, here = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), (point, there), (at, here)
        )
        return at, here, jnp.where(better, 1.0, 0.25 * scale), n_evaluations + 1

    def goes_on(carry):
        _, here, _, n_evaluations = carry
        return (here.gain > SMALL_GAIN) & (n_evaluations < MAX_EVALUATIONS)

    at, here, *_ = lax.while_loop(goes_on, search, (start, unknown, one, 0))
    last = jnp.where(here.gain > SMALL_GAIN, 0.0, 1.0)
    at = jax.tree.map(lambda x, move: x + last * move, at, here.step)
    return jax.nn.softmax(at.base, axis=-1), at.weights - at.weights.mean(0)


class _Sums(NamedTuple):
    """Sums over the steps from bin to bin.

    With p the probability of the next state j given the state i before, w the posterior of
    i, and features ``u = (1, v)``: `log_partition` sums ``w log Z``, `linear` is
    ``sum w_i p_ij u`` (i, j, feature), `pairs` ``sum w_i p_ij p_ik u`` (i, j, k, feature),
    and `squares` is the weights' curvature (j, k, input, input).
    """

    log_partition: Float[Array, ""]
    linear: Float[Array, "state next_state feature"]
    pairs: Float[Array, "state next_state next_state feature"]
    squares: Float[Array, "next_state next_state input input"]


def _sum_over_bins(point: _Logits, found: Expected, n_chunks: Array, size: int) -> _Sums:
    n_states, n_inputs = point.weights.shape

    def add(index, sums):
        def cut(x):
            return lax.dynamic_slice_in_dim(x, index * size, size)

        inputs, before = cut(found.inputs), cut(found.before)
        logits = point.base + (inputs @ point.weights.T)[:, None]
        log_z = jax.scipy.special.logsumexp(logits, axis=-1)
        p = jnp.exp(logits - log_z[..., None])
        features = jnp.concatenate([jnp.ones((size, 1), inputs.dtype), inputs], axis=1)
        weighted = before[..., None] * p
        both = weighted[..., None] * p[:, :, None, :]
        # Over the states before: what the weights, which all rows share, see of the curvature.
        bend = jnp.eye(n_states, dtype=p.dtype) * weighted.sum(1)[:, None] - both.sum(1)
        products = (inputs[:, :, None] * inputs[:, None]).reshape(size, -1)
        return jax.tree.map(
            jnp.add,
            sums,
            _Sums(
                (before * log_z).sum(),
                jnp.tensordot(weighted, features, (0, 0)),
                jnp.tensordot(both, features, (0, 0)),
                jnp.tensordot(bend, products, (0, 0)).reshape(sums.squares.shape),
            ),
        )

    dtype, state = point.base.dtype, (n_states,)
    nothing = _Sums(
        jnp.zeros((), dtype),
        jnp.zeros((*state * 2, 1 + n_inputs), dtype),
        jnp.zeros((*state * 3, 1 + n_inputs), dtype),
        jnp.zeros((*state * 2, n_inputs, n_inputs), dtype),
    )
    return lax.fori_loop(0, n_chunks, add, nothing)


def _evaluate(
    prior: TransitionPrior, found: Expected, n_chunks: Array, size: int, point: _Logits
) -> _Evaluation:
    sums = _sum_over_bins(point, found, n_chunks, size)
    n_states = len(point.base)
    pseudo = pseudo_counts(prior, n_states)
    counts, per_row = found.counts + pseudo, pseudo.sum(1)
    reached = found.after.T @ found.inputs
    matrix = jax.nn.softmax(point.base, axis=-1)
    value = (
        (counts * point.base).sum()
        + (reached * point.weights).sum()
        - sums.log_partition
        - per_row @ jax.scipy.special.logsumexp(point.base, axis=-1)
        - 0.5 * prior.input_ridge * (point.weights**2).sum()
    )
    gradient = _Logits(
        counts - sums.linear[..., 0] - per_row[:, None] * matrix,
        reached - sums.linear[..., 1:].sum(0) - prior.input_ridge * point.weights,
    )
    curvature = _curvature(sums, matrix, per_row, prior.input_ridge)
    step = _solve(curvature, gradient)
    gain = 0.5 * ((step.base * gradient.base).sum() + (step.weights * gradient.weights).sum())
    return _Evaluation(value, step, gain)


def _curvature(sums: _Sums, matrix: Array, per_row: Array, ridge: Any) -> Array:
    """Minus the second derivatives: rows of log A one after the other, then the weights.

    Shifting a whole row of log A, or the weights of an input in all states, changes nothing;
    curvature is added there, which leaves the step where it is.
    """
    n_states = len(matrix)
    n_inputs = sums.linear.shape[-1] - 1
    eye = jnp.eye(n_states, dtype=matrix.dtype)
    # (i, j, k, feature): the row of i, its entry j against what drives into k.
    rows = eye[None, :, :, None] * sums.linear[:, :, None] - sums.pairs
    prior = eye * matrix[:, None] - matrix[:, :, None] * matrix[:, None]
    base = rows[..., 0] + per_row[:, None, None] * prior
    size = jnp.trace(base, axis1=1, axis2=2)[:, None, None] / n_states
    weights = sums.squares.swapaxes(1, 2).reshape((n_states * n_inputs,) * 2)
    shift = jnp.kron(jnp.ones_like(eye), jnp.eye(n_inputs, dtype=eye.dtype))
    weights += shift * jnp.trace(weights) / len(weights) + ridge * jnp.eye(len(weights))
    across = rows[..., 1:].reshape(n_states**2, n_states * n_inputs)
    whole = block_diag(*(base + size))
    return jnp.block([[whole, across], [across.T, weights]])


def _solve(curvature: Array, gradient: _Logits) -> _Logits:
    """Newton step; none where rounding spoilt it."""
    diagonal = jnp.diagonal(curvature) + DAMPING
    unit = lax.rsqrt(diagonal)
    scaled = curvature * unit[:, None] * unit[None]
    scaled = scaled.at[jnp.diag_indices(len(diagonal))].set(1.0)
    flat = jnp.concatenate([gradient.base.ravel(), gradient.weights.ravel()])
    step = unit * cho_solve(cho_factor(scaled), unit * flat)
    step = jnp.where(jnp.isfinite(step).all(), step, 0.0)
    n_base = gradient.base.size
    base, weights = step[:n_base], step[n_base:]
    return _Logits(
        jnp.clip(base, -LONGEST, LONGEST).reshape(gradient.base.shape),
        weights.reshape(gradient.weights.shape),
    )
