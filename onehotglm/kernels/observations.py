"""Distributions of the observations given their mean, ``x ~ p(x | f = g(eta))``.

For every distribution: its log-likelihood, and the weights that make the gradient and
the Fisher information of a regression (McCullagh & Nelder 1989), all elementwise; how a
dispersion per neuron is learned where there is one.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray
from scipy.special import gammaln

from onehotglm.kernels.emissions import ALL_LINKS, Link

Floats = NDArray[np.float64]
_SMALLEST_RATE = 1e-8
# Spread of the log-dispersion around its centre: a factor of twenty either way.
_LOG_DISPERSION_SD = 3.0


class Dispersion(NamedTuple):
    """How a positive parameter per neuron is learned.

    Attributes
    ----------
    start : callable
        (mean, variance) of the data -> start, also the centre of its prior; numpy.
    statistics : callable
        (link, x, eta, dispersion) -> two arrays, whose sums `update` needs.
    update : callable
        (sums, dispersion, centre) -> next dispersion.
    log_prior : callable
        (dispersion, centre) -> log density per neuron, up to a constant.
    """

    start: Callable[[Floats, Floats], Floats]
    statistics: Callable[[Link, Array, Array, Any], tuple[Array, Array]]
    update: Callable[[Any, Any, Any], Array]
    log_prior: Callable[[Any, Any], Array]


class Observation(NamedTuple):
    """What inference needs of a distribution.

    Attributes
    ----------
    values : str
        "counts" (0, 1, 2, ...), "binary" (0, 1) or "real".
    lowest, highest : float
        Range of the mean: a link's range has to lie inside.
    log_likelihood : callable
        (link, x, eta, dispersion) -> ``log p(x)`` less `log_base`.
    weights : callable
        (link, x, eta, dispersion) -> ``d log p / d eta`` and its Fisher information.
    log_base : callable
        x -> the part of ``log p(x)`` that no parameter changes; numpy.
    dispersion : Dispersion or None
    """

    values: str
    lowest: float
    highest: float
    log_likelihood: Callable[[Link, Array, Array, Any], Array]
    weights: Callable[[Link, Array, Array, Any], tuple[Array, Array]]
    log_base: Callable[[Floats], Floats]
    dispersion: Dispersion | None = None


def links_for(observation: str) -> tuple[str, ...]:
    """Names of the links whose values can be the mean of an observation.

    Examples
    --------
    >>> links_for("bernoulli")
    ('sigmoid',)
    """
    wanted = OBSERVATIONS[observation]
    return tuple(
        name
        for name, link in ALL_LINKS.items()
        if wanted.lowest <= link.lowest and link.highest <= wanted.highest
    )


# ----------------------------------------------------------------------------- Poisson


def _poisson_log_likelihood(link: Link, x: Array, eta: Array, _: Any) -> Array:
    rate, log_rate = link.rate_and_log(eta)
    return x * log_rate - rate


def _poisson_weights(link: Link, x: Array, eta: Array, _: Any) -> tuple[Array, Array]:
    rate, slope = link.rate_and_slope(eta)
    ratio = slope / jnp.maximum(rate, jnp.finfo(rate.dtype).tiny)
    return x * ratio - slope, slope * ratio


# --------------------------------------------------------------------------- Bernoulli


def _bernoulli_log_likelihood(link: Link, x: Array, eta: Array, _: Any) -> Array:
    # Only the sigmoid stays below one; its log(1 - f) is log f - eta.
    return link.rate_and_log(eta)[1] - (1.0 - x) * eta


def _bernoulli_weights(link: Link, x: Array, eta: Array, _: Any) -> tuple[Array, Array]:
    mean, slope = link.rate_and_slope(eta)
    return x - mean, slope


# ------------------------------------------------------------------- negative binomial
# The variance is f + a f^2 with the dispersion a; a -> 0 is Poisson.  With r = 1 / a
#   log p = x log f - (x + r) log(1 + f / r) + sum_{k<x} log(1 + k / r) - log x!


def _log_rising(x: Array, r: Array) -> Array:
    """``sum_{k<x} log(1 + k/r) = log Gamma(x + r) - log Gamma(r) - x log r``, for any r."""
    # Stirling's series where it is accurate, from `far` on; the factors before, one by one.
    # A difference of log-gammas would lose all digits where r is large.
    steps = 6
    far = r + steps
    series = (
        (x + far - 0.5) * jnp.log1p(x / far)
        - x
        + (1 / (x + far) - 1 / far) / 12
        - (1 / (x + far) ** 3 - 1 / far**3) / 360
    )
    before = reduce(jnp.add, (jnp.log1p(x / (r + k)) for k in range(steps)))
    return series + x * jnp.log1p(steps / r) - before


def _negative_binomial_log_likelihood(link: Link, x: Array, eta: Array, dispersion: Any) -> Array:
    rate, log_rate = link.rate_and_log(eta)
    return x * log_rate + _of_dispersion(x, rate, dispersion)


def _of_dispersion(x: Array, rate: Array, dispersion: Any) -> Array:
    r = 1.0 / dispersion
    return _log_rising(x, r) - (x + r) * jnp.log1p(rate * dispersion)


def _negative_binomial_weights(
    link: Link, x: Array, eta: Array, dispersion: Any
) -> tuple[Array, Array]:
    gradient, information = _poisson_weights(link, x, eta, None)
    wider = 1.0 + link.rate(eta) * dispersion
    return gradient / wider, information / wider


def _negative_binomial_start(mean: Floats, variance: Floats) -> Floats:
    excess = (variance - mean) / np.maximum(mean, _SMALLEST_RATE) ** 2
    return np.clip(excess, 0.01, 10.0)


def _negative_binomial_statistics(
    link: Link, x: Array, eta: Array, dispersion: Array
) -> tuple[Array, Array]:
    """First and negative second derivative with respect to the log-dispersion."""
    rate, theta = link.rate(eta), jnp.log(dispersion) + jnp.zeros_like(eta)
    one = jnp.ones_like(eta)

    def first(theta):
        return jax.jvp(lambda t: _of_dispersion(x, rate, jnp.exp(t)), (theta,), (one,))[1]

    slope, bend = jax.jvp(first, (theta,), (one,))
    return slope, -bend


def _negative_binomial_update(sums: Array, dispersion: Array, centre: Array) -> Array:
    """Newton step on the log-dispersion, of at most one."""
    precision = _LOG_DISPERSION_SD**-2
    gradient = sums[0] - precision * jnp.log(dispersion / centre)
    curvature = jnp.maximum(sums[1] + precision, jnp.abs(gradient))
    return dispersion * jnp.exp(gradient / curvature)


def _log_normal_prior(dispersion: Array, centre: Array) -> Array:
    return -0.5 * (jnp.log(dispersion / centre) / _LOG_DISPERSION_SD) ** 2


# ---------------------------------------------------------------------------- Gaussian
# The dispersion is the variance.  Its prior is worth one sample of the data's variance.


def _gaussian_log_likelihood(link: Link, x: Array, eta: Array, dispersion: Any) -> Array:
    return -0.5 * ((x - link.rate(eta)) ** 2 / dispersion + jnp.log(dispersion))


def _gaussian_weights(link: Link, x: Array, eta: Array, dispersion: Any) -> tuple[Array, Array]:
    mean, slope = link.rate_and_slope(eta)
    return (x - mean) * slope / dispersion, slope**2 / dispersion


def _gaussian_start(mean: Floats, variance: Floats) -> Floats:
    # A constant signal still has a scale: a millionth of its square, or one.
    return np.where(variance > 0, variance, np.where(mean != 0, 1e-6 * mean**2, 1.0))


def _gaussian_statistics(link: Link, x: Array, eta: Array, _: Array) -> tuple[Array, Array]:
    return (x - link.rate(eta)) ** 2, jnp.ones_like(eta)


def _gaussian_update(sums: Array, _: Array, centre: Array) -> Array:
    return (sums[0] + centre) / (sums[1] + 1.0)


def _inverse_gamma_prior(dispersion: Array, centre: Array) -> Array:
    return -0.5 * (jnp.log(dispersion) + centre / dispersion)


def _gaussian_base(x: Floats) -> Floats:
    return np.where(np.isnan(x), np.nan, -0.5 * np.log(2 * np.pi))


def _log_factorial_base(x: Floats) -> Floats:
    return -gammaln(x + 1)


OBSERVATIONS: dict[str, Observation] = {
    "poisson": Observation(
        "counts",
        0.0,
        np.inf,
        _poisson_log_likelihood,
        _poisson_weights,
        _log_factorial_base,
    ),
    "bernoulli": Observation(
        "binary",
        0.0,
        1.0,
        _bernoulli_log_likelihood,
        _bernoulli_weights,
        lambda x: 0.0 * x,
    ),
    "negative_binomial": Observation(
        "counts",
        0.0,
        np.inf,
        _negative_binomial_log_likelihood,
        _negative_binomial_weights,
        _log_factorial_base,
        Dispersion(
            _negative_binomial_start,
            _negative_binomial_statistics,
            _negative_binomial_update,
            _log_normal_prior,
        ),
    ),
    "gaussian": Observation(
        "real",
        -np.inf,
        np.inf,
        _gaussian_log_likelihood,
        _gaussian_weights,
        _gaussian_base,
        Dispersion(_gaussian_start, _gaussian_statistics, _gaussian_update, _inverse_gamma_prior),
    ),
}
