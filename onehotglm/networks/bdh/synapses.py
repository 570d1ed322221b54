"""Reading BDH's working memory: how strong single synapses are while a text is read.

The state of a level is a matrix of synapses from neuron i to the features; through
D_y it becomes synapses from neuron i to neuron j of the same head.  At token t the
synapse from i to j grows by Hebb's rule by ``xs_t[i] v_t[j]`` with ``v_t = x_t D_y``:
what i does times what drives j.  Its strength is the sum of the growth so far, turned
by the rotation that has passed since each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.bdh.rotary import rotate, turns
from onehotglm.networks.language import check_tokens
from onehotglm.random_state import RandomState, numpy_generator


class Synapse(NamedTuple):
    """One plastic synapse.

    Parameters
    ----------
    level, head : int
        Where it is; levels and heads count from 0.
    post, pre : int
        From neuron `pre` to neuron `post` of the head.
    """

    level: int
    head: int
    post: int
    pre: int


def mark_concept(text: str | bytes, concept: str | bytes) -> np.ndarray:
    """Find the bytes at which a word is complete: where a concept has just been named.

    Parameters
    ----------
    text, concept : str or bytes
        A str is encoded as UTF-8.

    Returns
    -------
    bool ndarray, shape (byte,)
        True at the last byte of each occurrence.

    Raises
    ------
    InvalidInputError
        If the concept is empty.

    Examples
    --------
    >>> mark_concept("a cat", "cat").astype(int)
    array([0, 0, 0, 0, 1])
    """
    text, concept = _as_bytes(text), _as_bytes(concept)
    if not concept:
        raise InvalidInputError("the concept is empty; expected a word of the text")
    marks = np.zeros(len(text), bool)
    place = text.find(concept)
    while place >= 0:
        marks[place + len(concept) - 1] = True
        place = text.find(concept, place + 1)
    return marks


def mark_last_letter(text: str | bytes, concept: str | bytes) -> np.ndarray:
    """Find the last letter of a word where it ends other words, or stands inside them.

    What a network does after a word may be what it does after the word's last letter,
    whatever stood before.  These are the places to compare with.

    Parameters
    ----------
    text, concept : str or bytes
        As in `mark_concept`.

    Returns
    -------
    bool ndarray, shape (byte,)
        True where the byte is the last one of the concept, and no occurrence of the
        concept ends.

    Raises
    ------
    InvalidInputError
        If the concept is empty.

    Examples
    --------
    >>> mark_last_letter("to the cat", "cat").astype(int)
    array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    """
    named = mark_concept(text, concept)
    return (np.frombuffer(_as_bytes(text), np.uint8) == _as_bytes(concept)[-1]) & ~named


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def synapse_strength(
    model: BDH, text: str | bytes | np.ndarray, synapses: Sequence[Synapse]
) -> xr.DataArray:
    """Strength of some synapses after each token of a text.

    Parameters
    ----------
    model : BDH
        The network that reads.
    text : str, bytes or int array, shape (time,)
        What it reads, from an empty memory on.
    synapses : sequence of Synapse
        Which to record.

    Returns
    -------
    DataArray, dims (synapse, token)
        What one unit of activity of the presynaptic neuron at the next token would
        add to the drive of the postsynaptic one, before normalisation.  Coordinates
        ``level``, ``head``, ``post``, ``pre`` (synapse) and ``code`` (token).

    Raises
    ------
    InvalidInputError
        If a synapse does not exist, or there is none; if the text is empty or holds
        tokens that the network does not know.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> model = make_bdh(4, n_neurons=16, n_heads=2, n_levels=2)
    >>> synapse_strength(model, "hello", [Synapse(1, 0, post=3, pre=5)]).shape
    (1, 5)
    """
    tokens, index = _tokens_of(model, text), _index_of(model, synapses)
    strength = _strengths(model, jnp.asarray(tokens, jnp.int32), jnp.asarray(index))
    return _along_text(strength, tokens, index, "strength")


def synapse_growth(
    model: BDH, text: str | bytes | np.ndarray, synapses: Sequence[Synapse]
) -> xr.DataArray:
    """How much some synapses grow at each token of a text by Hebb's rule.

    Parameters
    ----------
    model, text, synapses
        As in `synapse_strength`.

    Returns
    -------
    DataArray, dims (synapse, token)
        ``xs_t[pre] v_t[post]``; below zero where the synapse shrinks.  Coordinates as in
        `synapse_strength`.

    Raises
    ------
    InvalidInputError
        As in `synapse_strength`.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> model = make_bdh(4, n_neurons=16, n_heads=2, n_levels=2)
    >>> synapse_growth(model, "hello", [Synapse(1, 0, post=3, pre=5)]).dims
    ('synapse', 'token')
    """
    tokens, index = _tokens_of(model, text), _index_of(model, synapses)
    growth = _growths(model, jnp.asarray(tokens, jnp.int32), jnp.asarray(index))
    return _along_text(growth, tokens, index, "growth")


def _tokens_of(model: BDH, text: str | bytes | np.ndarray) -> np.ndarray:
    tokens = _as_bytes(text) if isinstance(text, str | bytes) else np.asarray(text)
    tokens = np.frombuffer(tokens, np.uint8) if isinstance(tokens, bytes) else tokens
    if tokens.ndim != 1 or not len(tokens):
        raise InvalidInputError(
            f"the text has shape {tokens.shape}, expected (time,) with at least one token"
        )
    check_tokens(tokens, model.n_tokens, "the text")
    return tokens


def _index_of(model: BDH, synapses: Sequence[Synapse]) -> np.ndarray:
    n_heads, n_neurons, _ = model.core.decoder.shape
    limits = (model.core.n_levels, n_heads, n_neurons, n_neurons)
    if any(
        len(synapse) != 4 or not all(0 <= i < n for i, n in zip(synapse, limits, strict=True))
        for synapse in synapses
    ) or not len(synapses):
        raise InvalidInputError(
            f"synapses are {list(synapses)}, expected at least one (level, head, post, pre), each "
            f"from 0 and below {limits}"
        )
    return np.array(synapses, int)


def _along_text(values: Array, tokens: np.ndarray, index: np.ndarray, name: str) -> xr.DataArray:
    coords = {
        name: ("synapse", column) for name, column in zip(Synapse._fields, index.T, strict=True)
    }
    return xr.DataArray(
        np.asarray(values),
        dims=("synapse", "token"),
        coords={**coords, "code": ("token", tokens)},
        name=name,
    )


@eqx.filter_jit
def _strengths(
    model: BDH, tokens: Int[Array, " time"], index: Int[Array, "synapse 4"]
) -> Float[Array, "synapse time"]:
    features, neurons = model.activity(tokens[None])
    level, head, post, pre = index.T
    n_neurons = neurons.x.shape[-1]
    time = jnp.arange(len(tokens))
    # A presynaptic neuron is turned together with its partner half the neurons away.
    n_pairs = n_neurons // 2
    partner = (pre + n_pairs) % n_neurons
    keys = rotate(neurons.x[:, :, 0], time)
    drive = jnp.einsum("std,sd->st", features[level, 0], model.core.encoder_y[head, :, post])
    grown = [jnp.cumsum(keys[level, head, :, i] * drive, axis=1) for i in (pre, partner)]
    # What the next token reads, if the presynaptic neuron alone is active with 1.
    cos, sin = (angle.T[pre % n_pairs] for angle in turns(n_neurons, time + 1, drive.dtype))
    sign = jnp.where(pre < n_pairs, 1, -1)[:, None]
    return grown[0] * cos + grown[1] * sign * sin


@eqx.filter_jit
def _growths(
    model: BDH, tokens: Int[Array, " time"], index: Int[Array, "synapse 4"]
) -> Float[Array, "synapse time"]:
    features, neurons = model.activity(tokens[None])
    level, head, post, pre = index.T
    drive = jnp.einsum("std,sd->st", features[level, 0], model.core.encoder_y[head, :, post])
    return drive * neurons.x[level, head, 0, :, pre]


def synapse_selectivity(
    model: BDH,
    text: str | bytes | np.ndarray,
    labels: np.ndarray,
    *,
    level: int,
    head: int,
    others: np.ndarray | None = None,
    n_shuffles: int = 100,
    random_state: RandomState = 0,
) -> xr.Dataset:
    """How much more each synapse of a head grows at the tokens of a concept.

    For each synapse Welch's t compares its growth at the labelled tokens with that at
    others.  A synapse for the concept grows there: shrinking counts as no growth, so that
    those which only shrink less than elsewhere are not selective.  The largest t of all
    synapses is compared with that under labels shifted along the text by random amounts,
    which keeps how they cluster.

    Parameters
    ----------
    model : BDH
        The network that reads.
    text : str, bytes or int array, shape (time,)
        What it reads.
    labels : bool array, shape (time,)
        Tokens of the concept; see `mark_concept`.
    level, head : int
        Which synapses.
    others : bool array, shape (time,), optional
        Tokens to compare with, for instance those of `mark_last_letter`: is a synapse
        for the word, or for its last letter?  Default: all that are not labelled.
    n_shuffles : int
        Number of shifted labels; `others` are shifted along.
    random_state : int, key or numpy Generator
        Seed of the shifts.

    Returns
    -------
    Dataset
        ``selectivity`` (post, pre): Welch's t of the growth above zero; zero for synapses
        that grow at none of these tokens, and instead of a positive t for those that do
        not grow at the concept on balance.
        ``shuffled_maximum`` (shuffle): the largest t under each shift.  ``p_value``:
        share of shifts, and the labels themselves, with so large a maximum.
        ``best_post`` and ``best_pre``: the most selective synapse; any of them where no
        selectivity is above 0.

    Raises
    ------
    InvalidInputError
        If level, head or labels do not fit, or fewer than two tokens are labelled or
        to be compared with; if the text is empty or holds unknown tokens.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> text = "the cat saw the rat; the cat sat"
    >>> found = synapse_selectivity(
    ...     make_bdh(4, n_neurons=16, n_heads=2, n_levels=2), text, mark_concept(text, "cat"),
    ...     level=1, head=0, others=mark_last_letter(text, "cat"), n_shuffles=9)
    >>> found["selectivity"].shape
    (8, 8)
    """
    tokens, labels = _tokens_of(model, text), np.asarray(labels, bool)
    others = ~labels if others is None else np.asarray(others, bool)
    _check_labels(labels, others, tokens)
    n_levels, n_heads = model.core.n_levels, len(model.core.decoder)
    if not (0 <= level < n_levels and 0 <= head < n_heads):
        raise InvalidInputError(
            f"level={level}, head={head}; the network has {n_levels} levels and {n_heads} heads, "
            "counted from 0"
        )
    if n_shuffles < 0:
        raise InvalidInputError(f"n_shuffles={n_shuffles}, but it must be at least 0")
    factors = _hebbian_factors(model, jnp.asarray(tokens, jnp.int32), level, head)

    def t_of(shift: int) -> np.ndarray:
        shifted = (jnp.asarray(np.roll(marks, shift)) for marks in (labels, others))
        return np.asarray(_welch(*factors, *shifted))

    found = t_of(0)
    shifts = numpy_generator(random_state).integers(1, len(labels), size=n_shuffles)
    largest = np.array([t_of(shift).max() for shift in shifts])
    post, pre = np.unravel_index(found.argmax(), found.shape)
    neurons = np.arange(len(found))
    return xr.Dataset(
        {
            "selectivity": (("post", "pre"), found),
            "shuffled_maximum": ("shuffle", largest),
            "p_value": (1 + (largest >= found.max()).sum()) / (1 + n_shuffles),
            "best_post": int(post),
            "best_pre": int(pre),
        },
        coords={"post": neurons, "pre": neurons},
        attrs={"level": level, "head": head},
    )


def _check_labels(labels: np.ndarray, others: np.ndarray, tokens: np.ndarray) -> None:
    for name, marks in {"labels": labels, "others": others}.items():
        if marks.shape != tokens.shape:
            raise InvalidInputError(
                f"{name} have shape {marks.shape}, expected {tokens.shape}: one per token"
            )
    if (labels & others).any():
        raise InvalidInputError(
            f"{(labels & others).sum()} tokens are both labelled and among the others; expected "
            "each to be one or none of them"
        )
    if min(labels.sum(), others.sum()) < 2:
        raise InvalidInputError(
            f"{labels.sum()} of {len(labels)} tokens are labelled, {others.sum()} are to be "
            "compared with; expected at least two of each: read a longer text"
        )


@eqx.filter_jit
def _hebbian_factors(
    model: BDH, tokens: Int[Array, " time"], level: int, head: int
) -> tuple[Float[Array, "time post"], Float[Array, "time pre"]]:
    features, neurons = model.activity(tokens[None])
    return features[level, 0] @ model.core.encoder_y[head], neurons.x[level, head, 0]


@eqx.filter_jit
def _welch(
    drive: Float[Array, "time post"],
    activity: Float[Array, "time pre"],
    labels: Array,
    others: Array,
) -> Float[Array, "post pre"]:
    """Welch's t of all growths ``relu(drive[:, j]) activity[:, i]`` between two sets of tokens.

    Zero instead of above zero where the changes at the first set, with their sign, do not
    sum to more than zero.
    """
    rising = jax.nn.relu(drive)  # activities are positive: this is the growth above zero

    def moments(chosen: Array) -> tuple[Array, Array, Array]:
        n = chosen.sum()
        mean = (rising * chosen[:, None]).T @ activity / n
        square = (rising**2 * chosen[:, None]).T @ activity**2 / n
        # A synapse that grows by one amount each time has a variance of rounding.
        rounding = jnp.finfo(drive.dtype).eps * square
        return n, mean, jnp.maximum(square - mean**2, rounding) * n / (n - 1)

    labels, others = labels.astype(drive.dtype), others.astype(drive.dtype)
    n_in, mean_in, variance_in = moments(labels)
    n_out, mean_out, variance_out = moments(others)
    error = jnp.sqrt(variance_in / n_in + variance_out / n_out)
    t = jnp.where(error > 0, (mean_in - mean_out) / jnp.where(error > 0, error, 1), 0)
    grows = (drive * labels[:, None]).T @ activity > 0
    return jnp.where(grows, t, jnp.minimum(t, 0))
