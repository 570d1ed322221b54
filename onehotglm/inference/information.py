"""Observed information of the marginal likelihood, states summed out, by Louis' identity.

With the complete-data score ``S = sum_t s_t(z_t)`` and complete-data information I of all
coefficients, the information in the spikes alone is ``E[I | x] - Cov[S | x]`` (Louis 1982):
what the states would have told is missing.  The covariance is exact, from one pass forward
in time: under the posterior the chain runs backwards with the kernels
``p(z_{t-1} | z_t, x_1..x_{t-1})``, so the conditional means ``E[S_{1..t} | z_t, x]`` follow
from those of the bin before (forward smoothing, Del Moral, Doucet & Singh 2010), and their
products with the score of the next bin add up to the covariance.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from onehotglm.inference.decode import homogeneous_log_likelihoods
from onehotglm.kernels import hmm_scan
from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params
from onehotglm.model.recording import Chunk, Recording, take_chunk

# Bins that are worked on at once, at most, and their entries (time, state, coefficient).
_PART_BINS, _PART_ENTRIES = 200, 4_000_000


class Information(NamedTuple):
    """Slope and curvature of the log-likelihood in the coefficients of some neurons.

    Attributes
    ----------
    score : array, shape (state, post, column)
        Gradient.
    matrix : array, shape (coefficient, coefficient)
        Minus the matrix of second derivatives; coefficients in the order of `score`,
        flattened.
    """

    score: np.ndarray
    matrix: np.ndarray


class StatePosterior(NamedTuple):
    """What the pass needs of the states.

    Attributes
    ----------
    marginals, filtered : array, shape (time, state)
        Given all bins, and given the bins so far (by the homogeneous chain of
        `onehotglm.kernels.hmm_driven` if there are inputs); marginals are 0 where nothing is
        modelled.
    starts : bool array, shape (time,)
        Where the chain restarts.
    """

    marginals: Float[Array, "time state"]
    filtered: Float[Array, "time state"]
    starts: Bool[Array, " time"]


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def state_posterior(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> StatePosterior:
    """Posterior of the states under the parameters."""
    # With inputs the kernels back in time are those of the homogeneous chain too: what the
    # filter lacks to be causal cancels.
    options = {"size": size, "link": link, "observation": observation}
    log_lik = homogeneous_log_likelihoods(params, recording, **options)
    chain = (params.initial, params.transition, log_lik, recording.chain_starts)
    marginals = hmm_scan.smooth(*chain).marginals
    marginals = jnp.where(recording.modelled[:, None], marginals, 0.0)
    filtered = hmm_scan.filter_states(*chain).probabilities
    return StatePosterior(marginals, filtered, recording.chain_starts)


def observed_information(
    params: Params,
    recording: Recording,
    posterior: StatePosterior,
    neurons: np.ndarray,
    *,
    size: int,
    link: str,
    observation: str = "poisson",
    given_states: bool,
    on_chunk: Callable[[], object] = lambda: None,
) -> Information:
    """Information about the coefficients of some neurons.

    It is conditional on the other neurons' coefficients, on the chain's probabilities and on
    the dispersions.

    Parameters
    ----------
    params : Params
    recording : Recording
    posterior : StatePosterior
        Under `params`.
    neurons : int array, shape (post,)
        Postsynaptic neurons.
    size : int
        Bins per chunk.
    link, observation : str
    given_states : bool
        True takes the posterior of the states as if it had been observed: ``E[I | x]``.
    on_chunk : callable
        Called after every chunk.

    Returns
    -------
    Information
    """
    n_states, _, n_columns = params.coefficients.shape
    coefficients = params.coefficients[:, neurons]
    dispersion = None if params.dispersion is None else params.dispersion[neurons]
    n_post = len(neurons)
    n_all = n_states * n_post * n_columns
    dtype = coefficients.dtype
    carry = _Sums(
        jnp.zeros((n_states, n_post, n_columns), dtype),
        jnp.zeros((n_states, n_post, n_columns, n_columns), dtype),
        jnp.zeros((n_states, n_all // n_states, 0 if given_states else n_all), dtype),
        jnp.zeros((n_states, n_states, n_post, n_columns), dtype),
    )
    part = _part_size(size, n_states * n_all)
    for index in range(recording.n_time // size):
        carry = _add_chunk(
            carry,
            jnp.asarray(index * (size // part), jnp.int32),
            recording,
            posterior,
            params._replace(coefficients=coefficients, dispersion=dispersion),
            jnp.asarray(neurons),
            n_parts=size // part,
            part=part,
            link=link,
            observation=observation,
            given_states=given_states,
        )
        on_chunk()
    matrix = np.zeros((n_states, n_post, n_columns, n_states, n_post, n_columns))
    for state in range(n_states):
        for post in range(n_post):
            matrix[state, post, :, state, post] = carry.complete[state, post]
    flat = matrix.reshape(n_all, n_all)
    if not given_states:
        missing = np.asarray(carry.missing, float).reshape(n_all, n_all)
        flat -= missing + missing.T
    return Information(np.asarray(carry.score, float), flat)


class _Sums(NamedTuple):
    """Sums over bins, and the message from bin to bin.

    `missing` and its transpose add up to the covariance of the score, shape
    (state, post * column, state * post * column).  `message` is
    ``E[S_{1..t} | z_t, x] - E[S_{1..t} | x]``, shape (z_t, state, post, column).
    """

    score: Array
    complete: Array
    missing: Array
    message: Array


def _part_size(size: int, entries_per_bin: int) -> int:
    """Largest divisor of a chunk that keeps a part's arrays small."""
    most = max(min(_PART_BINS, _PART_ENTRIES // entries_per_bin), 1)
    return max(divisor for divisor in range(1, most + 1) if size % divisor == 0)


@partial(
    jax.jit,
    static_argnames=("n_parts", "part", "link", "observation", "given_states"),
    donate_argnames="carry",
)
def _add_chunk(
    carry: _Sums,
    first: Int[Array, ""],
    recording: Recording,
    posterior: StatePosterior,
    params: Params,
    neurons: Array,
    *,
    n_parts: int,
    part: int,
    link: str,
    observation: str,
    given_states: bool,
) -> _Sums:
    # Coefficients and dispersions are those of the neurons, in their order.
    def add(step, carry):
        index = first + step
        chunk = take_chunk(recording, index, part)
        gamma = lax.dynamic_slice_in_dim(posterior.marginals, index * part, part)
        slope, bend = _derivatives(chunk, params, neurons, link, observation)
        weighted = gamma[:, :, None] * slope
        score = carry.score + jnp.einsum("tsn,tp->snp", weighted, chunk.design)
        complete = carry.complete + _weighted_squares(gamma[:, :, None] * bend, chunk.design)
        carry = carry._replace(score=score, complete=complete)
        if given_states:
            return carry
        backward, starts = _kernels(posterior, params.transition, index * part, part)
        scores = slope[..., None] * chunk.design[:, None, None]
        return _add_missing(carry, scores, gamma, backward, starts)

    return lax.fori_loop(0, n_parts, add, carry)


def _derivatives(chunk: Chunk, params: Params, neurons: Array, link: str, observation: str):
    """First and minus second derivative of each observation's log-likelihood in its predictor.

    Shapes (time, state, post); 0 where a count is missing or not modelled.
    """
    predictor = jnp.einsum("tp,snp->tsn", chunk.design, params.coefficients)
    counts, weight = (x[:, neurons][:, None] for x in (chunk.counts, chunk.weight))

    family, function = OBSERVATIONS[observation], ALL_LINKS[link]

    def log_lik(eta):
        return weight * family.log_likelihood(function, counts, eta, params.dispersion)

    def slope(eta):
        return jax.jvp(log_lik, (eta,), (jnp.ones_like(eta),))[1]

    first, second = jax.jvp(slope, (predictor,), (jnp.ones_like(predictor),))
    return first, -second


def _weighted_squares(weight: Array, design: Array) -> Array:
    """``sum_t weight[t] design[t] design[t]'``, shape (state, post, column, column)."""
    flat = jnp.moveaxis(weight.reshape(len(weight), -1), 1, 0)
    squares = lax.map(lambda w: (design * w[:, None]).T @ design, flat)
    return squares.reshape(*weight.shape[1:], *squares.shape[1:])


def _kernels(posterior: StatePosterior, transition: Array, begin: Array, part: int):
    """``p(z_{t-1} | z_t, x)``, shape (time, z_{t-1}, z_t), and where there is no t-1."""
    before = (begin - 1 + jnp.arange(part)) % len(posterior.starts)
    joint = posterior.filtered[before][:, :, None] * transition
    total = joint.sum(1, keepdims=True)
    starts = lax.dynamic_slice_in_dim(posterior.starts, begin, part)
    kernels = jnp.where(total > 0, joint / jnp.where(total > 0, total, 1.0), 0.0)
    return kernels, starts | (begin + jnp.arange(part) == 0)


def _add_missing(
    carry: _Sums, scores: Array, gamma: Array, backward: Array, starts: Array
) -> _Sums:
    """Add what the bins contribute to the covariance of the score.

    ``sum_j gamma_j (s_j U_j' + U_j s_j') + Cov(s)`` with U the message that enters the bin;
    scores are (time, state, post, column) and the score given state j has block j only.
    """
    n_states = gamma.shape[1]
    eye = jnp.eye(n_states, dtype=gamma.dtype)

    def step(message, inputs):
        score, proba, kernel, start = inputs
        entering = jnp.where(start, 0.0, jnp.tensordot(kernel.T, message, 1))
        centred = (eye - proba)[:, :, None, None] * score
        return entering + centred, entering + 0.5 * centred

    message, met = lax.scan(step, carry.message, (scores, gamma, backward, starts))
    left = (gamma[:, :, None, None] * scores).reshape(*gamma.shape, -1)
    added = jnp.einsum("tja,tjb->jab", left, met.reshape(*gamma.shape, -1))
    return carry._replace(missing=carry.missing + added, message=message)
