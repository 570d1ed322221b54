import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm import plots
from onehotglm.errors import InvalidInputError


def images(axes):
    return [
        [None if ax is None else np.asarray(ax.images[0].get_array()) for ax in row] for row in axes
    ]


def test_the_image_is_the_matrix_with_symmetric_limits(fit):
    matrix = fit["connectivity"].isel(state=1)
    ax = plots.plot_coupling_matrix(matrix)
    np.testing.assert_allclose(ax.images[0].get_array(), matrix)
    low, high = ax.images[0].get_clim()
    assert low == -high < 0


def test_dims_may_come_in_any_order(fit):
    matrix = fit["connectivity"].isel(state=1)
    ax = plots.plot_coupling_matrix(matrix.transpose("pre", "post"))
    np.testing.assert_allclose(ax.images[0].get_array(), matrix)


def test_limit_sets_the_colors(fit):
    ax = plots.plot_coupling_matrix(fit["connectivity"][0], limit=0.3)
    assert ax.images[0].get_clim() == (-0.3, 0.3)


def test_units_and_colorbar(fit):
    matrix = fit["connectivity"][0].assign_attrs(units="Hz per spike")
    ax = plots.plot_coupling_matrix(matrix, title="Mine")
    labels = [other.get_ylabel() for other in ax.figure.axes]
    assert "Coupling (Hz per spike)" in labels
    assert ax.get_title(loc="left") == "Mine"
    assert len(plots.plot_coupling_matrix(matrix, colorbar=False).figure.axes) == 1


def test_order_permutes_rows_columns_and_labels(fit):
    matrix = fit["connectivity"].isel(state=0)
    order = [15, 10, 14, 11, 13, 12]
    ax = plots.plot_coupling_matrix(matrix, order=order)
    np.testing.assert_allclose(ax.images[0].get_array(), matrix.sel(post=order, pre=order))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(map(str, order))


def test_clusters_come_side_by_side():
    groups = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    blocks = xr.DataArray((groups[:, None] == groups) * 1.0, dims=("post", "pre"))
    sorted_groups = groups[plots.neuron_order(blocks, "cluster")]
    assert np.count_nonzero(np.diff(sorted_groups)) == 1


@settings(deadline=None)
@given(st.permutations(range(5)))
def test_an_order_is_a_permutation(order):
    matrix = xr.DataArray(np.zeros((5, 5)), dims=("post", "pre"))
    assert plots.neuron_order(matrix, order).tolist() == order


def test_orders_that_are_none(fit):
    with pytest.raises(InvalidInputError, match="order 'size' is unknown"):
        plots.plot_coupling_matrix(fit["connectivity"][0], order="size")
    with pytest.raises(InvalidInputError, match="not the 6 unit ids, each once"):
        plots.plot_coupling_matrix(fit["connectivity"][0], order=[10, 10, 11, 12, 13, 14])


def test_one_matrix_has_two_dims(fit):
    with pytest.raises(InvalidInputError, match=r"has \('state', 'post', 'pre'\)"):
        plots.plot_coupling_matrix(fit["connectivity"])
    with pytest.raises(InvalidInputError, match="dims"):
        plots.plot_coupling_matrix(np.zeros(3))


def test_all_panels_of_a_fit(fit):
    axes = plots.plot_connectivity(fit)
    assert axes.shape == (2, 4)
    couplings, types = images(axes)
    np.testing.assert_allclose(couplings[0], fit["shared_connectivity"])
    np.testing.assert_allclose(couplings[1:], fit["connectivity"])
    proba = fit["shared_type_proba"]
    np.testing.assert_allclose(types[0], proba[..., 2] - proba[..., 0])
    np.testing.assert_allclose(types[1:], fit["connection_type"])
    limits = {ax.images[0].get_clim() for ax in axes[0]}
    assert len(limits) == 1
    assert {ax.images[0].get_clim() for ax in axes[1]} == {(-1.0, 1.0)}


def test_types_may_be_left_out(fit):
    assert plots.plot_connectivity(fit, types=False).shape == (1, 4)


def test_a_prior_without_shared_types_leaves_that_place_empty(fit):
    axes = plots.plot_connectivity(fit.drop_vars("shared_type_proba"))
    assert axes.shape == (2, 4)
    assert axes[1, 0] is None


def test_standard_errors_have_a_row_of_their_own(fit):
    fit["connectivity_se"] = abs(fit["connectivity"]) + 0.1
    axes = plots.plot_connectivity(fit, standard_errors=True)
    assert axes.shape == (3, 4)
    np.testing.assert_allclose(images(axes)[2][1:], fit["connectivity_se"])
    with pytest.raises(InvalidInputError, match="connectivity_se"):
        plots.plot_connectivity(fit.drop_vars("connectivity_se"), standard_errors=True)


def test_a_network_without_states_has_one_panel(fit):
    axes = plots.plot_connectivity(fit["connectivity"].isel(state=0, drop=True))
    assert axes.shape == (1, 1)


def test_data_without_couplings_are_refused(truth):
    with pytest.raises(InvalidInputError, match="no variable 'connectivity'"):
        plots.plot_connectivity(truth[["spikes"]])
    with pytest.raises(InvalidInputError, match=r"expected \(state, post, pre\)"):
        plots.plot_connectivity(truth["rates"])
