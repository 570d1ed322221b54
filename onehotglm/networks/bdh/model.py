"""BDH, the Dragon Hatchling, as a model of text.

Follows Kosowski, Uznański, Chorowski, Stamirowska and Bartoszkiewicz, "The Dragon
Hatchling: The Missing Link between the Transformer and Models of the Brain" (2025), in
the published form for tensors.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.core import BDHCore, BDHState, LevelActivity
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.language import LanguageModel
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.text import N_BYTES
from onehotglm.random_state import RandomState, numpy_generator

INITIAL_SCALE = 0.02
"""Standard deviation of all initial weights."""


class BDH(LanguageModel):
    """Embedding, levels, readout.

    Parameters
    ----------
    embedding : array, shape (token, feature)
        What each token adds to the first level.
    core : BDHCore
        The levels.
    readout : array, shape (feature, token)
        From the last level to the logits.
    """

    embedding: Float[Array, "token feature"]
    core: BDHCore
    readout: Float[Array, "feature token"]

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return len(self.embedding)

    @property
    def n_neurons(self) -> int:
        """Neurons of all heads."""
        n_heads, n_neurons, _ = self.core.decoder.shape
        return n_heads * n_neurons

    def logits(self, tokens: Int[Array, "batch time"]) -> Float[Array, "batch time token"]:
        """Tensor form: logits of the token after each one.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        array, shape (batch, time, token)
        """
        return self.core(layer_norm(self.embedding)[tokens]) @ self.readout

    def activity(self, tokens: Int[Array, "batch time"]) -> tuple[Array, LevelActivity]:
        """Inner activity of every level.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        features : array, shape (level, batch, time, feature)
            What enters each level, and is stored in its synapses.
        neurons : LevelActivity of arrays, shape (level, head, batch, time, neuron)
            The activities xs and ys.
        """
        return self.core.activity(layer_norm(self.embedding)[tokens])

    def initial_state(self, batch_size: int, max_length: int = 0) -> BDHState:
        """Synapses of strength zero.

        Parameters
        ----------
        batch_size : int
            Number of texts.
        max_length : int
            Not looked at: the state does not grow with the length.

        Returns
        -------
        BDHState
        """
        del max_length
        return self.core.initial_state(batch_size)

    def step(
        self, state: BDHState, tokens: Int[Array, " batch"]
    ) -> tuple[BDHState, Float[Array, "batch token"]]:
        """State form: the synapses after one more token, and the logits of the next.

        Parameters
        ----------
        state : BDHState
            From `initial_state` or the last step.
        tokens : int array, shape (batch,)
            One token of each text.

        Returns
        -------
        state : BDHState
            With the synapses strengthened.
        logits : array, shape (batch, token)
            Of the next token.
        """
        state, x = self.core.step(state, layer_norm(self.embedding)[tokens])
        return state, x @ self.readout


def make_bdh(
    n_features: int = 64,
    *,
    n_neurons: int = 2048,
    n_heads: int = 4,
    n_levels: int = 4,
    n_tokens: int = N_BYTES,
    random_state: RandomState = 0,
) -> BDH:
    """Random network to start training from.

    Parameters
    ----------
    n_features : int
        Width d of what is handed from level to level.
    n_neurons : int
        Neurons of all heads.
    n_heads : int
        Heads among which the neurons are divided.
    n_levels : int
        How often the shared weights are applied.
    n_tokens : int
        Size of the vocabulary; 256 for bytes.
    random_state : int, key or numpy Generator
        Seed of the initial weights.

    Returns
    -------
    BDH

    Raises
    ------
    InvalidInputError
        If a size is below 1, or the neurons of a head do not make pairs.

    Examples
    --------
    >>> model = make_bdh(16, n_neurons=128, n_heads=2, n_levels=3)
    >>> model.core.encoder_x.shape
    (2, 16, 64)
    """
    check_sizes(n_tokens=n_tokens)
    rng = numpy_generator(random_state)
    core = make_core(n_features, n_neurons, n_heads, n_levels, rng)
    return BDH(_weights(rng, n_tokens, n_features), core, _weights(rng, n_features, n_tokens))


def make_core(
    n_features: int, n_neurons: int, n_heads: int, n_levels: int, rng: np.random.Generator
) -> BDHCore:
    """Random levels; parameters and errors as in `make_bdh`."""
    check_sizes(n_features=n_features, n_heads=n_heads, n_levels=n_levels)
    check_pairs("n_neurons", n_neurons, n_heads)
    per_head = n_neurons // n_heads
    return BDHCore(
        _weights(rng, n_heads, n_features, per_head),
        _weights(rng, n_heads, n_features, per_head),
        _weights(rng, n_heads, per_head, n_features),
        n_levels,
    )


def check_pairs(name: str, n_neurons: int, n_heads: int) -> None:
    """Raise `InvalidInputError` unless the neurons of each head make pairs."""
    check_sizes(**{name: n_neurons})
    if n_neurons % (2 * n_heads):
        raise InvalidInputError(
            f"{name}={n_neurons}, expected a multiple of {2 * n_heads}: the neurons of each of "
            f"n_heads={n_heads} heads are rotated by pairs"
        )


def _weights(rng: np.random.Generator, *shape: int) -> Array:
    return jnp.asarray(INITIAL_SCALE * rng.standard_normal(shape), jnp.float32)
