"""Initial parameters, spread so that restarts explore."""

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

Floats = NDArray[np.float64]
STAY = 0.95
_SMOOTHING_BINS = 25
_MAX_CLUSTERED = 20_000


def initial_coefficients(
    rng: np.random.Generator,
    bias: Floats,
    n_columns: int,
    n_states: int,
    *,
    scale: float = 0.1,
) -> Floats:
    """Biases with small random weights, different in every state.

    Parameters
    ----------
    rng : numpy Generator
    bias : array, shape (state, neuron) or (neuron,)
    n_columns : int
        Columns of the design matrix.
    n_states : int
    scale : float
        Standard deviation of the weights.  Much smaller and the states start alike.

    Returns
    -------
    array, shape (state, neuron, column)
    """
    bias = np.broadcast_to(bias, (n_states, bias.shape[-1]))
    weights = rng.normal(scale=scale, size=(*bias.shape, n_columns - 1))
    return np.concatenate([bias[..., None], weights], axis=-1)


def clustered_rates(
    rng: np.random.Generator, counts: list[Floats], n_states: int, mean: Floats
) -> Floats:
    """Mean counts per bin in clusters of smoothed activity, shape (state, neuron).

    k-means++ (Arthur & Vassilvitskii 2007) on square roots of counts smoothed over
    half a second or so; for recordings whose states differ in their rates.

    Parameters
    ----------
    rng : numpy Generator
    counts : list of array, shape (time, neuron)
        Sessions without missing values.
    n_states : int
    mean : array, shape (neuron,)
        Mean counts per bin, towards which empty clusters fall back.

    Returns
    -------
    array, shape (state, neuron)
    """
    smooth = np.concatenate([_smoothed(session) for session in counts])
    if len(smooth) > _MAX_CLUSTERED:
        smooth = smooth[np.sort(rng.choice(len(smooth), _MAX_CLUSTERED, replace=False))]
    features = np.sqrt(smooth)
    features = features / np.maximum(features.std(0), 1e-3)
    # kmeans2 reports empty clusters by a warning; they are handled below.
    centres, labels = kmeans2(features, n_states, minit="++", rng=rng, missing="raise")
    del centres
    rates = np.stack([smooth[labels == k].mean(0) for k in range(n_states)])
    # Shrink towards the mean: a cluster in which a neuron is silent would forbid it.
    return 0.8 * rates + 0.2 * mean


def _smoothed(counts: Floats) -> Floats:
    width = min(_SMOOTHING_BINS, len(counts))
    total = np.cumsum(np.concatenate([np.zeros((1, counts.shape[1])), counts]), axis=0)
    ends = np.minimum(np.arange(len(counts)) + (width + 1) // 2, len(counts))
    begins = np.maximum(np.arange(len(counts)) - width // 2, 0)
    return (total[ends] - total[begins]) / (ends - begins)[:, None]


def sticky_chain(n_states: int, stay: float = STAY) -> tuple[Floats, Floats]:
    """Transition matrix that stays with probability `stay`, and equal initial probabilities."""
    if n_states == 1:
        return np.ones((1, 1)), np.ones(1)
    leave = (1 - stay) / (n_states - 1)
    return np.full((n_states, n_states), leave) + np.eye(n_states) * (stay - leave), np.full(
        n_states, 1 / n_states
    )
