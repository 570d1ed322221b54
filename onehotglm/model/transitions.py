"""Dirichlet and sticky priors over transitions and initial states.

Rows of the transition matrix: ``A[i] ~ Dirichlet(concentration + stickiness * e_i)``;
initial probabilities: ``Dirichlet(concentration)``.  Concentrations of at least one
keep the mode in the open simplex or on its border (Fox et al. 2011 for the sticky form).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class TransitionPrior(NamedTuple):
    """Pseudo-counts.

    Attributes
    ----------
    concentration : float
        Parameter of every entry, at least 1.
    stickiness : float
        Added to the parameter of staying in a state.
    input_ridge : float
        Precision of the weights of inputs that drive transitions.
    """

    concentration: float | Array
    stickiness: float | Array
    input_ridge: float | Array = 0.0


def pseudo_counts(prior: TransitionPrior, n_states: int) -> Array:
    """Count what the prior adds to the transitions, shape (state, next_state)."""
    extra = prior.concentration - 1.0
    return extra + prior.stickiness * jnp.eye(n_states)


def most_probable(
    prior: TransitionPrior,
    transition_counts: Float[Array, "state next_state"],
    initial_counts: Float[Array, " state"],
) -> tuple[Float[Array, "state next_state"], Float[Array, " state"]]:
    """Transition matrix and initial probabilities that maximise the expected log posterior.

    Parameters
    ----------
    prior : TransitionPrior
    transition_counts : array, shape (state, next_state)
        Expected transitions.
    initial_counts : array, shape (state,)
        Expected session starts.

    Returns
    -------
    transition : array, shape (state, next_state)
        A state without counts gets a row of equal probabilities.
    initial : array, shape (state,)
    """
    n_states = initial_counts.size
    rows = transition_counts + pseudo_counts(prior, n_states)
    start = initial_counts + prior.concentration - 1.0
    return _normalize(rows), _normalize(start)


def _normalize(counts: Array) -> Array:
    total = counts.sum(-1, keepdims=True)
    equal = jnp.full_like(counts, 1.0 / counts.shape[-1])
    return jnp.where(total > 0, counts / jnp.where(total > 0, total, 1.0), equal)


def log_density(
    prior: TransitionPrior,
    transition: Float[Array, "state next_state"],
    initial: Float[Array, " state"],
) -> Float[Array, ""]:
    """Log prior density of transitions and initial probabilities, up to a constant."""
    counts = pseudo_counts(prior, initial.size)

    def weighted(count, probability):
        # 0 log 0 = 0: a flat prior has no opinion about an impossible transition.
        return jnp.where(count > 0, count * jnp.log(probability), 0.0)

    start = weighted(prior.concentration - 1.0, initial)
    return weighted(counts, transition).sum() + start.sum()
