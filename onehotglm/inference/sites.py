"""The structured guide under the Gaussian prior: the prior itself, times Gaussian sites.

Under that prior the couplings of all states hang together through their mean ``W0``, the
more the smaller their spread.  The guide keeps this: a Gaussian *site* per state and
neuron stands in for the likelihood, and given the hyperparameters the coefficients are
what prior and sites make of each other,

``q(W | hyper) = p(W | hyper) prod_s site_s(W_s) / Z(hyper)``,

a Gaussian over all states of a neuron together.  Given W0 the states are independent, so
no matrix is larger than that of one regression.  Averaged over the guide of the
hyperparameters, marginals have the tails that an unknown spread gives them.

The divergence from the prior is ``E_q[log site] - log Z``.  As ``log Z`` is the cumulant
function of the sites, the first term is its slope as the sites grow in proportion.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.distributions.kl import kl_divergence

from onehotglm.model.couplings import GaussianCouplings


class Sites(NamedTuple):
    """Likelihoods ``exp(shift . u - |factor^T u|^2 / 2)`` of coefficients u.

    u are the coefficients less the prior mean of the biases.

    Attributes
    ----------
    shift : array, shape (state, post, column)
    factor : array, shape (state, post, column, column)
        Lower triangular.
    """

    shift: Float[Array, "state post column"]
    factor: Float[Array, "state post column column"]


class TiedPrior(NamedTuple):
    """The Gaussian prior, given its hyperparameters.

    Attributes
    ----------
    precision : array, shape (post, column)
        Of the coefficients given W0.
    shared_precision : array, shape (post, weight)
        Of W0.
    """

    precision: Float[Array, "post column"]
    shared_precision: Float[Array, "post weight"]


class Conditional(NamedTuple):
    """Coefficients given the hyperparameters.

    Attributes
    ----------
    mean : array, shape (state, post, column)
        With W0 at zero.
    factor : array, shape (state, post, column, column)
        Cholesky factor of the precision given W0.
    covariance : array, shape (state, post, column, column)
        Given W0.
    pull : array, shape (state, post, column, weight)
        How the mean follows W0.
    shared_mean : array, shape (post, weight)
        Of W0.
    shared_factor : array, shape (post, weight, weight)
        Cholesky factor of its precision.
    log_evidence : scalar
        ``log Z``.
    """

    mean: Array
    factor: Array
    covariance: Array
    pull: Array
    shared_mean: Array
    shared_factor: Array
    log_evidence: Array

    def draw(self, noise: Array, shared_noise: Array) -> Array:
        """Coefficients from standard normals (state, post, column) and (post, weight)."""
        shared = self.shared_mean + _backward(self.shared_factor, shared_noise)
        return self._given(shared) + _backward(self.factor, noise)

    def moments(self) -> tuple[Array, Array]:
        """Mean (state, post, column) and covariance (state, post, column, column)."""
        factor = jnp.broadcast_to(self.shared_factor, (len(self.pull), *self.shared_factor.shape))
        spread = _forward(factor, jnp.swapaxes(self.pull, -1, -2))
        covariance = self.covariance + jnp.swapaxes(spread, -1, -2) @ spread
        return self._given(self.shared_mean), covariance

    def _given(self, shared: Array) -> Array:
        return self.mean + jnp.einsum("sncw,nw->snc", self.pull, shared)


def _each(function: Callable[..., Array], *matrices: Array) -> Array:
    """Apply a function to one matrix of a stack after the other.

    Stacks are factorised by several threads that wait for each other; where a program has
    several such stacks at once, all threads may wait, for ever.
    """
    lead = matrices[0].shape[:-2]
    flat = tuple(x.reshape(-1, *x.shape[-2:]) for x in matrices)
    out = lax.map(lambda one: function(*one), flat)
    return out.reshape(*lead, *out.shape[1:])


def _backward(factor: Array, noise: Array) -> Array:
    solve = partial(solve_triangular, trans=1, lower=True)
    return _each(solve, factor, noise[..., None])[..., 0]


def _forward(factor: Array, columns: Array) -> Array:
    return _each(partial(solve_triangular, lower=True), factor, columns)


def _solve(factor: Array, columns: Array) -> Array:
    return _each(lambda one, other: cho_solve((one, True), other), factor, columns)


def condition(
    shift: Float[Array, "state post column"],
    information: Float[Array, "state post column column"],
    prior: TiedPrior,
) -> Conditional:
    """Multiply prior and sites.

    Parameters
    ----------
    shift : array, shape (state, post, column)
    information : array, shape (state, post, column, column)
        Precisions of the sites.
    prior : TiedPrior

    Returns
    -------
    Conditional
    """
    eye = jnp.eye(shift.shape[-1], dtype=shift.dtype)
    factor = _each(jnp.linalg.cholesky, information + prior.precision[..., None] * eye)
    covariance = _solve(factor, jnp.broadcast_to(eye, factor.shape))
    mean = jnp.einsum("sncd,snd->snc", covariance, shift)
    weight = prior.precision[:, 1:]
    pull = covariance[..., 1:] * weight[:, None]
    # What the states tell about W0: the precision of each given it, less what stays unknown.
    told = weight[..., None] * (eye[1:, 1:] - pull[..., 1:, :])
    shared = told.sum(0) + prior.shared_precision[..., None] * eye[1:, 1:]
    shared_factor = _each(jnp.linalg.cholesky, shared)
    towards = (weight * mean[..., 1:]).sum(0)
    shared_mean = _solve(shared_factor, towards[..., None])[..., 0]
    log_evidence = (
        0.5 * len(shift) * jnp.log(prior.precision).sum()
        - _half_log_det(factor)
        + 0.5 * (shift * mean).sum()
        + 0.5 * jnp.log(prior.shared_precision).sum()
        - _half_log_det(shared_factor)
        + 0.5 * (towards * shared_mean).sum()
    )
    return Conditional(mean, factor, covariance, pull, shared_mean, shared_factor, log_evidence)


def _half_log_det(factor: Array) -> Array:
    return jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()


def absolute_sites(params: Sites, anchor: Sites) -> Sites:
    """Sites from what is optimised: changes in units of the anchor's standard deviations.

    Parameters
    ----------
    params : Sites
        Zero: the anchor.  Diagonals of the factors are logarithms.
    anchor : Sites
    """
    diagonal = jnp.exp(jnp.diagonal(params.factor, axis1=-2, axis2=-1))
    eye = jnp.eye(diagonal.shape[-1], dtype=diagonal.dtype)
    change = jnp.tril(params.factor, -1) + diagonal[..., None] * eye
    shift = anchor.shift + jnp.einsum("sncd,snd->snc", anchor.factor, params.shift)
    return Sites(shift, anchor.factor @ change)


class SitesGuide(dist.Distribution):
    """Coefficients (state, post, column) given the hyperparameters.

    Parameters
    ----------
    sites : Sites
    prior : GaussianCouplings
        With the hyperparameters that the guide drew.
    """

    support = dist.constraints.independent(dist.constraints.real, 3)

    def __init__(self, sites: Sites, prior: GaussianCouplings):
        layout = prior.layout
        self.centre = jnp.zeros(sites.shift.shape[1:], sites.shift.dtype)
        self.centre = self.centre.at[:, 0].set(layout.bias_mean)
        self.sites = heard(sites, prior)
        bias = jnp.broadcast_to(prior.layout.bias_sd(prior.n_states) ** -2, layout.bias_mean.shape)
        precision = jnp.concatenate([bias[:, None], 1 / prior.scatter], axis=1)
        self.prior = TiedPrior(precision, prior.mean_sd**-2.0)
        super().__init__(event_shape=sites.shift.shape)

    def condition(self) -> Conditional:
        """Coefficients less the prior mean of the biases."""
        shift, factor = self.sites
        return condition(shift, _information(factor), self.prior)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple = ()) -> Array:
        """Draw coefficients, differentiable in all parameters."""
        key, other = jax.random.split(key)
        dtype = self.centre.dtype
        noise = jax.random.normal(key, (*sample_shape, *self.event_shape), dtype)
        shared_shape = (*sample_shape, *self.prior.shared_precision.shape)
        draw = self.condition().draw
        for _ in sample_shape:
            draw = jax.vmap(draw)
        return self.centre + draw(noise, jax.random.normal(other, shared_shape, dtype))

    def divergence(self) -> Array:
        """From the prior with the same hyperparameters, in nats."""
        shift, factor = self.sites

        def log_evidence(shift, information):
            return condition(shift, information, self.prior).log_evidence

        sites = shift, _information(factor)
        value, slope = jax.jvp(log_evidence, sites, sites)
        return slope - value

    def log_prob(self, value: Array, intermediates: None = None) -> Array:
        """Not needed: the divergence from the prior is known exactly."""
        raise NotImplementedError


kl_divergence.add((SitesGuide, GaussianCouplings), lambda guide, prior: guide.divergence())


def heard(sites: Sites, prior: GaussianCouplings) -> Sites:
    """Drop what the likelihood does not depend on (`Layout.tie`)."""
    layout, shape = prior.layout, sites.shift.shape
    is_state = jnp.arange(shape[0]) == 0 if layout.shared_bias else jnp.ones(shape[0], bool)
    bias = jnp.broadcast_to(is_state[:, None, None], (*shape[:2], 1))
    depends = jnp.concatenate([bias, jnp.broadcast_to(layout.free, (*shape[:2], shape[2] - 1))], -1)
    return Sites(
        jnp.where(depends, sites.shift, 0.0), jnp.where(depends[..., None], sites.factor, 0.0)
    )


def _information(factor: Array) -> Array:
    return factor @ jnp.swapaxes(factor, -1, -2)
