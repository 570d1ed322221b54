"""Rotation of neurons by pairs: how the linear attention knows of time.

Neuron i and neuron ``i + n/2`` of a head are turned together by an angle that grows
with the position; the scalar product of two rotated activities then depends on the
time between them.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Int

THETA = 2.0**16
"""Ratio of the fastest to the slowest rotation, about."""


def frequencies(n_neurons: int) -> np.ndarray:
    """Compute the speed of each pair of neurons, turns per token.

    Parameters
    ----------
    n_neurons : int
        Neurons of one head, an even number.

    Returns
    -------
    ndarray, shape (n_neurons // 2,)
        ``THETA ** (-2 i / n_neurons) / (2 pi)`` for pair i.

    Examples
    --------
    >>> (2 * np.pi * frequencies(4)).tolist()
    [1.0, 0.00390625]
    """
    return THETA ** (-2 * np.arange(n_neurons // 2) / n_neurons) / (2 * np.pi)


def rotate(
    activity: Float[Array, "... neuron"], position: Int[Array, "..."]
) -> Float[Array, "... neuron"]:
    """Turn each pair of neurons by the angle of a position.

    Parameters
    ----------
    activity : array, shape (..., neuron)
        Of one head, or several.
    position : int array, shape (...)
        Number of the token; broadcasts against the axes before `neuron`.

    Returns
    -------
    array, shape (..., neuron)
    """
    return turn(activity, turns(activity.shape[-1], position, activity.dtype))


def turns(
    n_neurons: int, position: Int[Array, "..."], dtype: DTypeLike
) -> tuple[Float[Array, "... pair"], Float[Array, "... pair"]]:
    """Cosine and sine of the angle of each pair of neurons at a position.

    Parameters
    ----------
    n_neurons : int
        Neurons of one head.
    position : int array, shape (...)
        Number of the token.
    dtype : dtype
        Precision.

    Returns
    -------
    tuple of array, shape (..., n_neurons // 2)
    """
    cycles = jnp.asarray(frequencies(n_neurons), dtype)
    phase = jnp.mod(jnp.asarray(position, dtype)[..., None] * cycles, 1)
    return jnp.cos(2 * np.pi * phase), jnp.sin(2 * np.pi * phase)


def turn(
    activity: Float[Array, "... neuron"], angles: tuple[Array, Array]
) -> Float[Array, "... neuron"]:
    """Turn each pair of neurons by angles that `turns` found."""
    first, second = jnp.split(activity, 2, axis=-1)
    cos, sin = angles
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
