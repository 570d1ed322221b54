"""The cell with one trainable timescale per neuron.

A cell holds parameters as they are trained.  Before time runs it is turned into its
`dynamics`: the same map from one bin to the next with everything constant in time
folded together, so that one step is one matrix product and one nonlinearity.
"""

from typing import Protocol, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

State: TypeAlias = tuple[Array, ...]
"""What a layer remembers: arrays (batch, neuron), the first one its activity."""

INITIAL_SCALE = 0.01
"""Standard deviation of the random initial activity."""


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Array:
    """Draw initial parameters, uniform within ``+-1/sqrt(fan_in)``."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Layer(Protocol):
    """What a layer of an `onehotglm.networks.rnn.network.RNN` promises."""

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""

    def dynamics(self) -> "Dynamics":
        """One step of time with all constants folded."""

    def initial_state(self, key: PRNGKeyArray, batch_size: int) -> State:
        """State to start from."""


class Dynamics(eqx.Module):
    """One layer's map from a bin to the next, with its derivative."""

    def step(self, state: State, inputs: Float[Array, "batch input"]) -> State:
        """State after one more bin of input."""
        raise NotImplementedError

    def pullback(
        self, state: State, inputs: Array, following: State, cotangent: State
    ) -> tuple["Dynamics", State, Array]:
        """Gradients of one step, from the gradient by its result.

        Repeats the step to find its inner values; a layer that can tell them from
        its outputs overrides this.

        Parameters
        ----------
        state, inputs : State and array, shape (batch, input)
            What the step was given.
        following : State
            What it returned.
        cotangent : State
            Gradient of the loss by what it returned.

        Returns
        -------
        tuple
            Gradients by the dynamics, the state and the inputs.
        """
        del following
        return jax.vjp(type(self).step, self, state, inputs)[1](cotangent)


class LeakyDynamics(Dynamics):
    """``h' = keep h + gain phi(h recurrent + inputs drive + bias)``.

    With the leak inside the nonlinearity, ``keep`` and ``gain`` are None: the leak is
    part of ``recurrent``.
    """

    recurrent: Float[Array, "pre post"]
    drive: Float[Array, "input post"]
    bias: Float[Array, " post"]
    keep: Float[Array, " post"] | None
    gain: Float[Array, " post"] | None
    slope: float = eqx.field(static=True)

    def step(self, state: State, inputs: Float[Array, "batch input"]) -> State:
        """State after one more bin of input."""
        (h,) = state
        a = h @ self.recurrent + inputs @ self.drive + self.bias
        activity = jnp.where(a > 0, a, self.slope * a)
        if self.keep is None or self.gain is None:
            return (activity,)
        return (self.keep * h + self.gain * activity,)

    def pullback(
        self, state: State, inputs: Array, following: State, cotangent: State
    ) -> tuple[Dynamics, State, Array]:
        """Gradients of one step; the sign of the activity tells the slope."""
        if self.keep is not None:
            return super().pullback(state, inputs, following, cotangent)
        by_activity = cotangent[0]
        delta = jnp.where(following[0] > 0, by_activity, self.slope * by_activity)
        gradient = LeakyDynamics(
            recurrent=state[0].T @ delta,
            drive=inputs.T @ delta,
            bias=delta.sum(axis=0),
            keep=None,
            gain=None,
            slope=self.slope,
        )
        return gradient, (delta @ self.recurrent.T,), delta @ self.drive.T


class LeakyCell(eqx.Module):
    """Leaky rectifying neurons, each with its own timescale.

    With the leak inside the nonlinearity (the published cell)::

        h[t] = phi( (1 - 1/tau) h[t-1] + (1/tau) (W h[t-1] + b_hh + W_in x[t] + b_in) )

    and with the leak outside::

        h[t] = (1 - 1/tau) h[t-1] + (1/tau) phi( W h[t-1] + b_hh + W_in x[t] + b_in )

    where ``phi(a) = max(a, slope a)``, W has no self-connections whatever its diagonal
    holds, and tau below 1 counts as 1.

    Parameters
    ----------
    w_hh : array, shape (post, pre)
        Recurrent weights.
    w_in : array, shape (post, input)
        Input weights.
    b_hh, b_in : array, shape (post,)
        The two biases; only their sum enters, but each takes its own gradient step,
        as in the published training.
    tau : array, shape (post,)
        Timescales, in bins.
    leak : {"inside", "outside"}
        Where the leak stands.
    train_tau : bool
        Whether gradients reach `tau`.
    slope : float
        Slope of phi below zero.
    """

    w_hh: Float[Array, "post pre"]
    w_in: Float[Array, "post input"]
    b_hh: Float[Array, " post"]
    b_in: Float[Array, " post"]
    tau: Float[Array, " post"]
    leak: str = eqx.field(static=True, default="inside")
    train_tau: bool = eqx.field(static=True, default=True)
    slope: float = eqx.field(static=True, default=0.01)

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        n_inputs: int,
        n_neurons: int,
        *,
        leak: str = "inside",
        train_tau: bool = True,
    ) -> "LeakyCell":
        """Random cell: weights uniform by fan-in, ``tau = 1 + U(0, 1)``."""
        keys = jax.random.split(key, 5)
        return cls(
            w_hh=uniform(keys[0], (n_neurons, n_neurons), n_neurons),
            w_in=uniform(keys[1], (n_neurons, n_inputs), n_inputs),
            b_hh=uniform(keys[2], (n_neurons,), n_neurons),
            b_in=uniform(keys[3], (n_neurons,), n_inputs),
            tau=1 + jax.random.uniform(keys[4], (n_neurons,)),
            leak=leak,
            train_tau=train_tau,
        )

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.tau.shape[-1]

    @property
    def effective_tau(self) -> Float[Array, " post"]:
        """Timescales as they act, in bins: at least 1."""
        return jnp.maximum(self.tau, 1.0)

    @property
    def connectivity(self) -> Float[Array, "post pre"]:
        """Recurrent weights as they act: without self-connections."""
        return self.w_hh * (1 - jnp.eye(self.n_neurons, dtype=self.w_hh.dtype))

    def dynamics(self) -> LeakyDynamics:
        """One step of time with all constants folded."""
        tau = self.effective_tau if self.train_tau else jax.lax.stop_gradient(self.effective_tau)
        rate = 1 / tau
        W, bias = self.connectivity, self.b_hh + self.b_in
        if self.leak == "outside":
            return LeakyDynamics(W.T, self.w_in.T, bias, 1 - rate, rate, self.slope)
        recurrent = jnp.diag(1 - rate) + rate[:, None] * W
        drive = (rate[:, None] * self.w_in).T
        return LeakyDynamics(recurrent.T, drive, rate * bias, None, None, self.slope)

    def initial_state(self, key: PRNGKeyArray, batch_size: int) -> State:
        """Small random activity to start from."""
        shape = (batch_size, self.n_neurons)
        return (INITIAL_SCALE * jax.random.normal(key, shape, self.w_hh.dtype),)
