"""Stretches of sessions, cut out with the history that really came before them."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from onehotglm.io.binning import SessionGrid
from onehotglm.io.spikes import n_lead_in, spikes_array


class Stretches(NamedTuple):
    """Ranges of bins of sessions.

    Attributes
    ----------
    session : int array, shape (stretch,)
        Which session, by position.
    first_bin, n_time_bins : int array, shape (stretch,)
        Counted from the session's first bin after the lead-in.
    """

    session: np.ndarray
    first_bin: np.ndarray
    n_time_bins: np.ndarray


def cut_stretches(spikes: xr.DataArray, stretches: Stretches, n_history_bins: int) -> xr.DataArray:
    """Make every stretch a session.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        From `as_spikes`.
    stretches : Stretches
        At least one.
    n_history_bins : int
        Lead-in bins of every stretch, at negative times: the counts of the same session that
        really came before, zeros before its first bin.

    Returns
    -------
    DataArray, dims (session, time, neuron)
        In the order of the stretches; the shorter are padded with NaN.  `parent_session` says
        which session it was cut from; other coordinates of the sessions are kept, and
        `session_start` moves along.
    """
    parent = np.asarray(stretches.session)
    has_clock = "session_start" in spikes.coords
    start = spikes["session_start"].values if has_clock else np.zeros(spikes.sizes["session"])
    grid = SessionGrid(start[parent], *stretches[1:], parent, float(spikes.attrs["bin_size"]))
    coords = {
        str(name): coord.values[parent]
        for name, coord in spikes.coords.items()
        if coord.dims == ("session",) and name not in ("session", "session_start")
    }
    coords["parent_session"] = spikes["session"].values[parent]
    counts = _cut(spikes, stretches, n_history_bins)
    neuron = spikes["neuron"].values
    blocks = spikes_array(counts, neuron, grid, n_history_bins, coords, spikes.attrs)
    return blocks if has_clock else blocks.drop_vars("session_start")


def cut_columns(columns: xr.DataArray, stretches: Stretches) -> xr.DataArray:
    """Cut what runs along the spikes as `cut_stretches` cuts them, without lead-in.

    Parameters
    ----------
    columns : DataArray, dims (session, time, column)
        With the times of the spikes, lead-in included.
    stretches : Stretches

    Returns
    -------
    DataArray, dims (session, time, column)
        NaN after the end of the shorter stretches.
    """
    column = columns.dims[2]
    values = _cut(columns, stretches, 0)
    return xr.DataArray(values, {column: columns[column]}, columns.dims)


def _cut(array: xr.DataArray, stretches: Stretches, n_history_bins: int) -> np.ndarray:
    """Cut an array (session, time, ...) with its lead-in, shape (stretch, time, ...)."""
    lead_in = n_lead_in(array)
    # Zeros before everything that was recorded.
    before = max(n_history_bins - lead_in, 0)
    values = np.pad(array.values, ((0, 0), (before, 0), (0, 0)))
    n_time = n_history_bins + int(np.max(stretches.n_time_bins))
    counts = np.full((len(stretches.session), n_time, values.shape[2]), np.nan, values.dtype)
    for row, (parent, first, length) in enumerate(zip(*stretches, strict=True)):
        begin = before + lead_in + first - n_history_bins
        counts[row, : n_history_bins + length] = values[
            parent, begin : begin + n_history_bins + length
        ]
    return counts
