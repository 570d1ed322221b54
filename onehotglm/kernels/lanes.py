"""Layout of the kernels that are parallel over blocks of time.

A sequence is cut into groups, a group into equal blocks of consecutive bins, and
the blocks of a group are the lanes of vector instructions: arrays of a group are
(bin in block, ..., block).  Bins that fill up the last block are sessions of
their own.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

# Bins of a block, at most.
BLOCK = 80
# Bins of a group, at most: its messages stay in the processor's cache.
GROUP = 7_000
# Bins between two rescalings of products; blocks are a multiple of it.
RESCALE = 8
# Lanes of one vector instruction.
_VECTOR = 8


class Layout(NamedTuple):
    """How a sequence of `n_time` bins is cut."""

    n_time: int
    n_groups: int
    n_blocks: int
    block: int

    @property
    def shape(self) -> tuple[int, int]:
        """Groups and bins per group."""
        return self.n_groups, self.n_blocks * self.block


def make_layout(n_time: int, group: int | None = GROUP) -> Layout:
    """Cut `n_time` bins into groups of about `group` bins, or leave them in one."""
    n_groups = 1 if group is None else -(-n_time // group)
    per_group = -(-n_time // n_groups)
    # Whole vectors have no remainder to loop over; an odd number of them keeps
    # transpositions from hitting the same few lines of the cache.  Of the first few
    # numbers that make blocks short enough, take that which pads least.
    n_vectors = -(-per_group // (BLOCK * _VECTOR)) | 1
    cuts = []
    for n_blocks in (_VECTOR * (n_vectors + more) for more in (0, 2, 4)):
        block = RESCALE * -(-per_group // (n_blocks * RESCALE))
        cuts.append((n_blocks * block, n_blocks, block))
    _, n_blocks, block = min(cuts)
    return Layout(n_time, n_groups, n_blocks, block)


def in_groups(layout: Layout, x: Array, padding) -> Array:
    """(time, ...) -> (group, time in group, ...), filled up with `padding`."""
    missing = math.prod(layout.shape) - layout.n_time
    x = jnp.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1), constant_values=padding)
    return x.reshape((*layout.shape, *x.shape[1:]))


def ungroup(layout: Layout, x: Array) -> Array:
    """(group, time in group, ...) -> (time, ...), without the padding."""
    return x.reshape((-1, *x.shape[2:]))[: layout.n_time]


def map_groups(function, arrays):
    """Apply `function` to each group in turn; leading axis: group."""
    if jax.tree.leaves(arrays)[0].shape[0] == 1:
        one = function(jax.tree.map(lambda x: x[0], arrays))
        return jax.tree.map(lambda x: x[None], one)
    return lax.map(function, arrays)


def to_lanes(layout: Layout, x: Array) -> Array:
    """(time in group, ...) -> (bin in block, ..., block)."""
    flat = x.reshape(layout.n_blocks, -1)
    return flat.T.reshape((layout.block, *x.shape[1:], layout.n_blocks))


def from_lanes(x: Array) -> Array:
    """(bin in block, ..., block) -> (time in group, ...)."""
    flat = x.reshape(-1, x.shape[-1]).T
    return flat.reshape((-1, *x.shape[1:-1]))


def in_stretches(x: Array) -> Array:
    """(bin in block, ...) -> (stretch between rescalings, bin in stretch, ...)."""
    return x.reshape((x.shape[0] // RESCALE, RESCALE, *x.shape[1:]))


def first_of_stretch(block: int) -> Array:
    """Whether a bin of a block is entered by a rescaled message, shape (bin in block, 1)."""
    return (jnp.arange(block) % RESCALE == 0)[:, None]
