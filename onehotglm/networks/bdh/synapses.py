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
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.concepts import as_bytes
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.bdh.rotary import rotate, turns
from onehotglm.networks.language import check_tokens


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
    tokens, index = tokens_of(model, text), _index_of(model, synapses)
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
    tokens, index = tokens_of(model, text), _index_of(model, synapses)
    growth = _growths(model, jnp.asarray(tokens, jnp.int32), jnp.asarray(index))
    return _along_text(growth, tokens, index, "growth")


def tokens_of(model: BDH, text: str | bytes | np.ndarray) -> np.ndarray:
    """Tokens (time,) of a text, which the network knows."""
    tokens = as_bytes(text) if isinstance(text, str | bytes) else np.asarray(text)
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
