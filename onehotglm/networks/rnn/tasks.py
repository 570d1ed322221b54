"""Memory tasks on random bits, one bit per time bin.

Each task has a span N, the number of last bits that the answer depends on:

- N-parity: is the sum of the last N bits odd?
- N-DMS (delayed match to sample): does the bit now equal the bit N-1 bins earlier?
- N-recall (delayed recall): what was the bit N-1 bins earlier?

Sequences of one batch share a random length between N+2 and 4N+1 and stand at the
end of a longer array, so that the last bin is always the one to be answered.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError

TASKS = ("parity", "dms", "recall")
MIN_SPAN = 2


class TaskBatch(NamedTuple):
    """Sequences of bits, and the answers of all spans at their ends."""

    inputs: Float[Array, "time batch 1"]
    start: Int[Array, ""]
    labels: Int[Array, "span batch"]


def check_task(task: str) -> None:
    """Raise `InvalidInputError` unless `task` is one of `TASKS`."""
    if task not in TASKS:
        raise InvalidInputError(f"task={task!r} is unknown; choose one of {', '.join(TASKS)}")


def max_length(span: int) -> int:
    """Length of the longest sequence of the task with this span, in bins."""
    return 4 * span + 1


def labels_at_end(
    task: str, bits: Float[Array, "time batch"], max_span: int
) -> Int[Array, "span batch"]:
    """Answers of the spans 2..max_span in the last bin.

    Parameters
    ----------
    task : {"parity", "dms", "recall"}
        Which question is asked.
    bits : array, shape (time, batch)
        Zeros and ones, at least `max_span` bins.
    max_span : int
        Largest N.

    Returns
    -------
    int array, shape (span, batch)
        Row i answers for N = i + 2.

    Examples
    --------
    >>> bits = jnp.array([[1.0], [1.0], [0.0]])
    >>> labels_at_end("parity", bits, 3).ravel().tolist()
    [1, 0]
    >>> labels_at_end("dms", bits, 3).ravel().tolist()
    [0, 0]
    """
    last = bits[::-1][:max_span]
    if task == "parity":
        answers = jnp.cumsum(last, axis=0)[MIN_SPAN - 1 :] % 2
    else:
        earlier = last[MIN_SPAN - 1 :]
        answers = earlier == last[0] if task == "dms" else earlier == 1
    return answers.astype(jnp.int32)


def labels_along(task: str, bits: np.ndarray, span: int) -> np.ndarray:
    """Answers for one span in every bin of a stream.

    Parameters
    ----------
    task : {"parity", "dms", "recall"}
        Which question is asked.
    bits : array, shape (time, ...)
        Zeros and ones.
    span : int
        N of the task.

    Returns
    -------
    int array, shape (time - span + 1, ...)
        Entry i is the answer in bin ``i + span - 1``, the first one with enough past.

    Examples
    --------
    >>> labels_along("parity", np.array([1, 1, 0, 1]), span=2)
    array([0, 1, 1])
    >>> labels_along("dms", np.array([1, 1, 0, 1]), span=3)
    array([0, 1])
    """
    check_task(task)
    bits = np.asarray(bits, dtype=int)
    n_answers = len(bits) - span + 1
    if n_answers < 1:
        raise InvalidInputError(
            f"a stream of {len(bits)} bins has no answer for span={span}; give at least {span} bins"
        )
    if task == "dms":
        return (bits[span - 1 :] == bits[:n_answers]).astype(int)
    if task == "recall":
        return bits[:n_answers]
    total = np.concatenate([np.zeros_like(bits[:1]), np.cumsum(bits, axis=0)])
    return (total[span:] - total[:-span]) % 2


def draw_batch(
    key: PRNGKeyArray,
    task: str,
    span: Int[Array, ""] | int,
    *,
    max_span: int,
    batch_size: int,
    part: Int[Array, ""] | None = None,
) -> TaskBatch:
    """Random sequences of one batch; compiles once for all spans up to `max_span`.

    Parity bits are Bernoulli(p) with p uniform in (0, 1), one p per sequence; bits of
    the other tasks are fair.

    Parameters
    ----------
    key : key
        Source of randomness.
    task : {"parity", "dms", "recall"}
        Which question is asked.
    span : int
        N, which sets the length: uniform in [N+2, 4N+2).
    max_span : int
        Largest span that the arrays have room for.
    batch_size : int
        Number of sequences.
    part : int, optional
        Number of this part of a larger batch: parts have the same length and their
        own bits.

    Returns
    -------
    TaskBatch
        Inputs (time, batch, 1), the first bin `start` of the sequences, and the labels
        (span, batch) of the spans 2..max_span; only those up to `span` have enough past.
    """
    for_p, for_bits, for_length = jax.random.split(key, 3)
    if part is not None:
        for_p, for_bits = jax.random.fold_in(for_p, part), jax.random.fold_in(for_bits, part)
    n_bins = max_length(max_span)
    p = jax.random.uniform(for_p, (batch_size,)) if task == "parity" else 0.5
    bits = (jax.random.uniform(for_bits, (n_bins, batch_size)) < p).astype(jnp.float32)
    length = jax.random.randint(for_length, (), span + 2, 4 * span + 2)
    return TaskBatch(bits[:, :, None], n_bins - length, labels_at_end(task, bits, max_span))
