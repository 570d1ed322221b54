"""Fitted attributes, labelled: to an xarray Dataset and back, and as a line of HTML."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from onehotglm.estimator.exogenous import EXOGENOUS
from onehotglm.estimator.learned_prior import PRIOR_VARIABLES
from onehotglm.estimator.settings import RUN_ONLY

if TYPE_CHECKING:
    from onehotglm.estimator.fitted import FittedModel

TYPES = ("inhibitory", "absent", "excitatory")

# fitted attribute without "_" -> dims
VARIABLES: dict[str, tuple[str, ...]] = {
    "weights": ("state", "post", "pre", "basis"),
    "connectivity": ("state", "post", "pre"),
    "strength": ("state", "post", "pre"),
    "kernel": ("post", "pre", "basis"),
    "connection_type": ("state", "post", "pre"),
    "connection_type_proba": ("state", "post", "pre", "type"),
    "shared_connectivity": ("post", "pre"),
    "shared_type_proba": ("post", "pre", "type"),
    "neuron_sign": ("pre",),
    "neuron_sign_proba": ("pre",),
    **PRIOR_VARIABLES,
    "bias": ("state", "neuron"),
    "covariate_weights": ("state", "neuron", "covariate"),
    "covariate_mean": ("covariate",),
    "covariate_sd": ("covariate",),
    "transition_matrix": ("state", "next_state"),
    "transition_weights": ("state", "input"),
    "transition_input_mean": ("input",),
    "transition_input_sd": ("input",),
    "initial_proba": ("state",),
    "basis_functions": ("basis", "lag"),
    "occupancy": ("state",),
    "mean_counts": ("neuron",),
    "baseline_variance": ("neuron",),
    "dispersion": ("neuron",),
    "log_likelihood_path": ("iteration",),
    "objective_path": ("iteration",),
}
# fitted attributes that are single values
SCALARS = ("bin_size", "n_parameters", "n_iter", "converged", "stop_reason")
# before the names of the variables of a guide (`onehotglm.estimator.posterior`)
_GUIDE = "guide_"

_ATTRS = {
    "connectivity": {"units": "Δη per spike", "long_name": "coupling summed over lags"},
    "log_likelihood_path": {"units": "nats per bin"},
    "objective_path": {"units": "nats per bin"},
    "mean_counts": {"units": "counts per bin"},
    "covariate_weights": {"units": "Δη per unit of the covariate"},
    "transition_weights": {"long_name": "log-odds of the next state per unit of the input"},
}


def to_dataset(model: "FittedModel") -> xr.Dataset:
    """Every fitted array with its labels; parameters and single values as attributes."""
    fitted = {name: getattr(model, f"{name}_", None) for name in VARIABLES}
    variables = {
        name: (dims_of(model, name), np.asarray(value), _ATTRS.get(name, {}))
        for name, value in fitted.items()
        if value is not None
    }
    if model.guide_ is not None:
        for name, value in model.guide_.variables.items():
            variables[f"{_GUIDE}{name}"] = (value.dims, value.values, {})
    neurons = np.asarray(model.neuron_ids_)
    coords: dict[str, Any] = {
        "state": np.arange(model.n_states),
        "neuron": neurons,
        "post": neurons,
        "pre": neurons,
        "lag": np.arange(1, model.n_lags + 1),
    }
    if "connection_type_proba" in variables:
        coords["type"] = list(TYPES)
    for exogenous in EXOGENOUS:
        coords |= exogenous.coords(model)
    parameters = {n: value for n, value in model.get_params().items() if n not in RUN_ONLY}
    attrs = parameters | {name: getattr(model, f"{name}_") for name in SCALARS}
    return xr.Dataset(variables, coords, attrs)


def dims_of(model: "FittedModel", name: str) -> tuple[str, ...]:
    """Dims of a fitted array."""
    dims = VARIABLES[name]
    if name in PRIOR_VARIABLES and getattr(model, "kernel_", None) is not None:
        # Such a prior is about strengths, of which there is one whatever the basis.
        return tuple("strength_basis" if dim == "basis" else dim for dim in dims)
    return dims


def from_dataset(model: "FittedModel", dataset: xr.Dataset) -> "FittedModel":
    """Set a model's parameters and fitted attributes from `to_dataset`."""
    # The constructor's bin_size may be None where the fitted one is known.
    names = [name for name in model.get_params() if name in dataset.attrs and name != "bin_size"]
    model.set_params(**{name: dataset.attrs[name] for name in names})
    for name in VARIABLES:
        setattr(model, f"{name}_", dataset[name].values if name in dataset else None)
    for name in SCALARS:
        setattr(model, f"{name}_", dataset.attrs[name])
    guide = {
        str(name).removeprefix(_GUIDE): value.variable
        for name, value in dataset.data_vars.items()
        if str(name).startswith(_GUIDE)
    }
    model.guide_ = xr.Dataset(guide) if guide else None
    model.neuron_ids_ = dataset["neuron"].values
    for exogenous in EXOGENOUS:
        exogenous.keep_coords(model, dataset)
    model.n_features_in_ = dataset.sizes["neuron"]
    return model


def to_html(model: "FittedModel") -> str:
    """Describe a fit in a small table."""
    share = model.occupancy_ / model.occupancy_.sum()
    unit = "EM steps" if model.guide_ is None else "blocks of variational steps"
    rows = {
        "states (share of the time)": ", ".join(
            f"{k}: {100 * part:.0f} %" for k, part in enumerate(share)
        ),
        "neurons": str(len(model.neuron_ids_)),
        "prior, link, observation": f"{model.prior}, {model.link}, {model.observation}",
        "log-likelihood": f"{model.log_likelihood_path_[-1]:.4f} nats per bin",
        "stopped": f"{model.stop_reason_} after {model.n_iter_} {unit}",
    }
    if model.covariate_names_ is not None:
        effect = model.covariate_effect.replace("_", " ")
        rows["covariates"] = f"{', '.join(map(str, model.covariate_names_))} ({effect})"
    if model.transition_input_names_ is not None:
        rows["transitions driven by"] = ", ".join(map(str, model.transition_input_names_))
    if model.connection_type_ is not None:
        types = model.connection_type_
        excitatory, inhibitory = 100 * (types > 0).mean(), 100 * (types < 0).mean()
        rows["connections"] = f"{excitatory:.1f} % excitatory, {inhibitory:.1f} % inhibitory"
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>"
        f"{escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table><caption>{escape(repr(model))}</caption>{cells}</table>"
