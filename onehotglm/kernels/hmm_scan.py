"""The functions of `onehotglm.kernels.hmm`, parallel over blocks of time, exact.

The sequence is cut into blocks of `BLOCK` bins.  All blocks advance together as
the lanes of vector instructions:

1. every block's transfer operator, a (state, state) matrix, by one pass;
2. a short scan over the blocks' operators gives the exact messages at the
   blocks' borders;
3. forward and backward passes run in all blocks at once from those borders.

Products of probabilities are rescaled every `RESCALE` bins, and likelihoods are
taken relative to each bin's best state.  Where that is not safe (a transition
probability below `SMALLEST_TRANSITION`, or a normalizer that underflowed) the
sequential log-domain form runs instead, so the answer is the same.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from onehotglm.kernels import hmm
from onehotglm.kernels.hmm import Filtered, Smoothed

BLOCK = 200
RESCALE = 8
SMALLEST_TRANSITION = 1e-9
# Bins that are worked on together: their messages stay in the processor's cache.
GROUP = 50_000


# --------------------------------------------------------------------- layout


def _to_lanes(x: Array) -> Array:
    """(time, ...) -> (bin in block, ..., block); time is a whole number of blocks."""
    flat = x.reshape(x.shape[0] // BLOCK, -1)
    return flat.T.reshape((BLOCK,) + x.shape[1:] + (-1,))


def _from_lanes(x: Array) -> Array:
    """Inverse of `_to_lanes`."""
    flat = x.reshape(-1, x.shape[-1]).T
    return flat.reshape((-1,) + x.shape[1:-1])


def _rescaled(x: Array) -> Array:
    """(bin in block, ...) -> (stretch between rescalings, bin in stretch, ...)."""
    return x.reshape((BLOCK // RESCALE, RESCALE) + x.shape[1:])


def _ungroup(x: Array, n_time: int) -> Array:
    """(group, time, ...) -> (time, ...), without the padding."""
    return x.reshape((-1,) + x.shape[2:])[:n_time]


def _mix(weights: Array, message: Array) -> Array:
    """``out[j] = sum_k weights[k, j] message[k]`` as one fused loop over the lanes."""
    return sum(weights[k][:, None] * message[k][None, :] for k in range(weights.shape[0]))


def _mass(x: Array) -> Array:
    """Sum over the state axis of (..., state, block), fused unlike ``x.sum(-2)``."""
    return sum(x[..., k, :] for k in range(x.shape[-2]))


def _map_groups(function, arrays):
    """Apply `function` to each group of bins in turn; leading axis: group."""
    if jax.tree.leaves(arrays)[0].shape[0] == 1:
        one = function(jax.tree.map(lambda x: x[0], arrays))
        return jax.tree.map(lambda x: x[None], one)
    return lax.map(function, arrays)


def _in_groups(log_lik: Array, starts: Array) -> tuple[Array, Array, Array]:
    """Equal groups of whole blocks: relative likelihoods, starts (lanes), best log-likelihoods.

    Padding bins are sessions of their own with likelihood one.
    """
    n_groups = -(-log_lik.shape[0] // GROUP)
    size = BLOCK * -(-log_lik.shape[0] // (n_groups * BLOCK))
    padding = n_groups * size - log_lik.shape[0]
    log_lik = jnp.pad(log_lik, ((0, padding), (0, 0))).reshape(n_groups, size, -1)
    starts = jnp.pad(starts.at[0].set(True), (0, padding), constant_values=True)
    lik, best = _map_groups(_relative_likelihoods, log_lik)
    return lik, _map_groups(_to_lanes, starts.reshape(n_groups, size)), best


def _relative_likelihoods(log_lik: Array) -> tuple[Array, Array]:
    """Likelihoods relative to each bin's best state, in lanes; log-likelihood of the latter."""
    # A loop, here and below, keeps the compiler from fusing arithmetic into a
    # transposition, which on a CPU is several times slower than the two apart.
    blocks = log_lik.reshape((-1, BLOCK) + log_lik.shape[1:])

    def per_block(ll):
        best = ll.max(-1)
        return jnp.exp(ll - best[:, None]), best

    relative, best = lax.map(per_block, blocks)
    return _to_lanes(relative.reshape(log_lik.shape)), best.reshape(-1)


def _normalized(product: tuple[Array, Array]) -> Array:
    """Lanes of ``a b / sum over states (a b)``."""

    def per_bin(factors):
        joint = factors[0] * factors[1]
        return joint * (1.0 / _mass(joint))

    return lax.map(per_bin, product)


