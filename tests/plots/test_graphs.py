import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import same_color
from matplotlib.patches import FancyArrowPatch

from onehotglm import plots
from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import EXCITATORY, INHIBITORY


def arrows(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


def nodes(ax):
    return ax.collections[0]


MATRIX = xr.DataArray([[0.0, 3.0, 0.0], [-2.0, 5.0, 0.0], [0.5, 0.0, np.nan]], dims=("post", "pre"))


def test_signs_differ_in_color_and_in_shape():
    weak, inhibitory, excitatory = arrows(plots.plot_graph(MATRIX))
    assert same_color(excitatory.get_edgecolor()[:3], EXCITATORY)
    assert same_color(inhibitory.get_edgecolor()[:3], INHIBITORY)
    assert type(excitatory.get_arrowstyle()) is not type(inhibitory.get_arrowstyle())
    assert weak.get_linewidth() < inhibitory.get_linewidth() < excitatory.get_linewidth()


def test_only_the_strongest_are_drawn_and_zeros_never():
    assert len(arrows(plots.plot_graph(MATRIX, n_edges=1))) == 1
    assert len(arrows(plots.plot_graph(MATRIX, n_edges=99))) == 3
    assert len(arrows(plots.plot_graph(MATRIX, self_couplings=True))) == 4
    assert len(arrows(plots.plot_graph(np.zeros((4, 4))))) == 0


def test_an_arrow_leads_from_pre_to_post():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    ax = plots.plot_graph(MATRIX, n_edges=1, positions=places)
    (arrow,) = arrows(ax)
    np.testing.assert_allclose(arrow._posA_posB, [places[1], places[0]])


def test_positions_are_where_the_nodes_are():
    places = np.array([[0.0, 0.0, 9.0], [1.0, 0.0, 9.0], [0.0, 2.0, 9.0]])
    np.testing.assert_allclose(
        nodes(plots.plot_graph(MATRIX, positions=places)).get_offsets(), places[:, :2]
    )


@pytest.mark.parametrize("layout", ["kamada_kawai", "spring", "circular"])
def test_layouts_place_all_neurons_apart_and_repeatably(layout):
    couplings = np.random.default_rng(0).normal(size=(12, 12))
    couplings[8:] = couplings[:, 8:] = 0
    first = nodes(plots.plot_graph(couplings, layout=layout)).get_offsets()
    again = nodes(plots.plot_graph(couplings, layout=layout)).get_offsets()
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all()
    distances = np.linalg.norm(first[:, None] - first[None], axis=2)
    assert (distances + np.eye(12) > 1e-3).all()


def test_rates_are_areas():
    sizes = nodes(plots.plot_graph(MATRIX, rates=np.array([0.0, 5.0, 10.0]))).get_sizes()
    assert (np.diff(sizes) > 0).all()
    assert np.diff(sizes)[0] == pytest.approx(np.diff(sizes)[1])
    silent = nodes(plots.plot_graph(MATRIX, rates=np.zeros(3))).get_sizes()
    assert (silent > 0).all()


def test_large_networks_label_only_the_ends_of_the_strongest():
    couplings = np.random.default_rng(0).normal(size=(60, 60))
    assert len(plots.plot_graph(couplings).texts) <= 24
    assert len(plots.plot_graph(couplings[:30, :30]).texts) == 30


def test_title_is_set():
    assert plots.plot_graph(MATRIX, title="Mine").get_title(loc="left") == "Mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "dot"}, "layout 'dot' is unknown"),
        ({"n_edges": -1}, "n_edges is -1"),
        ({"rates": np.ones(2)}, r"rates have shape \(2,\)"),
        ({"positions": np.ones((3, 1))}, r"positions have shape \(3, 1\)"),
    ],
)
def test_errors_say_what_was_expected(options, message):
    with pytest.raises(InvalidInputError, match=message):
        plots.plot_graph(MATRIX, **options)
