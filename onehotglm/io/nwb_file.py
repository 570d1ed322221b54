"""Opening NWB files, and the plain tables of what is in them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from onehotglm.errors import DataFileError
from onehotglm.io.files import existing_file

if TYPE_CHECKING:
    from pynwb import NWBFile, TimeSeries
    from pynwb.epoch import TimeIntervals


class Units(NamedTuple):
    """The units of a recording.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per unit with every column that holds one value per unit; the index is its id.
    spike_times : list of ndarray
        Spike times per unit, seconds on the recording's clock.
    observed : list of (ndarray of shape (interval, 2) or None), or None
        When each unit was observed; None where the file does not say.
    """

    table: pd.DataFrame
    spike_times: list[np.ndarray]
    observed: list[np.ndarray | None] | None


@contextmanager
def open_nwb(path: str | os.PathLike) -> Iterator["NWBFile"]:
    """Open an NWB file for reading; what goes wrong in the block is the file's fault.

    Raises
    ------
    DataFileError
        If the file is missing, damaged or no NWB file.
    """
    from pynwb import NWBHDF5IO

    path = existing_file(path, "an NWB file")
    with ExitStack() as stack:
        try:
            nwb = stack.enter_context(NWBHDF5IO(path, mode="r")).read()
        except Exception as error:  # pynwb raises many types on what is no NWB file
            raise _unreadable(path, error) from error
        try:
            yield nwb
        except DataFileError:
            raise
        except (OSError, RuntimeError) as error:
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataFileError:
    return DataFileError(
        f"{path} cannot be read as NWB ({type(error).__name__}: {error}). It may be truncated by "
        "an interrupted copy or download, or be no NWB 2 file in HDF5: copy it again, and check "
        "it with `pynwb-validate FILE`."
    )


def read_units(nwb: "NWBFile") -> Units:
    """Read the units table.

    Raises
    ------
    DataFileError
        If the file has no units, or they have no spike times.
    """
    if nwb.units is None or "spike_times" not in nwb.units.colnames or len(nwb.units) == 0:
        raise DataFileError(
            "the file holds no units with spike times (table /units), which load_nwb counts. "
            "Sort the spikes first, or pick the file of the same recording that holds units; "
            "`onehotglm info FILE` shows what this one holds."
        )
    spike_times = _ragged(nwb.units["spike_times"])
    observed = None
    if "obs_intervals" in nwb.units.colnames:
        observed = [
            np.asarray(intervals, dtype=float).reshape(-1, 2) if len(intervals) else None
            for intervals in _ragged(nwb.units["obs_intervals"])
        ]
    return Units(read_flat_columns(nwb.units), spike_times, observed)


def read_flat_columns(table: Any) -> pd.DataFrame:
    """Read the columns of an NWB table that hold one number or text per row."""
    columns = {}
    for name in table.colnames:
        column = table[name]
        ragged_or_reference = hasattr(column, "target") or hasattr(column, "table")
        data = np.asarray([]) if ragged_or_reference else np.asarray(column.data[:])
        if data.ndim != 1 or len(data) != len(table) or data.dtype.kind not in "biufUSO":
            continue
        values = [_plain(value) for value in data]
        if all(np.isscalar(value) or value is None for value in values):
            columns[name] = values
    return pd.DataFrame(columns, index=pd.Index(np.asarray(table.id[:]), name="id"))


def interval_tables(nwb: "NWBFile") -> dict[str, "TimeIntervals"]:
    """Every table of intervals by name: epochs first, then trials, then the others."""
    from pynwb.epoch import TimeIntervals

    tables = dict(nwb.intervals or {})
    if nwb.trials is not None:
        tables = {"trials": nwb.trials} | tables
    if nwb.epochs is not None:
        tables = {"epochs": nwb.epochs} | tables
    for module in nwb.processing.values():
        for name, item in module.data_interfaces.items():
            if isinstance(item, TimeIntervals):
                tables.setdefault(name, item)
    return tables


def interval_tags(table: "TimeIntervals") -> list[tuple[str, ...]]:
    """Tags of each row: what its column `tags` or `label` says."""
    for name in ("tags", "label"):
        if name in table.colnames:
            return [
                (row,) if isinstance(row, str) else tuple(map(str, np.atleast_1d(row)))
                for row in map(_plain, table[name][:])
            ]
    return [()] * len(table)


def time_series(nwb: "NWBFile") -> dict[str, "TimeSeries"]:
    """Every series of numbers over time, by name; ``module/name`` where a name comes twice."""
    from pynwb import TimeSeries

    found: dict[str, TimeSeries] = {}
    sources: list[tuple[str, Any]] = [("acquisition", item) for item in nwb.acquisition.values()]
    for module in nwb.processing.values():
        sources += [(module.name, item) for item in module.data_interfaces.values()]
    for place, item in sources:
        members = [item] if isinstance(item, TimeSeries) else getattr(item, "children", ())
        for member in members:
            if isinstance(member, TimeSeries):
                name = member.name if member.name not in found else f"{place}/{member.name}"
                found[name] = member
    return found


def series_times(series: "TimeSeries") -> np.ndarray:
    """Sample times of a series, seconds on the recording's clock."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], dtype=float)
    return float(series.starting_time or 0.0) + np.arange(len(series.data)) / float(series.rate)


def series_span(series: "TimeSeries") -> tuple[int, float, float]:
    """Count the samples, and find the first and last sample's time, without reading them all."""
    n_samples = len(series.data)
    if n_samples == 0:
        return 0, np.nan, np.nan
    if series.timestamps is not None:
        return n_samples, float(series.timestamps[0]), float(series.timestamps[-1])
    start = float(series.starting_time or 0.0)
    return n_samples, start, start + (n_samples - 1) / float(series.rate)


def _ragged(column: Any) -> list[np.ndarray]:
    """Rows of a ragged column, read from the file in two pieces."""
    ends = np.asarray(column.data[:])
    return np.split(np.asarray(column.target.data[:], dtype=float), ends[:-1])


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
