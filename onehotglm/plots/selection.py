"""Which number of states held-out data and information criteria call for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import ACCENT, INHIBITORY, INK, MUTED, finish, new_panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CRITERIA = {
    "bic": ("BIC", 1, INHIBITORY, "o"),
    "icl": ("ICL", 1, "#b7791f", "s"),
    "elbo": ("ELBO, negative", -1, "#6b21a8", "^"),
}


@styled
def plot_selection(
    table: pd.DataFrame,
    choices: pd.Series | None = None,
    *,
    rule: str = "one-se",
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw what speaks for each number of states.

    Parameters
    ----------
    table : DataFrame, index n_states
        Of `onehotglm.select_n_states`: `bits_per_spike`, `se_below_best`, and what there is of
        `bic`, `icl`, `elbo` and `flagged`.
    choices : Series, index rule, optional
        Number of states by each rule; that of `rule` is marked.
    rule : str
    axes : array of two Axes, optional
        Drawn on; default: a new figure.

    Returns
    -------
    ndarray of Axes, shape (2,)
        Above held-out bits per spike.  Bars are one standard error of the difference to the
        best number, whose score is the dashed line: where a bar reaches the line, data do not
        tell the number from the best.  Hollow: the fit has dead or duplicate states.  Below
        the criteria, each above its minimum.

    Raises
    ------
    InvalidInputError
        If the table has nothing to draw.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"bits_per_spike": [0.1, 0.2], "se_below_best": [0.01, 0.0], "bic": [9.0, 5.0]},
    ...     index=pd.Index([1, 2], name="n_states"),
    ... )
    >>> [ax.get_ylabel() for ax in plot_selection(table)]
    ['Held-out bits per spike', 'Criterion above its minimum']
    """
    criteria = [name for name in _CRITERIA if name in table and table[name].notna().any()]
    scored = "bits_per_spike" in table and table["bits_per_spike"].notna().any()
    if not criteria and not scored:
        raise InvalidInputError(
            "the table has neither scores nor criteria to draw; it has the columns "
            f"{', '.join(map(str, table.columns)) or 'none'}"
        )
    if axes is None:
        axes = new_panels(2, 1, 4.6, 5.0, sharex=True)[1][:, 0]
    chosen = None if choices is None else choices.get(rule)
    if scored:
        _draw_scores(axes[0], table.dropna(subset="bits_per_spike"), chosen)
    for name in criteria:
        label, sign, color, marker = _CRITERIA[name]
        values = sign * table[name].dropna()
        axes[1].plot(
            values.index, values - values.min(), color=color, marker=marker, ms=4, label=label
        )
    if criteria:
        axes[1].legend()
    for ax in axes:
        if chosen is not None:
            ax.axvline(chosen, color=ACCENT, linewidth=7, alpha=0.14, zorder=0)
        ax.set_xticks(table.index)
    finish(axes[0], ylabel="Held-out bits per spike")
    finish(axes[1], xlabel="Number of states", ylabel="Criterion above its minimum")
    if chosen is not None:
        axes[0].set_title(f"{chosen} state{'s' if chosen > 1 else ''} by rule {rule!r}")
    return axes


def _draw_scores(ax: Axes, table: pd.DataFrame, chosen: int | None) -> None:
    score = table["bits_per_spike"]
    ax.axhline(score.max(), color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.errorbar(
        score.index, score, yerr=table["se_below_best"], color=INK, elinewidth=1.2, capsize=2.5
    )
    flagged = np.zeros(len(table), bool)
    if "flagged" in table:
        flagged = table["flagged"].fillna("").astype(bool).to_numpy()
    for number, value, hollow in zip(score.index, score, flagged, strict=True):
        color = ACCENT if number == chosen else INK
        face = "white" if hollow else color
        ax.plot(number, value, "o", color=color, markerfacecolor=face, markersize=5.5, zorder=3)
    if flagged.any():
        ax.plot([], [], "o", color=INK, markerfacecolor="white", label="dead or duplicate states")
        ax.legend(loc="lower right")
