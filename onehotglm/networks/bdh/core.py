"""The levels of BDH, in two forms of the same function.

In the tensor form (`BDHCore.__call__`) all tokens of a sequence go through a level
together; in the state form (`BDHCore.step`) tokens come one by one, and the past is
kept in synapses.  Every level does, for activity x of width d at token t::

    xs = relu(x D_x)                                  sparse and positive, per head
    a  = sum over u < t of  (R_t xs_t . R_u xs_u) x_u   linear attention
    ys = relu(LN(a) D_y)
    z  = xs ys
    x' = LN(x + LN(sum over heads of z E))

with the rotation R of `rotary` and LN without parameters.  All levels share D_x, D_y
and E.  The attention over the past is a read-out of synapses that grow by Hebb's rule::

    a_t = (R_t xs_t) S_{t-1},     S_t = S_{t-1} + (R_t xs_t) outer x_t

Long sequences are cut into chunks: inside a chunk tokens attend to each other, and what
was before it is in the synapses.  That is the same sum in another order.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from onehotglm.networks.bdh.rotary import rotate, turn, turns
from onehotglm.networks.layers import layer_norm

CHUNK_SIZE = 128
"""Tokens that attend to each other directly; longer sequences are cut."""


class LevelActivity(NamedTuple):
    """What the neurons of one level do; all arrays have shape (head, batch, time, neuron)."""

    x: Float[Array, "head batch time neuron"]
    y: Float[Array, "head batch time neuron"]


class BDHState(NamedTuple):
    """The synapses of every level and the number of tokens so far."""

    synapses: Float[Array, "level head batch neuron feature"]
    position: Int[Array, ""]


class BDHCore(eqx.Module):
    """Levels with shared weights.

    Parameters
    ----------
    encoder_x, encoder_y : array, shape (head, feature, neuron)
        The matrices D_x and D_y.
    decoder : array, shape (head, neuron, feature)
        The matrix E.
    n_levels : int
        How often the weights are applied.
    """

    encoder_x: Float[Array, "head feature neuron"]
    encoder_y: Float[Array, "head feature neuron"]
    decoder: Float[Array, "head neuron feature"]
    n_levels: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, "batch time feature"]) -> Float[Array, "batch time feature"]:
        """Tensor form: what leaves the last level, from what enters the first."""
        return jax.lax.scan(lambda x, _: (self.level(x)[0], None), x, length=self.n_levels)[0]

    def activity(self, x: Float[Array, "batch time feature"]) -> tuple[Array, LevelActivity]:
        """Return what enters each level and what its neurons do; a level axis leads."""

        def body(x: Array, _: None) -> tuple[Array, tuple[Array, LevelActivity]]:
            following, found = self.level(x)
            return following, (x, found)

        return jax.lax.scan(body, x, length=self.n_levels)[1]

    def level(
        self, x: Float[Array, "batch time feature"]
    ) -> tuple[Float[Array, "batch time feature"], LevelActivity]:
        """One level, all tokens together."""
        y = jnp.zeros_like(x)
        found = []
        angles = turns(self.decoder.shape[1], jnp.arange(x.shape[1]), x.dtype)
        # Head by head: products of plain matrices are several times faster than batched ones.
        for weights in zip(self.encoder_x, self.encoder_y, self.decoder, strict=True):
            from_head, activity = _head(x, *weights, angles)
            y = y + from_head
            found.append(activity)
        activity = jax.tree.map(lambda *heads: jnp.stack(heads), *found)
        return layer_norm(x + layer_norm(y)), activity

    def initial_state(self, batch_size: int) -> BDHState:
        """Synapses of strength zero."""
        n_heads, n_neurons, n_features = self.decoder.shape
        shape = (self.n_levels, n_heads, batch_size, n_neurons, n_features)
        return BDHState(jnp.zeros(shape, self.decoder.dtype), jnp.zeros((), jnp.int32))

    def step(
        self, state: BDHState, x: Float[Array, "batch feature"]
    ) -> tuple[BDHState, Float[Array, "batch feature"]]:
        """State form: what leaves the last level for one more token."""

        def body(x: Array, synapses: Array) -> tuple[Array, Array]:
            z, synapses = self.output(x, synapses, state.position)
            return self.receive(x, z), synapses

        x, synapses = jax.lax.scan(body, x, state.synapses)
        return BDHState(synapses, state.position + 1), x

    def output(
        self,
        x: Float[Array, "batch feature"],
        synapses: Float[Array, "head batch neuron feature"],
        position: Int[Array, ""],
    ) -> tuple[Float[Array, "head batch neuron"], Float[Array, "head batch neuron feature"]]:
        """Output z of a level's neurons for one token, and its strengthened synapses."""
        xs = jax.nn.relu(jnp.einsum("bd,hdn->hbn", x, self.encoder_x))
        rotated = rotate(xs, position)
        a = jnp.einsum("hbn,hbnd->hbd", rotated, synapses)
        ys = jax.nn.relu(jnp.einsum("hbd,hdn->hbn", layer_norm(a), self.encoder_y))
        return xs * ys, synapses + rotated[..., None] * x[:, None, :]

    def receive(
        self, x: Float[Array, "batch feature"], z: Float[Array, "head batch neuron"]
    ) -> Float[Array, "batch feature"]:
        """Return what leaves a level for one token, given its input and its neurons' output."""
        return layer_norm(x + layer_norm(jnp.einsum("hbn,hnd->bd", z, self.decoder)))


