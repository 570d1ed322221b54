"""Stochastic variational inference: maximise the evidence lower bound (ELBO).

``ELBO = E_q[log p(x | parameters)] - KL(q || prior)`` with the states summed out
exactly inside.  A step draws parameters from the guide, takes some sessions, and
follows the gradient by Adam; blocks of steps are one compiled call.  When the bound no
longer rises beyond its noise, the learning rate falls, twice; the result is the mean
over the last steps, which takes their jitter out.

A state is an explicit tuple of arrays; the same state always goes on in the same way.
`onehotglm.estimator.ascent` runs the blocks.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int
from numpyro.infer import TraceMeanField_ELBO

from onehotglm.inference import guides
from onehotglm.inference.guides import GuideParams
from onehotglm.inference.likelihood import Emission, marginal_log_likelihood
from onehotglm.inference.minibatch import Sessions, take_sessions
from onehotglm.model.generative import Constants, Shape, switching_glm
from onehotglm.model.params import Params
from onehotglm.model.recording import Recording

# Steps of a block: one compiled call, one value on the path of the ELBO.
BLOCK = 25
# Blocks before and after that are compared to see whether the bound still rises.
WINDOW = 6
# Learning rates, one after the other, as parts of the first.
STAGES = (1.0, 0.3, 0.1)
LEARNING_RATE = 0.05
# Means run over so many steps.
AVERAGED = 100


class SVIConfig(NamedTuple):
    """What a compiled block depends on beside array shapes.

    Attributes
    ----------
    shape : Shape
    guide : str
    emission : Emission
    n_batch : int
        Sessions per step; all of them: no minibatches.
    longest : int
        Bins of the longest session.
    """

    shape: Shape
    guide: str
    emission: Emission
    n_batch: int
    longest: int


class Target(NamedTuple):
    """What is fitted.

    Attributes
    ----------
    recording : Recording
    sessions : Sessions
    constants : Constants
    anchor : Marginals or Sites
    reference : array, shape (session,)
        Log-likelihoods of the sessions under some fixed parameters.  What a minibatch
        has more or less of them than an average one is luck, and subtracted.
    """

    recording: Recording
    sessions: Sessions
    constants: Constants
    anchor: Any
    reference: Float[Array, " session"]


class SVIState(NamedTuple):
    """Where SVI stands.

    Attributes
    ----------
    params : GuideParams
    mean : GuideParams
        Running mean of `params`: the result.
    optimizer : optax state
    key : uint32 array
        Random stream.
    elbo : scalar
        Mean over the last block, nats, without ``log x!``.
    log_likelihood : scalar
        Its first part.
    history : array, shape (2 * WINDOW,)
        ELBO of the last blocks of this stage, oldest first; NaN where there is none yet.
    stage : int scalar
        Index of `STAGES`; their number when done.
    n_averaged : int scalar
        Steps in `mean`.
    """

    params: GuideParams
    mean: GuideParams
    optimizer: Any
    key: Array
    elbo: Float[Array, ""]
    log_likelihood: Float[Array, ""]
    history: Float[Array, " block"]
    stage: Int[Array, ""]
    n_averaged: Int[Array, ""]


def _optimizer() -> optax.GradientTransformation:
    # A step whose gradient is not finite (an extreme draw) is skipped.
    return optax.apply_if_finite(optax.scale_by_adam(b2=0.99, eps=1.0), max_consecutive_errors=1000)


def init(params: GuideParams, key: Array) -> SVIState:
    """State before the first block.

    Parameters
    ----------
    params : GuideParams
    key : PRNG key
    """
    dtype = params.transition.dtype
    low = jnp.asarray(-jnp.inf, dtype)
    return SVIState(
        params=params,
        mean=params,
        optimizer=_optimizer().init(params),
        key=jax.random.key_data(key),
        elbo=low,
        log_likelihood=low,
        history=jnp.full(2 * WINDOW, jnp.nan, dtype),
        stage=jnp.asarray(0, jnp.int32),
        n_averaged=jnp.asarray(0, jnp.int32),
    )


def negative_elbo(
    params: GuideParams, key: Array, target: Target, config: SVIConfig
) -> tuple[Array, Array]:
    """One estimate of minus the ELBO, and of the expected log-likelihood in it.

    Parameters
    ----------
    params : GuideParams
    key : PRNG key
    target : Target
    config : SVIConfig

    Returns
    -------
    scalar, scalar
        In nats.
    """
    choose, draw = jax.random.split(key)
    recording, scale = target.recording, 1.0
    luck = jnp.zeros((), target.reference.dtype)
    n_sessions = target.sessions.offset.size
    if config.n_batch < n_sessions:
        which = jax.random.choice(choose, n_sessions, (config.n_batch,), replace=False)
        recording = take_sessions(
            recording, target.sessions, which, config.longest, config.emission.size
        )
        scale = n_sessions / config.n_batch
        luck = scale * target.reference[which].sum() - target.reference.sum()

    def likelihood(parameters: Params) -> Array:
        return scale * marginal_log_likelihood(parameters, recording, config.emission)

    terms = TraceMeanField_ELBO(sum_sites=False).loss(
        draw,
        {},
        lambda: switching_glm(likelihood, target.constants, config.shape),
        lambda: guides.program(params, target.anchor, target.constants, config.shape, config.guide),
    )
    return sum(terms.values()) + luck, -terms["log_likelihood"] - luck


@partial(jax.jit, static_argnames="config")
def step(state: SVIState, target: Target, tol: Array, config: SVIConfig) -> SVIState:
    """One block of `BLOCK` steps.

    Parameters
    ----------
    state : SVIState
    target : Target
    tol : scalar
        Relative rise of the ELBO below which the learning rate falls, whatever the noise.
    config : SVIConfig
        Static.

    Returns
    -------
    SVIState
    """
    stages = jnp.asarray(STAGES, state.elbo.dtype)
    rate = LEARNING_RATE * stages[jnp.minimum(state.stage, len(STAGES) - 1)]
    optimizer = _optimizer()

    def one(carry, _):
        params, mean, opt_state, key, n = carry
        key, now = jax.random.split(key)
        value, gradient = jax.value_and_grad(negative_elbo, has_aux=True)(
            params, now, target, config
        )
        move, opt_state = optimizer.update(gradient, opt_state)
        params = jax.tree.map(lambda p, m: p - rate * m, params, move)
        n = jnp.minimum(n + 1, AVERAGED)
        mean = jax.tree.map(lambda a, p: a + (p - a) / n, mean, params)
        return (params, mean, opt_state, key, n), value

    key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
    start = (state.params, state.mean, state.optimizer, key, state.n_averaged)
    (params, mean, opt_state, key, n), (losses, log_liks) = lax.scan(one, start, length=BLOCK)
    elbo = -losses.mean()
    history = jnp.roll(state.history, -1).at[-1].set(elbo)
    settled = has_settled(history, tol)
    return SVIState(
        params=params,
        mean=mean,
        optimizer=opt_state,
        key=jax.random.key_data(key),
        elbo=elbo,
        log_likelihood=log_liks.mean(),
        history=jnp.where(settled, jnp.nan, history),
        stage=state.stage + settled,
        n_averaged=n,
    )


def has_settled(history: Float[Array, " block"], tol: float | Array) -> Array:
    """Whether the later half of the blocks is no higher than the earlier, beyond its noise.

    Examples
    --------
    >>> bool(has_settled(jnp.arange(12.0), 0)), bool(has_settled(jnp.array([1.0, 2.0] * 6), 0))
    (False, True)
    """
    earlier, later = history.reshape(2, -1)
    noise = jnp.sqrt((earlier.var() + later.var()) / (WINDOW - 1))
    least = jnp.maximum(noise, tol * jnp.abs(later.mean()))
    return later.mean() - earlier.mean() <= least  # False while there are NaN
