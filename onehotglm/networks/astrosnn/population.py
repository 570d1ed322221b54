"""A recurrent population of AM-SUs: its presynaptic spikes are the input and its own.

It is a layer of `onehotglm.networks.rnn.network.RNN`, so that everything that trains
and judges recurrent networks on memory tasks takes it.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn.unit import (
    AMSU,
    CALCIUM_TIMESCALES,
    MEMBRANE_TIMESCALES,
    AMSUState,
    inverse_softplus,
    make_amsu,
)
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.rnn.cell import Dynamics, State
from onehotglm.networks.rnn.network import N_CLASSES, RNN
from onehotglm.random_state import RandomState, numpy_generator


class PopulationDynamics(Dynamics):
    """One bin of a population; the state is (spikes, membrane, calcium)."""

    units: AMSU

    def step(self, state: State, inputs: Float[Array, "batch input"]) -> State:
        """State after one more bin of input: own spikes arrive one bin late."""
        x = jnp.concatenate([inputs, state[0]], axis=1)
        return tuple(self.units.step(AMSUState(*state), x))


class AstroPopulation(eqx.Module):
    """Units that send their spikes to each other.

    Parameters
    ----------
    units : AMSU
        With presynaptic neurons in the order: inputs, the units themselves.
    """

    units: AMSU

    @property
    def n_neurons(self) -> int:
        """Number of units."""
        return self.units.n_neurons

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return self.units.weights.shape[1] - self.n_neurons

    @property
    def connectivity(self) -> Float[Array, "post pre"]:
        """Recurrent weights as they act: without self-connections."""
        weights = self.units.weights[:, self.n_inputs :]
        return weights * (1 - jnp.eye(self.n_neurons, dtype=weights.dtype))

    def dynamics(self) -> PopulationDynamics:
        """One step of time."""
        weights = jnp.concatenate(
            [self.units.weights[:, : self.n_inputs], self.connectivity], axis=1
        )
        return PopulationDynamics(eqx.tree_at(lambda units: units.weights, self.units, weights))

    def initial_state(self, key: PRNGKeyArray, batch_size: int) -> State:
        """State at rest.

        Parameters
        ----------
        key : key
            Not looked at.
        batch_size : int
            Number of sequences.

        Returns
        -------
        tuple of arrays, shape (batch, neuron)
            Spikes, membrane and calcium.
        """
        del key
        return tuple(self.units.initial_state(batch_size))


def make_astro_rnn(
    n_neurons: int,
    *,
    n_inputs: int = 1,
    n_heads: int = 1,
    astrocyte: bool = True,
    threshold_coupling: bool = True,
    reset: bool = True,
    surrogate: str = "fast-sigmoid",
    calcium_timescales: tuple[float, float] = CALCIUM_TIMESCALES,
    membrane_timescales: tuple[float, float] = MEMBRANE_TIMESCALES,
    random_state: RandomState = 0,
) -> RNN:
    """Random recurrent population with linear readouts of its spikes.

    Parameters
    ----------
    n_neurons : int
        Units.
    n_inputs : int
        Input channels.
    n_heads : int
        Readout heads, of two classes each.
    astrocyte, threshold_coupling, reset, surrogate, calcium_timescales, membrane_timescales
        As in `make_amsu`.
    random_state : int, key or numpy Generator
        Seed of the initial parameters.

    Returns
    -------
    RNN
        With one layer, an `AstroPopulation`.

    Raises
    ------
    InvalidInputError
        If a size is below 1, a name is unknown, or timescales are not in order.

    Examples
    --------
    >>> network = make_astro_rnn(16, n_heads=3)
    >>> network.layers[0].connectivity.shape, network.w_out.shape
    ((16, 16), (3, 2, 16))
    """
    check_sizes(n_heads=n_heads)
    rng = numpy_generator(random_state)
    options = {
        "astrocyte": astrocyte,
        "threshold_coupling": threshold_coupling,
        "reset": reset,
        "surrogate": surrogate,
        "calcium_timescales": calcium_timescales,
        "membrane_timescales": membrane_timescales,
    }
    population = make_population(n_neurons, n_inputs, rng, **options)
    bound = n_neurons**-0.5
    w_out = rng.uniform(-bound, bound, (n_heads, N_CLASSES, n_neurons))
    return RNN(
        (population,),
        jnp.asarray(w_out, jnp.float32),
        jnp.asarray(np.zeros((n_heads, N_CLASSES)), jnp.float32),
    )


def make_astro_population(
    n_neurons: int,
    *,
    density: float = 1.0,
    contact: float = 1.0,
    strength: float = 1.0,
    coupling: float = 0.0,
    random_state: RandomState = 0,
) -> AstroPopulation:
    """Random population for `AstroGenerator`, with sparse wiring and astrocytes to choose.

    Fresh populations are all connected, and their calcium hardly moves: at some 10 Hz the
    gliotransmission of 20 units varies by less than one per cent.

    Parameters
    ----------
    n_neurons : int
        Units.
    density : float
        Part of the pairs that are connected; the weights are divided by its root, so that the
        drive keeps its variance.
    contact : float
        Factor on A and on the set point c_0: how much calcium a spike brings.
    strength : float
        Factor on beta; with 0, and a `coupling` of 0, calcium is there but does nothing.
    coupling : float
        kappa of all units.  Below 0 calcium makes units more excitable, and what it integrates
        is their own activity: the population goes up and down at calcium's pace.
    random_state : int, key or numpy Generator
        Seed.

    Returns
    -------
    AstroPopulation

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Examples
    --------
    >>> population = make_astro_population(20, density=0.3, contact=4.0, coupling=-0.3)
    >>> bool(0.2 < (population.connectivity != 0).mean() < 0.4)
    True
    """
    if not (0 < density <= 1 and contact > 0):
        raise InvalidInputError(
            f"density={density} and contact={contact}; expected a part above 0 and at most 1, and "
            "a factor above 0"
        )
    rng = numpy_generator(random_state)
    population = make_population(n_neurons, 1, rng)
    units, glia = population.units, population.units.astrocyte
    assert glia is not None
    connected = rng.random(units.weights.shape) < density
    amount = contact * np.log1p(np.exp(np.asarray(glia.contact)))

    def put(values: np.ndarray) -> Array:
        return jnp.asarray(values, jnp.float32)

    chosen = replace(
        glia,
        contact=put(inverse_softplus(amount)),
        set_point=contact * glia.set_point,
        strength=strength * glia.strength,
        coupling=put(np.full(n_neurons, coupling)),
    )
    weights = put(np.where(connected, units.weights / density**0.5, 0))
    return AstroPopulation(replace(units, weights=weights, astrocyte=chosen))


def make_population(
    n_neurons: int, n_inputs: int, rng: np.random.Generator, **options: Any
) -> AstroPopulation:
    """Random population; options and errors as in `make_amsu`."""
    check_sizes(n_inputs=n_inputs, n_neurons=n_neurons)
    units = make_amsu(n_inputs + n_neurons, n_neurons, rng=rng, **options)
    # A few inputs must be able to make a unit fire, like the many units together.
    weights = np.array(units.weights)
    weights[:, :n_inputs] = rng.standard_normal((n_neurons, n_inputs)) / n_inputs**0.5
    bias = rng.uniform(0, 0.5, n_neurons)
    return AstroPopulation(
        eqx.tree_at(
            lambda u: (u.weights, u.bias),
            units,
            (jnp.asarray(weights), jnp.asarray(bias, jnp.float32)),
        )
    )