@jax.checkpoint  # To find the activity again costs less than to keep it for the way back.
def _head(
    x: Float[Array, "batch time feature"],
    encoder_x: Float[Array, "feature neuron"],
    encoder_y: Float[Array, "feature neuron"],
    decoder: Float[Array, "neuron feature"],
    angles: tuple[Array, Array],
) -> tuple[Float[Array, "batch time feature"], LevelActivity]:
    n_batch, n_time = x.shape[:2]

    def product(x: Array, weights: Array) -> Array:
        # One matrix of all tokens, also for the derivative by the weights.
        return (x.reshape(n_batch * n_time, -1) @ weights).reshape(n_batch, n_time, -1)

    xs = jax.nn.relu(product(x, encoder_x))
    a = attend(turn(xs, angles), x)
    ys = jax.nn.relu(product(layer_norm(a), encoder_y))
    return product(xs * ys, decoder), LevelActivity(xs, ys)


def attend(
    rotated: Float[Array, "... time neuron"], values: Float[Array, "... time feature"]
) -> Float[Array, "... time feature"]:
    """Sum the values of earlier tokens, weighted by how alike the activities are.

    Parameters
    ----------
    rotated : array, shape (..., time, neuron)
        Rotated activity, query and key in one.
    values : array, shape (..., time, feature)
        What the synapses store; axes before `time` broadcast.

    Returns
    -------
    array, shape (..., time, feature)
        ``sum over u < t of (rotated[t] . rotated[u]) values[u]``.
    """
    n_time, n_neurons = rotated.shape[-2:]
    if n_time <= CHUNK_SIZE:
        return _attend_inside(rotated, values)
    n_chunks = -(-n_time // CHUNK_SIZE)
    missing = n_chunks * CHUNK_SIZE - n_time

    def cut(x: Array) -> Array:
        padded = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, missing), (0, 0)])
        chunks = padded.reshape(*x.shape[:-2], n_chunks, CHUNK_SIZE, x.shape[-1])
        return jnp.moveaxis(chunks, -3, 0)

    def body(synapses: Array, chunk: tuple[Array, Array]) -> tuple[Array, Array]:
        keys, stored = chunk
        found = _attend_inside(keys, stored) + keys @ synapses
        return synapses + keys.mT @ stored, found

    leading = jnp.broadcast_shapes(rotated.shape[:-2], values.shape[:-2])
    empty = jnp.zeros((*leading, n_neurons, values.shape[-1]), values.dtype)
    found = jnp.moveaxis(jax.lax.scan(body, empty, (cut(rotated), cut(values)))[1], 0, -3)
    return found.reshape(*leading, n_chunks * CHUNK_SIZE, -1)[..., :n_time, :]


def _attend_inside(rotated: Array, values: Array) -> Array:
    earlier = jnp.tril(jnp.ones((rotated.shape[-2],) * 2, bool), -1)
    return jnp.where(earlier, _likeness(rotated), 0) @ values


@jax.custom_jvp
def _likeness(rotated: Array) -> Array:
    return rotated @ rotated.mT


@_likeness.defjvp
def _likeness_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Both factors are one array: one product forwards and, transposed, one backwards.
    half = tangents[0] @ primals[0].mT
    return _likeness(primals[0]), half + half.mT
