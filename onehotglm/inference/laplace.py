"""Laplace approximation of the posterior over coefficients, and of types under the one-hot prior.

The log-likelihood is replaced by its quadratic expansion around the fit, with the score and
the information of `onehotglm.inference.information`.  Under a Gaussian prior the posterior
is then Gaussian; with learned means their own uncertainty counts, for they are integrated
out.  Under the one-hot prior each weight's marginal is a mixture over its types, found by
expectation propagation as in the fit.

Flat arrays of coefficients are in the order (state, post, column).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from onehotglm.errors import InvalidInputError
from onehotglm.inference.information import Information
from onehotglm.model import dale, priors
from onehotglm.model.dale import Signs
from onehotglm.model.priors import GaussianPrior, OneHotPrior, TypePosterior, WeightPenalty

Floats = NDArray[np.float64]

MAX_SWEEPS = 100
# Sweeps end when no type probability moves by more, and no mixture's mean is further from
# that of its Gaussian, in standard deviations.
PROBA_TOL, MEAN_TOL = 1e-3, 0.02
# Part of each new site in the next: undamped parallel updates can oscillate.
DAMPING = 0.6


class Terms(NamedTuple):
    """Gaussian prior and constraints of the coefficients of some neurons.

    Attributes
    ----------
    precision : array, shape (state, post, column)
    tie : array, shape (post, column)
        Subtracted from the prior precision between all states, each with itself too.
    free : bool array, shape (state, post, column)
        False where a coefficient is held at zero.
    shared : int array, shape (post, shared), or None
        Columns that are one coefficient for all states.
    roughness : array, shape (post, column, column), or None
        Precision of a further prior around zero.
    """

    precision: Floats
    tie: Floats
    free: NDArray[np.bool_]
    shared: NDArray[np.int_] | None
    roughness: Floats | None = None


class Scope(NamedTuple):
    """What the one-hot prior holds for.

    Attributes
    ----------
    under_prior : bool array, shape (post, pre)
        Couplings that have types; the others that are free have a Gaussian prior.
    synapse : bool array, shape (post, pre)
        Couplings under Dale's law.
    signs : Signs or None
        Of presynaptic neurons, taken for granted where Dale's law holds.
    """

    under_prior: NDArray[np.bool_]
    synapse: NDArray[np.bool_]
    signs: Signs | None


class OneHotPosterior(NamedTuple):
    """Weights and types under the one-hot prior.

    Attributes
    ----------
    estimate, variance : array, shape (state, post, pre, basis)
        What the data alone say of each weight, the others taken as they may be.
    types : TypePosterior
    mean : array, shape (state, post, column)
        Of the Gaussian that matches the moments of all mixtures.
    covariance : array, shape (coefficient, coefficient)
        Of that Gaussian.
    site : WeightPenalty
        Gaussian penalty that stands for the prior.
    """

    estimate: Floats
    variance: Floats
    types: TypePosterior
    mean: Floats
    covariance: Floats
    site: WeightPenalty


def tied_precision(prior: GaussianPrior, n_states: int) -> tuple[Floats, Floats]:
    """Precision of a connection's weights in all states, with their mean integrated out.

    ``W[s] ~ Normal(W0, sd^2)`` and ``W0 ~ Normal(0, mean_sd^2)`` give the covariance
    ``sd^2 I + mean_sd^2 11'`` over states, whose inverse is ``I / sd^2 - tie 11'``.

    Parameters
    ----------
    prior : GaussianPrior
    n_states : int

    Returns
    -------
    precision, tie : array, shape (post, pre, basis)

    Examples
    --------
    >>> one = np.ones((1, 1, 1))
    >>> precision, tie = tied_precision(GaussianPrior(0 * one, one, one[0, 0]), 2)
    >>> (np.linalg.inv(precision[0, 0] * np.eye(2) - tie[0, 0])).round(6)
    array([[2., 1.],
           [1., 2.]])
    """
    precision = prior.sd**-2.0
    tie = precision * prior.mean_sd**2 / (prior.sd**2 + n_states * prior.mean_sd**2)
    return precision, tie


def covariance(information: Floats, terms: Terms) -> Floats:
    """Inverse of information and prior precision.

    Parameters
    ----------
    information : array, shape (coefficient, coefficient)
    terms : Terms

    Returns
    -------
    array, shape (coefficient, coefficient)
        Zero for coefficients that are held at zero; infinite variance for those of which
        neither data nor prior say anything.

    Raises
    ------
    InvalidInputError
        If the sum is not positive definite.
    """
    precision = information + _prior_precision(terms)
    slot = _slots(terms, np.diagonal(precision) == 0)
    known = slot >= 0
    merge = np.zeros((known.sum(), slot.max(initial=-1) + 1))
    merge[np.arange(len(merge)), slot[known]] = 1.0
    inverse = _inverse(merge.T @ precision[np.ix_(known, known)] @ merge)
    full = np.zeros_like(precision)
    full[np.ix_(known, known)] = merge @ inverse @ merge.T
    silent = terms.free.ravel() & ~known
    full[silent, silent] = np.inf
    return full


def _prior_precision(terms: Terms) -> Floats:
    n_states = len(terms.precision)
    matrix = np.diag(terms.precision.ravel())
    tied = matrix.reshape(n_states, terms.tie.size, n_states, terms.tie.size)
    own = np.arange(terms.tie.size)
    tied[:, own, :, own] -= terms.tie.reshape(-1, 1, 1)
    if terms.roughness is not None:
        n_post, n_columns = terms.tie.shape
        blocks = matrix.reshape(n_states, n_post, n_columns, n_states, n_post, n_columns)
        for state, post in np.ndindex(n_states, n_post):
            blocks[state, post, :, state, post] += terms.roughness[post]
    return matrix


def _slots(terms: Terms, unknown: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Place of every coefficient among those that are estimated; -1 for none."""
    estimated = terms.free & ~unknown.reshape(terms.free.shape)
    slot = np.where(estimated, np.cumsum(estimated).reshape(estimated.shape) - 1, -1)
    if terms.shared is not None:
        post = np.arange(slot.shape[1])[:, None]
        slot[:, post, terms.shared] = slot[0, post, terms.shared]
        _, dense = np.unique(slot, return_inverse=True)
        slot = dense.reshape(slot.shape) - int((slot < 0).any())
    return slot.ravel()


