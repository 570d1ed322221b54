"""Reading BDH's working memory: how strong single synapses are while a text is read.

The state of a level is a matrix of synapses from neuron i to the features; through
D_y it becomes synapses from neuron i to neuron j of the same head.  At token t the
synapse from i to j changes by Hebb's rule by ``xs_t[i] v_t[j]`` with ``v_t = x_t D_y``:
what i does times what drives j.  Its strength is the sum of the changes so far, turned
by the rotation that has passed since each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.bdh.rotary import rotate
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


def as_tokens(text: str | bytes | np.ndarray) -> np.ndarray:
    """Tokens (time,) of a text of bytes, or the tokens themselves."""
    text = text.encode() if isinstance(text, str) else text
    return np.frombuffer(text, np.uint8) if isinstance(text, bytes) else np.asarray(text)


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

    Examples
    --------
    >>> mark_concept("a cat", "cat").astype(int)
    array([0, 0, 0, 0, 1])
    """
    text, concept = (part.encode() if isinstance(part, str) else part for part in (text, concept))
    marks = np.zeros(len(text), bool)
    place = text.find(concept)
    while place >= 0:
        marks[place + len(concept) - 1] = True
        place = text.find(concept, place + 1)
    return marks


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
        If a synapse does not exist, or there is none.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> model = make_bdh(4, n_neurons=16, n_heads=2, n_levels=2)
    >>> synapse_strength(model, "hello", [Synapse(1, 0, post=3, pre=5)]).shape
    (1, 5)
    """
    n_heads, n_neurons, _ = model.core.decoder.shape
    limits = (model.core.n_levels, n_heads, n_neurons, n_neurons)
    index = np.array(synapses, int).reshape(-1, 4)
    if not len(index) or (index < 0).any() or (index >= limits).any():
        raise InvalidInputError(
            f"synapses are {list(synapses)}, expected at least one (level, head, post, pre), each "
            f"from 0 and below {limits}"
        )
    tokens = as_tokens(text)
    strength = _strengths(model, jnp.asarray(tokens, jnp.int32), jnp.asarray(index))
    coords = {
        name: ("synapse", column) for name, column in zip(Synapse._fields, index.T, strict=True)
    }
    return xr.DataArray(
        np.asarray(strength),
        dims=("synapse", "token"),
        coords={**coords, "code": ("token", tokens)},
        name="strength",
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
    partner = (pre + n_neurons // 2) % n_neurons
    keys = rotate(neurons.x[:, :, 0], time)
    drive = jnp.einsum("std,sd->st", features[level, 0], model.core.encoder_y[head, :, post])
    grown = [jnp.cumsum(keys[level, head, :, i] * drive, axis=1) for i in (pre, partner)]
    one = rotate(jnp.eye(n_neurons)[pre][:, None, :], time + 1)
    asked = [jnp.take_along_axis(one, i[:, None, None], axis=2)[..., 0] for i in (pre, partner)]
    return grown[0] * asked[0] + grown[1] * asked[1]


def synapse_selectivity(
    model: BDH,
    text: str | bytes | np.ndarray,
    labels: np.ndarray,
    *,
    level: int,
    head: int,
    n_shuffles: int = 100,
    random_state: RandomState = 0,
) -> xr.Dataset:
    """How much more each synapse of a head grows at the tokens of a concept.

    For each synapse Welch's t compares its Hebbian changes at the labelled tokens with
    those at all others.  The largest t of all synapses is compared with that under
    labels shifted along the text by random amounts, which keeps how they cluster.

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
    n_shuffles : int
        Number of shifted labels.
    random_state : int, key or numpy Generator
        Seed of the shifts.

    Returns
    -------
    Dataset
        ``selectivity`` (post, pre): Welch's t, zero for synapses that never change.
        ``shuffled_maximum`` (shuffle): the largest t under each shift.  ``p_value``:
        share of shifts, and the labels themselves, with so large a maximum.
        ``best_post`` and ``best_pre``: the most selective synapse.

    Raises
    ------
    InvalidInputError
        If level, head or labels do not fit, or fewer than two tokens are labelled or
        not labelled.
    """
    tokens, labels = as_tokens(text), np.asarray(labels, bool)
    if labels.shape != tokens.shape:
        raise InvalidInputError(
            f"labels have shape {labels.shape}, expected {tokens.shape}: one per token"
        )
    if min(labels.sum(), (~labels).sum()) < 2:
        raise InvalidInputError(
            f"{labels.sum()} of {len(labels)} tokens are labelled; expected at least two with and "
            "two without: read a longer text"
        )
    n_levels, n_heads = model.core.n_levels, len(model.core.decoder)
    if not (0 <= level < n_levels and 0 <= head < n_heads):
        raise InvalidInputError(
            f"level={level}, head={head}; the network has {n_levels} levels and {n_heads} heads, "
            "counted from 0"
        )
    rng = numpy_generator(random_state)
    factors = _hebbian_factors(model, jnp.asarray(tokens, jnp.int32), level, head)
    found = np.asarray(_welch(*factors, jnp.asarray(labels)))
    shifts = rng.integers(1, len(labels), size=n_shuffles)
    largest = np.array(
        [float(_welch(*factors, jnp.asarray(np.roll(labels, shift))).max()) for shift in shifts]
    )
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


@eqx.filter_jit
def _hebbian_factors(
    model: BDH, tokens: Int[Array, " time"], level: int, head: int
) -> tuple[Float[Array, "time post"], Float[Array, "time pre"]]:
    features, neurons = model.activity(tokens[None])
    return features[level, 0] @ model.core.encoder_y[head], neurons.x[level, head, 0]


@eqx.filter_jit
def _welch(
    drive: Float[Array, "time post"], activity: Float[Array, "time pre"], labels: Array
) -> Float[Array, "post pre"]:
    """Welch's t of all products ``drive[:, j] activity[:, i]`` between two sets of tokens."""

    def moments(chosen: Array) -> tuple[Array, Array, Array]:
        n = chosen.sum()
        mean = (drive * chosen[:, None]).T @ activity / n
        square = (drive**2 * chosen[:, None]).T @ activity**2 / n
        return n, mean, jnp.maximum(square - mean**2, 0) * n / (n - 1)

    weights = labels.astype(drive.dtype)
    n_in, mean_in, variance_in = moments(weights)
    n_out, mean_out, variance_out = moments(1 - weights)
    error = jnp.sqrt(variance_in / n_in + variance_out / n_out)
    return jnp.where(error > 0, (mean_in - mean_out) / jnp.where(error > 0, error, 1), 0)
