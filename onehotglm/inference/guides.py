"""Guides: families of distributions that variational inference chooses the posterior from.

All of them give every weight of the one-hot prior a categorical over types and, given
the type, a truncated normal strength; without types, a normal.  They differ in the
correlations, by a Gaussian copula: standard normal scores z, correlated or not, and
each coefficient the quantile of its own marginal at ``Phi(z)``.

- ``mean_field``: independent scores.
- ``low_rank``: a few common factors of all scores, of all states and neurons.
- ``structured``: any correlations within a regression, that is between the bias and all
  weights onto one neuron in one state, where the data correlate them.  Under the Gaussian
  prior also between the states, which it ties (`onehotglm.inference.sites`; no copula then).

With scores of correlation R the divergence from a prior with independent weights is
``-log det(R) / 2`` plus that of the marginals: exact, without sampling.  (Where a type
is absent, only the score's being between two thresholds matters; what the scores say
beyond that makes the bound a little looser, never wrong.)

Parameters are relative to an anchor, the fit by EM: locations in units of its standard
deviations, scales in its own.  So one learning rate suits all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.distributions.kl import kl_divergence

from onehotglm.inference.sites import Sites, SitesGuide, absolute_sites
from onehotglm.model.couplings import Couplings, Normals, SpikeSlabs
from onehotglm.model.generative import Constants, Shape, prior_over_couplings

GUIDES = ("mean_field", "low_rank", "structured")
# Common factors of the low-rank guide.
RANK = 8


class Marginals(NamedTuple):
    """Parameters of the coefficients' marginals, or their anchor.

    Attributes
    ----------
    bias_loc, bias_log_scale : array, shape (state, post)
    loc, log_scale : array, shape ([side,] state, post, weight)
        With the one-hot prior side: inhibitory, excitatory.
    type_logits : array, shape (state, post, weight, type), or None
    """

    bias_loc: Array
    bias_log_scale: Array
    loc: Array
    log_scale: Array
    type_logits: Array | None


class GuideParams(NamedTuple):
    """What variational inference optimises.

    Attributes
    ----------
    marginals : Marginals or Sites
        Relative to the anchor, except for the types' logits.  Sites for "structured" under
        the Gaussian prior.
    correlation : array, or None
        Shape (state, post, column, column) for "structured" without sites, (state, post,
        column, rank) for "low_rank".
    transition, initial : array, shape (state, next_state), (state,)
        Log concentrations of Dirichlet distributions.
    hyper : dict of str to (array, array) or array
        Location and log scale (normal or log-normal sites), or log concentrations.
    """

    marginals: Any
    correlation: Any
    transition: Array
    initial: Array
    hyper: dict


def absolute(params: Marginals, anchor: Marginals) -> tuple[Normals, Normals | SpikeSlabs]:
    """Marginals of biases (state, post) and of weights (state, post, weight)."""
    bias_scale = jnp.exp(anchor.bias_log_scale)
    bias = Normals(
        anchor.bias_loc + bias_scale * params.bias_loc, bias_scale * jnp.exp(params.bias_log_scale)
    )
    scale = jnp.exp(anchor.log_scale)
    weights = anchor.loc + scale * params.loc, scale * jnp.exp(params.log_scale)
    if params.type_logits is None:
        return bias, Normals(*weights)
    return bias, SpikeSlabs(jax.nn.log_softmax(params.type_logits), *weights)


class SmoothDirichlet(dist.Dirichlet):
    """Dirichlet distribution whose draws are cheap differentiable functions of noise.

    A gamma variable of shape a is one of shape ``a + 4`` times powers of uniform
    variables; that one is drawn by Marsaglia and Tsang's cube of a normal without the
    rejection, which then has a probability below 0.3 % (Naesseth et al. 2017).
    """

    _N_LIFTS = 4

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw probabilities."""
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        normal, uniform = jax.random.split(key)
        a, dtype = self.concentration, self.concentration.dtype
        d = a + self._N_LIFTS - 1 / 3
        z = jax.random.normal(normal, shape, dtype)
        log_gamma = jnp.log(d) + 3 * jnp.log(jnp.maximum(1 + z / jnp.sqrt(9 * d), 1e-3))
        lifts = -jax.random.exponential(uniform, (self._N_LIFTS, *shape), dtype)
        orders = jnp.arange(self._N_LIFTS, dtype=dtype).reshape((-1,) + (1,) * len(shape))
        return jax.nn.softmax(log_gamma + (lifts / (a + orders)).sum(0))


