"""A small decoder-only transformer in the manner of GPT-2: the baseline for text.

Radford, Wu, Child, Luan, Amodei and Sutskever, "Language models are unsupervised
multitask learners" (2019): learned positions, layer normalisation before each part,
causal attention of several heads, a wide layer with GELU, embedding and readout tied.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.language import LanguageModel
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.text import N_BYTES
from onehotglm.random_state import RandomState, numpy_generator

__all__ = [
    "Transformer",
    "make_transformer",
]

INITIAL_SCALE = 0.02
"""Standard deviation of all initial weights, before that of the residual paths."""


class Cache(NamedTuple):
    """Keys and values of the tokens so far; it has room for as many as were asked for."""

    keys: Float[Array, "layer batch head place feature"]
    values: Float[Array, "layer batch head place feature"]
    position: Int[Array, ""]


class Layers(eqx.Module):
    """Weights of all layers, stacked along the first axis.

    Parameters
    ----------
    attention : array, shape (layer, feature, 3, head, part)
        To the queries, keys and values of every head.
    merge : array, shape (layer, head, part, feature)
        From the heads back.
    widen, narrow : array, shape (layer, feature, wide) and (layer, wide, feature)
        The wide layer.
    attention_bias, merge_bias, widen_bias, narrow_bias : array
        Their biases.
    scales, shifts : array, shape (layer, 2, feature)
        Of the normalisation before each of the two parts.
    """

    attention: Float[Array, "layer feature 3 head part"]
    merge: Float[Array, "layer head part feature"]
    widen: Float[Array, "layer feature wide"]
    narrow: Float[Array, "layer wide feature"]
    attention_bias: Float[Array, "layer 3 head part"]
    merge_bias: Float[Array, "layer feature"]
    widen_bias: Float[Array, "layer wide"]
    narrow_bias: Float[Array, "layer feature"]
    scales: Float[Array, "layer 2 feature"]
    shifts: Float[Array, "layer 2 feature"]

    def project(self, x: Float[Array, "... feature"]) -> Float[Array, "... 3 head part"]:
        """Compute queries, keys and values of one layer's input."""
        normed = layer_norm(x) * self.scales[0] + self.shifts[0]
        return jnp.einsum("...d,dkhp->...khp", normed, self.attention) + self.attention_bias

    def merged(
        self, x: Float[Array, "... feature"], attended: Float[Array, "... head part"]
    ) -> Float[Array, "... feature"]:
        """One layer's output, from its input and what its heads found."""
        x = x + jnp.einsum("...hp,hpd->...d", attended, self.merge) + self.merge_bias
        normed = layer_norm(x) * self.scales[1] + self.shifts[1]
        wide = jax.nn.gelu(normed @ self.widen + self.widen_bias)
        return x + wide @ self.narrow + self.narrow_bias


