"""Stacked blocks of AM-SUs with residual paths, and the model of text made of them.

One block reads the stream x_t of width d and adds to it::

    p_t = H(LN(x_t) scale + shift)      presynaptic spikes
    s_t = AM-SU(p_t)                    spikes of the units
    x'_t = x_t + O s_t + o

so that all that travels between neurons are spikes; the stream itself is a sum of
currents.  This layout, like the unit, is this project's reading of the seed.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from onehotglm.networks.astrosnn.surrogate import spike
from onehotglm.networks.astrosnn.unit import AMSU, AMSUState, AMSUTrace, make_amsu
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.language import LanguageModel
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.text import N_BYTES
from onehotglm.random_state import RandomState, numpy_generator


class AstroBlocks(eqx.Module):
    """Blocks on top of each other; every array has a leading axis (block,).

    Parameters
    ----------
    scale, shift : array, shape (block, feature)
        From the normalised stream to the presynaptic spikes.
    units : AMSU
        The units of all blocks, stacked.
    out : array, shape (block, feature, neuron)
        O.
    offset : array, shape (block, feature)
        o.
    """

    scale: Float[Array, "block feature"]
    shift: Float[Array, "block feature"]
    units: AMSU
    out: Float[Array, "block feature neuron"]
    offset: Float[Array, "block feature"]

    def __call__(self, x: Float[Array, "time batch feature"]) -> Float[Array, "time batch feature"]:
        """Parallel form: the stream after the last block."""
        return jax.lax.scan(lambda x, block: (block._add(x)[0], None), x, self)[0]

    def trace(
        self, x: Float[Array, "time batch feature"]
    ) -> tuple[Float[Array, "time batch feature"], AMSUTrace]:
        """Run the parallel form and return the traces of all blocks as well."""
        return jax.lax.scan(lambda x, block: block._add(x), x, self)

    def initial_state(self, batch_size: int) -> AMSUState:
        """State at rest of all blocks, (block, batch, neuron)."""
        return jax.vmap(lambda units: units.initial_state(batch_size))(self.units)

    def step(
        self, state: AMSUState, x: Float[Array, "batch feature"]
    ) -> tuple[AMSUState, Float[Array, "batch feature"]]:
        """Step form: states and stream after one more bin."""

        def body(x: Array, inputs: tuple["AstroBlocks", AMSUState]) -> tuple[Array, AMSUState]:
            block, state = inputs
            state = block.units.step(state, block._presynaptic(x))
            return x + state.spikes @ block.out.T + block.offset, state

        x, state = jax.lax.scan(body, x, (self, state))
        return state, x

    def _presynaptic(self, x: Array) -> Array:
        return spike(layer_norm(x) * self.scale + self.shift, self.units.surrogate)

    def _add(self, x: Array) -> tuple[Array, AMSUTrace]:
        _, trace = self.units.run(self._presynaptic(x))
        return x + trace.spikes @ self.out.T + self.offset, trace


class AstroSNN(LanguageModel):
    """Embedding, blocks, readout; make one by `make_astrosnn`.

    Parameters
    ----------
    embedding : array, shape (token, feature)
        What each token starts the stream with.
    blocks : AstroBlocks
        The blocks.
    readout : array, shape (feature, token)
        From the normalised stream to the logits.
    bias : array, shape (token,)
        Added to the logits.
    """

    embedding: Float[Array, "token feature"]
    blocks: AstroBlocks
    readout: Float[Array, "feature token"]
    bias: Float[Array, " token"]

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return len(self.embedding)

    def logits(self, tokens: Int[Array, "batch time"]) -> Float[Array, "batch time token"]:
        """Parallel form: logits of the token after each one.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        array, shape (batch, time, token)
        """
        x = self.blocks(self.embedding[tokens.T])
        return self._read_out(x).swapaxes(0, 1)

    def trace(self, tokens: Int[Array, "batch time"]) -> AMSUTrace:
        """Inner state of every unit while a text is read.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        AMSUTrace
            Spikes, membrane, calcium, gliotransmission and threshold, each
            (block, time, batch, neuron).
        """
        return self.blocks.trace(self.embedding[tokens.T])[1]

    def initial_state(self, batch_size: int, max_length: int = 0) -> AMSUState:
        """State at rest.

        Parameters
        ----------
        batch_size : int
            Number of texts.
        max_length : int
            Not looked at: the state does not grow with the length.

        Returns
        -------
        AMSUState
            Arrays (block, batch, neuron).
        """
        del max_length
        return self.blocks.initial_state(batch_size)

    def step(
        self, state: AMSUState, tokens: Int[Array, " batch"]
    ) -> tuple[AMSUState, Float[Array, "batch token"]]:
        """Step form: the state after one more token, and the logits of the next.

        Parameters
        ----------
        state : AMSUState
            From `initial_state` or the last step.
        tokens : int array, shape (batch,)
            One token of each text.

        Returns
        -------
        state : AMSUState
            After this token.
        logits : array, shape (batch, token)
            Of the next token.
        """
        state, x = self.blocks.step(state, self.embedding[tokens])
        return state, self._read_out(x)

    def _read_out(self, x: Float[Array, "... feature"]) -> Float[Array, "... token"]:
        return layer_norm(x) @ self.readout + self.bias


def make_astrosnn(
    n_features: int = 64,
    *,
    n_neurons: int = 256,
    n_blocks: int = 4,
    n_tokens: int = N_BYTES,
    astrocyte: bool = True,
    threshold_coupling: bool = True,
    reset: bool = True,
    surrogate: str = "fast-sigmoid",
    random_state: RandomState = 0,
) -> AstroSNN:
    """Random model of text to start training from.

    Parameters
    ----------
    n_features : int
        Width of the stream.
    n_neurons : int
        Units per block.
    n_blocks : int
        Number of blocks.
    n_tokens : int
        Size of the vocabulary; 256 for bytes.
    astrocyte, threshold_coupling, reset, surrogate
        As in `make_amsu`.  Without the reset, training is parallel over time.
    random_state : int, key or numpy Generator
        Seed of the initial weights.

    Returns
    -------
    AstroSNN

    Raises
    ------
    InvalidInputError
        If a size is below 1, or a name is unknown.

    Examples
    --------
    >>> make_astrosnn(8, n_neurons=16, n_blocks=2).blocks.out.shape
    (2, 8, 16)
    """
    check_sizes(n_features=n_features, n_tokens=n_tokens)
    rng = numpy_generator(random_state)
    options = {
        "astrocyte": astrocyte,
        "threshold_coupling": threshold_coupling,
        "reset": reset,
        "surrogate": surrogate,
    }
    blocks = make_blocks(n_features, n_neurons, n_blocks, rng, **options)
    return AstroSNN(
        jnp.asarray(rng.standard_normal((n_tokens, n_features)), jnp.float32),
        blocks,
        jnp.asarray(0.02 * rng.standard_normal((n_features, n_tokens)), jnp.float32),
        jnp.asarray(np.zeros(n_tokens), jnp.float32),
    )


def make_blocks(
    n_features: int, n_neurons: int, n_blocks: int, rng: np.random.Generator, **options: Any
) -> AstroBlocks:
    """Random blocks; options as in `make_amsu`."""
    check_sizes(n_blocks=n_blocks)
    layers = [make_amsu(n_features, n_neurons, rng=rng, **options) for _ in range(n_blocks)]
    units = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *layers)
    out = rng.standard_normal((n_blocks, n_features, n_neurons)) / (n_neurons * n_blocks) ** 0.5
    shape = (n_blocks, n_features)
    return AstroBlocks(
        jnp.asarray(np.ones(shape), jnp.float32),
        jnp.asarray(np.zeros(shape), jnp.float32),
        units,
        jnp.asarray(out, jnp.float32),
        jnp.asarray(np.zeros(shape), jnp.float32),
    )
