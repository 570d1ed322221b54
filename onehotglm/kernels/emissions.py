"""Links from the linear predictor to the rate.

A link g maps the linear predictor ``eta`` to the rate ``f = g(eta)`` in counts per
bin.  Beside the rate, inference needs its logarithm (not taken of a rate that may
have underflowed) and its slope ``df/deta``; each comes together with the rate, so
that one exponential serves both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike


class Link(NamedTuple):
    """What inference needs of a link.

    Attributes
    ----------
    rate : callable
        eta -> f.
    rate_and_log : callable
        eta -> (f, log f).
    rate_and_slope : callable
        eta -> (f, df/deta).
    inverse : callable
        f -> eta, for rates that the link can give.
    lowest, highest : float
        Rates stay between.
    steepest : float
        Largest slope.
    """

    rate: Callable[[Array], Array]
    rate_and_log: Callable[[Array], tuple[Array, Array]]
    rate_and_slope: Callable[[Array], tuple[Array, Array]]
    inverse: Callable[[Array], Array]
    lowest: float = 0.0
    highest: float = float("inf")
    steepest: float = float("inf")


def _log1p(u: Array) -> Array:
    # For 0 <= u <= 1, within a rounding error of log1p in float32 and 3e-10 in float64,
    # at two thirds of its cost.
    return jnp.where(u < 1e-3, u * (1.0 - 0.5 * u * (1.0 - u / 1.5)), jnp.log(1.0 + u))


def _tail(eta: Array) -> Array:
    return jnp.exp(-jnp.abs(eta))


def _softplus(eta: Array) -> Array:
    return jnp.maximum(eta, 0.0) + _log1p(_tail(eta))


def _sigmoid(eta: Array) -> Array:
    u = _tail(eta)
    return jnp.where(eta >= 0, 1.0, u) / (1.0 + u)


def _softplus_and_log(eta: Array) -> tuple[Array, Array]:
    u = _tail(eta)
    rate = jnp.maximum(eta, 0.0) + _log1p(u)
    # softplus(eta) = u (1 - u/2 + ...) for eta << 0, where the rate itself underflows.
    low = eta < -8.0
    return rate, jnp.where(low, eta - 0.5 * u, jnp.log(jnp.where(low, 1.0, rate)))


def _sigmoid_and_log(eta: Array) -> tuple[Array, Array]:
    u = _tail(eta)
    return jnp.where(eta >= 0, 1.0, u) / (1.0 + u), jnp.minimum(eta, 0.0) - _log1p(u)


def _exp_and_log(eta: Array) -> tuple[Array, Array]:
    return jnp.exp(eta), eta


def _softplus_and_slope(eta: Array) -> tuple[Array, Array]:
    u = _tail(eta)
    return jnp.maximum(eta, 0.0) + _log1p(u), jnp.where(eta >= 0, 1.0, u) / (1.0 + u)


def _sigmoid_and_slope(eta: Array) -> tuple[Array, Array]:
    u = _tail(eta)
    per = 1.0 / (1.0 + u)
    return jnp.where(eta >= 0, 1.0, u) * per, u * per * per


def _exp_and_slope(eta: Array) -> tuple[Array, Array]:
    rate = jnp.exp(eta)
    return rate, rate


def _inverse_softplus(rate: Array) -> Array:
    return rate + jnp.log(-jnp.expm1(-rate))


# log(1 + softplus) grows like log(eta), the square root like sqrt(eta): where drive is
# strong both are flatter than the softplus.


def _log1p_softplus_and_log(eta: Array) -> tuple[Array, Array]:
    rate = jnp.log1p(_softplus(eta))
    # u - u^2 + ... with u = exp(eta) for eta << 0.
    low = eta < -8.0
    return rate, jnp.where(low, eta - _tail(eta), jnp.log(jnp.where(low, 1.0, rate)))


def _log1p_softplus_and_slope(eta: Array) -> tuple[Array, Array]:
    inner, slope = _softplus_and_slope(eta)
    return jnp.log1p(inner), slope / (1.0 + inner)


def _sqrt_softplus(eta: Array) -> Array:
    # Far below zero it is exp(eta / 2), which outlives exp(eta) in float32.
    root = jnp.exp(-0.5 * jnp.abs(eta))
    low = eta < -30.0
    inner = jnp.maximum(eta, 0.0) + _log1p(root * root)
    return jnp.where(low, root, jnp.sqrt(jnp.where(low, 1.0, inner)))


def _sqrt_softplus_and_log(eta: Array) -> tuple[Array, Array]:
    return _sqrt_softplus(eta), 0.5 * _softplus_and_log(eta)[1]


def _sqrt_softplus_and_slope(eta: Array) -> tuple[Array, Array]:
    rate = _sqrt_softplus(eta)
    low = eta < -30.0
    inner, slope = _softplus_and_slope(jnp.where(low, 0.0, eta))
    return rate, 0.5 * rate * jnp.where(low, 1.0, slope / inner)


LINKS: dict[str, Link] = {
    "softplus": Link(
        _softplus, _softplus_and_log, _softplus_and_slope, _inverse_softplus, steepest=1.0
    ),
    "exp": Link(jnp.exp, _exp_and_log, _exp_and_slope, jnp.log),
    "sigmoid": Link(
        _sigmoid,
        _sigmoid_and_log,
        _sigmoid_and_slope,
        lambda rate: jnp.log(rate) - jnp.log1p(-rate),
        highest=1.0,
        steepest=0.25,
    ),
    "log1p_softplus": Link(
        lambda eta: jnp.log1p(_softplus(eta)),
        _log1p_softplus_and_log,
        _log1p_softplus_and_slope,
        lambda rate: _inverse_softplus(jnp.expm1(rate)),
        steepest=0.3179,
    ),
    "sqrt_softplus": Link(
        _sqrt_softplus,
        _sqrt_softplus_and_log,
        _sqrt_softplus_and_slope,
        lambda rate: _inverse_softplus(rate * rate),
        steepest=0.3191,
    ),
}

"""Links to a rate: what spikes can have."""

ALL_LINKS: dict[str, Link] = LINKS | {
    "identity": Link(
        lambda eta: eta,
        lambda eta: (eta, jnp.log(eta)),
        lambda eta: (eta, jnp.ones_like(eta)),
        lambda mean: mean,
        lowest=-float("inf"),
        steepest=1.0,
    )
}
"""Also the identity, for signals that may be negative; its logarithm is NaN there."""


def predictor_at(rate: ArrayLike, link: str) -> np.ndarray:
    """Linear predictor at which a link gives a rate, moved into the link's range first.

    Parameters
    ----------
    rate : array
        Counts per bin; a positive link gets at least 1e-4, one with an upper end at most
        0.1 % less than that.
    link : str
        Key of `ALL_LINKS`.

    Returns
    -------
    ndarray, the shape of `rate`

    Examples
    --------
    >>> predictor_at([0.5, 2.0], "sigmoid").round(2)
    array([0.  , 6.91], dtype=float32)
    """
    function = ALL_LINKS[link]
    inside = np.clip(rate, function.lowest + 1e-4, 0.999 * function.highest)
    return np.asarray(function.inverse(jnp.asarray(inside)))
