"""Passes over the recording in chunks: log-likelihoods, gradients, Fisher information.

Only a chunk's arrays exist at a time, so memory does not grow with the recording.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.recording import Chunk, Recording, take_chunk

# Entries (time, state, neuron) that a chunk may have: about what the cache holds.
_CHUNK_ENTRIES = 200_000
_CHUNK_BINS = (200, 2000)


def chunk_size(n_states: int, n_neurons: int) -> int:
    """Bins per chunk, a multiple of 200.

    Examples
    --------
    >>> chunk_size(5, 20), chunk_size(5, 200)
    (2000, 200)
    """
    low, high = _CHUNK_BINS
    bins = _CHUNK_ENTRIES // (n_states * n_neurons)
    return int(min(max(bins // low * low, low), high))


class Curvature(NamedTuple):
    """Gradient and Fisher information of the expected log-likelihood.

    Attributes
    ----------
    gradient : array, shape (state, post, column)
    information : array, shape (state, post, column, column)
    dispersion_sums : array, shape (2, post), or None
        What the update of the dispersions needs, where the observations have any.
    """

    gradient: Float[Array, "state post column"]
    information: Float[Array, "state post column column"]
    dispersion_sums: Float[Array, "2 post"] | None = None


def linear_predictors(chunk: Chunk, coefficients: Array) -> Array:
    """Linear predictors, shape (time, state * post): flat, which the compiler likes best."""
    return chunk.design @ coefficients.reshape(-1, coefficients.shape[-1]).T


def _sums_over_neurons(n_states: int, n_neurons: int, dtype: jnp.dtype) -> Array:
    """Matrix (state * post, state) that sums flat columns over a state's neurons."""
    return jnp.repeat(jnp.eye(n_states, dtype=dtype), n_neurons, axis=0)


def log_likelihoods(
    recording: Recording,
    coefficients: Float[Array, "state post column"],
    n_chunks: Int[Array, ""],
    *,
    size: int,
    link: str,
    observation: str = "poisson",
    dispersion: Float[Array, " post"] | None = None,
) -> Float[Array, "time state"]:
    """``log p(x_t | z_t = s, history)`` less its `log_base`; 0 where nothing is modelled.

    Parameters
    ----------
    recording : Recording
    coefficients : array, shape (state, post, column)
    n_chunks : int scalar
        Chunks to work through; later bins get 0.
    size : int
        Bins per chunk; static.
    link : str
        Key of `ALL_LINKS`; static.
    observation : str
        Key of `OBSERVATIONS`; static.
    dispersion : array, shape (post,), or None
        For the observations that have one.

    Returns
    -------
    array, shape (time, state)
    """
    n_states, n_neurons, _ = coefficients.shape
    sums = _sums_over_neurons(n_states, n_neurons, coefficients.dtype)
    family, function = OBSERVATIONS[observation], ALL_LINKS[link]
    per_column = None if dispersion is None else jnp.tile(dispersion, n_states)

    def add(index, out):
        chunk = take_chunk(recording, index, size)
        eta = linear_predictors(chunk, coefficients)
        counts = jnp.tile(chunk.counts, (1, n_states))
        log_lik = family.log_likelihood(function, counts, eta, per_column)
        total = (log_lik * jnp.tile(chunk.weight, (1, n_states))) @ sums
        return lax.dynamic_update_slice_in_dim(out, total, index * size, 0)

    empty = jnp.zeros((recording.n_time, n_states), coefficients.dtype)
    return lax.fori_loop(0, n_chunks, add, empty)


