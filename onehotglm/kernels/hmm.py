"""Hidden Markov chains: filter, smoother, most likely path, posterior samples.

All functions take the chain as one flat sequence of bins and a flag per bin
that says where a session starts; at a start the state is drawn from the initial
probabilities again.  A missing bin is a bin whose log-likelihood is zero in
every state.  Sums are done in the log domain, one bin after the other: nothing
underflows, whatever the likelihoods and the zeros of the transition matrix.
`onehotglm.kernels.hmm_scan` holds the same functions, parallel over blocks of
time; they fall back to these where a product of probabilities is not safe.

Notation: ``alpha_t(k) = p(z_t = k | x_1..x_t)``, ``A`` the transition matrix,
``l_t(k) = p(x_t | z_t = k, history)`` (Rabiner 1989; Bishop 2006, section 13.2).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class Filtered(NamedTuple):
    """Causal posterior of the states.

    Attributes
    ----------
    log_likelihood : scalar
        ``log p(x)`` in nats, all sessions together.
    log_normalizers : array, shape (time,)
        ``log p(x_t | x_1..x_{t-1})``; their sum over a session is its log-likelihood.
    probabilities : array, shape (time, state)
        ``p(z_t | x_1..x_t)``.
    predicted : array, shape (time, state)
        ``p(z_t | x_1..x_{t-1})``.
    """

    log_likelihood: Float[Array, ""]
    log_normalizers: Float[Array, " time"]
    probabilities: Float[Array, "time state"]
    predicted: Float[Array, "time state"]


class Smoothed(NamedTuple):
    """Posterior of the states given all bins.

    Attributes
    ----------
    log_likelihood : scalar
        ``log p(x)`` in nats, all sessions together.
    log_normalizers : array, shape (time,)
        ``log p(x_t | x_1..x_{t-1})``.
    marginals : array, shape (time, state)
        ``p(z_t | x)``.
    transition_counts : array, shape (state, state)
        Expected number of transitions, summed over bins; none across a session start.
    """

    log_likelihood: Float[Array, ""]
    log_normalizers: Float[Array, " time"]
    marginals: Float[Array, "time state"]
    transition_counts: Float[Array, "state state"]


def expected_starts(
    marginals: Float[Array, "time state"], starts: Bool[Array, " time"]
) -> Float[Array, " state"]:
    """Count the sessions that are expected to start in each state.

    Parameters
    ----------
    marginals : array, shape (time, state)
        From `smooth`.
    starts : bool array, shape (time,)
        True at the first bin of the sessions to count.

    Returns
    -------
    array, shape (state,)
    """
    return jnp.where(starts[:, None], marginals, 0.0).sum(0)


def _forward(
    log_initial: Float[Array, " state"],
    log_transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> tuple[Array, Array, Array]:
    """Log filtered and predicted probabilities, and the log normalizers."""

    def step(log_alpha, inputs):
        ll, start = inputs
        predicted = logsumexp(log_alpha[:, None] + log_transition, axis=0)
        predicted = jnp.where(start, log_initial, predicted)
        joint = predicted + ll
        normalizer = logsumexp(joint)
        log_alpha = joint - normalizer
        return log_alpha, (log_alpha, predicted, normalizer)

    starts = starts.at[0].set(True)
    return lax.scan(step, log_initial, (log_lik, starts))[1]


def filter_states(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Filtered:
    """Causal posterior of the states, bin after bin.

    Parameters
    ----------
    initial : array, shape (state,)
        Probabilities of the first state of a session.
    transition : array, shape (state, state)
        Row-stochastic; row: state now, column: next state.
    log_lik : array, shape (time, state)
        ``log p(x_t | z_t, history)`` in nats.
    starts : bool array, shape (time,)
        True at the first bin of every session (bin 0 always counts as one).

    Returns
    -------
    Filtered
    """
    log_alpha, predicted, normalizers = _forward(
        jnp.log(initial), jnp.log(transition), log_lik, starts
    )
    return Filtered(normalizers.sum(), normalizers, jnp.exp(log_alpha), jnp.exp(predicted))


def smooth(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Smoothed:
    """Posterior marginals and expected transitions, bin after bin.

    Parameters are those of `filter_states`.

    Returns
    -------
    Smoothed
    """
    log_transition = jnp.log(transition)
    log_alpha, _, normalizers = _forward(jnp.log(initial), log_transition, log_lik, starts)
    starts = starts.at[0].set(True)

    # Beta is scaled so that alpha times beta sums to one at every bin: the sums that
    # it carries stay small, and marginals and pairs sum to one whatever was rounded.
    def step(carry, inputs):
        log_beta, counts = carry
        before, ll, start, here = inputs
        onward = log_transition + (ll + log_beta)[None, :]
        earlier = logsumexp(onward, axis=1)
        scale = logsumexp(before + earlier)
        counts = counts + jnp.where(start, 0.0, jnp.exp(before[:, None] + onward - scale))
        marginal = jnp.exp(here + log_beta)
        return (jnp.where(start, 0.0, earlier - scale), counts), marginal

    before = jnp.roll(log_alpha, 1, axis=0)
    (_, counts), marginals = lax.scan(
        step,
        (jnp.zeros_like(log_lik[0]), jnp.zeros_like(transition)),
        (before, log_lik, starts, log_alpha),
        reverse=True,
    )
    return Smoothed(normalizers.sum(), normalizers, marginals, counts)


def most_likely_path(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """Most likely state sequence given all bins (Viterbi 1967).

    Parameters are those of `filter_states`.

    Returns
    -------
    int array, shape (time,)
    """
    log_initial, log_transition = jnp.log(initial), jnp.log(transition)
    starts = starts.at[0].set(True)

    def step(score, inputs):
        ll, start = inputs
        arrival = jnp.where(start, log_initial, (score[:, None] + log_transition).max(0))
        # A session's score is its own: only differences between states matter.
        score = arrival + ll
        score = score - score.max()
        return score, score

    scores = lax.scan(step, jnp.zeros_like(log_initial), (log_lik, starts))[1]
    return _trace_back(scores, log_transition, starts)


def sample_path(
    key: PRNGKeyArray,
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """One state sequence drawn from the posterior.

    Forward filtering, backward sampling (Frühwirth-Schnatter 1994):
    ``p(z_t | z_{t+1}, x) ∝ alpha_t(z_t) A[z_t, z_{t+1}]``, drawn with Gumbel noise.

    Parameters
    ----------
    key : PRNG key
    initial, transition, log_lik, starts
        As in `filter_states`.

    Returns
    -------
    int array, shape (time,)
    """
    log_transition = jnp.log(transition)
    log_alpha, _, _ = _forward(jnp.log(initial), log_transition, log_lik, starts)
    noise = jax.random.gumbel(key, log_alpha.shape, log_alpha.dtype)
    return _trace_back(log_alpha + noise, log_transition, starts)


def _trace_back(
    scores: Float[Array, "time state"],
    log_transition: Float[Array, "state state"],
    starts: Bool[Array, " time"],
) -> Int[Array, " time"]:
    """From the last bin back: ``z_t = argmax_i scores_t(i) + log A[i, z_{t+1}]``."""

    def step(later, inputs):
        score, next_starts = inputs
        bonus = jnp.where(next_starts, 0.0, log_transition[:, later])
        state = jnp.argmax(score + bonus)
        return state, state

    next_starts = jnp.roll(starts, -1).at[-1].set(True)
    return lax.scan(
        step, jnp.asarray(0, jnp.argmax(scores[0]).dtype), (scores, next_starts), reverse=True
    )[1]
