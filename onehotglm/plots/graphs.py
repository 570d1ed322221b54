"""Directed graph of the strongest couplings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots.ordering import DEFAULT_UNITS, as_matrix
from onehotglm.plots.style import EXCITATORY, INHIBITORY, INK, new_axes, styled

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

LAYOUTS = ("kamada_kawai", "spring", "circular")
# In larger networks only the ends of the strongest couplings are labelled.
_MOST_LABELS = 40
_LABELLED_EDGES = 12
_HEADS = {True: "-|>,head_width=0.22,head_length=0.42", False: "-[,widthB=0.42,lengthB=0"}


class _Edges(NamedTuple):
    """Couplings that are drawn, the strongest last; all arrays have shape (edge,)."""

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray


@styled
def plot_graph(
    connectivity: xr.DataArray | np.ndarray,
    *,
    ax: Axes | None = None,
    n_edges: int | None = None,
    rates: xr.DataArray | np.ndarray | None = None,
    positions: xr.DataArray | np.ndarray | None = None,
    layout: str = "kamada_kawai",
    self_couplings: bool = False,
    title: str | None = None,
) -> Axes:
    """Directed graph of the strongest couplings of any network.

    Excitation is a red line that ends in an arrow, inhibition a blue line that
    ends in a bar; the width grows with the magnitude.  Nodes carry the unit ids;
    beyond 40 neurons, only the ends of the twelve strongest couplings do.

    Parameters
    ----------
    connectivity : DataArray or ndarray, dims (post, pre)
        Couplings; zeros and NaN are no edges.
    ax : Axes, optional
        Drawn on; default: a new figure.
    n_edges : int, optional
        How many of the strongest couplings are drawn; default: two per neuron,
        at most 120.
    rates : DataArray or ndarray, shape (neuron,), optional
        Mean rates in Hz, shown as the area of the nodes.
    positions : DataArray or ndarray, shape (neuron, axis), optional
        Places of the neurons, of which the first two axes are used; default:
        found by `layout`.
    layout : {"kamada_kawai", "spring", "circular"}
        Layout of networkx, on the couplings that are drawn.
    self_couplings : bool
        Draw the coupling of a neuron to itself.
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        For other dims, an unknown layout, or lengths that do not match.

    Examples
    --------
    >>> ax = plot_graph(np.array([[0.0, 1.0], [-0.5, 0.0]]), layout="circular")
    >>> len(ax.patches)
    2
    """
    matrix = as_matrix(connectivity)
    n_neurons = matrix.sizes["post"]
    if n_edges is None:
        n_edges = min(2 * n_neurons, 120)
    if n_edges < 0:
        raise InvalidInputError(f"n_edges is {n_edges}; expected zero or more")
    edges = _strongest(matrix.values, n_edges, self_couplings)
    places = _places(edges, n_neurons, positions, layout)
    areas = _node_areas(n_neurons, rates)

    ax = new_axes(ax, 5.4, 5.2)
    _draw_edges(ax, edges, places, np.sqrt(areas) / 2)
    _draw_nodes(ax, places, areas, matrix["post"].values, edges)
    _add_legend(ax, edges, matrix.attrs.get("units", DEFAULT_UNITS), rates)
    ax.set_aspect("equal")
    ax.margins(0.07)
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def _strongest(couplings: np.ndarray, n_edges: int, self_couplings: bool) -> _Edges:
    magnitude = np.abs(np.nan_to_num(couplings))
    if not self_couplings:
        magnitude = magnitude * ~np.eye(len(magnitude), dtype=bool)
    post, pre = np.nonzero(magnitude)
    strongest = np.argsort(magnitude[post, pre], kind="stable")[max(len(post) - n_edges, 0) :]
    post, pre = post[strongest], pre[strongest]
    return _Edges(pre, post, couplings[post, pre])


def _places(
    edges: _Edges,
    n_neurons: int,
    positions: xr.DataArray | np.ndarray | None,
    layout: str,
) -> np.ndarray:
    if layout not in LAYOUTS:
        raise InvalidInputError(f"layout {layout!r} is unknown; choose one of {', '.join(LAYOUTS)}")
    if positions is not None:
        places = np.asarray(positions, dtype=float)
        if places.ndim != 2 or places.shape[0] != n_neurons or places.shape[1] < 2:
            raise InvalidInputError(
                f"positions have shape {places.shape}; expected ({n_neurons}, 2): "
                "one row per neuron, x and y"
            )
        return places[:, :2]
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(n_neurons))
    graph.add_edges_from(zip(edges.pre.tolist(), edges.post.tolist(), strict=True))
    if layout == "circular":
        found = nx.circular_layout(graph)
    elif layout == "spring":
        found = nx.spring_layout(graph, iterations=300, seed=0)
    else:
        found = nx.kamada_kawai_layout(graph, dist=_graph_distances(graph))
    return np.array([found[node] for node in range(n_neurons)])


def _graph_distances(graph: nx.Graph) -> dict[int, dict[int, float]]:
    """Lengths of the shortest paths; parts without a path stay near each other."""
    import networkx as nx

    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    longest = max(max(row.values()) for row in lengths.values())
    apart = 0.5 * longest + 1.0
    return {i: {j: lengths[i].get(j, apart) for j in graph} for i in graph}


def _node_areas(n_neurons: int, rates: xr.DataArray | np.ndarray | None) -> np.ndarray:
    """Areas in points squared: proportional to the rates, large enough to be seen."""
    largest = float(np.clip(9000 / n_neurons, 70, 420))
    if rates is None:
        return np.full(n_neurons, largest / 2)
    hertz = np.asarray(rates, dtype=float)
    if hertz.shape != (n_neurons,):
        raise InvalidInputError(
            f"rates have shape {hertz.shape}; expected ({n_neurons},): one rate in Hz per neuron"
        )
    top = np.nanmax(hertz, initial=0.0)
    share = np.nan_to_num(hertz) / top if top > 0 else np.zeros(n_neurons)
    return largest * (0.2 + 0.8 * share)


def _draw_edges(ax: Axes, edges: _Edges, places: np.ndarray, radius: np.ndarray) -> None:
    from matplotlib.patches import FancyArrowPatch

    if not len(edges.weight):
        return
    strength = np.abs(edges.weight) / np.abs(edges.weight).max()
    scale = 1.0 if len(places) <= 40 else 0.7
    for pre, post, weight, share in zip(*edges, strength, strict=True):
        excites = weight > 0
        end = places[post] + (1e-3 if pre == post else 0.0)
        arrow = FancyArrowPatch(
            places[pre],
            end,
            arrowstyle=_HEADS[excites],
            connectionstyle=f"arc3,rad={0.12 if pre != post else 1.2}",
            mutation_scale=scale * (8 + 5 * share),
            linewidth=scale * (0.5 + 2.0 * share),
            color=EXCITATORY if excites else INHIBITORY,
            alpha=0.35 + 0.6 * share,
            shrinkA=radius[pre],
            shrinkB=radius[post] + 2.0,
            joinstyle="miter",
            capstyle="butt",
            zorder=1 + share,
        )
        ax.add_patch(arrow)


def _draw_nodes(
    ax: Axes, places: np.ndarray, areas: np.ndarray, labels: np.ndarray, edges: _Edges
) -> None:
    from matplotlib.patheffects import withStroke

    x, y = places.T
    ax.scatter(x, y, s=areas, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=3)
    if len(labels) <= _MOST_LABELS:
        for place_x, place_y, label in zip(x, y, labels, strict=True):
            ax.text(place_x, place_y, str(label), ha="center", va="center", fontsize=7, zorder=4)
        return
    for neuron in np.union1d(edges.pre[-_LABELLED_EDGES:], edges.post[-_LABELLED_EDGES:]):
        ax.annotate(
            str(labels[neuron]),
            places[neuron],
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )


def _add_legend(
    ax: Axes, edges: _Edges, units: str, rates: xr.DataArray | np.ndarray | None
) -> None:
    from matplotlib.legend_handler import HandlerPatch
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch

    def line_with_head(*, legend, orig_handle, xdescent, ydescent, width, height, fontsize):
        y = 0.5 * (height - ydescent)
        style = orig_handle.get_arrowstyle()
        ends = (-xdescent, y), (width - xdescent, y)
        return FancyArrowPatch(*ends, arrowstyle=style, mutation_scale=10, shrinkA=0, shrinkB=0)

    handles: list = []
    for excites, name in ((True, "excitatory"), (False, "inhibitory")):
        weights = np.abs(edges.weight[(edges.weight > 0) == excites])
        if not weights.size:
            continue
        handle = FancyArrowPatch((0, 0), (1, 0), arrowstyle=_HEADS[excites], mutation_scale=10)
        handle.set(color=EXCITATORY if excites else INHIBITORY, linewidth=1.5)
        handle.set_label(f"{name}, {_span(weights)}")
        handles.append(handle)
    if rates is not None:
        top = np.nanmax(np.asarray(rates, dtype=float), initial=0.0)
        label = f"area: rate, up to {top:.3g} Hz"
        handles.append(Line2D([], [], ls="", marker="o", mfc="white", mec=INK, ms=7, label=label))
    if handles:
        ax.legend(
            handles=handles,
            handler_map={FancyArrowPatch: HandlerPatch(patch_func=line_with_head)},
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=3,
            title=f"{len(edges.weight)} strongest couplings ({units})",
            title_fontsize=8,
        )


def _span(magnitudes: np.ndarray) -> str:
    low, high = f"{magnitudes.min():.2g}", f"{magnitudes.max():.2g}"
    return low if low == high else f"{low} to {high}"
