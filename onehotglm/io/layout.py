"""Counts back to spike times: sessions on one clock, spikes inside their bins."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.io.binning import check_bin_size
from onehotglm.io.spikes import n_lead_in, session_lengths


class Layout(NamedTuple):
    """Sessions one after the other on one clock.

    Attributes
    ----------
    start, stop : ndarray, shape (session,)
        Limits of the sessions in seconds, without their lead-in.
    n_history_bins : int
        Lead-in bins before each start.
    bin_size : float
        Seconds.
    """

    start: np.ndarray
    stop: np.ndarray
    n_history_bins: int
    bin_size: float


def lay_out(spikes: xr.DataArray, gap: float = 1.0) -> Layout:
    """Lay sessions one after the other, each behind its lead-in and a gap.

    Parameters
    ----------
    spikes : xarray.DataArray, dims (session, time, neuron)
        Counts, with the attribute `bin_size`.
    gap : float
        Seconds between the end of a session and the lead-in of the next; rounded up to bins.

    Returns
    -------
    Layout
    """
    if spikes.dims != ("session", "time", "neuron"):
        raise InvalidInputError(
            f"the spikes have the dimensions {spikes.dims}, expected (session, time, neuron)."
        )
    if not np.isfinite(gap) or gap < 0:
        raise InvalidInputError(f"gap is {gap!r}, expected 0 or more seconds.")
    bin_size = check_bin_size(spikes.attrs.get("bin_size"))
    lengths = session_lengths(spikes)
    if not lengths.all():
        raise InvalidInputError(
            f"the sessions {np.flatnonzero(lengths == 0).tolist()} hold no count, only missing "
            "bins; leave them out with spikes.isel(session=...)."
        )
    lead_in = n_lead_in(spikes)
    between = lead_in + int(np.ceil(gap / bin_size))
    first = lead_in + np.r_[0, np.cumsum(lengths + between)[:-1]]
    return Layout(first * bin_size, (first + lengths) * bin_size, lead_in, bin_size)


def spike_times_of(spikes: xr.DataArray, layout: Layout) -> list[np.ndarray]:
    """Spread each neuron's spikes evenly inside their bins.

    The i-th of c spikes in a bin comes ``(i + 1/2) / c`` bins after its left edge, so that
    binning again gives the same counts.
    """
    counts = np.nan_to_num(spikes.values)
    if (counts < 0).any() or (counts != np.rint(counts)).any():
        raise InvalidInputError(
            "the counts are negative or fractional, expected whole numbers of spikes per bin; "
            "rates cannot be written as spike times."
        )
    trains = []
    for neuron in np.moveaxis(counts.astype(np.int64), 2, 0):
        session, time_bin = np.nonzero(neuron)
        number = neuron[session, time_bin]
        rank = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        within = np.repeat(time_bin - layout.n_history_bins, number) + (rank + 0.5) / np.repeat(
            number, number
        )
        trains.append(np.repeat(layout.start[session], number) + within * layout.bin_size)
    return trains


def observed_intervals(spikes: xr.DataArray, layout: Layout) -> list[np.ndarray]:
    """Find when each neuron was observed: its runs of bins that are not NaN."""
    present = np.isfinite(spikes.values)
    present[:, : layout.n_history_bins] = True
    found = []
    for neuron in np.moveaxis(present, 2, 0):
        session, first, last, _ = runs(neuron.astype(np.int64))
        limits = np.stack([first, last], axis=1) - layout.n_history_bins
        intervals = layout.start[session][:, None] + limits * layout.bin_size
        # A neuron that was never observed needs an interval that says so: an empty one.
        found.append(intervals if len(intervals) else np.zeros((1, 2)))
    return found


def runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the runs of equal positive values along time.

    Parameters
    ----------
    values : ndarray of int, shape (session, time)
        Runs of 0 are left out.

    Returns
    -------
    session, first, last, value : ndarray, shape (run,)
        Run r covers the bins ``first[r] <= bin < last[r]``.

    Examples
    --------
    >>> runs(np.array([[2, 2, 0, 1], [1, 1, 1, 1]]))
    (array([0, 0, 1]), array([0, 3, 0]), array([2, 4, 4]), array([2, 1, 1]))
    """
    n_time = values.shape[1]
    changes = np.ones((values.shape[0], n_time + 1), dtype=bool)
    changes[:, 1:-1] = values[:, 1:] != values[:, :-1]
    session, edge = np.nonzero(changes)
    starts = edge < n_time
    stops = edge > 0
    session, first, last = session[starts], edge[starts], edge[stops]
    value = values[session, first]
    kept = value > 0
    return session[kept], first[kept], last[kept], value[kept]
