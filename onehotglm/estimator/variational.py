"""Variational inference as the estimator runs it: EM's fit, SVI, fitted attributes.

The guide is kept as a labelled Dataset, ``guide_``; from it follow the posterior means
(the fitted attributes), intervals and draws (`onehotglm.estimator.posterior`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray as xr

from onehotglm.estimator import posterior
from onehotglm.estimator.ascent import Ascent, Climb, state_types
from onehotglm.estimator.attributes import keep_params, summed_over_lags
from onehotglm.estimator.keeper import drive_em, open_keeper
from onehotglm.estimator.learned_prior import keep_prior
from onehotglm.estimator.tied_posterior import is_tied, with_moments
from onehotglm.inference import decode, guides, phases
from onehotglm.inference.complexity import effective_parameters
from onehotglm.inference.guides import GuideParams
from onehotglm.inference.learning import Problem, ridge_penalty
from onehotglm.inference.likelihood import Emission
from onehotglm.inference.minibatch import find_sessions
from onehotglm.inference.sites import Sites, absolute_sites
from onehotglm.inference.svi import SVIConfig, Target
from onehotglm.inference.warm_start import warm_start
from onehotglm.model.couplings import GaussianCouplings, OneHotCouplings, SpikeSlabs
from onehotglm.model.generative import Constants, Shape, prior_over_couplings
from onehotglm.model.params import Params
from onehotglm.model.priors import GaussianPrior, OneHotPrior, expected_weights
from onehotglm.model.transitions import TransitionPrior
from onehotglm.random_state import numpy_generator, spawn

if TYPE_CHECKING:
    from onehotglm.estimator.monitor import Monitor
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# Without `batch_size` a step sees about so many bins.
_BATCH_BINS = 20_000
# The EM that variational inference starts from: its last digits do not matter.
_EM_ITERATIONS, _EM_TOL = 50, 1e-5

_CONNECTION = ("state", "post", "pre")
_HYPER_DIMS: dict[str, tuple[str, ...]] = {
    "mean_sd": ("basis",),
    "variance": ("post", "pre", "basis"),
    "type_share": ("type",),
    "slab_mean": ("sign",),
    "slab_sd": ("sign",),
}


def fit(
    model: "OneHotHMMGLM", problem: Problem, starts: Sequence[Params], monitor: "Monitor"
) -> str:
    """Fit by a short EM, maximise the bound from there, and set the fitted attributes.

    Parameters
    ----------
    model : OneHotHMMGLM
        Gets the attributes.
    problem : Problem
    starts : sequence of Params
    monitor : Monitor

    Returns
    -------
    str
        Why it stopped.

    Raises
    ------
    DataFileError
        See `keeper.Keeper`.
    """
    sessions, emission = find_sessions(problem.recording), emission_of(problem)
    longest = int(np.max(sessions.length))
    n_batch = _n_batch(model.batch_size, len(sessions.length), longest)
    config = SVIConfig(shape_of(model, problem), model.guide, emission, n_batch, longest)
    stage = Climb(sessions, constants_of(problem), config, monitor)

    def begin() -> Ascent:
        assert learning is not None  # the file holds no later stage
        learned = phases.result(learning)
        monitor.start_over()
        rng, noise = spawn(numpy_generator(model.random_state), 2)
        params, anchor = warm_start(problem, learned, model.guide, rng)
        n_parameters = effective_parameters(problem, learned)
        return stage.begin(problem, learned.state.accepted, params, anchor, noise, n_parameters)

    parameters = model.get_params()
    with open_keeper(parameters, problem, starts, monitor, state_types()) as keeper:
        learning = drive_em(keeper, model.prior, _short(problem), starts, monitor)
        ascent = keeper.drive("ascent", stage, problem, begin)
    model.n_parameters_ = ascent.n_parameters
    _keep(model, ascent.state.mean, stage.target(problem, ascent), config)
    return ascent.reason


def _short(problem: Problem) -> Problem:
    """Make a problem for the short EM that variational inference starts from."""
    return problem._replace(
        max_iter=min(problem.max_iter, _EM_ITERATIONS), tol=max(problem.tol, _EM_TOL)
    )


def emission_of(problem: Problem) -> Emission:
    """Collect what the likelihood depends on beside arrays."""
    return Emission(*(getattr(problem.config, x) for x in ("chunk_size", "link", "observation")))


def constants_of(problem: Problem) -> Constants:
    """Collect what the generative model is given."""
    dtype = problem.recording.counts.dtype
    return Constants(
        jnp.asarray(problem.bias_mean, dtype),
        jnp.asarray(problem.bias_precision, dtype),
        jnp.asarray(problem.ridge, dtype),
        jnp.asarray(np.repeat(problem.structure.free, problem.n_basis, axis=1)),
        TransitionPrior(*(jnp.asarray(x, dtype) for x in problem.transition_prior)),
        ridge_penalty(problem, 1).roughness,
    )


def shape_of(model: "OneHotHMMGLM", problem: Problem) -> Shape:
    """Collect what the compiled model depends on."""
    return Shape(model.n_states, problem.n_basis, model.prior, model.bias == "shared")


def _n_batch(batch_size: int | None, n_sessions: int, longest: int) -> int:
    """Sessions per step."""
    if batch_size is None:
        batch_size = max(1, round(_BATCH_BINS / longest))
        # Most of the sessions cost nearly as much as all, which have no sampling noise.
        batch_size = n_sessions if 2 * batch_size > n_sessions else batch_size
    return min(int(batch_size), n_sessions)


def _keep(model: "OneHotHMMGLM", params: GuideParams, target: Target, config: SVIConfig) -> None:
    """Set the guide, the posterior means and the learned prior, states by occupancy."""
    guide = _label(params, target, config)
    means = posterior.means(guide)
    marginals = decode.smoothed(means, target.recording, **config.emission._asdict()).marginals
    occupancy = np.asarray(marginals, float)[np.asarray(target.recording.modelled)].sum(0)
    order = keep_params(model, means, occupancy)
    guide = guide.isel(state=order, next_state=order)
    prior = _learned_prior(guide, target, config)
    keep_prior(model, prior)
    model.guide_ = guide
    free = np.asarray(target.constants.free).reshape(model.weights_.shape[1:])
    if isinstance(prior, GaussianPrior):
        model.shared_connectivity_ = summed_over_lags(model, np.where(free, prior.mean, 0.0))
    elif isinstance(prior, OneHotPrior):
        model.connection_type_proba_ = np.exp(guide["log_type_proba"].values)
        model.connection_type_ = model.connection_type_proba_.argmax(-1) - 1
        model.shared_type_proba_ = prior.type_proba
        model.shared_connectivity_ = summed_over_lags(model, expected_weights(prior))


def _learned_prior(
    guide: xr.Dataset, target: Target, config: SVIConfig
) -> GaussianPrior | OneHotPrior | None:
    """Give what the states share, as EM's prior has it, at the centre of the posterior."""
    free, dtype = target.constants.free, target.constants.bias_mean.dtype
    hyper = {
        name: posterior.hyper_centre(guide, name)
        for name in _HYPER_DIMS
        if name in guide or f"{name}_loc" in guide
    }
    arrays = {name: jnp.asarray(value, dtype) for name, value in hyper.items()}
    if config.shape.prior == "gaussian":
        arrays["variance"] = arrays["variance"].reshape(free.shape)
    prior = prior_over_couplings(arrays, target.constants, config.shape)
    if isinstance(prior, GaussianCouplings):
        loc = jnp.asarray(guide["weight_loc"].values.reshape(-1, *free.shape))
        mean = np.asarray(prior.shared_mean(loc), float).reshape(hyper["variance"].shape)
        return GaussianPrior(mean, np.sqrt(hyper["variance"]), hyper["mean_sd"])
    if isinstance(prior, OneHotCouplings):
        types = jnp.exp(jnp.asarray(guide["log_type_proba"].values))
        shared = np.asarray(prior.shared_type_proba(types), float)
        proba = np.where(free[..., None], shared, [0.0, 1.0, 0.0])
        return OneHotPrior(proba, hyper["slab_mean"][:, None], hyper["slab_sd"][:, None])
    return None


