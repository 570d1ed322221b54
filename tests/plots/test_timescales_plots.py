import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots import timescales as plots


@pytest.fixture
def timescales():
    tau = np.array([0.5, 2.0, 8.0, 1.0, 4.0, np.nan])
    curve = np.exp(-np.arange(31) / tau[:, None])
    return xr.Dataset(
        {
            "network_tau": ("neuron", tau),
            "autocorrelation": (("neuron", "lag"), curve + 0.01),
            "fitted_autocorrelation": (("neuron", "lag"), curve),
        },
        coords={"lag": np.arange(31)},
    )


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_autocorrelation_shows_slow_to_fast_neurons(timescales):
    ax = plots.plot_autocorrelation(timescales)
    assert legend_of(ax) == ["8.0", "4.0", "2.0", "1.0"]
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["8.0"].get_ydata(), timescales["fitted_autocorrelation"][2])


def test_autocorrelation_of_chosen_neurons(timescales):
    assert legend_of(plots.plot_autocorrelation(timescales, neurons=[1])) == ["2.0"]


def test_autocorrelation_needs_a_timescale(timescales):
    with pytest.raises(InvalidInputError, match="no neuron has a timescale"):
        plots.plot_autocorrelation(timescales.isel(neuron=[5]))


def test_columns_show_median_and_quartiles(timescales):
    ax = plots.plot_timescales({"N = 2": timescales, "N = 6": timescales.isel(neuron=[0])})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["N = 2", "N = 6"]
    assert len(ax.lines[0].get_xdata()) == 5  # the constant neuron has none
    quartiles = ax.collections[0].get_segments()[0][:, 1]
    np.testing.assert_allclose(quartiles, [1.0, 4.0])
    assert ax.get_yscale() == "log"


def test_narrow_ranges_have_a_linear_axis(timescales):
    assert plots.plot_timescales(timescales.isel(neuron=[1, 2])).get_yscale() == "linear"


def test_curriculum_steps_up_where_spans_are_passed():
    def run(n_steps, passed):
        spans = np.arange(2, 2 + len(n_steps))
        data = {"n_steps": ("span", n_steps), "passed": ("span", passed)}
        return xr.Dataset(data, coords={"span": spans})

    ax = plots.plot_curriculum(
        {
            "multi #0": run([100, 50, 200], [True, True, False]),
            "multi #1": run([100], [True]),
            "single": run([100], [False]),
        }
    )
    assert legend_of(ax) == ["multi", "single"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 1], [100, 2], [150, 3], [350, 3]])
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()


def test_robustness_shows_mean_and_range_over_runs():
    curve = xr.Dataset(
        {"relative_accuracy": (("run", "n_ablated"), [[1.0, 0.4], [1.0, 0.8]])},
        coords={"n_ablated": [0, 4]},
    )
    ax = plots.plot_robustness({"multi": curve})
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 0.6])
    assert ax.get_xlabel() == "Neurons silenced"
    other = xr.Dataset({"relative_accuracy": ("strength", [1.0])}, coords={"strength": [0.0]})
    with pytest.raises(InvalidInputError, match="run over n_ablated, strength"):
        plots.plot_robustness({"a": curve, "b": other})


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (plots.plot_autocorrelation, "no autocorrelation, fitted_autocorrelation, network_tau"),
        (plots.plot_timescales, "no network_tau, only nothing_known"),
        (plots.plot_curriculum, "no n_steps, passed"),
        (lambda data: plots.plot_robustness({"a": data}), "no relative_accuracy"),
    ],
)
def test_missing_variables_are_named(draw, message):
    with pytest.raises(InvalidInputError, match=message):
        draw(xr.Dataset({"nothing_known": ((), 0.0)}))


def test_axes_given_are_drawn_on_and_settings_stay(timescales):
    before = dict(plt.rcParams)
    _, ax = plt.subplots()
    assert plots.plot_timescales(timescales, ax=ax) is ax
    assert dict(plt.rcParams) == before
