"""Timescales of neurons as they appear in their activity.

A neuron's network-mediated timescale is read from the autocorrelation of its activity
under random input: one exponential or the sum of two is fitted, whichever Akaike's
criterion prefers, and the slowest is kept.

The estimates of an autocorrelation at neighbouring lags err together.  A fit that
takes them for independent finds a second timescale in almost every process that has
one.  Here the fit is weighted with the covariance of these errors, which follows from
the power spectrum S (Bartlett 1946)::

    cov(c_j, c_k) = 2/n  mean over frequencies w of  S(w)^2 cos(j w) cos(k w)
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import drive_randomly
from onehotglm.networks.rnn.cell import LeakyCell
from onehotglm.networks.rnn.network import RNN

N_GRID = 60
"""Timescales of the first search, evenly spaced in their logarithm."""

FASTEST = 0.2
"""Fastest timescale of the search, bins: its exponential is 0.7 % after one bin."""

SLOWEST_PER_LAG = 10.0
"""Slowest timescale of the search, as a multiple of the largest lag."""

SEPARATION = 1.2
"""Two timescales of one fit differ by this factor at least: closer ones act as one."""

N_ZOOMS = 5
"""Each one narrows the search around the best timescales to a third of the spacing."""


class Autocorrelation(NamedTuple):
    """Autocorrelation of several neurons, and how its errors go together."""

    values: np.ndarray  # (neuron, lag); nan for a constant neuron
    covariance: np.ndarray  # (neuron, lag, lag)


class ExponentialFit(NamedTuple):
    """Sum of `n_exponentials` exponentials, the slowest last."""

    tau: np.ndarray  # (neuron, exponential), bins
    amplitude: np.ndarray  # (neuron, exponential)
    chi_squared: np.ndarray  # (neuron,), weighted squared error


def autocorrelation(activity: np.ndarray, max_lag: int = 30) -> Autocorrelation:
    """Autocorrelation of stationary activity by fast Fourier transform.

    Parameters
    ----------
    activity : array, shape (time, trial, neuron)
        Activity in every bin.  Trials share one mean.
    max_lag : int
        Largest lag, bins.

    Returns
    -------
    Autocorrelation
        Values (neuron, lag 0..max_lag), 1 at lag 0, and the covariance of their errors
        (neuron, lag, lag).

    Raises
    ------
    InvalidInputError
        If the activity has another number of dimensions, or too few bins.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((5000, 2, 1))
    >>> abs(autocorrelation(noise, max_lag=2).values).round(1)
    array([[1., 0., 0.]])
    """
    if activity.ndim != 3:
        raise InvalidInputError(
            f"activity has shape {activity.shape}, expected (time, trial, neuron); "
            "add the missing axes with activity[:, None, :] or activity[:, :, None]"
        )
    n_bins, n_trials, _ = activity.shape
    if n_bins < 2 * max_lag + 2:
        raise InvalidInputError(
            f"{n_bins} bins are too few for max_lag={max_lag}; give at least {2 * max_lag + 2}"
        )
    mean = activity.mean(axis=(0, 1), dtype=float)
    n_padded = scipy.fft.next_fast_len(n_bins + 2 * max_lag, real=True)
    power = np.zeros((n_padded // 2 + 1, activity.shape[2]))
    for trial in range(n_trials):  # one after the other, to keep memory small
        transform = scipy.fft.rfft(activity[:, trial] - mean, n_padded, axis=0)
        power += (transform.real**2 + transform.imag**2) / (n_bins * n_trials)
    n_pairs = (n_bins - np.arange(max_lag + 1)) / n_bins
    covariance_at_lag = scipy.fft.irfft(power, n_padded, axis=0)[: max_lag + 1].T / n_pairs

    # A mean of n_trials periodograms squared exceeds S squared by 1 + 1/n_trials.
    squared = scipy.fft.irfft(power**2, n_padded, axis=0)[: 2 * max_lag + 1].T
    squared /= (1 + 1 / n_trials) * n_bins * n_trials
    lags = np.arange(max_lag + 1)
    errors = squared[:, abs(lags[:, None] - lags)] + squared[:, lags[:, None] + lags]

    constant = activity.max(axis=(0, 1)) == activity.min(axis=(0, 1))
    variance = np.where(constant, np.nan, covariance_at_lag[:, 0])
    return Autocorrelation(
        covariance_at_lag / variance[:, None], errors / variance[:, None, None] ** 2
    )


def fit_exponentials(observed: Autocorrelation, n_exponentials: int) -> ExponentialFit:
    """Weighted least-squares fit of one or two exponentials to each neuron.

    ``sum_i amplitude_i exp(-lag / tau_i)`` with amplitudes of at least 0.  The best
    amplitudes have a closed form; timescales are searched on a grid that zooms in.

    Parameters
    ----------
    observed : Autocorrelation
        Of neurons that are not constant.
    n_exponentials : {1, 2}
        Number of exponentials.

    Returns
    -------
    ExponentialFit
    """
    values, covariance = observed
    max_lag = values.shape[1] - 1
    # The ridge stands for rounding errors where a process has a few frequencies only.
    ridge = 1e-9 * np.trace(covariance, axis1=1, axis2=2)[:, None, None] * np.eye(max_lag + 1)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance + ridge))
    target = (whiten @ values[:, :, None])[:, :, 0]
    grid = np.geomspace(FASTEST, SLOWEST_PER_LAG * max_lag, N_GRID)
    spacing = np.log(grid[1] / grid[0])
    grids = [np.broadcast_to(grid, (len(values), N_GRID))] * n_exponentials
    for _ in range(N_ZOOMS + 1):
        bases = [whiten @ _exponentials(taus, max_lag) for taus in grids]
        fit = _best_on_grid(target, grids, bases)
        steps = np.exp(spacing * np.linspace(-1, 1, 7))
        spacing /= 3
        grids = [np.clip(fit.tau[:, [i]] * steps, grid[0], grid[-1]) for i in range(n_exponentials)]
    return fit


def _exponentials(taus: np.ndarray, max_lag: int) -> np.ndarray:
    """Decay of each timescale (neuron, tau) over the lags: (neuron, lag, tau)."""
    return np.exp(-np.arange(max_lag + 1)[:, None] / taus[:, None, :])


def _best_on_grid(
    target: np.ndarray, grids: list[np.ndarray], bases: list[np.ndarray]
) -> ExponentialFit:
    """Best timescales of a grid, with the closed-form amplitudes of each."""
    rows = np.arange(len(target))
    total = (target**2).sum(axis=1)
    norms = [(basis**2).sum(axis=1) for basis in bases]
    fits = [np.einsum("nl,nlt->nt", target, basis) for basis in bases]
    if len(bases) == 1:
        amplitude = fits[0] / norms[0]
        chi_squared = total[:, None] - np.maximum(amplitude, 0) * fits[0]
        best = chi_squared.argmin(axis=1)
        return ExponentialFit(
            grids[0][rows, best][:, None],
            np.maximum(amplitude, 0)[rows, best][:, None],
            chi_squared[rows, best],
        )
    cross = bases[0].swapaxes(1, 2) @ bases[1]
    apart = SEPARATION * grids[0][:, :, None] < grids[1][:, None, :]
    determinant = np.where(apart, norms[0][:, :, None] * norms[1][:, None, :] - cross**2, np.inf)
    fast_fit, slow_fit = fits[0][:, :, None], fits[1][:, None, :]
    fast = (fast_fit * norms[1][:, None, :] - slow_fit * cross) / determinant
    slow = (slow_fit * norms[0][:, :, None] - fast_fit * cross) / determinant
    allowed = apart & (fast >= 0) & (slow >= 0)
    error = total[:, None, None] - fast * fast_fit - slow * slow_fit
    chi_squared = np.where(allowed, error, np.inf)
    best = chi_squared.reshape(len(target), -1).argmin(axis=1)
    i, j = np.unravel_index(best, chi_squared.shape[1:])
    return ExponentialFit(
        np.stack([grids[0][rows, i], grids[1][rows, j]], axis=1),
        np.stack([fast[rows, i, j], slow[rows, i, j]], axis=1),
        chi_squared[rows, i, j],
    )


def allow_discrepancy(observed: Autocorrelation) -> Autocorrelation:
    """Add to the errors what not even two exponentials describe.

    Networks have autocorrelations that are no sums of exponentials; weights that
    stand for tiny sampling errors alone would then fit some lags and give up others.
    The unweighted fit's mean squared error beyond the sampling errors is added to the
    variance of each lag; for a sum of exponentials it is next to nothing.
    """
    n_lags = observed.values.shape[1]
    unit = np.broadcast_to(np.eye(n_lags), observed.covariance.shape)
    unweighted = Autocorrelation(observed.values, unit)
    # No two exponentials of positive amplitudes may fit better than one.
    error = np.minimum(
        fit_exponentials(unweighted, 1).chi_squared, fit_exponentials(unweighted, 2).chi_squared
    ) / (n_lags - 4)
    sampling = np.trace(observed.covariance, axis1=1, axis2=2) / n_lags
    excess = np.maximum(error - sampling, 0.0)
    return Autocorrelation(observed.values, observed.covariance + excess[:, None, None] * unit)


def network_timescales(activity: np.ndarray, max_lag: int = 30) -> xr.Dataset:
    """Timescale of each neuron from the autocorrelation of its activity.

    Parameters
    ----------
    activity : array, shape (time, trial, neuron)
        Stationary activity, for instance under random input.
    max_lag : int
        Largest lag of the fit, bins.

    Returns
    -------
    Dataset
        ``network_tau`` (neuron): the slowest timescale, bins; nan for a neuron that is
        constant.  ``n_exponentials`` (neuron): 1 or 2, and 0 for a constant neuron.
        ``amplitude`` (neuron): share of the slowest exponential at lag 0.
        ``autocorrelation`` and ``fitted_autocorrelation`` (neuron, lag).

    Raises
    ------
    InvalidInputError
        If the activity has another number of dimensions, or too few bins.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.zeros((20_000, 1, 1))
    >>> for t in range(1, len(x)):
    ...     x[t] = np.exp(-1 / 6) * x[t - 1] + rng.standard_normal()
    >>> round(float(network_timescales(x)["network_tau"][0]))
    6
    """
    observed = autocorrelation(activity, max_lag)
    varies = np.isfinite(observed.values[:, 0])
    tau = np.full(len(varies), np.nan)
    amplitude = np.full(len(varies), np.nan)
    n_exponentials = np.zeros(len(varies), int)
    fitted = np.full(observed.values.shape, np.nan)
    if varies.any():
        varying = allow_discrepancy(
            Autocorrelation(observed.values[varies], observed.covariance[varies])
        )
        one, two = fit_exponentials(varying, 1), fit_exponentials(varying, 2)
        # Akaike's criterion: chi squared plus twice the number of parameters.
        double = two.chi_squared + 2 * 4 < one.chi_squared + 2 * 2
        tau[varies] = np.where(double, two.tau[:, -1], one.tau[:, -1])
        amplitude[varies] = np.where(double, two.amplitude[:, -1], one.amplitude[:, -1])
        n_exponentials[varies] = np.where(double, 2, 1)
        curves = [
            (_exponentials(fit.tau, max_lag) @ fit.amplitude[:, :, None])[:, :, 0]
            for fit in (one, two)
        ]
        fitted[varies] = np.where(double[:, None], curves[1], curves[0])
    return xr.Dataset(
        {
            "network_tau": ("neuron", tau, {"units": "bins"}),
            "amplitude": ("neuron", amplitude),
            "n_exponentials": ("neuron", n_exponentials),
            "autocorrelation": (("neuron", "lag"), observed.values),
            "fitted_autocorrelation": (("neuron", "lag"), fitted),
        },
        coords={"lag": np.arange(max_lag + 1)},
    )


def measure_timescales(
    network: RNN,
    *,
    n_time_bins: int = 10_000,
    n_streams: int = 10,
    max_lag: int = 30,
    random_state: int = 0,
) -> xr.Dataset:
    """Both kinds of timescale of the top layer's neurons, under random fair bits.

    Parameters
    ----------
    network : RNN
        Network with one input channel.
    n_time_bins, n_streams : int
        Size of the simulation.  The first 10 % of the bins are dropped.
    max_lag : int
        Largest lag of the fit, bins.
    random_state : int or key
        Seed of the bits.

    Returns
    -------
    Dataset
        As from `network_timescales`, and ``tau`` (neuron) where neurons have one.
    """
    n_dropped = n_time_bins // 10
    run = drive_randomly(
        network, n_time_bins + n_dropped, n_streams=n_streams, random_state=random_state
    )
    found = network_timescales(run.activity[n_dropped:], max_lag)
    layer = network.layers[-1]
    if isinstance(layer, LeakyCell):
        found["tau"] = ("neuron", np.asarray(layer.effective_tau), {"units": "bins"})
    return found
