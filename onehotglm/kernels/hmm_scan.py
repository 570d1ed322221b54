"""The functions of `onehotglm.kernels.hmm`, parallel over blocks of time, exact.

All blocks of time (`onehotglm.kernels.lanes`) advance together as the lanes of
vector instructions:

1. every block's transfer operator, a (state, state) matrix, by one pass;
2. a short scan over the blocks' operators gives the exact messages at the
   blocks' borders;
3. forward and backward passes run in all blocks at once from those borders.

Products of probabilities are rescaled every `lanes.RESCALE` bins, and likelihoods
are taken relative to each bin's best state.  Where that is not safe (`_is_safe`)
the sequential log-domain form runs instead, so the answer is the same.
"""

from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from onehotglm.kernels import hmm
from onehotglm.kernels.hmm import Filtered, Smoothed
from onehotglm.kernels.hmm_paths import most_likely_path, trace_back
from onehotglm.kernels.lanes import (
    RESCALE,
    Layout,
    first_of_stretch,
    from_lanes,
    in_groups,
    in_stretches,
    make_layout,
    map_groups,
    to_lanes,
    ungroup,
)

# Parts of a group whose likelihoods are computed at once; blocks are a multiple of it.
_PARTS = 2

__all__ = ["filter_states", "log_likelihood", "most_likely_path", "sample_path", "smooth"]


