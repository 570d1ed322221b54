"""One penalised Newton (Fisher scoring) step for every state and neuron.

Each state and neuron has its own regression; the quadratic model of its penalised
log-likelihood is ``g' d - d' (H + D) d / 2``, where D holds the prior precisions.
Regressions of different states meet in the coefficients that the states share.

Where signs are given the step maximises the model over the coefficients that keep them,
by block pivoting: hold at zero what would cross it, release what would rather leave it,
until nothing changes (Portugal, Júdice & Vicente 1994, Mathematics of Computation 63:625).
Should this not end, a projected gradient step, which improves the model wherever
something can, stands in.

With kernels that the states share (`onehotglm.inference.shared_kernel`) the quadratic model
is maximised over each neuron's biases and strengths, or over its kernels, whichever gains
more: moving one factor at a time, the way there holds products only.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import jit, lax
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int

from onehotglm.inference import shared_kernel
from onehotglm.inference.shared_kernel import SharedKernel
from onehotglm.inference.statistics import Curvature

MAX_PIVOTS = 20


class Penalty(NamedTuple):
    """Independent Gaussian priors over coefficients, and what else bounds them.

    With a `kernel` columns are those of biases and strengths.

    Attributes
    ----------
    mean : array, shape (state, post, column)
    precision : array, shape (state, post, column)
        Zero: a flat prior.
    free : bool array, shape (state, post, column)
        False holds a coefficient at zero.
    tied : int array, shape (post, tied), or None
        Columns that are the same in all states; their prior counts once per state.
    sign : int array, shape (post, column) or (state, post, column), or None
        1: not negative; -1: not positive; 0: any.
    roughness : array, shape (post or 1, column, column), or None
        Precision of a further prior around zero; not with a `kernel`.
    kernel : SharedKernel or None
        Weights are products of strengths and kernels that the states share.
    """

    mean: Float[Array, "state post column"]
    precision: Float[Array, "state post column"]
    free: Bool[Array, "state post column"]
    tied: Int[Array, "post tied"] | None = None
    sign: Int[Array, "*state post column"] | None = None
    roughness: Float[Array, "#post column column"] | None = None
    kernel: SharedKernel | None = None


def log_penalty(penalty: Penalty, coefficients: Float[Array, "state post column"]) -> Array:
    """Log prior density of the coefficients up to a constant, in nats."""
    rough: Array | float = 0.0
    if penalty.roughness is not None:
        rough = (_rows_times(coefficients, penalty.roughness) * coefficients).sum()
    kernels: Array | float = 0.0
    if penalty.kernel is not None:
        coefficients, shape = shared_kernel.factors(coefficients, penalty.kernel)
        kernels = shared_kernel.log_prior(shape, penalty.kernel)
    deviation = coefficients - penalty.mean
    squares = jnp.where(penalty.free, penalty.precision * deviation**2, 0.0).sum()
    return kernels - 0.5 * (squares + rough)


def feasible(coefficients: Array | np.ndarray, penalty: Penalty) -> np.ndarray:
    """Nearest coefficients (state, post, column) that the penalty allows; not compiled."""
    if penalty.kernel is not None:
        strengths, shape = shared_kernel.factors(jnp.asarray(coefficients), penalty.kernel)
        allowed = feasible(strengths, penalty._replace(kernel=None))
        return np.asarray(shared_kernel.products(jnp.asarray(allowed), shape))
    allowed = np.where(penalty.free, coefficients, 0.0)
    if penalty.sign is not None:
        allowed = np.where(allowed * penalty.sign < 0, 0.0, allowed)
    if penalty.tied is not None:
        index = np.broadcast_to(penalty.tied, (len(allowed), *penalty.tied.shape))
        alike = np.take_along_axis(allowed, index, -1).mean(0, keepdims=True)
        np.put_along_axis(allowed, index, alike, -1)
    return allowed


def newton_step(
    curvature: Curvature, penalty: Penalty, coefficients: Float[Array, "state post column"]
) -> Float[Array, "state post column"]:
    """Step that maximises the quadratic model.

    Parameters
    ----------
    curvature : Curvature
    penalty : Penalty
    coefficients : array, shape (state, post, column)
        Where the curvature was taken; `feasible` under the penalty.

    Returns
    -------
    array, shape (state, post, column)
    """
    if penalty.kernel is not None:
        return _shared_kernel_step(curvature, penalty, penalty.kernel, coefficients)
    if penalty.roughness is not None:
        gradient = curvature.gradient - _rows_times(coefficients, penalty.roughness)
        curvature = Curvature(gradient, curvature.information + penalty.roughness)
    gradient, hessian = _penalised(curvature, penalty, coefficients)
    return _best_step(gradient, hessian, penalty, coefficients)


def allowed_optimum(
    curvature: Curvature, penalty: Penalty, coefficients: Float[Array, "state post column"]
) -> Float[Array, "state post column"]:
    """Maximum of the quadratic model that the penalty allows; not compiled.

    Parameters are those of `newton_step`, but for coefficients that need not be `feasible`.
    Returns coefficients, not a step.
    """
    return _optimum_from(curvature, penalty, coefficients, feasible(coefficients, penalty))


@jit
def _optimum_from(
    curvature: Curvature, penalty: Penalty, coefficients: Array, allowed: Array
) -> Array:
    slope = curvature.gradient + _times(curvature.information, coefficients - allowed)
    return allowed + newton_step(Curvature(slope, curvature.information), penalty, allowed)


def _best_step(gradient: Array, hessian: Array, penalty: Penalty, coefficients: Array) -> Array:
    if penalty.sign is None:
        return _solve(gradient, hessian, penalty.tied)
    return _signed_step(gradient, hessian, coefficients, penalty.sign, penalty.tied)


def _shared_kernel_step(
    curvature: Curvature, penalty: Penalty, kernel: SharedKernel, coefficients: Array
) -> Array:
    """Step of each neuron's strengths or kernels, whichever gains more."""
    strengths, shape = shared_kernel.factors(coefficients, kernel)
    slope, information = curvature.gradient, curvature.information
    reduced = shared_kernel.on_strengths(slope, information, shape)
    gradient, hessian = _penalised(Curvature(*reduced), penalty, strengths)
    move = _best_step(gradient, hessian, penalty, strengths)
    gain = (move * (gradient - 0.5 * _times(hessian, move))).sum((0, -1))
    of_kernels, kernel_gain = shared_kernel.kernel_step(
        slope, information, strengths, shape, kernel
    )
    better = kernel.learned & (kernel_gain > gain)
    return jnp.where(better[None, :, None], of_kernels, shared_kernel.products(move, shape))


