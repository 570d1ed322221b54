"""Which stretches of a recording to read: epochs by tag or table, trials by alignment."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.nwb_file import Units, interval_tables, interval_tags, read_flat_columns

if TYPE_CHECKING:
    from pynwb import NWBFile
    from pynwb.epoch import TimeIntervals

# Chosen intervals are a DataFrame with the columns start and stop (seconds on the recording's
# clock), interval (id of the row in its table) and tag.


def find_epochs(nwb: "NWBFile", epochs: str | Sequence[str]) -> pd.DataFrame:
    """Find the intervals that bear one of some tags, or the rows of a table of that name.

    Parameters
    ----------
    nwb : pynwb.NWBFile
        The open file.
    epochs : str or sequence of str
        Tags, looked for in the epochs table and then in the others, or names of tables.

    Returns
    -------
    pandas.DataFrame
        Columns start, stop, interval, tag; in the order of time.

    Raises
    ------
    DataFileError
        If neither a tag nor a table has one of the names; the message lists those that exist.
    """
    tables = interval_tables(nwb)
    wanted = [epochs] if isinstance(epochs, str) else list(epochs)
    if not wanted:
        raise InvalidInputError("epochs is an empty list, expected tags or names of tables.")
    parts = [_rows_with_tag(tables, name) for name in wanted]
    found = pd.concat(parts).drop_duplicates(["table", "interval"])
    return found.drop(columns="table").sort_values("start", kind="stable", ignore_index=True)


def _rows_with_tag(tables: dict[str, "TimeIntervals"], name: str) -> pd.DataFrame:
    for table_name, table in tables.items():
        rows = [row for row, tags in enumerate(interval_tags(table)) if name in tags]
        if rows:
            return _rows(table_name, table, rows, [name] * len(rows))
    if name in tables:
        tags = [", ".join(row) for row in interval_tags(tables[name])]
        return _rows(name, tables[name], list(range(len(tables[name]))), tags)
    raise DataFileError(
        f"no epoch has the tag {name!r}, and no table of intervals has that name. "
        f"{describe_tags(tables)}"
    )


def _rows(name: str, table: "TimeIntervals", rows: list[int], tags: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start": np.asarray(table["start_time"][:], dtype=float)[rows],
            "stop": np.asarray(table["stop_time"][:], dtype=float)[rows],
            "interval": np.asarray(table.id[:])[rows],
            "tag": tags,
            "table": name,
        }
    )


def describe_tags(tables: dict[str, "TimeIntervals"]) -> str:
    """Say which tables there are, and the tags in each, for messages."""
    if not tables:
        return "The file has no table of intervals at all: leave epochs and trials out."
    texts = []
    for name, table in tables.items():
        tags = sorted({tag for row in interval_tags(table) for tag in row})
        texts.append(f"{name} (tags: {', '.join(tags)})" if tags else name)
    return f"The file has: {'; '.join(texts)}."


def find_trials(
    nwb: "NWBFile", trials: str, align_to: str, window: tuple[float, float] | None
) -> pd.DataFrame:
    """Find the trials of a table, each from a window around an event in it.

    Parameters
    ----------
    nwb : pynwb.NWBFile
        The open file.
    trials : str
        Name of the table.
    align_to : str
        Column that holds the event's time.
    window : (float, float), optional
        Seconds before (negative) and after the event.  Default: the trial's start to its stop.

    Returns
    -------
    pandas.DataFrame
        Columns start, stop, interval, tag.  Trials without the event are left out, with a
        warning.
    """
    tables = interval_tables(nwb)
    if trials not in tables:
        raise DataFileError(f"no table of trials is called {trials!r}. {describe_tags(tables)}")
    table = read_flat_columns(tables[trials])
    if align_to not in table or not is_numeric_dtype(table[align_to]):
        columns = table.select_dtypes("number").columns
        raise DataFileError(
            f"the table {trials!r} has no column {align_to!r} of times to align to; its columns "
            f"of numbers are {', '.join(columns)}."
        )
    before, after = _check_window(window, align_to)
    event = table[align_to].to_numpy(float)
    known = np.isfinite(event)
    if not known.all():
        warnings.warn(
            f"{(~known).sum()} of {len(known)} trials have no {align_to!r} and are left out.",
            UserWarning,
            stacklevel=3,
        )
    start = event if before is None else event + before
    stop = table["stop_time"].to_numpy(float) if after is None else event + after
    found = pd.DataFrame({"start": start, "stop": stop, "interval": table.index, "tag": ""})
    return found[known].reset_index(drop=True)


def _check_window(
    window: tuple[float, float] | None, align_to: str
) -> tuple[float, float] | tuple[None, None]:
    if window is None:
        if align_to != "start_time":
            raise InvalidInputError(
                f"align_to={align_to!r} needs a window around that event, for example "
                "window=(-5, 10) in seconds."
            )
        return None, None
    limits = np.asarray(window, dtype=float)
    if limits.shape != (2,) or not limits[0] < limits[1]:
        raise InvalidInputError(
            f"window is {window!r}, expected two increasing times in seconds around the event, "
            "for example (-5, 10)."
        )
    return float(limits[0]), float(limits[1])


def whole_recording(nwb: "NWBFile", units: Units, bin_size: float) -> pd.DataFrame:
    """Take all that was recorded as one interval: what was observed, else spikes and epochs.

    Where the last spike is all that is known of the end, its bin is whole.
    """
    if units.observed is not None and any(rows is not None for rows in units.observed):
        limits = np.concatenate([rows for rows in units.observed if rows is not None])
    else:
        times = np.concatenate([*units.spike_times, []])
        ends = [times.min(), times.max() + bin_size] if len(times) else []
        epochs = nwb.epochs if nwb.epochs is not None else {"start_time": [], "stop_time": []}
        limits = np.concatenate([ends, epochs["start_time"][:], epochs["stop_time"][:]])
    if not len(limits):
        raise DataFileError("the file holds no spike at all, so that its length is unknown.")
    return pd.DataFrame({"start": [limits.min()], "stop": [limits.max()]})


def clip(intervals: pd.DataFrame, start: float | None, stop: float | None, whole: bool) -> Any:
    """Cut intervals to the time from `start` to `stop`, or keep only those wholly inside."""
    low = -np.inf if start is None else float(start)
    high = np.inf if stop is None else float(stop)
    if whole:
        kept = intervals[(intervals["start"] >= low) & (intervals["stop"] <= high)]
    else:
        cut = intervals.assign(
            start=intervals["start"].clip(lower=low), stop=intervals["stop"].clip(upper=high)
        )
        kept = cut[cut["stop"] > cut["start"]]
    if kept.empty:
        raise InvalidInputError(
            f"nothing is left between start={start} and stop={stop}: the {len(intervals)} chosen "
            f"intervals lie between {intervals['start'].min():g} and "
            f"{intervals['stop'].max():g} s on the recording's clock."
        )
    return kept.reset_index(drop=True)
