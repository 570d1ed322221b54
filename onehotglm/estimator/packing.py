"""Between arrays (session, time, neuron) and the flat recording that inference reads."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from onehotglm.model.recording import Recording


class Packed(NamedTuple):
    """A recording, and where its bins came from.

    Attributes
    ----------
    recording : Recording
    session, time : int array, shape (modelled bin,)
        Row and column of every modelled bin; column 0 is the first after the lead-in.
    position : int array, shape (modelled bin,)
        Index of every modelled bin in the recording.
    counts : array, shape (modelled bin, modelled neuron)
        NaN where missing.
    known : bool array, shape (modelled bin,)
        False where a covariate is missing.
    """

    recording: Recording
    session: np.ndarray
    time: np.ndarray
    position: np.ndarray
    counts: np.ndarray
    known: np.ndarray


def pack(
    spikes: xr.DataArray,
    basis: np.ndarray,
    stand_in: np.ndarray,
    chunk_size: int,
    dtype: str = "float32",
    neurons: np.ndarray | slice = slice(None),
    covariates: np.ndarray | None = None,
    transition_inputs: np.ndarray | None = None,
) -> Packed:
    """Lay the sessions end to end.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        From `as_spikes`.
    basis : array, shape (basis, lag)
    stand_in : array, shape (neuron,)
        What a missing count contributes to histories, in counts per bin.
    chunk_size : int
        The end is padded to a multiple of so many bins.
    dtype : str
    neurons : int array or slice
        Which neurons are modelled; histories are of all.
    covariates, transition_inputs : array, shape (session, time, variable), optional
        For all bins of the spikes, standardised; a missing one (NaN) counts as the mean.

    Returns
    -------
    Packed
    """
    values = spikes.values
    n_lead = int((spikes["time"].values < 0).sum())
    recorded = np.isfinite(values[:, n_lead:]).any(-1)
    # What follows a session's last recorded bin is padding.
    lengths = np.where(recorded.any(1), recorded.shape[1] - recorded[:, ::-1].argmax(1), 0)
    kept = np.arange(values.shape[1]) < n_lead + lengths[:, None]
    kept &= lengths[:, None] > 0
    session, column = np.nonzero(kept)
    counts = values[session, column]
    padding = -len(counts) % chunk_size
    modelled = np.pad(column >= n_lead, (0, padding))
    observed = np.pad(np.isfinite(counts), ((0, padding), (0, 0)))
    history = np.where(np.isnan(counts), stand_in, counts)
    counts, observed = counts[:, neurons], observed[:, neurons]
    before = ((basis.shape[1], padding), (0, 0))

    def flat(values: np.ndarray | None) -> Array | None:
        if values is None:
            return None
        beside = np.nan_to_num(values[session, column])
        return jnp.asarray(np.pad(beside, ((0, padding), (0, 0))), dtype)

    recording = Recording(
        counts=jnp.asarray(np.pad(np.nan_to_num(counts), before), dtype),
        past=jnp.asarray(np.pad(history, before), dtype),
        observed=None if observed[modelled].all() else jnp.asarray(observed),
        age=jnp.asarray(np.pad(column, (0, padding)), jnp.int32),
        modelled=jnp.asarray(modelled),
        starts=jnp.asarray(np.pad(column == n_lead, (0, padding))),
        basis=jnp.asarray(basis, dtype),
        covariates=flat(covariates),
        transition_inputs=flat(transition_inputs),
    )
    position = np.flatnonzero(modelled)
    session, column = session[position], column[position]
    known = np.ones(len(position), bool)
    if covariates is not None:
        known = np.isfinite(covariates[session, column]).all(-1)
    return Packed(recording, session, column - n_lead, position, counts[position], known)


def unpack(packed: Packed, flat: np.ndarray, shape: tuple[int, int], fill: float) -> np.ndarray:
    """Values per modelled bin as an array (session, time, ...).

    Parameters
    ----------
    packed : Packed
    flat : array, shape (recording bin, ...)
    shape : (session, time)
        Without lead-in.
    fill : float
        For padding.

    Returns
    -------
    array, shape (session, time, ...)
    """
    out = np.full((*shape, *flat.shape[1:]), fill, flat.dtype)
    out[packed.session, packed.time] = flat[packed.position]
    return out
