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
steeper than 1, the sigmoid than 1/4; the exponential has no steepest slope, so its
slope at two counts per bin stands in and only bursts below that are covered (networks
with this link are metastable at best: Gerhard et al. 2017, PLoS Computational Biology
13:e1005390).

The biases then put the fixed point at the target rates.  With few spikes per bin the
input fluctuates much about its mean, and a curved link turns this into extra spikes, so
the fixed point is that of the mean rate under Gaussian input of Poisson (shot noise)
variance: ``E[g(b + mu + sigma xi)] = target``, ``mu = C target``,
``sigma^2 = sum_l kernel[l]^2 C^2 target``.
"""

from typing import NamedTuple

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.emissions import LINKS

_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()

# Per link; for "exp" the slope at two counts per bin.
_STEEPEST_SLOPE = {"softplus": 1.0, "exp": 2.0, "sigmoid": 0.25}

# Linear predictors beyond this never occur: exp(-40) counts per bin is no rate at all.
_ETA_BOUND = 40.0


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
        Derivative of the rate with respect to the linear predictor, at rest.
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
    in_bursts = _STEEPEST_SLOPE[link] * _spectral_norm(np.maximum(connectivity, 0.0))
    return max(at_rest, in_bursts)


def mean_field_bias(
    target: np.ndarray, connectivity: np.ndarray, kernel: np.ndarray, link: str
) -> tuple[np.ndarray, np.ndarray]:
    """Biases under which the target rates are the mean-field fixed point.

    Parameters
    ----------
    target : array, shape (state, neuron)
        Counts per bin.
    connectivity : array, shape (state, post, pre)
    kernel : array, shape (lag,)
        Time course of a coupling, of unit sum.
    link : str

    Returns
    -------
    bias : array, shape (state, neuron)
    slope : array, shape (state, neuron)
        Mean derivative of the rate at the fixed point.

    Examples
    --------
    >>> bias, slope = mean_field_bias(np.array([[1.0]]), np.zeros((1, 1, 1)), np.ones(1), "exp")
    >>> float(abs(bias[0, 0]).round(5)), float(slope[0, 0].round(5))
    (0.0, 1.0)
    """
    mean = np.einsum("snm,sm->sn", connectivity, target)
    variance = np.einsum("snm,sm->sn", connectivity**2, target) * np.sum(kernel**2)
    noise = mean[..., None] + np.sqrt(variance)[..., None] * _NODES

    def average(function, bias):
        return np.asarray(function(bias[..., None] + noise), float) @ _NODE_WEIGHTS

    low = -_ETA_BOUND - noise.max(axis=-1)
    high = _ETA_BOUND - noise.min(axis=-1)
    for _ in range(50):
        middle = (low + high) / 2
        below = average(LINKS[link].rate, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    bias = (low + high) / 2
    return bias, average(LINKS[link].slope, bias)


def stabilise(
    connectivity: np.ndarray,
    target: np.ndarray,
    kernel: np.ndarray,
    link: str,
    max_gain: float | None,
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
    bias, slope = mean_field_bias(target, connectivity, kernel, link)
    gain = loop_gain(slope, connectivity, link)
    if max_gain is None or gain == 0:
        return Stabilised(1.0, bias, gain)
    # The slope at rest depends a little on the scale, through the input's variance:
    # start from no input, where it does not, and repeat.
    slope = mean_field_bias(target, np.zeros_like(connectivity), kernel, link)[1]
    scale = max_gain / loop_gain(slope, connectivity, link)
    for _ in range(30):
        bias, slope = mean_field_bias(target, scale * connectivity, kernel, link)
        gain = loop_gain(slope, scale * connectivity, link)
        if abs(gain / max_gain - 1) < 1e-4:
            break
        scale *= max_gain / gain
    return Stabilised(scale, bias, gain)


def _spectral_norm(matrices: np.ndarray) -> float:
    """Largest singular value of all matrices."""
    return float(np.linalg.norm(matrices, ord=2, axis=(-2, -1)).max())
