"""Priors over couplings that the states share, learned from the states.

Each prior looks at independent Gaussian evidence about every weight, its estimate
and variance from the data, and answers with the Gaussian penalty that the next
regression step uses.  Learning is empirical Bayes: what is common to all states is
estimated from the states.  Plain numpy in float64: the arrays are small.

Arrays are (state, post, pre, basis); type axes are inhibitory, absent, excitatory.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr, logsumexp

Floats = NDArray[np.float64]
_LOG_2PI = float(np.log(2 * np.pi))

# Hyperpriors.  Couplings are in units of the linear predictor per (unit) history.
# Spread over states: so many pseudo-states in which a connection deviates by this much.
# Without them the spread would collapse where the states agree.
PSEUDO_STATES, PSEUDO_SD = 2.0, 0.1
SLAB_MEAN_SD = 1.0
SLAB_LOG_SD = (np.log(0.5), 0.35)
# Weight of the overall type proportions in each connection's, in states.
TYPE_PSEUDO_STATES = 0.5
# Hyperpriors of quantities that EM takes from all connections together, and of which
# variational inference needs a density: Dirichlet over the overall type proportions,
# log-normal over the spread of state-constant couplings.
TYPE_SHARE = (1.0, 3.0, 1.0)
MEAN_LOG_SD = (np.log(0.5), 1.0)


class WeightPenalty(NamedTuple):
    """Independent Gaussian priors over weights, shape (state, post, pre, basis) each."""

    mean: Floats
    precision: Floats


# ---------------------------------------------------------------------------- Gaussian


class GaussianPrior(NamedTuple):
    """``W[s] ~ Normal(mean, sd^2)``, both per connection, both shared by the states.

    A spread per connection tells connections that are the same in all states (or absent
    in all) from those that switch; its inverse-gamma hyperprior keeps it off zero.

    Attributes
    ----------
    mean : array, shape (post, pre, basis)
        State-constant couplings W0.
    sd : array, shape (post, pre, basis)
        Deviation of the states from them.
    mean_sd : array, shape (basis,)
        Spread of W0 itself around zero.
    """

    mean: Floats
    sd: Floats
    mean_sd: Floats


def initial_gaussian(weights: Floats, included: NDArray[np.bool_]) -> GaussianPrior:
    """Prior to start learning from, broad enough to leave the weights as they are.

    `included` (post, pre) says which couplings it is for.
    """
    spread = np.maximum(weights[:, included].std(axis=(0, 1)), PSEUDO_SD)
    zero = np.zeros(weights.shape[1:])
    return GaussianPrior(zero, zero + spread, spread)


def update_gaussian(
    prior: GaussianPrior, mean: Floats, variance: Floats, included: NDArray[np.bool_]
) -> GaussianPrior:
    """One EM step on the hyperparameters.

    Parameters
    ----------
    prior : GaussianPrior
    mean, variance : array, shape (state, post, pre, basis)
        Posterior of the weights under `prior`.
    included : bool array, shape (post, pre)
        Couplings that it is for.

    Returns
    -------
    GaussianPrior
    """
    n_states = mean.shape[0]
    precision = n_states / prior.sd**2 + 1 / prior.mean_sd**2
    centre = mean.sum(0) / prior.sd**2 / precision
    rest = 1 / precision
    squares = ((mean - centre) ** 2 + variance + rest).sum(0)
    sd = np.sqrt((squares + PSEUDO_STATES * PSEUDO_SD**2) / (n_states + PSEUDO_STATES))
    mean_sd = np.sqrt((centre**2 + rest)[included].mean(0))
    return GaussianPrior(centre, sd, mean_sd)


def gaussian_penalty(prior: GaussianPrior, n_states: int) -> WeightPenalty:
    """Penalty of all states under the prior."""
    shape = (n_states, *prior.mean.shape)
    return WeightPenalty(np.broadcast_to(prior.mean, shape), np.broadcast_to(prior.sd**-2.0, shape))


# ----------------------------------------------------------------------------- one-hot


class OneHotPrior(NamedTuple):
    """Types drawn per state from shared probabilities; strengths from truncated normals.

    Attributes
    ----------
    type_proba : array, shape (post, pre, type)
        Shared by the states.
    slab_mean, slab_sd : array, shape (2, basis)
        Location and scale of the strength ``|w| ~ Normal(mean, sd^2)`` truncated to
        positive values, for inhibitory and excitatory connections.
    """

    type_proba: Floats
    slab_mean: Floats
    slab_sd: Floats


class TypePosterior(NamedTuple):
    """What the prior and the evidence say of each connection.

    Attributes
    ----------
    type_proba : array, shape (state, post, pre, type)
    mean, second_moment : array, shape (type, state, post, pre, basis)
        Of the weight given its type; zero for absent.
    log_evidence : array, shape (state, post, pre)
        Log probability of the evidence under the prior.
    """

    type_proba: Floats
    mean: Floats
    second_moment: Floats
    log_evidence: Floats


def initial_one_hot(shape: tuple[int, ...], n_basis: int) -> OneHotPrior:
    """Mostly absent connections (post, pre), broad strengths."""
    proba = np.broadcast_to([0.1, 0.8, 0.1], (*shape, 3)).astype(float)
    return OneHotPrior(proba, np.full((2, n_basis), 0.5), np.full((2, n_basis), 0.4))


def type_posterior(prior: OneHotPrior, estimate: Floats, variance: Floats) -> TypePosterior:
    """Types and strengths given the data's Gaussian evidence about each weight.

    ``p(type = z) ∝ pi[z] prod_k integral slab_z(w) Normal(estimate_k; w, variance_k) dw``;
    the absent type is a point mass at zero.

    Parameters
    ----------
    prior : OneHotPrior
    estimate, variance : array, shape (state, post, pre, basis)
        Evidence of the data alone.

    Returns
    -------
    TypePosterior
    """
    zero = np.zeros_like(estimate)
    evidence, means, seconds = [], [], []
    for sign, mean, sd in ((-1, 0, 0), (0, None, None), (1, 1, 1)):
        if mean is None or sd is None:
            evidence.append(_log_normal(estimate, variance))
            means.append(zero)
            seconds.append(zero)
            continue
        slab = prior.slab_mean[mean], prior.slab_sd[sd]
        log_mass, first, second = _truncated_slab(sign * estimate, variance, *slab)
        evidence.append(log_mass)
        means.append(sign * first)
        seconds.append(second)
    log_proba = np.log(np.maximum(prior.type_proba, 1e-300))
    log_joint = log_proba + np.stack([e.sum(-1) for e in evidence], axis=-1)
    total = logsumexp(log_joint, axis=-1, keepdims=True)
    return TypePosterior(
        np.exp(log_joint - total), np.stack(means), np.stack(seconds), total[..., 0]
    )


def slab_posterior(prior: OneHotPrior, estimate: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Strengths ``|w|`` given each type: normals truncated to positive values.

    Parameters
    ----------
    prior : OneHotPrior
    estimate, variance : array, shape (state, post, pre, basis)
        Evidence of the data alone.

    Returns
    -------
    location, scale : array, shape (2, state, post, pre, basis)
        If inhibitory, and if excitatory.
    """
    sides = [
        _product(sign * estimate, variance, prior.slab_mean[side], prior.slab_sd[side])
        for side, sign in enumerate((-1, 1))
    ]
    location, scale = (np.stack(values) for values in zip(*sides, strict=True))
    return location, scale


