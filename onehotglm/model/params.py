"""Parameters, and the one border between what users read and what inference works on.

Users read weights (state, post, pre, basis), biases (state, neuron) and
probabilities.  Inference keeps one row of regression coefficients per state and
postsynaptic neuron: column 0 is the bias, column ``1 + m * n_basis + k`` the weight
of basis function k of neuron m's history, and the last columns are those of covariates,
as in `Chunk.design`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Params(NamedTuple):
    """Parameters of the switching GLM.

    Attributes
    ----------
    coefficients : array, shape (state, post, column)
        Bias and weights of every state's regression.
    transition : array, shape (state, next_state)
        Row-stochastic.
    initial : array, shape (state,)
        Probabilities of the first state of a session.
    dispersion : array, shape (post,), or None
        Of observations that have one, see `onehotglm.kernels.observations`.
    transition_weights : array, shape (state, input), or None
        Of inputs that drive transitions into a state, see `onehotglm.kernels.hmm_driven`; then
        `transition` is where the inputs are zero.
    """

    coefficients: Float[Array, "state post column"]
    transition: Float[Array, "state next_state"]
    initial: Float[Array, " state"]
    dispersion: Float[Array, " post"] | None = None
    transition_weights: Float[Array, "state input"] | None = None

    @property
    def bias(self) -> Array:
        """Biases, shape (state, post)."""
        return self.coefficients[..., 0]

    def with_weights(self, weights: Array) -> "Params":
        """Copy with other weights, (state, post, pre, basis)."""
        flat = jnp.reshape(weights, (*weights.shape[:2], -1))
        coefficients = self.coefficients.at[..., 1 : 1 + flat.shape[-1]].set(flat)
        return self._replace(coefficients=coefficients)

    def weights(self, n_basis: int, n_covariates: int = 0) -> Array:
        """Weights, shape (state, post, pre, basis)."""
        n_states, n_neurons, n_columns = self.coefficients.shape
        flat = self.coefficients[..., 1 : n_columns - n_covariates]
        return flat.reshape(n_states, n_neurons, -1, n_basis)

    def covariate_weights(self, n_covariates: int) -> Array:
        """Effects of covariates, shape (state, post, covariate)."""
        return self.coefficients[..., self.coefficients.shape[-1] - n_covariates :]


def from_weights(
    bias: Array,
    weights: Array,
    transition: Array,
    initial: Array,
    covariate_weights: Array | None = None,
) -> Params:
    """Pack what users read into `Params`.

    Parameters
    ----------
    bias : array, shape (state, post)
    weights : array, shape (state, post, pre, basis)
    transition : array, shape (state, next_state)
    initial : array, shape (state,)
    covariate_weights : array, shape (state, post, covariate), optional

    Returns
    -------
    Params
    """
    flat = jnp.reshape(weights, (*weights.shape[:2], -1))
    columns = [bias[..., None], flat]
    if covariate_weights is not None:
        columns.append(covariate_weights)
    return Params(jnp.concatenate(columns, axis=-1), transition, initial)
