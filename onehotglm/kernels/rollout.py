"""Closed-loop sampling: hidden states, then counts that feed back into the rates.

Every bin's counts enter the history of the bins after it, so time cannot be
vectorised; sessions are.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.kernels.emissions import ALL_LINKS

# `jax.random.poisson` returns 32-bit integers: beyond this a draw could overflow.
MAX_COUNTS_PER_BIN = 1e8


class Rollout(NamedTuple):
    """One closed-loop sample.

    `rates` are in counts per bin, given the state and the counts before the bin.
    """

    counts: Float[Array, "session time neuron"]
    states: Int[Array, "session time"]
    rates: Float[Array, "session time neuron"]


def _threefry_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """Key of the one generator that `jax.random.poisson` accepts, from any key."""
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")


def _draw(cumulative: Float[Array, " state"], uniform: Float[Array, ""]) -> Int[Array, ""]:
    # The last edge is left out: whatever rounding did to it, no index leaves the range.
    return jnp.sum(uniform >= cumulative[:-1], dtype=jnp.int32)


def sample_states(
    key: PRNGKeyArray,
    transition_matrix: Float[Array, "state state"],
    initial_proba: Float[Array, " state"],
    n_time_bins: int,
) -> Int[Array, " time"]:
    """Path of a Markov chain, its first state drawn from `initial_proba`.

    Parameters
    ----------
    key : PRNG key
    transition_matrix : array, shape (state, next_state)
        Rows sum to one.
    initial_proba : array, shape (state,)
    n_time_bins : int

    Returns
    -------
    int32 array, shape (time,)
    """
    uniforms = jax.random.uniform(key, (n_time_bins,), transition_matrix.dtype)
    # Dividing by the sum keeps a state of probability zero out of reach of rounding.
    edges = jnp.cumsum(transition_matrix, axis=1)
    edges = edges / edges[:, -1:]
    start = jnp.cumsum(initial_proba)
    first = _draw(start / start[-1], uniforms[0])

    def step(state, uniform):
        state = _draw(edges[state], uniform)
        return state, state

    _, rest = lax.scan(step, first, uniforms[1:])
    return jnp.concatenate([first[None], rest])


def sample_driven_states(
    key: PRNGKeyArray,
    transition_matrix: Float[Array, "state state"],
    drive: Float[Array, "session time state"],
    initial_proba: Float[Array, " state"],
) -> Int[Array, "session time"]:
    """Paths of a chain that inputs drive, see `onehotglm.kernels.hmm_driven`.

    Parameters
    ----------
    key : PRNG key
    transition_matrix : array, shape (state, next_state)
        Where the drive is zero.
    drive : array, shape (session, time, state)
        That of a first bin has no effect.
    initial_proba : array, shape (state,)

    Returns
    -------
    int32 array, shape (session, time)
    """
    gumbel = jax.random.gumbel(key, drive.shape, drive.dtype)
    log_transition = jnp.log(transition_matrix)

    def step(state, inputs):
        drive, noise = inputs
        state = jnp.argmax(log_transition[state] + drive + noise, axis=-1)
        return state, state

    first = jnp.argmax(jnp.log(initial_proba) + gumbel[:, 0], axis=-1)
    by_time = (jnp.moveaxis(x[:, 1:], 1, 0) for x in (drive, gumbel))
    _, rest = lax.scan(step, first, tuple(by_time))
    return jnp.concatenate([first[None], rest]).T.astype(jnp.int32)


def _sample_poisson(key, rate, _):
    # A rate that is out of range gives NaN and not a wrong count; NaN then spreads
    # through the history, so that the caller cannot miss an explosion.
    in_range = rate <= MAX_COUNTS_PER_BIN
    counts = jax.random.poisson(key, jnp.where(in_range, rate, 0.0)).astype(rate.dtype)
    return jnp.where(in_range, counts, jnp.nan)


def _sample_negative_binomial(key, rate, dispersion):
    """Poisson counts whose rates scatter by a gamma distribution."""
    for_rate, for_counts = jax.random.split(key)
    scatter = jax.random.gamma(for_rate, 1.0 / dispersion, rate.shape, rate.dtype) * dispersion
    return _sample_poisson(for_counts, rate * scatter, None)


def _sample_bernoulli(key, rate, _):
    return (jax.random.uniform(key, rate.shape, rate.dtype) < rate).astype(rate.dtype)


def _sample_gaussian(key, mean, variance):
    return mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape, mean.dtype)


_SAMPLERS = {
    "poisson": _sample_poisson,
    "bernoulli": _sample_bernoulli,
    "negative_binomial": _sample_negative_binomial,
    "gaussian": _sample_gaussian,
}


def _sample_session(key, states, lead_in, covariates, parameters, link, draw):
    """Sample data and means of one session; `lead_in` is (lag, neuron), newest first."""
    bias, weights, basis, covariate_weights = parameters

    def step(past, inputs):
        state, step_key, beside = inputs
        history = basis @ past
        eta = bias[state] + jnp.einsum("nmk,km->n", weights[state], history)
        if beside is not None:
            eta = eta + covariate_weights[state] @ beside
        rate = link.rate(eta)
        counts = draw(step_key, rate)
        past = jnp.concatenate([counts[None], past[:-1]])
        return past, (counts, rate)

    keys = jax.random.split(key, states.shape[0])
    return lax.scan(step, lead_in, (states, keys, covariates))[1]


def _newest_first(lead_in, n_lags):
    """Take the last `n_lags` bins, newest first; zeros where there are fewer."""
    missing = max(0, n_lags - lead_in.shape[1])
    padded = jnp.pad(lead_in, ((0, 0), (missing, 0), (0, 0)))
    return padded[:, padded.shape[1] - n_lags :][:, ::-1]


@partial(jax.jit, static_argnames=("link", "observation", "n_sessions", "n_time_bins"))
def rollout(
    key: PRNGKeyArray,
    bias: Float[Array, "state neuron"],
    weights: Float[Array, "state post pre basis"],
    basis: Float[Array, "basis lag"],
    transition_matrix: Float[Array, "state state"],
    initial_proba: Float[Array, "*session state"],
    *,
    link: str,
    n_sessions: int,
    n_time_bins: int,
    observation: str = "poisson",
    dispersion: Float[Array, " neuron"] | None = None,
    states: Int[Array, "session time"] | None = None,
    lead_in: Float[Array, "session lead neuron"] | None = None,
    covariates: Float[Array, "session time covariate"] | None = None,
    covariate_weights: Float[Array, "state neuron covariate"] | None = None,
) -> Rollout:
    """Sample sessions in closed loop.

    ``x[t,n] ~ Poisson(g(b[z_t,n] + sum_{m,k} W[z_t,n,m,k] sum_l phi_k[l] x[t-l,m]))``
    with z a Markov chain that restarts at every session; or another distribution of that mean.

    Parameters
    ----------
    key : PRNG key
        Typed or legacy, of any generator.
    bias : array, shape (state, neuron)
    weights : array, shape (state, post, pre, basis)
    basis : array, shape (basis, lag)
        Column l-1 multiplies the count l bins ago.
    transition_matrix : array, shape (state, next_state)
    initial_proba : array, shape (state,) or (session, state)
        Distribution of the first state; one per session to go on from what is
        known of each (for a forecast: filtered posterior times transitions).
    link : str
        Key of `onehotglm.kernels.emissions.ALL_LINKS`.
    n_sessions, n_time_bins : int
    observation : str
        Key of `onehotglm.kernels.observations.OBSERVATIONS`.
    dispersion : array, shape (neuron,), optional
        For the observations that have one.
    states : int array, shape (session, time), optional
        Given states, in place of sampled ones.
    lead_in : array, shape (session, lead, neuron), optional
        Counts before the first bin, oldest first; more than the basis reaches
        back are ignored, fewer are preceded by zeros.  Default: silence.
    covariates : array, shape (session, time, covariate), optional
        They add ``covariate_weights[state, neuron] @ covariates`` to the predictor.
    covariate_weights : array, shape (state, neuron, covariate), optional

    Returns
    -------
    Rollout
        Where a rate exceeds `MAX_COUNTS_PER_BIN` the counts are NaN from there on.

    Examples
    --------
    Two neurons, one state, a pair of sessions; the second neuron is driven by the first.

    >>> out = rollout(
    ...     jax.random.key(0), bias=jnp.full((1, 2), -1.0),
    ...     weights=jnp.array([[[[0.0], [0.0]], [[2.0], [0.0]]]]), basis=jnp.ones((1, 1)),
    ...     transition_matrix=jnp.ones((1, 1)), initial_proba=jnp.ones(1),
    ...     link="softplus", n_sessions=2, n_time_bins=100,
    ... )
    >>> out.counts.shape, out.states.shape, out.rates.shape
    ((2, 100, 2), (2, 100), (2, 100, 2))
    """
    n_states, n_neurons = bias.shape
    state_key, count_key = jax.random.split(_threefry_key(key))
    if states is None:
        initial = jnp.broadcast_to(initial_proba, (n_sessions, n_states))
        states = jax.vmap(sample_states, in_axes=(0, None, 0, None))(
            jax.random.split(state_key, n_sessions), transition_matrix, initial, n_time_bins
        )
    if lead_in is None:
        lead_in = jnp.zeros((n_sessions, 0, n_neurons), bias.dtype)
    past = _newest_first(lead_in.astype(bias.dtype), basis.shape[1])

    def draw(key, mean):
        return _SAMPLERS[observation](key, mean, dispersion)

    parameters = (bias, weights, basis, covariate_weights)
    sample = jax.vmap(_sample_session, in_axes=(0, 0, 0, 0, None, None, None))
    keys = jax.random.split(count_key, n_sessions)
    counts, rates = sample(keys, states, past, covariates, parameters, ALL_LINKS[link], draw)
    return Rollout(counts, states, rates)
