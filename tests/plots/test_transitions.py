import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm import plots
from onehotglm.errors import InvalidInputError
from onehotglm.plots.timeline import state_runs, timeline
from onehotglm.plots.transitions import dwell_survival


def as_states(rows, bin_size=0.1):
    rows = np.atleast_2d(rows)
    return xr.DataArray(rows, dims=("session", "time"), attrs={"bin_size": bin_size})


def test_matrix_is_drawn_and_written(fit):
    matrix = fit["transition_matrix"]
    ax = plots.plot_transition_matrix(matrix)
    np.testing.assert_allclose(ax.images[0].get_array(), matrix)
    assert len(ax.texts) == 9
    assert ax.get_ylabel() == "State"
    assert len(ax.figure.axes) == 2
    assert len(plots.plot_transition_matrix(matrix, colorbar=False).figure.axes) == 1
    with pytest.raises(InvalidInputError, match="square"):
        plots.plot_transition_matrix(np.ones((2, 3)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_survival_of_complete_visits_is_the_empirical_one(lengths):
    visits = np.concatenate([[0] * length + [1] for length in lengths])
    runs = state_runs(timeline(as_states([1, *visits], bin_size=1.0)))
    durations, survival = dwell_survival(runs, 0)
    expected = [(np.array(lengths) > duration).mean() for duration in durations]
    np.testing.assert_allclose(survival, expected, atol=1e-12)


def test_cut_visits_are_censored_not_complete():
    # Visits of state 0: 2 bins complete, then 1 bin cut by the end.
    runs = state_runs(timeline(as_states([1, 0, 0, 1, 0], bin_size=1.0)))
    durations, survival = dwell_survival(runs, 0)
    assert durations.tolist() == [0.0, 1.0, 2.0]
    assert survival.tolist() == [1.0, 1.0, 0.0]
    # The beginning of the only visit was not seen.
    assert dwell_survival(state_runs(timeline(as_states([0, 0, 1]))), 0)[0].tolist() == [0.0]


def test_survival_of_a_markov_chain_is_geometric():
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random((40, 1000)) < 0.1, axis=1) % 2
    runs = state_runs(timeline(as_states(states, bin_size=1.0)))
    durations, survival = dwell_survival(runs, 0)
    np.testing.assert_allclose(survival[:20], 0.9 ** durations[:20], atol=0.03)


def test_implied_law_is_drawn_with_the_matrix(truth, fit):
    without = plots.plot_dwell_times(truth["states"])
    with_law = plots.plot_dwell_times(truth["states"], fit["transition_matrix"])
    assert len(without.lines) == 3
    dashed = with_law.lines[1]
    time, share = dashed.get_data()
    np.testing.assert_allclose(share, 0.95 ** (time / 0.02))


def test_occupancy_counts_bins(truth):
    ax = plots.plot_occupancy(truth["states"], n_states=4)
    heights = [bar.get_height() for bar in ax.patches]
    expected = [100 * (truth["states"] == state).mean() for state in range(4)]
    np.testing.assert_allclose(heights, expected)


def test_occupancy_leaves_padding_and_lead_in_out():
    states = as_states([[7, 0, 0, 1], [7, 0, -1, -1]], bin_size=0.1)
    states = states.assign_coords(time=[-0.1, 0.0, 0.1, 0.2])
    ax = plots.plot_occupancy(states, n_states=2)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [75.0, 25.0])


def test_true_occupancy_is_marked(truth):
    ax = plots.plot_occupancy(truth["states"], true_states=truth["states"])
    marks = next(line for line in ax.lines if line.get_label() == "true")
    np.testing.assert_allclose(marks.get_ydata(), [bar.get_height() for bar in ax.patches])


def test_table_of_states():
    states = as_states([[1, 0, 0, 0, 1, 1]], bin_size=0.5)
    table = plots.state_table(states, np.array([[0.5, 0.5], [0.0, 1.0]]))
    assert table["share of time (%)"].tolist() == [50.0, 50.0]
    assert table["visits"].tolist() == [1, 2]
    assert table["median dwell (s)"].tolist()[0] == 1.5
    assert np.isnan(table["median dwell (s)"].tolist()[1])
    assert table["implied mean dwell (s)"].tolist() == [1.0, np.inf]
    assert "implied mean dwell (s)" not in plots.state_table(states)