def _label(params: GuideParams, target: Target, config: SVIConfig) -> xr.Dataset:
    """Label the guide as `onehotglm.estimator.posterior` describes it; states as they come."""
    shape, n_neurons = config.shape, len(target.constants.free)
    variables: dict[str, tuple] = {
        "transition": (("state", "next_state"), np.exp(params.transition)),
        "initial": (("state",), np.exp(params.initial)),
    }
    for name, value in params.hyper.items():
        if not isinstance(value, tuple):
            variables[name] = (_HYPER_DIMS[name], np.exp(value))
            continue
        for suffix, array in zip(("loc", "log_scale"), value, strict=True):
            if "post" in _HYPER_DIMS[name]:
                array = np.reshape(array, (n_neurons, -1, shape.n_basis))
            variables[f"{name}_{suffix}"] = (_HYPER_DIMS[name], array)
    label = _label_sites if isinstance(params.marginals, Sites) else _label_marginals
    variables |= label(params, target, config)
    guide = xr.Dataset({name: (dims, np.asarray(x)) for name, (dims, x) in variables.items()})
    return with_moments(guide, shape.shared_bias) if is_tied(guide) else guide


def _label_sites(params: GuideParams, target: Target, config: SVIConfig) -> dict[str, tuple]:
    constants, n_basis = target.constants, config.shape.n_basis
    sites = absolute_sites(params.marginals, target.anchor)
    free = np.reshape(constants.free, (len(constants.free), -1, n_basis))
    return {
        "site_shift": (("state", "post", "column"), sites.shift),
        "site_factor": (("state", "post", "column", "earlier_column"), sites.factor),
        "bias_prior_mean": (("neuron",), constants.bias_mean),
        "bias_prior_precision": ((), constants.bias_precision),
        "free": (("post", "pre", "basis"), free),
    }


