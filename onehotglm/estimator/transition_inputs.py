"""Inputs that drive transitions: between what users pass and what inference reads.

Users read weights per unit of an input; inference works on standardised inputs, so that one
ridge fits all.
"""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.packing import Packed
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

TRANSITION_INPUTS = Kind("transition_inputs", "input")


def keep_inputs(model: "FittedModel", inputs: Any, spikes: xr.DataArray) -> None:
    """Check the inputs of a fit; set their names, means and spreads, or None without any.

    Raises
    ------
    InvalidInputError
        If they do not run along the spikes, are missing where there are counts, or are
        constant; or if the method takes none.
    """
    model.transition_input_names_ = None
    model.transition_input_mean_ = model.transition_input_sd_ = None
    if inputs is None:
        return
    if model.method == "vi":
        raise InvalidInputError(
            "method='vi' takes no transition_inputs; leave them out, or fit with method='em'"
        )
    given = read_per_bin(inputs, spikes, TRANSITION_INPUTS)
    needed = with_data(spikes)
    check_known(given, spikes, TRANSITION_INPUTS, needed)
    units = units_of(given, TRANSITION_INPUTS, needed)
    model.transition_input_names_ = given.names
    model.transition_input_mean_, model.transition_input_sd_ = units


def inputs_along(model: "FittedModel", inputs: Any, spikes: xr.DataArray) -> Floats | None:
    """Give inputs as inference has them, checked against those of the fit.

    Parameters
    ----------
    model : FittedModel
        That knows its inputs.
    inputs : as in `OneHotHMMGLM.fit`, or None
    spikes : DataArray, dims (session, time, neuron)

    Returns
    -------
    array, shape (session, time, input), or None
        Standardised, for all bins of the spikes; NaN where not known, which no bin with
        counts is.

    Raises
    ------
    InvalidInputError
        If they do not match the spikes or the fit.
    """
    given = along_fit(inputs, spikes, TRANSITION_INPUTS, model.transition_input_names_)
    if given is None:
        return None
    check_known(given, spikes, TRANSITION_INPUTS, with_data(spikes))
    return _units(model).standardised(given.values)


def _units(model: "FittedModel") -> Units:
    return Units(np.asarray(model.transition_input_mean_), np.asarray(model.transition_input_sd_))


def bin_of_inputs(model: "FittedModel", inputs: Any) -> Floats | None:
    """Give the inputs of a single bin, standardised, shape (input,); None without any.

    Raises
    ------
    InvalidInputError
        If there are none though the model was fitted with some, or the reverse, or they are
        others or not known.
    """
    values = one_bin(inputs, TRANSITION_INPUTS, model.transition_input_names_)
    return None if values is None else _units(model).standardised(values)


def with_inputs(packed: Packed, inputs: Floats | None, n_lead_in: int) -> Packed:
    """Lay the inputs beside the recording.

    Parameters
    ----------
    packed : Packed
    inputs : array, shape (session, time, input), or None
        From `inputs_along`.  Where they are not known (a gap of the recording) they count as
        their means.
    n_lead_in : int
        Bins before the first that is modelled.

    Returns
    -------
    Packed
    """
    if inputs is None:
        return packed
    # Where nothing is modelled there are no steps to drive.
    flat = np.zeros((packed.recording.n_time, inputs.shape[-1]))
    flat[packed.position] = np.nan_to_num(inputs[packed.session, packed.time + n_lead_in])
    dtype = packed.recording.counts.dtype
    recording = packed.recording._replace(transition_inputs=jnp.asarray(flat, dtype))
    return packed._replace(recording=recording)


def keep_input_weights(model: "FittedModel", inner: Any) -> None:
    """Set `transition_weights_` from those of standardised inputs, or None."""
    model.transition_weights_ = None if inner is None else inner / model.transition_input_sd_


def inner_input_weights(model: "FittedModel") -> Floats | None:
    """Weights (state, input) of standardised inputs; None without any."""
    if model.transition_weights_ is None:
        return None
    return np.asarray(model.transition_weights_) * model.transition_input_sd_


def refuse_inputs(model: "FittedModel", what: str) -> None:
    """Raise for what does not know transitions that inputs drive.

    Raises
    ------
    InvalidInputError
        If the model has any.
    """
    if model.transition_input_names_ is not None:
        names = ", ".join(map(str, model.transition_input_names_))
        raise InvalidInputError(
            f"the model's transitions depend on inputs ({names}), which {what} does not take; fit "
            "without transition_inputs"
        )
