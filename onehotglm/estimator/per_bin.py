"""What is given for every bin beside the spikes, from any kind of input to one checked array."""

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


class PerBin(NamedTuple):
    """Columns that run along the spikes.

    Attributes
    ----------
    values : array, shape (session, time, column)
        For every bin of the spikes, lead-in included; NaN where not given.
    names : array, shape (column,)
        0, 1, 2, ... where the input had no names.
    """

    values: Floats
    names: np.ndarray


class Units(NamedTuple):
    """Mean and spread of every column, shape (column,)."""

    mean: Floats
    sd: Floats

    def standardised(self, values: Floats) -> Floats:
        """Values (..., column) minus their mean, in units of their spread."""
        return (values - self.mean) / self.sd


def read_per_bin(data: Any, spikes: xr.DataArray, kind: Kind) -> PerBin:
    """Columns of any accepted kind, checked against the spikes that they run along.

    Parameters
    ----------
    data : DataArray, Dataset, DataFrame, array, or list of arrays or DataFrames
        A value for every bin of the spikes; lead-in bins may be left out.
    spikes : DataArray, dims (session, time, neuron)
        From `onehotglm.estimator.validate.as_spikes`.
    kind : Kind

    Returns
    -------
    PerBin

    Raises
    ------
    InvalidInputError
        If it is of another kind, or its sessions or bins are not those of the spikes.

    Examples
    --------
    >>> coords = {"session": [0], "time": np.arange(5), "neuron": [0, 1]}
    >>> spikes = xr.DataArray(np.ones((1, 5, 2)), coords, ("session", "time", "neuron"))
    >>> speed = pd.DataFrame({"speed": [0.0, 1.0, 3.0, 2.0, 1.0]})
    >>> read_per_bin(speed, spikes, Kind("covariates", "covariate")).names.tolist()
    ['speed']
    """
    values, names = _from_any(data, spikes, kind)
    n_sessions, n_time = spikes.sizes["session"], spikes.sizes["time"]
    n_lead = int((spikes["time"].values < 0).sum())
    if len(values) != n_sessions or values.shape[1] not in (n_time, n_time - n_lead):
        raise InvalidInputError(
            f"{kind.argument} have {len(values)} session(s) of {values.shape[1]} bins, and the "
            f"spikes {n_sessions} of {n_time - n_lead}; expected one value for every bin of "
            f"them: sample {kind.argument} at the centres of the spikes' bins"
        )
    if values.shape[2] == 0:
        raise InvalidInputError(f"{kind.argument} have no columns; leave them out")
    if values.shape[1] != n_time:
        values = np.pad(values, ((0, 0), (n_lead, 0), (0, 0)), constant_values=np.nan)
    if names is None:
        return PerBin(values, np.arange(values.shape[2]))
    if len(set(map(str, names))) < len(names):
        raise InvalidInputError(f"{kind.argument} have a name twice: {_listed(names)}")
    return PerBin(values, names)


def labelled(data: Any, spikes: xr.DataArray, kind: Kind) -> xr.DataArray:
    """Columns of any accepted kind as (session, time, column), times as of the spikes."""
    given = read_per_bin(data, spikes, kind)
    coords = {"session": spikes["session"], "time": spikes["time"], kind.dim: given.names}
    dims = ("session", "time", kind.dim)
    return xr.DataArray(given.values, coords, dims, attrs={"bin_size": spikes.attrs["bin_size"]})


def along_fit(
    data: Any, spikes: xr.DataArray, kind: Kind, names: np.ndarray | None
) -> PerBin | None:
    """Read what is given to a fitted model, and check it against what it was fitted with.

    Parameters
    ----------
    data, spikes, kind
        As in `read_per_bin`; `data` may be None.
    names : array, shape (column,), or None
        Of the columns that the model was fitted with.

    Returns
    -------
    PerBin or None

    Raises
    ------
    InvalidInputError
        If the model was fitted with other columns, or with none, or needs some.
    """
    argument = kind.argument
    if names is None:
        if data is None:
            return None
        raise InvalidInputError(
            f"got {argument}, but the model was fitted without; leave them out, or fit with them"
        )
    if data is None:
        raise InvalidInputError(
            f"the model was fitted with {argument} ({_listed(names)}); pass {argument}= for "
            "these bins too"
        )
    given = read_per_bin(data, spikes, kind)
    if len(given.names) != len(names):
        raise InvalidInputError(
            f"{argument} have {len(given.names)} column(s), but the model was fitted with "
            f"{len(names)}: {_listed(names)}"
        )
    if _are_places(given.names) or _are_places(names):
        return given._replace(names=names)
    found, wanted = [str(name) for name in given.names], [str(name) for name in names]
    if found != wanted:
        same = sorted(found) == sorted(wanted)
        raise InvalidInputError(
            f"{argument} are {_listed(found)}, but the model was fitted with {_listed(wanted)}; "
            + ("pass them in that order" if same else "pass the same ones")
        )
    return given


