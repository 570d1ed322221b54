"""Series over time at the times where they are wanted."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

AXES = ("x", "y", "z")
METHODS = ("linear", "nearest")


def sample_columns(
    times: np.ndarray,
    values: np.ndarray,
    at: xr.DataArray,
    method: str = "linear",
    max_gap: float = 0.5,
) -> xr.DataArray:
    """Sample a series at given times.

    Parameters
    ----------
    times : ndarray, shape (sample,)
        Increasing times in seconds.
    values : ndarray, shape (sample,) or (sample, axis)
        The series; NaN samples are left out.
    at : xarray.DataArray
        Where to sample, seconds.
    method : {"linear", "nearest"}
        Interpolate between samples, or take the nearest.
    max_gap : float
        NaN where two neighbouring samples are further apart than this, seconds.

    Returns
    -------
    xarray.DataArray
        Dims of `at`, and `axis` if there are several columns; NaN outside the samples.

    Examples
    --------
    >>> at = xr.DataArray([0.5, 1.2, 9.0], dims="time")
    >>> sample_columns(np.arange(3.0), np.array([0.0, 2.0, 4.0]), at, max_gap=1.0).values
    array([1. , 2.4, nan])
    """
    dims: tuple[Hashable, ...] = at.dims
    coords = dict(at.coords)
    columns = [
        _sample(times, column, at.values, method, max_gap)
        for column in values.reshape(len(values), -1).T
    ]
    if values.ndim == 1:
        return xr.DataArray(columns[0], dims=dims, coords=coords)
    n_axes = len(columns)
    coords["axis"] = list(AXES[:n_axes] if n_axes <= len(AXES) else range(n_axes))
    return xr.DataArray(np.stack(columns, axis=-1), dims=(*dims, "axis"), coords=coords)


def _sample(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, method: str, max_gap: float
) -> np.ndarray:
    """Sample one column; NaN outside the samples and in gaps between them."""
    known = np.isfinite(values) & np.isfinite(times)
    times, values = times[known], values[known]
    if len(times) < 2:
        return np.full(at.shape, np.nan)
    after = np.clip(np.searchsorted(times, at, side="right"), 1, len(times) - 1)
    before = after - 1
    if method == "linear":
        sampled = np.interp(at, times, values)
    else:
        nearest = np.where(at - times[before] <= times[after] - at, before, after)
        sampled = values[nearest]
    inside = (at >= times[0]) & (at <= times[-1]) & (times[after] - times[before] <= max_gap)
    return np.where(inside, sampled, np.nan)
