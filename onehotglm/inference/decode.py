"""States and rates under fixed parameters."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from onehotglm.inference import driven
from onehotglm.inference.statistics import linear_predictors, log_likelihoods
from onehotglm.kernels import hmm_driven, hmm_scan
from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.hmm import Filtered, Smoothed
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording, take_chunk


def _of_observations(
    params: Params, recording: Recording, size: int, link: str, observation: str
) -> Array:
    """Log-likelihoods of the bins, (time, state)."""
    return log_likelihoods(
        recording,
        params.coefficients,
        jnp.asarray(recording.n_time // size),
        size=size,
        link=link,
        observation=observation,
        dispersion=params.dispersion,
    )


def homogeneous_log_likelihoods(params: Params, recording: Recording, **options: Any) -> Array:
    """Log-likelihoods that the kernels of homogeneous chains take, (time, state).

    Options as in `smoothed`; inputs that drive transitions are in them.
    """
    log_lik = _of_observations(params, recording, **options)
    return driven.as_homogeneous(params, recording, log_lik, recording.chain_starts)


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def smoothed(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> Smoothed:
    """Posterior of the states given all bins.

    Parameters
    ----------
    params : Params
    recording : Recording
    size : int
        Bins per chunk; static.
    link, observation : str
        Static.

    Returns
    -------
    Smoothed
        Log normalizers are without the observations' `log_base` (for counts, ``log x!``).
    """
    options = {"size": size, "link": link, "observation": observation}
    log_lik = homogeneous_log_likelihoods(params, recording, **options)
    return hmm_scan.smooth(params.initial, params.transition, log_lik, recording.chain_starts)


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def filtered(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> Filtered:
    """Posterior of the states given the bins so far; parameters as in `smoothed`."""
    log_lik = _of_observations(params, recording, size=size, link=link, observation=observation)
    starts = recording.chain_starts
    given = driven.as_homogeneous(params, recording, log_lik, starts)
    found = hmm_scan.filter_states(params.initial, params.transition, given, starts)
    if params.transition_weights is None:
        return found
    drive = driven.drive(params, recording)
    return hmm_driven.causal(found, params.transition, drive, log_lik, starts)


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def most_likely_path(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> Int[Array, " time"]:
    """Most likely state sequence; parameters as in `smoothed`."""
    options = {"size": size, "link": link, "observation": observation}
    log_lik = homogeneous_log_likelihoods(params, recording, **options)
    starts = recording.chain_starts
    return hmm_scan.most_likely_path(params.initial, params.transition, log_lik, starts)


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def path_log_proba(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> Float[Array, " time"]:
    """Log-probability of the most likely path given all counts, bin by bin.

    ``log p(x_t, z_t | z_{t-1}) - log p(x_t | x_1..x_{t-1})``: only sums over whole sessions
    mean something.  Parameters as in `smoothed`.
    """
    options = {"size": size, "link": link, "observation": observation}
    log_lik = homogeneous_log_likelihoods(params, recording, **options)
    starts = recording.chain_starts
    chain = params.initial, params.transition
    path = hmm_scan.most_likely_path(*chain, log_lik, starts)
    normalizers = hmm_scan.filter_states(*chain, log_lik, starts).log_normalizers
    arrival = jnp.where(starts, params.initial[path], params.transition[jnp.roll(path, 1), path])
    joint = jnp.log(arrival) + jnp.take_along_axis(log_lik, path[:, None], axis=1)[:, 0]
    return jnp.where(recording.modelled, joint - normalizers, 0.0)


@partial(jax.jit, static_argnames=("size", "link", "observation"))
def predicted_rates(
    params: Params, recording: Recording, *, size: int, link: str, observation: str = "poisson"
) -> Float[Array, "time neuron"]:
    """One-step-ahead means per bin (of counts: rates); parameters as in `smoothed`.

    ``E[x_t | x_1..x_{t-1}] = sum_s p(z_t = s | x_1..x_{t-1}) g(eta_{t,s})``
    """
    options = {"size": size, "link": link, "observation": observation}
    predicted = filtered(params, recording, **options).predicted
    n_states, n_neurons, _ = params.coefficients.shape

    def add(index, out):
        chunk = take_chunk(recording, index, size)
        rates = ALL_LINKS[link].rate(linear_predictors(chunk, params.coefficients))
        weights = lax.dynamic_slice_in_dim(predicted, index * size, size)
        mixed = jnp.einsum("tsn,ts->tn", rates.reshape(size, n_states, n_neurons), weights)
        return lax.dynamic_update_slice_in_dim(out, mixed, index * size, 0)

    empty = jnp.zeros((recording.n_time, n_neurons), params.coefficients.dtype)
    return lax.fori_loop(0, recording.n_time // size, add, empty)
