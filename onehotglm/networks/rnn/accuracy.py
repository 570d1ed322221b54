"""How often a network answers right: along a stream, and at the end of sequences."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.rnn.tasks import (
    MIN_SPAN,
    check_task,
    draw_batch,
    labels_along,
)
from onehotglm.random_state import as_key


class Activity(NamedTuple):
    """What a network did under a random stream of fair bits."""

    bits: np.ndarray  # (time, stream)
    activity: np.ndarray  # (time, stream, neuron)


@partial(jax.jit, static_argnames=("n_bins", "n_streams"))
def _drive(
    network: RNN, key: PRNGKeyArray, n_bins: int, n_streams: int
) -> tuple[Array, Float[Array, "time stream neuron"]]:
    for_bits, for_state = jax.random.split(key)
    bits = jax.random.bernoulli(for_bits, shape=(n_bins, n_streams)).astype(jnp.float32)
    states = network.initial_state(for_state, n_streams)
    return bits, run_all(network.dynamics(), states, bits[:, :, None])[1]


def drive_randomly(
    network: RNN, n_time_bins: int, *, n_streams: int = 10, random_state: int = 0
) -> Activity:
    """Activity of the top layer under random fair bits.

    Parameters
    ----------
    network : RNN
        Network with one input channel.
    n_time_bins : int
        Bins per stream.
    n_streams : int
        Independent streams.
    random_state : int or key
        Seed of the bits and of the initial activity.

    Returns
    -------
    Activity
        Bits (time, stream) and activity (time, stream, neuron).
    """
    bits, activity = _drive(network, as_key(random_state), n_time_bins, n_streams)
    return Activity(np.asarray(bits), np.asarray(activity))


def accuracy_along(
    network: RNN,
    task: str,
    span: int,
    *,
    head: int = 0,
    n_time_bins: int = 2000,
    n_streams: int = 10,
    random_state: int = 0,
) -> float:
    """Fraction of right answers in every bin of long streams of fair bits.

    Parameters
    ----------
    network : RNN
        Network with one input channel.
    task : {"parity", "dms", "recall"}
        Which question is asked.
    span : int
        N of the task.
    head : int
        Which readout head answers.
    n_time_bins, n_streams : int
        Size of the test.  The first 4 `span` bins of each stream are not scored.
    random_state : int or key
        Seed of the streams.

    Returns
    -------
    float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    InvalidInputError
        If the head does not exist, the task is unknown or the stream is too short.
    """
    check_task(task)
    if not 0 <= head < network.n_heads:
        raise InvalidInputError(
            f"head={head}, but the network has {network.n_heads} heads: give 0 to "
            f"{network.n_heads - 1}"
        )
    if n_time_bins <= 4 * span:
        raise InvalidInputError(
            f"n_time_bins={n_time_bins} leaves nothing to score after the first 4 span = "
            f"{4 * span} bins; give more"
        )
    run = drive_randomly(network, n_time_bins, n_streams=n_streams, random_state=random_state)
    # Labels begin in bin span - 1, scoring in bin 4 span.
    labels = labels_along(task, run.bits, span)[3 * span + 1 :]
    logits = run.activity[4 * span :] @ np.asarray(network.w_out[head]).T
    answers = (logits + np.asarray(network.b_out[head])).argmax(axis=-1)
    return float((answers == labels).mean())


@partial(jax.jit, static_argnames=("task", "max_span", "batch_size", "n_batches"))
def _right_at_end(
    network: RNN,
    key: PRNGKeyArray,
    span: Int[Array, ""],
    task: str,
    max_span: int,
    batch_size: int,
    n_batches: int,
) -> Float[Array, "batch head span"]:
    def one(key: PRNGKeyArray) -> Array:
        for_batch, for_state = jax.random.split(key)
        batch = draw_batch(for_batch, task, span, max_span=max_span, batch_size=batch_size)
        activity = network.activity_at_end(for_state, batch.inputs, batch.start)
        answers = network.logits(activity).argmax(axis=-1)
        return (answers.T[:, None] == batch.labels[None]).mean(axis=-1)

    return jax.lax.map(one, jax.random.split(key, n_batches))


def accuracy_at_end(
    network: RNN,
    task: str,
    span: int,
    *,
    n_batches: int = 16,
    batch_size: int = 256,
    random_state: int = 0,
) -> np.ndarray:
    """Fraction of right answers at the end of sequences as in training.

    Parameters
    ----------
    network : RNN
        Network with one input channel.
    task : {"parity", "dms", "recall"}
        Which question is asked.
    span : int
        N that sets the length of the sequences, uniform in [N+2, 4N+2).
    n_batches, batch_size : int
        Size of the test; sequences of one batch share their length.
    random_state : int or key
        Seed of the sequences.

    Returns
    -------
    ndarray, shape (head, span)
        Accuracy of every head on the questions N = 2..span.

    Raises
    ------
    InvalidInputError
        If the task is unknown or the span is below 2.
    """
    check_task(task)
    if span < MIN_SPAN:
        raise InvalidInputError(f"span={span}, but all tasks begin at span={MIN_SPAN}")
    key = as_key(random_state)
    right = _right_at_end(network, key, span, task, room_for(span), batch_size, n_batches)
    return np.asarray(right.mean(axis=0))[:, : span - MIN_SPAN + 1]


def room_for(span: int) -> int:
    """Span that arrays are made for: few sizes, so that few programs are compiled."""
    return max(8, 1 << (span - 1).bit_length())
