"""One chain of states for all neurons, or one for each group: what speaks for which."""

from __future__ import annotations

import numpy as np
import pandas as pd

from onehotglm.plots.style import ABSENT, ACCENT, INK, MUTED, finish, new_panels, styled


@styled
def plot_chain_comparison(
    scores: pd.DataFrame, mutual_information: float, null: np.ndarray, *, title: str | None = None
) -> np.ndarray:
    """Gains of the models over one chain, and the dependence of the groups' states.

    Parameters
    ----------
    scores : DataFrame
        One row per model, first the one chain: ``name``, held-out ``bits_per_spike``, and the
        ``gain`` over the first with the ends ``gain_low`` and ``gain_high`` of its interval.
    mutual_information : float
        Between the groups' states, bits.
    null : ndarray
        The same after shifts in time.
    title : str, optional

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> scores = pd.DataFrame({
    ...     "name": ["one", "two"], "bits_per_spike": [0.1, 0.2],
    ...     "gain": [0.0, 0.1], "gain_low": [0.0, 0.08], "gain_high": [0.0, 0.12],
    ... })
    >>> len(plot_chain_comparison(scores, 0.1, np.array([0.01, 0.02])))
    2
    """
    axes = new_panels(1, 2, 8.4, 2.5, width_ratios=(1.2, 1))[1][0]
    first, others = scores.iloc[0], scores.iloc[1:]
    places, gain = np.arange(len(others)), others["gain"].to_numpy(float)
    bars = [gain - others["gain_low"], others["gain_high"] - gain]
    axes[0].axvline(0, color=MUTED, linewidth=0.8)
    axes[0].errorbar(gain, places, xerr=bars, fmt="o", color=ACCENT, markersize=5, elinewidth=1.4)
    labels = [
        f"{name}\n{bits:.4f}"
        for name, bits in zip(others["name"], others["bits_per_spike"], strict=True)
    ]
    axes[0].set_yticks(places, labels)
    axes[0].set_ylim(len(others) - 0.4, -0.6)
    axes[0].margins(x=0.15)
    over = f"Gain over {first['name']}, {first['bits_per_spike']:.4f} (bits per spike held out)"
    finish(axes[0], xlabel=over, title=title)
    axes[1].hist(null, bins=25, color=ABSENT, label="shifted in time")
    axes[1].axvline(mutual_information, color=ACCENT, linewidth=1.6, label="as recorded")
    axes[1].legend(frameon=False, loc="upper right", fontsize=8, labelcolor=INK)
    finish(axes[1], xlabel="Dependence of the groups' states (bits)", ylabel="Shifts")
    return axes
