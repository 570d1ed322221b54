"""Marginals and draws of a guide made of sites (`onehotglm.inference.sites`).

Given the hyperparameters its coefficients are Gaussian; marginals are averages of these
over hyperparameters drawn evenly from their own guide (a Latin hypercube), with a seed of
their own: the same guide always says the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from onehotglm.inference.sites import Sites, SitesGuide
from onehotglm.model.couplings import GaussianCouplings, Layout

# Hyperparameters that marginals are averaged over.
_N_DRAWS = 64
_BISECTIONS = 40


class NormalMixture(NamedTuple):
    """Equal parts of normals along the first axis.

    Attributes
    ----------
    mean, sd : array, shape (draw, ...)
    """

    mean: np.ndarray
    sd: np.ndarray

    def mean_and_sd(self) -> tuple[np.ndarray, np.ndarray]:
        """First moments.

        Examples
        --------
        >>> NormalMixture(np.array([-1.0, 1.0]), np.array([0.0, 0.0])).mean_and_sd()
        (np.float64(0.0), np.float64(1.0))
        """
        mean = self.mean.mean(0)
        return mean, np.sqrt((self.sd**2).mean(0) + ((self.mean - mean) ** 2).mean(0))

    def quantile(self, p: float) -> np.ndarray:
        """Value below which the probability is `p`.

        Examples
        --------
        >>> mixture = NormalMixture(np.array([0.0, 0.0]), np.array([1.0, 1.0]))
        >>> float(mixture.quantile(0.95).round(3))
        1.645
        """
        ends = self.mean + ndtri(p) * self.sd
        low, high = ends.min(0), ends.max(0)
        sd = np.maximum(self.sd, np.finfo(self.sd.dtype).tiny)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = ndtr((middle - self.mean) / sd).mean(0) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)


class TiedMarginals(NamedTuple):
    """Marginals of everything that was inferred about the couplings.

    Attributes
    ----------
    bias : NormalMixture, shape (state, post)
    weights : NormalMixture, shape (state, post, pre, basis)
    connectivity : NormalMixture, shape (state, post, pre)
        Weights times `area`, summed over basis functions.
    """

    bias: NormalMixture
    weights: NormalMixture
    connectivity: NormalMixture


def is_tied(guide: xr.Dataset) -> bool:
    """Whether a guide is made of sites."""
    return "site_shift" in guide


def tied_marginals(guide: xr.Dataset, shared_bias: bool, area: np.ndarray) -> TiedMarginals:
    """Average over the hyperparameters.

    Parameters
    ----------
    guide : Dataset
    shared_bias : bool
    area : array, shape (basis,)
        Sums of the basis functions over lags.
    """
    n_states, n_neurons, _ = guide["site_shift"].shape
    shape = (n_states, n_neurons, n_neurons, area.size)
    places = 1 + np.arange(n_neurons * area.size).reshape(n_neurons, area.size)
    free = guide["free"].values

    def of(hyper):
        given = _given(guide, shared_bias, hyper)
        mean, covariance = given.condition().moments()
        mean = mean + given.centre
        variance = jnp.diagonal(covariance, axis1=-2, axis2=-1)
        weights = mean[..., 1:].reshape(shape), variance[..., 1:].reshape(shape)
        blocks = covariance[..., places[:, :, None], places[:, None, :]] * (
            free[..., :, None] & free[..., None, :]
        )
        summed = (
            (weights[0] * free) @ area,
            jnp.einsum("...jk,j,k->...", blocks, area, area),
        )
        return (mean[..., 0], variance[..., 0]), tuple(x * free for x in weights), summed

    parts = jax.jit(lambda hyper: jax.lax.map(of, hyper))(_spread_draws(guide))
    bias, weights, summed = (
        NormalMixture(np.asarray(mean, float), np.sqrt(np.maximum(variance, 0.0)))
        for mean, variance in parts
    )
    if shared_bias:
        bias = NormalMixture(*(np.broadcast_to(x[:, :1], x.shape) for x in bias))
    return TiedMarginals(bias, weights, summed)


def with_moments(guide: xr.Dataset, shared_bias: bool) -> xr.Dataset:
    """Add means and standard deviations, named as in guides that consist of them."""
    bias, weights, _ = tied_marginals(guide, shared_bias, np.ones(guide.sizes["basis"]))
    dtype = guide["site_shift"].dtype
    variables = {}
    dims = {"bias": ("state", "neuron"), "weight": ("state", "post", "pre", "basis")}
    for (name, where), mixture in zip(dims.items(), (bias, weights), strict=True):
        for suffix, value in zip(("loc", "scale"), mixture.mean_and_sd(), strict=True):
            variables[f"{name}_{suffix}"] = (where, value.astype(dtype))
    return guide.assign(variables)


def tied_draws(guide: xr.Dataset, shared_bias: bool, key: jax.Array, n_draws: int) -> np.ndarray:
    """Coefficients (draw, state, post, column), those that are excluded at zero."""
    first, second = jax.random.split(key)

    def one(hyper_and_key):
        hyper, key = hyper_and_key
        return _given(guide, shared_bias, hyper).sample(key)

    names = ("variance", "mean_sd")
    noise = jax.random.split(first, len(names))
    hyper = {
        name: jnp.exp(loc + scale * jax.random.normal(key, (n_draws, *loc.shape), loc.dtype))
        for key, name, (loc, scale) in zip(noise, names, _normals(guide, names), strict=True)
    }
    draws = jax.lax.map(one, (hyper, jax.random.split(second, n_draws)))
    free = guide["free"].values.reshape(guide.sizes["post"], -1)
    return np.asarray(draws) * np.insert(free, 0, True, axis=-1)


def _normals(guide: xr.Dataset, names: tuple[str, ...]) -> list[tuple[jax.Array, jax.Array]]:
    """Location and scale of the logarithms of hyperparameters."""
    return [
        (jnp.asarray(guide[f"{name}_loc"].values), jnp.exp(guide[f"{name}_log_scale"].values))
        for name in names
    ]


def _spread_draws(guide: xr.Dataset) -> dict[str, jax.Array]:
    """Hyperparameters whose every entry takes all its quantiles in equal steps."""
    rng = np.random.default_rng(0)
    scores = ndtri((np.arange(_N_DRAWS) + 0.5) / _N_DRAWS)
    names = ("variance", "mean_sd")
    hyper = {}
    for name, (loc, scale) in zip(names, _normals(guide, names), strict=True):
        order = rng.permuted(np.tile(scores, (loc.size, 1)), axis=1).T.reshape(-1, *loc.shape)
        hyper[name] = jnp.exp(loc + scale * jnp.asarray(order, loc.dtype))
    return hyper


def _given(guide: xr.Dataset, shared_bias: bool, hyper: dict[str, jax.Array]) -> SitesGuide:
    """Coefficients given `variance` (post, pre, basis) and `mean_sd` (basis)."""
    free = guide["free"].values.reshape(guide.sizes["post"], -1)
    layout = Layout(
        jnp.asarray(guide["bias_prior_mean"].values),
        jnp.asarray(guide["bias_prior_precision"].values),
        jnp.asarray(free),
        shared_bias,
    )
    n_states, _, _ = guide["site_shift"].shape
    mean_sd = jnp.tile(hyper["mean_sd"], guide.sizes["pre"])
    prior = GaussianCouplings(layout, n_states, hyper["variance"].reshape(free.shape), mean_sd)
    sites = Sites(*(jnp.asarray(guide[f"site_{name}"].values) for name in Sites._fields))
    return SitesGuide(sites, prior)
