"""Decoders side by side: differences in prediction, connectivities, what they find of a wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.connectivity import plot_coupling_matrix
from onehotglm.plots.ordering import Order, neuron_order
from onehotglm.plots.recovery import between_neurons, precision_recall
from onehotglm.plots.style import (
    ACCENT,
    INK,
    MUTED,
    coupling_colormap,
    finish,
    new_axes,
    new_panels,
    only_drawn,
    robust_limit,
    state_colors,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_COLUMNS = 4
_MINUS, _NONE = "\N{MINUS SIGN}", "\N{EN DASH}"


@styled
def plot_differences(table: pd.DataFrame, *, reference: str, ax: Axes | None = None) -> Axes:
    """How much better or worse than a reference each decoder predicts, with intervals.

    Parameters
    ----------
    table : DataFrame
        A row per decoder: ``name``, ``difference``, and ``difference_low`` and
        ``difference_high``, the ends of its interval; rows without a difference are left out.
    reference : str
        What the differences are to.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If no row has a difference.

    Examples
    --------
    >>> table = pd.DataFrame({"name": ["rnn"], "difference": [0.02],
    ...                       "difference_low": [0.01], "difference_high": [0.03]})
    >>> plot_differences(table, reference="hmm-glm").get_xlabel()
    'Bits per spike more than hmm-glm'
    """
    rows = table[table["difference"].notna()]
    if rows.empty:
        raise InvalidInputError(
            f"no decoder has a difference to {reference!r}; compare at least two decoders, of "
            "which it is one"
        )
    ax = new_axes(ax, 4.6, 0.36 * len(rows) + 1.0)
    places, values = np.arange(len(rows)), rows["difference"].to_numpy(float)
    low, high = (rows[f"difference_{end}"].to_numpy(float) for end in ("low", "high"))
    ax.axvline(0.0, color=MUTED, linestyle=":", linewidth=1.0)
    ax.errorbar(values, places, xerr=[values - low, high - values], fmt="o", color=ACCENT, ms=4)
    for place, *numbers in zip(places, values, low, high, strict=True):
        text = "{:+.3f}  ({:+.3f} to {:+.3f})".format(*numbers).replace("-", _MINUS)
        ax.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8
        )
    ax.set_yticks(places, rows["name"].astype(str))
    ax.set_ylim(len(rows) - 0.5, -0.6)
    ax.margins(x=0.08)
    return finish(ax, xlabel=f"Bits per spike more than {reference}")


@styled
def plot_readings(
    connectivity: xr.DataArray, truth: xr.DataArray | None = None, *, order: Order = None
) -> np.ndarray:
    """Draw connectivities of several decoders side by side, the true wiring first.

    Each panel has its own colours, as units and sizes differ; they saturate at the 98th
    percentile of the couplings between different neurons.

    Parameters
    ----------
    connectivity : DataArray, dims (reading, post, pre)
        With the coordinate ``units`` (reading) where they are known.  Readings that are
        zero everywhere are left out.
    truth : DataArray, dims (post, pre), optional
    order : None, "cluster" or sequence of unit ids
        See `neuron_order`; one for all panels, ``"cluster"`` that of the first.

    Returns
    -------
    ndarray of Axes, shape (row, column)
        Unused places are None.

    Raises
    ------
    InvalidInputError
        If nothing is left to draw.

    Examples
    --------
    >>> matrices = xr.DataArray(np.ones((2, 3, 3)), dims=("reading", "post", "pre"))
    >>> plot_readings(matrices.assign_coords(reading=["glm", "rnn"])).shape
    (1, 2)
    """
    panels = [] if truth is None else [("true wiring", truth)]
    for matrix in connectivity.transpose("reading", "post", "pre"):
        if np.any(matrix.values):
            units = str(matrix["units"].item()) if "units" in matrix.coords else ""
            labelled = matrix.assign_attrs(units=units) if units else matrix
            panels.append((str(matrix["reading"].item()), labelled.drop_vars("reading")))
    if not panels:
        raise InvalidInputError("all connectivities are zero; there is nothing to draw")
    if isinstance(order, str):
        order = panels[0][1]["post"].values[neuron_order(panels[0][1], order)]
    n_columns = min(len(panels), _MOST_COLUMNS)
    n_rows = -(-len(panels) // n_columns)
    _, axes = new_panels(n_rows, n_columns, 2.9 * n_columns, 2.5 * n_rows)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for (title, matrix), ax in zip(panels, axes.flat, strict=False):
        limit = robust_limit(between_neurons(matrix))
        plot_coupling_matrix(matrix, ax=ax, order=order, limit=limit, title=title)
        row, column = np.argwhere(axes == ax)[0]
        ax.set_xlabel("Presynaptic" if row * n_columns + column + n_columns >= len(panels) else "")
        ax.set_ylabel("Postsynaptic" if column == 0 else "")
    return only_drawn(axes)


@styled
def plot_correlations(correlations: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Correlations between connectivities as a matrix with numbers.

    Parameters
    ----------
    correlations : DataFrame
        Pearson's r, rows and columns named alike.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> names = ["glm", "rnn"]
    >>> ax = plot_correlations(pd.DataFrame([[1.0, 0.8], [0.8, 1.0]], names, names))
    >>> [text.get_text() for text in ax.texts]
    ['0.80']
    """
    n = len(correlations)
    ax = new_axes(ax, 0.5 * n + 1.6, 0.42 * n + 1.2)
    values = correlations.to_numpy(float)
    lower = np.tril(np.ones((n, n), bool), -1)
    shown = np.where(lower, values, np.nan)
    ax.imshow(shown, cmap=coupling_colormap().with_extremes(bad="white"), vmin=-1, vmax=1)
    for row, column in np.argwhere(lower):
        value = values[row, column]
        color = "white" if abs(value) > 0.75 else INK
        text = _NONE if np.isnan(value) else f"{value:.2f}".replace("-", _MINUS)
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    ax.set_xlim(-0.5, n - 1.5)
    ax.set_ylim(n - 0.5, 0.5)
    ax.set_xticks(range(n - 1), list(correlations.columns[:-1]), rotation=40, ha="right")
    ax.set_yticks(range(1, n), list(correlations.index[1:]))
    ax.spines[:].set_visible(False)
    return finish(ax)


