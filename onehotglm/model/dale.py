"""Dale's law: all outgoing couplings of a neuron have one sign, in all states.

The sign of a presynaptic neuron is inferred from the evidence about all its couplings
together, ``p(sign) ∝ rho_sign prod_{s,n} p(data about W[s,n] | sign)``, with rho the
part of the neurons that are excitatory.  Self-histories are no synapses and take no part.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from onehotglm.model.priors import Floats, OneHotPrior, TypePosterior, type_posterior

# A neuron of either sign is as good as seen before, so that neither is ruled out.
_PSEUDO_NEURONS = 1.0


class Signs(NamedTuple):
    """Signs of presynaptic neurons.

    Attributes
    ----------
    sign : int array, shape (pre,)
        -1 or 1: given, or the more probable one.
    proba : array, shape (pre,)
        Probability of being excitatory.
    """

    sign: NDArray[np.int_]
    proba: Floats


def combine(log_odds: Floats, given: NDArray[np.int_]) -> Signs:
    """Signs from the evidence for excitation over inhibition and what is given.

    Parameters
    ----------
    log_odds : array, shape (pre,)
    given : int array, shape (pre,)
        -1, 1, or 0 where the sign is to be inferred.

    Returns
    -------
    Signs
    """
    proba = np.full(log_odds.shape, 0.5)
    for _ in range(20):
        proba = np.where(given == 0, proba, given > 0)
        part = (proba.sum() + _PSEUDO_NEURONS) / (proba.size + 2 * _PSEUDO_NEURONS)
        proba = expit(log_odds + logit(part))
    proba = np.where(given == 0, proba, given > 0)
    return Signs(np.where(proba >= 0.5, 1, -1), proba)


def signs_of_weights(
    estimate: Floats, variance: Floats, synapse: NDArray[np.bool_], given: NDArray[np.int_]
) -> Signs:
    """Signs where no prior over types is learned: a connection is absent or half-normal.

    Absent ones need a place in the evidence. As weak connections of some sign they would
    make a neuron that hardly sends anything sure of its sign.

    Parameters
    ----------
    estimate, variance : array, shape (state, post, pre, basis)
        Evidence of the data alone.
    synapse : bool array, shape (post, pre)
        Couplings that the law holds for.
    given : int array, shape (pre,)
        As in `combine`.

    Returns
    -------
    Signs
    """
    present, slab = _spike_and_slab(estimate[:, synapse], variance[:, synapse])
    proba = np.broadcast_to([present / 2, 1 - present, present / 2], (*synapse.shape, 3))
    sd = np.tile(np.sqrt(slab), (2, 1))
    prior = OneHotPrior(proba, np.zeros_like(sd), sd)
    return signed_types(prior, estimate, variance, synapse, given)[1]


def _spike_and_slab(estimate: Floats, variance: Floats) -> tuple[float, Floats]:
    """Most probable part of connections that exist, and variance (basis,) of their weights.

    By EM, from the evidence about connections (state, connection, basis).
    """
    present, slab = 0.5, np.full(estimate.shape[-1], 0.1)
    for _ in range(100 if estimate.size else 0):
        absent = norm.logpdf(estimate, 0, np.sqrt(variance))
        exists = norm.logpdf(estimate, 0, np.sqrt(slab + variance))
        proba = expit((exists - absent).sum(-1, keepdims=True) + logit(present))
        rest = 1 / (1 / slab + 1 / variance)
        squares = (rest * estimate / variance) ** 2 + rest
        slab = (proba * squares).sum((0, 1)) / proba.sum((0, 1))
        # One connection of either kind is as good as seen before.
        present = float((proba.sum() + 1) / (proba.size + 2))
    return present, slab


def signed_types(
    prior: OneHotPrior,
    estimate: Floats,
    variance: Floats,
    synapse: NDArray[np.bool_],
    given: NDArray[np.int_],
) -> tuple[TypePosterior, Signs]:
    """Types of connections and signs of neurons together.

    A connection exists with the probability that the prior gives to both signs; it then has
    the sign of its presynaptic neuron.

    Parameters
    ----------
    prior : OneHotPrior
    estimate, variance : array, shape (state, post, pre, basis)
        Evidence of the data alone.
    synapse : bool array, shape (post, pre)
        Couplings that the law holds for.
    given : int array, shape (pre,)
        As in `combine`.

    Returns
    -------
    TypePosterior
        Over both signs of a neuron, weighted by their probability.
    Signs
    """
    both = [type_posterior(_only(prior, side), estimate, variance) for side in (0, 2)]
    inhibitory, excitatory = (types.log_evidence for types in both)
    log_odds = np.where(synapse, excitatory - inhibitory, 0.0).sum((0, 1))
    signs = combine(log_odds, given)
    q = signs.proba[:, None]
    mixed = (1 - q) * both[0].type_proba + q * both[1].type_proba
    free = type_posterior(prior, estimate, variance)
    proba = np.where(synapse[..., None], mixed, free.type_proba)
    return free._replace(type_proba=proba), signs


def with_signs(prior: OneHotPrior, signs: Signs, synapse: NDArray[np.bool_]) -> OneHotPrior:
    """Divide the prior's connections between the types as the neurons' signs are."""
    q = signs.proba[:, None]
    divided = (1 - q) * _only(prior, 0).type_proba + q * _only(prior, 2).type_proba
    return prior._replace(type_proba=np.where(synapse[..., None], divided, prior.type_proba))


def _only(prior: OneHotPrior, side: int) -> OneHotPrior:
    """Make all connections that exist of one type."""
    proba = np.zeros_like(prior.type_proba)
    proba[..., 1] = prior.type_proba[..., 1]
    proba[..., side] = prior.type_proba[..., 0] + prior.type_proba[..., 2]
    return prior._replace(type_proba=proba)
