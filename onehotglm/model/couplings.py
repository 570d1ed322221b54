"""Priors over the couplings as numpyro distributions, and how posteriors differ from them.

Each distribution is over all regression coefficients (state, post, column) at once:
biases in column 0, weights in the others (`onehotglm.model.params`).  What can be
summed out in closed form is: the state-constant couplings of the Gaussian prior, and
the shared type probabilities of the one-hot prior.  A weight of the one-hot prior is
exactly zero where its connection is absent.

Hyperpriors are those of `onehotglm.model.priors`, so EM and variational inference
fit the same model.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln, log_ndtr, xlogy
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from onehotglm.kernels import truncated
from onehotglm.model import priors

_LOG_2PI = 1.8378770664093453


class Layout(NamedTuple):
    """What every prior over couplings knows.

    Attributes
    ----------
    bias_mean : array, shape (post,)
    bias_precision : scalar
    free : bool array, shape (post, weight)
        False where a coupling is excluded; weights are (pre, basis) flattened.
    shared_bias : bool
        The bias of state 0 holds in all states; its prior counts once per state.
    """

    bias_mean: Float[Array, " post"]
    bias_precision: float | Array
    free: Bool[Array, "post weight"]
    shared_bias: bool

    def tie(self, coefficients: Float[Array, "state post column"]) -> Array:
        """Share the bias where it is shared; hold excluded couplings at zero."""
        bias, weights = coefficients[..., :1], coefficients[..., 1:]
        if self.shared_bias:
            bias = jnp.broadcast_to(bias[..., :1, :, :], bias.shape)
        return jnp.concatenate([bias, jnp.where(self.free, weights, 0.0)], axis=-1)

    def bias_sd(self, n_states: int) -> Array:
        """Prior standard deviation of the bias that counts."""
        times = n_states if self.shared_bias else 1
        return jnp.sqrt(1.0 / (times * jnp.asarray(self.bias_precision)))


class Normals(NamedTuple):
    """Independent normal marginals, arrays of one shape."""

    loc: Array
    scale: Array

    def quantile(self, z: Array) -> Array:
        """Value at the probability ``Phi(z)``."""
        return self.loc + self.scale * z

    def mean_and_sd(self) -> tuple[Array, Array]:
        """First moments."""
        return self.loc, self.scale


class SpikeSlabs(NamedTuple):
    """Spike-and-slab marginals of weights.

    Attributes
    ----------
    log_proba : array, shape (state, post, weight, type)
    loc, scale : array, shape (2, state, post, weight)
        Of the strengths, truncated to positive values: inhibitory, excitatory.
    """

    log_proba: Array
    loc: Array
    scale: Array

    def quantile(self, z: Array) -> Array:
        """Value at the probability ``Phi(z)``."""
        return truncated.spike_slab_quantile(z, *self)

    def mean_and_sd(self) -> tuple[Array, Array]:
        """First moments over types and strengths."""
        first, second = truncated.moments(self.loc, self.scale)
        proba = jnp.exp(self.log_proba)
        inhibitory, excitatory = proba[..., 0], proba[..., 2]
        mean = excitatory * first[1] - inhibitory * first[0]
        square = excitatory * second[1] + inhibitory * second[0]
        return mean, jnp.sqrt(jnp.maximum(square - mean**2, 0.0))


class Couplings(dist.Distribution):
    """Common part of the priors: independent normal biases.

    Subclasses add `weight_log_prob` and `weight_divergence`.
    """

    support = dist.constraints.independent(dist.constraints.real, 3)

    def __init__(self, layout: Layout, n_states: int):
        self.layout = layout
        n_neurons, n_weights = layout.free.shape
        super().__init__(event_shape=(n_states, n_neurons, 1 + n_weights))

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.event_shape[0]

    def log_prob(self, value: Array, intermediates: None = None) -> Array:
        """Log density of coefficients; excluded and untied ones are standard normal."""
        bias = value[..., 0] - self.layout.bias_mean
        sd = self.layout.bias_sd(self.n_states)
        total = _log_normal(bias, sd).sum()
        return total + self.weight_log_prob(value[..., 1:])

    def divergence(self, bias: Normals, weights: Normals | SpikeSlabs) -> Array:
        """Kullback-Leibler divergence of independent marginals from the prior, in nats.

        Parameters
        ----------
        bias : Normals, shape (state, post)
        weights : Normals or SpikeSlabs, shape (state, post, weight)

        Returns
        -------
        scalar
        """
        if self.layout.shared_bias:
            bias = Normals(bias.loc[:1], bias.scale[:1])
        sd = self.layout.bias_sd(self.n_states)
        squares = (bias.loc - self.layout.bias_mean) ** 2 + bias.scale**2
        of_bias = 0.5 * (squares / sd**2 - 1) + jnp.log(sd / bias.scale)
        per_weight = self.weight_divergence(weights)
        return of_bias.sum() + jnp.where(self.layout.free, per_weight, 0.0).sum()

    def weight_log_prob(self, weights: Array) -> Array:
        """Log density of the weights (state, post, weight), a scalar."""
        raise NotImplementedError

    def weight_divergence(self, weights: Any) -> Array:
        """Divergence of all states' marginals of each connection, shape (post, weight)."""
        raise NotImplementedError


