"""Gated cells, the baselines of the cell with trainable timescales.

Equations and initial parameters are those that deep-learning libraries agree on
(Cho et al. 2014 with the reset gate after the product; Hochreiter & Schmidhuber 1997
with forget gates): parameters uniform within ``+-1/sqrt(n_neurons)``, two biases.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.networks.rnn.cell import INITIAL_SCALE, Dynamics, State, uniform


class GatedDynamics(Dynamics):
    """Weights of all gates side by side, so that one step is two matrix products."""

    recurrent: Float[Array, "pre gates_post"]
    drive: Float[Array, "input gates_post"]
    b_hh: Float[Array, " gates_post"]
    b_in: Float[Array, " gates_post"]


class GRUDynamics(GatedDynamics):
    """``h' = (1 - z) n + z h`` with update gate z, reset gate r and candidate n."""

    def step(self, state: State, inputs: Float[Array, "batch input"]) -> State:
        """State after one more bin of input."""
        (h,) = state
        from_h = jnp.split(h @ self.recurrent + self.b_hh, 3, axis=-1)
        from_x = jnp.split(inputs @ self.drive + self.b_in, 3, axis=-1)
        reset = jax.nn.sigmoid(from_h[0] + from_x[0])
        update = jax.nn.sigmoid(from_h[1] + from_x[1])
        candidate = jnp.tanh(from_x[2] + reset * from_h[2])
        return ((1 - update) * candidate + update * h,)


class LSTMDynamics(GatedDynamics):
    """``c' = f c + i g``, ``h' = o tanh(c')``."""

    def step(self, state: State, inputs: Float[Array, "batch input"]) -> State:
        """State after one more bin of input."""
        h, c = state
        gates = h @ self.recurrent + inputs @ self.drive + (self.b_hh + self.b_in)
        enter, forget, candidate, leave = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
        return (jax.nn.sigmoid(leave) * jnp.tanh(c), c)


class GatedCell(eqx.Module):
    """Parameters of a GRU or an LSTM.

    Parameters
    ----------
    w_hh : array, shape (gate * post, pre)
        Recurrent weights, gate by gate: reset, update, candidate (GRU); input,
        forget, candidate, output (LSTM).
    w_in : array, shape (gate * post, input)
        Input weights.
    b_hh, b_in : array, shape (gate * post,)
        Biases.
    kind : {"gru", "lstm"}
        Which equations.
    """

    w_hh: Float[Array, "gates_post pre"]
    w_in: Float[Array, "gates_post input"]
    b_hh: Float[Array, " gates_post"]
    b_in: Float[Array, " gates_post"]
    kind: str = eqx.field(static=True)

    @classmethod
    def init(cls, key: PRNGKeyArray, n_inputs: int, n_neurons: int, *, kind: str) -> "GatedCell":
        """Random cell."""
        keys = jax.random.split(key, 4)
        rows = (3 if kind == "gru" else 4) * n_neurons
        return cls(
            w_hh=uniform(keys[0], (rows, n_neurons), n_neurons),
            w_in=uniform(keys[1], (rows, n_inputs), n_neurons),
            b_hh=uniform(keys[2], (rows,), n_neurons),
            b_in=uniform(keys[3], (rows,), n_neurons),
            kind=kind,
        )

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.w_hh.shape[-1]

    def dynamics(self) -> GatedDynamics:
        """One step of time."""
        dynamics = GRUDynamics if self.kind == "gru" else LSTMDynamics
        return dynamics(self.w_hh.T, self.w_in.T, self.b_hh, self.b_in)

    def initial_state(self, key: PRNGKeyArray, batch_size: int) -> State:
        """Small random activity to start from; an LSTM's memory starts empty."""
        h = INITIAL_SCALE * jax.random.normal(key, (batch_size, self.n_neurons), self.w_hh.dtype)
        return (h,) if self.kind == "gru" else (h, jnp.zeros_like(h))
