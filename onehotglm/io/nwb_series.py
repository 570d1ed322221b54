"""Position, speed and other series, and labelled intervals, on the bins of the spikes."""

import os

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.intervals import describe_tags
from onehotglm.io.nwb_file import (
    interval_tables,
    open_nwb,
    read_flat_columns,
    series_times,
    time_series,
)
from onehotglm.io.resample import METHODS, sample_columns
from onehotglm.io.spikes import bin_centres, modelled


def load_series(
    path: str | os.PathLike,
    name: str,
    spikes: xr.DataArray,
    *,
    method: str = "linear",
    max_gap: float = 0.5,
) -> xr.DataArray:
    """Read a series (position, speed, ...) at the centres of the spikes' bins.

    Parameters
    ----------
    path : path
        The NWB file.
    name : str
        Name of the series, as `describe_nwb` lists it.
    spikes : xarray.DataArray, dims (session, time, neuron)
        What `load_nwb` read from the same file.
    method : {"linear", "nearest"}
        Between samples, interpolate or take the nearest.  Angles, which jump at a full turn,
        and labels want ``"nearest"``.
    max_gap : float
        NaN where two neighbouring samples are further apart than this, seconds.

    Returns
    -------
    xarray.DataArray, dims (session, time) or (session, time, axis)
        The series without the lead-in bins, in the unit that its attribute `units` names; NaN
        where it was not sampled.

    Raises
    ------
    DataFileError
        If the file has no series of that name; the message lists those that exist.
    """
    if method not in METHODS:
        raise InvalidInputError(f"method is {method!r}, expected one of {', '.join(METHODS)}.")
    with open_nwb(path) as nwb:
        found = time_series(nwb)
        if name not in found:
            raise DataFileError(
                f"the file has no series {name!r}; its series are "
                f"{', '.join(found) or 'none at all'}."
            )
        series = found[name]
        times = series_times(series)
        values = np.asarray(series.data[:], dtype=float) * series.conversion + series.offset
        unit = series.unit
    sampled = sample_columns(times, values, bin_centres(spikes), method, max_gap)
    return sampled.rename(name).assign_attrs(units=unit)


def load_intervals(path: str | os.PathLike, name: str) -> pd.DataFrame:
    """Read a table of intervals, for example the trials with their choices and outcomes.

    Parameters
    ----------
    path : path
        The NWB file.
    name : str
        Name of the table: ``"epochs"``, ``"trials"`` or another.

    Returns
    -------
    pandas.DataFrame
        One row per interval with `start_time` and `stop_time` in seconds; the index is the id
        that the coordinate `interval` of `load_nwb`'s spikes points to.

    Raises
    ------
    DataFileError
        If the file has no such table; the message lists those that exist.
    """
    with open_nwb(path) as nwb:
        tables = interval_tables(nwb)
        if name not in tables:
            raise DataFileError(
                f"no table of intervals is called {name!r}. {describe_tags(tables)}"
            )
        return read_flat_columns(tables[name])


def load_labels(
    path: str | os.PathLike,
    table: str,
    spikes: xr.DataArray,
    column: str,
    *,
    missing: float | str = np.nan,
) -> xr.DataArray:
    """Give every bin the label of the interval that holds its centre.

    Parameters
    ----------
    path : path
        The NWB file.
    table : str
        Name of a table of intervals.
    spikes : xarray.DataArray, dims (session, time, neuron)
        What `load_nwb` read from the same file.
    column : str
        Column of the table with the labels.
    missing : float or str
        Label of bins that lie in no interval.

    Returns
    -------
    xarray.DataArray, dims (session, time)
        Labels of the bins, without the lead-in.  Where intervals overlap, the one that started
        last counts.

    Raises
    ------
    DataFileError
        If the table or the column does not exist; the message lists those that do.
    """
    rows = load_intervals(path, table)
    if column not in rows:
        raise DataFileError(
            f"the table {table!r} has no column {column!r}; its columns are "
            f"{', '.join(rows.columns)}."
        )
    centres = bin_centres(spikes)
    if rows.empty:
        return xr.full_like(centres, missing, dtype=np.asarray(missing).dtype).rename(column)
    rows = rows.sort_values("start_time", kind="stable")
    row = np.searchsorted(rows["start_time"].to_numpy(), centres.values, side="right") - 1
    inside = (row >= 0) & (centres.values < rows["stop_time"].to_numpy()[row])
    inside &= modelled(spikes).notnull().any("neuron").values
    labels = np.where(inside, rows[column].to_numpy()[row], missing)
    return xr.DataArray(labels, dims=centres.dims, coords=centres.coords, name=column)
