"""A text with a number per byte, shown as the colour behind each letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.style import coupling_colormap, finish, new_panels, robust_limit, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTER_WIDTH, _LINE_HEIGHT = 0.098, 0.225  # inches
_MARKS = {ord("\n"): "⏎", ord("\t"): "⇥"}


@styled
def plot_text_strength(
    strength: xr.DataArray,
    *,
    ax: Axes | None = None,
    width: int = 64,
    limit: float | None = None,
    label: str = "strength",
    title: str | None = None,
) -> Axes:
    """Show a text with the strength of a synapse, or any other number, behind each letter.

    Red is above zero, blue below, white zero.

    Parameters
    ----------
    strength : DataArray, dims (token,)
        One number per byte, with the coordinate ``code``: the bytes; one row of
        what `onehotglm.networks.bdh.synapse_strength` returns.
    ax : Axes, optional
        Drawn on; default: a new figure that fits the text.
    width : int
        Letters per line.
    limit : float, optional
        Number at which the colour is full; default: a high quantile.
    label : str
        What the number is, beside the colour bar.
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        For other dims, without ``code``, or a width below 1.

    Examples
    --------
    >>> shown = xr.DataArray([0.0, 1.0], dims="token", coords={"code": ("token", [72, 105])})
    >>> ax = plot_text_strength(shown)
    >>> [text.get_text() for text in ax.texts]
    ['H', 'i']
    """
    if strength.dims != ("token",) or "code" not in strength.coords or width < 1:
        raise InvalidInputError(
            f"strength has dims {strength.dims} and coordinates {list(strength.coords)}, "
            f"width={width}; expected ('token',) with the coordinate 'code', and at least one "
            "letter per line: choose one synapse with strength.isel(synapse=0)"
        )
    letters = _letters(strength["code"].values)
    n_lines = -(-len(letters) // width)
    columns = min(width, len(letters))
    grid = np.full(n_lines * width, np.nan)
    grid[: len(letters)] = strength.values
    grid = grid.reshape(n_lines, width)[:, :columns]
    if ax is None:
        size = (0.9 + _LETTER_WIDTH * columns, 0.45 + _LINE_HEIGHT * n_lines)
        ax = new_panels(1, 1, *size)[1][0, 0]
    limit = robust_limit(strength.values) if limit is None else limit
    colors = coupling_colormap().with_extremes(bad="white")
    image = ax.imshow(
        grid, aspect="auto", cmap=colors, vmin=-limit, vmax=limit, interpolation="nearest"
    )
    for place, letter in enumerate(letters):
        line, column = divmod(place, width)
        dark = abs(strength.values[place]) > 0.7 * limit
        ax.text(
            column,
            line,
            letter,
            ha="center",
            va="center",
            family="monospace",
            fontsize=8.5,
            color="white" if dark else None,
        )
    # White lines keep the rows of a text apart.
    ax.hlines(np.arange(1, n_lines) - 0.5, -0.5, columns - 0.5, color="white", linewidth=3)
    ax.set_xticks([])
    ax.set_yticks([])
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.03, pad=0.02, aspect=12)
    bar.outline.set_visible(False)
    finish(bar.ax, ylabel=label)
    bar.locator = _few_ticks()
    bar.update_ticks()
    finish(ax, title=title)
    ax.spines[:].set_visible(False)
    return ax


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(2)


def _letters(codes: np.ndarray) -> list[str]:
    """One printable letter per byte; a letter of several bytes stands at its last one."""
    letters, pending = [], b""
    for code in codes.tolist():
        pending += bytes([code])
        try:
            letter = pending.decode()
        except UnicodeDecodeError:
            if len(pending) < 4:
                letters.append("")
                continue
            letter = "\N{REPLACEMENT CHARACTER}"
        pending = b""
        letters.append(_MARKS.get(code, letter) if letter.isprintable() or code in _MARKS else "·")
    return letters
