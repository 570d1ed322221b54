"""Kernels: how couplings unfold over the time since a spike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.ordering import DEFAULT_UNITS
from onehotglm.plots.style import MUTED, finish, new_panels, only_drawn, state_colors, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("weights", "basis_functions")
_MOST_COLUMNS = 4


@styled
def plot_kernels(
    data: xr.Dataset,
    *,
    connections: Sequence[tuple[Any, Any]] | None = None,
    n_strongest: int = 12,
    truth: xr.Dataset | None = None,
) -> np.ndarray:
    """Couplings over lags: one panel per connection, one line per state.

    A kernel is ``sum_k weights[state, post, pre, k] * basis_functions[k, lag]``; all panels
    have one scale.

    Parameters
    ----------
    data : Dataset
        A fit or a simulation: ``weights`` (state, post, pre, basis) and ``basis_functions``
        (basis, lag); the attribute ``bin_size`` (s) gives lags in ms instead of bins.
    connections : sequence of (pre, post), optional
        Ids of the neurons; default: the `n_strongest`.
    n_strongest : int
        So many connections, by the largest magnitude over states and lags.
    truth : Dataset, optional
        Drawn dashed; its states in the order of those of `data`, its neurons the same.

    Returns
    -------
    ndarray of Axes, shape (row, column)
        Unused places are None.

    Raises
    ------
    InvalidInputError
        If weights or basis are missing, a neuron is unknown, or nothing is to be drawn.

    Examples
    --------
    >>> weights = xr.DataArray(np.ones((2, 3, 3, 1)), dims=("state", "post", "pre", "basis"))
    >>> basis = xr.DataArray([[0.6, 0.3, 0.1]], dims=("basis", "lag"))
    >>> data = xr.Dataset({"weights": weights, "basis_functions": basis}, attrs={"bin_size": 0.02})
    >>> axes = plot_kernels(data, connections=[(0, 1), (2, 1)])
    >>> [ax.get_title("left") for ax in axes.flat]
    ['0 → 1', '2 → 1']
    """
    kernels = _kernels(data)
    drawn = _strongest(kernels, n_strongest) if connections is None else list(connections)
    _check(kernels, drawn, n_strongest)
    n_columns = min(len(drawn), _MOST_COLUMNS)
    n_rows = -(-len(drawn) // n_columns)
    figure, axes = new_panels(
        n_rows, n_columns, 0.6 + 2.0 * n_columns, 0.7 + 1.55 * n_rows, sharex=True, sharey=True
    )
    true = None if truth is None else _kernels(truth)
    for ax, (pre, post) in zip(axes.flat, drawn, strict=False):
        ax.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
        _draw(ax, kernels.sel(pre=pre, post=post), data)
        if true is not None:
            _draw(ax, true.sel(pre=pre, post=post), data, linestyle="--", marker="", alpha=0.7)
        finish(ax, title=f"{pre} → {post}")
    for place in range(len(drawn), axes.size):
        axes.flat[place].set_axis_off()
        axes.flat[place - n_columns].tick_params(labelbottom=True)
    figure.supxlabel(_lags(data)[1], fontsize=9)
    figure.supylabel(f"Coupling ({DEFAULT_UNITS})", fontsize=9)
    _legend(figure, axes[0, 0], kernels.sizes["state"], truth is not None)
    return only_drawn(axes)


def _kernels(data: xr.Dataset) -> xr.DataArray:
    """Kernels (state, post, pre, lag) with labels of states and neurons."""
    missing = [name for name in _NEEDED if name not in data]
    if missing:
        raise InvalidInputError(
            f"the data have no {', '.join(missing)}; pass model.to_dataset() or a simulation"
        )
    kernels = xr.dot(data["weights"], data["basis_functions"], dim="basis")
    if "state" not in kernels.dims:
        kernels = kernels.expand_dims("state")
    for dim in ("state", "post", "pre"):
        if dim not in kernels.coords:
            kernels = kernels.assign_coords({dim: np.arange(kernels.sizes[dim])})
    return kernels.transpose("state", "post", "pre", "lag")


def _strongest(kernels: xr.DataArray, number: int) -> list[tuple[Any, Any]]:
    largest = abs(kernels).max(("state", "lag"))
    order = np.argsort(-largest.values.ravel(), kind="stable")[: max(number, 0)]
    rows, columns = np.unravel_index(order, largest.shape)
    post, pre = largest["post"].values[rows], largest["pre"].values[columns]
    return list(zip(pre.tolist(), post.tolist(), strict=True))


def _check(kernels: xr.DataArray, drawn: list[tuple[Any, Any]], n_strongest: int) -> None:
    if not drawn:
        raise InvalidInputError(
            f"no connections to draw; got n_strongest={n_strongest!r}, expected a positive number, "
            "or connections=[(pre, post), ...]"
        )
    for pre, post in drawn:
        for dim, neuron in (("pre", pre), ("post", post)):
            if neuron not in kernels[dim].values:
                raise InvalidInputError(
                    f"{dim}synaptic neuron {neuron!r} is not in the data; their neurons are "
                    f"{', '.join(map(str, kernels[dim].values[:10]))}"
                )


def _lags(data: xr.Dataset) -> tuple[np.ndarray, str]:
    """Lags and what their axis is called."""
    lags = np.arange(1, data.sizes["lag"] + 1)
    bin_size = data.attrs.get("bin_size")
    return (lags, "Lag (bins)") if bin_size is None else (1000 * bin_size * lags, "Lag (ms)")


def _draw(ax: Axes, kernel: xr.DataArray, data: xr.Dataset, **options: Any) -> None:
    """Lines (state, lag) of one connection."""
    style: dict[str, Any] = {"marker": "o", "markersize": 2.5} | options
    lags = _lags(data)[0][: kernel.sizes["lag"]]
    for line, color in zip(kernel.values, state_colors(len(kernel)), strict=True):
        ax.plot(lags, line[: len(lags)], color=color, **style)


def _legend(figure: Any, ax: Axes, n_states: int, with_truth: bool) -> None:
    from matplotlib.lines import Line2D

    states = ax.lines[1 : 1 + n_states]
    handles = [(line, f"State {index}") for index, line in enumerate(states)]
    if with_truth:
        handles.append((Line2D([], [], color=MUTED, linestyle="--"), "Truth"))
    if len(handles) > 1:
        lines, labels = zip(*handles, strict=True)
        figure.legend(lines, labels, loc="outside upper right", ncols=min(len(labels), 6))