# ------------------------------------------------------------- sum-product passes


def _transfer_operators(initial: Array, transition: Array, lik: Array, starts: Array) -> Array:
    """Each block's operator, shape (block, state, state), up to a positive factor.

    Entry (i, j): probability of the block's bins and of ending in j, given that
    the last bin before the block was in state i.
    """
    n_states = lik.shape[1]

    def bin_step(operator, inputs):
        lik_t, start = inputs
        moved = sum(
            operator[:, k][:, None, :] * transition[k][None, :, None] for k in range(n_states)
        )
        mass = sum(operator[:, k] for k in range(n_states))
        restarted = mass[:, None, :] * initial[None, :, None]
        return jnp.where(start, restarted, moved) * lik_t[None], None

    def stretch(operator, inputs):
        operator, _ = lax.scan(bin_step, operator, inputs)
        return operator * (1.0 / operator.sum((0, 1))), None

    eye = jnp.eye(n_states, dtype=lik.dtype)[:, :, None]
    first = jnp.broadcast_to(eye, (n_states, n_states, lik.shape[2]))
    operators, _ = lax.scan(stretch, first, (_rescaled(lik), _rescaled(starts)))
    return jnp.moveaxis(operators, -1, 0)


def _border_messages(initial: Array, operators: Array) -> tuple[Array, Array]:
    """Exact forward message before, and backward message after, every block."""
    n_states = initial.size

    def step(carry, inputs):
        forward, backward = carry
        operator, mirrored = inputs
        following = sum(forward[k] * operator[k] for k in range(n_states))
        preceding = sum(backward[k] * mirrored[:, k] for k in range(n_states))
        return (following / following.sum(), preceding / preceding.sum()), (forward, backward)

    # The first bin is a start, so what precedes the first block does not matter.
    ends = (initial, jnp.full_like(initial, 1.0 / n_states))
    _, (before, after) = lax.scan(step, ends, (operators, operators[::-1]))
    return before, after[::-1]


def _forward(
    initial: Array, transition: Array, lik: Array, starts: Array, before: Array
) -> tuple[Array, Array]:
    """Filtered probabilities times a factor, and the one-step normalizers.

    Shapes (bin in block, state, block) and (bin in block, block).
    """

    def bin_step(filtered, inputs):
        lik_t, start = inputs
        filtered = jnp.where(start, initial[:, None], _mix(transition, filtered)) * lik_t
        return filtered, (filtered, _mass(filtered))

    def stretch(filtered, inputs):
        return lax.scan(bin_step, filtered * (1.0 / _mass(filtered)), inputs)

    _, (filtered, mass) = lax.scan(stretch, before, (_rescaled(lik), _rescaled(starts)))
    return filtered.reshape(lik.shape), mass.reshape(starts.shape)


def _log_normalizers(mass: Array, starts: Array, best: Array) -> Array:
    """``log p(x_t | x_1..x_{t-1})`` of a group in time order, from `_forward`'s masses."""
    mass, starts = _from_lanes(mass), _from_lanes(starts)
    rescaled = jnp.arange(mass.shape[0]) % RESCALE == 0
    entering = jnp.where(starts | rescaled, 1.0, jnp.roll(mass, 1))
    return jnp.log(mass / entering) + best


def _rescaling(mass: Array) -> Array:
    """What each bin's entering message was divided by after `_forward` stored it."""
    previous = jnp.roll(mass, 1, axis=0).at[0].set(1.0)
    return jnp.where((jnp.arange(BLOCK) % RESCALE == 0)[:, None], previous, 1.0)


def _backward(transition: Array, lik: Array, starts: Array, after: Array) -> Array:
    """``p(x_{t+1}.. | z_t)`` times a factor, shape (bin in block, state, block)."""
    next_starts = jnp.roll(starts, -1, axis=0)  # the last row is not used
    is_last = jnp.arange(BLOCK) == BLOCK - 1

    def bin_step(message, inputs):
        lik_t, next_start, last = inputs
        beta = jnp.where(next_start, 1.0, _mix(transition.T, message))
        beta = jnp.where(last, after, beta)
        return beta * lik_t, beta

    def stretch(message, inputs):
        return lax.scan(bin_step, message * (1.0 / _mass(message)), inputs, reverse=True)

    inputs = (_rescaled(lik), _rescaled(next_starts), _rescaled(is_last))
    _, beta = lax.scan(stretch, jnp.ones_like(after), inputs, reverse=True)
    return beta.reshape(lik.shape)