class RidgeCouplings(Couplings):
    """``W ~ Normal(0, 1 / ridge)``."""

    def __init__(self, layout: Layout, n_states: int, ridge: float | Array):
        self.sd = jnp.sqrt(1.0 / jnp.asarray(ridge))
        super().__init__(layout, n_states)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw coefficients."""
        z = jax.random.normal(key, (*sample_shape, *self.event_shape))
        return _with_bias(self, z, self.sd * z[..., 1:])

    def weight_log_prob(self, weights: Array) -> Array:
        """Log density of the weights."""
        return _log_normal(weights, jnp.where(self.layout.free, self.sd, 1.0)).sum()

    def weight_divergence(self, weights: Normals) -> Array:
        """Divergence, shape (post, weight)."""
        squares = weights.loc**2 + weights.scale**2
        return (0.5 * (squares / self.sd**2 - 1) + jnp.log(self.sd / weights.scale)).sum(0)


class GaussianCouplings(Couplings):
    """``W[s] ~ Normal(W0, variance)`` with ``W0 ~ Normal(0, mean_sd^2)`` summed out.

    The states of one connection are then jointly normal with covariance
    ``variance I + mean_sd^2 1 1'``.

    Parameters
    ----------
    layout : Layout
    n_states : int
    variance, mean_sd : array, shape (post, weight) each, or such that they broadcast to it
    """

    def __init__(self, layout: Layout, n_states: int, variance: Array, mean_sd: Array):
        self.scatter, self.mean_sd = variance, jnp.broadcast_to(mean_sd, variance.shape)
        super().__init__(layout, n_states)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw coefficients."""
        key, other = jax.random.split(key)
        z = jax.random.normal(key, (*sample_shape, *self.event_shape))
        shared = jax.random.normal(other, (*sample_shape, 1, *self.scatter.shape))
        weights = self.mean_sd * shared + jnp.sqrt(self.scatter) * z[..., 1:]
        return _with_bias(self, z, weights)

    def _expected(self, sum_of_squares: Array, square_of_sum: Array) -> Array:
        """Log density per connection from moments over states."""
        total = self.scatter + self.n_states * self.mean_sd**2
        quadratic = (sum_of_squares - self.mean_sd**2 / total * square_of_sum) / self.scatter
        log_det = (self.n_states - 1) * jnp.log(self.scatter) + jnp.log(total)
        return -0.5 * (quadratic + log_det + self.n_states * _LOG_2PI)

    def weight_log_prob(self, weights: Array) -> Array:
        """Log density of the weights."""
        per_connection = self._expected((weights**2).sum(0), weights.sum(0) ** 2)
        excluded = _log_normal(weights, 1.0).sum(0)
        return jnp.where(self.layout.free, per_connection, excluded).sum()

    def weight_divergence(self, weights: Normals) -> Array:
        """Divergence, shape (post, weight)."""
        squares = weights.scale**2
        expected = self._expected(
            (weights.loc**2 + squares).sum(0), weights.loc.sum(0) ** 2 + squares.sum(0)
        )
        entropy = (jnp.log(weights.scale) + 0.5 * (1 + _LOG_2PI)).sum(0)
        return -entropy - expected

    def shared_mean(self, weights_mean: Array) -> Array:
        """Posterior mean of W0 given the weights' mean (state, post, weight)."""
        part = self.mean_sd**2 / (self.scatter + self.n_states * self.mean_sd**2)
        return part * weights_mean.sum(0)


