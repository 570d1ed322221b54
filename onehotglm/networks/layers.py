"""Small pieces that several networks are made of."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

NORM_EPSILON = 1e-5
"""Added to the variance in `layer_norm`, as in the published networks."""


def layer_norm(x: Float[Array, "... feature"]) -> Float[Array, "... feature"]:
    """Shift and scale to mean 0 and variance 1 over the last axis; no parameters.

    Parameters
    ----------
    x : array, shape (..., feature)

    Returns
    -------
    array, shape (..., feature)

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.array([0.0, 2.0])).round(3).tolist()
    [-1.0, 1.0]
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + NORM_EPSILON)


def count_parameters(network: Any) -> int:
    """Count the numbers that training changes: the entries of all inexact arrays.

    Parameters
    ----------
    network : equinox.Module

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> count_parameters({"w": np.ones((2, 3)), "index": np.arange(2)})
    6
    """
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))
