"""Spike times to counts on a grid of bins, in plain numpy.

Bin k of a grid covers ``[origin + k bin_size, origin + (k+1) bin_size)``.  Sessions are
ranges of whole bins of such a grid, so that neighbours share edges exactly and every spike
falls into one bin, never two or none.  A spike within `EDGE_TOLERANCE` bins below an edge
counts as lying on it: recordings are sampled on a clock whose ticks often fall on bin edges,
and rounding must not decide to which side a tick goes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onehotglm.errors import InvalidInputError

EDGE_TOLERANCE = 1e-6
"""Fraction of a bin within which a time counts as lying on the next edge."""


class SessionGrid(NamedTuple):
    """Sessions as ranges of bins.

    Attributes
    ----------
    origin : ndarray, shape (session,)
        Where bin 0 of the session's grid starts, in seconds on the recording's clock.
    first_bin : ndarray of int, shape (session,)
        First bin of the session on that grid.
    n_time_bins : ndarray of int, shape (session,)
        Number of bins of the session.
    interval : ndarray of int, shape (session,)
        Which of the intervals passed to `make_grid` the session was cut from.
    bin_size : float
        Width of a bin in seconds.
    """

    origin: np.ndarray
    first_bin: np.ndarray
    n_time_bins: np.ndarray
    interval: np.ndarray
    bin_size: float

    @property
    def session_start(self) -> np.ndarray:
        """Left edge of each session's first bin, seconds on the recording's clock."""
        return self.origin + self.first_bin * self.bin_size


def check_bin_size(bin_size: float | None) -> float:
    """Return `bin_size` as a float, or say what is wrong with it.

    Examples
    --------
    >>> check_bin_size(0.02)
    0.02
    """
    if bin_size is None:
        raise InvalidInputError(
            "bin_size is missing: spike times have to be counted in bins. "
            "Pass the width of a bin in seconds, for example bin_size=0.02."
        )
    try:
        width = float(bin_size)
    except (TypeError, ValueError):
        width = np.nan
    if not (np.isfinite(width) and width > 0):
        raise InvalidInputError(
            f"bin_size is {bin_size!r}, expected a positive number of seconds, for example 0.02."
        )
    return width


def count_whole_bins(duration: np.ndarray | float, bin_size: float) -> np.ndarray:
    """Count the whole bins that fit into `duration` seconds; 0.06 s holds three of 0.02 s."""
    return np.floor(np.asarray(duration) / bin_size + EDGE_TOLERANCE).astype(np.int64)


def make_grid(
    starts: np.ndarray,
    stops: np.ndarray,
    bin_size: float,
    session_length: float | None = None,
) -> SessionGrid:
    """Lay a grid of bins over intervals, and cut long intervals into sessions.

    Parameters
    ----------
    starts, stops : array_like, shape (interval,)
        Limits of the intervals in seconds.  What is left at the end of an interval after its
        last whole bin belongs to no session.
    bin_size : float
        Width of a bin in seconds.
    session_length : float, optional
        Cut every interval into sessions of this many seconds (the last one of an interval may
        be shorter).  Default: one session per interval.

    Returns
    -------
    SessionGrid

    Raises
    ------
    InvalidInputError
        If no interval holds a whole bin, or a session would be shorter than a bin.

    Examples
    --------
    >>> grid = make_grid([5.0], [6.1], bin_size=0.1, session_length=0.4)
    >>> grid.n_time_bins, grid.session_start.round(3)
    (array([4, 4, 3]), array([5. , 5.4, 5.8]))
    """
    starts, stops = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (starts, stops))
    total = count_whole_bins(stops - starts, bin_size)
    if not (total > 0).any():
        longest = (stops - starts).max(initial=0.0)
        raise InvalidInputError(
            f"no interval holds a whole bin: bin_size is {bin_size:g} s and the longest of "
            f"{len(starts)} intervals lasts {longest:g} s. bin_size is in seconds; "
            "0.02 is 20 milliseconds."
        )
    per_session = np.maximum(total, 1)
    if session_length is not None:
        length = int(np.rint(session_length / bin_size))
        if length < 1:
            raise InvalidInputError(
                f"session_length is {session_length!r} s, expected at least one bin of "
                f"{bin_size:g} s."
            )
        per_session = np.full_like(total, length)
    n_sessions = -(-total // per_session)
    interval = np.repeat(np.arange(len(starts)), n_sessions)
    order = np.arange(len(interval)) - np.repeat(np.cumsum(n_sessions) - n_sessions, n_sessions)
    first_bin = order * per_session[interval]
    n_time_bins = np.minimum(per_session[interval], total[interval] - first_bin)
    return SessionGrid(starts[interval], first_bin, n_time_bins, interval, float(bin_size))


def count_spikes(
    spike_times: Sequence[np.ndarray], grid: SessionGrid, n_history_bins: int = 0
) -> np.ndarray:
    """Count each unit's spikes in the bins of each session.

    Parameters
    ----------
    spike_times : sequence of ndarray
        One array of spike times per unit, in seconds.
    grid : SessionGrid
        The sessions.  They may overlap; a spike then counts in each.
    n_history_bins : int
        Number of lead-in bins before each session, with the counts that really came before.

    Returns
    -------
    ndarray of float32, shape (session, n_history_bins + longest session, unit)
        Counts; NaN after the end of a session that is shorter than the longest.

    Examples
    --------
    >>> grid = make_grid([0.0], [0.3], bin_size=0.1)
    >>> count_spikes([np.array([0.05, 0.1, 0.29])], grid)[0, :, 0]
    array([1., 1., 1.], dtype=float32)
    """
    n_time = n_history_bins + int(grid.n_time_bins.max())
    counts = np.zeros((len(grid.n_time_bins), n_time, len(spike_times)), dtype=np.float32)
    flat = counts.reshape(-1)
    for unit, times in enumerate(spike_times):
        session, time_bin = _spike_bins(np.sort(times), grid, n_history_bins)
        np.add.at(flat, (session * n_time + time_bin) * len(spike_times) + unit, 1.0)
    ended = np.arange(n_time) >= (n_history_bins + grid.n_time_bins)[:, None]
    counts[ended] = np.nan
    return counts


def _spike_bins(
    times: np.ndarray, grid: SessionGrid, n_history_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Session and bin (counted from the first lead-in bin) of each spike of one unit."""
    first = grid.first_bin - n_history_bins
    n_time_bins = grid.n_time_bins + n_history_bins
    # A slice that is one bin too wide on both sides; which bins the spikes are in is then
    # decided by whole numbers, and by nothing else.
    low = np.searchsorted(times, grid.origin + (first - 1) * grid.bin_size)
    high = np.searchsorted(times, grid.origin + (first + n_time_bins + 1) * grid.bin_size)
    size = high - low
    session = np.repeat(np.arange(len(size)), size)
    spike = np.arange(size.sum()) + np.repeat(low - (np.cumsum(size) - size), size)
    position = (times[spike] - grid.origin[session]) / grid.bin_size
    time_bin = np.floor(position + EDGE_TOLERANCE).astype(np.int64) - first[session]
    inside = (time_bin >= 0) & (time_bin < n_time_bins[session])
    return session[inside], time_bin[inside]


