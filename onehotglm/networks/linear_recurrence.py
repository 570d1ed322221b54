"""First-order linear recurrences, solved in parallel over time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def linear_recurrence(
    decay: Float[Array, " neuron"],
    inputs: Float[Array, "time batch neuron"],
    start: Float[Array, "batch neuron"],
) -> Float[Array, "time batch neuron"]:
    """Solve ``y_t = decay y_{t-1} + inputs_t`` for all bins by an associative scan.

    Parameters
    ----------
    decay : array, shape (neuron,)
        Constant in time.
    inputs : array, shape (time, batch, neuron)
        What is added in each bin.
    start : array, shape (batch, neuron)
        y before the first bin.

    Returns
    -------
    array, shape (time, batch, neuron)
    """

    def join(early: tuple[Array, Array], late: tuple[Array, Array]) -> tuple[Array, Array]:
        return early[0] * late[0], late[0] * early[1] + late[1]

    factors = jnp.broadcast_to(decay, (len(inputs), 1, len(decay)))
    first = inputs.at[0].add(decay * start)
    return jax.lax.associative_scan(join, (factors, first))[1]