class OneHotCouplings(Couplings):
    """Types drawn per state from shared probabilities, strengths from truncated normals.

    The shared probabilities ``pi ~ Dirichlet(TYPE_PSEUDO_STATES * type_share)`` of a
    connection are summed out: its types in all states then follow a
    Dirichlet-multinomial.  The density is over a measure with an atom at zero.

    Parameters
    ----------
    layout : Layout
        With one weight per pair of neurons.
    n_states : int
    type_share : array, shape (type,)
        Proportions of inhibitory, absent and excitatory over all connections.
    slab_mean, slab_sd : array, shape (2,)
        Inhibitory, excitatory.
    """

    def __init__(
        self, layout: Layout, n_states: int, type_share: Array, slab_mean: Array, slab_sd: Array
    ):
        self.slab_mean, self.slab_sd = slab_mean, slab_sd
        self.concentration = priors.TYPE_PSEUDO_STATES * type_share
        super().__init__(layout, n_states)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw coefficients."""
        key, other = jax.random.split(key)
        shape = (*sample_shape, *self.layout.free.shape)
        proba = jax.random.dirichlet(other, self.concentration, shape)
        z = jax.random.normal(key, (*sample_shape, *self.event_shape))
        return self.from_noise(z, proba[..., None, :, :, :])

    def from_noise(self, z: Array, type_proba: Float[Array, "... post weight type"]) -> Array:
        """Coefficients as a continuous function of standard normals and type probabilities.

        Parameters
        ----------
        z : array, shape (state, post, column)
        type_proba : array, shape (post, weight, type) or (state, post, weight, type)

        Returns
        -------
        array, shape (state, post, column)
            With the distribution that `type_proba` and the slabs say.
        """
        log_proba = jnp.log(jnp.maximum(type_proba, jnp.finfo(z.dtype).tiny))
        slabs = (x.reshape((2,) + (1,) * z.ndim) for x in (self.slab_mean, self.slab_sd))
        marginals = SpikeSlabs(log_proba, *slabs)
        return _with_bias(self, z, marginals.quantile(z[..., 1:]))

    def weight_log_prob(self, weights: Array) -> Array:
        """Log density of the weights; types are their signs."""
        types = jnp.stack([weights < 0, weights == 0, weights > 0], axis=-1).astype(weights.dtype)
        side = (weights > 0).astype(int)
        mean, sd = self.slab_mean[side], self.slab_sd[side]
        slab = _log_normal(jnp.abs(weights) - mean, sd) - log_ndtr(mean / sd)
        strengths = jnp.where(weights == 0, 0.0, slab).sum(0)
        per_connection = strengths + self.log_types(types)
        return jnp.where(self.layout.free, per_connection, 0.0).sum()

    def weight_divergence(self, weights: SpikeSlabs) -> Array:
        """Divergence, shape (post, weight)."""
        proba = jnp.exp(weights.log_proba)
        prior = (x[:, None, None, None] for x in (self.slab_mean, self.slab_sd))
        slabs = truncated.divergence(weights.loc, weights.scale, *prior)
        strengths = proba[..., 0] * slabs[0] + proba[..., 2] * slabs[1]
        negative_entropy = xlogy(proba, proba).sum(-1)
        return (strengths + negative_entropy).sum(0) - self.log_types(proba)

    def log_types(self, proba: Float[Array, "state post weight type"]) -> Array:
        """Take the expected log probability of the states' types, independent under `proba`.

        The Dirichlet-multinomial's logarithm is a sum over types of functions of the
        number of states with that type, whose distribution is a Poisson binomial.
        """
        n_states = self.n_states
        counts = _poisson_binomial(proba)
        n = jnp.arange(n_states + 1)[:, None, None, None]
        log_rising = gammaln(n + self.concentration) - gammaln(self.concentration)
        total = self.concentration.sum()
        expected = (counts * log_rising).sum((0, -1))
        return gammaln(total) - gammaln(total + n_states) + expected

    def shared_type_proba(self, proba: Float[Array, "state post weight type"]) -> Array:
        """Posterior mean of the shared probabilities given the states' types."""
        total = proba.sum(0) + self.concentration
        return total / total.sum(-1, keepdims=True)


def _log_normal(deviation: Array, sd: Array | float) -> Array:
    return -0.5 * (deviation / sd) ** 2 - jnp.log(sd) - 0.5 * _LOG_2PI


def _with_bias(prior: Couplings, z: Array, weights: Array) -> Array:
    bias = prior.layout.bias_mean + prior.layout.bias_sd(prior.n_states) * z[..., 0]
    return jnp.concatenate([bias[..., None], weights], axis=-1)


def _poisson_binomial(proba: Float[Array, "state ..."]) -> Float[Array, "count ..."]:
    """Distribution of the number of successes in independent trials along axis 0."""
    n_trials = proba.shape[0]
    counts = jnp.zeros((n_trials + 1, *proba.shape[1:]), proba.dtype).at[0].set(1.0)
    for p in proba:
        counts = counts * (1 - p) + jnp.roll(counts, 1, axis=0).at[0].set(0.0) * p
    return counts
