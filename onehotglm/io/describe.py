"""What an NWB file holds, as tables and as text."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from onehotglm.errors import DataFileError
from onehotglm.io.nwb_file import (
    interval_tables,
    interval_tags,
    open_nwb,
    read_units,
    series_span,
    time_series,
)

if TYPE_CHECKING:
    from pynwb import NWBFile

MOST_VALUES = 6


class NWBSummary(NamedTuple):
    """What an NWB file holds; ``print`` it, or take its tables.

    Attributes
    ----------
    path : Path
        The file.
    about : dict
        Description, lab, subject and the like, as far as the file states them.
    units : pandas.DataFrame
        One row per unit: `n_spikes`, `rate` (Hz, over the time from the first to the last spike
        of all units), and the columns of the file's units table.  Empty without units.
    intervals : pandas.DataFrame
        One row per tag of each table of intervals: `table`, `tag` (empty where there is none),
        `n_intervals`, `seconds` (in total), `start`, `stop`.
    columns : dict of str to list of str
        Columns of each table of intervals, for example what trials can be aligned to.
    series : pandas.DataFrame
        One row per series over time: `name`, `shape`, `unit`, `start`, `stop`, `rate` (Hz).
    """

    path: Path
    about: dict[str, str]
    units: pd.DataFrame
    intervals: pd.DataFrame
    columns: dict[str, list[str]]
    series: pd.DataFrame

    @property
    def time_range(self) -> tuple[float, float]:
        """First and last time of spikes, intervals and series, in seconds; NaN if none."""
        limits = [
            frame[name].to_numpy(float)
            for frame, name in (
                (self.units, "first_spike"),
                (self.units, "last_spike"),
                (self.intervals, "start"),
                (self.intervals, "stop"),
                (self.series, "start"),
                (self.series, "stop"),
            )
        ]
        times = np.concatenate(limits)
        times = times[np.isfinite(times)]
        return (float(times.min()), float(times.max())) if len(times) else (np.nan, np.nan)

    def __str__(self) -> str:
        """Render the summary as text."""
        start, stop = self.time_range
        lines = [str(self.path)]
        lines += [f"  {name}: {text}" for name, text in self.about.items()]
        lines += [f"  time: {start:.3f} to {stop:.3f} s ({_duration(stop - start)})", ""]
        lines += [*_units_text(self.units), "", *_intervals_text(self.intervals, self.columns), ""]
        lines += ["Series:", *_indent(self.series)] if len(self.series) else ["Series: none"]
        return "\n".join(lines)


def describe_nwb(path: str | os.PathLike) -> NWBSummary:
    """Find out what an NWB file holds, and by which names `load_nwb` can ask for it.

    Parameters
    ----------
    path : path
        The NWB file.

    Returns
    -------
    NWBSummary
        Tables of units, intervals and series; ``print`` shows them as text.

    Raises
    ------
    DataFileError
        If the file cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> from onehotglm.io.nwb_write import save_nwb
    >>> dims = ("session", "time", "neuron")
    >>> counts = xr.DataArray(np.ones((2, 50, 3)), dims=dims, attrs={"bin_size": 0.02})
    >>> with TemporaryDirectory() as folder:
    ...     summary = describe_nwb(save_nwb(f"{folder}/demo.nwb", counts))
    >>> summary.intervals[["table", "tag", "n_intervals", "seconds"]]
        table      tag  n_intervals  seconds
    0  epochs  session            2      2.0
    """
    with open_nwb(path) as nwb:
        tables = interval_tables(nwb)
        return NWBSummary(
            path=Path(path),
            about=_about(nwb),
            units=_units(nwb),
            intervals=_intervals(tables),
            columns={name: list(table.colnames) for name, table in tables.items()},
            series=_series(nwb),
        )


def _about(nwb: "NWBFile") -> dict[str, str]:
    stated: dict[str, Any] = {
        "description": nwb.session_description,
        "identifier": nwb.identifier,
        "recorded": nwb.session_start_time.isoformat(sep=" "),
        "lab": ", ".join(filter(None, (nwb.lab, nwb.institution))),
    }
    if nwb.subject is not None:
        parts = (nwb.subject.species, nwb.subject.sex, nwb.subject.age, nwb.subject.subject_id)
        stated["subject"] = ", ".join(filter(None, parts))
    return {name: str(value) for name, value in stated.items() if value}


def _units(nwb: "NWBFile") -> pd.DataFrame:
    try:
        units = read_units(nwb)
    except DataFileError:  # a file without units is worth describing too
        return pd.DataFrame(columns=["n_spikes", "rate", "first_spike", "last_spike"])
    spikes = [(len(times), *_limits(times)) for times in units.spike_times]
    frame = pd.DataFrame(
        spikes, columns=["n_spikes", "first_spike", "last_spike"], index=units.table.index
    )
    seconds = frame["last_spike"].max() - frame["first_spike"].min()
    frame.insert(1, "rate", frame["n_spikes"] / seconds if seconds > 0 else np.nan)
    clashes = {name: f"{name}_in_file" for name in units.table.columns.intersection(frame.columns)}
    return pd.concat([frame, units.table.rename(columns=clashes)], axis=1)


def _limits(times: np.ndarray) -> tuple[float, float]:
    return (times.min(), times.max()) if len(times) else (np.nan, np.nan)


def _intervals(tables: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, table in tables.items():
        start = np.asarray(table["start_time"][:], dtype=float)
        stop = np.asarray(table["stop_time"][:], dtype=float)
        tags_of_rows = interval_tags(table)
        for tag in sorted({tag for tags in tags_of_rows for tag in tags}) or [""]:
            chosen = np.array([tag in tags or not tag for tags in tags_of_rows], dtype=bool)
            seconds = float((stop - start)[chosen].sum())
            limits = _limits(np.r_[start[chosen], stop[chosen]])
            rows.append((name, tag, int(chosen.sum()), seconds, *limits))
    columns = ["table", "tag", "n_intervals", "seconds", "start", "stop"]
    return pd.DataFrame(rows, columns=columns)


def _series(nwb: "NWBFile") -> pd.DataFrame:
    rows = []
    for name, series in time_series(nwb).items():
        shape = tuple(map(int, np.shape(series.data)))
        n_samples, start, stop = series_span(series)
        rate = (n_samples - 1) / (stop - start) if stop > start else np.nan
        rows.append((name, shape, series.unit, start, stop, rate))
    return pd.DataFrame(rows, columns=["name", "shape", "unit", "start", "stop", "rate"])


def _units_text(units: pd.DataFrame) -> list[str]:
    if units.empty:
        return ["Units: none with spike times"]
    rates = units["rate"]
    lines = [
        f"Units: {len(units)}, {units['n_spikes'].sum():,} spikes, "
        f"{rates.min():.2f} to {rates.max():.2f} Hz (median {rates.median():.2f} Hz)"
    ]
    for name in units.columns.difference(["n_spikes", "rate", "first_spike", "last_spike"]):
        counts = units[name].value_counts()
        values = ", ".join(f"{value} ({count})" for value, count in counts[:MOST_VALUES].items())
        more = f", ... ({len(counts)} values)" if len(counts) > MOST_VALUES else ""
        lines.append(f"  column {name}: {values}{more}")
    return lines


def _intervals_text(intervals: pd.DataFrame, columns: dict[str, list[str]]) -> list[str]:
    if intervals.empty:
        return ["Intervals (epochs, trials): none"]
    lines = ["Intervals:", *_indent(intervals)]
    known = {"start_time", "stop_time", "tags", "timeseries"}
    for table, names in columns.items():
        others = [name for name in names if name not in known]
        lines += [f"  columns of {table}: {', '.join(others)}"] if others else []
    return lines


def _indent(frame: pd.DataFrame) -> list[str]:
    text = frame.to_string(index=False, float_format=lambda number: f"{number:.2f}")
    return [f"  {line}" for line in text.splitlines()]


def _duration(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    return (
        f"{hours} h {rest // 60} min {rest % 60} s" if hours else f"{rest // 60} min {rest % 60} s"
    )
