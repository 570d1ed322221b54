"""Spike raster with the posterior and the decoded states below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import (
    FAINT,
    INK,
    finish,
    neuron_ticks,
    new_axes,
    new_panels,
    state_colors,
    styled,
)
from onehotglm.plots.timeline import (
    Timeline,
    average_over,
    state_runs,
    timeline,
    with_session_start,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Up to this many bins every spike is drawn; beyond it, mean rates over groups of bins.
_MOST_RASTER_BINS = 4000
_GROUPS = 1200
Session = int | str | None


@styled
def plot_raster(
    spikes: xr.DataArray,
    *,
    ax: Axes | None = None,
    session: Session = 0,
    start: float | None = None,
    stop: float | None = None,
) -> Axes:
    """Spikes of a window: one tick per spiking bin, or mean rates where it is long.

    Bins with several spikes have darker ticks.  Windows of more than 4,000 bins
    show the mean rate of short stretches of time in grey, each unit's relative
    to its own 99th percentile, so that slow and fast units are both seen.
    Signals (values that are no counts) are always shown so, from each one's first
    percentile to its 99th.  Lead-in bins are left out, and missing ones are blank.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        Counts or signals, NaN where missing.
    ax : Axes, optional
        Drawn on; default: a new figure.
    session : int or str, optional
        Label of the session; ``None``: all sessions on the recording's clock
        (coordinate ``session_start``), or end to end without it.
    start, stop : float, optional
        Window in s, from the start of the session or on the recording's clock.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        For an unknown session or a window without bins.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.eye(3)[None], dims=("session", "time", "neuron"),
    ...     coords={"session": [0]}, attrs={"bin_size": 0.02})
    >>> ax = plot_raster(spikes)
    >>> len(ax.collections[0].get_segments())
    3
    """
    _check(spikes, "spikes", "neuron")
    line = timeline(spikes, session, start, stop)
    n_neurons = line.values.shape[1]
    ax = new_axes(ax, 9.5, _raster_height(n_neurons) + 0.6)
    signals = bool(((line.values < 0) | (line.values % 1 > 0)).any())
    if signals or len(line.time) > _MOST_RASTER_BINS:
        _draw_rates(ax, line, signals=signals)
    else:
        _draw_ticks(ax, line)
    ax.set_ylim(n_neurons - 0.5, -0.5)
    ax.set_xlim(line.time[0], line.time[-1] + line.bin_size)
    ids = spikes["neuron"].values
    neuron_ticks(ax.yaxis, ids, most=10 if len(ids) > 25 else max(len(ids) // 2, 5))
    return finish(ax, xlabel=_time_label(session), ylabel="Neuron")


@styled
def plot_state_strip(
    states: xr.DataArray,
    *,
    ax: Axes | None = None,
    session: Session = 0,
    start: float | None = None,
    stop: float | None = None,
    n_states: int | None = None,
    label: str = "State",
) -> Axes:
    """States of a window as a strip of colours, one rectangle per run.

    Parameters
    ----------
    states : DataArray, dims (session, time)
        Integers, -1 where there is no bin.
    ax : Axes, optional
        Drawn on; default: a new figure.
    session, start, stop
        The window, as in `plot_raster`.
    n_states : int, optional
        Number of states, which fixes the colours; default: the highest state
        in `states` plus one.
    label : str
        Shown beside the strip.

    Returns
    -------
    Axes

    Examples
    --------
    >>> states = xr.DataArray(
    ...     [[0, 0, 1, 1, 0, -1]], dims=("session", "time"),
    ...     coords={"session": [0]}, attrs={"bin_size": 0.02})
    >>> ax = plot_state_strip(states)
    >>> [len(runs.get_paths()) for runs in ax.collections]
    [2, 1]
    """
    _check(states, "states")
    line = timeline(states, session, start, stop)
    ax = new_axes(ax, 9.5, 0.9)
    n_states = int(states.max()) + 1 if n_states is None else n_states
    runs = state_runs(line)
    for state, color in enumerate(state_colors(n_states)):
        mine = runs.state == state
        if mine.any():
            spans = list(zip(runs.start[mine], runs.duration[mine], strict=True))
            ax.broken_barh(spans, (0, 1), color=color, linewidth=0, antialiased=False)
    ax.set_ylim(0, 1)
    ax.set_xlim(line.time[0], line.time[-1] + line.bin_size)
    ax.set_yticks([])
    ax.set_ylabel(label, rotation=0, ha="right", va="center")
    ax.spines["left"].set_visible(False)
    return finish(ax, xlabel=_time_label(session))


@styled
def plot_posterior(
    posterior: xr.DataArray,
    *,
    ax: Axes | None = None,
    session: Session = 0,
    start: float | None = None,
    stop: float | None = None,
) -> Axes:
    """Posterior probabilities of the states in a window, stacked.

    Parameters
    ----------
    posterior : DataArray, dims (session, time, state)
        Probabilities, NaN where there is no bin.
    ax : Axes, optional
        Drawn on; default: a new figure.
    session, start, stop
        The window, as in `plot_raster`; long ones are averaged over short
        stretches of time.

    Returns
    -------
    Axes

    Examples
    --------
    >>> posterior = xr.DataArray(
    ...     np.full((1, 4, 2), 0.5), dims=("session", "time", "state"),
    ...     coords={"session": [0]}, attrs={"bin_size": 0.02})
    >>> ax = plot_posterior(posterior)
    >>> len(ax.collections)
    2
    """
    _check(posterior, "posterior", "state")
    line = timeline(posterior, session, start, stop)
    ax = new_axes(ax, 9.5, 1.6)
    stop_time = line.time[-1] + line.bin_size
    ax.set_xlim(line.time[0], stop_time)
    if len(line.time) > _MOST_RASTER_BINS:
        line = average_over(line, _GROUPS)
    time, values = _as_steps(line)
    upper = np.cumsum(values, axis=1)
    for state, color in enumerate(state_colors(values.shape[1])):
        low = upper[:, state - 1] if state else np.zeros(len(time))
        ax.fill_between(time, low, upper[:, state], color=color, linewidth=0, step="post")
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 1])
    return finish(ax, xlabel=_time_label(session), ylabel="Posterior")


@styled
def plot_states(
    spikes: xr.DataArray,
    states: xr.DataArray,
    posterior: xr.DataArray | None = None,
    *,
    true_states: xr.DataArray | None = None,
    session: Session = 0,
    start: float | None = None,
    stop: float | None = None,
    n_states: int | None = None,
) -> np.ndarray:
    """Raster, posterior, decoded states and, in simulations, true states below each other.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing.
    states : DataArray, dims (session, time)
        From ``predict_states``.
    posterior : DataArray, dims (session, time, state), optional
        From ``predict_proba``.
    true_states : DataArray, dims (session, time), optional
        Of the simulation, in the labels of the fit.
    session, start, stop
        The window, as in `plot_raster`.
    n_states : int, optional
        Number of states, which fixes the colours; default: those of
        `posterior`, or the highest state seen plus one.

    Returns
    -------
    ndarray of Axes, shape (panel,)

    Raises
    ------
    InvalidInputError
        For an unknown session, a window without bins, or arrays whose sessions differ.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.eye(3)[None], dims=("session", "time", "neuron"),
    ...     coords={"session": [0]}, attrs={"bin_size": 0.02})
    >>> plot_states(spikes, spikes[..., 0].astype(int)).shape
    (2,)
    """
    _check(spikes, "spikes", "neuron")
    strips = {"Decoded": states}
    if true_states is not None:
        strips["True"] = true_states
    if n_states is None:
        highest = max(int(strip.max()) for strip in strips.values()) + 1
        n_states = highest if posterior is None else posterior.sizes["state"]
    clock = with_session_start(spikes)
    window: dict = {"session": session, "start": start, "stop": stop}
    heights = [_raster_height(spikes.sizes["neuron"])]
    heights += [0.65] * (posterior is not None) + [0.2] * len(strips)
    _, axes = new_panels(
        len(heights), 1, 9.5, sum(heights) + 0.85, sharex=True, height_ratios=heights
    )
    axes = axes[:, 0]
    plot_raster(clock, ax=axes[0], **window)
    if posterior is not None:
        plot_posterior(_on_clock(posterior, clock, "posterior"), ax=axes[1], **window)
    for ax, (label, strip) in zip(axes[-len(strips) :], strips.items(), strict=True):
        strip = _on_clock(strip, clock, "states")
        plot_state_strip(strip, ax=ax, n_states=n_states, label=label, **window)
    line = timeline(clock, **window)
    axes[0].set_xlim(line.time[0], line.time[-1] + line.bin_size)
    for ax in axes[:-1]:
        finish(ax, xlabel="")
    _add_state_legend(axes[0], n_states)
    axes[0].figure.align_ylabels(axes[: len(heights) - len(strips)])
    return axes


def _check(array: xr.DataArray, name: str, *last: str) -> None:
    expected = ("session", "time", *last)
    if set(array.dims) != set(expected):
        raise InvalidInputError(
            f"{name} have dims {array.dims}; expected {expected}, as the estimator returns them"
        )


def _on_clock(array: xr.DataArray, clock: xr.DataArray, name: str) -> xr.DataArray:
    """Give an output the times of the spikes, so that the panels share one axis."""
    if array.sizes["session"] != clock.sizes["session"]:
        raise InvalidInputError(
            f"{name} have {array.sizes['session']} sessions and the spikes "
            f"{clock.sizes['session']}; pass arrays of the same recording"
        )
    starts = ("session", clock["session_start"].values)
    labels = clock["session"].values
    array = array.assign_coords(session=labels, session_start=starts)
    return array.assign_attrs(bin_size=clock.attrs.get("bin_size", array.attrs.get("bin_size")))


def _raster_height(n_neurons: int) -> float:
    return float(np.clip(0.1 * n_neurons, 1.1, 4.0))


def _time_label(session: Session) -> str:
    return "Time in the recording (s)" if session is None else f"Time in session {session} (s)"


def _draw_ticks(ax: Axes, line: Timeline) -> None:
    from matplotlib.collections import LineCollection

    bins, neurons = np.nonzero(np.nan_to_num(line.values))
    centers = line.time[bins] + line.bin_size / 2
    counts = line.values[bins, neurons]
    ends = np.stack([neurons - 0.42, neurons + 0.42], axis=1)
    segments = np.stack([np.repeat(centers[:, None], 2, axis=1), ends], axis=2)
    alpha = np.clip(0.55 + 0.15 * (counts - 1), 0.55, 1.0)
    width = float(np.clip(900 / len(line.time), 0.6, 2.0))
    ticks = LineCollection(list(segments), color=INK, linewidth=width, alpha=alpha)
    ticks.set_rasterized(len(segments) > 20_000)
    ax.add_collection(ticks)


def _draw_rates(ax: Axes, line: Timeline, *, signals: bool) -> None:
    from matplotlib import colormaps

    grid = average_over(line, _GROUPS) if len(line.time) > _GROUPS else line
    # Units differ in rate by orders of magnitude: each is shown relative to itself.
    rates = grid.values.T
    if signals:
        rates = rates - np.nanquantile(rates, 0.01, axis=1, keepdims=True)
    peaks = np.nanquantile(rates, 0.99, axis=1, keepdims=True)
    peaks = np.where(peaks > 0, peaks, np.nanmax(rates, axis=1, keepdims=True))
    image = ax.imshow(
        rates / np.where(peaks > 0, peaks, 1.0),
        aspect="auto",
        cmap=colormaps["Greys"].with_extremes(bad=FAINT),
        vmin=0.0,
        vmax=1.0,
        extent=(grid.time[0], grid.time[-1] + grid.bin_size, len(rates) - 0.5, -0.5),
        interpolation="nearest",
    )
    label = "Signal / its range" if signals else "Rate / unit's peak"
    bar = ax.figure.colorbar(image, ax=ax, label=label, pad=0.01, aspect=14, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2.5, width=0.7, labelsize=8)


def _as_steps(line: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Close every contiguous stretch at its right edge, and part it from the next by NaN."""
    after = np.append(np.flatnonzero(line.opens)[1:], len(line.time))
    edges = line.time[after - 1] + line.bin_size
    time = np.insert(line.time, np.repeat(after, 2), np.repeat(edges, 2))
    closing = np.stack([line.values[after - 1], np.full_like(line.values[after - 1], np.nan)], 1)
    values = np.insert(
        line.values, np.repeat(after, 2), closing.reshape(-1, line.values.shape[1]), axis=0
    )
    return time, values


def _add_state_legend(ax: Axes, n_states: int) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=color, label=f"State {state}")
        for state, color in enumerate(state_colors(n_states))
    ]
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(n_states, 10),
        handlelength=1.0,
        handleheight=0.9,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
