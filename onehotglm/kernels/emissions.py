"""Links from the linear predictor to the rate, and Poisson log-likelihoods.

A link g maps the linear predictor ``eta`` to the rate ``f = g(eta)`` in counts
per bin.  Each link offers its value, its logarithm (computed without passing
through an underflowing rate) and its slope ``df/deta``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float


class Link(NamedTuple):
    """The three functions that inference needs of a link."""

    rate: Callable[[Array], Array]
    log_rate: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _log_softplus(eta: Array) -> Array:
    # softplus(eta) = exp(eta) (1 - exp(eta)/2 + ...): below -15 the logarithm is
    # eta to float precision, while the rate itself would underflow.
    safe = jnp.maximum(eta, -15.0)
    return jnp.where(eta < -15.0, eta, jnp.log(jax.nn.softplus(safe)))


def _sigmoid_slope(eta: Array) -> Array:
    rate = jax.nn.sigmoid(eta)
    return rate * (1.0 - rate)


LINKS: dict[str, Link] = {
    "softplus": Link(jax.nn.softplus, _log_softplus, jax.nn.sigmoid),
    "exp": Link(jnp.exp, lambda eta: eta, jnp.exp),
    "sigmoid": Link(jax.nn.sigmoid, jax.nn.log_sigmoid, _sigmoid_slope),
}


def poisson_log_likelihood(
    counts: Float[Array, "... neuron"], eta: Float[Array, "... neuron"], link: Link
) -> Float[Array, "... neuron"]:
    """Log-probability of counts, in nats, one value per entry.

    ``log p(x) = x log g(eta) - g(eta) - log x!``

    Parameters
    ----------
    counts : array, shape (..., neuron)
        Spike counts per bin.
    eta : array, shape (..., neuron)
        Linear predictors.
    link : Link
        Entry of `LINKS`.

    Returns
    -------
    array, shape (..., neuron)
    """
    return counts * link.log_rate(eta) - link.rate(eta) - gammaln(counts + 1.0)
