"""What is given for every bin beside the spikes, checked against the spikes and the fit."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.columns import Floats, Kind, are_places, columns_of, listed


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
    >>> import pandas as pd
    >>> coords = {"session": [0], "time": np.arange(5), "neuron": [0, 1]}
    >>> spikes = xr.DataArray(np.ones((1, 5, 2)), coords, ("session", "time", "neuron"))
    >>> speed = pd.DataFrame({"speed": [0.0, 1.0, 3.0, 2.0, 1.0]})
    >>> read_per_bin(speed, spikes, Kind("covariates", "covariate")).names.tolist()
    ['speed']
    """
    values, names = columns_of(data, spikes, kind)
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
        raise InvalidInputError(f"{kind.argument} have a name twice: {listed(names)}")
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
            f"the model was fitted with {argument} ({listed(names)}); pass {argument}= for "
            "these bins too"
        )
    given = read_per_bin(data, spikes, kind)
    if len(given.names) != len(names):
        raise InvalidInputError(
            f"{argument} have {len(given.names)} column(s), but the model was fitted with "
            f"{len(names)}: {listed(names)}"
        )
    if are_places(given.names) or are_places(names):
        return given._replace(names=names)
    found, wanted = [str(name) for name in given.names], [str(name) for name in names]
    if found != wanted:
        same = sorted(found) == sorted(wanted)
        raise InvalidInputError(
            f"{argument} are {listed(found)}, but the model was fitted with {listed(wanted)}; "
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
        expected = "none" if names is None else listed(names)
        raise InvalidInputError(
            f"got the {kind.argument} {data!r} of a bin; expected a number for each of those "
            f"that the model was fitted with ({expected})"
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
