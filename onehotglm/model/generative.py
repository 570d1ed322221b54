"""The generative model, written once in numpyro, the states summed out.

The likelihood comes as a function, so that the same model serves minibatches,
full recordings and draws from the prior.  Priors are those of EM.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.infer.reparam import Reparam

from onehotglm.model import priors
from onehotglm.model.couplings import (
    Couplings,
    GaussianCouplings,
    Layout,
    OneHotCouplings,
    RidgeCouplings,
)
from onehotglm.model.params import Params
from onehotglm.model.transitions import TransitionPrior


class Shape(NamedTuple):
    """What a compiled model depends on.

    Attributes
    ----------
    n_states : int
    n_basis : int
    prior : str
        "none", "gaussian" or "one-hot".
    shared_bias : bool
    """

    n_states: int
    n_basis: int
    prior: str
    shared_bias: bool


class Constants(NamedTuple):
    """Numbers of the model that are not learned.

    Attributes
    ----------
    bias_mean : array, shape (post,)
    bias_precision : scalar
    ridge : scalar
        Precision of the weights without a learned prior.
    free : bool array, shape (post, weight)
        False where a coupling is excluded.
    transition_prior : TransitionPrior
    roughness : array, shape (post or 1, column, column), or None
        Precision of a further factor over each state's coefficients, around zero.
    """

    bias_mean: Array
    bias_precision: float | Array
    ridge: float | Array
    free: Array
    transition_prior: TransitionPrior
    roughness: Array | None = None


def switching_glm(
    likelihood: Callable[[Params], Array], constants: Constants, shape: Shape
) -> Params:
    """Switching GLM as a numpyro program.

    Parameters
    ----------
    likelihood : callable
        ``log p(spikes | parameters)`` with the states summed out, in nats.
    constants : Constants
    shape : Shape

    Returns
    -------
    Params
    """
    concentration, stickiness, _ = constants.transition_prior
    ones = jnp.ones(shape.n_states, constants.bias_mean.dtype)
    rows = concentration * ones + stickiness * jnp.eye(shape.n_states, dtype=ones.dtype)
    transition = numpyro.sample("transition", dist.Dirichlet(rows).to_event(1))
    initial = numpyro.sample("initial", dist.Dirichlet(concentration * ones))
    couplings = _PRIORS[shape.prior](constants, shape)
    coefficients = numpyro.sample("coefficients", couplings)
    params = Params(couplings.layout.tie(coefficients), transition, initial)
    if constants.roughness is not None:
        rough = params.coefficients[..., None, :] @ constants.roughness
        numpyro.factor("smoothness", -0.5 * (rough[..., 0, :] * params.coefficients).sum())
    numpyro.factor("log_likelihood", likelihood(params))
    return params


def prior_over_couplings(hyper: dict[str, Array], constants: Constants, shape: Shape) -> Couplings:
    """Prior with given hyperparameters, named as the model's sites."""
    layout = layout_of(constants, shape)
    if shape.prior == "none":
        return RidgeCouplings(layout, shape.n_states, constants.ridge)
    if shape.prior == "gaussian":
        mean_sd = jnp.tile(hyper["mean_sd"], constants.free.shape[1] // shape.n_basis)
        return GaussianCouplings(layout, shape.n_states, hyper["variance"], mean_sd)
    slabs = hyper["slab_mean"], hyper["slab_sd"]
    return OneHotCouplings(layout, shape.n_states, hyper["type_share"], *slabs)


def layout_of(constants: Constants, shape: Shape) -> Layout:
    """Collect what every prior over couplings knows."""
    return Layout(constants.bias_mean, constants.bias_precision, constants.free, shape.shared_bias)


def _ridge(constants: Constants, shape: Shape) -> Couplings:
    return prior_over_couplings({}, constants, shape)


def _gaussian(constants: Constants, shape: Shape) -> Couplings:
    spread = dist.LogNormal(*priors.MEAN_LOG_SD).expand([shape.n_basis]).to_event(1)
    # Its mode in the logarithm is EM's update of the spread.
    half = 0.5 * priors.PSEUDO_STATES
    variance = dist.InverseGamma(half, half * priors.PSEUDO_SD**2)
    variance = variance.expand(constants.free.shape).to_event(2)
    hyper = {
        "mean_sd": numpyro.sample("mean_sd", spread),
        "variance": numpyro.sample("variance", variance),
    }
    return prior_over_couplings(hyper, constants, shape)


def _one_hot(constants: Constants, shape: Shape) -> Couplings:
    slab_mean = dist.Normal(0.0, priors.SLAB_MEAN_SD).expand([2]).to_event(1)
    slab_sd = dist.LogNormal(*priors.SLAB_LOG_SD).expand([2]).to_event(1)
    share = jnp.asarray(priors.TYPE_SHARE, constants.bias_mean.dtype)
    hyper = {
        "type_share": numpyro.sample("type_share", dist.Dirichlet(share)),
        "slab_mean": numpyro.sample("slab_mean", slab_mean),
        "slab_sd": numpyro.sample("slab_sd", slab_sd),
    }
    return prior_over_couplings(hyper, constants, shape)


_PRIORS = {"none": _ridge, "gaussian": _gaussian, "one-hot": _one_hot}


class Typed(Reparam):
    """One-hot couplings as discrete types, and strengths that are functions of normals.

    For samplers that take types and all else in turn.  The shared type probabilities stay
    summed out; the distribution of the coefficients stays the same.  Other priors are left
    alone.

    Parameters
    ----------
    start : int array, shape (state, post, weight), or None
        Types (0 inhibitory, 1 absent, 2 excitatory) that nearly all draws from the program
        have, a sampler's first state among them; what a type weighs is not touched.
    """

    _START_PROBA = 0.999

    def __init__(self, start: Array | None):
        self.start = start

    def __call__(self, name, fn, obs):
        """Replace the site."""
        if not isinstance(fn, OneHotCouplings):
            return fn, obs
        proba = self._START_PROBA * jax.nn.one_hot(self.start, 3) + (1 - self._START_PROBA) / 3
        first = dist.Categorical(probs=proba)
        index = numpyro.sample("connection_type", first)
        normal = dist.Normal(0.0, 1.0).expand(fn.event_shape).to_event(3)
        noise = numpyro.sample(f"{name}_noise", normal)
        types = jax.nn.one_hot(index, 3, dtype=noise.dtype)
        per_connection = jnp.where(fn.layout.free, fn.log_types(types), 0.0)
        numpyro.factor("log_types", per_connection.sum() - first.log_prob(index).sum())
        return None, fn.from_noise(noise, types)
