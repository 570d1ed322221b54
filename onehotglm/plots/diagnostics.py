"""Do the rates describe the spikes: calibration, time rescaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import ACCENT, FAINT, INK, MUTED, finish, new_axes, styled
from onehotglm.plots.timeline import bin_size_of, observed_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def plot_calibration(
    rates: xr.DataArray, spikes: xr.DataArray, *, n_groups: int = 20, ax: Axes | None = None
) -> Axes:
    """Observed against predicted rates in groups of bins with similar predictions.

    Parameters
    ----------
    rates : DataArray, dims (session, time, neuron)
        Predicted rates in Hz.
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing.
    n_groups : int
        Groups of equal numbers of bins.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes
        Dots on the diagonal: the predictions mean what they say.  Bars are the
        95 % intervals of `calibration_table`.

    Raises
    ------
    InvalidInputError
        If the sizes differ or no bin has both a rate and a count.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.ones((1, 50, 1)), dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
    >>> ax = plot_calibration(50 * spikes, spikes, n_groups=1)
    >>> ax.get_ylabel()
    'Observed rate (Hz)'
    """
    table = calibration_table(rates, spikes, n_groups)
    ax = new_axes(ax, 3.6, 3.5)
    shown = table[table["predicted"] > 0]
    low = np.minimum(shown["predicted"], shown["observed"].where(shown["observed"] > 0)).min()
    high = max(shown["predicted"].max(), shown["high"].max())
    limits = (0.7 * low, 1.4 * high)
    ax.plot(limits, limits, color=MUTED, linewidth=0.8, zorder=0)
    bars = np.abs(shown[["low", "high"]].to_numpy().T - shown["observed"].to_numpy())
    ax.errorbar(
        shown["predicted"],
        shown["observed"],
        yerr=bars,
        fmt="o",
        color=ACCENT,
        markersize=4,
        elinewidth=1.0,
    )
    ax.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    _plain_log_ticks(ax)
    return finish(ax, xlabel="Predicted rate (Hz)", ylabel="Observed rate (Hz)")


def calibration_table(
    rates: xr.DataArray, spikes: xr.DataArray, n_groups: int = 20
) -> pd.DataFrame:
    """Predicted and observed rates in groups of bins with similar predictions.

    Parameters
    ----------
    rates : DataArray, dims (session, time, neuron)
        Predicted rates in Hz.
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing.
    n_groups : int
        Groups of equal numbers of bins.

    Returns
    -------
    DataFrame
        One row per group: ``predicted`` (mean rate, Hz), ``observed`` (Hz),
        ``low`` and ``high`` (exact 95 % interval of a Poisson mean given the
        observed count, Garwood 1936; Hz), ``n_bins``.

    Raises
    ------
    InvalidInputError
        If the sizes differ or no bin has both a rate and a count.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.ones((1, 50, 1)), dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
    >>> calibration_table(50 * spikes, spikes, n_groups=1)["observed"].tolist()
    [50.0]
    """
    from scipy.stats import chi2

    hertz, counts = _paired_bins(rates, spikes)
    known = np.isfinite(hertz) & np.isfinite(counts)
    if not known.any():
        raise InvalidInputError("no bin has both a predicted rate and an observed count")
    hertz, counts = hertz[known], counts[known]
    bin_size = bin_size_of(spikes)
    rows = []
    ranking = np.argsort(hertz, kind="stable")
    for group in np.array_split(ranking, min(n_groups, len(ranking))):
        total, exposure = counts[group].sum(), len(group) * bin_size
        low = chi2.ppf(0.025, 2 * total) / 2 if total else 0.0
        high = chi2.ppf(0.975, 2 * total + 2) / 2
        rows.append(
            {
                "predicted": hertz[group].mean(),
                "observed": total / exposure,
                "low": low / exposure,
                "high": high / exposure,
                "n_bins": len(group),
            }
        )
    return pd.DataFrame(rows)


@styled
def plot_time_rescaling(
    rates: xr.DataArray,
    spikes: xr.DataArray,
    *,
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Kolmogorov-Smirnov plot of the rescaled intervals between spikes, per neuron.

    Under the model `rescaled_intervals` are uniform, and their distribution
    follows the diagonal.  A line is dark where the neuron leaves its own 95 %
    band ``1.36 / sqrt(n_intervals)``; the grey area is the band of the median
    neuron.

    Parameters
    ----------
    rates : DataArray, dims (session, time, neuron)
        Predicted rates in Hz.
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing.
    random_state : int
        Seed of the places of spikes within their bins.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the sizes differ, or no neuron has five spikes.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.ones((1, 50, 1)), dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
    >>> ax = plot_time_rescaling(50 * spikes, spikes)
    >>> ax.get_xlabel()
    'Uniform quantile'
    """
    intervals = rescaled_intervals(rates, spikes, random_state=random_state)
    samples = [np.sort(sample) for sample in intervals if len(sample) >= 5]
    if not samples:
        raise InvalidInputError("no neuron has the five spikes that a KS plot needs")
    ax = new_axes(ax, 3.6, 3.5)
    band = 1.36 / np.sqrt(np.median([len(sample) for sample in samples]))
    ax.fill_between([0, 1], [-band, 1 - band], [band, 1 + band], color=FAINT, lw=0, alpha=0.7)
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
    n_inside = 0
    for sample in samples:
        ranks = (np.arange(len(sample)) + 0.5) / len(sample)
        inside = np.abs(sample - ranks).max() + 0.5 / len(sample) <= 1.36 / np.sqrt(len(sample))
        n_inside += inside
        ax.plot(ranks, sample, linewidth=0.9, alpha=0.6, color=ACCENT if inside else INK)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    text = f"{n_inside} of {len(samples)} neurons\nwithin their 95 % band"
    ax.text(0.04, 0.97, text, transform=ax.transAxes, va="top", fontsize=8)
    return finish(ax, xlabel="Uniform quantile", ylabel="Rescaled interval")


