"""Recovered couplings and types against the truth of a simulation.

States carry arbitrary labels: match the fit to the truth before calling these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.ordering import DEFAULT_UNITS
from onehotglm.plots.style import (
    ABSENT,
    ACCENT,
    EXCITATORY,
    INHIBITORY,
    INK,
    MUTED,
    finish,
    new_axes,
    new_panels,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TYPES = {-1: "inhibitory", 0: "absent", 1: "excitatory"}
_COLORS = {-1: INHIBITORY, 0: ABSENT, 1: EXCITATORY}


@styled
def plot_coupling_recovery(fit: xr.Dataset, truth: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Fitted against true couplings, one dot per state and pair of neurons.

    Colours are the true types (of ``connection_type``, or else the sign of the
    coupling); the line is identity; r is Pearson's correlation.

    Parameters
    ----------
    fit, truth : Dataset
        Each with ``connectivity`` of equal sizes, states in the same order.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If couplings are missing or their sizes differ.

    Examples
    --------
    >>> couplings = xr.DataArray([[0.0, 1.0], [-0.5, 0.0]], dims=("post", "pre"))
    >>> data = couplings.to_dataset(name="connectivity")
    >>> ax = plot_coupling_recovery(data, data)
    >>> ax.get_xlabel()
    'True coupling (Δη per spike)'
    """
    true, found = _pair(fit, truth, "connectivity")
    types = _true_types(truth, true.dims).values.ravel()
    true_values, found_values = true.values.ravel(), found.values.ravel()
    known = np.isfinite(true_values) & np.isfinite(found_values)
    ax = new_axes(ax, 3.6, 3.5)
    size = float(np.clip(4e4 / max(known.sum(), 1), 2.0, 22.0))
    for kind in (0, -1, 1):
        mine = known & (types == kind)
        points = ax.scatter(
            true_values[mine],
            found_values[mine],
            s=size,
            color=_COLORS[kind],
            alpha=0.55,
            linewidth=0,
            label=TYPES[kind],
        )
        points.set_rasterized(mine.sum() > 5000)
    low = min(true_values[known].min(initial=0.0), found_values[known].min(initial=0.0))
    high = max(true_values[known].max(initial=0.0), found_values[known].max(initial=0.0))
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color=INK, linewidth=0.8, zorder=0)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    legend = ax.legend(loc="lower right", handletextpad=0.1, borderaxespad=0.1, labelspacing=0.3)
    for handle in filter(None, legend.legend_handles):
        handle.set(sizes=[22], alpha=1.0)
    if known.sum() > 1 and true_values[known].std() > 0 and found_values[known].std() > 0:
        correlation = np.corrcoef(true_values[known], found_values[known])[0, 1]
        ax.text(0.04, 0.96, f"r = {correlation:.3f}", transform=ax.transAxes, va="top")
    units = truth["connectivity"].attrs.get("units", DEFAULT_UNITS)
    return finish(ax, xlabel=f"True coupling ({units})", ylabel="Fitted coupling")


