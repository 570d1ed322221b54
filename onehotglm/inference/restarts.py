"""Several starts, the losers dropped early."""

from collections.abc import Callable, Sequence

import numpy as np

from onehotglm.inference import em
from onehotglm.inference.em import EMState
from onehotglm.inference.learning import Problem, ridge_penalty, stepper
from onehotglm.model.params import Params

SHORT_ITERATIONS = 10
LONG_ITERATIONS = 20
# Short runs see so many bins: fewer mislead about which start is best.
SHORT_BINS = 100_000


def best_start(
    problem: Problem,
    starts: Sequence[Params],
    on_objective: Callable[[int, float], None] = lambda start, objective: None,
) -> EMState:
    """Run all starts a little, the better half longer, and return the best.

    Parameters
    ----------
    problem : Problem
    starts : sequence of Params
    on_objective : callable
        Called with the number of each start that was run longer and its objective in nats.

    Returns
    -------
    EMState
        On the whole recording.
    """
    penalty = ridge_penalty(problem, starts[0].initial.size)
    states = [em.init(start) for start in starts]
    order = np.arange(len(starts))
    size, total = problem.config.chunk_size, problem.n_chunks
    short = min(-(-SHORT_BINS // size), total)
    if len(starts) > 1:
        advance = stepper(problem, penalty, short)
        states = [_advance(problem, state, advance, SHORT_ITERATIONS) for state in states]
        order = np.argsort([-float(state.objective) for state in states])
    whole = stepper(problem, penalty)
    kept = [
        (index, _advance(problem, em.init(states[index].accepted), whole, LONG_ITERATIONS))
        for index in order[: (len(starts) + 1) // 2]
    ]
    for index, state in kept:
        on_objective(int(index), float(state.objective))
    return max((state for _, state in kept), key=lambda state: float(state.objective))


def _advance(
    problem: Problem, state: EMState, advance: Callable[[EMState], EMState], n_iter: int
) -> EMState:
    max_iter = min(n_iter, problem.max_iter)
    state, _ = em.run(state, advance, max_iter=max_iter, tol=problem.tol, on_step=problem.on_step)
    return state
