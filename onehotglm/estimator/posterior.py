"""What a guide says: means, standard deviations, intervals, draws; as xarray.

A guide is a Dataset:

- ``bias_loc``, ``bias_scale`` (state, neuron): normal;
- ``weight_loc``, ``weight_scale`` (state, post, pre, basis): normal, or with the
  one-hot prior (sign, state, post, pre, basis): strengths, truncated normal; and
  ``log_type_proba`` (state, post, pre, type);
- ``correlation``: as in `onehotglm.inference.guides.GuideParams`;
- ``site_shift`` (state, post, column), ``site_factor`` (..., earlier_column), with the prior of
  the biases and which couplings are ``free``: a guide made of sites, of which the normals
  above give moments only (`onehotglm.estimator.tied_posterior`);
- ``transition`` (state, next_state), ``initial`` (state): Dirichlet concentrations;
- hyperparameters ``<name>`` (concentrations) or ``<name>_loc`` and ``<name>_log_scale``.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.special import ndtri
from scipy.stats import beta

from onehotglm.estimator.tied_posterior import is_tied, tied_draws, tied_marginals
from onehotglm.inference.guides import CouplingGuide, cholesky_rows
from onehotglm.model.couplings import Normals, SpikeSlabs
from onehotglm.model.params import Params
from onehotglm.random_state import RandomState, jax_key, numpy_generator

if TYPE_CHECKING:
    from onehotglm.estimator.posterior_methods import PosteriorMethods

_CONNECTION = ("state", "post", "pre")
_DIRICHLETS = {"transition": "transition_matrix", "initial": "initial_proba"}


def marginals(guide: xr.Dataset) -> tuple[Normals, Normals | SpikeSlabs]:
    """Marginals of biases (state, post) and weights (state, post, pre * basis)."""
    bias = Normals(*(jnp.asarray(guide[name].values) for name in ("bias_loc", "bias_scale")))
    loc, scale = (
        jnp.asarray(guide[name].values.reshape(*guide[name].shape[:-2], -1))
        for name in ("weight_loc", "weight_scale")
    )
    if "log_type_proba" not in guide:
        return bias, Normals(loc, scale)
    return bias, SpikeSlabs(jnp.asarray(guide["log_type_proba"].values), loc, scale)


def means(guide: xr.Dataset) -> Params:
    """Posterior means."""
    bias, weights = marginals(guide)
    coefficients = jnp.concatenate([bias.loc[..., None], weights.mean_and_sd()[0]], axis=-1)
    chain = (guide[name].values for name in _DIRICHLETS)
    transition, initial = (jnp.asarray(x / x.sum(-1, keepdims=True)) for x in chain)
    return Params(coefficients, transition, initial)


def hyper_centre(guide: xr.Dataset, name: str) -> np.ndarray:
    """Mean, or median where it is log-normal, of a hyperparameter."""
    if name in guide:
        value = guide[name].values.astype(float)
        return value / value.sum()
    loc = guide[f"{name}_loc"].values.astype(float)
    return loc if name == "slab_mean" else np.exp(loc)


def summary(model: "PosteriorMethods", level: float) -> xr.Dataset:
    """Means, standard deviations and central intervals of everything that was inferred.

    Parameters
    ----------
    model : OneHotHMMGLM
        Fitted by variational inference.
    level : float
        Probability inside the intervals.

    Returns
    -------
    Dataset
        ``x_mean``, ``x_se``, ``x_low``, ``x_high`` for every x of `weights`, `connectivity`,
        `bias`, `transition_matrix`, `initial_proba`; with the one-hot prior
        `connection_type_proba` and `shared_type_proba`.
    """
    guide = model.guide_
    variables: dict[str, Any] = {}

    def add(name, dims, *arrays):
        for suffix, array in zip(("_mean", "_se", "_low", "_high"), arrays, strict=True):
            variables[name + suffix] = (dims, np.asarray(array))

    of_couplings = _tied if is_tied(guide) else _untied
    found = of_couplings(model, level)
    dims = (("state", "neuron"), (*_CONNECTION, "basis"), _CONNECTION)
    for name, where, arrays in zip(("bias", "weights", "connectivity"), dims, found, strict=True):
        add(name, where, *arrays)
    for name, public in _DIRICHLETS.items():
        add(public, guide[name].dims, *_dirichlet(guide[name].values, level))
    for name in ("connection_type_proba", "shared_type_proba"):
        value = getattr(model, f"{name}_")
        if value is not None:
            variables[name] = ((*_CONNECTION, "type")[-value.ndim :], value)
    return xr.Dataset(variables, attrs={"level": level, "guide": model.guide})


def _untied(model: "PosteriorMethods", level: float) -> list[list[np.ndarray]]:
    """Mean, standard deviation, ends of the interval of biases, weights, connectivity."""
    bias, weights = marginals(model.guide_)
    tails = ndtri(0.5 * (1 - level)), ndtri(0.5 * (1 + level))
    ends = (np.asarray(bias.quantile(jnp.asarray(z))) for z in tails)
    shape = (*weights.loc.shape[-3:-1], -1, model.guide_.sizes["basis"])
    flat = (*weights.mean_and_sd(), *(weights.quantile(jnp.asarray(z)) for z in tails))
    per_basis = [np.asarray(x).reshape(shape) for x in flat]
    of_bias = [np.asarray(bias.loc), np.asarray(bias.scale), *ends]
    return [of_bias, per_basis, _summed_over_lags(model, per_basis, tails)]


def _tied(model: "PosteriorMethods", level: float) -> list[list[np.ndarray]]:
    """Do the same where hyperparameters tie the couplings."""
    area = model.basis_functions_.sum(1)
    mixtures = tied_marginals(model.guide_, model.bias == "shared", area)
    tails = 0.5 * (1 - level), 0.5 * (1 + level)
    return [[*x.mean_and_sd(), *(x.quantile(p) for p in tails)] for x in mixtures]


def _summed_over_lags(
    model: "PosteriorMethods", weights: list[np.ndarray], tails: tuple[float, float]
) -> list[np.ndarray]:
    """Summaries of the couplings from those of the weights, (state, post, pre)."""
    area = model.basis_functions_.sum(1)
    if area.size == 1:  # a monotone function of the weight; all bases have positive area
        return [x[..., 0] * area[0] for x in weights]
    mean = weights[0] @ area
    sd = np.sqrt(np.einsum("...jk,j,k->...", _block_covariances(model.guide_), area, area))
    return [mean, sd, mean + tails[0] * sd, mean + tails[1] * sd]


def _block_covariances(guide: xr.Dataset) -> np.ndarray:
    """Covariances of one connection's normal weights, (state, post, pre, basis, basis)."""
    scale = guide["weight_scale"].values
    n_basis = scale.shape[-1]
    correlation = np.eye(n_basis)
    if "correlation" in guide:
        raw = guide["correlation"].values
        if "factor" in guide.dims:
            rows = raw / np.sqrt(1 + (raw**2).sum(-1, keepdims=True))
        else:
            rows = np.asarray(cholesky_rows(jnp.asarray(raw)))
        blocks = rows[..., 1:, :].reshape(*scale.shape, -1)
        common = np.einsum("...jr,...kr->...jk", blocks, blocks)
        correlation = np.where(correlation > 0, 1.0, common)
    return scale[..., None] * correlation * scale[..., None, :]


