"""Columns beside the spikes from any kind of input: arrays, lists, frames, labelled ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from onehotglm.errors import InvalidInputError

Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """What the columns are, in the words of messages.

    Attributes
    ----------
    argument : str
        Name of the argument that takes them, a plural.
    dim : str
        Name of the dimension over columns.
    """

    argument: str
    dim: str

    @property
    def accepted(self) -> str:
        """Kinds of input, for messages."""
        return (
            f"a DataArray (session, time, {self.dim}), an array of that shape or (time, "
            f"{self.dim}) for one session, a DataFrame (time x {self.dim}), a list of such with "
            "one per session, or a Dataset of series (session, time)"
        )


def columns_of(data: Any, spikes: xr.DataArray, kind: Kind) -> tuple[Floats, np.ndarray | None]:
    """Values (session, time, column), and names (column,) where the input has any."""
    if isinstance(data, xr.Dataset):
        return _from_dataset(data, spikes, kind)
    if isinstance(data, xr.DataArray):
        return _from_data_array(data, spikes, kind)
    if isinstance(data, pd.DataFrame):
        data = [data]
    if isinstance(data, list | tuple):
        return _from_list(data, spikes, kind)
    values = _numbers(data, kind)
    if values.ndim == 2 and spikes.sizes["session"] == 1:
        values = values[None]
    if values.ndim != 3:
        raise InvalidInputError(
            f"{kind.argument} have the shape {values.shape}; expected {kind.accepted}"
        )
    return values, None


def _numbers(data: Any, kind: Kind) -> Floats:
    """Float64, NaN where a masked array or a frame marks values as missing."""
    try:
        if isinstance(data, pd.DataFrame):
            return data.to_numpy(dtype=float, na_value=np.nan)
        if np.ma.isMaskedArray(data):
            return np.ma.filled(np.ma.asarray(data, float), np.nan)
        return np.asarray(data, float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{kind.argument} ({type(data).__name__}) are not numeric ({error}); expected "
            f"{kind.accepted}"
        ) from None


def _from_list(
    data: Sequence[Any], spikes: xr.DataArray, kind: Kind
) -> tuple[Floats, np.ndarray | None]:
    """Sessions of any lengths up to that of the spikes."""
    sessions = [_numbers(session, kind) for session in data]
    shapes = [session.shape for session in sessions]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1:] for shape in shapes}) != 1:
        raise InvalidInputError(
            f"{kind.argument} are a list of arrays of shapes {shapes[:5]}; expected each (time, "
            f"{kind.dim}), with the same columns"
        )
    frames = [list(session.columns) for session in data if isinstance(session, pd.DataFrame)]
    if any(names != frames[0] for names in frames):
        raise InvalidInputError(
            f"the sessions' {kind.argument} differ: {listed(frames[0])}, and elsewhere "
            f"{listed(next(x for x in frames if x != frames[0]))}; expected the same columns"
        )
    longest = max(spikes.sizes["time"], *(len(session) for session in sessions))
    n_lead = int((spikes["time"].values < 0).sum())
    if longest == spikes.sizes["time"] and max(map(len, sessions)) <= longest - n_lead:
        longest -= n_lead
    values = np.full((len(sessions), longest, shapes[0][1]), np.nan)
    for padded, session in zip(values, sessions, strict=True):
        padded[: len(session)] = session
    return values, np.asarray(frames[0]) if frames else None


def _from_dataset(
    data: xr.Dataset, spikes: xr.DataArray, kind: Kind
) -> tuple[Floats, np.ndarray | None]:
    """Series side by side, each named as its variable."""
    if not data.data_vars:
        raise InvalidInputError(f"{kind.argument} are a Dataset without variables")
    values, names = [], []
    for name, series in data.data_vars.items():
        columns, found = _from_data_array(series.rename(name), spikes, kind)
        values.append(columns)
        several = columns.shape[2] > 1
        ends = range(columns.shape[2]) if found is None else found
        names += [f"{name}_{end}" if several else str(name) for end in ends]
    return np.concatenate(values, axis=2), np.asarray(names)


def _from_data_array(
    data: xr.DataArray, spikes: xr.DataArray, kind: Kind
) -> tuple[Floats, np.ndarray | None]:
    others = [dim for dim in data.dims if dim not in ("session", "time")]
    if "time" not in data.dims or len(others) > 1 or "neuron" in others:
        raise InvalidInputError(
            f"{kind.argument} have the dims {data.dims}; expected session, time, {kind.dim}"
        )
    if "session" not in data.dims:
        data = data.expand_dims("session")
    if not others:
        data = data.expand_dims({kind.dim: [str(data.name or kind.dim)]}, axis=-1)
    column = others[0] if others else kind.dim
    data = data.transpose("session", "time", column)
    _check_session_labels(data, spikes, kind)
    _check_times(data, spikes, kind)
    names = data[column].values if column in data.coords else None
    return _numbers(data.values, kind), names


def _check_session_labels(data: xr.DataArray, spikes: xr.DataArray, kind: Kind) -> None:
    wanted = spikes["session"].values
    if "session" not in data.coords or data.sizes["session"] != len(wanted):
        return
    found = data["session"].values
    if are_places(np.atleast_1d(found)) or are_places(wanted):
        return
    different = [n for n in range(len(wanted)) if str(found[n]) != str(wanted[n])]
    if different:
        place = different[0]
        raise InvalidInputError(
            f"{kind.argument} have session {found[place]} where the spikes have session "
            f"{wanted[place]}; pass the same sessions in the same order, for example "
            f"{kind.argument}.sel(session=spikes.session)"
        )


def _check_times(data: xr.DataArray, spikes: xr.DataArray, kind: Kind) -> None:
    times = spikes["time"].values
    if data.sizes["time"] != len(times):
        times = times[times >= 0]
    if "time" not in data.coords or data.sizes["time"] != len(times):
        return
    found = data["time"].values
    width = spikes.attrs.get("bin_size", 1.0)
    # Centres of bins are as good as their left edges.
    if np.abs(found - times).max() > 0.51 * width:
        raise InvalidInputError(
            f"{kind.argument} have times from {found[0]:g} to {found[-1]:g} s and the spikes "
            f"from {times[0]:g} to {times[-1]:g} s, in bins of {width:g} s; bring them to the "
            f"same bins first, for example {kind.argument}.interp(time=spikes.time)"
        )


def listed(names: Sequence[Any] | np.ndarray) -> str:
    """Names as they stand in messages."""
    return ", ".join(map(str, names))


def are_places(names: np.ndarray) -> bool:
    """Whether names are 0, 1, 2, ...: those of what has none."""
    return names.dtype.kind in "iu" and bool((names == np.arange(len(names))).all())
