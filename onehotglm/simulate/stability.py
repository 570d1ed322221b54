"""Biases and a common scale of the strengths that hold the rates where they should be.

With C the coupling summed over lags, one extra spike of neuron m causes up to
``slope_n C[n,m]`` further spikes of neuron n.  Two spectral norms bound what follows:

- ``norm( diag(slope_s) |C_s| )``, the slope taken at the target rates: below one, small
  deviations from the mean-field fixed point die out, whatever the time course of the
  kernels (the linear process of Hawkes 1971).  With the absolute value, excitation need
  not wait for inhibition to cancel it.
- ``steepest slope * norm( max(C_s, 0) )``: below one, activity comes back from any burst.
  Inhibition only lowers a rate, and no rate grows faster than the steepest slope allows,
  so that a stationary linear process dominates the network (Brémaud and Massoulié 1996,
  Annals of Probability 24:1563).  The first bound alone is not enough: where the link
  is convex, a burst climbs to where the slope is steep and may feed itself.

Norms and not the spectral radii, which are no larger: a feed-forward chain has radius
zero, however much it amplifies, and states that are each stable by their radius may not
be so in alternation.

The gain is the larger of the two in the state where it is largest; all strengths are
scaled by one factor to make it what the user asks for.  The softplus is nowhere
steeper than 1, the sigmoid than 1/4, the logarithm and the root of the softplus than
0.32; the exponential has no steepest slope, so its slope at two counts per bin stands in
and only bursts below that are covered (networks with this link are metastable at best:
Gerhard et al. 2017, PLoS Computational Biology 13:e1005390).

The biases then put the fixed point at the target rates.  With few spikes per bin the
input is far from its mean most of the time, and a curved link turns this into extra
spikes, so the fixed point is that of the mean rate over independent Poisson inputs at
their own target rates: ``E[g(b[n] + sum_{m,l} C[n,m] kernel[l] x_l[m])] = target[n]``.
What is left out is that neurons which excite each other fire together.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.emissions import LINKS

# The mean over sampled inputs is then right within about one percent.
_N_SAMPLES = 4000

# The slope of "exp" at two counts per bin, in place of its largest.
_SLOPE_IN_BURSTS = 2.0


class Stabilised(NamedTuple):
    """A scale for the strengths, the biases that go with it, the gain they give."""

    scale: float
    bias: np.ndarray  # (state, neuron)
    gain: float


def loop_gain(slope: np.ndarray, connectivity: np.ndarray, link: str) -> float:
    """Bound on the number of spikes that one spike causes, over all states.

    Parameters
    ----------
    slope : array, shape (state, neuron)
        Derivative of the rate with respect to the linear predictor, at the target rates.
    connectivity : array, shape (state, post, pre)
    link : str

    Returns
    -------
    float
        The larger of the two spectral norms that the module describes.

    Examples
    --------
    >>> pair = np.array([[[0.0, -3.0], [3.0, 0.0]]])
    >>> round(loop_gain(np.array([[0.5, 0.5]]), pair, "softplus"), 6)
    3.0
    """
    at_rest = _spectral_norm(slope[..., None] * np.abs(connectivity))
    steepest = min(LINKS[link].steepest, _SLOPE_IN_BURSTS)
    in_bursts = steepest * _spectral_norm(np.maximum(connectivity, 0.0))
    return max(at_rest, in_bursts)


def mean_field_bias(target: np.ndarray, drive: np.ndarray, link: str) -> np.ndarray:
    """Biases that give the target rates on average over the input.

    Parameters
    ----------
    target : array, shape (state, neuron)
        Counts per bin.
    drive : array, shape (sample, state, neuron)
        Input to the linear predictor (`sampled_drive`).
    link : str

    Returns
    -------
    array, shape (state, neuron)

    Examples
    --------
    >>> float(mean_field_bias(np.array([[1.0]]), np.full((1, 1, 1), -2.0), "exp").round(4)[0, 0])
    2.0
    """
    without_input = np.asarray(LINKS[link].inverse(jnp.asarray(target)), float)
    low, high = without_input - drive.max(axis=0), without_input - drive.min(axis=0)
    while (high - low).max() > 1e-5:
        middle = (low + high) / 2
        rate = np.asarray(LINKS[link].rate(jnp.asarray(middle + drive)), float)
        below = rate.mean(axis=0) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def sampled_drive(
    connectivity: np.ndarray, target: np.ndarray, kernel: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Input of every neuron if all fired independently at their target rates.

    Parameters
    ----------
    connectivity : array, shape (state, post, pre)
    target : array, shape (state, neuron)
        Counts per bin.
    kernel : array, shape (lag,)
        Time course of a coupling, of unit sum.
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (sample, state, neuron)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drive = sampled_drive(np.eye(2)[None], np.array([[0.1, 0.5]]), np.array([0.7, 0.3]), rng)
    >>> drive.mean(0).round(1).tolist()
    [[0.1, 0.5]]
    """
    trace = np.zeros((_N_SAMPLES, *target.shape))
    for weight in kernel:
        trace += weight * rng.poisson(target, trace.shape)
    # One matrix product per state: (post, pre) times (pre, sample).
    return np.moveaxis(connectivity @ np.moveaxis(trace, 0, -1), -1, 0)


def stabilise(
    connectivity: np.ndarray,
    target: np.ndarray,
    kernel: np.ndarray,
    link: str,
    max_gain: float | None,
    rng: np.random.Generator,
) -> Stabilised:
    """Scale all strengths to a given gain, and set the biases to the target rates.

    Parameters
    ----------
    connectivity : array, shape (state, post, pre)
        Couplings summed over lags, in any unit.
    target : array, shape (state, neuron)
        Counts per bin.
    kernel : array, shape (lag,)
        Time course of a coupling, of unit sum.
    link : str
    max_gain : float or None
        Gain of the state that has the largest. None: keep the strengths as they are.
    rng : numpy.random.Generator

    Returns
    -------
    Stabilised

    Raises
    ------
    InvalidInputError
        If the link cannot reach a target.
    """
    if link == "sigmoid" and target.max() >= 1:
        raise InvalidInputError(
            f"a target of {target.max():.3g} counts per bin; the sigmoid link reaches 1 at most: "
            "lower mean_rate or rate_spread, use smaller bins, or another link"
        )
    at_target = LINKS[link].inverse(jnp.asarray(target))
    slope = np.asarray(LINKS[link].rate_and_slope(at_target)[1], float)
    gain = loop_gain(slope, connectivity, link)
    scale = 1.0 if max_gain is None or gain == 0 else max_gain / gain
    drive = scale * sampled_drive(connectivity, target, kernel, rng)
    return Stabilised(scale, mean_field_bias(target, drive, link), scale * gain)


def _spectral_norm(matrices: np.ndarray) -> float:
    """Largest singular value of all matrices."""
    return float(np.linalg.norm(matrices, ord=2, axis=(-2, -1)).max())
