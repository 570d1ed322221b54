"""How many parameters a fit really has: what criteria of model choice charge for."""

import numpy as np

from onehotglm.inference.learning import Learned, Problem, evidence
from onehotglm.inference.newton import coordinates
from onehotglm.inference.shared_kernel import effective_shapes, factors
from onehotglm.model.priors import GaussianPrior


def effective_parameters(problem: Problem, learned: Learned) -> float:
    """Effective number of parameters under the penalty.

    A coefficient that the prior holds counts in part: ``trace (H + D)^-1 H`` for a
    regression with information H of the data and prior precisions D (Hastie, Tibshirani &
    Friedman 2009, section 7.6).  Coefficients that are held at zero do not count: excluded
    couplings, those whose type is absent, those that a sign holds there.  What the states share
    counts once.  What a Gaussian prior's mean adds, as it follows the data too, is added.
    Transitions, with the
    weights of their inputs, initial probabilities and dispersions are free.  That the types were
    chosen with the data is not counted, so with the one-hot prior the number is a lower bound.

    Parameters
    ----------
    problem : Problem
    learned : Learned

    Returns
    -------
    float
    """
    n_states = learned.state.occupancy.size
    chain = n_states**2 - 1
    dispersion = learned.state.accepted.dispersion
    if dispersion is not None:
        chain += dispersion.size
    weights = learned.state.accepted.transition_weights
    if weights is not None:
        chain += weights.size - weights.shape[1]  # they sum to zero over states
    return chain + _regressions(learned) + _shared_mean(problem, learned)


def _regressions(learned: Learned) -> float:
    total = 0.0
    state, penalty = learned.state, learned.penalty
    coefficients, informations, roughness = coordinates(
        state.accepted.coefficients, state.curvature.information, penalty
    )
    share = np.ones(coefficients.shape[1:])
    if penalty.tied is not None:
        np.put_along_axis(share, np.asarray(penalty.tied), 1 / len(coefficients), -1)
    # One state at a time: all matrices together may not fit in memory.
    for information, precision, kept in zip(
        informations,
        penalty.precision,
        np.asarray(penalty.free) & (coefficients != 0),
        strict=True,
    ):
        both = kept[:, :, None] & kept[:, None, :]
        data = np.where(both, np.asarray(information, float), 0.0)
        prior = np.where(kept, np.asarray(precision, float), 1.0) + 1e-8
        smooth = np.where(both, roughness, 0.0)
        effect = np.linalg.solve(data + smooth + prior[..., None] * np.eye(kept.shape[1]), data)
        total += (share * np.diagonal(effect, axis1=-2, axis2=-1)).sum()
    if penalty.kernel is not None:
        strengths, shape = factors(state.accepted.coefficients, penalty.kernel)
        information = state.curvature.information
        total += float(effective_shapes(information, strengths, shape, penalty.kernel))
    return float(total)


def _shared_mean(problem: Problem, learned: Learned) -> float:
    """Effective number of means of a Gaussian prior, beyond the weights that they pull."""
    if not isinstance(learned.prior, GaussianPrior):
        return 0.0
    # With w ~ N(m, sd^2) and m ~ N(0, mean_sd^2): how far the fit of a state's weight follows
    # its own data by way of m.
    variance = evidence(problem, learned.state, learned.penalty).variance
    spread = learned.prior.sd**2
    precision = 1 / (spread + variance)
    part = precision / (precision.sum(0) + learned.prior.mean_sd**-2.0)
    pulled = part * variance / (spread + variance)
    return float(pulled[:, problem.structure.under_prior].sum())