@styled
def plot_wiring(
    connectivity: xr.DataArray, truth: xr.DataArray, wiring: pd.DataFrame
) -> np.ndarray:
    """Precision and recall of finding connections, and how many signs are right.

    Parameters
    ----------
    connectivity : DataArray, dims (reading, post, pre)
        Pairs of different neurons are ranked by magnitude; readings that are zero
        everywhere are left out.
    truth : DataArray, dims (post, pre)
        Zero where there is no connection.
    wiring : DataFrame
        A row per reading: ``average_precision``, ``base_rate``, ``sign_accuracy``.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> truth = xr.DataArray([[0.0, 1.0], [0.0, 0.0]], dims=("post", "pre"))
    >>> found = truth.expand_dims(reading=["glm"])
    >>> wiring = pd.DataFrame(
    ...     {"average_precision": [1.0], "base_rate": [0.5], "sign_accuracy": [1.0]}, ["glm"])
    >>> axes = plot_wiring(found, truth, wiring)
    >>> axes[0].get_legend().get_texts()[0].get_text()
    'glm (AP 1.00)'
    """
    found = [matrix for matrix in connectivity if np.any(matrix.values)]
    names = [str(matrix["reading"].item()) for matrix in found]
    colors = state_colors(len(found))
    _, axes = new_panels(1, 2, 9.0, 3.4, width_ratios=[1.5, 1.0])
    curves, bars = axes[0]
    exists = between_neurons(truth) != 0
    for name, matrix, color in zip(names, found, colors, strict=True):
        recall, precision, _ = precision_recall(exists, np.abs(between_neurons(matrix)))
        label = f"{name} (AP {wiring.loc[name, 'average_precision']:.2f})"
        curves.step(recall, precision, where="pre", color=color, label=label)
    base_rate = exists.mean()
    label = f"by chance ({base_rate:.2f})"
    curves.axhline(base_rate, color=MUTED, linestyle=":", linewidth=1.0, label=label)
    curves.set(xlim=(0, 1.02), ylim=(0, 1.02))
    curves.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    finish(curves, xlabel="Recall of connections", ylabel="Precision")
    places, signs = np.arange(len(found)), wiring.loc[names, "sign_accuracy"].to_numpy(float)
    bars.barh(places, signs, height=0.62, color=colors, alpha=0.85)
    bars.axvline(0.5, color=MUTED, linestyle=":", linewidth=1.0)
    for place, value in zip(places, signs, strict=True):
        bars.annotate(
            f"{value:.2f}",
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    bars.set_yticks(places, names)
    bars.set_ylim(len(found) - 0.5, -0.5)
    bars.set_xlim(0, 1.12)
    finish(bars, xlabel="Right signs of connections that exist")
    return axes[0]
