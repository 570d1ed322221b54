"""Initial parameters, spread so that restarts explore.

Compared on the rat CA1 recording and the published benchmark: weights of standard
deviation 0.02, 0.1, 0.5 and 1, staying probabilities 0.95 and 0.99, and biases from k-means
on smoothed counts.  Small random weights with mean rates reach the best optima most often;
k-means starts settle on differences in rates and miss better optima.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onehotglm.model.params import Params

Floats = NDArray[np.float64]
STAY = 0.95
WEIGHT_SD = 0.1


def initial_coefficients(
    rng: np.random.Generator,
    bias: Floats,
    n_columns: int,
    n_states: int,
    *,
    scale: float = WEIGHT_SD,
) -> Floats:
    """Biases with small random weights, different in every state.

    Parameters
    ----------
    rng : numpy Generator
    bias : array, shape (neuron,)
    n_columns : int
        Columns of the design matrix.
    n_states : int
    scale : float
        Standard deviation of the weights.  Much smaller and the states start alike.

    Returns
    -------
    array, shape (state, neuron, column)
    """
    bias = np.broadcast_to(bias, (n_states, bias.size))
    weights = rng.normal(scale=scale, size=(*bias.shape, n_columns - 1))
    return np.concatenate([bias[..., None], weights], axis=-1)


def sticky_chain(n_states: int, stay: float = STAY) -> tuple[Floats, Floats]:
    """Transition matrix that stays with probability `stay`, and equal initial probabilities."""
    if n_states == 1:
        return np.ones((1, 1)), np.ones(1)
    leave = (1 - stay) / (n_states - 1)
    return np.full((n_states, n_states), leave) + np.eye(n_states) * (stay - leave), np.full(
        n_states, 1 / n_states
    )


def split_state(
    params: Params, state: int, rng: np.random.Generator, *, scale: float = WEIGHT_SD
) -> Params:
    """Start with one state more: a state twice, its two copies moved apart.

    Parameters
    ----------
    params : Params
    state : int
        Which one is split; the copy becomes the last state.
    rng : numpy Generator
    scale : float
        Standard deviation of what one copy's weights gain and the other's lose.

    Returns
    -------
    Params
        numpy arrays.  Both copies are entered half as often as the state was and are left for
        the same states; they rarely follow each other.
    """
    coefficients, transition, initial = (
        np.asarray(x, float) for x in (params.coefficients, params.transition, params.initial)
    )
    move = rng.normal(scale=scale, size=coefficients.shape[1:])
    move[:, 0] = 0.0
    coefficients = np.concatenate([coefficients, coefficients[[state]] - move])
    coefficients[state] += move
    order = [*range(len(initial)), state]
    share = np.ones(len(order))
    share[[state, -1]] = 0.5
    transition, initial = transition[np.ix_(order, order)] * share, initial[order] * share
    stay = 2 * transition[state, state]
    for here, other in ((state, -1), (-1, state)):
        transition[here, here], transition[here, other] = STAY * stay, (1 - STAY) * stay
    arrays: tuple[Any, ...] = (coefficients, transition, initial)
    return Params(*arrays)