def _pair_sums(before: Array, filtered: Array, lik: Array, beta: Array, weight: Array) -> Array:
    """Sum over bins t of ``filtered_{t-1}(i) lik_t(j) beta_t(j) weight_t``, (state, state)."""

    def pairs(earlier, t):
        return earlier[:, None] * (lik[t] * beta[t] * weight[t])[None]

    def add(t, sums):
        return sums + pairs(filtered[t - 1], t)

    return lax.fori_loop(1, BLOCK, add, pairs(before, 0)).sum(-1)


def _borders(initial: Array, transition: Array, lik: Array, starts: Array):
    """Border messages of all blocks, each (group, state, block in group)."""
    blocks = _map_groups(lambda x: _transfer_operators(initial, transition, *x), (lik, starts))
    messages = _border_messages(initial, blocks.reshape((-1,) + blocks.shape[2:]))
    return tuple(m.reshape(blocks.shape[:3]).swapaxes(1, 2) for m in messages)


def _or_sequential(fast, sequential, transition: Array):
    """`fast()` where products of probabilities are safe, else `sequential()`."""

    result = fast()
    # A state that is left to underflow can come back only through a transition.
    safe = (transition.min() >= SMALLEST_TRANSITION) & jnp.isfinite(result.log_likelihood)
    return lax.cond(safe, lambda: result, sequential)


# ------------------------------------------------------------------ public functions


