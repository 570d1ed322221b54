"""The generative model sampled by NUTS: the oracle of variational inference.

Exact up to Monte-Carlo error, for small problems only.  Types of connections take turns
with all else: Metropolised Gibbs updates of every type, then a step of NUTS given them.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpyro.handlers import reparam
from numpyro.infer import MCMC, NUTS, DiscreteHMCGibbs, init_to_value
from scipy.special import ndtr, ndtri

from onehotglm.inference.likelihood import Emission, marginal_log_likelihood
from onehotglm.model.generative import Constants, Shape, Typed, layout_of, switching_glm
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording

# Hyperparameters that chains start from.
_SHARE, _SLAB_MEAN, _SLAB_SD = np.array([0.2, 0.6, 0.2]), 0.5, 0.5


def sample_posterior(
    key: PRNGKeyArray,
    recording: Recording,
    constants: Constants,
    shape: Shape,
    start: Params,
    *,
    emission: Emission,
    n_warmup: int = 500,
    n_draws: int = 1000,
    n_chains: int = 2,
) -> dict[str, Array]:
    """Draws from the posterior.

    Parameters
    ----------
    key : PRNG key
    recording : Recording
    constants : Constants
    shape : Shape
    start : Params
        Where chains start, best a fit by EM: it names the states, which a chain is not
        expected to exchange.
    emission : Emission
    n_warmup, n_draws, n_chains : int
        Chains run one after the other.

    Returns
    -------
    dict of str to array, shape (chain, draw, ...)
        The model's sites, among them ``coefficients`` (chain, draw, state, post, column).
    """

    def model():
        switching_glm(
            lambda params: marginal_log_likelihood(params, recording, emission),
            constants,
            shape,
        )

    types = 1 + jnp.sign(start.coefficients[..., 1:]).astype(int)
    kernel = NUTS(
        reparam(model, config={"coefficients": Typed(types)}),
        init_strategy=init_to_value(values=_start_values(start, constants, shape)),
        target_accept_prob=0.9,
    )
    if shape.prior == "one-hot":
        kernel = DiscreteHMCGibbs(kernel, modified=True)
    sampler = MCMC(
        kernel,
        num_warmup=n_warmup,
        num_samples=n_draws,
        num_chains=n_chains,
        chain_method="sequential",
        progress_bar=False,
    )
    sampler.run(key)
    draws = sampler.get_samples(group_by_chain=True)
    return draws | {"coefficients": layout_of(constants, shape).tie(draws["coefficients"])}


def _start_values(start: Params, constants: Constants, shape: Shape) -> dict[str, Array]:
    """Values of the model's sites at given parameters."""
    coefficients = np.asarray(start.coefficients, float)
    values = {"transition": _inside(start.transition), "initial": _inside(start.initial)}
    if shape.prior == "none":
        values["coefficients"] = coefficients
    elif shape.prior == "gaussian":
        values["coefficients"] = coefficients
        values["variance"] = np.full(constants.free.shape, 0.05)
        values["mean_sd"] = np.full(shape.n_basis, 0.5)
    else:
        sd = np.asarray(layout_of(constants, shape).bias_sd(shape.n_states))
        bias = (coefficients[..., 0] - np.asarray(constants.bias_mean)) / sd
        noise = np.concatenate([bias[..., None], _scores(coefficients[..., 1:])], axis=-1)
        values |= {
            "coefficients_noise": noise,
            "type_share": _SHARE,
            "slab_mean": np.full(2, _SLAB_MEAN),
            "slab_sd": np.full(2, _SLAB_SD),
        }
    dtype = constants.bias_mean.dtype
    return {name: jnp.asarray(value, dtype) for name, value in values.items()}


def _scores(weights: np.ndarray) -> np.ndarray:
    """Find the standard normal scores at which the slabs have these weights."""
    ratio = _SLAB_MEAN / _SLAB_SD
    beyond = ndtr(ratio - np.abs(weights) / _SLAB_SD) / ndtr(ratio)
    return -np.sign(weights) * ndtri(np.where(weights == 0, 0.5, beyond))


def _inside(probabilities: Array) -> np.ndarray:
    """Probabilities with none on the border."""
    raised = np.asarray(probabilities, float) + 1e-3
    return raised / raised.sum(-1, keepdims=True)
