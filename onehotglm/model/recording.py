"""Spike counts of all sessions as one flat sequence of bins."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from onehotglm.kernels.history import convolve_history


class Recording(NamedTuple):
    """Sessions laid end to end, padded to whole chunks of `chunk_size` bins.

    Lead-in bins (true counts before a session's first bin) and the padding at the
    end are not modelled: they feed histories but have no likelihood and no states.

    Attributes
    ----------
    counts : array, shape (n_lags + time, post)
        Spike counts of the modelled neurons, zero where missing, after `n_lags` bins of
        zeros.
    past : array, shape (n_lags + time, pre)
        What a count of any neuron contributes to histories: the count, or a stand-in
        where it is missing.
    observed : bool array, shape (time, post), or None
        False where a count is missing; None if none is.
    age : int array, shape (time,)
        Number of earlier bins of the same session, lead-in included.
    modelled : bool array, shape (time,)
    starts : bool array, shape (time,)
        True at the first modelled bin of every session.
    basis : array, shape (basis, lag)
        History basis.
    transition_inputs : array, shape (time, input), or None
        Inputs that drive transitions, standardised.
    covariates : array, shape (time, covariate), or None
        Further columns of the design.
    """

    counts: Float[Array, "padded post"]
    past: Float[Array, "padded pre"]
    observed: Bool[Array, "time post"] | None
    age: Int[Array, " time"]
    modelled: Bool[Array, " time"]
    starts: Bool[Array, " time"]
    basis: Float[Array, "basis lag"]
    transition_inputs: Float[Array, "time input"] | None = None
    covariates: Float[Array, "time covariate"] | None = None

    @property
    def n_time(self) -> int:
        """Number of bins, lead-in and padding included."""
        return self.age.shape[0]

    @property
    def chain_starts(self) -> Array:
        """Where the state chain restarts: session starts, and every bin that is not modelled."""
        return self.starts | ~self.modelled


class Chunk(NamedTuple):
    """A stretch of bins with its design matrix.

    Attributes
    ----------
    counts : array, shape (time, post)
    weight : array, shape (time, post)
        1 where a count is modelled and observed, else 0.
    design : array, shape (time, 1 + pre * basis + covariate)
        A column of ones, every neuron's histories (neuron-major), then the covariates.
    """

    counts: Float[Array, "time post"]
    weight: Float[Array, "time post"]
    design: Float[Array, "time column"]


def take_chunk(recording: Recording, index: Int[Array, ""], size: int) -> Chunk:
    """Bins ``index * size`` to ``(index + 1) * size`` with their histories.

    Parameters
    ----------
    recording : Recording
    index : int scalar
        Which chunk.
    size : int
        Bins per chunk; static.

    Returns
    -------
    Chunk
    """
    n_lags = recording.basis.shape[1]
    start = index * size

    def cut(x, before=0):
        return lax.dynamic_slice_in_dim(x, start, size + before)

    counts = lax.dynamic_slice_in_dim(recording.counts, start + n_lags, size)
    weight = jnp.broadcast_to(cut(recording.modelled)[:, None], counts.shape)
    if recording.observed is not None:
        weight = weight & cut(recording.observed)
    history = convolve_history(cut(recording.past, n_lags), cut(recording.age), recording.basis)
    columns = [jnp.ones((size, 1), counts.dtype), history.reshape(size, -1)]
    if recording.covariates is not None:
        columns.append(cut(recording.covariates))
    design = jnp.concatenate(columns, axis=1)
    return Chunk(counts, weight.astype(counts.dtype), design)
