"""From and to pynapple's containers of spikes and counts."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.io.binning import SessionGrid, check_bin_size, make_grid
from onehotglm.io.layout import Layout, spike_times_of
from onehotglm.io.spikes import bin_units, modelled, session_lengths, spikes_array

if TYPE_CHECKING:
    import pynapple as nap

# How far a time stamp may lie from the centre of its bin, in bins.
CENTRE_TOLERANCE = 0.01


def from_pynapple(
    data: "nap.TsGroup | nap.TsdFrame",
    bin_size: float | None = None,
    *,
    epochs: "nap.IntervalSet | None" = None,
    session_length: float | None = None,
    n_history_bins: int = 0,
) -> xr.DataArray:
    """Turn spike times or counts from pynapple into the array of this package.

    Parameters
    ----------
    data : pynapple.TsGroup or pynapple.TsdFrame
        Spike times, or counts with a column per neuron whose times are the bins' centres, as
        ``TsGroup.count`` returns.
    bin_size : float, optional
        Width of a bin in seconds.  Needed for spike times; of counts it is found.
    epochs : pynapple.IntervalSet, optional
        What to read, each interval a session.  Default: the time support of `data`.
    session_length : float, optional
        Cut long intervals into sessions of this many seconds.
    n_history_bins : int
        Lead-in bins before each session, with the counts that came before the cut.

    Returns
    -------
    xarray.DataArray, dims (session, time, neuron)
        Counts; NaN for bins that a TsdFrame lacks.

    Raises
    ------
    InvalidInputError
        If `data` is of another type, the bin size is missing, or a TsdFrame's times are not
        those of bins.

    Examples
    --------
    >>> import pynapple as nap
    >>> support = nap.IntervalSet(0.0, 0.4)
    >>> group = nap.TsGroup({7: nap.Ts(np.array([0.05, 0.31, 0.35]))}, time_support=support)
    >>> from_pynapple(group, bin_size=0.1).sel(neuron=7).values
    array([[1., 0., 0., 2.]], dtype=float32)
    """
    import pynapple as nap

    if not isinstance(data, nap.TsGroup | nap.TsdFrame):
        raise InvalidInputError(
            f"data is a {type(data).__name__}, expected a pynapple TsGroup of spike times or a "
            "TsdFrame of counts."
        )
    support = data.time_support if epochs is None else epochs
    if isinstance(data, nap.TsdFrame):
        return _from_frame(data, bin_size, support, session_length, n_history_bins)
    grid = make_grid(support.start, support.end, check_bin_size(bin_size), session_length)
    neuron = list(data.keys())
    return bin_units([data[unit].t for unit in neuron], neuron, grid, n_history_bins)


def _from_frame(
    frame: "nap.TsdFrame",
    bin_size: float | None,
    support: "nap.IntervalSet",
    session_length: float | None,
    n_history_bins: int,
) -> xr.DataArray:
    times = np.asarray(frame.t)
    if bin_size is None and len(times) > 1:
        bin_size = float(np.median(np.diff(times)))
    width = check_bin_size(bin_size)
    first = np.searchsorted(times, support.start - CENTRE_TOLERANCE * width)
    last = np.searchsorted(times, support.end + CENTRE_TOLERANCE * width) - 1
    first, last = first[first <= last], last[first <= last]
    grid = make_grid(times[first] - width / 2, times[last] + width / 2, width, session_length)
    counts, n_found = _pick_bins(times, np.asarray(frame.values), grid, n_history_bins)
    n_wanted = int((last - first + 1).sum())
    if n_found != n_wanted:
        raise InvalidInputError(
            f"{n_wanted - n_found} of {n_wanted} times of the TsdFrame are not the centres of "
            f"bins of {width:g} s. Pass the bin size that the counts were made with, or the "
            "TsGroup of spike times itself with bin_size=."
        )
    return spikes_array(counts, frame.columns, grid, n_history_bins)


def _pick_bins(
    times: np.ndarray, values: np.ndarray, grid: SessionGrid, n_history_bins: int
) -> tuple[np.ndarray, int]:
    """Pick the counts of each session's bins, and say how many of them were there."""
    time_bin = np.arange(-n_history_bins, grid.n_time_bins.max())
    centres = grid.session_start[:, None] + (time_bin + 0.5) * grid.bin_size
    after = np.clip(np.searchsorted(times, centres), 1, max(len(times) - 1, 1))
    candidates = np.stack([after - 1, np.minimum(after, len(times) - 1)])
    distance = np.abs(times[candidates] - centres)
    nearest = np.take_along_axis(candidates, distance.argmin(axis=0)[None], axis=0)[0]
    present = distance.min(axis=0) <= CENTRE_TOLERANCE * grid.bin_size
    in_session = (time_bin >= 0) & (time_bin < grid.n_time_bins[:, None])
    fill = np.where(time_bin < 0, 0.0, np.nan)[None, :, None]
    known = (present & (in_session | (time_bin < 0)))[..., None]
    counts = np.where(known, values[nearest], fill)
    return counts.astype(np.float32), int((present & in_session).sum())


