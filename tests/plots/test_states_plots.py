import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color

from onehotglm import plots
from onehotglm.errors import InvalidInputError


def n_runs(states):
    return 1 + np.count_nonzero(np.diff(states))


def n_rectangles(ax):
    return sum(len(runs.get_paths()) for runs in ax.collections)


def test_every_spiking_bin_has_a_tick(truth):
    ax = plots.plot_raster(truth["spikes"], session=1)
    (ticks,) = [part for part in ax.collections if isinstance(part, LineCollection)]
    segments = np.array(ticks.get_segments())
    bins, neurons = np.nonzero(truth["spikes"].values[1])
    np.testing.assert_allclose(segments[:, 0, 0], 0.02 * bins + 0.01)
    np.testing.assert_allclose(segments.mean(axis=1)[:, 1], neurons)


def test_window_and_lead_in(truth):
    spikes = truth["spikes"].assign_coords(time=truth["time"] - 1.0)
    assert plots.plot_raster(spikes).get_xlim() == pytest.approx((0.0, 3.0))
    ax = plots.plot_raster(spikes, start=0.5, stop=1.5)
    assert ax.get_xlim() == pytest.approx((0.5, 1.5))


def test_long_windows_show_the_rates_of_each_unit_on_its_own_scale(make_recording):
    truth, _, _ = make_recording(n_time_bins=3000, n_sessions=2, n_neurons=3)
    spikes = truth["spikes"] * xr.DataArray([1.0, 30.0, 0.0], dims="neuron")
    shown = np.asarray(plots.plot_raster(spikes, session=None).images[0].get_array())
    assert shown.shape == (3, 1200)
    np.testing.assert_allclose(np.quantile(shown[:2], 0.99, axis=1), 1.0, rtol=1e-6)
    assert (shown[2] == 0).all()
    totals = spikes.values.reshape(-1, 5, 3).sum(axis=1).T
    assert np.corrcoef(shown[1], totals[1])[0, 1] == pytest.approx(1.0)


def test_strip_has_a_rectangle_per_run(truth):
    states = truth["states"]
    ax = plots.plot_state_strip(states, session=2)
    assert n_rectangles(ax) == n_runs(states.values[2])
    whole = plots.plot_state_strip(states, session=None)
    assert n_rectangles(whole) == sum(n_runs(row) for row in states.values)


def test_strip_colors_follow_the_state(truth):
    states = truth["states"].copy(data=np.full(truth["states"].shape, 2))
    (runs,) = plots.plot_state_strip(states, n_states=5).collections
    assert same_color(runs.get_facecolor()[0], plots.state_colors(5)[2])
    assert plots.plot_state_strip(states, label="Mine").get_ylabel() == "Mine"


def test_posterior_areas_add_up_to_one(posterior):
    ax = plots.plot_posterior(posterior, session=0)
    areas = []
    for layer in ax.collections:
        vertices = layer.get_paths()[0].vertices
        x, y = vertices[:, 0], vertices[:, 1]
        areas.append(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
    duration = 0.02 * posterior.sizes["time"]
    np.testing.assert_allclose(areas, 0.02 * posterior.values[0].sum(axis=0), rtol=1e-6)
    assert sum(areas) == pytest.approx(duration)


def test_panels_share_time_and_depend_on_what_is_given(truth, posterior):
    spikes, states = truth["spikes"], truth["states"]
    assert len(plots.plot_states(spikes, states)) == 2
    assert len(plots.plot_states(spikes, states, posterior)) == 3
    axes = plots.plot_states(spikes, states, posterior, true_states=states, session=1, stop=2.0)
    assert len(axes) == 4
    assert {ax.get_xlim() for ax in axes} == {(0.0, 2.0)}
    assert n_rectangles(axes[2]) == n_rectangles(axes[3]) == n_runs(states.values[1, :100])
    names = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert names == ["State 0", "State 1", "State 2"]


def test_number_of_states_sets_the_legend(truth):
    axes = plots.plot_states(truth["spikes"], truth["states"], n_states=6)
    assert len(axes[0].get_legend().get_texts()) == 6


def test_outputs_without_lead_in_fit_spikes_with_it(truth, posterior):
    spikes = truth["spikes"].assign_coords(time=truth["time"] - 1.0)
    states = truth["states"].isel(time=slice(50, None)).assign_coords(time=truth["time"][:150])
    posterior = posterior.isel(time=slice(50, None)).assign_coords(time=truth["time"][:150])
    axes = plots.plot_states(spikes, states, posterior, session=None)
    for ax in axes:
        assert ax.get_xlim() == pytest.approx((0.0, 9.0))


def test_errors_say_what_was_expected(truth, posterior):
    with pytest.raises(InvalidInputError, match="spikes have dims"):
        plots.plot_raster(truth["states"])
    with pytest.raises(InvalidInputError, match="posterior have dims"):
        plots.plot_posterior(truth["states"])
    with pytest.raises(InvalidInputError, match="states have 1 sessions and the spikes 3"):
        plots.plot_states(truth["spikes"], truth["states"].isel(session=[0]))
    with pytest.raises(InvalidInputError, match="session 9 is unknown"):
        plots.plot_states(truth["spikes"], truth["states"], posterior, session=9)
