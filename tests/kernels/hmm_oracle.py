"""Hidden Markov chains by enumeration of every path, in numpy, for small problems."""

from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp


class Problem(NamedTuple):
    """Arguments of the functions of `onehotglm.kernels.hmm`, as numpy arrays.

    For the enumeration the transition matrix may differ from bin to bin: (time, state, state),
    entry t for the step into bin t.
    """

    initial: np.ndarray
    transition: np.ndarray
    log_lik: np.ndarray
    starts: np.ndarray

    def jax(self, dtype="float64"):
        return (*(jnp.asarray(x, dtype) for x in self[:3]), jnp.asarray(self.starts))


def make_problem(n_time, n_states, starts=(), seed=0, spread=2.0, stay=0.0) -> Problem:
    """Random chain; `stay` adds to the diagonal of the transition matrix, in [0, 1)."""
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(n_states), n_states)
    transition = stay * np.eye(n_states) + (1 - stay) * transition
    flags = np.zeros(n_time, bool)
    flags[list(starts)] = True
    log_lik = spread * rng.normal(size=(n_time, n_states)) - 10.0
    return Problem(rng.dirichlet(np.ones(n_states)), transition, log_lik, flags)


class Enumeration:
    """All paths of a problem, shape (path, time), and their log joint probabilities."""

    def __init__(self, problem: Problem) -> None:
        n_time, n_states = problem.log_lik.shape
        self.problem = problem
        self.is_start = problem.starts.copy()
        self.is_start[0] = True
        self.paths = np.array(list(product(range(n_states), repeat=n_time)))
        with np.errstate(divide="ignore"):
            log_initial, log_transition = np.log(problem.initial), np.log(problem.transition)
        log_transition = np.broadcast_to(log_transition, (n_time, n_states, n_states))
        self.log_joint = np.zeros(len(self.paths))
        for t, start in enumerate(self.is_start):
            now = self.paths[:, t]
            self.log_joint += problem.log_lik[t, now]
            self.log_joint += (
                log_initial[now] if start else log_transition[t][self.paths[:, t - 1], now]
            )
        self.log_likelihood = logsumexp(self.log_joint)
        self.posterior = np.exp(self.log_joint - self.log_likelihood)

    def marginals(self) -> np.ndarray:
        one_hot = self.paths[..., None] == np.arange(len(self.problem.initial))
        return np.einsum("p,ptk->tk", self.posterior, one_hot)

    def transition_counts(self) -> np.ndarray:
        counts = np.zeros(self.problem.transition.shape[-2:])
        for t in np.flatnonzero(~self.is_start):
            np.add.at(counts, (self.paths[:, t - 1], self.paths[:, t]), self.posterior)
        return counts

    def initial_counts(self) -> np.ndarray:
        return self.marginals()[self.is_start].sum(0)

    def best_path(self) -> np.ndarray:
        return self.paths[self.log_joint.argmax()]


def up_to(problem: Problem, n_time: int) -> Problem:
    shorter = problem._replace(log_lik=problem.log_lik[:n_time], starts=problem.starts[:n_time])
    if problem.transition.ndim == 2:
        return shorter
    return shorter._replace(transition=problem.transition[:n_time])
