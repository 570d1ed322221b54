"""Coupling matrices: one, or all states beside what they share and the types."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.ordering import DEFAULT_UNITS, Order, as_matrix, neuron_order
from onehotglm.plots.style import (
    MUTED,
    coupling_colormap,
    finish,
    neuron_ticks,
    new_axes,
    new_panels,
    only_drawn,
    robust_limit,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage


@styled
def plot_coupling_matrix(
    connectivity: xr.DataArray | np.ndarray,
    *,
    ax: Axes | None = None,
    order: Order = None,
    limit: float | None = None,
    colorbar: bool = True,
    title: str | None = None,
) -> Axes:
    """One coupling matrix of any network: red excites, blue inhibits, white is zero.

    Parameters
    ----------
    connectivity : DataArray or ndarray, dims (post, pre)
        Couplings; the attribute ``units`` names their unit (default: change of
        the linear predictor per spike).
    ax : Axes, optional
        Drawn on; default: a new figure.
    order : None, "cluster" or sequence of unit ids
        See `neuron_order`.
    limit : float, optional
        The colours run from -limit to limit; default: the 98th percentile of
        the magnitudes that are not zero.
    colorbar : bool
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the dims are others, or `order` does not name the neurons.

    Examples
    --------
    >>> ax = plot_coupling_matrix(np.array([[0.0, 1.0], [-0.5, 0.0]]))
    >>> ax.images[0].get_clim()
    (-1.0, 1.0)
    """
    matrix = as_matrix(connectivity)
    ax = new_axes(ax, 4.2, 3.6)
    limit = robust_limit(matrix.values) if limit is None else limit
    most_ticks = 20 if matrix.sizes["post"] <= 20 else 10
    image = _draw(ax, matrix, neuron_order(matrix, order), -limit, limit, most_ticks=most_ticks)
    if colorbar:
        units = matrix.attrs.get("units", DEFAULT_UNITS)
        _add_colorbar(ax, image, f"Coupling ({units})", matrix.values)
    suffix = _order_suffix(order)
    return finish(
        ax,
        xlabel=f"Presynaptic neuron{suffix}",
        ylabel=f"Postsynaptic neuron{suffix}",
        title=title,
        frame=True,
    )


@styled
def plot_connectivity(
    data: xr.Dataset | xr.DataArray,
    *,
    order: Order = None,
    limit: float | None = None,
    types: bool = True,
    errors: xr.Dataset | None = None,
    standard_errors: bool = False,
) -> np.ndarray:
    """Couplings of every state beside what the states share, and the types below.

    The first row holds ``shared_connectivity`` (where the prior learned it) and
    ``connectivity`` of each state, on one colour scale.  The second row holds the
    types: the shared prior as P(excitatory) - P(inhibitory), then each state's
    ``connection_type``.

    Parameters
    ----------
    data : Dataset or DataArray
        A fit, a simulation, or couplings with dims (post, pre) or
        (state, post, pre).
    order : None, "cluster" or sequence of unit ids
        See `neuron_order`; one order for all panels.
    limit : float, optional
        The colours run from -limit to limit; default: the 98th percentile of
        the magnitudes that are not zero.
    types : bool
        Draw the types if the data have them.
    errors : Dataset, optional
        From ``model.standard_errors(spikes)``: couplings whose interval includes zero, and
        more than zero, are hatched.
    standard_errors : bool
        Draw ``connectivity_se`` of `errors` or of the data in a further row.

    Returns
    -------
    ndarray of Axes, shape (row, panel)
        Unused places are None.

    Raises
    ------
    InvalidInputError
        If there are no couplings, or no standard errors where they are asked for.

    Examples
    --------
    >>> couplings = xr.DataArray(np.ones((2, 3, 3)), dims=("state", "post", "pre"))
    >>> plot_connectivity(couplings).shape
    (1, 2)
    """
    data = _as_dataset(data)
    if errors is not None:
        data = data.assign({name: errors[name] for name in _ERRORS})
    if standard_errors and "connectivity_se" not in data:
        raise InvalidInputError(
            "standard_errors=True needs the variable 'connectivity_se'; "
            f"the data have {', '.join(map(str, data.data_vars))}"
        )
    rows = [_coupling_row(data, limit)]
    if types and "connection_type" in data:
        rows.append(_type_row(data))
    if standard_errors:
        rows.append(_error_row(data))
    n_panels = max(len(row.panels) for row in rows)
    side = float(np.clip(8.4 / n_panels, 1.3, 2.4))
    _, axes = new_panels(
        len(rows), n_panels, side * n_panels + 1.1, (side + 0.32) * len(rows) + 0.3
    )
    places = neuron_order(data["connectivity"], order)
    for row, row_axes in zip(rows, axes, strict=True):
        _draw_row(row, row_axes, places, _order_suffix(order))
    for ax in axes[-1]:
        ax.set_xlabel("Presynaptic")
    return only_drawn(axes)


# What is drawn of standard errors.
_ERRORS = ("connectivity_se", "connectivity_low", "connectivity_high")


class _Row(NamedTuple):
    """Panels of one row with their common colours; None leaves a place empty.

    `hatched` holds flags (post, pre) by the titles of panels.
    """

    panels: list[tuple[str, xr.DataArray] | None]
    low: float
    high: float
    label: str
    colormap: str | None = None
    ticks: tuple[list[float], list[str]] | None = None
    hatched: Mapping[str, xr.DataArray] = MappingProxyType({})


def _as_dataset(data: xr.Dataset | xr.DataArray) -> xr.Dataset:
    if isinstance(data, xr.DataArray):
        data = data.to_dataset(name="connectivity")
    if "connectivity" not in data:
        raise InvalidInputError(
            "the data have no variable 'connectivity'; pass a fit, a simulation with a known "
            "wiring, or a DataArray with dims (state, post, pre) or (post, pre)"
        )
    if not {"post", "pre"} <= set(data["connectivity"].dims) <= {"state", "post", "pre"}:
        raise InvalidInputError(
            f"connectivity has dims {data['connectivity'].dims}; expected (state, post, pre) "
            "or (post, pre)"
        )
    return data


def _by_state(array: xr.DataArray) -> list[tuple[str, xr.DataArray] | None]:
    if "state" not in array.dims:
        return [("All states", array)]
    labels = array["state"].values
    return [(f"State {label}", array.isel(state=i)) for i, label in enumerate(labels)]


def _units(data: xr.Dataset) -> str:
    return str(data["connectivity"].attrs.get("units", DEFAULT_UNITS))


def _coupling_row(data: xr.Dataset, limit: float | None) -> _Row:
    panels = _by_state(data["connectivity"])
    if "shared_connectivity" in data:
        panels = [("Shared prior", data["shared_connectivity"]), *panels]
    if limit is None:
        limit = robust_limit(_values(panels))
    label = f"Coupling ({_units(data)})"
    return _Row(panels, -limit, limit, label, hatched=_uncertain(data))


def _uncertain(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Couplings of which the interval says neither their sign nor that they are zero."""
    if not {"connectivity_low", "connectivity_high"} <= set(data.data_vars):
        return {}
    low, high = data["connectivity_low"], data["connectivity_high"]
    return dict(filter(None, _by_state((low <= 0) & (high >= 0) & (low < high))))


