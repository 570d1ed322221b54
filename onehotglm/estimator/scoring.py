"""The unit in which everything that predicts spikes is scored: bits per spike.

The baseline of all scores are constant rates, the training data's means; the bins are
those at non-negative times that were observed.
"""

import numpy as np
import xarray as xr
from scipy.special import gammaln


def modelled(spikes: xr.DataArray) -> xr.DataArray:
    """Bins that are modelled and scored: those after the lead-in."""
    return spikes.isel(time=spikes["time"].values >= 0) if "time" in spikes.coords else spikes


def mean_rates(spikes: xr.DataArray) -> xr.DataArray:
    """Mean rate of each neuron over the observed bins.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        Counts.

    Returns
    -------
    DataArray, dims (neuron,)
        Hz.  A neuron without spikes counts as having had half a spike, in all bins if it
        was never observed: a rate of 0 would make a single later spike impossible.

    Examples
    --------
    >>> counts = xr.DataArray(
    ...     [[[1.0, 0.0], [0.0, 0.0]]], dims=("session", "time", "neuron"), attrs={"bin_size": 0.5}
    ... )
    >>> mean_rates(counts).values
    array([1. , 0.5])
    """
    scored = modelled(spikes)
    n_observed = scored.notnull().sum(("session", "time"))
    n_bins = n_observed.where(n_observed > 0, scored.sizes["session"] * scored.sizes["time"])
    total = np.maximum(scored.sum(("session", "time"), dtype=float), 0.5)
    return (total / n_bins / spikes.attrs["bin_size"]).assign_attrs(units="Hz")


def poisson_log_likelihood(rates: xr.DataArray, spikes: xr.DataArray) -> xr.DataArray:
    """Log-likelihood of the observed counts of each session.

    Parameters
    ----------
    rates : DataArray, dims (session, time, neuron) or (neuron,)
        Hz.
    spikes : DataArray, dims (session, time, neuron)
        Counts; missing and lead-in bins are not scored.

    Returns
    -------
    DataArray, dims (session,)
        Nats.
    """
    counts = modelled(spikes).astype(float)
    expected = rates * spikes.attrs["bin_size"]
    log_factorial = xr.apply_ufunc(gammaln, counts + 1)
    # 0 log 0 = 0: an impossible spike costs -inf, its absence nothing.
    with np.errstate(divide="ignore"):
        terms = xr.where(counts > 0, counts * np.log(expected), 0.0) - expected - log_factorial
    return terms.where(counts.notnull()).sum(("time", "neuron"))


def bits_per_spike(
    log_likelihood: xr.DataArray, spikes: xr.DataArray, baseline: xr.DataArray
) -> float:
    """Log-likelihood gained over constant rates, in bits per spike.

    ``(log p(x) - sum log Poisson(x; baseline)) / (n_spikes log 2)``

    Parameters
    ----------
    log_likelihood : DataArray, dims (session,)
        Nats.
    spikes : DataArray, dims (session, time, neuron)
        The counts it belongs to.
    baseline : DataArray, dims (neuron,)
        Constant rates, Hz.

    Returns
    -------
    float
        nan where there is no spike.
    """
    n_spikes = float(modelled(spikes).sum(dtype=float))
    if n_spikes == 0:
        return float("nan")
    gained = log_likelihood - poisson_log_likelihood(baseline, spikes)
    return float(gained.sum()) / n_spikes / float(np.log(2))
