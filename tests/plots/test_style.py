import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.axes import Axes

from onehotglm import plots
from onehotglm.plots.style import robust_limit

SETTINGS_OF_THE_BACKEND = {"backend", "backend_fallback"}


def current_settings():
    return {k: v for k, v in mpl.rcParams.items() if k not in SETTINGS_OF_THE_BACKEND}


def draw_everything(truth, fit, posterior):
    spikes, states = truth["spikes"], truth["states"]
    return [
        plots.plot_coupling_matrix(fit["connectivity"][0]),
        *plots.plot_connectivity(fit).ravel(),
        plots.plot_graph(fit["connectivity"][0]),
        *plots.plot_states(spikes, states, posterior, true_states=states),
        plots.plot_raster(spikes),
        plots.plot_posterior(posterior),
        plots.plot_state_strip(states),
        plots.plot_transition_matrix(fit["transition_matrix"]),
        plots.plot_dwell_times(states, fit["transition_matrix"]),
        plots.plot_occupancy(states, true_states=states),
        *plots.plot_recovery(fit, truth),
        plots.plot_calibration(truth["rates"], spikes),
        plots.plot_time_rescaling(truth["rates"], spikes),
        plots.plot_objective(fit),
    ]


SIZES = [
    {},
    {"n_states": 1},
    {"n_neurons": 1},
    {"n_neurons": 1, "n_states": 1, "n_sessions": 1},
    {"n_states": 12, "n_neurons": 2},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning:onehotglm")
def test_every_figure_can_be_drawn_at_every_size(make_recording, sizes):
    before = current_settings()
    axes = draw_everything(*make_recording(**sizes))
    for ax in axes:
        assert ax is None or isinstance(ax, Axes)
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    assert current_settings() == before


def test_missing_bins_and_units_without_spikes_can_be_drawn(truth, fit, posterior):
    spikes = truth["spikes"]
    spikes[1, 50:] = np.nan
    spikes[0, 20:30, 2] = np.nan
    spikes[:, :, 4] = 0
    truth["states"][1, 50:] = -1
    posterior[1, 50:] = np.nan
    draw_everything(truth, fit, posterior)
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()


def test_a_given_axes_is_used_and_no_figure_made(truth, fit, posterior):
    figure, ax = plt.subplots()
    drawn = [
        plots.plot_coupling_matrix(fit["connectivity"][0], ax=ax),
        plots.plot_graph(fit["connectivity"][0], ax=ax),
        plots.plot_raster(truth["spikes"], ax=ax),
        plots.plot_state_strip(truth["states"], ax=ax),
        plots.plot_posterior(posterior, ax=ax),
        plots.plot_occupancy(truth["states"], ax=ax),
        plots.plot_objective(fit, ax=ax),
    ]
    assert all(one is ax for one in drawn)
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("n_states", [1, 3, 9, 15])
def test_states_have_different_colors(n_states):
    assert len(set(plots.state_colors(n_states))) == n_states


def test_colors_of_the_first_states_do_not_depend_on_their_number():
    assert plots.state_colors(3) == plots.state_colors(7)[:3]


def test_zero_is_white_and_missing_is_grey():
    colormap = plots.coupling_colormap()
    assert colormap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.02)
    assert colormap(np.nan) != colormap(0.5)
    blue, red = colormap(0.0), colormap(1.0)
    assert blue[2] > blue[0]
    assert red[0] > red[2]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_limit_is_positive_and_no_larger_than_the_largest(values):
    limit = robust_limit(np.array(values))
    largest = max(map(abs, values))
    assert 0 < limit <= (largest or 1.0)


def test_the_limit_ignores_a_few_outliers_and_what_is_missing():
    values = np.concatenate([np.ones(200), [1000.0, np.nan], np.zeros(500)])
    assert robust_limit(values) == 1.0
