"""Restarts: the better half goes on, the best one is returned."""

import numpy as np
import pytest

from onehotglm.inference import em, restarts
from onehotglm.inference.learning import ridge_penalty, stepper
from tests.inference.tiny import N_STATES, make_counts, make_params, make_problem, on_device

pytestmark = pytest.mark.usefixtures("float64")
SESSIONS = make_counts(missing=0.05)


def starts_from(*scales):
    return [on_device(make_params(scale, seed)) for seed, scale in enumerate(scales)]


def test_the_best_of_the_better_half_is_returned():
    problem, seen = make_problem(SESSIONS), {}
    starts = starts_from(0.3, 1.0, 2.0, 4.0)
    best = restarts.best_start(problem, starts, seen.__setitem__)
    assert len(seen) == 2
    assert float(best.objective) == max(seen.values())
    # The survivors are those that led after the short runs.
    advance = stepper(problem, ridge_penalty(problem, N_STATES))
    short = []
    for start in starts:
        state, _ = em.run(
            em.init(start), advance, max_iter=restarts.SHORT_ITERATIONS, tol=problem.tol
        )
        short.append(float(state.objective))
    assert set(seen) == set(np.argsort(short)[-2:])


def test_one_start_is_not_compared():
    steps = []
    problem = make_problem(SESSIONS, on_step=lambda state: steps.append(state))
    restarts.best_start(problem, starts_from(1.0))
    assert len(steps) == restarts.LONG_ITERATIONS


def test_max_iter_bounds_the_runs_of_starts():
    steps = []
    problem = make_problem(SESSIONS, max_iter=3, on_step=lambda state: steps.append(state))
    restarts.best_start(problem, starts_from(0.3, 1.0))
    # Two short runs and a longer one.
    assert len(steps) == 9


def test_result_stands_on_the_whole_recording():
    sessions = make_counts(lengths=(130, 110))
    problem = make_problem(sessions)
    best = restarts.best_start(problem, starts_from(0.3, 1.0))
    np.testing.assert_allclose(best.occupancy.sum(), 240, rtol=1e-9)


def test_short_runs_use_a_part_of_long_recordings(monkeypatch):
    monkeypatch.setattr(restarts, "SHORT_BINS", 80)
    sizes = []
    problem = make_problem(
        make_counts(lengths=(130, 110)),
        on_step=lambda state: sizes.append(round(float(state.occupancy.sum()))),
    )
    restarts.best_start(problem, starts_from(0.3, 1.0))
    assert set(sizes) == {80, 240}


def test_a_stop_is_heard_at_every_start():
    problem = make_problem(SESSIONS, on_step=lambda state: True)
    best = restarts.best_start(problem, starts_from(0.3, 1.0, 2.0))
    assert np.isfinite(best.objective)
    np.testing.assert_allclose(best.occupancy.sum(), 115, rtol=1e-9)
