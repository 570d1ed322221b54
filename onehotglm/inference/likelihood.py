"""Log-likelihood of a recording with the states summed out, and its derivative.

The derivative is the posterior's (Fisher's identity): expected transitions for the
chain, and for the coefficients the regression's gradient weighted by the marginals.
It is taken in the same chunks as the value, so memory does not grow with the recording.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from onehotglm.inference.statistics import linear_predictors, log_likelihoods
from onehotglm.kernels import hmm, hmm_scan
from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording, take_chunk


class Emission(NamedTuple):
    """What the likelihood depends on beside arrays.

    Attributes
    ----------
    size : int
        Bins per chunk.
    link : str
        Key of `ALL_LINKS`.
    observation : str
        Key of `OBSERVATIONS`, without dispersion.
    """

    size: int
    link: str
    observation: str = "poisson"


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def marginal_log_likelihood(
    params: Params, recording: Recording, emission: Emission
) -> Float[Array, ""]:
    """``log p(x)`` less the observations' `log_base` (for counts, ``log x!``), in nats.

    Parameters
    ----------
    params : Params
        Differentiable.
    recording : Recording
    emission : Emission
        Static.

    Returns
    -------
    scalar
    """
    log_lik = _per_bin(params, recording, emission)
    return hmm_scan.log_likelihood(
        params.initial, params.transition, log_lik, recording.chain_starts
    )


def _per_bin(params: Params, recording: Recording, emission: Emission) -> Array:
    n_chunks = jnp.asarray(recording.n_time // emission.size)
    return log_likelihoods(recording, params.coefficients, n_chunks, **emission._asdict())


def _forward(params, recording, emission):
    log_lik = _per_bin(params, recording, emission)
    result = hmm_scan.smooth(params.initial, params.transition, log_lik, recording.chain_starts)
    marginals = jnp.where(recording.modelled[:, None], result.marginals, 0.0)
    starts = hmm.expected_starts(marginals, recording.starts)
    gradient = Params(
        _coefficient_gradient(params.coefficients, recording, marginals, emission),
        _over(result.transition_counts, params.transition),
        _over(starts, params.initial),
    )
    return result.log_likelihood, gradient


def _backward(emission, gradient, cotangent):
    return jax.tree.map(lambda x: x * cotangent, gradient), None


marginal_log_likelihood.defvjp(_forward, _backward)


def _over(counts: Array, probabilities: Array) -> Array:
    return jnp.where(probabilities > 0, counts / probabilities, 0.0)


def _coefficient_gradient(
    coefficients: Array, recording: Recording, marginals: Array, emission: Emission
) -> Float[Array, "state post column"]:
    """``sum_t gamma_t (d log p / d eta) h_t`` for every state and neuron."""
    n_states, n_neurons, n_columns = coefficients.shape
    size, link = emission.size, ALL_LINKS[emission.link]
    weights = OBSERVATIONS[emission.observation].weights

    def add(index, gradient):
        chunk = take_chunk(recording, index, size)
        counts = jnp.tile(chunk.counts, (1, n_states))
        score, _ = weights(link, counts, linear_predictors(chunk, coefficients), None)
        gamma = lax.dynamic_slice_in_dim(marginals, index * size, size)
        weight = jnp.repeat(gamma, n_neurons, axis=1) * jnp.tile(chunk.weight, (1, n_states))
        return gradient + (score * weight).T @ chunk.design

    nothing = jnp.zeros((n_states * n_neurons, n_columns), coefficients.dtype)
    total = lax.fori_loop(0, recording.n_time // size, add, nothing)
    return total.reshape(coefficients.shape)
