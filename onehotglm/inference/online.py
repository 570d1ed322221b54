"""The causal filter, one bin at a time: init / step with an explicit state of fixed size.

The recursion is that of `onehotglm.kernels.hmm.filter_states`, in the log domain.  Histories
are read from the last bins instead of being carried by a recursion over basis functions: a
basis of finitely many lags has none that would spare these bins, and they cost a
(states x neurons)-th of the linear predictors.

A bare filter in numpy takes a third of the time (`benchmarks/online.py`), but would need its
own copy of every link; a jitted step with donated buffers has the package's links and takes
tens of microseconds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from onehotglm.kernels.emissions import LINKS
from onehotglm.model.params import Params

Floats = NDArray[np.float64]


class OnlineModel(NamedTuple):
    """What does not change along a stream.

    Attributes
    ----------
    weights : array, shape (state * post, pre * basis)
    bias : array, shape (state, post)
    log_transition : array, shape (state, next_state)
    log_initial : array, shape (state,)
    basis : array, shape (basis, lag)
    stand_in : array, shape (neuron,)
        What a missing count contributes to histories, in counts per bin.
    stays : array, shape (state,)
        Probability of staying in a state over the bins in which changes are foretold.
    horizon : scalar
        Number of these bins.
    """

    weights: Float[Array, "linear_predictor history"]
    bias: Float[Array, "state post"]
    log_transition: Float[Array, "state next_state"]
    log_initial: Float[Array, " state"]
    basis: Float[Array, "basis lag"]
    stand_in: Float[Array, " neuron"]
    stays: Float[Array, " state"]
    horizon: Float[Array, ""]


class OnlineState(NamedTuple):
    """Where a stream stands.

    Attributes
    ----------
    past : array, shape (lag, neuron)
        Last bins, oldest first.
    rate, log_rate : array, shape (state, neuron)
        Of the next bin, in counts per bin.
    log_posterior : array, shape (state,)
        Of the last bin.
    log_predicted : array, shape (state,)
        Of the next one.
    backward : array, shape (state, past bin, past_state)
        ``p(z_u | z_t, x_1..x_t)`` for the bins u = t-lag..t; NaN before the session.
    n_bins : int scalar
        Since the session began.
    """

    past: Float[Array, "lag neuron"]
    rate: Float[Array, "state neuron"]
    log_rate: Float[Array, "state neuron"]
    log_posterior: Float[Array, " state"]
    log_predicted: Float[Array, " state"]
    backward: Float[Array, "state past past_state"]
    n_bins: Int[Array, ""]


class Decoded(NamedTuple):
    """What is known once a bin has come in.

    Attributes
    ----------
    posterior : array, shape (state,)
        ``p(z_t | x_1..x_t)``, the causal posterior of the state in this bin.
    rates : array, shape (neuron,)
        Expected rates in the next bin given all bins so far, Hz.
    log_likelihood : float
        ``log p(x_t | x_1..x_{t-1})`` in nats, ``log x!`` included; -inf for counts that are
        impossible in every state, which leave the posterior as predicted.
    change_proba : float
        Probability that the state changes at least once within the horizon.
    smoothed : array, shape (state,)
        ``p(z_{t-lag} | x_1..x_t)``, the fixed-lag smoother; NaN while the session is
        not longer than the lag.
    """

    posterior: Floats
    rates: Floats
    log_likelihood: float
    change_proba: float
    smoothed: Floats


def make_model(
    params: Params, basis: Array, stand_in: Float[Array, " neuron"], horizon: int
) -> OnlineModel:
    """Lay out parameters as a step reads them.

    Parameters
    ----------
    params : Params
    basis : array, shape (basis, lag)
    stand_in : array, shape (neuron,)
        What a missing count contributes to histories, in counts per bin.
    horizon : int
        Bins in which a change of state is foretold.

    Returns
    -------
    OnlineModel
    """
    n_states, n_neurons, _ = params.coefficients.shape
    return OnlineModel(
        weights=params.coefficients[..., 1:].reshape(n_states * n_neurons, -1),
        bias=params.bias,
        log_transition=jnp.log(params.transition),
        log_initial=jnp.log(params.initial),
        basis=basis,
        stand_in=stand_in,
        stays=jnp.diagonal(params.transition) ** horizon,
        horizon=jnp.asarray(horizon, params.transition.dtype),
    )


def init(model: OnlineModel, lead_in: Floats, *, link: str, lag: int) -> OnlineState:
    """State at the start of a session.

    Parameters
    ----------
    model : OnlineModel
    lead_in : array, shape (time, neuron)
        Counts of the bins before, which only serve as history; NaN where missing; may be empty.
    link : str
        Key of `LINKS`.
    lag : int
        Bins that the smoother looks back.

    Returns
    -------
    OnlineState
    """
    n_lags, n_states = model.basis.shape[1], model.stays.size
    recent = lead_in[-n_lags:]
    recent = np.where(np.isnan(recent), np.asarray(model.stand_in), recent)
    dtype = model.stays.dtype
    past = jnp.asarray(np.pad(recent, ((n_lags - len(recent), 0), (0, 0))), dtype)
    nothing = jnp.full((n_states, lag + 1, n_states), jnp.nan, dtype)
    rate, log_rate = LINKS[link].rate_and_log(_linear_predictors(model, past))
    # Copies: the state's buffers are given away.
    posterior, predicted = (model.log_initial.copy() for _ in range(2))
    return OnlineState(past, rate, log_rate, posterior, predicted, nothing, jnp.asarray(0))


@partial(jax.jit, static_argnames="link", donate_argnames="state")
def step(
    model: OnlineModel,
    state: OnlineState,
    counts: Float[Array, " neuron"],
    drive: Float[Array, " state"] | None = None,
    shift: Float[Array, "state neuron"] | None = None,
    *,
    link: str,
) -> tuple[OnlineState, Float[Array, " packed"]]:
    """Take in the next bin.

    Parameters
    ----------
    model : OnlineModel
    state : OnlineState
        Its buffers are given away.
    counts : array, shape (neuron,)
        NaN where missing.
    drive : array, shape (state,), or None
        How much the bin's input drives into each state, see `onehotglm.kernels.hmm_driven`.
        What is foretold is under the same input.
    shift : array, shape (state, neuron), or None
        What the bin's covariates add to the linear predictors, now and in what is foretold.
    link : str
        Key of `LINKS`; static.

    Returns
    -------
    state : OnlineState
    results : array
        For `unpack`.
    """
    if drive is not None:
        model, state = _driven(model, state, drive)
    if shift is not None:
        model = model._replace(bias=model.bias + shift)
        rate, log_rate = LINKS[link].rate_and_log(_linear_predictors(model, state.past))
        state = state._replace(rate=rate, log_rate=log_rate)
    seen = jnp.isfinite(counts)
    filled = jnp.where(seen, counts, 0)
    per_neuron = filled * state.log_rate - state.rate - gammaln(filled + 1)
    joint = state.log_predicted + jnp.where(seen, per_neuron, 0).sum(1)
    normalizer = logsumexp(joint)
    possible = normalizer > -jnp.inf
    log_posterior = jnp.where(possible, joint - normalizer, state.log_predicted)
    posterior = jnp.exp(log_posterior)

    backward = _carry_backward(model, state)
    past = jnp.concatenate([state.past[1:], jnp.where(seen, counts, model.stand_in)[None]])
    rate, log_rate = LINKS[link].rate_and_log(_linear_predictors(model, past))
    log_predicted = logsumexp(log_posterior[:, None] + model.log_transition, axis=0)
    change_proba = 1 - posterior @ model.stays
    results = (
        posterior,
        posterior @ backward[:, 0],
        jnp.exp(log_predicted) @ rate,
        normalizer,
        change_proba,
    )
    after = OnlineState(
        past, rate, log_rate, log_posterior, log_predicted, backward, state.n_bins + 1
    )
    return after, jnp.hstack(results)


def _driven(
    model: OnlineModel, state: OnlineState, drive: Array
) -> tuple[OnlineModel, OnlineState]:
    """Transitions of this bin, and what the state before foretells with them."""
    log_transition = jax.nn.log_softmax(model.log_transition + drive, axis=-1)
    arrived = logsumexp(state.log_posterior[:, None] + log_transition, axis=0)
    stays = jnp.exp(model.horizon * jnp.diagonal(log_transition))
    # The first state of a session comes from nowhere.
    log_predicted = jnp.where(state.n_bins > 0, arrived, state.log_predicted)
    return (
        model._replace(log_transition=log_transition, stays=stays),
        state._replace(log_predicted=log_predicted),
    )


def unpack(results: Floats, n_states: int, bin_size: float) -> Decoded:
    """Take apart what `step` returned: one array is handed over sooner than five."""
    posterior, smoothed = results[:n_states], results[n_states : 2 * n_states]
    return Decoded(
        posterior=posterior,
        rates=results[2 * n_states : -2] / bin_size,
        log_likelihood=float(results[-2]),
        change_proba=float(results[-1]),
        smoothed=smoothed,
    )


def recent(state: OnlineState) -> Float[Array, "past state"]:
    """Posterior of the last bins given all so far, the newest last; NaN before the session."""
    return jnp.tensordot(jnp.exp(state.log_posterior), state.backward, 1)


def _linear_predictors(model: OnlineModel, past: Array) -> Array:
    history = model.basis[:, ::-1] @ past
    return (model.weights @ history.T.ravel()).reshape(model.bias.shape) + model.bias


def _carry_backward(model: OnlineModel, state: OnlineState) -> Array:
    """Condition the bins that have been on the state of the new bin, and append the latter.

    ``p(z_u | z_{t+1}, x_1..x_{t+1}) = sum_z p(z_t = z | z_{t+1}, x_1..x_t) p(z_u | z_t = z)``:
    rows sum to one, so nothing underflows however long the lag.
    """
    n_states = state.log_posterior.size
    reached = jnp.where(state.log_predicted > -jnp.inf, state.log_predicted, 0)
    log_joint = state.log_posterior[:, None] + model.log_transition
    reversed_chain = jnp.exp(log_joint - reached).T
    carried = jnp.tensordot(reversed_chain, state.backward[:, 1:], 1)
    newest = jnp.eye(n_states, dtype=carried.dtype)[:, None]
    return jnp.concatenate([carried, newest], axis=1)
