"""The astrocyte-modulated spiking unit (AM-SU), in two forms of the same function.

The seed paper gives no equations: these are this project's reading of it, a tripartite
synapse whose slow astrocyte acts back on it.  For presynaptic spikes x_t, per neuron::

    calcium          c_t = a_c c_{t-1} + (1 - a_c) A x_t        A >= 0, a_c near 1
    gliotransmission g_t = 1 + beta tanh(c_t - c_0)
    drive            I_t = g_t (W x_t) + b
    threshold        th_t = th_0 + kappa c_t                    (the coupling is optional)
    membrane         u_t = a_u u_{t-1} + I_t - th_t s_{t-1}     (the reset is optional)
    spike            s_t = H(u_t - th_t)

All of a_c, A, beta, c_0, kappa, th_0, a_u, W and b are trained; derivatives pass the
spike by a surrogate slope.  Without the astrocyte g is 1 and th is th_0: a leaky
integrate-and-fire neuron.

`AMSU.step` takes one bin at a time with constant memory.  `AMSU.run` takes a whole
sequence: calcium is a linear recurrence and solved by an associative scan; so is the
membrane where the reset is off, otherwise it is scanned bin by bin.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn.surrogate import check_surrogate, spike
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.linear_recurrence import linear_recurrence

CALCIUM_TIMESCALES = (20.0, 200.0)
MEMBRANE_TIMESCALES = (2.0, 10.0)
"""Initial timescales in bins, drawn evenly in their logarithm."""


class AMSUState(NamedTuple):
    """What units remember.

    Parameters
    ----------
    spikes, membrane, calcium : array, shape (batch, neuron)
        Without astrocytes calcium stays 0.
    """

    spikes: Float[Array, "batch neuron"]
    membrane: Float[Array, "batch neuron"]
    calcium: Float[Array, "batch neuron"]


class AMSUTrace(NamedTuple):
    """Everything that can be read out of a run.

    Parameters
    ----------
    spikes, membrane, calcium, gliotransmission, threshold : array, shape (time, batch, neuron)
        Without astrocytes calcium is 0, gliotransmission 1 and the threshold constant.
    """

    spikes: Float[Array, "time batch neuron"]
    membrane: Float[Array, "time batch neuron"]
    calcium: Float[Array, "time batch neuron"]
    gliotransmission: Float[Array, "time batch neuron"]
    threshold: Float[Array, "time batch neuron"]


class Astrocyte(eqx.Module):
    """Slow calcium per neuron and what it does to the synapses; parameters as trained.

    Parameters
    ----------
    contact : array, shape (post, pre)
        The matrix A is its softplus.
    decay : array, shape (post,)
        The factor a_c is its sigmoid.
    strength : array, shape (post,)
        beta.
    set_point : array, shape (post,)
        c_0.
    coupling : array, shape (post,), or None
        kappa; None without an effect on the threshold.
    """

    contact: Float[Array, "post pre"]
    decay: Float[Array, " post"]
    strength: Float[Array, " post"]
    set_point: Float[Array, " post"]
    coupling: Float[Array, " post"] | None

    def inflow(self, x: Float[Array, "... pre"]) -> Float[Array, "... post"]:
        """Calcium that enters in a bin, ``(1 - a_c) A x``."""
        return jax.nn.sigmoid(-self.decay) * (x @ jax.nn.softplus(self.contact).T)

    def gliotransmission(self, calcium: Float[Array, "... post"]) -> Float[Array, "... post"]:
        """Factor on the synaptic drive."""
        return 1 + self.strength * jnp.tanh(calcium - self.set_point)


class AMSU(eqx.Module):
    """A layer of units; make one by `make_amsu`.

    Parameters
    ----------
    weights : array, shape (post, pre)
        W.
    bias : array, shape (post,)
        b.
    base_threshold : array, shape (post,)
        th_0 is its softplus.
    decay : array, shape (post,)
        The factor a_u is its sigmoid.
    astrocyte : Astrocyte or None
        None for leaky integrate-and-fire neurons.
    reset : bool
        Whether a spike lowers the membrane by the threshold.
    surrogate : {"fast-sigmoid", "arctan"}
        Slope of the spike in derivatives.
    """

    weights: Float[Array, "post pre"]
    bias: Float[Array, " post"]
    base_threshold: Float[Array, " post"]
    decay: Float[Array, " post"]
    astrocyte: Astrocyte | None
    reset: bool = eqx.field(static=True, default=True)
    surrogate: str = eqx.field(static=True, default="fast-sigmoid")

    @property
    def n_neurons(self) -> int:
        """Number of units."""
        return self.bias.shape[-1]

    def initial_state(self, batch_size: int) -> AMSUState:
        """State at rest: no calcium, no potential, no spike.

        Parameters
        ----------
        batch_size : int
            Number of sequences.

        Returns
        -------
        AMSUState
        """
        rest = jnp.zeros((batch_size, self.n_neurons), self.bias.dtype)
        return AMSUState(rest, rest, rest)

    def step(self, state: AMSUState, x: Float[Array, "batch pre"]) -> AMSUState:
        """State after one more bin.

        Parameters
        ----------
        state : AMSUState
            After the bin before.
        x : array, shape (batch, pre)
            Presynaptic spikes.

        Returns
        -------
        AMSUState
        """
        calcium = state.calcium
        if self.astrocyte is not None:
            kept = jax.nn.sigmoid(self.astrocyte.decay) * state.calcium
            calcium = kept + self.astrocyte.inflow(x)
        return self.fire(state, self.drive(x, calcium), calcium)

    def drive(
        self, x: Float[Array, "... pre"], calcium: Float[Array, "... post"]
    ) -> Float[Array, "... post"]:
        """Input current I of a bin, or of several.

        Parameters
        ----------
        x : array, shape (..., pre)
            Presynaptic spikes.
        calcium : array, shape (..., post)
            Of the same bins.

        Returns
        -------
        array, shape (..., post)
        """
        synaptic = x @ self.weights.T
        if self.astrocyte is not None:
            synaptic = self.astrocyte.gliotransmission(calcium) * synaptic
        return synaptic + self.bias

    def threshold(self, calcium: Float[Array, "... post"]) -> Float[Array, "... post"]:
        """Threshold of a bin, or of several.

        Parameters
        ----------
        calcium : array, shape (..., post)
            Of the same bins.

        Returns
        -------
        array, shape (..., post), or (post,) where calcium does not move it
        """
        base = jax.nn.softplus(self.base_threshold)
        if self.astrocyte is None or self.astrocyte.coupling is None:
            return base
        return base + self.astrocyte.coupling * calcium

    def fire(
        self,
        state: AMSUState,
        drive: Float[Array, "batch post"],
        calcium: Float[Array, "batch post"],
    ) -> AMSUState:
        """State after one more bin, from the current and the calcium of that bin.

        Parameters
        ----------
        state : AMSUState
            After the bin before.
        drive, calcium : array, shape (batch, post)
            Of this bin.

        Returns
        -------
        AMSUState
        """
        threshold = self.threshold(calcium)
        membrane = jax.nn.sigmoid(self.decay) * state.membrane + drive
        if self.reset:
            membrane = membrane - threshold * state.spikes
        return AMSUState(spike(membrane - threshold, self.surrogate), membrane, calcium)

    def run(
        self, x: Float[Array, "time batch pre"], state: AMSUState | None = None
    ) -> tuple[AMSUState, AMSUTrace]:
        """Whole sequence at once.

        Parameters
        ----------
        x : array, shape (time, batch, pre)
            Presynaptic spikes.
        state : AMSUState, optional
            Where to start; default: at rest.

        Returns
        -------
        state : AMSUState
            Where it ends.
        trace : AMSUTrace
            All bins.
        """
        state = self.initial_state(x.shape[1]) if state is None else state
        calcium = jnp.broadcast_to(state.calcium, (len(x), *state.calcium.shape))
        if self.astrocyte is not None:
            kept = jax.nn.sigmoid(self.astrocyte.decay)
            calcium = linear_recurrence(kept, self.astrocyte.inflow(x), state.calcium)
        drive = self.drive(x, calcium)
        if self.reset:
            spikes, membrane = self._fire_in_turn(state, drive, calcium)
        else:
            kept = jax.nn.sigmoid(self.decay)
            membrane = linear_recurrence(kept, drive, state.membrane)
            spikes = spike(membrane - self.threshold(calcium), self.surrogate)
        last = AMSUState(spikes[-1], membrane[-1], calcium[-1])
        return last, self._trace(spikes, membrane, calcium)

    def _fire_in_turn(self, state: AMSUState, drive: Array, calcium: Array) -> tuple[Array, Array]:
        def body(state: AMSUState, inputs: tuple) -> tuple[AMSUState, tuple[Array, Array]]:
            following = self.fire(state, *inputs)
            return following, (following.spikes, following.membrane)

        return jax.lax.scan(body, state, (drive, calcium))[1]

    def _trace(self, spikes: Array, membrane: Array, calcium: Array) -> AMSUTrace:
        threshold = jnp.broadcast_to(self.threshold(calcium), spikes.shape)
        if self.astrocyte is None:
            glia = jnp.ones_like(spikes)
        else:
            glia = self.astrocyte.gliotransmission(calcium)
        return AMSUTrace(spikes, membrane, calcium, glia, threshold)


def make_amsu(
    n_inputs: int,
    n_neurons: int,
    *,
    astrocyte: bool = True,
    threshold_coupling: bool = True,
    reset: bool = True,
    surrogate: str = "fast-sigmoid",
    calcium_timescales: tuple[float, float] = CALCIUM_TIMESCALES,
    membrane_timescales: tuple[float, float] = MEMBRANE_TIMESCALES,
    rng: np.random.Generator,
) -> AMSU:
    """Random layer to start training from.

    Parameters
    ----------
    n_inputs, n_neurons : int
        Presynaptic neurons, and units.
    astrocyte : bool
        Whether units have astrocytes; without them they leak, integrate and fire.
    threshold_coupling : bool
        Whether calcium moves the threshold; without astrocytes it cannot.
    reset : bool
        Whether a spike lowers the membrane.
    surrogate : {"fast-sigmoid", "arctan"}
        Slope of the spike in derivatives.
    calcium_timescales, membrane_timescales : tuple of float
        Shortest and longest initial timescale in bins, above 1; drawn evenly in their
        logarithm.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    AMSU

    Raises
    ------
    InvalidInputError
        If a size is below 1, a name is unknown, or timescales are not in order.

    Examples
    --------
    >>> unit = make_amsu(3, 5, rng=np.random.default_rng(0))
    >>> unit.weights.shape, unit.astrocyte.contact.shape
    ((5, 3), (5, 3))
    """
    check_sizes(n_inputs=n_inputs, n_neurons=n_neurons)
    check_surrogate(surrogate)
    _check_timescales("calcium_timescales", calcium_timescales)
    _check_timescales("membrane_timescales", membrane_timescales)

    def put(values: np.ndarray | float, *shape: int) -> Array:
        return jnp.asarray(np.broadcast_to(values, shape), jnp.float32)

    def decay_of(timescales: tuple[float, float]) -> np.ndarray:
        # sigmoid(log(tau - 1)) = 1 - 1 / tau
        low, high = np.log(timescales)
        return np.log(np.exp(rng.uniform(low, high, n_neurons)) - 1)

    weights = rng.standard_normal((n_neurons, n_inputs)) * (2 / n_inputs) ** 0.5
    membrane = decay_of(membrane_timescales)
    glia = None
    if astrocyte:
        contact = rng.uniform(0.5, 1.5, (n_neurons, n_inputs)) * 2 / n_inputs
        glia = Astrocyte(
            contact=put(inverse_softplus(contact), n_neurons, n_inputs),
            decay=put(decay_of(calcium_timescales), n_neurons),
            strength=put(rng.uniform(-0.5, 0.5, n_neurons), n_neurons),
            set_point=put(0.5, n_neurons),
            coupling=put(0.0, n_neurons) if threshold_coupling else None,
        )
    return AMSU(
        put(weights, n_neurons, n_inputs),
        put(0.0, n_neurons),
        put(inverse_softplus(1.0), n_neurons),
        put(membrane, n_neurons),
        glia,
        reset,
        surrogate,
    )


def _check_timescales(name: str, timescales: tuple[float, float]) -> None:
    low, high = timescales
    if not 1 < low <= high:
        raise InvalidInputError(
            f"{name}={timescales}, expected (shortest, longest) in bins, the shortest above 1"
        )


def inverse_softplus(values: np.ndarray | float) -> np.ndarray:
    """Find x with ``log(1 + exp(x)) = values``, which are above 0."""
    return values + np.log(-np.expm1(-np.asarray(values)))