def slab_penalty(prior: OneHotPrior, types: NDArray[np.int_]) -> WeightPenalty:
    """Penalty of the strengths given types (state, post, pre) in -1, 0, 1."""
    side = (types > 0).astype(int)
    mean = types[..., None] * prior.slab_mean[side]
    return WeightPenalty(mean, prior.slab_sd[side] ** -2.0)


def moment_matched_penalty(
    posterior: TypePosterior, estimate: Floats, variance: Floats
) -> WeightPenalty:
    """Gaussian penalty that with the evidence gives the posterior's mean and variance.

    This is the site of expectation propagation (Minka 2001; Hernández-Lobato et al.
    2013 for spike and slab).  A mixture can be wider than the evidence alone; its
    site then has the smallest precision allowed, and still the right mean.
    """
    mean, second = mixture_moments(posterior)
    spread = np.maximum(second - mean**2, 1e-9)
    precision = np.clip(1 / spread - 1 / variance, 1e-3, 1e6)
    centre = (mean * (precision + 1 / variance) - estimate / variance) / precision
    return WeightPenalty(centre, precision)


def damped(old: WeightPenalty | None, new: WeightPenalty, part: float) -> WeightPenalty:
    """`part` of the new site and the rest of the old, in natural parameters."""
    if old is None:
        return new
    precision = (1 - part) * old.precision + part * new.precision
    scaled = (1 - part) * old.precision * old.mean + part * new.precision * new.mean
    return WeightPenalty(scaled / precision, precision)


