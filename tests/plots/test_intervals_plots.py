import numpy as np
import pytest
import xarray as xr

from onehotglm import plots
from onehotglm.errors import InvalidInputError


@pytest.fixture
def errors():
    mean = np.array([[[0.0, 2.0], [-0.5, 0.1]], [[1.0, 0.0], [0.0, -0.2]]])
    half = np.where(mean == 0, 0.0, 0.3)
    dims = ("state", "post", "pre")
    return xr.Dataset(
        {
            "connectivity_mean": (dims, mean, {"units": "Δη per spike"}),
            "connectivity_se": (dims, half / 1.64),
            "connectivity_low": (dims, mean - half),
            "connectivity_high": (dims, mean + half),
        },
        {"state": [0, 1], "post": ["a", "b"], "pre": ["a", "b"]},
        {"level": 0.9},
    )


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_the_strongest_couplings_from_the_top(errors):
    ax = plots.plot_coupling_intervals(errors, n_strongest=4)
    assert labels(ax) == ["b → a", "a → a", "a → b", "b → b"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "Coupling (Δη per spike), 90 % interval"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["State 0", "State 1"]
    assert len(labels(plots.plot_coupling_intervals(errors, n_strongest=100))) == 8


def test_dots_are_empty_where_zero_is_inside(errors):
    ax = plots.plot_coupling_intervals(errors, n_strongest=5)
    white = [(dots.get_facecolor()[:, :3] == 1).all(1) for dots in ax.collections[1::2]]
    # State 0: 2.0, -0.5 and 0.1; state 1: 1.0 and -0.2.
    assert [part.tolist() for part in white] == [[False, False, True], [False, True]]


def test_couplings_that_may_be_zero_are_hatched(errors):
    couplings = errors["connectivity_mean"].rename("connectivity")
    axes = plots.plot_connectivity(couplings, errors=errors, standard_errors=True)
    hatched = [len(ax.collections[0].get_paths()) for ax in axes[0]]
    # Neither what is certain nor what is zero for certain.
    assert hatched == [1, 1]
    assert len(axes) == 2
    assert not plots.plot_connectivity(couplings)[0, 0].collections


def test_what_is_needed(errors):
    with pytest.raises(InvalidInputError, match=r"have no connectivity_low.*standard_errors"):
        plots.plot_coupling_intervals(errors.drop_vars("connectivity_low"))
    with pytest.raises(InvalidInputError, match="n_strongest=0; expected a positive number"):
        plots.plot_coupling_intervals(errors, n_strongest=0)
