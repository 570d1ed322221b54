"""One coupling matrix of any network, and the order in which its neurons are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError

DEFAULT_UNITS = "Δη per spike"
Order = str | Sequence | np.ndarray | None


def as_matrix(connectivity: xr.DataArray | np.ndarray) -> xr.DataArray:
    """One coupling matrix as a DataArray with dims (post, pre).

    Parameters
    ----------
    connectivity : DataArray or ndarray
        Dims post and pre in any order, or shape (post, pre).

    Returns
    -------
    DataArray, dims (post, pre)

    Raises
    ------
    InvalidInputError
        For other dims.
    """
    if not isinstance(connectivity, xr.DataArray):
        values = np.asarray(connectivity)
        dims = (
            ("post", "pre") if values.ndim == 2 else tuple(f"dim_{i}" for i in range(values.ndim))
        )
        connectivity = xr.DataArray(values, dims=dims)
    if set(connectivity.dims) != {"post", "pre"}:
        raise InvalidInputError(
            f"one coupling matrix has dims (post, pre), but this one has {connectivity.dims}; "
            "pick a state with .sel(state=0), or average with .mean('state')"
        )
    return connectivity.transpose("post", "pre")


def neuron_order(connectivity: xr.DataArray, order: Order) -> np.ndarray:
    """Positions that put the neurons into an order.

    Parameters
    ----------
    connectivity : DataArray, dims (..., post, pre)
    order : None, "cluster" or sequence
        ``None``: as they come.  ``"cluster"``: neurons with similar inputs and
        outputs side by side (Ward's hierarchical clustering with optimal leaf
        order).  A sequence: the unit ids, each exactly once.

    Returns
    -------
    int ndarray, shape (neuron,)

    Raises
    ------
    InvalidInputError

    Examples
    --------
    >>> matrix = xr.DataArray(np.eye(3), dims=("post", "pre"), coords={"post": [7, 8, 9]})
    >>> neuron_order(matrix, [9, 7, 8])
    array([2, 0, 1])
    """
    n_neurons = connectivity.sizes["post"]
    if order is None:
        return np.arange(n_neurons)
    if isinstance(order, str):
        if order != "cluster":
            raise InvalidInputError(
                f"order {order!r} is unknown; use None, 'cluster' or the unit ids in order"
            )
        return _cluster_order(connectivity)
    ids = connectivity["post"].values.tolist()
    wanted = np.asarray(order).tolist()
    if sorted(map(str, wanted)) != sorted(map(str, ids)):
        raise InvalidInputError(
            f"order has {len(wanted)} entries that are not the {n_neurons} unit ids, each once; "
            "the ids are the values of the coordinate 'post'"
        )
    places = {str(unit): place for place, unit in enumerate(ids)}
    return np.array([places[str(unit)] for unit in wanted])


def _cluster_order(connectivity: xr.DataArray) -> np.ndarray:
    from scipy.cluster.hierarchy import leaves_list, linkage

    n_neurons = connectivity.sizes["post"]
    if n_neurons < 3:
        return np.arange(n_neurons)
    inputs = connectivity.transpose("post", "pre", ...).values.reshape(n_neurons, -1)
    outputs = connectivity.transpose("pre", "post", ...).values.reshape(n_neurons, -1)
    profile = np.nan_to_num(np.hstack([inputs, outputs]))
    return leaves_list(linkage(profile, method="ward", optimal_ordering=True))