def to_pynapple(array: xr.DataArray) -> "nap.Tsd | nap.TsdFrame":
    """Turn counts, rates, states or their probabilities into pynapple's time series.

    Parameters
    ----------
    array : xarray.DataArray, dims (session, time) or (session, time, ...)
        Any result over time.  Lead-in bins are left out, and so is what is missing at the end
        of sessions (NaN, or -1 among states).

    Returns
    -------
    pynapple.Tsd or pynapple.TsdFrame
        Times are the bins' centres in seconds, on the recording's clock where the array has
        `session_start`; else sessions follow each other one second apart.  The time support is
        the sessions.

    Examples
    --------
    >>> states = xr.DataArray(
    ...     [[0, 0, 1], [1, 1, -1]], dims=("session", "time"), attrs={"bin_size": 0.1}
    ... )
    >>> to_pynapple(states).t
    array([0.05, 0.15, 0.25, 1.35, 1.45])
    """
    import pynapple as nap

    if array.dims[:2] != ("session", "time") or array.ndim > 3:
        raise InvalidInputError(
            f"the array has the dimensions {array.dims}, expected (session, time) and at most "
            "one more."
        )
    layout = _on_clock(array)
    array = modelled(array.assign_attrs(bin_size=layout.bin_size))
    lengths = np.rint((layout.stop - layout.start) / layout.bin_size).astype(int)
    time_bin = np.arange(array.sizes["time"])
    kept = time_bin < lengths[:, None]
    times = (layout.start[:, None] + (time_bin + 0.5) * layout.bin_size)[kept]
    support = nap.IntervalSet(layout.start, layout.stop)
    values = array.values[kept]
    if array.ndim == 2:
        return nap.Tsd(t=times, d=values, time_support=support)
    columns = array[array.dims[2]].values
    return nap.TsdFrame(t=times, d=values, columns=columns, time_support=support)


def to_tsgroup(spikes: xr.DataArray) -> "nap.TsGroup":
    """Turn counts into pynapple's spike times, spread evenly inside their bins.

    Parameters
    ----------
    spikes : xarray.DataArray, dims (session, time, neuron)
        Counts; lead-in bins are left out.

    Returns
    -------
    pynapple.TsGroup
        One train per neuron, by its label where that is a whole number.
    """
    import pynapple as nap

    layout = _on_clock(spikes)
    trains = spike_times_of(modelled(spikes), layout)
    labels = spikes["neuron"].values
    keys = labels if labels.dtype.kind in "iu" else np.arange(len(labels))
    support = nap.IntervalSet(layout.start, layout.stop)
    return nap.TsGroup(
        {
            int(key): nap.Ts(t=times, time_support=support)
            for key, times in zip(keys, trains, strict=True)
        },
        time_support=support,
    )


def _on_clock(array: xr.DataArray) -> Layout:
    """Limits of the sessions, without lead-in, on the recording's clock."""
    bin_size = _bin_size(array)
    lengths = session_lengths(array.assign_attrs(bin_size=bin_size))
    if "session_start" in array.coords:
        start = array["session_start"].values.astype(float)
    else:
        gap = int(np.ceil(1.0 / bin_size))
        start = np.r_[0, np.cumsum(lengths + gap)[:-1]] * bin_size
    stop = start + lengths * bin_size
    if (start[1:] < stop[:-1] - 1e-9).any():
        raise InvalidInputError(
            "the sessions overlap in time or are out of order, which a pynapple time series "
            "cannot hold; choose some with .isel(session=...), or drop the coordinate "
            "'session_start' to lay them one after the other."
        )
    return Layout(start, stop, 0, bin_size)


def _bin_size(array: xr.DataArray) -> float:
    stated: Any = array.attrs.get("bin_size")
    if stated is None and "time" in array.coords and array.sizes["time"] > 1:
        stated = float(np.median(np.diff(array["time"].values)))
    return check_bin_size(stated)
