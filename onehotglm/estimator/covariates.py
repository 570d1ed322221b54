"""Covariates of the rates: stimulus, position, speed, whatever is known in every bin.

Inference works on them with zero mean and unit spread over the bins that a model was fitted
to, so that neither the prior nor the start of a fit depends on their units.  What users read
is in the units that they passed; biases are at the covariates' means.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.per_bin import (
    Floats,
    Kind,
    Units,
    along_fit,
    check_known,
    one_bin,
    read_per_bin,
    units_of,
    with_data,
)

if TYPE_CHECKING:
    from onehotglm.estimator.fitted import FittedModel

COVARIATES = Kind("covariates", "covariate")
# Parameters of the constructor that say how covariates act, and what they are without any.
_ONLY_WITH_COVARIATES = {"covariate_effect": "per_state", "covariate_ridge": None}


def keep_covariates(model: "FittedModel", covariates: Any, spikes: xr.DataArray) -> None:
    """Check the covariates of a fit; set their names, means and spreads, or None without any.

    Raises
    ------
    InvalidInputError
        If they do not run along the spikes, are missing where there are counts, or are
        constant; or if there are none, but options about them.
    """
    model.covariate_names_ = model.covariate_mean_ = model.covariate_sd_ = None
    if covariates is None:
        parameters = model.get_params()
        for name, plain in _ONLY_WITH_COVARIATES.items():
            if parameters[name] != plain:
                raise InvalidInputError(
                    f"{name}={parameters[name]!r} says how covariates act, but the fit was given "
                    f"none; pass covariates=, or leave {name} at {plain!r}"
                )
        return
    if model.method == "vi":
        raise InvalidInputError(
            "method='vi' takes no covariates; leave them out, or fit with method='em', whose "
            "standard_errors are of their weights, too"
        )
    given = read_per_bin(covariates, spikes, COVARIATES)
    needed = with_data(spikes)
    check_known(given, spikes, COVARIATES, needed)
    units = units_of(given, COVARIATES, needed)
    model.covariate_names_ = given.names
    model.covariate_mean_, model.covariate_sd_ = units


def covariates_along(model: "FittedModel", covariates: Any, spikes: xr.DataArray) -> Floats | None:
    """Covariates as inference has them, checked against those of the fit.

    Parameters
    ----------
    model : FittedModel
        That knows its covariates.
    covariates : as in `OneHotHMMGLM.fit`, or None
    spikes : DataArray, dims (session, time, neuron)

    Returns
    -------
    array, shape (session, time, covariate), or None
        Standardised, for all bins of the spikes; NaN where not known, which no bin with
        counts is.

    Raises
    ------
    InvalidInputError
        If they do not match the spikes or the fit.
    """
    given = along_fit(covariates, spikes, COVARIATES, model.covariate_names_)
    if given is None:
        return None
    check_known(given, spikes, COVARIATES, with_data(spikes))
    return _units(model).standardised(given.values)


def bin_of_covariates(model: "FittedModel", covariates: Any) -> Floats | None:
    """Give the covariates of a single bin, standardised, shape (covariate,); None without any.

    Raises
    ------
    InvalidInputError
        If there are none though the model was fitted with some, or the reverse, or they are
        others or not known.
    """
    values = one_bin(covariates, COVARIATES, model.covariate_names_)
    return None if values is None else _units(model).standardised(values)


def refuse_covariates(model: "FittedModel", what: str) -> None:
    """Raise for what does not know covariates.

    Raises
    ------
    InvalidInputError
        If the model has any.
    """
    if model.covariate_names_ is not None:
        names = ", ".join(map(str, model.covariate_names_))
        raise InvalidInputError(
            f"the model's rates depend on covariates ({names}), which {what} does not take; decode "
            "with predict_proba(X, causal=True, covariates=...), or fit without covariates"
        )


def inner_weights(model: "FittedModel") -> np.ndarray | None:
    """Weights (state, neuron, covariate) of standardised covariates; None without any."""
    weights = model.covariate_weights_
    return None if weights is None else weights * _units(model).sd


def keep_weights(model: "FittedModel", inner: np.ndarray) -> None:
    """Set `covariate_weights_` from those of standardised covariates."""
    known = model.covariate_names_ is not None
    model.covariate_weights_ = inner / _units(model).sd if known else None


def _units(model: "FittedModel") -> Units:
    return Units(np.asarray(model.covariate_mean_), np.asarray(model.covariate_sd_))


def n_covariates(model: "FittedModel") -> int:
    """How many covariates a model has."""
    return 0 if model.covariate_names_ is None else len(model.covariate_names_)
