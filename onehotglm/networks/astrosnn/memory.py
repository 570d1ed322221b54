"""Populations whose slow variables suit a memory task, and their equals without astrocytes.

What can carry an answer over a delay is calcium, the membrane, or spikes that keep each
other going.  Calcium can be read at the end because it scales what the spikes that ask
for the answer do, and moves the threshold.  For it to hold anything at the start of
training, `make_memory_network` spreads the initial timescales up to the delay and makes
the astrocytes' contacts so strong that the few spikes of a cue raise calcium visibly.
"""

from dataclasses import replace
from typing import Any, cast

import equinox as eqx
import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn.population import AstroPopulation, make_astro_rnn
from onehotglm.networks.astrosnn.unit import inverse_softplus
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.rnn.network import RNN
from onehotglm.random_state import RandomState, numpy_generator

MIN_CONTACT = 1e-3
"""Smallest initial strength of an astrocyte's contact: below it the softplus is flat."""


def make_memory_network(
    n_neurons: int,
    delay: int,
    *,
    n_inputs: int,
    n_heads: int = 1,
    n_cue_spikes: float = 1.0,
    slow_membranes: bool = False,
    random_state: RandomState = 0,
    **options: Any,
) -> RNN:
    """Recurrent population whose slow variables suit a memory task.

    Parameters
    ----------
    n_neurons : int
        Units.
    delay : int
        Bins that a memory is to last.  Initial timescales of calcium are drawn between
        a tenth of it and twice of it (from 2 bins on), evenly in their logarithm.
    n_inputs, n_heads : int
        Input channels, and readout heads of two classes each.
    n_cue_spikes : float
        Spikes in all that are to be remembered; they raise calcium by about 1.
    slow_membranes : bool
        Whether the timescales of membranes are drawn as those of calcium are, and not
        from 2 to 10 bins.
    random_state : int, key or numpy Generator
        Seed of the initial parameters.
    **options
        As in `make_astro_rnn`; timescales that are given here are taken as they are.

    Returns
    -------
    RNN

    Raises
    ------
    InvalidInputError
        If the delay is below 1 or the spikes are not above 0, or as in `make_astro_rnn`.

    Examples
    --------
    >>> from onehotglm.networks.astrosnn import DelayedRecall
    >>> task = DelayedRecall(max_delay=100)
    >>> network = make_memory_network(16, 100, n_inputs=task.n_inputs, n_heads=task.n_items,
    ...                               n_cue_spikes=task.n_cue_spikes)
    >>> network.layers[0].n_inputs, network.n_heads
    (27, 4)
    """
    if delay < 1 or n_cue_spikes <= 0:
        raise InvalidInputError(
            f"delay={delay} must be at least 1 bin, n_cue_spikes={n_cue_spikes} above 0"
        )
    slow = (max(delay / 10, 2.0), max(2.0 * delay, 4.0))
    timescales = {"calcium_timescales": slow} | (
        {"membrane_timescales": slow} if slow_membranes else {}
    )
    rng = numpy_generator(random_state)
    network = make_astro_rnn(
        n_neurons, n_inputs=n_inputs, n_heads=n_heads, random_state=rng, **timescales | options
    )
    astrocyte = _population(network).units.astrocyte
    if astrocyte is None:
        return network
    # Calcium takes in 1 / timescale of every spike.
    timescale = 1 + np.exp(np.asarray(astrocyte.decay))
    contact = rng.exponential(timescale[:, None] / n_cue_spikes, (n_neurons, n_inputs))
    contact = inverse_softplus(np.maximum(contact, MIN_CONTACT))
    raised = astrocyte.contact.at[:, :n_inputs].set(contact)
    return eqx.tree_at(
        lambda network: _population(network).units.astrocyte,
        network,
        replace(astrocyte, contact=raised),
    )


def size_without_astrocytes(network: RNN) -> int:
    """Units that a population without astrocytes needs to have as many parameters.

    Parameters
    ----------
    network : RNN
        From `make_memory_network` or `make_astro_rnn`.

    Returns
    -------
    int
        The number of units whose number of parameters comes closest.

    Examples
    --------
    >>> size_without_astrocytes(make_memory_network(16, delay=100, n_inputs=12))
    25
    """
    n_parameters = count_parameters(network)
    n_inputs, n_heads = _population(network).n_inputs, network.n_heads

    def excess(n: int) -> int:
        # Weights, bias, threshold and decay per unit; per head two rows and two biases.
        return n * (n_inputs + n + 3 + 2 * n_heads) + 2 * n_heads - n_parameters

    n = 1
    while excess(n + 1) <= 0:
        n += 1
    return n if -excess(n) <= excess(n + 1) else n + 1


def _population(network: RNN) -> AstroPopulation:
    return cast(AstroPopulation, network.layers[0])