class CouplingGuide(dist.Distribution):
    """Marginals joined by a Gaussian copula, over coefficients (state, post, column).

    Parameters
    ----------
    bias, weights : marginals
    correlation : array or None
        As in `GuideParams`; which guide it is follows from `guide`.
    guide : str
        One of `GUIDES`.
    """

    support = dist.constraints.independent(dist.constraints.real, 3)

    def __init__(
        self,
        bias: Normals,
        weights: Normals | SpikeSlabs,
        correlation: Any,
        guide: str,
    ):
        self.bias, self.weights = bias, weights
        self.correlation, self.guide = correlation, guide
        n_weights = weights.loc.shape[-1]
        super().__init__(event_shape=(*bias.loc.shape, 1 + n_weights))

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw coefficients, differentiable in all parameters."""
        key, other = jax.random.split(key)
        dtype = self.bias.loc.dtype
        z = jax.random.normal(key, (*sample_shape, *self.event_shape), dtype)
        if self.guide == "structured":
            z = jnp.einsum("...ij,...j->...i", cholesky_rows(self.correlation), z)
        elif self.guide == "low_rank":
            rank = self.correlation.shape[-1]
            common = jax.random.normal(other, (*sample_shape, rank), dtype)
            shift = jnp.einsum("snck,...k->...snc", self.correlation, common)
            z = (z + shift) / jnp.sqrt(1 + (self.correlation**2).sum(-1))
        bias, weights = self.bias.quantile(z[..., 0]), self.weights.quantile(z[..., 1:])
        return jnp.concatenate([bias[..., None], weights], axis=-1)

    def correlation_cost(self) -> Array:
        """``-log det(R) / 2`` of the scores, in nats."""
        if self.guide == "structured":
            factor = cholesky_rows(self.correlation)
            return -jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()
        if self.guide == "low_rank":
            rank = self.correlation.shape[-1]
            flat = self.correlation.reshape(-1, rank)
            inner = jnp.eye(rank, dtype=flat.dtype) + flat.T @ flat
            common = jnp.linalg.slogdet(inner)[1]
            return 0.5 * (jnp.log1p((flat**2).sum(-1)).sum() - common)
        return jnp.zeros((), self.bias.loc.dtype)

    def log_prob(self, value: Array, intermediates: None = None) -> Array:
        """Not needed: divergences from the priors are known exactly."""
        raise NotImplementedError


def _divergence(guide: CouplingGuide, prior: Couplings) -> Array:
    return guide.correlation_cost() + prior.divergence(guide.bias, guide.weights)


kl_divergence.add((CouplingGuide, Couplings), _divergence)


def cholesky_rows(
    parameters: Float[Array, "... column column"],
) -> Float[Array, "... column column"]:
    """Cholesky factor of a correlation matrix from what is below the diagonal of any matrix.

    Examples
    --------
    >>> factor = cholesky_rows(jnp.array([[0.0, 9.0], [1.0, 9.0]]))
    >>> (factor @ factor.T).round(3).tolist()
    [[1.0, 0.707...], [0.707..., 1.0]]
    """
    below = jnp.tril(parameters, -1)
    length = jnp.sqrt(1 + (below**2).sum(-1, keepdims=True))
    return (below + jnp.eye(parameters.shape[-1], dtype=parameters.dtype)) / length


def program(
    params: GuideParams,
    anchor: Any,
    constants: Constants,
    shape: Shape,
    guide: str,
) -> None:
    """Guide of `onehotglm.model.generative.switching_glm` as a numpyro program.

    Parameters
    ----------
    params : GuideParams
    anchor : Marginals or Sites
    constants : Constants
    shape : Shape
    guide : str
        One of `GUIDES`.
    """
    numpyro.sample("transition", SmoothDirichlet(jnp.exp(params.transition)).to_event(1))
    numpyro.sample("initial", SmoothDirichlet(jnp.exp(params.initial)))
    hyper = {
        name: numpyro.sample(name, family(params.hyper[name]))
        for name, family in _FAMILIES[shape.prior].items()
    }
    numpyro.sample("coefficients", _couplings(params, anchor, hyper, constants, shape, guide))


def _couplings(
    params: GuideParams,
    anchor: Any,
    hyper: dict[str, Array],
    constants: Constants,
    shape: Shape,
    guide: str,
) -> CouplingGuide | SitesGuide:
    if isinstance(params.marginals, Sites):
        prior = prior_over_couplings(hyper, constants, shape)
        return SitesGuide(absolute_sites(params.marginals, anchor), prior)
    return CouplingGuide(*absolute(params.marginals, anchor), params.correlation, guide)


def _normal(params: tuple[Array, Array]) -> dist.Distribution:
    return dist.Normal(params[0], jnp.exp(params[1])).to_event(params[0].ndim)


def _log_normal(params: tuple[Array, Array]) -> dist.Distribution:
    return dist.LogNormal(params[0], jnp.exp(params[1])).to_event(params[0].ndim)


def _dirichlet(log_concentration: Array) -> dist.Distribution:
    return SmoothDirichlet(jnp.exp(log_concentration))


# prior -> distribution of each hyperparameter, in the model's order
_FAMILIES: dict[str, dict[str, Callable[..., dist.Distribution]]] = {
    "none": {},
    "gaussian": {"mean_sd": _log_normal, "variance": _log_normal},
    "one-hot": {"type_share": _dirichlet, "slab_mean": _normal, "slab_sd": _log_normal},
}
