"""Climbing the evidence lower bound as a stage of a fit that can be broken off and resumed."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from onehotglm.inference import svi
from onehotglm.inference.guides import GuideParams, Marginals
from onehotglm.inference.learning import Problem
from onehotglm.inference.minibatch import Sessions, session_log_likelihoods
from onehotglm.inference.sites import Sites
from onehotglm.inference.svi import SVIConfig, SVIState, Target
from onehotglm.model.generative import Constants
from onehotglm.model.params import Params
from onehotglm.random_state import jax_key

if TYPE_CHECKING:
    from onehotglm.estimator.monitor import Monitor


class Ascent(NamedTuple):
    """Where it stands, with all that it took from EM.

    Attributes
    ----------
    state : SVIState
    anchor : Marginals or Sites
    reference : array, shape (session,)
        As in `svi.Target`.
    n_parameters : float
        Effective number, by EM.
    n_blocks : int
        Done so far.
    reason : str
        Why it ended; empty before.
    """

    state: SVIState
    anchor: Any
    reference: Float[Array, " session"]
    n_parameters: float
    n_blocks: int
    reason: str


def state_types() -> tuple[type, ...]:
    """NamedTuples that an `Ascent` consists of."""
    optimizer = optax.ApplyIfFiniteState, optax.ScaleByAdamState
    return Ascent, SVIState, GuideParams, Marginals, Sites, *optimizer


class Climb:
    """Blocks of steps until the bound has settled at the last learning rate.

    A `onehotglm.estimator.keeper.Stage`.

    Parameters
    ----------
    sessions : Sessions
    constants : Constants
    config : SVIConfig
    monitor : Monitor
    """

    def __init__(
        self, sessions: Sessions, constants: Constants, config: SVIConfig, monitor: "Monitor"
    ):
        self._sessions, self._constants = sessions, constants
        self._config, self._monitor = config, monitor

    def begin(
        self,
        problem: Problem,
        fitted: Params,
        params: GuideParams,
        anchor: Any,
        noise: np.random.Generator,
        n_parameters: float,
    ) -> Ascent:
        """Start at a guide; `fitted` are the parameters that sessions are compared under."""
        reference = session_log_likelihoods(
            fitted,
            problem.recording,
            self._sessions,
            longest=self._config.longest,
            emission=self._config.emission,
        )
        state = svi.init(params, jax_key(noise))
        return Ascent(state, anchor, reference, float(n_parameters), 0, "")

    def target(self, problem: Problem, ascent: Ascent) -> Target:
        """Collect what is fitted."""
        return Target(
            problem.recording, self._sessions, self._constants, ascent.anchor, ascent.reference
        )

    def step(self, problem: Problem, ascent: Ascent) -> Ascent:
        """Do one block."""
        tol = jnp.asarray(problem.tol, problem.recording.counts.dtype)
        target, n_blocks = self.target(problem, ascent), ascent.n_blocks + 1
        state = svi.step(ascent.state, target, tol=tol, config=self._config)
        reason = ""
        if self._monitor.watch_bound(state):
            reason = "interrupted"
        elif int(state.stage) >= len(svi.STAGES):
            reason = "converged"
        elif n_blocks >= problem.max_iter:
            reason = "max_iter"
        return ascent._replace(state=state, n_blocks=n_blocks, reason=reason)

    def is_done(self, ascent: Ascent) -> bool:
        """Whether it has ended."""
        return bool(ascent.reason)

    def compact(self, ascent: Ascent) -> Ascent:
        """Nothing can be left out."""
        return ascent

    def restore(self, problem: Problem, ascent: Ascent) -> Ascent:
        """Nothing was left out."""
        return ascent