@jax.jit
def filter_states(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Filtered:
    """Parallel twin of `onehotglm.kernels.hmm.filter_states`: same parameters, same result."""
    layout = make_layout(log_lik.shape[0])
    first = starts.at[0].set(True)
    lik, lanes, best = _inputs(layout, log_lik, first)
    before, _ = _borders(initial, transition, lik, lanes)

    def in_group(inputs):
        lik, starts, before = inputs
        filtered, mass = _forward(initial, transition, lik, starts, before)
        normalized = lax.map(lambda x: x * (1.0 / _mass(x)), filtered)
        return from_lanes(mass), from_lanes(normalized), mass.min()

    mass, filtered, smallest = map_groups(in_group, (lik, lanes, before))
    normalizers = _log_normalizers(layout, mass, first, best)
    filtered = ungroup(layout, filtered)
    earlier = jnp.roll(filtered, 1, axis=0)
    predicted = sum(earlier[:, k, None] * row for k, row in enumerate(transition))
    predicted = jnp.where(first[:, None], initial, predicted)
    result = Filtered(normalizers.sum(), normalizers, filtered, predicted)
    arguments = (initial, transition, log_lik, starts)
    return _or_sequential(
        result, _is_safe(transition, smallest), lambda: hmm.filter_states(*arguments)
    )


@jax.jit
def smooth(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Smoothed:
    """Parallel twin of `onehotglm.kernels.hmm.smooth`: same parameters, same result."""
    layout = make_layout(log_lik.shape[0])
    first = starts.at[0].set(True)
    lik, lanes, best = _inputs(layout, log_lik, first)
    borders = _borders(initial, transition, lik, lanes)

    def in_group(inputs):
        lik, starts, before, after = inputs
        filtered, mass = _forward(initial, transition, lik, starts, before)
        beta = _backward(transition, lik, starts, after)
        marginals, per_evidence = _normalized_product(filtered, beta)
        weight = jnp.where(starts, 0.0, per_evidence)
        pairs = _pair_sums((before, filtered, _rescaling(mass)), (lik, beta, weight))
        return from_lanes(mass), from_lanes(marginals), pairs, mass.min()

    mass, marginals, pairs, smallest = map_groups(in_group, (lik, lanes, *borders))
    normalizers = _log_normalizers(layout, mass, first, best)
    marginals = ungroup(layout, marginals)
    result = Smoothed(normalizers.sum(), normalizers, marginals, transition * pairs.sum(0))
    arguments = (initial, transition, log_lik, starts)
    return _or_sequential(result, _is_safe(transition, smallest), lambda: hmm.smooth(*arguments))


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
    return trace_back(filtered + noise, jnp.log(transition), starts)


@jax.custom_vjp
def log_likelihood(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Float[Array, ""]:
    """``log p(x)`` with the posterior as its gradient (Fisher's identity).

    ``d log p / d log_lik`` are the marginals, ``d log p / d A`` the expected
    transitions over A (0 where A is 0), likewise for the initial probabilities.

    Parameters are those of `onehotglm.kernels.hmm.filter_states`.

    Returns
    -------
    scalar
        In nats, all sessions together.
    """
    return filter_states(initial, transition, log_lik, starts).log_likelihood


def _log_likelihood_forward(initial, transition, log_lik, starts):
    result = smooth(initial, transition, log_lik, starts)
    return result.log_likelihood, (initial, transition, starts.at[0].set(True), result)


def _log_likelihood_backward(residuals, cotangent):
    initial, transition, starts, result = residuals

    def over(counts, probabilities):
        return jnp.where(probabilities > 0, counts / probabilities, 0.0) * cotangent

    return (
        over(hmm.expected_starts(result.marginals, starts), initial),
        over(result.transition_counts, transition),
        result.marginals * cotangent,
        None,
    )


log_likelihood.defvjp(_log_likelihood_forward, _log_likelihood_backward)


# ------------------------------------------------------------------ safety


def _is_safe(transition: Array, mass: Array) -> Array:
    """Whether no product that underflowed could have mattered.

    What is lost in a stretch is below the smallest number, relative to the mass of
    its message; what a state gets from the others in the next bin, or a row of an
    operator relative to the others, is at least the smallest transition probability.
    """
    tiny = 1e6 * jnp.finfo(transition.dtype).tiny
    return mass.min() * transition.min() ** 2 > tiny


def _or_sequential(result, safe: Array, sequential):
    """Keep `result` where it is safe, else compute `sequential()`."""
    # A loop of no or one round: unlike a branch, it does not copy the result.
    _, result = lax.while_loop(
        lambda carry: ~carry[0], lambda _: (jnp.asarray(True), sequential()), (safe, result)
    )
    return result


# ------------------------------------------------------------------ layout


def _inputs(layout: Layout, log_lik: Array, starts: Array) -> tuple[Array, Array, Array]:
    """Relative likelihoods and starts (lanes), best log-likelihoods, all by group."""
    lik, best = map_groups(
        lambda x: _relative_likelihoods(layout, x), in_groups(layout, log_lik, 0.0)
    )
    starts = map_groups(lambda x: to_lanes(layout, x), in_groups(layout, starts, True))
    return lik, starts, best


def _relative_likelihoods(layout: Layout, log_lik: Array) -> tuple[Array, Array]:
    """Likelihoods relative to each bin's best state, in lanes; log-likelihood of the latter."""
    # A loop, here and below, keeps the compiler from fusing arithmetic into a
    # transposition, which on a CPU is several times slower than the two apart.
    parts = log_lik.reshape((_PARTS, -1, log_lik.shape[1]))

    def per_part(ll):
        best = ll.max(-1)
        return jnp.exp(ll - best[:, None]), best

    relative, best = lax.map(per_part, parts)
    return to_lanes(layout, relative.reshape(log_lik.shape)), best.reshape(-1)


# ------------------------------------------------------------------ sum-product passes


def _mix(weights: Array, message: Array) -> Array:
    """``out[j] = sum_k weights[k, j] message[k]`` as one fused loop over the lanes."""
    products = (weights[k][:, None] * message[k][None, :] for k in range(weights.shape[0]))
    return reduce(jnp.add, products)


def _mass(x: Array) -> Array:
    """Sum over the state axis of (..., state, block), fused unlike ``x.sum(-2)``."""
    return reduce(jnp.add, (x[..., k, :] for k in range(x.shape[-2])))


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
    operators, _ = lax.scan(stretch, first, (in_stretches(lik), in_stretches(starts)))
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


def _borders(initial: Array, transition: Array, lik: Array, starts: Array) -> tuple[Array, Array]:
    """Border messages of all blocks, each (group, state, block in group)."""
    blocks = map_groups(lambda x: _transfer_operators(initial, transition, *x), (lik, starts))
    before, after = _border_messages(initial, blocks.reshape((-1, *blocks.shape[2:])))
    shape = blocks.shape[:3]
    return before.reshape(shape).swapaxes(1, 2), after.reshape(shape).swapaxes(1, 2)


def _forward(
    initial: Array, transition: Array, lik: Array, starts: Array, before: Array
) -> tuple[Array, Array]:
    """Give filtered probabilities times a factor, and their sums over states.

    Shapes (bin in block, state, block) and (bin in block, block).
    """

    def bin_step(filtered, inputs):
        lik_t, start = inputs
        filtered = jnp.where(start, initial[:, None], _mix(transition, filtered)) * lik_t
        return filtered, (filtered, _mass(filtered))

    def stretch(filtered, inputs):
        return lax.scan(bin_step, filtered * (1.0 / _mass(filtered)), inputs)

    _, (filtered, mass) = lax.scan(stretch, before, (in_stretches(lik), in_stretches(starts)))
    return filtered.reshape(lik.shape), mass.reshape(starts.shape)


def _log_normalizers(layout: Layout, mass: Array, starts: Array, best: Array) -> Array:
    """``log p(x_t | x_1..x_{t-1})`` from `_forward`'s masses; all in time order."""
    mass, best = ungroup(layout, mass), ungroup(layout, best)
    # Blocks are whole stretches, so stretches begin at every so many bins of the whole.
    restarted = starts | (jnp.arange(layout.n_time) % RESCALE == 0)
    return jnp.log(mass / jnp.where(restarted, 1.0, jnp.roll(mass, 1))) + best


def _rescaling(mass: Array) -> Array:
    """By what each bin's entering message was multiplied after `_forward` stored it."""
    previous = jnp.roll(mass, 1, axis=0).at[0].set(1.0)
    return jnp.where(first_of_stretch(mass.shape[0]), 1.0 / previous, 1.0)


def _backward(transition: Array, lik: Array, starts: Array, after: Array) -> Array:
    """``p(x_{t+1}.. | z_t)`` times a factor, shape (bin in block, state, block)."""
    next_starts = jnp.roll(starts, -1, axis=0)  # the last row is not used
    is_last = jnp.arange(lik.shape[0]) == lik.shape[0] - 1

    def bin_step(message, inputs):
        lik_t, next_start, last = inputs
        beta = jnp.where(next_start, 1.0, _mix(transition.T, message))
        beta = jnp.where(last, after, beta)
        return beta * lik_t, beta

    def stretch(message, inputs):
        return lax.scan(bin_step, message * (1.0 / _mass(message)), inputs, reverse=True)

    inputs = (in_stretches(lik), in_stretches(next_starts), in_stretches(is_last))
    _, beta = lax.scan(stretch, jnp.ones_like(after), inputs, reverse=True)
    return beta.reshape(lik.shape)


def _normalized_product(filtered: Array, beta: Array) -> tuple[Array, Array]:
    """Marginals, and one over the sums that they were divided by; in lanes."""

    def per_bin(factors):
        joint = factors[0] * factors[1]
        per_evidence = 1.0 / _mass(joint)
        return joint * per_evidence, per_evidence

    return lax.map(per_bin, (filtered, beta))


def _pair_sums(forward: tuple[Array, ...], backward: tuple[Array, ...]) -> Array:
    """Sum of entering messages times what they meet, over bins, shape (state, state).

    Messages: before the block, filtered, rescaling; what they meet: the product of
    likelihoods, beta and weight.
    """
    before, filtered, rescaling = forward
    lik, beta, weight = backward

    # In this order no factor leaves the range of numbers.
    met = lik * beta * weight[:, None]

    def pairs(earlier, t):
        return (earlier * rescaling[t])[:, None] * met[t][None]

    def add(t, sums):
        return sums + pairs(filtered[t - 1], t)

    return lax.fori_loop(1, lik.shape[0], add, pairs(before, 0)).sum(-1)
