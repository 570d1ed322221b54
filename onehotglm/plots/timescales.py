"""Timescales of neurons, how a curriculum went, and what a network withstands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import FAINT, INK, MUTED, finish, new_axes, state_colors, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "tau": "Timescale of the neuron (bins)",
    "network_tau": "Network-mediated timescale (bins)",
    "n_ablated": "Neurons silenced",
    "strength": "Norm of the noise, relative",
}


def _require(data: xr.Dataset, names: tuple[str, ...], source: str) -> None:
    missing = [name for name in names if name not in data]
    if missing:
        raise InvalidInputError(
            f"the dataset has no {', '.join(missing)}, only {', '.join(map(str, data))}; "
            f"give one from {source}"
        )


@styled
def plot_autocorrelation(
    timescales: xr.Dataset, *, neurons: np.ndarray | None = None, ax: Axes | None = None
) -> Axes:
    """Autocorrelations of some neurons, with the exponentials fitted to them.

    Parameters
    ----------
    timescales : Dataset
        From `onehotglm.networks.rnn.timescales.measure_timescales`: variables
        ``autocorrelation`` and ``fitted_autocorrelation`` (neuron, lag), and
        ``network_tau`` (neuron).
    neurons : int array, optional
        Positions of the neurons to draw; by default the slowest and those at the
        quartiles of the timescales.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes
        Dots are measured, lines are fitted.

    Raises
    ------
    InvalidInputError
        If a variable is missing, or no neuron has a timescale.

    Examples
    --------
    >>> curve = np.exp(-np.arange(9) / 3)[None]
    >>> timescales = xr.Dataset({
    ...     "autocorrelation": (("neuron", "lag"), curve),
    ...     "fitted_autocorrelation": (("neuron", "lag"), curve),
    ...     "network_tau": ("neuron", [3.0])}, coords={"lag": np.arange(9)})
    >>> plot_autocorrelation(timescales).get_xlabel()
    'Lag (bins)'
    """
    names = ("autocorrelation", "fitted_autocorrelation", "network_tau")
    _require(timescales, names, "measure_timescales")
    tau = timescales["network_tau"].values
    if neurons is None:
        order = np.argsort(tau)[: np.isfinite(tau).sum()]
        if not len(order):
            raise InvalidInputError("no neuron has a timescale: all activities are constant")
        places = np.unique(np.round(np.array([1.0, 0.75, 0.5, 0.25]) * (len(order) - 1)))
        neurons = order[places.astype(int)][::-1]
    ax = new_axes(ax, 3.8, 2.8)
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    for neuron, color in zip(neurons, state_colors(len(neurons)), strict=True):
        one = timescales.isel(neuron=int(neuron))
        ax.plot(one["lag"], one["autocorrelation"], "o", color=color, markersize=3)
        label = f"{float(one['network_tau']):.1f}"
        ax.plot(one["lag"], one["fitted_autocorrelation"], color=color, label=label)
    ax.legend(title="Timescale (bins)", title_fontsize=8)
    return finish(ax, xlabel="Lag (bins)", ylabel="Autocorrelation")


@styled
def plot_timescales(
    timescales: Mapping[str, xr.Dataset] | xr.Dataset,
    *,
    variable: str = "network_tau",
    ax: Axes | None = None,
) -> Axes:
    """Distribution of timescales over neurons, one column per network.

    Parameters
    ----------
    timescales : Dataset or mapping of str to Dataset
        From `onehotglm.networks.rnn.timescales.measure_timescales`; the keys label
        the columns.
    variable : {"network_tau", "tau"}
        Which timescale.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes
        One dot per neuron, the median and the quartiles as lines.

    Raises
    ------
    InvalidInputError
        If the variable is missing.

    Examples
    --------
    >>> one = xr.Dataset({"tau": ("neuron", [1.0, 1.5, 2.0])})
    >>> plot_timescales({"N = 2": one}, variable="tau").get_ylabel()
    'Timescale of the neuron (bins)'
    """
    columns = {"": timescales} if isinstance(timescales, xr.Dataset) else dict(timescales)
    for data in columns.values():
        _require(data, (variable,), "measure_timescales")
    ax = new_axes(ax, 1.6 + 0.55 * len(columns), 2.8)
    jitter = np.random.default_rng(0)
    for x, data in enumerate(columns.values()):
        values = data[variable].dropna("neuron").values
        spread = jitter.uniform(-0.25, 0.25, len(values))
        ax.plot(x + spread, values, ".", color=MUTED, alpha=0.35, markersize=3, zorder=1)
        if len(values):
            low, middle, high = np.percentile(values, [25, 50, 75])
            ax.vlines(x, low, high, color=INK, linewidth=1.2)
            ax.hlines(middle, x - 0.25, x + 0.25, color=INK, linewidth=1.8)
    pooled = np.concatenate([data[variable].dropna("neuron").values for data in columns.values()])
    if len(pooled) and pooled.max() > 10 * pooled.min() > 0:
        _log_axis_with_decimals(ax)
    ax.set_xticks(range(len(columns)), list(columns))
    ax.set_xlim(-0.6, len(columns) - 0.4)
    return finish(ax, ylabel=LABELS[variable])


def _log_axis_with_decimals(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    subs = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


@styled
def plot_curriculum(runs: Mapping[str, xr.Dataset] | xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Largest mastered span against training steps.

    Parameters
    ----------
    runs : Dataset or mapping of str to Dataset
        From `CurriculumRun.to_dataset`: variables ``n_steps`` and ``passed`` (span).
        Keys label the lines; keys that are equal up to a trailing " #number" share
        colour and label.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If a variable is missing.

    Examples
    --------
    >>> run = xr.Dataset({"n_steps": ("span", [100, 300]), "passed": ("span", [True, True])},
    ...                  coords={"span": [2, 3]})
    >>> plot_curriculum({"multi-head": run}).get_ylabel()
    'Largest mastered N'
    """
    from matplotlib.ticker import MaxNLocator

    lines = {"": runs} if isinstance(runs, xr.Dataset) else dict(runs)
    for data in lines.values():
        _require(data, ("n_steps", "passed"), "CurriculumRun.to_dataset")
    groups = list(dict.fromkeys(label.partition(" #")[0] for label in lines))
    colors = dict(zip(groups, state_colors(len(groups)), strict=True))
    ax = new_axes(ax, 4.2, 3.0)
    drawn: set[str] = set()
    for label, data in lines.items():
        group = label.partition(" #")[0]
        steps = np.concatenate([[0], np.cumsum(data["n_steps"].values)])
        mastered = np.where(data["passed"].values, data["span"].values, data["span"].values - 1)
        spans = np.concatenate([[data["span"].values[0] - 1], mastered])
        named = group if group and group not in drawn else None
        ax.step(steps, spans, where="post", color=colors[group], label=named, linewidth=1.1)
        drawn.add(group)
    if groups != [""]:
        ax.legend()
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(ax, xlabel="Training steps", ylabel="Largest mastered N")


