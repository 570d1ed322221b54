"""How an input changes where the states go."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import FAINT, finish, new_panels, state_colors, styled

# Standard deviations of the input to either side of its mean that are drawn.
_REACH = 2.0
_SMALLEST = 1e-6


@styled
def plot_driven_transitions(
    fit: xr.Dataset, input: Any = None, *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Probability of the next state against an input that drives the transitions.

    Parameters
    ----------
    fit : Dataset
        A fit's ``to_dataset()``: `transition_matrix` (state, next_state), `transition_weights`
        (state, input), and `transition_input_mean` and `transition_input_sd` (input,), without
        which they are 0 and 1.
    input : optional
        Name of the input; the others are at their means.  Default: the first.
    axes : array of Axes, optional
        One per state, drawn on; default: a new figure.

    Returns
    -------
    ndarray of Axes, shape (state,)
        A panel per state that is left: the probability of going to each other one, within two
        standard deviations of the input.

    Raises
    ------
    InvalidInputError
        If no input drives the transitions, there is none of that name, or only one state.

    Examples
    --------
    >>> fit = xr.Dataset(
    ...     {"transition_matrix": (("state", "next_state"), [[0.9, 0.1], [0.2, 0.8]]),
    ...      "transition_weights": (("state", "input"), [[1.0], [-1.0]])},
    ...     {"input": ["speed"]},
    ... )
    >>> [ax.get_title("left") for ax in plot_driven_transitions(fit)]
    ['From state 0', 'From state 1']
    """
    values, proba = _probabilities(fit, input)
    n_states = proba.shape[1]
    if axes is None:
        width = min(2.1 * n_states + 1.3, 12.0)
        axes = new_panels(1, n_states, width, 2.7, sharey=True)[1][0]
    colors = state_colors(n_states)
    for before, ax in enumerate(axes):
        ax.axvline(float(values[len(values) // 2]), color=FAINT, linewidth=0.8, zorder=0)
        for after in range(n_states):
            if after != before:
                ax.plot(values, proba[:, before, after], color=colors[after])
        ax.set_yscale("log")
        ax.set_xlim(values[0], values[-1])
        finish(ax, xlabel=str(values.name), title=f"From state {before}")
    moves = proba[:, ~np.eye(n_states, dtype=bool)]
    axes[0].set_ylim(max(moves.min() / 1.5, _SMALLEST), min(moves.max() * 1.5, 1.3))
    finish(axes[0], ylabel="Probability per bin")
    for after, color in enumerate(colors):
        axes[-1].plot([], [], color=color, label=f"to state {after}")
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.6)
    return axes


def _probabilities(fit: xr.Dataset, name: Any) -> tuple[xr.DataArray, np.ndarray]:
    """Values of an input, and transition matrices (value, state, next_state) there."""
    missing = [x for x in ("transition_matrix", "transition_weights") if x not in fit]
    if missing:
        raise InvalidInputError(
            f"the Dataset lacks {', '.join(missing)}; expected to_dataset() of a model that was "
            "fitted with transition_inputs"
        )
    names = fit["input"].values.tolist()
    if name is None:
        name = names[0]
    if name not in names:
        raise InvalidInputError(f"no input {name!r}; choose one of {', '.join(map(repr, names))}")
    matrix = fit["transition_matrix"].transpose("state", "next_state").values.astype(float)
    if len(matrix) < 2:
        raise InvalidInputError("the model has one state, which has nowhere to go")
    weights = fit["transition_weights"].sel(input=name).values
    mean, sd = (
        float(fit[f"transition_input_{x}"].sel(input=name)) if f"transition_input_{x}" in fit else y
        for x, y in (("mean", 0.0), ("sd", 1.0))
    )
    away = np.linspace(-_REACH, _REACH, 101) * sd
    proba = matrix * np.exp(away[:, None, None] * weights)
    values = xr.DataArray(mean + away, dims="value", name=name)
    return values, proba / proba.sum(-1, keepdims=True)