def mixture_moments(posterior: TypePosterior) -> tuple[Floats, Floats]:
    """Mean and second moment of every weight over its types."""
    proba = np.moveaxis(posterior.type_proba, -1, 0)[..., None]
    return (proba * posterior.mean).sum(0), (proba * posterior.second_moment).sum(0)


def update_one_hot(prior: OneHotPrior, posterior: TypePosterior) -> OneHotPrior:
    """One EM step on the shared type probabilities and the slabs."""
    proba = posterior.type_proba
    overall = proba.mean((0, 1, 2))
    total = proba.sum(0) + TYPE_PSEUDO_STATES * overall
    slabs = [
        [
            _fit_slab(
                proba[..., index],
                np.abs(posterior.mean[index][..., k]),
                posterior.second_moment[index][..., k],
                start=(prior.slab_mean[side, k], prior.slab_sd[side, k]),
            )
            for k in range(prior.slab_mean.shape[1])
        ]
        for side, index in enumerate((0, 2))
    ]
    means, sds = np.moveaxis(np.array(slabs), -1, 0)
    return OneHotPrior(total / total.sum(-1, keepdims=True), means, sds)


def expected_weights(prior: OneHotPrior) -> Floats:
    """Mean weight of a connection in a state not seen yet, shape (post, pre, basis)."""
    strength = truncated_moments(prior.slab_mean, prior.slab_sd)[0]
    inhibitory, _, excitatory = np.moveaxis(prior.type_proba, -1, 0)[..., None]
    return excitatory * strength[1] - inhibitory * strength[0]


def _log_normal(deviation: Floats, variance: Floats) -> Floats:
    return -0.5 * (_LOG_2PI + np.log(variance) + deviation**2 / variance)


def truncated_moments(mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """First two moments of a normal truncated to positive values."""
    ratio = mean / sd
    hazard = np.exp(-0.5 * (ratio**2 + _LOG_2PI) - log_ndtr(ratio))
    first = mean + sd * hazard
    second = sd**2 + mean * first
    # Far in the tail both are differences of large numbers: use 1/rate asymptotics.
    tail = ratio < -30
    scale = sd / np.maximum(-ratio, 1.0)
    return np.where(tail, scale, first), np.where(tail, 2 * scale**2, second)


def _truncated_slab(
    estimate: Floats, variance: Floats, mean: Floats, sd: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log evidence, first and second moment of a positive weight."""
    joint_mean, joint_sd = _product(estimate, variance, mean, sd)
    log_mass = (
        _log_normal(estimate - mean, sd**2 + variance)
        + log_ndtr(joint_mean / joint_sd)
        - log_ndtr(mean / sd)
    )
    return log_mass, *truncated_moments(joint_mean, joint_sd)


def _product(estimate: Floats, variance: Floats, mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the product of evidence and a normal prior."""
    joint_variance = 1 / (1 / sd**2 + 1 / variance)
    return joint_variance * (mean / sd**2 + estimate / variance), np.sqrt(joint_variance)


def _fit_slab(
    weight: Floats, first: Floats, second: Floats, start: tuple[float, float]
) -> tuple[float, float]:
    """Most probable location and scale of a truncated normal from expected moments.

    The hyperprior keeps a slab in range when the data say little of its weights.
    """
    total = weight.sum()
    first_sum, second_sum = (weight * first).sum(), (weight * second).sum()

    def negative_log_posterior(parameters):
        mean, log_sd = parameters
        squares = second_sum - 2 * mean * first_sum + total * mean**2
        log_lik = -0.5 * squares * np.exp(-2 * log_sd) - total * (
            log_sd + log_ndtr(mean * np.exp(-log_sd))
        )
        centre, width = SLAB_LOG_SD
        hyper = (mean / SLAB_MEAN_SD) ** 2 + ((log_sd - centre) / width) ** 2
        return (0.5 * hyper - log_lik) / (1 + total)

    mean, log_sd = minimize(negative_log_posterior, [start[0], np.log(start[1])]).x
    return float(mean), float(np.exp(log_sd))
