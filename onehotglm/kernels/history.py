"""Bases over past bins, and the causal convolution of counts with them.

The history of neuron m at bin t is ``h[t,m,k] = sum_{l=1..L} phi_k[l] x[t-l,m]``:
strictly causal, zero before the first recorded bin.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

BASES = ("exponential", "raised_cosine", "lags")


def make_basis(name: str, n_lags: int, n_basis: int | None = None) -> np.ndarray:
    """Basis functions over the last `n_lags` bins.

    Parameters
    ----------
    name : {"exponential", "raised_cosine", "lags"}
        ``"exponential"``: one function, phi[l] proportional to exp(-l), unit sum
        (Li et al. 2024).  ``"raised_cosine"``: `n_basis` bumps that are evenly
        spaced in log time (Pillow et al. 2008), each of unit sum.
        ``"lags"``: one free weight per lag.
    n_lags : int
        Number L of past bins.
    n_basis : int, optional
        Number of raised cosines; default ``min(n_lags, 3)``.  The other bases
        have one and `n_lags` functions.

    Returns
    -------
    ndarray, shape (basis, lag)
        Column l-1 multiplies the count l bins ago.

    Examples
    --------
    >>> make_basis("exponential", 3).round(3)
    array([[0.665, 0.245, 0.09 ]])
    >>> make_basis("lags", 2)
    array([[1., 0.],
           [0., 1.]])
    """
    lags = np.arange(1, n_lags + 1, dtype=float)
    if name == "exponential":
        phi = np.exp(-lags)[None]
        return phi / phi.sum()
    if name == "lags":
        return np.eye(n_lags)
    if name != "raised_cosine":
        raise ValueError(f"basis {name!r} is unknown; choose one of {', '.join(BASES)}")
    n_basis = min(n_lags, 3) if n_basis is None else n_basis
    log_lags = np.log(lags)
    centres = np.linspace(0.0, log_lags[-1], n_basis)
    # A single function reaches as far as the lags do.
    spacing = centres[1] if n_basis > 1 and n_lags > 1 else max(log_lags[-1], 1.0)
    phase = np.clip((log_lags - centres[:, None]) * np.pi / (2 * spacing), -np.pi, np.pi)
    phi = (1 + np.cos(phase)) / 2
    return phi / phi.sum(axis=1, keepdims=True)


def convolve_history(
    counts: Float[Array, "padded_time neuron"],
    age: Int[Array, " time"],
    basis: Float[Array, "basis lag"],
) -> Float[Array, "time neuron basis"]:
    """Causal history of every bin.

    Parameters
    ----------
    counts : array, shape (n_lags + time, neuron)
        Spike counts, preceded by the `n_lags` bins before the first one.
    age : int array, shape (time,)
        Number of bins of the same session that precede each bin; lags that
        reach further back contribute nothing.
    basis : array, shape (basis, lag)
        From `make_basis`.

    Returns
    -------
    array, shape (time, neuron, basis)
    """
    n_basis, n_lags = basis.shape
    n_time = age.shape[0]
    history = jnp.zeros((n_time, n_basis, counts.shape[1]), counts.dtype)
    for lag in range(1, n_lags + 1):
        past = counts[n_lags - lag : n_lags - lag + n_time]
        past = jnp.where((age >= lag)[:, None], past, 0)
        history = history + basis[:, lag - 1][None, :, None] * past[:, None, :]
    return history.swapaxes(1, 2)
