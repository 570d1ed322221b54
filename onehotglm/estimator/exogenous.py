"""Variables from outside the population: what users pass, and what inference reads.

Inference works on them with zero mean and unit spread over the bins that a model was fitted
to, so that neither a prior nor the start of a fit depends on their units.  What users read is
in the units that they passed: weights per unit, biases and the transition matrix at the
variables' means.
"""

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.columns import Floats, Kind
from onehotglm.estimator.per_bin import (
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


class Exogenous(NamedTuple):
    """One kind of variables, and the attributes of a model that hold what it knows of them.

    Attributes
    ----------
    kind : Kind
        Words for messages.
    acts_on : str
        What depends on them, for messages; a plural.
    prefix : str
        Of the fitted attributes ``<prefix>_names_``, ``<prefix>_mean_`` and ``<prefix>_sd_``,
        each of shape (variable,), or None without any.
    weights : str
        Fitted attribute, shape (..., variable), in the users' units.
    options : tuple of str
        Parameters of the constructor that say how they act.
    """

    kind: Kind
    acts_on: str
    prefix: str
    weights: str
    options: tuple[str, ...]

    def names(self, model: "FittedModel") -> np.ndarray | None:
        """Names (variable,) of those that a model was fitted with."""
        return getattr(model, f"{self.prefix}_names_")

    def count(self, model: "FittedModel") -> int:
        """How many a model was fitted with."""
        names = self.names(model)
        return 0 if names is None else len(names)

    def coords(self, model: "FittedModel") -> dict[str, np.ndarray]:
        """Coordinate of labelled results; empty without any."""
        names = self.names(model)
        return {} if names is None else {self.kind.dim: np.asarray(names)}

    def keep_coords(self, model: "FittedModel", dataset: xr.Dataset) -> None:
        """Set the names from labelled results."""
        dim = self.kind.dim
        setattr(model, f"{self.prefix}_names_", dataset[dim].values if dim in dataset else None)

    def keep(self, model: "FittedModel", data: Any, spikes: xr.DataArray) -> None:
        """Check those of a fit; set their names, means and spreads, or None without any.

        Parameters
        ----------
        model : FittedModel
        data : as in `OneHotHMMGLM.fit`, or None
        spikes : DataArray, dims (session, time, neuron)

        Raises
        ------
        InvalidInputError
            If they do not run along the spikes, are missing where there are counts, or are
            constant; if the method takes none; or if there are none, but options about them.
        """
        names = mean = sd = None
        if data is None:
            self._check_options(model)
        else:
            self._check_method(model)
            given = read_per_bin(data, spikes, self.kind)
            bins = with_data(spikes)
            check_known(given, spikes, self.kind, bins)
            names, (mean, sd) = given.names, units_of(given, self.kind, bins)
        for name, value in (("names", names), ("mean", mean), ("sd", sd)):
            setattr(model, f"{self.prefix}_{name}_", value)

    def along(self, model: "FittedModel", data: Any, spikes: xr.DataArray) -> Floats | None:
        """Variables as inference has them, checked against those of the fit.

        Parameters
        ----------
        model : FittedModel
            After `keep`.
        data : as in `OneHotHMMGLM.fit`, or None
        spikes : DataArray, dims (session, time, neuron)

        Returns
        -------
        array, shape (session, time, variable), or None
            Standardised, for all bins of the spikes; NaN where not known, which no bin with
            counts is.

        Raises
        ------
        InvalidInputError
            If they do not match the spikes or the fit.
        """
        given = along_fit(data, spikes, self.kind, self.names(model))
        if given is None:
            return None
        check_known(given, spikes, self.kind, with_data(spikes))
        return self._units(model).standardised(given.values)

    def in_bin(self, model: "FittedModel", data: Any) -> Floats | None:
        """Give those of a single bin, standardised, shape (variable,); None without any.

        Raises
        ------
        InvalidInputError
            If there are none though the model was fitted with some, or the reverse, or they
            are others or not known.
        """
        values = one_bin(data, self.kind, self.names(model))
        return None if values is None else self._units(model).standardised(values)

    def inner_weights(self, model: "FittedModel") -> Floats | None:
        """Weights (..., variable) of the standardised variables; None without any."""
        weights = getattr(model, self.weights)
        return None if weights is None else np.asarray(weights) * self._units(model).sd

    def keep_weights(self, model: "FittedModel", inner: Floats | None) -> None:
        """Set the weights from those of the standardised variables."""
        if inner is not None:
            inner = None if self.names(model) is None else inner / self._units(model).sd
        setattr(model, self.weights, inner)

    def refuse(self, model: "FittedModel", what: str) -> None:
        """Raise for what does not know them.

        Raises
        ------
        InvalidInputError
            If the model has any.
        """
        names = self.names(model)
        if names is not None:
            raise InvalidInputError(
                f"the model's {self.acts_on} depend on {self.kind.argument} "
                f"({', '.join(map(str, names))}), which {what} does not take; fit without "
                f"{self.kind.argument}"
            )

    def _units(self, model: "FittedModel") -> Units:
        mean, sd = (np.asarray(getattr(model, f"{self.prefix}_{x}_")) for x in ("mean", "sd"))
        return Units(mean, sd)

    def _check_options(self, model: "FittedModel") -> None:
        for name in self.options:
            value = getattr(model, name)
            default = inspect.signature(type(model)).parameters[name].default
            if value != default:
                raise InvalidInputError(
                    f"{name}={value!r} says how {self.kind.argument} act, but the fit "
                    f"was given none; pass {self.kind.argument}=, or leave {name} at {default!r}"
                )

    def _check_method(self, model: "FittedModel") -> None:
        if model.method == "vi":
            raise InvalidInputError(
                f"method='vi' takes no {self.kind.argument}; leave them out, or fit with "
                "method='em'"
            )


COVARIATES = Exogenous(
    Kind("covariates", "covariate"),
    acts_on="rates",
    prefix="covariate",
    weights="covariate_weights_",
    options=("covariate_effect", "covariate_ridge"),
)
TRANSITION_INPUTS = Exogenous(
    Kind("transition_inputs", "input"),
    acts_on="transitions",
    prefix="transition_input",
    weights="transition_weights_",
    options=("transition_ridge",),
)
EXOGENOUS = (COVARIATES, TRANSITION_INPUTS)
