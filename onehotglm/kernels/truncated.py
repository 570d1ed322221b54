"""Normal distributions truncated to positive values, and their mixture with zero.

A spike-and-slab marginal has mass ``proba[0]`` on negative values (minus a truncated
normal), ``proba[1]`` on zero and ``proba[2]`` on positive values.  Its quantile
function at ``Phi(z)`` is continuous in z and in all parameters, because both slabs
begin at zero.  So derivatives through a draw ``z ~ Normal(0, 1)`` are unbiased, those
of the probabilities included: types need neither relaxation nor temperature.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Float

_LOG_2PI = 1.8378770664093453
# Slabs that start further up a normal's tail are exponential to three digits.
_LOWEST_RATIO = -10.0


def bounded_location(loc: Array, scale: Array) -> Array:
    """Location of a slab, not so far below zero that digits are lost."""
    return jnp.maximum(loc, _LOWEST_RATIO * scale)


def moments(loc: Float[Array, "..."], scale: Float[Array, "..."]) -> tuple[Array, Array]:
    """First two moments of ``Normal(loc, scale^2)`` truncated to positive values.

    Parameters
    ----------
    loc, scale : array

    Returns
    -------
    first, second : array

    Examples
    --------
    >>> first, second = moments(jnp.zeros(()), jnp.ones(()))
    >>> round(float(first), 4), round(float(second), 4)
    (0.7979, 1.0)
    """
    loc = bounded_location(loc, scale)
    ratio = loc / scale
    hazard = jnp.exp(-0.5 * (ratio**2 + _LOG_2PI) - log_ndtr(ratio))
    first = loc + scale * hazard
    return first, scale**2 + loc * first


def divergence(loc: Array, scale: Array, prior_loc: Array, prior_scale: Array) -> Array:
    """Kullback-Leibler divergence of a truncated normal from another, in nats.

    Parameters
    ----------
    loc, scale : array
    prior_loc, prior_scale : array
        Of the distribution in the second place.

    Returns
    -------
    array
    """
    loc = bounded_location(loc, scale)
    first, second = moments(loc, scale)

    def expected_log_density(m, s):
        squares = second - 2 * m * first + m**2
        return -0.5 * squares / s**2 - jnp.log(s) - log_ndtr(m / s)

    return expected_log_density(loc, scale) - expected_log_density(prior_loc, prior_scale)


@jax.custom_jvp
def _normal_quantile(log_proba: Array) -> Array:
    """Take the standard normal quantile of a probability given by its logarithm."""
    return ndtri(jnp.exp(log_proba))


@_normal_quantile.defjvp
def _normal_quantile_jvp(primals, tangents):
    (log_proba,), (tangent,) = primals, tangents
    value = _normal_quantile(log_proba)
    slope = jnp.exp(log_proba + 0.5 * (value**2 + _LOG_2PI))
    return value, slope * tangent


def _strength(log_tail: Array, log_proba: Array, loc: Array, scale: Array) -> Array:
    """Distance from zero of the point beyond which lies `exp(log_tail)`; 0 inside the others."""
    inside = log_tail < log_proba
    loc = bounded_location(loc, scale)
    log_part = jnp.where(inside, log_tail - log_proba, -1.0) + log_ndtr(loc / scale)
    # Where the exponential would round to one or zero, the quantile would be infinite.
    eps = jnp.finfo(log_part.dtype).eps
    smallest = jnp.log(jnp.finfo(log_part.dtype).tiny) + 1.0
    strength = loc - scale * _normal_quantile(jnp.clip(log_part, smallest, -eps))
    return jnp.where(inside, jnp.maximum(strength, 0.0), 0.0)


def spike_slab_quantile(
    z: Float[Array, "..."],
    log_proba: Float[Array, "... 3"],
    loc: Float[Array, "2 ..."],
    scale: Float[Array, "2 ..."],
) -> Float[Array, "..."]:
    """Value of the spike-and-slab marginal at the probability ``Phi(z)``.

    Parameters
    ----------
    z : array
        Standard normal scores.
    log_proba : array, shape (..., type)
        Logarithms of the probabilities of a negative value, zero and a positive value.
    loc, scale : array, shape (2, ...)
        Slabs of the distance from zero, negative and positive side.

    Returns
    -------
    array
        Increasing in z.
    """
    tail = log_ndtr(jnp.stack([z, -z], axis=-1))
    slabs = (jnp.moveaxis(x, 0, -1) for x in (loc, scale))
    strength = _strength(tail, log_proba[..., ::2], *slabs)
    return strength[..., 1] - strength[..., 0]
