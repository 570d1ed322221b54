"""Couplings with their intervals: which of them can be told from zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.ordering import DEFAULT_UNITS
from onehotglm.plots.style import MUTED, finish, new_axes, state_colors, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = tuple(f"connectivity_{part}" for part in ("mean", "low", "high"))


@styled
def plot_coupling_intervals(
    errors: xr.Dataset, *, n_strongest: int = 20, ax: Axes | None = None
) -> Axes:
    """Posterior means and intervals of the strongest couplings, one below the other.

    Dots are full where the interval excludes zero; colours are states.

    Parameters
    ----------
    errors : Dataset
        From ``model.standard_errors(spikes)``: ``connectivity_mean``, ``connectivity_low`` and
        ``connectivity_high`` with dims (state, post, pre).
    n_strongest : int
        So many couplings, by the magnitude of their means.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the intervals are missing or `n_strongest` is not positive.

    Examples
    --------
    >>> mean = xr.DataArray([[[0.0, 1.0], [-0.5, 0.0]]], dims=("state", "post", "pre"))
    >>> errors = xr.Dataset({
    ...     "connectivity_mean": mean,
    ...     "connectivity_low": mean - 0.7,
    ...     "connectivity_high": mean + 0.7,
    ... })
    >>> ax = plot_coupling_intervals(errors, n_strongest=2)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1 → 0', '0 → 1']
    """
    missing = [name for name in _NEEDED if name not in errors]
    if missing:
        raise InvalidInputError(
            f"the data have no {', '.join(missing)}; pass what model.standard_errors(spikes) "
            "returns"
        )
    if n_strongest < 1:
        raise InvalidInputError(f"n_strongest={n_strongest!r}; expected a positive number")
    couplings = _strongest(errors, n_strongest)
    rows = np.arange(len(couplings))
    ax = new_axes(ax, 4.0, 0.6 + 0.19 * len(rows))
    ax.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
    labels = (
        np.arange(errors.sizes["state"]) if "state" not in errors.coords else errors["state"].values
    )
    colors = dict(zip(labels, state_colors(len(labels)), strict=True))
    for label, mine in couplings.groupby("state"):
        color = colors[label]
        ax.hlines(mine["row"], mine["low"], mine["high"], color=color, linewidth=1.6)
        certain = (mine["low"] > 0) | (mine["high"] < 0)
        faces = np.where(certain, color, "white")
        ax.scatter(
            mine["mean"], mine["row"], s=22, c=faces, edgecolors=color, zorder=3,
            label=f"State {label}",
        )  # fmt: skip
    ax.set_yticks(rows, [f"{row.pre} → {row.post}" for row in couplings.itertuples()])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    if errors.sizes["state"] > 1:
        _legend(ax)
    units = errors["connectivity_mean"].attrs.get("units", DEFAULT_UNITS)
    level = errors.attrs.get("level")
    interval = "interval" if level is None else f"{100 * level:g} % interval"
    return finish(ax, xlabel=f"Coupling ({units}), {interval}", ylabel="Pre → post")


def _strongest(errors: xr.Dataset, number: int) -> pd.DataFrame:
    """One row per coupling."""
    dims = ("state", "post", "pre")
    for dim in dims:
        if dim not in errors.coords:
            errors = errors.assign_coords({dim: np.arange(errors.sizes[dim])})
    names = dict(zip(_NEEDED, ("mean", "low", "high"), strict=True))
    couplings = errors[list(_NEEDED)].rename(names).to_dataframe(dim_order=dims).reset_index()
    strength = couplings["mean"].abs().sort_values(ascending=False, kind="stable")
    strongest = couplings.loc[strength.index[:number]].reset_index(drop=True)
    return strongest.assign(row=np.arange(len(strongest)))


def _legend(ax: Axes) -> None:
    legend = ax.legend(loc="best", handletextpad=0.2, labelspacing=0.3)
    handles: Any = filter(None, legend.legend_handles)
    for handle in handles:
        handle.set_facecolor(handle.get_edgecolor())