def _type_row(data: xr.Dataset) -> _Row:
    panels = _by_state(data["connection_type"])
    if "shared_type_proba" in data:
        proba = data["shared_type_proba"].transpose("post", "pre", "type")
        shared = proba.isel(type=2, drop=True) - proba.isel(type=0, drop=True)
        panels = [("Shared types", shared), *panels]
    elif "shared_connectivity" in data:
        panels = [None, *panels]
    ticks = ([-1.0, 0.0, 1.0], ["inhibitory", "absent", "excitatory"])
    return _Row(panels, -1.0, 1.0, "", ticks=ticks)


def _error_row(data: xr.Dataset) -> _Row:
    errors = data["connectivity_se"]
    panels = _by_state(errors)
    if "shared_connectivity" in data:
        panels = [None, *panels]
    high = robust_limit(errors.values)
    return _Row(panels, 0.0, high, f"Std. error ({_units(data)})", colormap="Greys")


def _values(panels: list[tuple[str, xr.DataArray] | None]) -> np.ndarray:
    return np.concatenate([panel[1].values.ravel() for panel in panels if panel])


def _draw_row(row: _Row, axes: np.ndarray, places: np.ndarray, suffix: str) -> None:
    drawn: list[Axes] = []
    for ax, panel in itertools.zip_longest(axes, row.panels):
        if panel is None:
            ax.set_axis_off()
            continue
        title, matrix = panel
        _draw(ax, as_matrix(matrix), places, row.low, row.high, row.colormap, most_ticks=5)
        if title in row.hatched:
            _hatch(ax, as_matrix(row.hatched[title]).values[np.ix_(places, places)])
        first = ax is axes[0]
        finish(ax, title=title, ylabel=f"Postsynaptic{suffix}" if first else "", frame=True)
        ax.tick_params(labelleft=not drawn)
        drawn.append(ax)
    bar = _add_colorbar(list(axes), drawn[0].images[0], row.label, _values(row.panels))
    if row.ticks is not None:
        bar.set_ticks(row.ticks[0], labels=row.ticks[1])


def _draw(
    ax: Axes,
    matrix: xr.DataArray,
    places: np.ndarray,
    low: float,
    high: float,
    colormap: str | None = None,
    most_ticks: int = 20,
) -> AxesImage:
    neuron_ticks(ax.xaxis, matrix["pre"].values[places], most_ticks)
    neuron_ticks(ax.yaxis, matrix["post"].values[places], most_ticks)
    return ax.imshow(
        matrix.values[np.ix_(places, places)].astype(float),
        cmap=coupling_colormap() if colormap is None else colormap,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )


def _hatch(ax: Axes, flags: np.ndarray) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    cells = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in np.argwhere(flags)]
    hatched = PatchCollection(
        cells, facecolor="none", edgecolor=MUTED, linewidth=0.0, hatch="//////"
    )
    hatched.set_hatch_linewidth(0.5)
    ax.add_collection(hatched)


def _order_suffix(order: Order) -> str:
    if order is None:
        return ""
    return " (clustered)" if isinstance(order, str) else " (reordered)"


def _add_colorbar(
    ax: Axes | list[Axes], image: AxesImage, label: str, values: np.ndarray
) -> Colorbar:
    low, high = image.get_clim()
    above = np.nanmax(values, initial=high) > high
    below = np.nanmin(values, initial=low) < low
    extend = ("neither", "max", "min", "both")[int(above) + 2 * int(below)]
    bar = image.figure.colorbar(image, ax=ax, label=label, extend=extend, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2.5, width=0.7, labelsize=8)
    return bar