@styled
def plot_robustness(curves: Mapping[str, xr.Dataset], *, ax: Axes | None = None) -> Axes:
    """Accuracy that is left after ablation or perturbation.

    Parameters
    ----------
    curves : mapping of str to Dataset
        From `ablation_curve` or `perturbation_curve` in
        `onehotglm.networks.rnn.lesions`, all of one kind; variable
        ``relative_accuracy`` over ``n_ablated`` or ``strength``.  A dimension ``run``,
        if there is one, is shown as mean and range.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the variable is missing, or the curves are of several kinds.

    Examples
    --------
    >>> curve = xr.Dataset({"relative_accuracy": ("strength", [1.0, 0.4])},
    ...                    coords={"strength": [0.0, 0.2]})
    >>> plot_robustness({"multi-head": curve}).get_ylabel()
    'Accuracy above chance, relative'
    """
    for data in curves.values():
        _require(data, ("relative_accuracy",), "ablation_curve or perturbation_curve")
    kinds = {str(dim) for data in curves.values() for dim in data.dims if dim != "run"}
    if len(kinds) != 1:
        raise InvalidInputError(
            f"the curves run over {', '.join(sorted(kinds))}, expected one dimension; "
            "draw ablations and perturbations apart"
        )
    (dim,) = kinds
    ax = new_axes(ax, 3.8, 2.8)
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    for (label, data), color in zip(curves.items(), state_colors(len(curves)), strict=True):
        left = data["relative_accuracy"]
        if "run" in left.dims:
            ax.fill_between(left[dim], left.min("run"), left.max("run"), color=color, alpha=0.2)
            left = left.mean("run")
        ax.plot(left[dim], left, "o-", color=color, label=label, markersize=3)
    ax.legend()
    return finish(ax, xlabel=LABELS.get(dim, dim), ylabel="Accuracy above chance, relative")
