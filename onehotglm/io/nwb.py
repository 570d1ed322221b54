"""Spikes from NWB files."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.binning import check_bin_size, make_grid
from onehotglm.io.intervals import clip, find_epochs, find_trials, whole_recording
from onehotglm.io.nwb_file import Units, open_nwb, read_units
from onehotglm.io.spikes import bin_units, modelled


def load_nwb(
    path: str | os.PathLike,
    bin_size: float | None = None,
    *,
    epochs: str | Sequence[str] | None = None,
    trials: str | None = None,
    align_to: str = "start_time",
    window: tuple[float, float] | None = None,
    start: float | None = None,
    stop: float | None = None,
    session_length: float | None = None,
    units: Sequence[Any] | None = None,
    quality: str | Sequence[str] | Mapping[str, Any] | None = None,
    min_rate: float = 0.0,
    n_history_bins: int = 10,
) -> xr.DataArray:
    """Read spike counts from an NWB file.

    Parameters
    ----------
    path : path
        The NWB file.
    bin_size : float
        Width of a bin in seconds.
    epochs : str or sequence of str, optional
        Read these epochs, each a session: a tag, several tags, or the name of a table of
        intervals.  Default: the whole recording, as one session.
    trials : str, optional
        Read the trials in this table of intervals (mostly ``"trials"``), each a session.
    align_to : str
        Column of the trials table with the time of the event that trials are aligned to.
    window : (float, float), optional
        Where a trial's session starts and stops, in seconds from the event, for example
        ``(-5, 10)``.  Default: from the trial's start to its stop.
    start, stop : float, optional
        Read nothing before and after these times, in seconds on the recording's clock.  Epochs
        are cut there; trials that reach beyond are left out.
    session_length : float, optional
        Cut what is longer into sessions of this many seconds.
    units : sequence, optional
        Ids of the units to read, in this order.  Default: all.
    quality : str, sequence of str or mapping, optional
        Read only units whose column ``quality`` has this value or one of these; a mapping
        names other columns: ``{"location": ["CA1", "CA3"], "quality": "good"}``.
    min_rate : float
        Leave out units that fire less than this in the sessions, Hz.
    n_history_bins : int
        Lead-in bins before each session, with the counts that came before the cut.

    Returns
    -------
    xarray.DataArray, dims (session, time, neuron)
        Counts, float32; NaN where a unit was not observed and after the end of shorter sessions.
        Coordinates: `time` (left edge of the bin in seconds from the start of the session;
        negative in the lead-in), `neuron` (unit ids), `session_start` (seconds on the
        recording's clock), and for epochs and trials `interval` (id of the row in its table)
        and `tag`.  Attributes: `bin_size`, `source`.

    Raises
    ------
    InvalidInputError
        If the bin size is missing, or the options leave no unit or no bin.
    DataFileError
        If the file cannot be read, or has no units or not the epochs, trials, columns or units
        that were asked for; the message lists those that exist.

    See Also
    --------
    describe_nwb : What a file holds.
    load_series : Position and other series on the same bins.
    load_intervals : The table that `interval` points into.

    Notes
    -----
    Every spike of a session is counted in exactly one bin.  Only whole bins are read: what is
    left at the end of an epoch after its last whole bin belongs to no session.  The lead-in is
    history only; models neither predict nor score it.  Outside the recording it is zero.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> from onehotglm.io.nwb_write import save_nwb
    >>> counts = xr.DataArray(
    ...     [[[1.0], [0.0], [2.0], [1.0]]],
    ...     dims=("session", "time", "neuron"),
    ...     coords={"time": [0.0, 0.1, 0.2, 0.3], "neuron": [7]},
    ...     attrs={"bin_size": 0.1},
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     file = save_nwb(f"{folder}/demo.nwb", counts)
    ...     spikes = load_nwb(file, bin_size=0.2, epochs="session", n_history_bins=0)
    >>> spikes.sel(neuron=7).values
    array([[1., 3.]], dtype=float32)
    """
    bin_size = check_bin_size(bin_size)
    if epochs is not None and trials is not None:
        raise InvalidInputError(
            "epochs and trials were both given; pass epochs for stretches of the recording, or "
            "trials for windows around events."
        )
    if trials is None and (window is not None or align_to != "start_time"):
        raise InvalidInputError(
            "window and align_to are for trials: pass trials='trials', or the name of another "
            "table of intervals."
        )
    with open_nwb(path) as nwb:
        recorded = _select_units(read_units(nwb), units, quality)
        if trials is not None:
            intervals = find_trials(nwb, trials, align_to, window)
        elif epochs is not None:
            intervals = find_epochs(nwb, epochs)
        else:
            intervals = whole_recording(nwb, recorded, bin_size)
    intervals = clip(intervals, start, stop, whole=trials is not None)
    grid = make_grid(intervals["start"], intervals["stop"], bin_size, session_length)
    rows = intervals.iloc[grid.interval]
    spikes = bin_units(
        recorded.spike_times,
        recorded.table.index,
        grid,
        n_history_bins,
        observed=recorded.observed,
        coords=_session_coords(rows),
        attrs={"source": os.path.basename(path)} | _alignment(trials, align_to, window),
    )
    return _drop_slow_units(spikes, min_rate)


def _session_coords(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    coords = {}
    if "interval" in rows:
        coords["interval"] = rows["interval"].to_numpy()
    if "tag" in rows and (rows["tag"] != "").any():
        coords["tag"] = rows["tag"].to_numpy(dtype=str)
    return coords


def _alignment(trials: str | None, align_to: str, window: Any) -> dict[str, Any]:
    if trials is None or window is None:
        return {}
    return {"align_to": align_to, "window": [float(limit) for limit in window]}


def _select_units(recorded: Units, units: Sequence[Any] | None, quality: Any) -> Units:
    table = recorded.table
    keep = np.arange(len(table))
    if units is not None:
        keep = table.index.get_indexer(list(units))
        unknown = [unit for unit, row in zip(units, keep, strict=True) if row < 0]
        if unknown:
            raise DataFileError(
                f"the file has no units with the ids {unknown}; its ids are {_some(table.index)}."
            )
    criteria = quality if isinstance(quality, Mapping) else {"quality": quality}
    for column, accepted in criteria.items():
        if accepted is None:
            continue
        if column not in table:
            raise DataFileError(
                f"the units have no column {column!r}; their columns are "
                f"{_some(table.columns) or 'none but spike times'}."
            )
        values = [accepted] if np.ndim(accepted) == 0 else list(accepted)
        matching = table[column].isin(values).to_numpy()
        keep = keep[matching[keep]]
        if not len(keep):
            raise DataFileError(
                f"no unit has {column!r} in {values}; the column holds "
                f"{_some(table[column].unique())}."
            )
    return Units(
        table.iloc[keep],
        [recorded.spike_times[row] for row in keep],
        None if recorded.observed is None else [recorded.observed[row] for row in keep],
    )


def _drop_slow_units(spikes: xr.DataArray, min_rate: float) -> xr.DataArray:
    if min_rate <= 0:
        return spikes
    rates = modelled(spikes).mean(("session", "time")) / spikes.attrs["bin_size"]
    keep = (rates >= min_rate).values
    if not keep.any():
        raise InvalidInputError(
            f"no unit fires at min_rate={min_rate:g} Hz or more in the sessions; the fastest of "
            f"{len(keep)} fires at {float(rates.max()):.3g} Hz."
        )
    return spikes.isel(neuron=np.flatnonzero(keep))


def _some(values: Any, most: int = 20) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")