@jax.jit
def filter_states(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Filtered:
    """Parallel twin of `onehotglm.kernels.hmm.filter_states`: same parameters, same result."""
    n_time = log_lik.shape[0]

    def fast():
        lik, lanes, best = _in_groups(log_lik, starts)
        before, _ = _borders(initial, transition, lik, lanes)

        def in_group(inputs):
            lik, starts, best, before = inputs
            filtered, mass = _forward(initial, transition, lik, starts, before)
            normalized = _normalized((filtered, jnp.ones_like(filtered)))
            return _log_normalizers(mass, starts, best), _from_lanes(normalized)

        normalizers, filtered = (
            _ungroup(x, n_time) for x in _map_groups(in_group, (lik, lanes, best, before))
        )
        moved = jnp.roll(filtered, 1, axis=0) @ transition
        predicted = jnp.where(starts.at[0].set(True)[:, None], initial, moved)
        return Filtered(normalizers.sum(), normalizers, filtered, predicted)

    arguments = (initial, transition, log_lik, starts)
    return _or_sequential(fast, lambda: hmm.filter_states(*arguments), transition)


@jax.jit
def smooth(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Smoothed:
    """Parallel twin of `onehotglm.kernels.hmm.smooth`: same parameters, same result."""
    n_time = log_lik.shape[0]

    def fast():
        lik, lanes, best = _in_groups(log_lik, starts)
        borders = _borders(initial, transition, lik, lanes)

        def in_group(inputs):
            lik, starts, best, before, after = inputs
            filtered, mass = _forward(initial, transition, lik, starts, before)
            beta = _backward(transition, lik, starts, after)
            evidence = _mass(filtered * beta) * _rescaling(mass)
            weight = jnp.where(starts, 0.0, 1.0 / evidence)
            return (
                _log_normalizers(mass, starts, best),
                _from_lanes(_normalized((filtered, beta))),
                _pair_sums(before, filtered, lik, beta, weight),
            )

        normalizers, marginals, pairs = _map_groups(in_group, (lik, lanes, best, *borders))
        normalizers, marginals = _ungroup(normalizers, n_time), _ungroup(marginals, n_time)
        first = starts.at[0].set(True)
        return Smoothed(
            normalizers.sum(),
            normalizers,
            marginals,
            transition * pairs.sum(0),
            jnp.where(first[:, None], marginals, 0.0).sum(0),
        )

    arguments = (initial, transition, log_lik, starts)
    return _or_sequential(fast, lambda: hmm.smooth(*arguments), transition)


@jax.jit
def most_likely_path(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """Parallel twin of `onehotglm.kernels.hmm.most_likely_path`: same parameters, same result."""
    log_initial, log_transition = jnp.log(initial), jnp.log(transition)
    log_lik, starts_lanes = _one_group(log_lik, starts)
    operators = _best_path_operators(log_initial, log_transition, log_lik, starts_lanes)

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

    _, scores = lax.scan(stretch, before.T, (_rescaled(log_lik), _rescaled(starts_lanes)))
    states = _trace_back(scores.reshape(log_lik.shape), log_transition, starts_lanes)
    return states[: starts.shape[0]]


@jax.jit
def sample_path(
    key: PRNGKeyArray,
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """Parallel twin of `onehotglm.kernels.hmm.sample_path`: same parameters, same draw."""
    filtered = jnp.log(filter_states(initial, transition, log_lik, starts).probabilities)
    noise = jax.random.gumbel(key, filtered.shape, filtered.dtype)
    scores, starts_lanes = _one_group(filtered + noise, starts)
    return _trace_back(scores, jnp.log(transition), starts_lanes)[: starts.shape[0]]


# ------------------------------------------------------------------ max-sum passes


def _one_group(log_scores: Array, starts: Array) -> tuple[Array, Array]:
    """Lanes of scores and starts; padding bins are sessions of their own."""
    padding = -log_scores.shape[0] % BLOCK
    log_scores = jnp.pad(log_scores, ((0, padding), (0, 0)))
    starts = jnp.pad(starts.at[0].set(True), (0, padding), constant_values=True)
    return _to_lanes(log_scores), _to_lanes(starts)


def _best_arrival(log_transition: Array, score: Array) -> Array:
    """``out[j] = max_k score[k] + log A[k, j]`` as one fused loop over the lanes."""
    best = score[0][None, :] + log_transition[0][:, None]
    for k in range(1, log_transition.shape[0]):
        best = jnp.maximum(best, score[k][None, :] + log_transition[k][:, None])
    return best


def _best_path_operators(
    log_initial: Array, log_transition: Array, log_lik: Array, starts: Array
) -> Array:
    """Best score through each block from state i before it to state j at its end."""
    n_states = log_initial.size

    def bin_step(operator, inputs):
        ll, start = inputs
        moved = operator[:, 0][:, None, :] + log_transition[0][None, :, None]
        best = operator[:, 0]
        for k in range(1, n_states):
            moved = jnp.maximum(
                moved, operator[:, k][:, None, :] + log_transition[k][None, :, None]
            )
            best = jnp.maximum(best, operator[:, k])
        restarted = best[:, None, :] + log_initial[None, :, None]
        return jnp.where(start, restarted, moved) + ll[None], None

    def stretch(operator, inputs):
        operator, _ = lax.scan(bin_step, operator, inputs)
        return operator - operator.max((0, 1)), None

    eye = jnp.log(jnp.eye(n_states, dtype=log_lik.dtype))[:, :, None]
    first = jnp.broadcast_to(eye, (n_states, n_states, log_lik.shape[2]))
    operators, _ = lax.scan(stretch, first, (_rescaled(log_lik), _rescaled(starts)))
    return jnp.moveaxis(operators, -1, 0)


def _select(table: Array, index: Array) -> Array:
    """``table[index[lane], lane]`` for a table (state, lane), without a gather."""
    out = table[0]
    for k in range(1, table.shape[0]):
        out = jnp.where(index == k, table[k], out)
    return out


def _trace_back(scores: Array, log_transition: Array, starts: Array) -> Array:
    """Time-ordered ``z_t = argmax_i scores_t(i) + log A[i, z_{t+1}]`` from lanes.

    Every block is traced back for each state that may follow it; the blocks'
    maps are then chained from the last block to the first.
    """
    n_states, n_blocks = scores.shape[1:]
    following = jnp.concatenate([starts[0, 1:], jnp.ones(1, bool)])
    next_starts = jnp.concatenate([starts[1:], following[None]])

    def predecessors(inputs):
        score, next_start = inputs
        rows = []
        for k in range(n_states):
            bonus = jnp.where(next_start[None], 0.0, log_transition[:, k][:, None])
            value, arg = score[0] + bonus[0], jnp.zeros(n_blocks, jnp.int8)
            for i in range(1, n_states):
                other = score[i] + bonus[i]
                arg = jnp.where(other > value, jnp.int8(i), arg)
                value = jnp.maximum(value, other)
            rows.append(arg)
        return jnp.stack(rows)

    best = lax.map(predecessors, (scores, next_starts))

    def all_ends(states, table):
        return jnp.stack([_select(table, s) for s in states]), None

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
    return _from_lanes(states).astype(jnp.int32)
