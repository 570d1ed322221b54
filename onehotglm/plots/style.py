"""Colours, typography and axes furniture that all figures share.

No function of `onehotglm.plots` changes matplotlib's global settings: each is
wrapped by `styled`, which applies `style` for the duration of the call only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# The ends of ColorBrewer's RdBu, which stays readable with any colour vision.
EXCITATORY = "#b2182b"
INHIBITORY = "#2166ac"
ABSENT = "#9ca3af"
INK = "#1f2328"
MUTED = "#6b7280"
FAINT = "#d7dae0"
ACCENT = "#0f766e"

# Paul Tol's "muted" scheme, colour-blind safe; the first ones differ most.
_STATE_COLORS = (
    "#332288",
    "#ddcc77",
    "#44aa99",
    "#cc6677",
    "#88ccee",
    "#117733",
    "#aa4499",
    "#999933",
    "#882255",
)
_FONTS = ("Arial", "Helvetica", "Liberation Sans")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@functools.cache
def _font_families() -> list[str]:
    """Find the first installed grotesque, and matplotlib's own font for missing glyphs."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [*[name for name in _FONTS if name in installed][:1], "DejaVu Sans"]


def style() -> dict:
    """Matplotlib settings of the package, for ``with plt.rc_context(style()):``.

    Returns
    -------
    dict
        Names and values of rcParams.

    Examples
    --------
    >>> style()["axes.titlelocation"]
    'left'
    """
    return {
        "font.family": _font_families(),
        "font.size": 9.0,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 6.0,
        "axes.labelsize": 9.0,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "xtick.labelsize": 8.0,
        "ytick.labelsize": 8.0,
        "legend.fontsize": 8.0,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
        "figure.dpi": 110,
        "figure.facecolor": "white",
    }


def styled(function: _Function) -> _Function:
    """Run a plotting function under `style`, and leave the settings as they were."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(style()):
            return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax` itself, or the Axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    return new_panels(1, 1, width, height)[1][0, 0]


def new_panels(
    n_rows: int, n_columns: int, width: float, height: float, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Make a new figure with a grid of Axes, always two-dimensional."""
    import matplotlib.pyplot as plt

    return plt.subplots(
        n_rows,
        n_columns,
        figsize=(width, height),
        layout="constrained",
        squeeze=False,
        **options,
    )


def only_drawn(axes: np.ndarray) -> np.ndarray:
    """Put None in place of Axes that are switched off."""
    return np.array([[ax if ax.axison else None for ax in row] for row in axes], object)


def finish(
    ax: Axes,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    frame: bool = False,
) -> Axes:
    """Set labels, frame and ticks, which matplotlib would make after the call in its own way."""
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)
    if title is not None:
        ax.set_title(title)
    ax.tick_params(
        which="both", length=3, width=0.7, color=MUTED, labelcolor=INK, labelsize=8, pad=2.5
    )
    if frame:
        ax.spines[:].set(visible=True, color=FAINT)
    else:
        ax.spines[["top", "right"]].set_visible(False)
    return ax


def state_colors(n_states: int) -> list[str]:
    """One colour per state, the same in every figure.

    Parameters
    ----------
    n_states : int

    Returns
    -------
    list of str
        Hexadecimal colours: nine that suit every colour vision, beyond that an
        even walk through the map cividis.

    Examples
    --------
    >>> state_colors(2)
    ['#332288', '#ddcc77']
    """
    if n_states <= len(_STATE_COLORS):
        return list(_STATE_COLORS[:n_states])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(color) for color in colormaps["cividis"](np.linspace(0, 1, n_states))]


def coupling_colormap() -> Colormap:
    """Blue (inhibition) over white (zero) to red (excitation); grey where missing.

    Returns
    -------
    matplotlib.colors.Colormap
    """
    from matplotlib.colors import LinearSegmentedColormap

    stops = [INHIBITORY, "#67a9cf", "#d1e5f0", "#ffffff", "#fddbc7", "#ef8a62", EXCITATORY]
    return LinearSegmentedColormap.from_list("coupling", stops).with_extremes(bad=FAINT)


def robust_limit(values: np.ndarray, quantile: float = 0.98) -> float:
    """Symmetric colour limit: a high quantile of the magnitudes that are not zero.

    Parameters
    ----------
    values : ndarray
        Any shape; NaN and zero are left out.
    quantile : float
        In (0, 1].

    Returns
    -------
    float
        Positive; 1.0 where nothing is left.

    Examples
    --------
    >>> robust_limit(np.array([0.0, -2.0, np.nan]))
    2.0
    """
    magnitudes = np.abs(np.asarray(values, dtype=float).ravel())
    magnitudes = magnitudes[np.isfinite(magnitudes) & (magnitudes > 0)]
    return float(np.quantile(magnitudes, quantile, method="higher")) if magnitudes.size else 1.0


def neuron_ticks(axis: Any, labels: np.ndarray, most: int) -> None:
    """Label rows or columns by unit id: all of them, or an even selection of `most`."""
    step = int(np.ceil(len(labels) / most))
    places = np.arange(0, len(labels), step)
    axis.set_ticks(places, [str(labels[place]) for place in places])
