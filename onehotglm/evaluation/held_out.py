"""Blocks of a recording to hold out, and how far their score can be trusted."""

from typing import Protocol

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import n_units
from onehotglm.estimator.validate import as_spikes
from onehotglm.evaluation.stretches import Stretches, cut_stretches
from onehotglm.io.binning import make_grid
from onehotglm.io.spikes import session_lengths


class Scorer(Protocol):
    """Anything with a score in bits per spike."""

    def score(self, spikes: xr.DataArray) -> float:
        """Bits per spike of the modelled bins."""


def split_blocks(
    spikes: xr.DataArray,
    block_length: float = 20.0,
    *,
    n_history_bins: int = 10,
    keep_short: bool = True,
) -> xr.DataArray:
    """Cut sessions into blocks, so that some can be held out.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        Counts or signals.
    block_length : float
        Seconds; rounded to whole bins.
    n_history_bins : int
        Lead-in bins of every block, at negative times: the counts of the same session that
        really came before, zeros before its first bin.  As many as the model has lags.
    keep_short : bool
        Keep what is left at the end of a session, padded with NaN; False drops it.

    Returns
    -------
    DataArray, dims (session, time, neuron)
        A block per session, in the order of time.  `parent_session` says which session it was
        cut from; other coordinates of the sessions are kept, and `session_start` moves along.

    Raises
    ------
    InvalidInputError
        If a block would be shorter than a bin, or no session holds a whole block and short
        ones are dropped.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.arange(5.0).reshape(1, 5, 1), dims=("session", "time", "neuron"),
    ...     attrs={"bin_size": 0.1},
    ... )
    >>> blocks = split_blocks(spikes, 0.2, n_history_bins=1)
    >>> blocks.values[..., 0]
    array([[ 0.,  0.,  1.],
           [ 1.,  2.,  3.],
           [ 3.,  4., nan]], dtype=float32)
    """
    spikes = as_spikes(spikes, values="real")
    bin_size = float(spikes.attrs["bin_size"])
    if n_history_bins < 0:
        raise InvalidInputError(f"n_history_bins is {n_history_bins}, expected 0 or more bins")
    if not np.isfinite(block_length) or np.rint(block_length / bin_size) < 1:
        raise InvalidInputError(
            f"block_length is {block_length!r} s, expected at least one bin of {bin_size:g} s"
        )
    n_sessions = spikes.sizes["session"]
    has_clock = "session_start" in spikes.coords
    start = spikes["session_start"].values if has_clock else np.zeros(n_sessions)
    stop = start + session_lengths(spikes) * bin_size
    grid = make_grid(start, stop, bin_size, block_length)
    size = int(np.rint(block_length / bin_size))
    kept = np.full(len(grid.n_time_bins), True) if keep_short else grid.n_time_bins == size
    if not kept.any():
        raise InvalidInputError(
            f"no session lasts a whole block of {block_length:g} s; choose a shorter "
            "block_length or keep_short=True"
        )
    blocks = Stretches(grid.interval[kept], grid.first_bin[kept], grid.n_time_bins[kept])
    return cut_stretches(spikes, blocks, n_history_bins)


def hold_out(spikes: xr.DataArray, every: int = 5) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Set every so-many-th session aside for testing.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
    every : int
        5 sets the sessions 2, 7, 12, ... aside; 0 none.

    Returns
    -------
    train : DataArray
    test : DataArray or None
        None with ``every=0``.

    Raises
    ------
    InvalidInputError
        There are too few sessions.

    Examples
    --------
    >>> spikes = xr.DataArray(np.zeros((6, 10, 2)), dims=("session", "time", "neuron"))
    >>> train, test = hold_out(spikes, every=3)
    >>> train.sizes["session"], test.sizes["session"]
    (4, 2)
    """
    if every == 0:
        return spikes, None
    held_out = np.arange(spikes.sizes["session"]) % every == every // 2
    if every < 2 or held_out.all() or not held_out.any():
        raise InvalidInputError(
            f"cannot hold out every {every}th of {len(held_out)} sessions; choose a number "
            "between 2 and the number of sessions, shorter sessions, or 0 to hold out none"
        )
    return spikes.isel(session=~held_out), spikes.isel(session=held_out)


def block_interval(
    model: Scorer,
    spikes: xr.DataArray,
    *,
    minus: Scorer | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> tuple[float, float]:
    """Interval of the bits per spike from resampling sessions (blocks) with replacement.

    Sessions are the unit, as bins next to each other are not independent.  The interval is
    the percentile bootstrap's (Efron 1979) of the fixed, fitted model: it says how much the
    score would vary over other data, not over other fits.

    Parameters
    ----------
    model : OneHotHMMGLM or any decoder
        With ``score(spikes)`` in bits per spike.
    spikes : DataArray, dims (session, time, neuron)
        Held-out sessions; those without a spike do not count.
    minus : OneHotHMMGLM or any decoder, optional
        Then the interval is of the difference to this one's score on the same sessions,
        which is far narrower than two intervals suggest.
    level : float
        Probability that the interval covers.
    n_resamples : int
    random_state : int

    Returns
    -------
    low, high : float
        NaN with fewer than two sessions that hold a spike.

    Examples
    --------
    >>> class Half:
    ...     def score(self, spikes):
    ...         return 0.5
    >>> spikes = xr.DataArray(
    ...     np.ones((3, 4, 2)), dims=("session", "time", "neuron"), coords={"time": range(4)}
    ... )
    >>> block_interval(Half(), spikes)
    (0.5, 0.5)
    """
    sessions = [spikes.isel(session=[index]) for index in range(spikes.sizes["session"])]
    observation = getattr(model, "observation", "poisson")
    n_spikes = np.array([n_units(observation, item) for item in sessions])
    scored = np.flatnonzero(n_spikes)
    n_spikes = n_spikes[scored]
    per_spike = np.array([model.score(sessions[index]) for index in scored])
    if minus is not None:
        per_spike -= [minus.score(sessions[index]) for index in scored]
    return resampled_interval(
        n_spikes * per_spike,
        n_spikes,
        level=level,
        n_resamples=n_resamples,
        random_state=random_state,
    )


def resampled_interval(
    bits: np.ndarray,
    n_spikes: np.ndarray,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> tuple[float, float]:
    """Interval of the bits per spike, from what each session gains; see `block_interval`.

    Parameters
    ----------
    bits : ndarray, shape (session,)
        Bits that a session gains over the baseline, or over another model.
    n_spikes : ndarray, shape (session,)
        Spikes of the session.
    level, n_resamples, random_state
        As in `block_interval`.

    Returns
    -------
    low, high : float
        NaN with fewer than two sessions that hold a spike.

    Examples
    --------
    >>> resampled_interval(np.array([5.0, 5.0, 5.0]), np.array([10.0, 10.0, 10.0]))
    (0.5, 0.5)
    """
    if not 0 < level < 1:
        raise InvalidInputError(f"level is {level!r}, expected a probability, for example 0.95")
    scored = np.flatnonzero(n_spikes)
    if len(scored) < 2:
        return np.nan, np.nan
    bits, n_spikes = np.asarray(bits)[scored], np.asarray(n_spikes)[scored]
    rng = np.random.default_rng(random_state)
    draws = rng.integers(len(bits), size=(n_resamples, len(bits)))
    tail = (1 - level) / 2
    limits = np.quantile(bits[draws].sum(1) / n_spikes[draws].sum(1), [tail, 1 - tail])
    return float(limits[0]), float(limits[1])