def mask_unobserved(
    counts: np.ndarray,
    grid: SessionGrid,
    observed: Sequence[np.ndarray | None],
    n_history_bins: int = 0,
) -> np.ndarray:
    """Set a unit's bins to NaN, in place, where they are not wholly in its observed intervals.

    Lead-in bins stay as they are: what was not observed before a session counts as silence.

    Parameters
    ----------
    counts : ndarray, shape (session, time, unit)
        As `count_spikes` returns; changed in place.
    grid : SessionGrid
        The sessions that `counts` was made with.
    observed : sequence of (ndarray of shape (interval, 2) or None)
        Start and stop of each unit's observed intervals in seconds; None means always.
    n_history_bins : int
        Number of lead-in bins in `counts`.

    Returns
    -------
    ndarray
        `counts`.
    """
    masks: dict[bytes, np.ndarray] = {}
    modelled = counts[:, n_history_bins:]
    for unit, intervals in enumerate(observed):
        if intervals is None:
            continue
        key = np.ascontiguousarray(intervals, dtype=float).tobytes()
        if key not in masks:
            masks[key] = ~_bins_inside(grid, np.asarray(intervals, dtype=float), modelled.shape[1])
        modelled[masks[key], unit] = np.nan
    return counts


def _bins_inside(grid: SessionGrid, intervals: np.ndarray, n_time: int) -> np.ndarray:
    """Whether each bin lies wholly inside the union of intervals; shape (session, time)."""
    starts, stops = _merge(intervals, EDGE_TOLERANCE * grid.bin_size)
    offsets = np.arange(n_time) + grid.first_bin[:, None]
    left = grid.origin[:, None] + offsets * grid.bin_size
    tolerance = EDGE_TOLERANCE * grid.bin_size
    which = np.searchsorted(starts, left + tolerance, side="right") - 1
    inside = left + grid.bin_size <= stops[which] + tolerance
    return inside & (which >= 0)


def _merge(intervals: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Sort intervals, and join those that overlap or touch."""
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    furthest = np.maximum.accumulate(intervals[:, 1])
    opens = np.r_[True, intervals[1:, 0] > furthest[:-1] + tolerance]
    return intervals[opens, 0], furthest[np.r_[np.flatnonzero(opens)[1:] - 1, len(furthest) - 1]]
