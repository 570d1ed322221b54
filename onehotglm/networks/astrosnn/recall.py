"""Delayed recall: which cues were given, asked some bins after they are over.

A trial has three phases.  Every item is a bit: one of its two groups of input channels
fires (the cue).  Then only background spikes come (the delay), then one more group
fires (the go signal), and in the last bin linear readouts of the spikes, one head per
item, tell all bits.  Background spikes come on all channels at all times.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.shared_batch import SharedBatch
from onehotglm.networks.training import Metrics
from onehotglm.random_state import as_key


@dataclass(frozen=True)
class DelayedRecall(SharedBatch):
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
        asked = jnp.broadcast_to(bins >= go, (n_bins, self.batch_size, 1))
        groups = jnp.concatenate([~bits & cue, bits & cue, asked], axis=-1)
        on = jnp.repeat(groups, self.n_channels, axis=-1)
        proba = jnp.where(on, self.firing_proba, self.background_proba)
        spikes = jax.random.bernoulli(for_spikes, proba).astype(jnp.float32)
        return spikes, start, bits.astype(jnp.int32)

    def __call__(self, network: RNN, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Cross-entropy per item and accuracy of fresh trials."""
        for_delay, for_trials = jax.random.split(key)
        delay = jax.random.randint(for_delay, (), self.min_delay, self.max_delay + 1)
        logits, labels = _answers(network, self, self.key_of_device(for_trials), delay)
        log_proba = jax.nn.log_softmax(logits, axis=-1)
        loss = -jnp.take_along_axis(log_proba, labels[..., None], axis=-1).mean()
        return loss, {"accuracy": (logits.argmax(axis=-1) == labels).mean()}


def _answers(
    network: RNN, task: DelayedRecall, key: PRNGKeyArray, delay: Int[Array, ""]
) -> tuple[Float[Array, "batch item class"], Int[Array, "batch item"]]:
    if network.n_heads != task.n_items:
        raise InvalidInputError(
            f"the network has {network.n_heads} heads for n_items={task.n_items} of the task; "
            "expected one per item: build it with n_heads=task.n_items, n_inputs=task.n_inputs"
        )
    for_trials, for_state = jax.random.split(key)
    inputs, start, labels = task.draw(for_trials, delay)
    return network.logits(network.activity_at_end(for_state, inputs, start)), labels


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
        If the delay is below 0 or above ``task.max_delay``, or the network has another
        number of heads.
    """
    if not 0 <= delay <= task.max_delay:
        raise InvalidInputError(
            f"delay={delay}, expected 0 to max_delay={task.max_delay}; give a task with a larger "
            "max_delay"
        )
    return float(_right(network, task, as_key(random_state), jnp.asarray(delay), n_batches))
