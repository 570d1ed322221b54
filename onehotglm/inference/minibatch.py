"""Minibatches: a few sessions of a recording, laid end to end as a recording of their own."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from onehotglm.inference.likelihood import Emission, marginal_log_likelihood
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording


class Sessions(NamedTuple):
    """Where the sessions of a recording are.

    Attributes
    ----------
    offset, length : int array, shape (session,)
        First bin, and number of bins, lead-in included.
    """

    offset: Int[Array, " session"]
    length: Int[Array, " session"]


def find_sessions(recording: Recording) -> Sessions:
    """Sessions with at least one modelled bin.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Sessions
    """
    begins = np.flatnonzero(np.asarray(recording.age) == 0)
    ends = np.append(begins[1:], recording.n_time)
    # Padding has age 0 too: bins that belong to no session.
    modelled = np.add.reduceat(np.asarray(recording.modelled, int), begins) > 0
    offset, length = begins[modelled], (ends - begins)[modelled]
    return Sessions(jnp.asarray(offset, jnp.int32), jnp.asarray(length, jnp.int32))


def take_sessions(
    recording: Recording, sessions: Sessions, which: Int[Array, " batch"], longest: int, size: int
) -> Recording:
    """Chosen sessions only.

    Parameters
    ----------
    recording : Recording
    sessions : Sessions
    which : int array, shape (batch,)
        Indices of sessions.
    longest : int
        Bins of the longest session; static.
    size : int
        Bins per chunk: the result is padded to a multiple; static.

    Returns
    -------
    Recording
    """
    n_lags = recording.basis.shape[1]
    step = jnp.arange(longest)
    index = (sessions.offset[which, None] + step).reshape(-1)
    inside = (step < sessions.length[which, None]).reshape(-1)
    padding = -index.size % size
    index = jnp.pad(jnp.minimum(index, recording.n_time - 1), (0, padding))
    inside = jnp.pad(inside, (0, padding))

    def lagged(x):
        return jnp.pad(x[index + n_lags], ((n_lags, 0), (0, 0)))

    observed, covariates = recording.observed, recording.covariates
    return Recording(
        counts=lagged(recording.counts),
        past=lagged(recording.past),
        observed=None if observed is None else observed[index],
        age=jnp.where(inside, recording.age[index], 0),
        modelled=inside & recording.modelled[index],
        starts=inside & recording.starts[index],
        basis=recording.basis,
        covariates=None if covariates is None else covariates[index],
    )


@partial(jax.jit, static_argnames=("longest", "emission"))
def session_log_likelihoods(
    params: Params, recording: Recording, sessions: Sessions, *, longest: int, emission: Emission
) -> Float[Array, " session"]:
    """Log-likelihood of every session, as `marginal_log_likelihood`; parameters as above."""

    def one(index):
        alone = take_sessions(recording, sessions, index[None], longest, emission.size)
        return marginal_log_likelihood(params, alone, emission)

    return lax.map(one, jnp.arange(sessions.offset.size))
