"""Sessions laid out on one time axis, and the runs of equal states on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError


class Timeline(NamedTuple):
    """Observed bins in the order of time.

    Attributes
    ----------
    time : ndarray, shape (bin,)
        Left edges, s.
    values : ndarray, shape (bin, ...)
    opens : bool ndarray, shape (bin,)
        True where a bin does not follow on the one before it: at the first bin
        of a session and after missing bins.
    bin_size : float
        Seconds.
    """

    time: np.ndarray
    values: np.ndarray
    opens: np.ndarray
    bin_size: float


class Runs(NamedTuple):
    """Stretches of one state; all arrays have shape (run,).

    Attributes
    ----------
    state : int ndarray
    start, duration : ndarray
        Seconds.
    entered, left : bool ndarray
        Whether the beginning and the end of the run were seen, rather than cut
        by the edge of a session.
    """

    state: np.ndarray
    start: np.ndarray
    duration: np.ndarray
    entered: np.ndarray
    left: np.ndarray


def bin_size_of(array: xr.DataArray) -> float:
    """Bin size in seconds, from the attribute or else the time coordinate."""
    if "bin_size" in array.attrs:
        return float(array.attrs["bin_size"])
    if "time" in array.coords and array.sizes["time"] > 1:
        return float(np.median(np.diff(array["time"].values)))
    raise InvalidInputError(
        "the bin size is unknown: the array has neither an attribute 'bin_size' nor a time "
        "coordinate of two or more bins; set array.attrs['bin_size'] in seconds"
    )


def observed_bins(array: xr.DataArray) -> np.ndarray:
    """Mask (session, time) of bins that are neither lead-in nor wholly missing."""
    values = array.transpose("session", "time", ...).values
    if np.issubdtype(values.dtype, np.floating):
        present = ~np.isnan(values.reshape(*values.shape[:2], -1)).all(axis=2)
    else:
        present = (values >= 0).reshape(*values.shape[:2], -1).any(axis=2)
    return present & (_times(array) > -bin_size_of(array) / 2)[None]


def with_session_start(array: xr.DataArray) -> xr.DataArray:
    """Return the array with a coordinate `session_start`: sessions end to end if it had none."""
    if "session_start" in array.coords:
        return array
    bin_size = bin_size_of(array)
    present = observed_bins(array)
    lengths = [np.max(_times(array)[row], initial=-bin_size) + bin_size for row in present]
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return array.assign_coords(session_start=("session", starts))


def timeline(
    array: xr.DataArray,
    session: int | str | None = None,
    start: float | None = None,
    stop: float | None = None,
) -> Timeline:
    """Observed bins of one session, or of all of them, within a window.

    Parameters
    ----------
    array : DataArray, dims (session, time, ...)
        Floats with NaN, or states with -1, where bins are missing.
    session : int or str, optional
        Label of one session; times count from its start.  ``None``: all
        sessions, on the clock of `session_start`, or end to end without it.
    start, stop : float, optional
        Window in seconds on that time axis.

    Returns
    -------
    Timeline

    Raises
    ------
    InvalidInputError
        For an unknown session, or a window without bins.
    """
    array = with_session_start(array).transpose("session", "time", ...)
    bin_size = bin_size_of(array)
    offsets = array["session_start"].values.astype(float)
    present = observed_bins(array)
    if session is not None:
        row = _session_index(array, session)
        offsets = np.zeros_like(offsets)
        present = present & (np.arange(len(offsets)) == row)[:, None]
    time = offsets[:, None] + _times(array)[None]
    tolerance = bin_size / 1000
    if start is not None:
        present = present & (time >= start - tolerance)
    if stop is not None:
        present = present & (time < stop - tolerance)
    if not present.any():
        raise InvalidInputError(
            f"no bins between start={start} and stop={stop} s of session {session!r}; "
            "times count from the start of the session, or on the recording's clock with "
            "session=None"
        )
    rows, _ = np.nonzero(present)
    flat_time, values = time[present], array.values[present]
    sorting = np.argsort(flat_time, kind="stable")
    rows, flat_time, values = rows[sorting], flat_time[sorting], values[sorting]
    opens = np.ones(len(flat_time), bool)
    opens[1:] = (np.diff(rows) != 0) | (np.diff(flat_time) > 1.5 * bin_size)
    return Timeline(flat_time, values, opens, bin_size)


def state_runs(states: Timeline) -> Runs:
    """Stretches of one state.

    Parameters
    ----------
    states : Timeline
        With integer values, shape (bin,).

    Returns
    -------
    Runs
    """
    begins = states.opens.copy()
    begins[1:] |= np.diff(states.values) != 0
    first = np.flatnonzero(begins)
    after = np.append(first[1:], len(begins))
    left = np.append(~states.opens[after[:-1]], False)
    return Runs(
        state=states.values[first],
        start=states.time[first],
        duration=(after - first) * states.bin_size,
        entered=~states.opens[first],
        left=left,
    )


def average_over(line: Timeline, n_groups: int) -> Timeline:
    """Mean values over about `n_groups` equal stretches of time; NaN where none was seen.

    Parameters
    ----------
    line : Timeline
        With values of shape (bin, column).
    n_groups : int

    Returns
    -------
    Timeline
        On a regular grid of time that spans the same window.
    """
    index = np.rint((line.time - line.time[0]) / line.bin_size).astype(int)
    per_group = max(int(np.ceil((index[-1] + 1) / n_groups)), 1)
    group = index // per_group
    first = np.flatnonzero(np.diff(group, prepend=-1))
    seen = ~np.isnan(line.values)
    sums = np.add.reduceat(np.where(seen, line.values, 0), first, axis=0, dtype=float)
    counts = np.add.reduceat(seen, first, axis=0, dtype=float)
    n_groups = int(group[-1]) + 1
    means = np.full((n_groups, line.values.shape[1]), np.nan)
    np.divide(sums, counts, out=sums, where=counts > 0)
    means[group[first]] = np.where(counts > 0, sums, np.nan)
    width = per_group * line.bin_size
    time = line.time[0] + width * np.arange(n_groups)
    opens = np.zeros(n_groups, bool)
    opens[0] = True
    return Timeline(time, means, opens, width)


def _times(array: xr.DataArray) -> np.ndarray:
    if "time" in array.coords:
        return array["time"].values.astype(float)
    return np.arange(array.sizes["time"]) * bin_size_of(array)


def _session_index(array: xr.DataArray, session: int | str) -> int:
    labels = array["session"].values.tolist()
    if session not in labels:
        shown = ", ".join(map(str, labels[:10])) + (", ..." if len(labels) > 10 else "")
        raise InvalidInputError(f"session {session!r} is unknown; the array has {shown}")
    return labels.index(session)