def coordinates(
    coefficients: Array | np.ndarray, information: Array | np.ndarray, penalty: Penalty
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Express a fit in what the penalty's columns are about; not compiled.

    Parameters
    ----------
    coefficients : array, shape (state, post, column)
    information : array, shape (state, post, column, column)
    penalty : Penalty

    Returns
    -------
    coefficients : array, shape (state, post, penalty column)
        Biases and weights, or strengths.
    information : array, shape (state, post, penalty column, penalty column)
        Of the data.
    precision : array, shape (post or 1, penalty column, penalty column)
        Of the prior against roughness.
    """
    if penalty.kernel is not None:
        strengths, shape = shared_kernel.factors(jnp.asarray(coefficients), penalty.kernel)
        nothing = jnp.zeros_like(coefficients)
        information = shared_kernel.on_strengths(nothing, jnp.asarray(information), shape)[1]
        coefficients = strengths
    roughness = np.zeros((1, 1, 1)) if penalty.roughness is None else np.asarray(penalty.roughness)
    return np.asarray(coefficients), np.asarray(information), roughness


def _penalised(curvature: Curvature, penalty: Penalty, coefficients: Array):
    """Gradient and curvature with the prior; fixed coefficients decoupled."""
    gradient = curvature.gradient - penalty.precision * (coefficients - penalty.mean)
    gradient = jnp.where(penalty.free, gradient, 0.0)
    both = penalty.free[..., :, None] & penalty.free[..., None, :]
    hessian = jnp.where(both, curvature.information, 0.0)
    # The jitter only shapes the step: it keeps a flat prior over a silent neuron solvable.
    size = jnp.trace(hessian, axis1=-2, axis2=-1)[..., None] / hessian.shape[-1]
    diagonal = jnp.where(penalty.free, penalty.precision + 1e-6 * size + 1e-8, 1.0)
    eye = jnp.eye(hessian.shape[-1], dtype=hessian.dtype)
    return gradient, hessian + diagonal[..., None] * eye


def _is_tied(tied: Int[Array, "post tied"], n_columns: int) -> Bool[Array, "post column"]:
    return (tied[:, :, None] == jnp.arange(n_columns)).any(1)


def _solve(gradient: Array, hessian: Array, tied: Array | None) -> Array:
    """Maximum of the quadratic model, tied columns moving alike in all states."""
    if tied is None:
        return cho_solve(cho_factor(hessian), gradient[..., None])[..., 0]
    n_tied = tied.shape[1]
    order = jnp.argsort(~_is_tied(tied, gradient.shape[-1]), axis=-1, stable=True)
    gradient = jnp.take_along_axis(gradient, order[None], -1)
    hessian = jnp.take_along_axis(hessian, order[None, :, :, None], -2)
    hessian = jnp.take_along_axis(hessian, order[None, :, None, :], -1)
    # Eliminate what each state has for itself, solve for what is tied, substitute back.
    factor = cho_factor(hessian[..., n_tied:, n_tied:])
    cross = hessian[..., n_tied:, :n_tied]
    targets = jnp.concatenate([gradient[..., n_tied:, None], cross], axis=-1)
    solved = cho_solve(factor, targets)
    from_gradient, from_tied = solved[..., 0], solved[..., 1:]
    schur = hessian[..., :n_tied, :n_tied] - cross.swapaxes(-1, -2) @ from_tied
    right = gradient[..., :n_tied] - (cross * from_gradient[..., None]).sum(-2)
    common = cho_solve(cho_factor(schur.sum(0)), right.sum(0)[..., None])[..., 0]
    rest = from_gradient - (from_tied * common[None, :, None]).sum(-1)
    alike = jnp.broadcast_to(common, (*rest.shape[:2], n_tied))
    step = jnp.concatenate([alike, rest], axis=-1)
    return jnp.take_along_axis(step, jnp.argsort(order, axis=-1)[None], -1)


def _rows_times(coefficients: Array, roughness: Array) -> Array:
    return (coefficients[..., None, :] @ roughness)[..., 0, :]


def _times(hessian: Array, move: Array) -> Array:
    return (hessian * move[..., None, :]).sum(-1)


def _signed_step(
    gradient: Array, hessian: Array, coefficients: Array, sign: Array, tied: Array | None
) -> Array:
    """Maximum of the quadratic model over the coefficients of the right signs."""

    def within(move):
        return jnp.where(sign * (coefficients + move) < 0, -coefficients, move)

    def solve(held):
        fixed = jnp.where(held, -coefficients, 0.0)
        rest = jnp.where(held, 0.0, gradient - _times(hessian, fixed))
        eye = jnp.eye(hessian.shape[-1], dtype=hessian.dtype)
        decoupled = jnp.where(held[..., :, None] | held[..., None, :], eye, hessian)
        return fixed + _solve(rest, decoupled, tied)

    def pivot(carry):
        held, _, n_pivots = carry
        move = solve(held)
        slope = gradient - _times(hessian, move)
        new = jnp.where(held, sign * slope <= 0, sign * (coefficients + move) < 0)
        return new, (new != held).any(), n_pivots + 1

    start = (sign != 0) & (coefficients == 0) & (sign * gradient <= 0)
    held = lax.while_loop(
        lambda carry: carry[1] & (carry[2] < MAX_PIVOTS), pivot, (start, True, 0)
    )[0]
    best = within(solve(held))
    # The sum of a row's absolute values bounds the curvature.
    safe = within(gradient / jnp.abs(hessian).sum(-1))
    if tied is not None:
        safe = jnp.where(_is_tied(tied, safe.shape[-1]), 0.0, safe)

    def gain(move):
        total = (move * (gradient - 0.5 * _times(hessian, move))).sum(-1, keepdims=True)
        return total if tied is None else total.sum(0, keepdims=True)

    return jnp.where(gain(best) >= gain(safe), best, safe)
