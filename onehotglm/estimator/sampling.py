"""Data from a fitted model, in closed loop."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.kernels.rollout import rollout, sample_driven_states
from onehotglm.random_state import RandomState, jax_key, numpy_generator

if TYPE_CHECKING:
    from onehotglm.estimator.fitted import FittedModel


def sample(
    model: "FittedModel",
    n_time_bins: int,
    n_sessions: int,
    random_state: RandomState,
    covariates: Any = None,
    transition_inputs: Any = None,
) -> xr.Dataset:
    """Compute what `FittedModel.sample` returns."""
    bins = _bins(model, n_time_bins, n_sessions)
    columns, n_columns = COVARIATES.along(model, covariates, bins), COVARIATES.count(model)
    inputs = TRANSITION_INPUTS.along(model, transition_inputs, bins)
    with model._precision():
        params = model._params()
        key, states = jax_key(numpy_generator(random_state)), None
        if inputs is not None and params.transition_weights is not None:
            states_key, key = jax.random.split(key)
            drive = jnp.asarray(inputs, params.bias.dtype) @ params.transition_weights.T
            states = sample_driven_states(states_key, params.transition, drive, params.initial)
        out = rollout(
            key,
            params.bias,
            params.weights(len(model.basis_functions_), n_columns),
            jnp.asarray(model.basis_functions_, params.bias.dtype),
            params.transition,
            params.initial,
            link=model.link,
            observation=model.observation,
            dispersion=params.dispersion,
            n_sessions=n_sessions,
            n_time_bins=n_time_bins,
            states=states,
            covariates=None if columns is None else jnp.asarray(columns, params.bias.dtype),
            covariate_weights=params.covariate_weights(n_columns),
        )
    counts = np.asarray(out.counts)
    if np.isnan(counts).any():
        raise InvalidInputError(
            "the sampled rates exploded: the fitted excitation feeds itself in closed loop; "
            "sample shorter sessions or fit with a bounded link (sigmoid)"
        )
    dims = bins.dims
    rates = np.asarray(out.rates) / model._per_bin
    return xr.Dataset(
        {
            "spikes": (dims, counts, {"bin_size": model.bin_size_, "units": model._data_unit}),
            "states": (dims[:2], np.asarray(out.states)),
            "rates": (dims, rates, {"units": model._rate_unit}),
        },
        bins.coords,
        {"bin_size": model.bin_size_, "link": model.link, "observation": model.observation},
    )


def _bins(model: "FittedModel", n_time_bins: int, n_sessions: int) -> xr.DataArray:
    """Frame that the data will fill."""
    coords = {
        "session": np.arange(n_sessions),
        "time": np.arange(n_time_bins) * model.bin_size_,
        "neuron": model.neuron_ids_,
    }
    shape = tuple(map(len, coords.values()))
    return xr.DataArray(np.zeros(shape), coords, attrs={"bin_size": model.bin_size_})
