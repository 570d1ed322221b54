import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.plots.timeline import (
    average_over,
    bin_size_of,
    state_runs,
    timeline,
    with_session_start,
)


def make_states(rows, *, first_time=0.0, bin_size=0.5, **coords):
    rows = np.array(rows)
    time = first_time + bin_size * np.arange(rows.shape[1])
    return xr.DataArray(
        rows,
        dims=("session", "time"),
        coords={"session": np.arange(len(rows)), "time": time, **coords},
        attrs={"bin_size": bin_size},
    )


def test_lead_in_and_padding_are_left_out():
    states = make_states([[5, 5, 0, 1, -1], [5, 5, 2, 2, 2]], first_time=-1.0)
    line = timeline(states, session=0)
    np.testing.assert_allclose(line.time, [0.0, 0.5])
    assert line.values.tolist() == [0, 1]


def test_sessions_follow_end_to_end_without_a_clock():
    line = timeline(make_states([[0, 1, -1], [2, 2, 2]]))
    np.testing.assert_allclose(line.time, [0.0, 0.5, 1.0, 1.5, 2.0])
    assert line.values.tolist() == [0, 1, 2, 2, 2]
    assert line.opens.tolist() == [True, False, True, False, False]


def test_sessions_lie_on_the_clock_of_the_recording():
    states = make_states([[0, 0], [1, 1]], session_start=("session", [100.0, 40.0]))
    line = timeline(states)
    np.testing.assert_allclose(line.time, [40.0, 40.5, 100.0, 100.5])
    assert line.values.tolist() == [1, 1, 0, 0]


def test_start_and_stop_cut_a_window():
    states = make_states([[0, 1, 2, 3]])
    assert timeline(states, session=0, start=0.5, stop=1.5).values.tolist() == [1, 2]


def test_errors_name_what_exists():
    states = make_states([[0, 1]])
    with pytest.raises(InvalidInputError, match="session 7 is unknown; the array has 0"):
        timeline(states, session=7)
    with pytest.raises(InvalidInputError, match="no bins between start=9"):
        timeline(states, session=0, start=9)
    without_time = xr.DataArray([[0, 1]], dims=("session", "time"))
    with pytest.raises(InvalidInputError, match="bin size is unknown"):
        timeline(without_time)


def test_bin_size_comes_from_the_time_axis_without_the_attribute():
    states = make_states([[0, 1, 2]], bin_size=0.25)
    states.attrs.clear()
    assert bin_size_of(states) == pytest.approx(0.25)


def test_a_session_without_bins_takes_no_time():
    states = with_session_start(make_states([[-1, -1], [0, 0], [1, 1]]))
    np.testing.assert_allclose(states["session_start"], [0.0, 0.0, 1.0])


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), min_size=1, max_size=4))
def test_runs_rebuild_the_states(sessions):
    longest = max(map(len, sessions))
    rows = [session + [-1] * (longest - len(session)) for session in sessions]
    runs = state_runs(timeline(make_states(rows, bin_size=0.5)))
    lengths = np.rint(runs.duration / 0.5).astype(int)
    assert np.repeat(runs.state, lengths).tolist() == [s for session in sessions for s in session]
    # The first run of a session was not seen to begin, nor its last one to end.
    assert (~runs.entered).sum() == len(sessions)
    assert (~runs.left).sum() == len(sessions)


@settings(deadline=None)
@given(n_bins=st.integers(1, 60), n_groups=st.integers(1, 80), seed=st.integers(0, 1000))
def test_averages_keep_the_total(n_bins, n_groups, seed):
    values = np.random.default_rng(seed).poisson(1.0, (1, n_bins, 2)).astype(float)
    array = xr.DataArray(values, dims=("session", "time", "neuron"), attrs={"bin_size": 0.1})
    line = timeline(array)
    grid = average_over(line, n_groups)
    n_seen = np.diff(np.append(np.rint((grid.time - line.time[0]) / 0.1), n_bins))
    assert len(grid.time) <= n_groups
    np.testing.assert_allclose((grid.values * n_seen[:, None]).sum(0), values[0].sum(0))


def test_averages_leave_gaps_open():
    states = make_states([[0, 0], [1, 1]], session_start=("session", [0.0, 3.0]))
    line = timeline(states)
    grid = average_over(line._replace(values=line.values[:, None].astype(float)), 4)
    np.testing.assert_allclose(grid.values[:, 0], [0.0, np.nan, np.nan, 1.0])
