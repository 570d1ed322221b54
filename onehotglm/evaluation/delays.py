"""How long it takes to see that the state has changed."""

from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError


def detection_delays(
    states: xr.DataArray, posterior: xr.DataArray, threshold: float = 0.5
) -> pd.DataFrame:
    """Time from every change of state until the posterior is sure of the new state.

    Parameters
    ----------
    states : DataArray of int, dims (session, time)
        The true states, -1 where unknown.
    posterior : DataArray, dims (session, time, state)
        In the same labels: ``model.predict_proba(spikes, causal=True)`` for what can be known
        at the time.
    threshold : float
        Probability of the new state that counts as seen.

    Returns
    -------
    DataFrame
        A row per change: `session`, `time` of the first bin in the new state (s), `before` and
        `after` (states), `duration` of the visit and `delay` from its start to the end of the
        first bin in which the new state was seen (s), infinite where it was not before the
        next change.

    Raises
    ------
    InvalidInputError
        If the two do not have the same sessions and times, or the threshold is no probability.

    Examples
    --------
    >>> states = xr.DataArray([[0, 0, 1, 1, 1]], dims=("session", "time"))
    >>> sure = xr.DataArray([[0.1, 0.1, 0.2, 0.7, 0.9]], dims=("session", "time"))
    >>> posterior = xr.concat([1 - sure, sure], dim="state")
    >>> detection_delays(states, posterior)["delay"].tolist()
    [2.0]
    """
    if not 0 < threshold < 1:
        raise InvalidInputError(f"threshold={threshold!r}; expected a probability")
    states = states.transpose("session", "time")
    posterior = posterior.transpose("session", "time", "state")
    if posterior.shape[:2] != states.shape:
        raise InvalidInputError(
            f"got states (session, time) of shape {states.shape} and a posterior of shape "
            f"{posterior.shape}; expected the same sessions and times"
        )
    times = states["time"].values if "time" in states.coords else np.arange(states.sizes["time"])
    labels = states["session"].values if "session" in states.coords else np.arange(len(states))
    bin_size = float(times[1] - times[0]) if len(times) > 1 else 1.0
    rows = []
    for label, path, proba in zip(labels, states.values, posterior.values, strict=True):
        borders = np.flatnonzero(np.diff(path)) + 1
        for start, end in pairwise([*borders, len(path)]):
            if min(path[start - 1], path[start]) < 0:
                continue
            seen = np.flatnonzero(proba[start:end, path[start]] > threshold)
            delay = (seen[0] + 1) * bin_size if seen.size else np.inf
            row = (label, times[start], path[start - 1], path[start], end - start, delay)
            rows.append(row)
    frame = pd.DataFrame(rows, columns=["session", "time", "before", "after", "duration", "delay"])
    return frame.assign(duration=frame["duration"] * bin_size)
