"""The unit in which everything that predicts spikes is scored: bits per spike.

The baseline of all scores are constant rates, the training data's means; the bins are
those at non-negative times that were observed.  Signals have no spikes: they are scored in
bits per sample, over the training data's means and variances.
"""

import numpy as np
import xarray as xr
from scipy.special import gammaln, xlog1py, xlogy

from onehotglm.kernels.observations import OBSERVATIONS


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
        Attribute ``bin_size`` as that of the spikes.

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
    bin_size = spikes.attrs["bin_size"]
    return (total / n_bins / bin_size).assign_attrs(units="Hz", bin_size=bin_size)


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
        Nats; nan where a rate of an observed count is nan.
    """
    counts = modelled(spikes).astype(float)
    expected = rates * spikes.attrs["bin_size"]
    log_factorial = xr.apply_ufunc(gammaln, counts + 1)
    # 0 log 0 = 0: an impossible spike costs -inf, its absence nothing.
    with np.errstate(divide="ignore"):
        terms = xr.where(counts > 0, counts * np.log(expected), 0.0) - expected - log_factorial
    return terms.where(counts.notnull(), 0.0).sum(("time", "neuron"), skipna=False)


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


def mean_and_variance(data: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each neuron over the observed bins, (neuron,) each; 0 without any."""
    scored = modelled(data).astype(float)
    mean = scored.mean(("session", "time"))
    return tuple(np.nan_to_num(x.values) for x in (mean, scored.var(("session", "time"))))


def score_unit(observation: str) -> str:
    """Say what a score is per: "spike", or "sample" of a signal."""
    return "sample" if OBSERVATIONS[observation].values == "real" else "spike"


def n_units(observation: str, data: xr.DataArray) -> float:
    """Count the spikes, or the observed samples of signals, that a score is divided by."""
    scored = modelled(data)
    if score_unit(observation) == "sample":
        return float(scored.notnull().sum())
    return float(scored.sum(dtype=float))


def score_bits(
    observation: str,
    log_likelihood: xr.DataArray,
    data: xr.DataArray,
    mean: np.ndarray,
    variance: np.ndarray | None = None,
) -> float:
    """Log-likelihood gained over what the training data's moments give, in bits per unit.

    Parameters
    ----------
    observation : str
        The baseline is constant and of the same distribution; for the negative binomial it
        is Poisson, so that its scores compare with the Poisson model's.
    log_likelihood : DataArray, dims (session,)
        Nats.
    data : DataArray, dims (session, time, neuron)
        That it belongs to.
    mean, variance : array, shape (neuron,)
        Of the training data, per bin; the variance for signals only.

    Returns
    -------
    float
        Per spike, or per observed sample of a signal; nan without any.
    """
    if observation in ("poisson", "negative_binomial"):
        rates = mean / data.attrs["bin_size"]
        baseline = xr.DataArray(rates, {"neuron": data["neuron"]}, dims="neuron")
        return bits_per_spike(log_likelihood, data, baseline)
    units = n_units(observation, data)
    if units == 0:
        return float("nan")
    values = modelled(data).values.astype(float)
    if variance is None:
        constant = xlogy(values, mean) + xlog1py(1 - values, -np.minimum(mean, 1 - 1e-6))
    else:
        constant = -0.5 * ((values - mean) ** 2 / variance + np.log(2 * np.pi * variance))
    gained = float(log_likelihood.sum()) - float(np.nansum(constant))
    return gained / units / float(np.log(2))
