"""Links from the linear predictor to the rate.

A link g maps the linear predictor ``eta`` to the rate ``f = g(eta)`` in counts per
bin.  Beside the rate, inference needs its logarithm (not taken of a rate that may
have underflowed) and its slope ``df/deta``; each comes together with the rate, so
that one exponential serves both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array


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
    """

    rate: Callable[[Array], Array]
    rate_and_log: Callable[[Array], tuple[Array, Array]]
    rate_and_slope: Callable[[Array], tuple[Array, Array]]
    inverse: Callable[[Array], Array]


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


LINKS: dict[str, Link] = {
    "softplus": Link(
        _softplus,
        _softplus_and_log,
        _softplus_and_slope,
        lambda rate: rate + jnp.log(-jnp.expm1(-rate)),
    ),
    "exp": Link(jnp.exp, _exp_and_log, _exp_and_slope, jnp.log),
    "sigmoid": Link(
        _sigmoid,
        _sigmoid_and_log,
        _sigmoid_and_slope,
        lambda rate: jnp.log(rate) - jnp.log1p(-rate),
    ),
}
