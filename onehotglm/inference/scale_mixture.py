"""Weights under the Gaussian prior with the spread of each connection integrated out.

The fit plugs in one spread per connection, although a handful of states say little about
it; intervals that do so are too short.  Here the spread keeps its inverse-gamma hyperprior:
for every value on a grid the weights of a connection in all states are Gaussian, their mean
W0 integrated out, and the values are weighted by their evidence.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from onehotglm.model.priors import PSEUDO_SD, PSEUDO_STATES, GaussianPrior

Floats = NDArray[np.float64]

# Spreads between which the hyperprior has nearly all of its mass, evenly in their logarithm.
GRID = np.geomspace(0.02, 3.0, 26)


def integrate_spread(
    mean: Floats, covariance: Floats, prior: GaussianPrior
) -> tuple[Floats, Floats]:
    """Moments of weights over their spread.

    Parameters
    ----------
    mean : array, shape (..., state)
        Posterior under the plugged-in spread.
    covariance : array, shape (..., state, state)
    prior : GaussianPrior
        Plugged-in spreads in the shape (...); `mean_sd` in a shape that broadcasts to it.

    Returns
    -------
    mean, variance : array, shape (..., state)
    """
    plugged_in = _precision(prior.sd, prior.mean_sd, mean.shape[-1])
    inverse = np.linalg.inv(covariance)
    evidence = _nonnegative(inverse - plugged_in)
    linear = (inverse @ mean[..., None])[..., 0]
    log_weights, means, variances = [], [], []
    for sd in GRID:
        precision = _precision(np.full_like(prior.sd, sd), prior.mean_sd, mean.shape[-1])
        spread = np.linalg.inv(evidence + precision)
        centre = (spread @ linear[..., None])[..., 0]
        # p(sd) on a logarithmic scale: sd^-nu exp(-nu s^2 / (2 sd^2)).
        hyper = -PSEUDO_STATES * (np.log(sd) + 0.5 * (PSEUDO_SD / sd) ** 2)
        fit = np.linalg.slogdet(precision)[1] + np.linalg.slogdet(spread)[1]
        log_weights.append(hyper + 0.5 * (fit + (linear * centre).sum(-1)))
        means.append(centre)
        variances.append(np.diagonal(spread, axis1=-2, axis2=-1))
    weights = softmax(np.stack(log_weights), axis=0)[..., None]
    first = (weights * np.stack(means)).sum(0)
    second = (weights * (np.stack(variances) + np.stack(means) ** 2)).sum(0)
    return first, second - first**2


def _precision(sd: Floats, mean_sd: Floats, n_states: int) -> Floats:
    """Inverse of ``sd^2 I + mean_sd^2 11'``, shape (..., state, state)."""
    own = (sd**-2.0)[..., None, None] * np.eye(n_states)
    tie = mean_sd**2 / (sd**2 * (sd**2 + n_states * mean_sd**2))
    return own - tie[..., None, None]


def _nonnegative(matrix: Floats) -> Floats:
    """Nearest positive semidefinite matrix: rounding, and other weights' priors, may cost it."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
