"""From whatever holds spike counts to one checked array.

Every check runs before any compute, and says what came, what was expected, what to try.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError

DIMS = ("session", "time", "neuron")
_ACCEPTED = (
    "a numpy array (time, neuron) or (session, time, neuron), a list of arrays "
    "(time, neuron), a DataArray with the dims session, time, neuron, a pandas DataFrame "
    "(time x neuron), or a pynapple TsdFrame or TsGroup"
)


def as_spikes(
    data: Any, bin_size: float | None = None, *, least_bins: int = 2, values: str = "counts"
) -> xr.DataArray:
    """Spike counts of any accepted kind as a DataArray (session, time, neuron).

    Parameters
    ----------
    data : array, list of arrays, DataArray, DataFrame, TsdFrame or TsGroup
        Counts per bin; NaN is missing.  Shorter sessions of a list are padded with NaN.
    bin_size : float, optional
        Seconds; for data that do not know theirs.
    least_bins : int
        So many bins must hold data: a fit needs two, a prediction one.
    values : {"counts", "binary", "real"}
        What the numbers may be: counts, zeros and ones, or anything (signals).

    Returns
    -------
    DataArray, dims (session, time, neuron)
        float32, with the attribute `bin_size`; the coordinate `time` is negative in
        lead-in bins.

    Raises
    ------
    InvalidInputError
        If the data are of another kind or shape, not of those values, or too short.

    Examples
    --------
    >>> as_spikes(np.ones((10, 3)), bin_size=0.02).sizes
    Frozen({'session': 1, 'time': 10, 'neuron': 3})
    """
    if bin_size is not None and not (
        isinstance(bin_size, float | int | np.number) and np.isfinite(bin_size) and bin_size > 0
    ):
        raise InvalidInputError(f"bin_size={bin_size!r}; expected a positive number of seconds")
    spikes = _from_any(data, bin_size)
    _check_values(spikes, values)
    _check_length(spikes, least_bins)
    return spikes


def check_neurons(spikes: xr.DataArray, neuron_ids: np.ndarray) -> None:
    """Raise unless the spikes are of the neurons of the fit, in their order.

    Ids 0, 1, 2, ... are what unlabelled arrays get: they name places, not neurons, and fit any.
    """
    found, wanted = spikes["neuron"].values, np.asarray(neuron_ids)
    if len(found) != len(wanted):
        raise InvalidInputError(
            f"got {len(found)} neurons, but the model was fitted to {len(wanted)}; "
            "pass the same neurons in the same order"
        )
    if _are_places(found) or _are_places(wanted):
        return
    different = np.flatnonzero([str(a) != str(b) for a, b in zip(found, wanted, strict=True)])
    if different.size:
        place = different[0]
        same = sorted(map(str, found)) == sorted(map(str, wanted))
        hint = (
            "they come in another order: pass spikes.sel(neuron=model.neuron_ids_)"
            if same
            else "pass the same neurons in the same order, NaN where one was not recorded"
        )
        raise InvalidInputError(
            f"got neuron {found[place]} where the model was fitted to neuron {wanted[place]} "
            f"(place {place}, {different.size} differ); {hint}"
        )


def _are_places(ids: np.ndarray) -> bool:
    return ids.dtype.kind in "iu" and bool((ids == np.arange(len(ids))).all())


def _from_any(data: Any, bin_size: float | None) -> xr.DataArray:
    if type(data).__module__.split(".")[0] == "pynapple":
        from onehotglm.io.pynapple import from_pynapple

        return from_pynapple(data, bin_size)
    if isinstance(data, xr.DataArray):
        return _from_data_array(data, bin_size)
    if isinstance(data, xr.Dataset):
        if "spikes" in data:
            raise InvalidInputError("got a Dataset; pass its spikes, dataset['spikes']")
        raise InvalidInputError(f"got a Dataset without spikes; expected {_ACCEPTED}")
    if isinstance(data, pd.DataFrame):
        return _wrap([_numbers(data)], bin_size, neurons=data.columns.to_numpy())
    if isinstance(data, list | tuple):
        return _from_list(data, bin_size)
    values = _numbers(data)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3:
        raise InvalidInputError(f"got an array of shape {values.shape}; expected {_ACCEPTED}")
    return _wrap(list(values), bin_size)


def _numbers(data: Any) -> np.ndarray:
    """Float32, NaN where a masked array or a frame marks values as missing."""
    if hasattr(data, "toarray"):
        raise InvalidInputError(
            f"got sparse data ({type(data).__name__}); expected dense counts, data.toarray()"
        )
    try:
        if isinstance(data, pd.DataFrame):
            return data.to_numpy(dtype=np.float32, na_value=np.nan)
        if isinstance(data, list | tuple) and any(map(np.ma.isMaskedArray, data)):
            data = np.ma.stack(data)
        if np.ma.isMaskedArray(data):
            return np.ma.filled(np.ma.asarray(data, np.float32), np.nan)
        return np.asarray(data, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"got {type(data).__name__} that is not numeric ({error}); expected {_ACCEPTED}"
        ) from None


def _from_list(data: list | tuple, bin_size: float | None) -> xr.DataArray:
    sessions = [_numbers(session) for session in data]
    shapes = [session.shape for session in sessions]
    if not sessions or any(len(shape) != 2 for shape in shapes):
        raise InvalidInputError(
            f"got a list of arrays of shapes {shapes[:5]}; expected each (time, neuron)"
        )
    if len({shape[1] for shape in shapes}) > 1:
        raise InvalidInputError(
            f"the sessions have {sorted({shape[1] for shape in shapes})} neurons; all need the "
            "same, with NaN where a neuron was not recorded"
        )
    return _wrap(sessions, bin_size)


def _wrap(
    sessions: list[np.ndarray], bin_size: float | None, neurons: np.ndarray | None = None
) -> xr.DataArray:
    n_time = max((len(session) for session in sessions), default=0)
    n_neurons = sessions[0].shape[1] if sessions else 0
    values = np.full((len(sessions), n_time, n_neurons), np.nan, np.float32)
    for padded, session in zip(values, sessions, strict=True):
        padded[: len(session)] = session
    width = 1.0 if bin_size is None else float(bin_size)
    return xr.DataArray(
        values,
        dims=DIMS,
        coords={
            "session": np.arange(len(sessions)),
            "time": np.arange(n_time) * width,
            "neuron": np.arange(n_neurons) if neurons is None else neurons,
        },
        attrs={"bin_size": width},
        name="spikes",
    )


def _from_data_array(data: xr.DataArray, bin_size: float | None) -> xr.DataArray:
    if set(data.dims) == {"time", "neuron"}:
        data = data.expand_dims("session")
    if set(data.dims) != set(DIMS):
        raise InvalidInputError(
            f"got a DataArray with the dims {data.dims}; expected session, time, neuron"
        )
    data = data.transpose(*DIMS)
    width = data.attrs.get("bin_size", bin_size)
    if width is not None and bin_size is not None and not np.isclose(width, bin_size):
        raise InvalidInputError(
            f"bin_size={bin_size:g} s, but the DataArray's attribute says {width:g} s; bin the "
            "spikes again, or correct the one that is wrong"
        )
    width = 1.0 if width is None else float(width)
    missing = [dim for dim in DIMS if dim not in data.coords]
    defaults = {
        dim: np.arange(data.sizes[dim]) * (width if dim == "time" else 1) for dim in missing
    }
    return data.astype(np.float32).assign_coords(defaults).assign_attrs(bin_size=width)


def _check_values(spikes: xr.DataArray, allowed: str) -> None:
    values = spikes.values
    if 0 in values.shape:
        raise InvalidInputError(f"got no data: shape (session, time, neuron) is {values.shape}")
    if np.isinf(values).any():
        raise InvalidInputError("the data hold infinities; mark missing bins by NaN")
    if allowed == "real":
        return
    bad = values[(values < 0) | (values != np.rint(values)) & ~np.isnan(values)]
    if bad.size:
        raise InvalidInputError(
            f"the counts hold {bad[0]:g} ({bad.size} negative or fractional values); expected "
            "whole numbers of spikes per bin, so pass counts and not rates or z-scores, or fit "
            "signals with observation='gaussian'"
        )
    if allowed == "binary" and (values > 1).any():
        raise InvalidInputError(
            f"the counts go up to {np.nanmax(values):g}; observation='bernoulli' expects 0 or 1 "
            "per bin: use smaller bins, or observation='poisson'"
        )


def _check_length(spikes: xr.DataArray, least_bins: int) -> None:
    modelled = spikes.values[:, spikes["time"].values >= 0]
    if np.isnan(modelled).all():
        raise InvalidInputError("all counts are NaN, that is missing; nothing is left to model")
    if np.isfinite(modelled).any(-1).sum() < least_bins:
        raise InvalidInputError(
            "only one time bin holds data; expected at least two (is the array transposed? "
            "time comes before neuron)"
        )
