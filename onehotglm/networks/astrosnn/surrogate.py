"""Spikes that can be trained: a step forwards, a smooth slope backwards."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from onehotglm.errors import InvalidInputError

STEEPNESS = 10.0
"""Of the fast sigmoid: its slope falls to a quarter at a tenth from the threshold."""


def fast_sigmoid_slope(distance: Float[Array, "..."]) -> Float[Array, "..."]:
    """Slope ``1 / (1 + 10 |v|)^2`` (Zenke and Ganguli 2018)."""
    return 1 / (1 + STEEPNESS * jnp.abs(distance)) ** 2


def arctan_slope(distance: Float[Array, "..."]) -> Float[Array, "..."]:
    """Slope ``1 / (1 + (pi v)^2)`` (Fang et al. 2021)."""
    return 1 / (1 + (np.pi * distance) ** 2)


SURROGATES: dict[str, Callable[[Array], Array]] = {
    "fast-sigmoid": fast_sigmoid_slope,
    "arctan": arctan_slope,
}


def check_surrogate(surrogate: str) -> None:
    """Raise `InvalidInputError` unless `surrogate` is one of `SURROGATES`."""
    if surrogate not in SURROGATES:
        raise InvalidInputError(
            f"surrogate={surrogate!r} is unknown; choose one of {', '.join(SURROGATES)}"
        )


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def spike(distance: Float[Array, "..."], surrogate: str) -> Float[Array, "..."]:
    """Spikes of neurons whose membrane is at some distance from the threshold.

    Parameters
    ----------
    distance : array
        Membrane potential minus threshold.
    surrogate : {"fast-sigmoid", "arctan"}
        Slope that derivatives use in place of the step's, which is zero almost
        everywhere.

    Returns
    -------
    array
        1 where the distance is above 0, else 0.

    Examples
    --------
    >>> spike(jnp.array([-0.1, 0.2]), "arctan").tolist()
    [0.0, 1.0]
    """
    del surrogate
    return (distance > 0).astype(distance.dtype)


@spike.defjvp
def _spike_jvp(surrogate: str, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (distance,), (change,) = primals, tangents
    return spike(distance, surrogate), SURROGATES[surrogate](distance) * change
