"""Paths of a hidden Markov chain, parallel over blocks of time.

The max-sum half of `onehotglm.kernels.hmm_scan`: all sums are of logarithms, so
that nothing underflows and no fallback is needed.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from onehotglm.kernels.lanes import (
    Layout,
    from_lanes,
    in_groups,
    in_stretches,
    make_layout,
    to_lanes,
)


@jax.jit
def most_likely_path(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """Parallel twin of `onehotglm.kernels.hmm.most_likely_path`: same parameters, same result."""
    log_initial, log_transition = jnp.log(initial), jnp.log(transition)
    layout = make_layout(starts.shape[0], group=None)
    log_lik = _lanes(layout, log_lik, 0.0)
    starts = _lanes(layout, starts.at[0].set(True), True)
    operators = _operators(log_initial, log_transition, log_lik, starts)

    def border(score, operator):
        following = (score[:, None] + operator).max(0)
        return following - following.max(), score

    _, before = lax.scan(border, jnp.zeros_like(initial), operators)

    def bin_step(score, inputs):
        ll, start = inputs
        arrival = _best_arrival(log_transition, score)
        score = jnp.where(start, log_initial[:, None], arrival) + ll
        return score, score

    def stretch(score, inputs):
        return lax.scan(bin_step, score - score.max(0), inputs)

    _, scores = lax.scan(stretch, before.T, (in_stretches(log_lik), in_stretches(starts)))
    return _trace_back(layout, scores.reshape(log_lik.shape), log_transition, starts)


def trace_back(
    scores: Float[Array, "time state"],
    log_transition: Float[Array, "state state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """From the last bin back: ``z_t = argmax_i scores_t(i) + log A[i, z_{t+1}]``."""
    layout = make_layout(starts.shape[0], group=None)
    lanes = _lanes(layout, scores, 0.0), _lanes(layout, starts.at[0].set(True), True)
    return _trace_back(layout, lanes[0], log_transition, lanes[1])


def _lanes(layout: Layout, x: Array, padding) -> Array:
    return to_lanes(layout, in_groups(layout, x, padding)[0])


def _larger(a: Array, b: Array) -> Array:
    # One instruction: `jnp.maximum` takes two more to pass NaN on.
    return jnp.where(a > b, a, b)


def _best_arrival(log_transition: Array, score: Array) -> Array:
    """``out[j] = max_k score[k] + log A[k, j]`` as one fused loop over the lanes."""
    best = score[0][None, :] + log_transition[0][:, None]
    for k in range(1, log_transition.shape[0]):
        best = _larger(best, score[k][None, :] + log_transition[k][:, None])
    return best


def _operators(log_initial: Array, log_transition: Array, log_lik: Array, starts: Array) -> Array:
    """Best score through each block from state i before it to state j at its end."""
    n_states = log_initial.size

    def bin_step(operator, inputs):
        ll, start = inputs
        moved = operator[:, 0][:, None, :] + log_transition[0][None, :, None]
        best = operator[:, 0]
        for k in range(1, n_states):
            via = operator[:, k][:, None, :] + log_transition[k][None, :, None]
            moved = _larger(moved, via)
            best = _larger(best, operator[:, k])
        restarted = best[:, None, :] + log_initial[None, :, None]
        return jnp.where(start, restarted, moved) + ll[None], None

    def stretch(operator, inputs):
        operator, _ = lax.scan(bin_step, operator, inputs)
        return operator - operator.max((0, 1)), None

    eye = jnp.log(jnp.eye(n_states, dtype=log_lik.dtype))[:, :, None]
    first = jnp.broadcast_to(eye, (n_states, n_states, log_lik.shape[2]))
    operators, _ = lax.scan(stretch, first, (in_stretches(log_lik), in_stretches(starts)))
    return jnp.moveaxis(operators, -1, 0)


def _select(table: Array, index: Array) -> Array:
    """``table[index[lane], lane]`` for a table (state, lane), without a gather."""
    out = table[0]
    for k in range(1, table.shape[0]):
        out = jnp.where(index == k, table[k], out)
    return out


def _best_predecessors(scores: Array, log_transition: Array, next_starts: Array) -> Array:
    """Best state of each bin for each state of the next one, (bin in block, state, block)."""
    n_states, n_blocks = scores.shape[1:]

    def in_bin(inputs):
        score, next_start = inputs
        rows = []
        for k in range(n_states):
            bonus = jnp.where(next_start[None], 0.0, log_transition[:, k][:, None])
            value, arg = score[0] + bonus[0], jnp.zeros(n_blocks, jnp.int8)
            for i in range(1, n_states):
                other = score[i] + bonus[i]
                arg = jnp.where(other > value, jnp.int8(i), arg)
                # Not `_larger`: beside the same comparison it is slower.
                value = jnp.maximum(value, other)
            rows.append(arg)
        return jnp.stack(rows)

    return lax.map(in_bin, (scores, next_starts))


def _trace_back(layout: Layout, scores: Array, log_transition: Array, starts: Array) -> Array:
    """`trace_back` from lanes.

    Every block is traced back for each state that may follow it; the blocks'
    maps are then chained from the last block to the first.
    """
    n_states, n_blocks = scores.shape[1:]
    following = jnp.concatenate([starts[0, 1:], jnp.ones(1, bool)])
    next_starts = jnp.concatenate([starts[1:], following[None]])
    best = _best_predecessors(scores, log_transition, next_starts)

    def all_ends(states, table):
        return _select(table[:, None], states), None

    ends = jnp.broadcast_to(jnp.arange(n_states, dtype=jnp.int8)[:, None], (n_states, n_blocks))
    maps, _ = lax.scan(all_ends, ends, best, reverse=True)

    def chain(first_of_next, block_map):
        return block_map[first_of_next], first_of_next

    # Indexing by int8 went wrong inside this scan (jax 0.10, CPU): chain in int32.
    _, after = lax.scan(chain, jnp.int32(0), maps.T.astype(jnp.int32), reverse=True)

    def one_end(state, table):
        state = _select(table, state)
        return state, state

    _, states = lax.scan(one_end, after.astype(jnp.int8), best, reverse=True)
    return from_lanes(states).astype(jnp.int32)[: layout.n_time]