def _label_marginals(params: GuideParams, target: Target, config: SVIConfig) -> dict[str, tuple]:
    shape, free = config.shape, np.asarray(target.constants.free)
    bias, weights = guides.absolute(params.marginals, target.anchor)
    if shape.shared_bias:
        bias = type(bias)(*(jnp.broadcast_to(x[:1], x.shape) for x in bias))
    per_weight: tuple[str, ...] = (*_CONNECTION, "basis")
    variables: dict[str, tuple] = {
        "bias_loc": (("state", "neuron"), bias.loc),
        "bias_scale": (("state", "neuron"), bias.scale),
    }
    loc, scale = (np.where(free, x, 0.0) for x in (weights.loc, weights.scale))
    if isinstance(weights, SpikeSlabs):
        per_weight = ("sign", *per_weight)
        absent = np.array([-np.inf, 0.0, -np.inf])
        log_proba = np.where(free[..., None], weights.log_proba, absent).astype(scale.dtype)
        variables["log_type_proba"] = ((*_CONNECTION, "type"), log_proba)
        loc, scale = (np.asarray(x) for x in (weights.loc, weights.scale))
    for name, array in (("weight_loc", loc), ("weight_scale", scale)):
        pairs = np.reshape(array, (*array.shape[:-1], -1, shape.n_basis))
        variables[name] = (per_weight, pairs)
    if params.correlation is not None:
        last = "factor" if config.guide == "low_rank" else "earlier_column"
        variables["correlation"] = (("state", "post", "column", last), params.correlation)
    return variables