@styled
def plot_type_confusion(fit: xr.Dataset, truth: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Fitted against true types: percent of each true type, and counts below.

    Parameters
    ----------
    fit, truth : Dataset
        Each with ``connection_type`` of equal sizes, states in the same order.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If types are missing or their sizes differ.

    Examples
    --------
    >>> types = xr.DataArray([[0, 1], [-1, 0]], dims=("post", "pre"))
    >>> data = types.to_dataset(name="connection_type")
    >>> plot_type_confusion(data, data).images[0].get_array().diagonal().tolist()
    [100.0, 100.0, 100.0]
    """
    true, found = _pair(fit, truth, "connection_type")
    counts = np.array(
        [[((true == t) & (found == f)).sum().item() for f in TYPES] for t in TYPES], dtype=float
    )
    totals = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, totals, out=np.full((3, 3), np.nan), where=totals > 0)
    ax = new_axes(ax, 3.6, 3.5)
    ax.imshow(percent, cmap="Greys", vmin=0, vmax=125)
    for (row, column), value in np.ndenumerate(percent):
        if np.isnan(value):
            continue
        text = f"{value:.1f} %\n{int(counts[row, column]):,}"
        color = "white" if value > 65 else INK
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    names = [name[:3] + "." if name != "absent" else name for name in TYPES.values()]
    ax.set_xticks(range(3), names)
    ax.set_yticks(range(3), names)
    return finish(ax, xlabel="Fitted type", ylabel="True type", frame=True)


@styled
def plot_precision_recall(fit: xr.Dataset, truth: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Precision against recall of finding the connections that exist.

    Pairs are ranked by 1 - P(absent) where the fit has ``connection_type_proba``,
    else by the magnitude of the coupling.  AP is the average precision; the
    dotted line is a random ranking; the circle is the fit's own decision.

    Parameters
    ----------
    fit, truth : Dataset
        With equal sizes, states in the same order.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If couplings are missing or their sizes differ.

    Examples
    --------
    >>> couplings = xr.DataArray([[0.0, 1.0], [-0.5, 0.0]], dims=("post", "pre"))
    >>> data = couplings.to_dataset(name="connectivity")
    >>> ax = plot_precision_recall(data, data)
    >>> ax.texts[0].get_text()
    'AP = 1.000'
    """
    true, found = _pair(fit, truth, "connectivity")
    exists = _true_types(truth, true.dims).values.ravel() != 0
    score = np.abs(found.values).ravel()
    if "connection_type_proba" in fit:
        proba = fit["connection_type_proba"].transpose(*true.dims, "type")
        score = 1.0 - proba.isel(type=1).values.ravel()
    known = np.isfinite(score) & np.isfinite(true.values.ravel())
    exists, score = exists[known], score[known]
    recall, precision, average = precision_recall(exists, score)
    ax = new_axes(ax, 3.6, 3.5)
    ax.step(recall, precision, where="pre", color=ACCENT)
    base = exists.mean() if exists.size else 0.0
    ax.axhline(base, color=MUTED, linestyle=":", linewidth=1.0)
    if "connection_type" in fit:
        chosen = fit["connection_type"].transpose(*true.dims).values.ravel()[known] != 0
        hits = (chosen & exists).sum()
        if hits:
            place = hits / exists.sum(), hits / chosen.sum()
            ax.plot(*place, "o", mfc="white", mec=ACCENT, ms=6, label="fitted types")
            ax.legend(loc="lower left", bbox_to_anchor=(0.0, max(base - 0.02, 0.02)))
    ax.text(0.04, 0.12 + base, f"AP = {average:.3f}", transform=ax.transAxes)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    return finish(ax, xlabel="Recall of connections", ylabel="Precision")


@styled
def plot_recovery(fit: xr.Dataset, truth: xr.Dataset) -> np.ndarray:
    """Couplings, types (with the one-hot prior) and precision-recall side by side.

    Parameters
    ----------
    fit, truth : Dataset
        With equal sizes, states in the same order.

    Returns
    -------
    ndarray of Axes, shape (panel,)

    Raises
    ------
    InvalidInputError
        If couplings are missing or their sizes differ.

    Examples
    --------
    >>> couplings = xr.DataArray([[0.0, 1.0], [-0.5, 0.0]], dims=("post", "pre"))
    >>> data = couplings.to_dataset(name="connectivity")
    >>> plot_recovery(data, data).shape
    (2,)
    """
    _pair(fit, truth, "connectivity")
    panels = [plot_coupling_recovery, plot_precision_recall]
    if "connection_type" in fit and "connection_type" in truth:
        panels.insert(1, plot_type_confusion)
    _, axes = new_panels(1, len(panels), 3.4 * len(panels), 3.3)
    for panel, ax in zip(panels, axes[0], strict=True):
        panel(fit, truth, ax=ax)
    return axes[0]


def precision_recall(exists: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Precision and recall over all thresholds; equal scores count as one threshold.

    Parameters
    ----------
    exists : bool ndarray, shape (pair,)
    score : ndarray, shape (pair,)

    Returns
    -------
    recall, precision : ndarray
        Starting at recall 0.
    average_precision : float
        ``sum_i (R_i - R_{i-1}) P_i``; NaN without a positive.
    """
    if not exists.any():
        return np.zeros(1), np.ones(1), float("nan")
    ranking = np.argsort(-score, kind="stable")
    hits = np.cumsum(exists[ranking])
    last = np.append(np.flatnonzero(np.diff(score[ranking])), len(score) - 1)
    recall = hits[last] / exists.sum()
    precision = hits[last] / (last + 1)
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return np.append(0.0, recall), np.append(precision[0], precision), average


def between_neurons(matrix: xr.DataArray) -> np.ndarray:
    """Couplings of all pairs of different neurons.

    What a neuron does to itself, by refractoriness or bursts, is large in most recordings
    and says nothing about the wiring.

    Parameters
    ----------
    matrix : DataArray, dims (post, pre)

    Returns
    -------
    ndarray, shape (pair,)
    """
    values = matrix.transpose("post", "pre").values
    return values[~np.eye(len(values), dtype=bool)]


def _pair(fit: xr.Dataset, truth: xr.Dataset, name: str) -> tuple[xr.DataArray, xr.DataArray]:
    for owner, data in (("fit", fit), ("truth", truth)):
        if name not in data:
            raise InvalidInputError(
                f"the {owner} has no variable {name!r}; it has "
                f"{', '.join(map(str, data.data_vars)) or 'none'}"
            )
    true, found = truth[name], fit[name]
    if "state" in found.dims and "state" not in true.dims:
        true = true.expand_dims(state=found["state"].values)
    if dict(true.sizes) != dict(found.sizes):
        raise InvalidInputError(
            f"{name} of the fit has sizes {dict(found.sizes)} and of the truth "
            f"{dict(true.sizes)}; compare a fit with as many states and the same neurons"
        )
    return true, found.transpose(*true.dims)


def _true_types(truth: xr.Dataset, dims: tuple) -> xr.DataArray:
    types = truth.get("connection_type")
    if types is None:
        types = xr.apply_ufunc(np.sign, truth["connectivity"])
    if "state" in dims and "state" not in types.dims:
        types = types.expand_dims("state")
    return types.transpose(*dims)
