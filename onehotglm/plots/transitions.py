"""How the states follow each other: transitions, dwell times, occupancy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import INK, MUTED, finish, new_axes, state_colors, styled
from onehotglm.plots.timeline import Runs, bin_size_of, state_runs, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lower end of the axis of dwell times.
_LEAST_SHARE = 0.005


@styled
def plot_transition_matrix(
    transition_matrix: xr.DataArray | np.ndarray,
    *,
    ax: Axes | None = None,
    colorbar: bool = True,
) -> Axes:
    """Transition probabilities per bin, on a logarithmic colour scale.

    Parameters
    ----------
    transition_matrix : DataArray or ndarray, dims (state, next_state)
        Rows sum to one.
    ax : Axes, optional
        Drawn on; default: a new figure.
    colorbar : bool

    Returns
    -------
    Axes
        Up to ten states the probabilities are written into the matrix.

    Raises
    ------
    InvalidInputError
        If the array is not square.

    Examples
    --------
    >>> ax = plot_transition_matrix(np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> [text.get_text() for text in ax.texts]
    ['.900', '.100', '.200', '.800']
    """
    from matplotlib.colors import LogNorm

    matrix = _transition_values(transition_matrix)
    n_states = len(matrix)
    side = float(np.clip(0.5 * n_states + 1.2, 2.2, 5.0))
    ax = new_axes(ax, side + 0.9, side)
    image = ax.imshow(np.maximum(matrix, 1e-4), cmap="Greys", norm=LogNorm(1e-4, 1.0))
    if n_states <= 10:
        for (row, column), value in np.ndenumerate(matrix):
            color = "white" if value > 0.03 else INK
            text = _short_probability(value)
            ax.text(column, row, text, ha="center", va="center", color=color, fontsize=7.5)
    ax.set_xticks(range(n_states))
    ax.set_yticks(range(n_states))
    if colorbar:
        bar = ax.figure.colorbar(image, ax=ax, label="Probability per bin", pad=0.02, aspect=18)
        bar.outline.set_visible(False)
        bar.ax.minorticks_off()
        bar.set_ticks([1e-4, 1e-3, 1e-2, 1e-1, 1.0], labels=["≤.0001", ".001", ".01", ".1", "1"])
        bar.ax.tick_params(length=2.5, width=0.7, labelsize=8)
    return finish(ax, xlabel="Next state", ylabel="State", frame=True)


@styled
def plot_dwell_times(
    states: xr.DataArray,
    transition_matrix: xr.DataArray | np.ndarray | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Share of visits that last longer than a time, per state, and what the model implies.

    Steps: Kaplan-Meier estimate from the decoded states, where visits cut by the
    end of a session count as censored, and those whose beginning was not seen
    are left out.  Dashed: the geometric law ``P(dwell > d bins) = A[s, s]^d`` of
    the transition matrix.

    Parameters
    ----------
    states : DataArray, dims (session, time)
        Integers, -1 where there is no bin.
    transition_matrix : DataArray or ndarray, dims (state, next_state), optional
        Probabilities per bin.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> states = xr.DataArray(
    ...     [[0, 0, 1, 1, 0, 1]], dims=("session", "time"),
    ...     coords={"session": [0]}, attrs={"bin_size": 0.02})
    >>> ax = plot_dwell_times(states)
    >>> ax.get_xlabel()
    'Dwell time (s)'
    """
    runs = state_runs(timeline(states))
    stay = None if transition_matrix is None else np.diag(_transition_values(transition_matrix))
    n_states = int(states.max()) + 1 if stay is None else len(stay)
    ax = new_axes(ax, 5.2, 3.2)
    curves = {state: dwell_survival(runs, state) for state in range(n_states)}
    longest = max(durations[survival > _LEAST_SHARE][-1] for durations, survival in curves.values())
    longest = 1.05 * longest or bin_size_of(states)
    grid = np.linspace(0, longest, 200)
    for (state, curve), color in zip(curves.items(), state_colors(n_states), strict=True):
        ax.step(*curve, where="post", color=color, label=f"State {state}")
        if stay is not None:
            implied = stay[state] ** (grid / bin_size_of(states))
            ax.plot(grid, implied, color=color, linestyle=(0, (3, 2)), linewidth=1.0)
    ax.set_yscale("log")
    ax.set_ylim(_LEAST_SHARE, 1.15)
    ax.set_yticks([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
    ax.set_xlim(0, longest)
    if stay is not None:
        ax.plot([], [], color=MUTED, linestyle=(0, (3, 2)), linewidth=1.0, label="implied")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.6)
    return finish(ax, xlabel="Dwell time (s)", ylabel="Visits that last longer")


def dwell_survival(runs: Runs, state: int) -> tuple[np.ndarray, np.ndarray]:
    """Kaplan-Meier estimate of P(dwell time > d) for one state.

    Parameters
    ----------
    runs : Runs
    state : int

    Returns
    -------
    durations : ndarray
        0 and the durations that were seen, s; only 0 without a complete visit.
    survival : ndarray
        Share of visits that last longer than each.
    """
    from scipy.stats import CensoredData, ecdf

    mine = (runs.state == state) & runs.entered
    complete, cut = runs.duration[mine & runs.left], runs.duration[mine & ~runs.left]
    if not len(complete):
        return np.zeros(1), np.ones(1)
    estimate = ecdf(CensoredData(uncensored=complete, right=cut)).sf
    durations = np.concatenate([[0.0], estimate.quantiles])
    return durations, np.concatenate([[1.0], estimate.probabilities])


@styled
def plot_occupancy(
    states: xr.DataArray,
    *,
    true_states: xr.DataArray | None = None,
    n_states: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of the time spent in each state; dots: single sessions.

    Parameters
    ----------
    states : DataArray, dims (session, time)
        Integers, -1 where there is no bin.
    true_states : DataArray, dims (session, time), optional
        Of the simulation, in the labels of the fit; drawn as open diamonds.
    n_states : int, optional
        Default: the highest state plus one.
    ax : Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> states = xr.DataArray(
    ...     [[0, 0, 1, -1]], dims=("session", "time"), coords={"session": [0]},
    ...     attrs={"bin_size": 0.02})
    >>> ax = plot_occupancy(states)
    >>> [round(float(bar.get_height())) for bar in ax.patches]
    [67, 33]
    """
    n_states = int(states.max()) + 1 if n_states is None else n_states
    ax = new_axes(ax, 0.45 * n_states + 1.8, 3.2)
    per_session, overall = _occupancy(states, n_states)
    ax.bar(range(n_states), overall, color=state_colors(n_states), width=0.7)
    if 1 < len(per_session) <= 60:
        spread = np.linspace(-0.22, 0.22, len(per_session))
        for state in range(n_states):
            ax.plot(state + spread, per_session[:, state], ".", color=INK, ms=2.5, alpha=0.5)
    if true_states is not None:
        _, truth = _occupancy(true_states, n_states)
        ax.plot(range(n_states), truth, "D", mfc="white", mec=INK, ms=5, label="true")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), borderaxespad=0.0)
    ax.set_xticks(range(n_states))
    return finish(ax, xlabel="State", ylabel="Share of time (%)")


def state_table(
    states: xr.DataArray, transition_matrix: xr.DataArray | np.ndarray | None = None
) -> pd.DataFrame:
    """Occupancy and dwell times of every state.

    Parameters
    ----------
    states : DataArray, dims (session, time)
        Integers, -1 where there is no bin.
    transition_matrix : DataArray or ndarray, dims (state, next_state), optional
        Adds the implied mean dwell time, ``bin_size / (1 - A[s, s])``.

    Returns
    -------
    DataFrame
        One row per state: share of time (%), visits, median dwell time (s),
        and the implied mean (s).

    Examples
    --------
    >>> states = xr.DataArray(
    ...     [[0, 0, 1, 0]], dims=("session", "time"), coords={"session": [0]},
    ...     attrs={"bin_size": 0.5})
    >>> state_table(states)["visits"].tolist()
    [2, 1]
    """
    runs = state_runs(timeline(states))
    stay = None if transition_matrix is None else np.diag(_transition_values(transition_matrix))
    n_states = int(states.max()) + 1 if stay is None else len(stay)
    _, share = _occupancy(states, n_states)
    rows = []
    for state in range(n_states):
        durations, survival = dwell_survival(runs, state)
        below = durations[survival <= 0.5]
        row = {
            "state": state,
            "share of time (%)": share[state],
            "visits": int((runs.state == state).sum()),
            "median dwell (s)": below[0] if len(below) else np.nan,
        }
        if stay is not None:
            leave = 1.0 - stay[state]
            row["implied mean dwell (s)"] = bin_size_of(states) / leave if leave > 0 else np.inf
        rows.append(row)
    return pd.DataFrame(rows)


def _occupancy(states: xr.DataArray, n_states: int) -> tuple[np.ndarray, np.ndarray]:
    """Percent of time per session (those with bins), and over all bins."""
    values = states.transpose("session", "time").values
    if "time" in states.coords:
        values = np.where(states["time"].values >= -bin_size_of(states) / 2, values, -1)
    counts = np.stack([(values == state).sum(axis=1) for state in range(n_states)], axis=1)
    counts = counts[counts.sum(axis=1) > 0].astype(float)
    total = counts.sum()
    overall = 100 * counts.sum(axis=0) / total if total else np.zeros(n_states)
    return 100 * counts / counts.sum(axis=1, keepdims=True), overall


def _transition_values(transition_matrix: xr.DataArray | np.ndarray) -> np.ndarray:
    if isinstance(transition_matrix, xr.DataArray):
        transition_matrix = transition_matrix.transpose("state", "next_state").values
    matrix = np.asarray(transition_matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidInputError(
            f"transition_matrix has shape {matrix.shape}; expected (state, next_state), square"
        )
    return matrix


def _short_probability(value: float) -> str:
    if value >= 0.9995:
        return "1"
    return f"{value:.3f}"[1:] if value >= 0.0005 else "<.001"
