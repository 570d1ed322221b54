"""Running a stack of layers through time, forwards and backwards.

`run_all` keeps the activity of every bin.  `run_to_end` keeps only the last one and
is made for training: the number of bins may differ from call to call inside one
compiled program, nothing is computed for bins that a sequence does not have, and
only the states are stored for the way back.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from onehotglm.networks.rnn.cell import Dynamics, State

StackState = tuple[State, ...]


class StackDynamics(eqx.Module):
    """Layers on top of each other: each one's new activity is the next one's input."""

    layers: tuple[Dynamics, ...]

    def step(self, states: StackState, inputs: Float[Array, "batch input"]) -> StackState:
        """States of all layers after one more bin of input."""
        following = []
        for layer, state in zip(self.layers, states, strict=True):
            following.append(layer.step(state, inputs))
            inputs = following[-1][0]
        return tuple(following)

    def pullback(
        self, states: StackState, inputs: Array, following: StackState, cotangents: StackState
    ) -> tuple["StackDynamics", StackState]:
        """Gradients of one step by the dynamics and the states."""
        below = (inputs, *(state[0] for state in following[:-1]))
        gradients: list[Dynamics] = []
        by_states: list[State] = []
        from_above: Array | float = 0.0
        for i in reversed(range(len(self.layers))):
            cotangent = (cotangents[i][0] + from_above, *cotangents[i][1:])
            gradient, by_state, from_above = self.layers[i].pullback(
                states[i], below[i], following[i], cotangent
            )
            gradients.insert(0, gradient)
            by_states.insert(0, by_state)
        return StackDynamics(tuple(gradients)), tuple(by_states)


def run_all(
    dynamics: StackDynamics, states: StackState, inputs: Float[Array, "time batch input"]
) -> tuple[StackState, Float[Array, "time batch neuron"]]:
    """Activity of the top layer in every bin.

    Parameters
    ----------
    dynamics : StackDynamics
        From `RNN.dynamics`.
    states : tuple of State
        Where every layer starts.
    inputs : array, shape (time, batch, input)
        Input of every bin.

    Returns
    -------
    states : tuple of State
        Where every layer ends.
    activity : array, shape (time, batch, neuron)
        Activity after each bin's input.
    """

    def body(states: StackState, x: Array) -> tuple[StackState, Array]:
        states = dynamics.step(states, x)
        return states, states[-1][0]

    return lax.scan(body, states, inputs)


@jax.custom_vjp
def run_to_end(
    dynamics: StackDynamics,
    states: StackState,
    inputs: Float[Array, "time batch input"],
    start: Int[Array, ""],
) -> StackState:
    """States after the last bin, when time begins at bin `start`.

    Differentiable by the dynamics and the initial states (the inputs are data).

    Parameters
    ----------
    dynamics : StackDynamics
        From `RNN.dynamics`.
    states : tuple of State
        Where every layer starts.
    inputs : array, shape (time, batch, input)
        Input of every bin; those before `start` are not looked at.
    start : int
        First bin.  It may change without a new compilation.

    Returns
    -------
    tuple of State
    """
    return lax.fori_loop(
        start, inputs.shape[0], lambda t, states: dynamics.step(states, inputs[t]), states
    )


def _forward(
    dynamics: StackDynamics, states: StackState, inputs: Array, start: Array
) -> tuple[StackState, tuple]:
    n_bins = inputs.shape[0]

    def write(path: StackState, states: StackState, t: Array) -> StackState:
        return jax.tree.map(lambda p, s: lax.dynamic_update_index_in_dim(p, s, t, 0), path, states)

    def body(t: Array, carry: tuple) -> tuple:
        states, path = carry
        states = dynamics.step(states, inputs[t])
        return states, write(path, states, t + 1)

    # Entry t is the state before bin t.
    path = jax.tree.map(lambda s: jax.lax.empty((n_bins + 1, *s.shape), s.dtype), states)
    states, path = lax.fori_loop(start, n_bins, body, (states, write(path, states, start)))
    return states, (dynamics, path, inputs, start)


def _backward(residuals: tuple, cotangents: StackState) -> tuple:
    dynamics, path, inputs, start = residuals
    n_bins = inputs.shape[0]

    def at(t: Array) -> StackState:
        return jax.tree.map(lambda p: p[t], path)

    def body(i: Array, carry: tuple) -> tuple:
        cotangents, total = carry
        t = n_bins - 1 - i
        gradient, cotangents = dynamics.pullback(at(t), inputs[t], at(t + 1), cotangents)
        return cotangents, jax.tree.map(jnp.add, total, gradient)

    zeros = jax.tree.map(jnp.zeros_like, dynamics)
    cotangents, total = lax.fori_loop(0, n_bins - start, body, (cotangents, zeros))
    return total, cotangents, None, None


run_to_end.defvjp(_forward, _backward)