class Transformer(LanguageModel):
    """Decoder-only transformer; make one by `make_transformer`.

    Parameters
    ----------
    embedding : array, shape (token, feature)
        Of the tokens; its transpose is the readout.
    positions : array, shape (place, feature)
        Added to the tokens' embeddings; no text is longer.
    layers : Layers
        Stacked weights.
    scale, shift : array, shape (feature,)
        Of the last normalisation.
    """

    embedding: Float[Array, "token feature"]
    positions: Float[Array, "place feature"]
    layers: Layers
    scale: Float[Array, " feature"]
    shift: Float[Array, " feature"]

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return len(self.embedding)

    def logits(self, tokens: Int[Array, "batch time"]) -> Float[Array, "batch time token"]:
        """Logits of the token after each one, all at once.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        array, shape (batch, time, token)

        Raises
        ------
        InvalidInputError
            If the text is longer than the learned positions.
        """
        n_time = tokens.shape[1]
        self._check_length(n_time)
        earlier = jnp.tril(jnp.ones((n_time, n_time), bool))

        def layer(x: Array, weights: Layers) -> tuple[Array, None]:
            query, key, value = jnp.moveaxis(weights.project(x), 2, 0)
            likeness = jnp.einsum("bthp,buhp->bhtu", query, key) / query.shape[-1] ** 0.5
            share = jax.nn.softmax(jnp.where(earlier, likeness, -jnp.inf), axis=-1)
            attended = jnp.einsum("bhtu,buhp->bthp", share, value)
            return weights.merged(x, attended), None

        x = self.embedding[tokens] + self.positions[:n_time]
        return self._read_out(jax.lax.scan(layer, x, self.layers)[0])

    def initial_state(self, batch_size: int, max_length: int) -> Cache:
        """Empty cache with room for a text.

        Parameters
        ----------
        batch_size : int
            Number of texts.
        max_length : int
            Tokens per text; every step looks at so many places.

        Returns
        -------
        Cache

        Raises
        ------
        InvalidInputError
            If the text is longer than the learned positions.
        """
        self._check_length(max_length)
        n_layers, _, _, n_heads, n_parts = self.layers.attention.shape
        empty = jnp.zeros((n_layers, batch_size, n_heads, max_length, n_parts), self.scale.dtype)
        return Cache(empty, empty, jnp.zeros((), jnp.int32))

    def step(
        self, state: Cache, tokens: Int[Array, " batch"]
    ) -> tuple[Cache, Float[Array, "batch token"]]:
        """Add one more token to the cache and attend to all so far.

        Parameters
        ----------
        state : Cache
            From `initial_state` or the last step.
        tokens : int array, shape (batch,)
            One token of each text.

        Returns
        -------
        state : Cache
            With one more place filled.
        logits : array, shape (batch, token)
            Of the next token.
        """
        seen = jnp.arange(state.keys.shape[3]) <= state.position

        # The whole cache is carried on, so that one place is written and nothing copied.
        def layer(carry: tuple, inputs: tuple[Array, Layers]) -> tuple[tuple, None]:
            (x, keys, values), (number, weights) = carry, inputs
            query, key, value = jnp.moveaxis(weights.project(x), 1, 0)
            place = (number, 0, 0, state.position, 0)
            keys = jax.lax.dynamic_update_slice(keys, key[None, :, :, None], place)
            values = jax.lax.dynamic_update_slice(values, value[None, :, :, None], place)
            likeness = jnp.einsum("bhp,bhup->bhu", query, keys[number]) / query.shape[-1] ** 0.5
            share = jax.nn.softmax(jnp.where(seen, likeness, -jnp.inf), axis=-1)
            attended = jnp.einsum("bhu,bhup->bhp", share, values[number])
            return (weights.merged(x, attended), keys, values), None

        x = self.embedding[tokens] + self.positions[state.position]
        numbers = jnp.arange(len(state.keys))
        (x, keys, values), _ = jax.lax.scan(
            layer, (x, state.keys, state.values), (numbers, self.layers)
        )
        return Cache(keys, values, state.position + 1), self._read_out(x)

    def _read_out(self, x: Float[Array, "... feature"]) -> Float[Array, "... token"]:
        return (layer_norm(x) * self.scale + self.shift) @ self.embedding.T

    def _check_length(self, n_time: int) -> None:
        if n_time > len(self.positions):
            raise InvalidInputError(
                f"a text of {n_time} tokens, but the transformer has learned positions for "
                f"{len(self.positions)}: give shorter ones, or make it with a larger max_length"
            )


def make_transformer(
    n_features: int = 64,
    *,
    n_layers: int = 4,
    n_heads: int = 4,
    max_length: int = 1024,
    n_tokens: int = N_BYTES,
    random_state: RandomState = 0,
) -> Transformer:
    """Random network to start training from.

    Parameters
    ----------
    n_features : int
        Width of what is handed from layer to layer; the wide layers have four times as
        many.
    n_layers : int
        Number of layers.
    n_heads : int
        Heads of the attention; a divisor of `n_features`.
    max_length : int
        Longest text.
    n_tokens : int
        Size of the vocabulary; 256 for bytes.
    random_state : int, key or numpy Generator
        Seed of the initial weights.

    Returns
    -------
    Transformer

    Raises
    ------
    InvalidInputError
        If a size is below 1, or the heads do not divide the features.

    Examples
    --------
    >>> make_transformer(16, n_layers=2).layers.widen.shape
    (2, 16, 64)
    """
    check_sizes(
        n_features=n_features,
        n_layers=n_layers,
        n_heads=n_heads,
        max_length=max_length,
        n_tokens=n_tokens,
    )
    if n_features % n_heads:
        raise InvalidInputError(
            f"n_features={n_features} is not a multiple of n_heads={n_heads}; change one of them"
        )
    rng = numpy_generator(random_state)

    def weights(*shape: int, scale: float = INITIAL_SCALE) -> Array:
        return jnp.asarray(scale * rng.standard_normal(shape), jnp.float32)

    def zeros(*shape: int) -> Array:
        return jnp.asarray(np.zeros(shape, np.float32))

    heads = (n_heads, n_features // n_heads)
    wide = 4 * n_features
    residual = INITIAL_SCALE / (2 * n_layers) ** 0.5
    layers = Layers(
        attention=weights(n_layers, n_features, 3, *heads),
        merge=weights(n_layers, *heads, n_features, scale=residual),
        widen=weights(n_layers, n_features, wide),
        narrow=weights(n_layers, wide, n_features, scale=residual),
        attention_bias=zeros(n_layers, 3, *heads),
        merge_bias=zeros(n_layers, n_features),
        widen_bias=zeros(n_layers, wide),
        narrow_bias=zeros(n_layers, n_features),
        scales=zeros(n_layers, 2, n_features) + 1,
        shifts=zeros(n_layers, 2, n_features),
    )
    return Transformer(
        weights(n_tokens, n_features),
        weights(max_length, n_features),
        layers,
        zeros(n_features) + 1,
        zeros(n_features),
    )