def one_bin(data: Any, kind: Kind, names: np.ndarray | None) -> Floats | None:
    """Give the values of a single bin, shape (column,); None without columns.

    Parameters
    ----------
    data : array, shape (column,), or None
    kind : Kind
    names : array, shape (column,), or None
        Of the columns that the model was fitted with.

    Raises
    ------
    InvalidInputError
        If there are none though the model was fitted with some, or the reverse, or they are
        others or not known.
    """
    if names is None and data is None:
        return None
    wanted = 0 if names is None else len(names)
    values = np.asarray([] if data is None else data, float)
    if values.shape != (wanted,) or not np.isfinite(values).all():
        listed = "none" if names is None else _listed(names)
        raise InvalidInputError(
            f"got the {kind.argument} {data!r} of a bin; expected a number for each of those "
            f"that the model was fitted with ({listed})"
        )
    return values


def check_known(given: PerBin, spikes: xr.DataArray, kind: Kind, needed: NDArray[np.bool_]) -> None:
    """Raise where a value is needed but missing or infinite.

    Parameters
    ----------
    given : PerBin
    spikes : DataArray, dims (session, time, neuron)
    kind : Kind
    needed : bool array, shape (session, time)
        For example `with_data`.
    """
    bad = ~np.isfinite(given.values) & needed[..., None]
    if bad.any():
        session, time, column = np.argwhere(bad)[0]
        value = given.values[session, time, column]
        raise InvalidInputError(
            f"{kind.argument} are missing (NaN) or infinite in {bad.any(-1).sum()} bins with "
            f"counts; the first is {given.names[column]!s} = {value:g} in session "
            f"{spikes['session'].values[session]} at {spikes['time'].values[time]:g} s. Fill "
            f"gaps (for example {kind.argument}.interpolate_na('time')), or set the counts of "
            "these bins to NaN"
        )


def with_data(spikes: xr.DataArray) -> NDArray[np.bool_]:
    """Bins (session, time) after the lead-in in which any neuron was observed."""
    return np.isfinite(spikes.values).any(-1) & (spikes["time"].values >= 0)


def units_of(given: PerBin, kind: Kind, bins: NDArray[np.bool_]) -> Units:
    """Mean and spread of the columns over some bins (session, time).

    Raises
    ------
    InvalidInputError
        If a column is constant.
    """
    values = given.values[bins]
    constant = np.ptp(values, axis=0) == 0
    if constant.any():
        column = constant.argmax()
        raise InvalidInputError(
            f"{given.names[column]!s}, one of the {kind.argument}, is {values[0, column]:g} in all "
            "bins with counts, so that its effect cannot be told from a constant; leave it out"
        )
    return Units(values.mean(0), values.std(0))


def _listed(names: Sequence[Any] | np.ndarray) -> str:
    return ", ".join(map(str, names))


def _are_places(names: np.ndarray) -> bool:
    return names.dtype.kind in "iu" and bool((names == np.arange(len(names))).all())


# ----------------------------------------------------------------------- kinds of input


def _from_any(data: Any, spikes: xr.DataArray, kind: Kind) -> tuple[Floats, np.ndarray | None]:
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
            f"the sessions' {kind.argument} differ: {_listed(frames[0])}, and elsewhere "
            f"{_listed(next(x for x in frames if x != frames[0]))}; expected the same columns"
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
    if _are_places(np.atleast_1d(found)) or _are_places(wanted):
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