def curvature(
    recording: Recording,
    coefficients: Float[Array, "state post column"],
    marginals: Float[Array, "time state"],
    n_chunks: Int[Array, ""],
    *,
    size: int,
    link: str,
    exact: bool,
    observation: str = "poisson",
    dispersion: Float[Array, " post"] | None = None,
) -> Curvature:
    """Gradient and Fisher information of the log-likelihood expected under the states.

    With ``f = g(eta)``, slope ``f' = dg/deta`` and variance V (Poisson: f), gradient weights
    are ``gamma (x - f) f' / V`` and information weights ``gamma f'^2 / V``.

    Parameters
    ----------
    recording, coefficients, n_chunks, size, link, observation, dispersion
        As in `log_likelihoods`.
    marginals : array, shape (time, state)
        Posterior of the states, gamma.
    exact : bool
        False replaces ``f'^2 / V`` by its mean over a state's bins in the
        information of each neuron: as many times cheaper as there are neurons.  The
        gradient stays exact.

    Returns
    -------
    Curvature
    """
    n_states, n_neurons, n_columns = coefficients.shape
    # Products of all pairs of columns; selecting by multiplication beats a gather.
    rows, columns = jnp.triu_indices(n_columns)
    pick_row, pick_column = (
        jnp.eye(n_columns, dtype=coefficients.dtype)[:, i] for i in (rows, columns)
    )
    spread = _sums_over_neurons(n_states, n_neurons, coefficients.dtype).T
    family, function = OBSERVATIONS[observation], ALL_LINKS[link]
    per_column = None if dispersion is None else jnp.tile(dispersion, n_states)

    def add(index, sums):
        gradient, pairs, totals, dispersions = sums
        chunk = take_chunk(recording, index, size)
        gamma = lax.dynamic_slice_in_dim(marginals, index * size, size)
        weight = (gamma @ spread) * jnp.tile(chunk.weight, (1, n_states))
        eta = linear_predictors(chunk, coefficients)
        counts = jnp.tile(chunk.counts, (1, n_states))
        score, fisher = family.weights(function, counts, eta, per_column)
        fisher = weight * fisher
        gradient = gradient + (weight * score).T @ chunk.design
        if family.dispersion is not None:
            parts = family.dispersion.statistics(function, counts, eta, per_column)
            dispersions = dispersions + jnp.stack([(weight * part).sum(0) for part in parts])
        if exact:
            pairs = pairs + fisher.T @ ((chunk.design @ pick_row) * (chunk.design @ pick_column))
        else:  # one matrix per state: cheaper without forming the products
            per_state = gamma * chunk.weight.mean(1, keepdims=True)
            weighted = (per_state[:, :, None] * chunk.design[:, None]).reshape(size, -1)
            pairs = pairs + weighted.T @ chunk.design
            # Weights of `pairs`: a neuron that was missing more than others has less.
            totals = totals + jnp.stack([fisher.sum(0), (per_state @ spread).sum(0)])
        return gradient, pairs, totals, dispersions

    dtype = coefficients.dtype
    zeros = (
        jnp.zeros((n_states * n_neurons, n_columns), dtype),
        jnp.zeros(
            (n_states * n_neurons, len(rows)) if exact else (n_states * n_columns, n_columns), dtype
        ),
        jnp.zeros((2, n_states * n_neurons), dtype),
        None if dispersion is None else jnp.zeros((2, n_states * n_neurons), dtype),
    )
    gradient, pairs, totals, dispersions = lax.fori_loop(0, n_chunks, add, zeros)
    if dispersions is not None:
        dispersions = dispersions.reshape(2, n_states, n_neurons).sum(1)
    information = _matrices(pairs, totals, coefficients.shape, exact)
    return Curvature(gradient.reshape(coefficients.shape), information, dispersions)


def _matrices(pairs: Array, totals: Array, shape: tuple[int, ...], exact: bool) -> Array:
    """Information (state, post, column, column) from what `curvature` sums over bins."""
    n_states, n_neurons, n_columns = shape
    if not exact:
        mean_weight = (totals[0] / jnp.maximum(totals[1], 1e-6)).reshape(n_states, n_neurons)
        return mean_weight[..., None, None] * pairs.reshape(n_states, 1, n_columns, n_columns)
    rows, columns = jnp.triu_indices(n_columns)
    full = jnp.zeros((n_states * n_neurons, n_columns, n_columns), pairs.dtype)
    full = full.at[:, rows, columns].set(pairs).at[:, columns, rows].set(pairs)
    return full.reshape(n_states, n_neurons, n_columns, n_columns)
