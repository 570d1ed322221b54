"""Intervals of weights: normal ones, and quantiles of a mixture over types."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri, ndtri_exp

Floats = NDArray[np.float64]


def normal_interval(mean: Floats, sd: Floats, level: float) -> tuple[Floats, Floats]:
    """Equal-tailed interval of a normal distribution.

    Examples
    --------
    >>> low, high = normal_interval(np.array(1.0), np.array(2.0), 0.9)
    >>> float(low.round(2)), float(high.round(2))
    (-2.29, 4.29)
    """
    reach = ndtri(0.5 + level / 2) * sd
    return mean - reach, mean + reach


def positive_quantile(p: Floats, location: Floats, scale: Floats) -> Floats:
    """Quantile of a normal that is truncated to positive values, exact in both tails.

    Examples
    --------
    >>> float(positive_quantile(np.array(0.5), np.array(0.0), np.array(1.0)).round(4))
    0.6745
    """
    with np.errstate(divide="ignore"):
        above = np.log1p(-p) + log_ndtr(location / scale)
    return np.maximum(location - scale * ndtri_exp(above), 0.0)


def mixture_quantile(p: float, type_proba: Floats, location: Floats, scale: Floats) -> Floats:
    """Quantile of a weight that is inhibitory, zero or excitatory.

    Given the types, strengths ``|w|`` are normal, truncated to positive values.  The
    distribution has a jump at zero, where the quantile stays for a range of `p`.

    Parameters
    ----------
    p : float
    type_proba : array, shape (..., type)
    location, scale : array, shape (..., 2)
        Of the strengths of inhibitory and excitatory weights.

    Returns
    -------
    array, shape (...)

    Examples
    --------
    >>> quarters = np.array([0.25, 0.5, 0.25])
    >>> [float(mixture_quantile(p, quarters, np.zeros(2), np.ones(2)).round(2))
    ...  for p in (0.125, 0.3, 0.7, 0.875)]
    [-0.67, 0.0, 0.0, 0.67]
    """
    inhibitory, absent, excitatory = np.moveaxis(type_proba, -1, 0)
    below_zero = inhibitory
    up_to_zero = inhibitory + absent

    def part(size, whole):
        return np.clip(size, 0.0, whole) / np.where(whole > 0, whole, 1.0)

    negative = -positive_quantile(1 - part(p, inhibitory), location[..., 0], scale[..., 0])
    above = part(p - up_to_zero, excitatory)
    positive = positive_quantile(above, location[..., 1], scale[..., 1])
    return np.where(p < below_zero, negative, np.where(p <= up_to_zero, 0.0, positive))


def mixture_interval(
    type_proba: Floats, location: Floats, scale: Floats, level: float
) -> tuple[Floats, Floats]:
    """Equal-tailed interval of such a weight: it holds at least `level`.

    Parameters are those of `mixture_quantile`.
    """
    tail = (1 - level) / 2
    low, high = (mixture_quantile(p, type_proba, location, scale) for p in (tail, 1 - tail))
    return low, high
