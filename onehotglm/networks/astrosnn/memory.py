"""Delayed recall: which cues were given, asked some bins after they are over.

A trial has three phases.  Every item is a bit: one of its two groups of input channels
fires (the cue).  Then only background spikes come (the delay), then one more group
fires (the go signal), and in the last bin linear readouts of the spikes, one head per
item, tell all bits.  Background spikes come on all channels at all times.

What can carry the answer over the delay is calcium, the membrane, or spikes that
keep each other going.  Calcium can be read at the end because it scales what the go
signal's spikes do, and moves the threshold.  For it to hold anything at the start of
training, `make_memory_network` spreads the initial timescales up to the delay and makes
the astrocytes' contacts so strong that the few spikes of a cue raise calcium visibly.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn.population import AstroPopulation, make_astro_rnn
from onehotglm.networks.keys import as_key
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.rnn.recurrence import run_to_end
from onehotglm.networks.training import DEVICE_AXIS, Metrics
from onehotglm.random_state import RandomState, numpy_generator

MIN_CONTACT = 1e-3
"""Smallest initial strength of an astrocyte's contact: below it the softplus is flat."""


@dataclass(frozen=True)
class DelayedRecall:
    """The task, and an objective of `onehotglm.networks.training.train`.

    Parameters
    ----------
    max_delay : int
        Longest delay in bins.
    min_delay : int
        Shortest delay; a batch has one delay, uniform between the two.
    n_items : int
        Bits to be kept at once.
    batch_size : int
        Trials per step.
    n_channels : int
        Channels of each of the 2 `n_items` cues, and of the go signal.
    n_cue_bins, n_go_bins : int
        Length of the cues, given all at once, and of the go signal.
    firing_proba, background_proba : float
        Probability that a channel fires in a bin while its group is on, and while it is
        off.
    shared : bool
        Whether this is one device's part of a batch, as `share` makes it.

    Raises
    ------
    InvalidInputError
        If a size is below 1, or the delays or the probabilities are not in order.

    Examples
    --------
    >>> DelayedRecall(max_delay=20).n_inputs
    27
    """

    max_delay: int
    min_delay: int = 1
    n_items: int = 4
    batch_size: int = 64
    n_channels: int = 3
    n_cue_bins: int = 10
    n_go_bins: int = 5
    firing_proba: float = 0.5
    background_proba: float = 0.02
    shared: bool = False

    def __post_init__(self) -> None:
        for name in ("n_items", "batch_size", "n_channels", "n_cue_bins", "n_go_bins"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.min_delay <= self.max_delay:
            raise InvalidInputError(
                f"min_delay={self.min_delay} and max_delay={self.max_delay}, "
                "expected 0 <= min_delay <= max_delay"
            )
        if not 0 <= self.background_proba < self.firing_proba <= 1:
            raise InvalidInputError(
                f"background_proba={self.background_proba} and firing_proba={self.firing_proba}, "
                "expected 0 <= background_proba < firing_proba <= 1"
            )

    @property
    def n_inputs(self) -> int:
        """Input channels of all groups."""
        return (2 * self.n_items + 1) * self.n_channels

    @property
    def n_cue_spikes(self) -> float:
        """Mean number of spikes of all cues."""
        return self.n_items * self.n_channels * self.n_cue_bins * self.firing_proba

    def share(self, n_devices: int) -> "DelayedRecall | None":
        """Take one device's part of the batch.

        Parameters
        ----------
        n_devices : int

        Returns
        -------
        DelayedRecall or None
            None if the batch cannot be divided evenly.
        """
        if self.batch_size % n_devices:
            return None
        return replace(self, batch_size=self.batch_size // n_devices, shared=True)

    def draw(
        self, key: PRNGKeyArray, delay: Int[Array, ""] | int
    ) -> tuple[Float[Array, "time batch input"], Int[Array, ""], Int[Array, "batch item"]]:
        """Random trials of one delay; compiles once for all delays up to `max_delay`.

        Parameters
        ----------
        key : key
            Source of randomness.
        delay : int
            Bins between cue and go signal.

        Returns
        -------
        inputs : array, shape (time, batch, input)
            Spikes of the input channels; the trials stand at the end.
        start : int array, shape ()
            Bin in which the trials begin.
        labels : int array, shape (batch, item)
            The bits.
        """
        for_cue, for_spikes = jax.random.split(key)
        n_bins = self.n_cue_bins + self.max_delay + self.n_go_bins
        go = n_bins - self.n_go_bins
        start = jnp.asarray(go - delay - self.n_cue_bins)
        bits = jax.random.bernoulli(for_cue, shape=(self.batch_size, self.n_items))
        bins = jnp.arange(n_bins)[:, None, None]
        cue = (bins >= start) & (bins < start + self.n_cue_bins)
        groups = jnp.concatenate([~bits & cue, bits & cue, (bins >= go) & (bits[:, :1] | True)], -1)
        on = jnp.repeat(groups, self.n_channels, axis=-1)
        proba = jnp.where(on, self.firing_proba, self.background_proba)
        spikes = jax.random.bernoulli(for_spikes, proba).astype(jnp.float32)
        return spikes, start, bits.astype(jnp.int32)

    def __call__(self, network: RNN, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Cross-entropy per item and accuracy of fresh trials."""
        for_delay, for_trials = jax.random.split(key)
        if self.shared:
            for_trials = jax.random.fold_in(for_trials, jax.lax.axis_index(DEVICE_AXIS))
        delay = jax.random.randint(for_delay, (), self.min_delay, self.max_delay + 1)
        logits, labels = _answers(network, self, for_trials, delay)
        log_proba = jax.nn.log_softmax(logits, axis=-1)
        loss = -jnp.take_along_axis(log_proba, labels[..., None], axis=-1).mean()
        return loss, {"accuracy": (logits.argmax(axis=-1) == labels).mean()}


def _answers(
    network: RNN, task: DelayedRecall, key: PRNGKeyArray, delay: Int[Array, ""]
) -> tuple[Float[Array, "batch item class"], Int[Array, "batch item"]]:
    for_trials, for_state = jax.random.split(key)
    inputs, start, labels = task.draw(for_trials, delay)
    states = network.initial_state(for_state, task.batch_size)
    states = run_to_end(network.dynamics(), states, inputs, start)
    return network.logits(states[-1][0]), labels


@partial(jax.jit, static_argnames=("task", "n_batches"))
def _right(
    network: RNN, task: DelayedRecall, key: PRNGKeyArray, delay: Int[Array, ""], n_batches: int
) -> Float[Array, ""]:
    def one(key: PRNGKeyArray) -> Array:
        logits, labels = _answers(network, task, key, delay)
        return (logits.argmax(axis=-1) == labels).mean()

    return jax.lax.map(one, jax.random.split(key, n_batches)).mean()


def recall_accuracy(
    network: RNN,
    task: DelayedRecall,
    delay: int,
    *,
    n_batches: int = 16,
    random_state: int | PRNGKeyArray = 0,
) -> float:
    """Fraction of bits that are told right after one delay.

    Parameters
    ----------
    network : RNN
        Network with ``task.n_inputs`` input channels and ``task.n_items`` heads.
    task : DelayedRecall
        The task; its ``max_delay`` may be longer than in training.
    delay : int
        Bins between cue and go signal.
    n_batches : int
        Batches of fresh trials.
    random_state : int or key
        Seed of the trials.

    Returns
    -------
    float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    InvalidInputError
        If the delay is below 0 or above ``task.max_delay``.
    """
    if not 0 <= delay <= task.max_delay:
        raise InvalidInputError(
            f"delay={delay}, expected 0 to max_delay={task.max_delay}; give a task with a larger "
            "max_delay"
        )
    return float(_right(network, task, as_key(random_state), jnp.asarray(delay), n_batches))


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
        As in `make_astro_rnn`.

    Returns
    -------
    RNN

    Raises
    ------
    InvalidInputError
        If the delay is below 1 or the spikes are not above 0, or as in `make_astro_rnn`.

    Examples
    --------
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
    options["calcium_timescales"] = slow
    if slow_membranes:
        options["membrane_timescales"] = slow
    rng = numpy_generator(random_state)
    network = make_astro_rnn(
        n_neurons, n_inputs=n_inputs, n_heads=n_heads, random_state=rng, **options
    )
    astrocyte = _population(network).units.astrocyte
    if astrocyte is None:
        return network
    # Calcium takes in 1 / timescale of every spike.
    timescales = 1 + np.exp(np.asarray(astrocyte.decay))
    contact = rng.exponential(timescales[:, None] / n_cue_spikes, (n_neurons, n_inputs))
    contact = np.maximum(contact, MIN_CONTACT)
    raised = astrocyte.contact.at[:, :n_inputs].set(contact + np.log(-np.expm1(-contact)))
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
