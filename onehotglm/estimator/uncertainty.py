"""Standard errors and intervals of a fit, labelled."""

import sys
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import COVARIATES
from onehotglm.estimator.learned_prior import prior_of
from onehotglm.estimator.outputs import TYPES
from onehotglm.estimator.packing import Packed
from onehotglm.estimator.problem import make_problem
from onehotglm.estimator.scoring import mean_rates
from onehotglm.inference.intervals import mixture_interval, normal_interval, positive_quantile
from onehotglm.inference.laplace import Floats
from onehotglm.inference.posterior import (
    Fit,
    Mixture,
    Moments,
    n_chunks_of_work,
    posterior_moments,
)
from onehotglm.model import priors
from onehotglm.model.dale import Signs

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

STATES = ("uncertain", "given")
_COUPLE = ("state", "post", "pre")
Variables = dict[str, tuple[tuple[str, ...], Floats]]


def check_options(model: "OneHotHMMGLM", states: str, level: float) -> None:
    """Raise unless standard errors can be had with these options."""
    if states not in STATES:
        raise InvalidInputError(f"states={states!r}; choose one of {', '.join(map(repr, STATES))}")
    if not (isinstance(level, int | float | np.number) and 0 < level < 1):
        raise InvalidInputError(f"level={level!r}; expected a probability, for example 0.9")
    if model.kernel == "shared":
        raise InvalidInputError(
            "standard errors with kernel='shared': they are worked out for free weights only, not "
            "for products of strengths and kernels; fit with kernel='per_state'"
        )
    if model.dale is not None and model.prior != "one-hot":
        raise InvalidInputError(
            f"standard errors with dale={model.dale!r} and prior={model.prior!r}: couplings that "
            "the law holds at zero have none; fit with prior='one-hot', or with dale=None"
        )


def check_recording(spikes: xr.DataArray, mean_counts: np.ndarray) -> None:
    """Raise unless the mean counts are those of the fit."""
    found = mean_rates(spikes).values * spikes.attrs["bin_size"]
    wrong = np.flatnonzero(~np.isclose(found, mean_counts, rtol=1e-4, atol=1e-8))
    if wrong.size:
        raise InvalidInputError(
            f"neuron {spikes['neuron'].values[wrong[0]]} has {found[wrong[0]]:.4g} counts per bin "
            f"here, and {mean_counts[wrong[0]]:.4g} in the recording that the model was fitted "
            "to; standard errors are of a fit, so pass the recording of that fit"
        )


def standard_errors(model: "OneHotHMMGLM", packed: Packed, states: str, level: float) -> xr.Dataset:
    """Compute what `FittedModel.standard_errors` returns; `packed` in float64."""
    from tqdm.auto import tqdm

    problem = make_problem(model, packed, lambda _: False)
    signs = None
    if model.neuron_sign_ is not None:
        signs = Signs(model.neuron_sign_, (np.asarray(model.neuron_sign_) > 0).astype(float))
    fit = Fit(model._params("float64"), prior_of(model), model.connection_type_, signs)
    seen = model.progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    total = n_chunks_of_work(problem, fit)
    with tqdm(desc="information", total=total, delay=2.0, disable=not seen, leave=False) as bar:
        moments = posterior_moments(
            problem, fit, given_states=states == "given", on_chunk=bar.update
        )
    variables = _of_gaussians(model, moments, level)
    if moments.mixture is not None:
        variables = _of_mixtures(model, moments, moments.mixture, level, variables)
    return _label(model, variables).assign_attrs(states=states, level=level)


def _of_gaussians(model: "OneHotHMMGLM", moments: Moments, level: float) -> Variables:
    per_lag = model.basis_functions_.sum(1)
    coupling_variance = np.einsum("...kl,k,l->...", moments.lag_covariance, per_lag, per_lag)
    variables: Variables = {}
    quantities: list[tuple[str, tuple[str, ...], Floats, Floats]] = [
        ("bias", ("state", "neuron"), moments.bias, moments.bias_variance),
        ("weights", (*_COUPLE, "basis"), moments.weights, moments.weights_variance),
        ("connectivity", _COUPLE, moments.weights @ per_lag, coupling_variance),
    ]
    if model.covariate_sd_ is not None:
        mean = moments.covariates / model.covariate_sd_
        variance = moments.covariates_variance / model.covariate_sd_**2
        quantities.append(("covariate_weights", ("state", "neuron", "covariate"), mean, variance))
    for name, dims, mean, variance in quantities:
        sd = np.sqrt(variance)
        low, high = normal_interval(mean, sd, level)
        for suffix, value in (("mean", mean), ("se", sd), ("low", low), ("high", high)):
            variables[f"{name}_{suffix}"] = (dims, value)
    return variables