def rescaled_intervals(
    rates: xr.DataArray, spikes: xr.DataArray, *, random_state: int = 0
) -> list[np.ndarray]:
    """Intervals between spikes in rescaled time: uniform on (0, 1) under the model.

    With rate ``f_t`` counts per bin, the spikes of a bin are placed at sorted
    uniform points of its integrated rate, and ``u = 1 - exp(-dLambda)`` for the
    integral ``dLambda`` between neighbours.  Drawing the places instead of
    taking the edges of the bins is the discrete-time correction of Haslinger,
    Pipa and Brown (2010), here for Poisson counts, of which a bin may hold
    several; without it the intervals are not uniform even for the true rates.
    Missing bins are cut out, and sessions follow on each other, which leaves
    the rescaled process as it is.

    Parameters
    ----------
    rates : DataArray, dims (session, time, neuron)
        Predicted rates in Hz.
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing.
    random_state : int
        Seed.

    Returns
    -------
    list of ndarray
        One array per neuron, a value per spike.

    Raises
    ------
    InvalidInputError
        If the sizes differ.

    References
    ----------
    Haslinger, Pipa, Brown (2010), Neural Computation 22:2477-2506.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.ones((1, 50, 2)), dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
    >>> [len(values) for values in rescaled_intervals(50 * spikes, spikes)]
    [50, 50]
    """
    hertz, counts = _paired_bins(rates, spikes)
    bin_size = bin_size_of(spikes)
    generator = np.random.default_rng(random_state)
    intervals = []
    for neuron in range(counts.shape[1]):
        known = np.isfinite(hertz[:, neuron]) & np.isfinite(counts[:, neuron])
        expected = hertz[known, neuron] * bin_size
        before = np.concatenate([[0.0], np.cumsum(expected)[:-1]])
        bins = np.repeat(np.arange(known.sum()), counts[known, neuron].astype(int))
        places = before[bins] + generator.random(len(bins)) * expected[bins]
        intervals.append(-np.expm1(-np.diff(np.sort(places), prepend=0.0)))
    return intervals


def _paired_bins(rates: xr.DataArray, spikes: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Rates (Hz) and counts, shape (bin, neuron), in the order of time, without lead-in."""
    dims = ("session", "time", "neuron")
    for name, array in (("rates", rates), ("spikes", spikes)):
        if set(array.dims) != set(dims):
            raise InvalidInputError(f"{name} have dims {array.dims}; expected {dims}")
    present = observed_bins(spikes)
    if "time" in spikes.coords and "time" in rates.coords:
        rates = rates.reindex(time=spikes["time"], method="nearest", tolerance=1e-6)
    hertz, counts = rates.transpose(*dims).values, spikes.transpose(*dims).values
    if hertz.shape != counts.shape:
        raise InvalidInputError(
            f"rates have shape {hertz.shape} and spikes {counts.shape} (session, time, neuron); "
            "pass the rates predicted for these spikes"
        )
    return hertz[present], counts[present]


def _plain_log_ticks(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    subs = (1.0, 2.0, 5.0) if high < 200 * low else (1.0,)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
