"""Chains whose transitions depend on an input, by way of homogeneous ones.

An input drives the chain into states (input-output hidden Markov model, Bengio & Frasconi
1994; in this form Calhoun, Pillow & Murthy 2019):

    p(z_t = j | z_{t-1} = i, v_t) = A[i, j] exp(d_t(j)) / Z_t(i),
    Z_t(i) = sum_j A[i, j] exp(d_t(j)),

with the drive ``d_t(j) = weights[j] . v_t``.  As Z depends on the state that is left only, the
factors can be given to the bins: the homogeneous chain A with the log-likelihoods

    l'_t(j) = l_t(j) + d_t(j) - log Z_{t+1}(j)

(d at all bins but the first of a session, Z at all but the last) gives every path the same
probability.  So `onehotglm.kernels.hmm` and `hmm_scan` smooth, decode, sample and count
transitions of the driven chain exactly; only what is to be causal has to take the future's Z
out again (`causal`).
"""

import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from onehotglm.kernels.hmm import Filtered


def log_partition(
    transition: Float[Array, "state state"], drive: Float[Array, "time state"]
) -> Float[Array, "time state"]:
    """``log Z_t(i)``.

    Parameters
    ----------
    transition : array, shape (state, state)
        A; rows sum to one.
    drive : array, shape (time, state)

    Returns
    -------
    array, shape (time, state)
        State: the one before.
    """
    return logsumexp(jnp.log(transition) + drive[:, None, :], axis=-1)


def _shares(
    transition: Array, drive: Array, starts: Bool[Array, " time"]
) -> tuple[Float[Array, "time state"], Float[Array, "time state"]]:
    """Give what a bin gains from the step that leads to it, and loses to the one from it."""
    starts = starts.at[0].set(True)[:, None]
    gained = jnp.where(starts, 0.0, drive)
    lost = jnp.where(starts, 0.0, log_partition(transition, drive))
    return gained, jnp.roll(lost, -1, axis=0)


def as_homogeneous(
    transition: Float[Array, "state state"],
    drive: Float[Array, "time state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Float[Array, "time state"]:
    """Log-likelihoods with which the homogeneous chain is the driven one.

    Parameters
    ----------
    transition : array, shape (state, state)
        A; rows sum to one.
    drive : array, shape (time, state)
        Into which state the input drives; at starts it has no meaning.
    log_lik : array, shape (time, state)
    starts : bool array, shape (time,)
        True at the first bin of every session (bin 0 always counts as one).

    Returns
    -------
    array, shape (time, state)
        Sums of a session's log normalizers stay what they are; those of single bins do not.
    """
    gained, lost = _shares(transition, drive, starts)
    return log_lik + gained - lost


def causal(
    filtered: Filtered,
    transition: Float[Array, "state state"],
    drive: Float[Array, "time state"],
    log_lik: Float[Array, "time state"],
    starts: Bool[Array, " time"],
) -> Filtered:
    """Take the next bin's input out of what a filter found with `as_homogeneous`.

    Parameters
    ----------
    filtered : Filtered
        Of the homogeneous chain with log-likelihoods from `as_homogeneous`.
    transition, drive, starts
        As given to it.
    log_lik : array, shape (time, state)
        Of the observations, as given to it.

    Returns
    -------
    Filtered
        ``predicted`` knows the input of its own bin, ``probabilities`` that of no later one.

    Notes
    -----
    With a message ``m_t(i) = p(z_t = i | x_1..x_t) / Z_{t+1}(i)`` up to a factor, the next
    state's probability is ``sum_i m_t(i) A[i, j]`` times ``exp(d_{t+1}(j))``, again up to one.
    """
    gained, lost = _shares(transition, drive, starts)
    log_predicted = _log_normalized(jnp.log(filtered.predicted) + gained)
    log_proba = _log_normalized(jnp.log(filtered.probabilities) + lost)
    normalizers = logsumexp(log_predicted + log_lik, axis=-1)
    return Filtered(
        filtered.log_likelihood, normalizers, jnp.exp(log_proba), jnp.exp(log_predicted)
    )


def _log_normalized(log_weights: Array) -> Array:
    return log_weights - logsumexp(log_weights, axis=-1, keepdims=True)
