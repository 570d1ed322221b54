"""Posterior of all couplings and biases around a fit: from a problem to means and variances.

Second derivatives are taken at the maximum of the fit's objective.  With the one-hot prior
that objective holds absent couplings at zero, where nothing is said of them; there the
expansion is around the maximum under the Gaussian sites of the mixtures.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from onehotglm.inference import em
from onehotglm.inference.information import Information, observed_information, state_posterior
from onehotglm.inference.laplace import (
    Floats,
    OneHotPosterior,
    Scope,
    Terms,
    covariance,
    one_hot_posterior,
    tied_precision,
)
from onehotglm.inference.learning import Problem, make_penalty, ridge_penalty, stepper
from onehotglm.inference.newton import Penalty
from onehotglm.inference.scale_mixture import integrate_spread
from onehotglm.model import priors
from onehotglm.model.dale import Signs
from onehotglm.model.params import Params
from onehotglm.model.priors import GaussianPrior, OneHotPrior, WeightPenalty

# Coefficients of one group of neurons, at most: its matrices take 130 MB each.
MAX_COEFFICIENTS = 4000
# Of the EM steps that go on from the fit to the maximum of its objective.
MAX_STEPS, TOL = 200, 1e-10


class Mixture(NamedTuple):
    """Types and strengths of couplings under the one-hot prior.

    Attributes
    ----------
    type_proba : array, shape (state, post, pre, type)
    location, scale : array, shape (state, post, pre, basis, 2)
        Of the strength if inhibitory, and if excitatory: normal, truncated to positive values.
    """

    type_proba: Floats
    location: Floats
    scale: Floats


class Moments(NamedTuple):
    """Marginals of some postsynaptic neurons.

    Attributes
    ----------
    bias, bias_variance : array, shape (state, post)
    weights, weights_variance : array, shape (state, post, pre, basis)
        Over the types, where there are any.
    covariates, covariates_variance : array, shape (state, post, covariate)
        Effects of standardised covariates.
    lag_covariance : array, shape (state, post, pre, basis, basis)
        Of the weights of one connection, as if Gaussian.
    mixture : Mixture or None
        With the one-hot prior.
    """

    bias: Floats
    bias_variance: Floats
    weights: Floats
    weights_variance: Floats
    covariates: Floats
    covariates_variance: Floats
    lag_covariance: Floats
    mixture: Mixture | None = None


class Fit(NamedTuple):
    """What the posterior is expanded around.

    Attributes
    ----------
    params : Params
        In float64.
    prior : GaussianPrior, OneHotPrior or None
        As learned.
    types : int array, shape (state, post, pre), or None
        With the one-hot prior.
    signs : Signs or None
        With the one-hot prior under Dale's law.
    """

    params: Params
    prior: GaussianPrior | OneHotPrior | None
    types: np.ndarray | None = None
    signs: Signs | None = None


def posterior_moments(
    problem: Problem,
    fit: Fit,
    *,
    given_states: bool,
    on_chunk: Callable[[], object] = lambda: None,
) -> Moments:
    """Marginals of all couplings and biases.

    Parameters
    ----------
    problem : Problem
        In float64.
    fit : Fit
    given_states : bool
        Whether to take the posterior of the states as if it had been observed.
    on_chunk : callable
        Called after each of `n_chunks_of_work`.

    Returns
    -------
    Moments
    """
    params = _at_the_maximum(problem, fit.params, _penalty(problem, fit))
    if isinstance(fit.prior, OneHotPrior):
        parts = _one_hot(problem, params, fit.prior, fit.signs, given_states, on_chunk)
    else:
        parts = [
            _gaussian(problem, params, fit.prior, information, neurons)
            for neurons, information in _informed(problem, params, given_states, on_chunk)
        ]
    return jax.tree.map(lambda *values: np.concatenate(values, axis=1), *parts)


def n_chunks_of_work(problem: Problem, fit: Fit) -> int:
    """How often `posterior_moments` calls its `on_chunk`."""
    n_passes = 2 if isinstance(fit.prior, OneHotPrior) else 1
    return n_passes * len(_groups(fit.params)) * problem.n_chunks


def _groups(params: Params) -> list[np.ndarray]:
    """All neurons together, or one by one where their matrix would be too large."""
    n_neurons = params.coefficients.shape[1]
    if params.coefficients.size <= MAX_COEFFICIENTS:
        return [np.arange(n_neurons)]
    return list(np.arange(n_neurons)[:, None])


def _penalty(problem: Problem, fit: Fit) -> Penalty:
    """Of the last steps of the fit."""
    n_states = len(fit.params.initial)
    if isinstance(fit.prior, GaussianPrior):
        return make_penalty(problem, priors.gaussian_penalty(fit.prior, n_states))
    if fit.prior is None or fit.types is None:
        return ridge_penalty(problem, n_states)
    present = fit.types[..., None] != 0
    return make_penalty(problem, priors.slab_penalty(fit.prior, fit.types), present)


def _at_the_maximum(problem: Problem, start: Params, penalty: Penalty) -> Params:
    """Go on from the fit: where a fit stops, second derivatives may still be off."""
    state = em.init(start)
    state, _ = em.run(state, stepper(problem, penalty), max_iter=MAX_STEPS, tol=TOL)
    return state.accepted


def _informed(
    problem: Problem, params: Params, given_states: bool, on_chunk: Callable[[], object]
) -> Iterator[tuple[np.ndarray, Information]]:
    """Every group of neurons with its information."""
    config = problem.config
    what: dict[str, Any] = {
        "size": config.chunk_size,
        "link": config.link,
        "observation": config.observation,
    }
    posterior = state_posterior(params, problem.recording, **what)
    for neurons in _groups(params):
        yield (
            neurons,
            observed_information(
                params,
                problem.recording,
                posterior,
                neurons,
                **what,
                given_states=given_states,
                on_chunk=on_chunk,
            ),
        )


def _terms(problem: Problem, n_states: int, neurons: np.ndarray) -> Terms:
    """Prior of the biases, the ridge over the weights, what is free and what is shared."""
    penalty = ridge_penalty(problem, n_states)
    roughness = None
    if penalty.roughness is not None:
        shape = (penalty.mean.shape[1], *penalty.roughness.shape[1:])
        roughness = np.broadcast_to(np.asarray(penalty.roughness), shape)[neurons]
    return Terms(
        np.array(penalty.precision)[:, neurons],
        np.zeros((len(neurons), penalty.mean.shape[-1])),
        np.asarray(penalty.free)[:, neurons],
        None if penalty.tied is None else np.asarray(penalty.tied)[neurons],
        roughness,
    )


def _moments(problem: Problem, mean: Floats, spread: Floats) -> Moments:
    """Marginals of a Gaussian over all coefficients of a group."""
    couplings = problem.coupling_columns
    shape = (*mean.shape[:2], -1, problem.n_basis)
    variance = np.diagonal(spread).reshape(mean.shape)
    places = _coupling_places(problem, mean.shape)
    return Moments(
        mean[..., 0],
        variance[..., 0],
        mean[..., couplings].reshape(shape),
        variance[..., couplings].reshape(shape),
        mean[..., couplings.stop :],
        variance[..., couplings.stop :],
        spread[places[..., :, None], places[..., None, :]],
    )


def _coupling_places(problem: Problem, shape: tuple[int, ...]) -> NDArray[np.int_]:
    """Where weights (state, post, pre, basis) are in flat coefficients of a shape."""
    places = np.arange(np.prod(shape)).reshape(shape)[..., problem.coupling_columns]
    return places.reshape(*shape[:2], -1, problem.n_basis)


# ---------------------------------------------------------------------------- Gaussian


def _gaussian(
    problem: Problem,
    params: Params,
    prior: GaussianPrior | None,
    information: Information,
    neurons: np.ndarray,
) -> Moments:
    coefficients = np.asarray(params.coefficients)[:, neurons]
    n_states, n_post, _ = coefficients.shape
    terms = _terms(problem, n_states, neurons)
    if prior is None:
        spread = covariance(information.matrix, terms)
        return _moments(problem, coefficients, spread)
    under_prior = problem.structure.under_prior[neurons]
    columns = np.repeat(under_prior, problem.n_basis, axis=1)
    precision, tie = (x[neurons].reshape(n_post, -1) for x in tied_precision(prior, n_states))
    ridge = terms.precision[..., problem.coupling_columns]
    ridge[:] = np.where(columns, precision, ridge)
    terms.tie[:, problem.coupling_columns] = np.where(columns, tie, 0.0)
    spread = covariance(information.matrix, terms)
    moments = _moments(problem, coefficients, spread)
    places = np.moveaxis(_coupling_places(problem, coefficients.shape), 0, -1)[under_prior]
    covariances = spread[places[..., :, None], places[..., None, :]]
    return _over_spreads(moments, covariances, prior, neurons, under_prior)


def _over_spreads(
    moments: Moments,
    covariances: Floats,
    prior: GaussianPrior,
    neurons: np.ndarray,
    under_prior: np.ndarray,
) -> Moments:
    """Moments with the spread of each connection integrated out, too.

    `covariances` are over states, of every weight under the prior.
    """
    weights = np.moveaxis(moments.weights, 0, -1)[under_prior]
    own = GaussianPrior(
        prior.mean[neurons][under_prior], prior.sd[neurons][under_prior], prior.mean_sd
    )
    found = integrate_spread(weights, covariances, own)
    mean, variance = (
        np.array(np.moveaxis(x, 0, -1)) for x in (moments.weights, moments.weights_variance)
    )
    mean[under_prior], variance[under_prior] = found
    mean, variance = np.moveaxis(mean, -1, 0), np.moveaxis(variance, -1, 0)
    before = np.where(moments.weights_variance > 0, moments.weights_variance, 1.0)
    growth = np.sqrt(variance / before)
    return moments._replace(
        weights=mean,
        weights_variance=variance,
        lag_covariance=moments.lag_covariance * growth[..., :, None] * growth[..., None, :],
    )


# ----------------------------------------------------------------------------- one-hot


def _one_hot(
    problem: Problem,
    params: Params,
    prior: OneHotPrior,
    signs: Signs | None,
    given_states: bool,
    on_chunk: Callable[[], object],
) -> list[Moments]:
    """Marginals of all groups: around the fit first, then around the sites found there."""
    groups = _groups(params)

    def propagate(params, given_states, sites):
        informed = _informed(problem, params, given_states, on_chunk)
        return [
            _one_hot_group(problem, params, prior, signs, information, neurons, site)
            for (neurons, information), site in zip(informed, sites, strict=True)
        ]

    found = propagate(params, True, [None] * len(groups))
    sites = (np.concatenate(x, axis=1) for x in zip(*(part.site for part in found), strict=True))
    params = _at_the_maximum(problem, params, make_penalty(problem, WeightPenalty(*sites)))
    found = propagate(params, given_states, [part.site for part in found])
    return [
        _one_hot_moments(problem, part, prior, problem.structure.under_prior[neurons])
        for part, neurons in zip(found, groups, strict=True)
    ]


def _one_hot_group(
    problem: Problem,
    params: Params,
    prior: OneHotPrior,
    signs: Signs | None,
    information: Information,
    neurons: np.ndarray,
    site: WeightPenalty | None,
) -> OneHotPosterior:
    structure = problem.structure
    return one_hot_posterior(
        information,
        np.asarray(params.coefficients)[:, neurons],
        _terms(problem, len(params.initial), neurons),
        problem.bias_mean[neurons],
        prior._replace(type_proba=prior.type_proba[neurons]),
        Scope(structure.under_prior[neurons], structure.synapse[neurons], signs),
        site,
    )


def _one_hot_moments(
    problem: Problem, found: OneHotPosterior, prior: OneHotPrior, under_prior: np.ndarray
) -> Moments:
    gaussian = _moments(problem, found.mean, found.covariance)
    mean, second = priors.mixture_moments(found.types)
    location, scale = priors.slab_posterior(prior, found.estimate, found.variance)
    typed = under_prior[..., None]
    return gaussian._replace(
        weights=np.where(typed, mean, gaussian.weights),
        weights_variance=np.where(typed, second - mean**2, gaussian.weights_variance),
        mixture=Mixture(
            found.types.type_proba, np.moveaxis(location, 0, -1), np.moveaxis(scale, 0, -1)
        ),
    )