def _of_mixtures(
    model: "OneHotHMMGLM", moments: Moments, mixture: Mixture, level: float, variables: Variables
) -> Variables:
    """Mixtures over types where a coupling has one, Gaussians elsewhere."""
    typed = _has_type(model)
    every = np.repeat(mixture.type_proba[..., None, :], moments.weights.shape[-1], axis=-2)
    weights = mixture_interval(every, mixture.location, mixture.scale, level)
    summed = _summed_over_lags(moments, mixture, model.basis_functions_.sum(1))
    found = {"weights_low": weights[0], "weights_high": weights[1]} | _couplings(summed, level)
    for name, value in found.items():
        dims, gaussian = variables[name]
        mask = typed[..., None] if "basis" in dims else typed
        variables[name] = (dims, np.where(mask, value, gaussian))
    given = _given_type(np.asarray(model.connection_type_), summed, level)
    for end, value in zip(("low", "high"), given, strict=True):
        other = variables[f"connectivity_{end}"][1]
        variables[f"connectivity_given_type_{end}"] = (_COUPLE, np.where(typed, value, other))
    variables["connection_type_proba"] = ((*_COUPLE, "type"), mixture.type_proba)
    return variables


def _has_type(model: "OneHotHMMGLM") -> np.ndarray:
    """Couplings (post, pre) under the one-hot prior."""
    apart = model.self_history in ("per_state", "shared")
    return ~(np.eye(len(model.neuron_ids_), dtype=bool)[model._modelled] & apart)


def _summed_over_lags(moments: Moments, mixture: Mixture, per_lag: Floats) -> Mixture:
    """Mixture of couplings, location and scale (state, post, pre, 2).

    Weights of one connection are correlated as in the Gaussian that matches all moments.
    """
    sd = np.sqrt(np.einsum("...kk->...k", moments.lag_covariance))
    both = sd[..., :, None] * sd[..., None, :]
    correlation = np.where(both > 0, moments.lag_covariance / np.where(both > 0, both, 1.0), 0.0)
    scaled = mixture.scale * per_lag[:, None]
    variance = np.einsum("...ki,...li,...kl->...i", scaled, scaled, correlation)
    # Couplings that are excluded have no variance; any scale does, for none of it counts.
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    location = np.einsum("...ki,k->...i", mixture.location, per_lag)
    return Mixture(mixture.type_proba, location, scale)


def _couplings(mixture: Mixture, level: float) -> dict[str, Floats]:
    """Mean, standard deviation and interval of couplings over their types."""
    first, second = priors.truncated_moments(mixture.location, mixture.scale)
    exists = mixture.type_proba[..., [0, 2]]
    mean = (exists * first * [-1, 1]).sum(-1)
    square = (exists * second).sum(-1)
    low, high = mixture_interval(*mixture, level)
    return {
        "connectivity_mean": mean,
        "connectivity_se": np.sqrt(np.maximum(square - mean**2, 0.0)),
        "connectivity_low": low,
        "connectivity_high": high,
    }


def _given_type(types: np.ndarray, mixture: Mixture, level: float) -> tuple[Floats, Floats]:
    """Interval of couplings if they are of the fitted type."""
    tail = np.array((1 - level) / 2)
    low, high = (positive_quantile(p, mixture.location, mixture.scale) for p in (tail, 1 - tail))
    inhibitory, excitatory = types < 0, types > 0
    return (
        np.where(inhibitory, -high[..., 0], np.where(excitatory, low[..., 1], 0.0)),
        np.where(inhibitory, -low[..., 0], np.where(excitatory, high[..., 1], 0.0)),
    )


def _label(model: "OneHotHMMGLM", variables: Variables) -> xr.Dataset:
    neurons = np.asarray(model.neuron_ids_)
    coords = {
        "state": np.arange(model.n_states),
        "neuron": neurons[model._modelled],
        "post": neurons[model._modelled],
        "pre": neurons,
    }
    coords |= COVARIATES.coords(model)
    if "connection_type_proba" in variables:
        coords["type"] = np.array(TYPES)
    dataset = xr.Dataset(variables, coords)
    for name in dataset.data_vars:
        if str(name).startswith("connectivity"):
            dataset[name].attrs["units"] = "Δη per spike"
    return dataset
