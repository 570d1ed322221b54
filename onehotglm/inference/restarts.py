"""Several starts, the losers dropped early: init / step with an explicit state."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from onehotglm.inference import em
from onehotglm.inference.em import EMState
from onehotglm.inference.learning import Problem, ridge_penalty, stepper
from onehotglm.model.params import Params

SHORT_ITERATIONS = 10
LONG_ITERATIONS = 20
# Short runs see so many bins: fewer mislead about which start is best.
SHORT_BINS = 100_000


class Search(NamedTuple):
    """Where the search for the best start stands.

    Attributes
    ----------
    runs : tuple of Run
        One after the other.
    order : tuple of int
        Number of the start that each run belongs to.
    whole : bool
        Whether they are the longer runs on the whole recording.
    """

    runs: tuple[em.Run, ...]
    order: tuple[int, ...]
    whole: bool


def init(starts: Sequence[Params]) -> Search:
    """State before the first step.  A single start has nothing to be compared with."""
    runs = tuple(em.Run(em.init(start)) for start in starts)
    return Search(runs, tuple(range(len(starts))), whole=len(starts) == 1)


def is_done(search: Search) -> bool:
    """Whether the longer runs have ended."""
    return search.whole and all(run.reason for run in search.runs)


def step(problem: Problem, search: Search) -> Search:
    """Take one EM step; after the last of the short runs the better half begins anew.

    Parameters
    ----------
    problem : Problem
    search : Search
        Not done.

    Returns
    -------
    Search
    """
    at = next(index for index, run in enumerate(search.runs) if not run.reason)
    n_iter = LONG_ITERATIONS if search.whole else SHORT_ITERATIONS
    run = em.next_step(
        search.runs[at],
        _stepper(problem, search),
        max_iter=min(n_iter, problem.max_iter),
        tol=problem.tol,
        on_step=problem.on_step,
    )
    search = search._replace(runs=(*search.runs[:at], run, *search.runs[at + 1 :]))
    if search.whole or not all(run.reason for run in search.runs):
        return search
    states = [run.state for run in search.runs]
    order = np.argsort([-float(state.objective) for state in states])
    kept = order[: (len(states) + 1) // 2]
    runs = tuple(em.Run(em.init(states[index].accepted)) for index in kept)
    return Search(runs, tuple(int(index) for index in kept), whole=True)


def _stepper(problem: Problem, search: Search) -> Callable[[EMState], EMState]:
    size, total = problem.config.chunk_size, problem.n_chunks
    short = min(-(-SHORT_BINS // size), total)
    penalty = ridge_penalty(problem, search.runs[0].state.occupancy.size)
    return stepper(problem, penalty, total if search.whole else short)


def best(search: Search) -> EMState:
    """Best of the starts, on the whole recording; of a search that is done."""
    return max((run.state for run in search.runs), key=lambda state: float(state.objective))


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
    search = init(starts)
    while not is_done(search):
        search = step(problem, search)
    for index, run in zip(search.order, search.runs, strict=True):
        on_objective(index, float(run.state.objective))
    return best(search)


def compact(search: Search) -> Search:
    """Leave out what can be computed again, see `restore`."""
    return _with_states(search, em.without_curvature)


def restore(problem: Problem, search: Search) -> Search:
    """Undo `compact`."""
    advance = _stepper(problem, search)
    return _with_states(search, lambda state: em.with_curvature(state, advance))


def _with_states(search: Search, change: Callable[[EMState], EMState]) -> Search:
    runs = (run._replace(state=change(run.state)) for run in search.runs)
    return search._replace(runs=tuple(runs))
