"""How well fits do: the objective on the way, scores of held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import ACCENT, INK, finish, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def plot_objective(fit: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Objective over the iterations of the fit; of several restarts the best in colour.

    Parameters
    ----------
    fit : Dataset
        With ``log_likelihood_path``, dims (iteration,) or (restart, iteration),
        nats per bin.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the fit has no path.

    Examples
    --------
    >>> fit = xr.Dataset({"log_likelihood_path": ("iteration", [-0.3, -0.21, -0.2])})
    >>> plot_objective(fit).get_xlabel()
    'Iteration'
    """
    if "log_likelihood_path" not in fit:
        raise InvalidInputError(
            "the fit has no variable 'log_likelihood_path'; pass model.to_dataset()"
        )
    paths = fit["log_likelihood_path"].transpose(..., "iteration")
    values = np.atleast_2d(paths.values)
    finite = np.where(np.isfinite(values), values, -np.inf)
    ax = new_axes(ax, 4.6, 3.0)
    best = int(np.argmax(finite.max(axis=1)))
    iterations = np.arange(1, values.shape[1] + 1)
    for row in sorted(range(len(values)), key=lambda row: row == best):
        color, width = (ACCENT, 1.6) if row == best else ("#b6bbc4", 1.0)
        ax.plot(iterations, values[row], color=color, linewidth=width)
    last = np.flatnonzero(np.isfinite(values[best]))[-1]
    ax.plot(iterations[last], values[best, last], "o", color=ACCENT, markersize=4)
    ax.annotate(
        f"{values[best, last]:.4g}".replace("-", "\N{MINUS SIGN}"),
        (iterations[last], values[best, last]),
        xytext=(0, 5),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    return finish(ax, xlabel="Iteration", ylabel="Objective (nats per bin)")


@styled
def plot_scores(
    scores: pd.DataFrame,
    *,
    reference: float | None = None,
    unit: str = "spike",
    ax: Axes | None = None,
) -> Axes:
    """Held-out bits per spike as bars with intervals.

    Parameters
    ----------
    scores : DataFrame
        One row per bar: ``name``, ``bits_per_spike``, and where known ``low``
        and ``high``, the ends of its interval.
    reference : float, optional
        Bits per spike of the true parameters, drawn as a line.
    unit : str
        "sample" for scores of signals.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If a column is missing.

    Examples
    --------
    >>> scores = pd.DataFrame({"name": ["none", "one-hot"], "bits_per_spike": [0.14, 0.15]})
    >>> [round(float(bar.get_width()), 2) for bar in plot_scores(scores).patches]
    [0.14, 0.15]
    """
    missing = {"name", "bits_per_spike"} - set(scores.columns)
    if missing:
        raise InvalidInputError(
            f"scores lack the columns {', '.join(sorted(missing))}; they have "
            f"{', '.join(map(str, scores.columns))}"
        )
    ax = new_axes(ax, 4.6, 0.36 * len(scores) + 1.0)
    places, values = np.arange(len(scores)), scores["bits_per_spike"].to_numpy(float)
    ends = values.copy()
    ax.barh(places, values, height=0.62, color=ACCENT, alpha=0.85)
    if {"low", "high"} <= set(scores.columns):
        low, high = scores["low"].to_numpy(float), scores["high"].to_numpy(float)
        ax.errorbar(values, places, xerr=[values - low, high - values], fmt="none", color=INK, lw=1)
        ends = np.fmax(values, high)
    for place, value, end in zip(places, values, ends, strict=True):
        ax.annotate(
            f"{round(value, 3) + 0.0:.3f}",  # no negative zero
            (max(end, 0.0), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    if reference is not None:
        ax.axvline(reference, color=INK, linestyle=(0, (3, 2)), linewidth=1.0)
        ax.text(reference, -0.62, "true parameters", ha="center", va="bottom", fontsize=8)
    ax.set_yticks(places, scores["name"].astype(str))
    ax.set_ylim(len(scores) - 0.5, -0.6)
    ax.margins(x=0.16)
    return finish(ax, xlabel=f"Held-out bits per {unit}")
