"""A connectivity of one matrix against the wiring that a simulation is known to have."""

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.recovery import between_neurons, precision_recall


def true_wiring(truth: xr.Dataset) -> xr.DataArray:
    """Couplings of a simulation, averaged over the time that it spent in its states.

    Parameters
    ----------
    truth : Dataset
        With ``connectivity``, (post, pre) or (state, post, pre), and in the second case
        ``states`` (session, time) where they are known; without them all states weigh the
        same.

    Returns
    -------
    DataArray, dims (post, pre)
        Zero where no state has the connection.

    Raises
    ------
    InvalidInputError
        If the simulation has no connectivity.

    Examples
    --------
    >>> truth = xr.Dataset({
    ...     "connectivity": (("state", "post", "pre"), [[[0.0, 4.0]], [[0.0, 0.0]]]),
    ...     "states": (("session", "time"), [[0, 1, 1, 1]])})
    >>> true_wiring(truth).values
    array([[0., 1.]])
    """
    if "connectivity" not in truth:
        raise InvalidInputError(
            "the truth has no connectivity; it has "
            f"{', '.join(map(str, truth.data_vars)) or 'no variable'}"
        )
    couplings = truth["connectivity"]
    if "state" not in couplings.dims:
        return couplings.transpose("post", "pre")
    weights = np.ones(couplings.sizes["state"])
    if "states" in truth:
        states = truth["states"].values
        weights = np.bincount(states[states >= 0], minlength=len(weights)).astype(float)
    average = couplings.weighted(xr.DataArray(weights, dims="state")).mean("state")
    return average.transpose("post", "pre").assign_attrs(couplings.attrs)


def wiring_recovery(found: xr.DataArray, truth: xr.DataArray) -> pd.Series:
    """How well a connectivity tells which connections exist, and their signs.

    Only pairs of different neurons count.

    Parameters
    ----------
    found : DataArray, dims (post, pre)
        Of any decoder, in any unit.
    truth : DataArray, dims (post, pre)
        From `true_wiring`; zero where there is no connection.

    Returns
    -------
    Series
        ``average_precision`` of finding connections by the magnitude of the coupling, and
        ``base_rate``, the part of the pairs that are connected, which a random ranking
        scores; ``sign_accuracy``, of the connections that exist (zero has no sign);
        ``correlation``, Pearson's r of the couplings.  NaN where nothing is connected, or
        the connectivity is zero.

    Raises
    ------
    InvalidInputError
        If the two are of different sizes.

    Examples
    --------
    >>> truth = xr.DataArray([[0.0, 1.0], [0.0, 0.0]], dims=("post", "pre"))
    >>> wiring_recovery(2 * truth, truth).round(3).to_dict()
    {'average_precision': 1.0, 'base_rate': 0.5, 'sign_accuracy': 1.0, 'correlation': 1.0}
    """
    if dict(found.sizes) != dict(truth.sizes):
        raise InvalidInputError(
            f"the connectivity has the sizes {dict(found.sizes)}, the true wiring "
            f"{dict(truth.sizes)}; expected the same neurons in the same order"
        )
    couplings, true = between_neurons(found), between_neurons(truth)
    exists = true != 0
    signs = np.sign(couplings[exists]) == np.sign(true[exists])
    return pd.Series(
        {
            "average_precision": precision_recall(exists, np.abs(couplings))[2],
            "base_rate": float(exists.mean()) if exists.size else np.nan,
            "sign_accuracy": float(signs.mean()) if exists.any() and couplings.any() else np.nan,
            "correlation": correlation(couplings, true),
        },
        name="wiring",
    )


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's r; NaN where one of the two does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])
