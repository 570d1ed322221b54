"""The connectivity of any differentiable predictor: how spikes move the next rates.

The coupling of neuron m to neuron n at lag l is the mean Jacobian::

    C[l, n, m] = mean over t of  d rate[t, n] / d count[t - l, m]

It is taken by forward derivatives along whole sessions.  All bins of neuron m that are
`n_lags` apart are moved at once, each with a random sign; the response l bins after
each, times its sign, is the derivative there.  Responses of earlier moves that still
last have random signs and average out; with a memory of at most `n_lags` bins there
are none, and the result is exact.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.base import check_spikes
from onehotglm.random_state import as_key

Predictor = Callable[[Float[Array, "time neuron"]], Float[Array, "time neuron"]]


def effective_connectivity(
    predict: Predictor,
    spikes: xr.DataArray,
    *,
    n_lags: int = 10,
    chunk_size: int = 32,
    n_bootstrap: int = 200,
    random_state: int | PRNGKeyArray = 0,
) -> xr.Dataset:
    """Mean Jacobian of the next rates by the spikes, with its error over sessions.

    Parameters
    ----------
    predict : callable
        Maps the counts of a session (time, neuron) to the rates of each bin given the
        bins before it (time, neuron), in Hz; traceable by jax.  An equinox module
        keeps a second call from compiling.
    spikes : DataArray, dims (session, time, neuron)
        Counts at which the derivative is taken.
    n_lags : int
        Number of past bins.
    chunk_size : int
        Derivatives taken at once; memory grows with it.
    n_bootstrap : int
        Resamplings of sessions for the error.
    random_state : int or key
        Seed of the signs and of the resampling.

    Returns
    -------
    Dataset
        ``connectivity`` (post, pre), summed over lags, in Hz per spike;
        ``connectivity_error`` (post, pre), its bootstrap standard error over sessions
        (nan with one session); ``connectivity_by_lag`` (lag, post, pre).

    Raises
    ------
    InvalidInputError
        If the spikes do not fit, or no session has more than `n_lags` bins.

    Examples
    --------
    A predictor that adds 3 Hz to neuron 0 for each spike of neuron 1 two bins ago:

    >>> def predict(counts):
    ...     past = jnp.pad(counts, ((2, 0), (0, 0)))[: len(counts)]
    ...     return 10.0 + past @ jnp.array([[0.0, 0.0], [3.0, 0.0]])
    >>> spikes = xr.DataArray(
    ...     np.ones((2, 50, 2)), dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
    >>> found = effective_connectivity(predict, spikes, n_lags=3)
    >>> found["connectivity"].values
    array([[0., 3.],
           [0., 0.]])
    >>> found["connectivity_by_lag"].sel(lag=2).values[0]
    array([0., 3.])
    """
    spikes = check_spikes(spikes)
    if chunk_size < 1:
        raise InvalidInputError(f"chunk_size={chunk_size}, but it must be at least 1")
    check_lags(spikes, n_lags)
    counts = np.asarray(spikes.values, np.float32)
    observed = np.asarray(np.isfinite(counts).any(axis=2))
    scored = observed.copy()
    if "time" in spikes.coords:
        scored[:, spikes["time"].values < 0] = False
    keys = jax.random.split(as_key(random_state), len(counts) + 1)
    sums, n_terms = [], []
    for session, key in enumerate(keys[1:]):
        found = _session_sums(
            predict,
            jnp.asarray(np.nan_to_num(counts[session])),
            jnp.asarray(observed[session]),
            jnp.asarray(scored[session]),
            key,
            n_lags,
            chunk_size,
        )
        sums.append(np.asarray(found[0]))
        n_terms.append(np.asarray(found[1]))
    return _summarise(np.stack(sums), np.stack(n_terms), spikes, keys[0], n_bootstrap)


def check_lags(spikes: xr.DataArray, n_lags: int) -> None:
    """Raise unless some session has more bins than lags; before a fit, not after it.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
    n_lags : int

    Raises
    ------
    InvalidInputError
        If there are no lags, or too few bins.
    """
    if n_lags < 1:
        raise InvalidInputError(f"n_lags={n_lags}, but it must be at least 1")
    longest = int(np.isfinite(spikes.values).any(axis=2).sum(axis=1).max())
    if longest <= n_lags:
        raise InvalidInputError(
            f"the longest session has {longest} bins, too few for n_lags={n_lags}; give longer "
            "sessions or fewer lags"
        )


@eqx.filter_jit
def _session_sums(
    predict: Predictor,
    counts: Float[Array, "time neuron"],
    observed: Bool[Array, " time"],
    scored: Bool[Array, " time"],
    key: PRNGKeyArray,
    n_lags: int,
    chunk_size: int,
) -> tuple[Float[Array, "lag post pre"], Float[Array, " lag"]]:
    """Sum of the derivatives over the bins of one session, and the number of terms."""
    n_bins, n_neurons = counts.shape
    signs = jax.random.rademacher(key, (n_bins,), counts.dtype)
    lags = jnp.arange(1, n_lags + 1)
    # Response at t by the move at t - lag, where both bins are there.
    moved_at = jnp.arange(n_bins)[:, None] - lags
    counted = (moved_at >= 0) & observed[moved_at] & scored[:, None]

    def response(index: Array) -> Float[Array, "lag post"]:
        pre, offset = index // n_lags, index % n_lags
        moved = signs * (jnp.arange(n_bins) % n_lags == offset)
        tangent = moved[:, None] * (jnp.arange(n_neurons) == pre)
        change = jax.jvp(predict, (counts,), (tangent,))[1]
        weight = jnp.where(counted, moved[moved_at], 0)
        return weight.T @ change

    n_moves = n_neurons * n_lags
    sums = jax.lax.map(response, jnp.arange(n_moves), batch_size=min(chunk_size, n_moves))
    by_pre = sums.reshape(n_neurons, n_lags, n_lags, n_neurons).sum(axis=1)
    return jnp.moveaxis(by_pre, 0, -1), counted.sum(axis=0)


def _summarise(
    sums: np.ndarray,
    n_terms: np.ndarray,
    spikes: xr.DataArray,
    key: PRNGKeyArray,
    n_bootstrap: int,
) -> xr.Dataset:
    n_sessions = len(sums)

    def mean(weights: np.ndarray) -> np.ndarray:
        total = np.tensordot(weights, sums, axes=1)
        return total / np.maximum(weights @ n_terms, 1)[:, None, None]

    by_lag = mean(np.ones(n_sessions))
    error = np.full(by_lag.shape[1:], np.nan)
    if n_sessions > 1:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        draws = rng.multinomial(n_sessions, np.full(n_sessions, 1 / n_sessions), n_bootstrap)
        error = np.std([mean(weights).sum(axis=0) for weights in draws.astype(float)], axis=0)
    coords: dict[str, Any] = {
        "post": spikes["neuron"].values,
        "pre": spikes["neuron"].values,
        "lag": np.arange(1, len(by_lag) + 1),
    }
    units = {"units": "Hz per spike"}
    return xr.Dataset(
        {
            "connectivity": (("post", "pre"), by_lag.sum(axis=0), units),
            "connectivity_error": (("post", "pre"), error, units),
            "connectivity_by_lag": (("lag", "post", "pre"), by_lag, units),
        },
        coords=coords,
        attrs={"bin_size": spikes.attrs["bin_size"]},
    )
