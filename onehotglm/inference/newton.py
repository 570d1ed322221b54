"""One penalised Newton (Fisher scoring) step for every state and neuron.

Each state and neuron has its own regression; the quadratic model of its penalised
log-likelihood is ``g' d - d' (H + D) d / 2``, where D holds the prior precisions.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float

from onehotglm.inference.statistics import Curvature


class Penalty(NamedTuple):
    """Independent Gaussian priors over coefficients.

    Attributes
    ----------
    mean : array, shape (state, post, column)
    precision : array, shape (state, post, column)
        Zero: a flat prior.
    free : bool array, shape (state, post, column)
        False holds a coefficient at zero.
    """

    mean: Float[Array, "state post column"]
    precision: Float[Array, "state post column"]
    free: Bool[Array, "state post column"]


def log_penalty(penalty: Penalty, coefficients: Float[Array, "state post column"]) -> Array:
    """Log prior density of the coefficients up to a constant, in nats."""
    deviation = coefficients - penalty.mean
    return -0.5 * jnp.where(penalty.free, penalty.precision * deviation**2, 0.0).sum()


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


def newton_step(
    curvature: Curvature,
    penalty: Penalty,
    coefficients: Float[Array, "state post column"],
    *,
    shared_bias: bool,
) -> Float[Array, "state post column"]:
    """Step that maximises the quadratic model.

    Parameters
    ----------
    curvature : Curvature
    penalty : Penalty
    coefficients : array, shape (state, post, column)
        Where the curvature was taken; zero where not free.
    shared_bias : bool
        The bias (column 0) moves alike in all states; its prior counts once per state.

    Returns
    -------
    array, shape (state, post, column)
    """
    gradient, hessian = _penalised(curvature, penalty, coefficients)
    if not shared_bias:
        return cho_solve(cho_factor(hessian), gradient[..., None])[..., 0]
    # Eliminate each state's weights, solve for the bias, substitute back.
    factor = cho_factor(hessian[..., 1:, 1:])
    cross = hessian[..., 1:, :1]
    targets = jnp.concatenate([gradient[..., 1:, None], cross], axis=-1)
    solved = cho_solve(factor, targets)
    from_gradient, from_bias = solved[..., 0], solved[..., 1]
    schur = hessian[..., 0, 0] - (cross[..., 0] * from_bias).sum(-1)
    right = gradient[..., 0] - (cross[..., 0] * from_gradient).sum(-1)
    bias = (right.sum(0) / schur.sum(0))[None, :, None]
    weights = from_gradient - from_bias * bias
    return jnp.concatenate([jnp.broadcast_to(bias, (*weights.shape[:2], 1)), weights], axis=-1)
