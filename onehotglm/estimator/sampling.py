"""Data from a fitted model, in closed loop."""

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.rollout import rollout
from onehotglm.random_state import RandomState, jax_key, numpy_generator

if TYPE_CHECKING:
    from onehotglm.estimator.fitted import FittedModel


def sample(
    model: "FittedModel", n_time_bins: int, n_sessions: int, random_state: RandomState
) -> xr.Dataset:
    """Compute what `FittedModel.sample` returns."""
    with model._precision():
        params = model._params()
        out = rollout(
            jax_key(numpy_generator(random_state)),
            params.bias,
            params.weights(len(model.basis_functions_)),
            jnp.asarray(model.basis_functions_, params.bias.dtype),
            params.transition,
            params.initial,
            link=model.link,
            observation=model.observation,
            dispersion=params.dispersion,
            n_sessions=n_sessions,
            n_time_bins=n_time_bins,
        )
    counts = np.asarray(out.counts)
    if np.isnan(counts).any():
        raise InvalidInputError(
            "the sampled rates exploded: the fitted excitation feeds itself in closed loop; "
            "sample shorter sessions or fit with a bounded link (sigmoid)"
        )
    dims = ("session", "time", "neuron")
    rates = np.asarray(out.rates) / model._per_bin
    return xr.Dataset(
        {
            "spikes": (dims, counts, {"bin_size": model.bin_size_, "units": model._data_unit}),
            "states": (dims[:2], np.asarray(out.states)),
            "rates": (dims, rates, {"units": model._rate_unit}),
        },
        {
            "session": np.arange(n_sessions),
            "time": np.arange(n_time_bins) * model.bin_size_,
            "neuron": model.neuron_ids_,
        },
        {"bin_size": model.bin_size_, "link": model.link, "observation": model.observation},
    )
