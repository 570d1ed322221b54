"""The array of counts that recordings are read into, and where its bins lie in time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.io.binning import SessionGrid, count_spikes, mask_unobserved


def bin_units(
    spike_times: Sequence[np.ndarray],
    neuron: Sequence[Any] | np.ndarray,
    grid: SessionGrid,
    n_history_bins: int,
    observed: Sequence[np.ndarray | None] | None = None,
    coords: Mapping[str, np.ndarray] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Count spikes in sessions, as the array that the rest of the package takes.

    Parameters
    ----------
    spike_times : sequence of ndarray
        Spike times of each unit, seconds.
    neuron : sequence
        The units' labels.
    grid : SessionGrid
        The sessions.
    n_history_bins : int
        Lead-in bins before each session, at negative times.
    observed : sequence of (ndarray of shape (interval, 2) or None), optional
        When each unit was observed; NaN elsewhere.  Default: always.
    coords : mapping of str to ndarray of shape (session,), optional
        More labels of the sessions.
    attrs : mapping, optional
        More attributes.

    Returns
    -------
    xarray.DataArray, dims (session, time, neuron)
        Counts.  `time` is the bin's left edge in seconds from the start of its session,
        `session_start` that start on the recording's clock.
    """
    if n_history_bins < 0:
        raise InvalidInputError(f"n_history_bins is {n_history_bins}, expected 0 or more bins.")
    counts = count_spikes(spike_times, grid, n_history_bins)
    if observed is not None:
        mask_unobserved(counts, grid, observed, n_history_bins)
    return spikes_array(counts, neuron, grid, n_history_bins, coords, attrs)


def spikes_array(
    counts: np.ndarray,
    neuron: Sequence[Any] | np.ndarray,
    grid: SessionGrid,
    n_history_bins: int,
    coords: Mapping[str, np.ndarray] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Label counts of shape (session, n_history_bins + time, neuron); see `bin_units`."""
    time_bin = np.arange(-n_history_bins, counts.shape[1] - n_history_bins)
    return xr.DataArray(
        counts,
        dims=("session", "time", "neuron"),
        coords={
            "session": np.arange(counts.shape[0]),
            "time": ("time", time_bin * grid.bin_size, {"units": "s"}),
            "neuron": np.asarray(neuron),
            "session_start": ("session", grid.session_start, {"units": "s"}),
        }
        | {name: ("session", values) for name, values in (coords or {}).items()},
        name="spikes",
        attrs={"bin_size": grid.bin_size, **(attrs or {})},
    )


def modelled(spikes: xr.DataArray) -> xr.DataArray:
    """Leave out the lead-in bins, those with negative times."""
    return spikes.isel(time=slice(n_lead_in(spikes), None))


def n_lead_in(spikes: xr.DataArray) -> int:
    """Count the lead-in bins."""
    return int((spikes["time"].values < -0.5 * float(spikes.attrs["bin_size"])).sum())


def session_lengths(spikes: xr.DataArray) -> np.ndarray:
    """Bins per session without lead-in and without the all-missing bins at the end.

    Counts are missing where they are NaN, states where they are negative.
    """
    values = modelled(spikes).values
    known: np.ndarray = np.isfinite(values) if values.ndim > 2 else values >= 0
    present = np.any(known.reshape(*known.shape[:2], -1), axis=2)
    n_time = present.shape[1]
    return np.where(present.any(axis=1), n_time - present[:, ::-1].argmax(axis=1), 0)


def bin_centres(spikes: xr.DataArray) -> xr.DataArray:
    """Centres of the modelled bins on the recording's clock, dims (session, time), seconds."""
    if "session_start" not in spikes.coords:
        raise InvalidInputError(
            "the spikes have no coordinate 'session_start', so that their place on the "
            "recording's clock is unknown. Pass spikes that load_nwb returned, or add it: "
            "spikes.assign_coords(session_start=('session', seconds))."
        )
    time = modelled(spikes)["time"]
    return spikes["session_start"] + time + 0.5 * float(spikes.attrs["bin_size"])