def _inverse(matrix: Floats) -> Floats:
    """Inverse of a positive definite matrix."""
    scale = 1 / np.sqrt(np.maximum(np.diagonal(matrix), 1e-100))
    factor, failed = lapack.dpotrf(matrix * scale * scale[:, None], lower=True)
    if failed:
        raise InvalidInputError(
            "the observed information of the couplings is not positive definite, so that they "
            "have no standard errors: the fit is not at a maximum of its objective, or the data "
            "cannot tell some couplings apart. Pass the recording that the model was fitted to, "
            "fit with a smaller tol or fewer states, or use states='given'"
        )
    inverse, _ = lapack.dpotri(factor, lower=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    return inverse * scale * scale[:, None]


# ----------------------------------------------------------------------------- one-hot


def one_hot_posterior(
    information: Information,
    coefficients: Floats,
    terms: Terms,
    bias_mean: Floats,
    prior: OneHotPrior,
    scope: Scope,
    site: WeightPenalty | None = None,
) -> OneHotPosterior:
    """Types and weights by expectation propagation on the quadratic log-likelihood.

    The type probabilities that states share are integrated over: a connection's type in one
    state meets what its types in the *other* states say, with `priors.TYPE_PSEUDO_STATES`
    states of the overall proportions (collapsed variational Bayes).  So no evidence is used
    twice.

    Parameters
    ----------
    information : Information
        At `coefficients`.
    coefficients : array, shape (state, post, column)
    terms : Terms
        Precision of the biases in column 0, of the weights that stand outside the prior, and
        of the covariates in the last columns.
    bias_mean : array, shape (post,)
        Of the biases' prior.
    prior : OneHotPrior
        Its types restricted to the neurons in `post`.
    scope : Scope
    site : WeightPenalty, optional
        To start from.

    Returns
    -------
    OneHotPosterior
    """
    n_states, n_post, _ = coefficients.shape
    shape = (n_states, n_post, len(scope.under_prior[0]), prior.slab_mean.shape[1])
    couplings = slice(1, 1 + shape[2] * shape[3])
    linear = information.matrix @ coefficients.ravel() + information.score.ravel()
    free = terms.free[..., couplings].reshape(shape)
    ridge = WeightPenalty(np.zeros(shape), terms.precision[..., couplings].reshape(shape))
    prior_mean = np.zeros(coefficients.shape)
    prior_mean[..., 0] = bias_mean
    proba = np.broadcast_to(prior.type_proba, (n_states, *prior.type_proba.shape))
    site = _first_site(prior, shape) if site is None else site
    for _ in range(MAX_SWEEPS):
        site = WeightPenalty(
            *(np.where(scope.under_prior[..., None], *x) for x in zip(site, ridge, strict=True))
        )
        precision = _with_couplings(terms.precision, couplings, site.precision)
        centre = _with_couplings(prior_mean, couplings, site.mean)
        spread = covariance(information.matrix, terms._replace(precision=precision))
        mean = (spread @ (linear + (precision * centre).ravel())).reshape(coefficients.shape)
        marginal = np.diagonal(spread).reshape(coefficients.shape)[..., couplings].reshape(shape)
        marginal = np.where(free, marginal, 1 / site.precision)
        variance = 1 / np.maximum(1 / marginal - site.precision, 1e-4)
        weights = mean[..., couplings].reshape(shape)
        estimate = variance * (weights / marginal - site.precision * site.mean)
        shared = _others_say(proba, prior, scope)
        types = priors.type_posterior(shared, estimate, variance)
        types = types._replace(type_proba=_absent_outside(types.type_proba, scope))
        moved = np.abs(types.type_proba - proba).max()
        proba = types.type_proba
        off = (priors.mixture_moments(types)[0] - weights) ** 2 / marginal
        if moved < PROBA_TOL and off[:, scope.under_prior].max() < MEAN_TOL**2:
            break
        new = priors.moment_matched_penalty(types, estimate, variance)
        site = priors.damped(site, new, DAMPING)
    return OneHotPosterior(estimate, variance, types, mean, spread, site)


def _with_couplings(columns: Floats, couplings: slice, weights: Floats) -> Floats:
    """Columns (state, post, column) with other values (state, post, pre, basis) of couplings."""
    columns = columns.copy()
    columns[..., couplings] = weights.reshape(*weights.shape[:2], -1)
    return columns


def _first_site(prior: OneHotPrior, shape: tuple[int, ...]) -> WeightPenalty:
    """Wide enough for any type."""
    widest = 1 / (prior.slab_mean**2 + prior.slab_sd**2).max(0)
    return WeightPenalty(np.zeros(shape), np.broadcast_to(widest, shape))


def _others_say(proba: Floats, prior: OneHotPrior, scope: Scope) -> OneHotPrior:
    """Prior of each state's types given the other states', (state, post, pre, type)."""
    overall = prior.type_proba[scope.under_prior].mean(0)
    others = proba.sum(0) - proba + priors.TYPE_PSEUDO_STATES * overall
    others = _absent_outside(others / others.sum(-1, keepdims=True), scope)
    prior = prior._replace(type_proba=others)
    return prior if scope.signs is None else dale.with_signs(prior, scope.signs, scope.synapse)


def _absent_outside(proba: Floats, scope: Scope) -> Floats:
    return np.where(scope.under_prior[..., None], proba, [0.0, 1.0, 0.0])