def _dirichlet(concentration: np.ndarray, level: float) -> list[np.ndarray]:
    """Mean, standard deviation and interval of every entry of a Dirichlet variable."""
    concentration = concentration.astype(float)
    rest = concentration.sum(-1, keepdims=True) - concentration
    if concentration.shape[-1] == 1:
        one = np.ones_like(concentration)
        return [one, 0 * one, one, one]
    entry = beta(concentration, rest)
    return [entry.mean(), entry.std(), entry.ppf(0.5 * (1 - level)), entry.ppf(0.5 * (1 + level))]


def draws(model: "PosteriorMethods", n_draws: int, random_state: RandomState) -> xr.Dataset:
    """Parameters drawn from the guide.

    Parameters
    ----------
    model : OneHotHMMGLM
    n_draws : int
    random_state : int, numpy Generator or RandomState, or jax key

    Returns
    -------
    Dataset
        `weights`, `connectivity`, `bias`, `transition_matrix`, `initial_proba`, and
        `connection_type` with the one-hot prior; dims (draw, ...).
    """
    guide = model.guide_
    first, second, third = jax.random.split(jax_key(numpy_generator(random_state)), 3)
    if is_tied(guide):
        coefficients = tied_draws(guide, model.bias == "shared", first, n_draws)
    else:
        correlation = guide["correlation"].values if "correlation" in guide else None
        joint = CouplingGuide(*marginals(guide), correlation, model.guide)
        coefficients = np.asarray(joint.sample(first, (n_draws,)))
    bias = coefficients[..., 0]
    if model.bias == "shared":
        bias = np.broadcast_to(bias[:, :1], bias.shape)
    weights = coefficients[..., 1:].reshape(*bias.shape, -1, guide.sizes["basis"])
    variables = {
        "bias": (("draw", "state", "neuron"), bias),
        "weights": (("draw", *_CONNECTION, "basis"), weights),
        "connectivity": (("draw", *_CONNECTION), weights @ model.basis_functions_.sum(1)),
    }
    if "log_type_proba" in guide:
        types = np.sign(weights[..., 0]).astype(int)
        variables["connection_type"] = (("draw", *_CONNECTION), types)
    for key, (name, public) in zip((second, third), _DIRICHLETS.items(), strict=True):
        value = jnp.asarray(guide[name].values)
        sample = jax.random.dirichlet(key, value, (n_draws, *value.shape[:-1]))
        variables[public] = (("draw", *guide[name].dims), np.asarray(sample))
    return xr.Dataset(variables).assign_coords(draw=np.arange(n_draws))
