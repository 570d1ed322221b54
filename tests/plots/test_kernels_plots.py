import numpy as np
import pytest
import xarray as xr

from onehotglm import plots
from onehotglm.errors import InvalidInputError


@pytest.fixture
def data():
    weights = np.zeros((2, 2, 2, 2))
    weights[0, 0, 1] = [2.0, 0.0]
    weights[1, 1, 0] = [0.0, -1.0]
    weights[1, 1, 1] = [0.1, 0.1]
    basis = np.array([[0.6, 0.3, 0.1], [0.0, 0.5, 0.5]])
    return xr.Dataset(
        {
            "weights": (("state", "post", "pre", "basis"), weights),
            "basis_functions": (("basis", "lag"), basis),
        },
        {"state": [0, 1], "post": ["a", "b"], "pre": ["a", "b"]},
        {"bin_size": 0.02},
    )


def curves(ax):
    return [line.get_ydata() for line in ax.lines[1:]]


def test_kernels_are_weights_times_basis(data):
    axes = plots.plot_kernels(data, n_strongest=3)
    assert axes.shape == (1, 3)
    assert [ax.get_title("left") for ax in axes.flat] == ["b → a", "a → b", "b → b"]
    np.testing.assert_allclose(curves(axes[0, 0]), [[1.2, 0.6, 0.2], [0, 0, 0]])
    np.testing.assert_allclose(axes[0, 0].lines[1].get_xdata(), [20, 40, 60])
    figure = axes[0, 0].get_figure()
    assert figure.get_supxlabel() == "Lag (ms)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["State 0", "State 1"]
    assert axes[0, 0].get_ylim() == axes[0, 2].get_ylim()


def test_named_connections_the_truth_and_bins(data):
    data.attrs.clear()
    named = [("b", "a")] * 5
    axes = plots.plot_kernels(
        data, connections=named, truth=data.assign(weights=2 * data["weights"])
    )
    assert axes.shape == (2, 4)
    assert axes[1, 1] is None
    np.testing.assert_allclose(curves(axes[1, 0])[2:], [[2.4, 1.2, 0.4], [0, 0, 0]])
    figure = axes[0, 0].get_figure()
    assert figure.get_supxlabel() == "Lag (bins)"
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "Truth"


def test_one_state_has_no_legend(data):
    axes = plots.plot_kernels(data.isel(state=[0]))
    assert not axes[0, 0].get_figure().legends


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_strongest": 0}, "n_strongest=0, expected a positive number"),
        ({"connections": []}, "no connections to draw"),
        ({"connections": [("a", "c")]}, "postsynaptic neuron 'c' is not in the data"),
    ],
)
def test_what_cannot_be_drawn(data, changes, message):
    with pytest.raises(InvalidInputError, match=message):
        plots.plot_kernels(data, **changes)


def test_weights_are_needed(data):
    with pytest.raises(InvalidInputError, match="the data have no basis_functions"):
        plots.plot_kernels(data[["weights"]])
