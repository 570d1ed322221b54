"""Dale's law: all outgoing couplings of a neuron have one sign, in all states.

The sign of a presynaptic neuron is inferred from the evidence about all its couplings
together, ``p(sign) ∝ rho_sign prod_{s,n} p(data about W[s,n] | sign)``, with rho the
part of the neurons that are excitatory.  Self-histories are no synapses and take no part.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr, logit

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
    """Signs under a half-normal prior over the size of every weight.

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
    where = synapse[None, :, :, None]
    slab = _slab_variance(estimate[:, synapse], variance[:, synapse])
    ratio = estimate / variance / np.sqrt(1 / slab + 1 / variance)
    odds = log_ndtr(ratio) - log_ndtr(-ratio)
    return combine(np.where(where, odds, 0.0).sum((0, 1, 3)), given)


def _slab_variance(estimate: Floats, variance: Floats) -> Floats:
    """Maximum likelihood, by EM, of the weights' own variance: (basis,) from (..., basis)."""
    slab = np.full(estimate.shape[-1], 0.1)
    for _ in range(50 if estimate.size else 0):
        rest = 1 / (1 / slab + 1 / variance)
        slab = ((rest * estimate / variance) ** 2 + rest).mean((0, 1))
    return slab


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
