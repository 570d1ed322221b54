"""The sections of a report: each draws its figures and fills its tables, or is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm import plots
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.estimator.scoring import score_unit
from onehotglm.estimator.settings import RUN_ONLY
from onehotglm.plots.style import new_panels, styled
from onehotglm.plots.timeline import bin_size_of, observed_bins
from onehotglm.report.content import ReportContent, ReportFigure, ReportSection, ReportTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WINDOW = 30.0
_TOP_CONNECTIONS = 15
# Parameters that a reader looks for, even where nobody chose them.
_ALWAYS_SHOWN = ("n_states", "prior", "link", "observation", "basis", "n_lags", "method")
_TYPE_NAMES = ("inhibitory", "absent", "excitatory")


def build_sections(content: ReportContent) -> list[ReportSection]:
    """Draw the figures and fill the tables of a report.

    Parameters
    ----------
    content : ReportContent

    Returns
    -------
    list of ReportSection
        Those that have data, in the order of the page.

    Examples
    --------
    >>> [section.title for section in build_sections(ReportContent("A", {"Rat": "B"}))]
    ['What was fitted']
    """
    builders = (
        _fitted_section,
        _prediction_section,
        _state_section,
        _coupling_section,
        _truth_section,
        _check_section,
    )
    built = [builder(content) for builder in builders]
    return [section for section in built if section is not None] + list(content.extra_sections)


def _drawn(name: str, ax: Axes, caption: str) -> ReportFigure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return ReportFigure(name, figure, caption)


def _fitted_section(content: ReportContent) -> ReportSection | None:
    facts = dict(content.facts)
    if content.spikes is not None:
        facts |= _data_facts(content.spikes, _unit(content) == "sample")
    if content.fit is not None:
        facts |= _fit_facts(content.fit)
    return ReportSection("What was fitted", facts=facts) if facts else None


def _observation(content: ReportContent) -> str:
    return "poisson" if content.fit is None else content.fit.attrs.get("observation", "poisson")


def _unit(content: ReportContent) -> str:
    """Say what scores are per: "spike", or "sample" of a signal."""
    return score_unit(_observation(content))


def _data_facts(spikes: xr.DataArray, signals: bool = False) -> dict[str, Any]:
    present = observed_bins(spikes)
    bin_size = bin_size_of(spikes)
    counts = spikes.transpose("session", "time", "neuron").values[present]
    n_spikes = np.nansum(counts, dtype=float)
    seconds = np.isfinite(counts).sum() * bin_size
    facts = {
        "Units": spikes.sizes["neuron"],
        "Sessions": spikes.sizes["session"],
        "Bins": f"{present.sum():,} of {1000 * bin_size:g} ms, {_duration(present, bin_size)}",
    }
    if signals:
        return facts | {"Signals": f"from {np.nanmin(counts):.3g} to {np.nanmax(counts):.3g}"}
    rate = f"mean rate {n_spikes / max(seconds, bin_size):.3g} Hz per unit"
    return facts | {"Spikes": f"{n_spikes:,.0f}, {rate}"}


def _duration(present: np.ndarray, bin_size: float) -> str:
    seconds = present.sum() * bin_size
    return f"{seconds:.3g} s in all" if seconds < 600 else f"{seconds / 60:.3g} min in all"


def _fit_facts(fit: xr.Dataset) -> dict[str, str]:
    """Say what was asked of a fit, and how it ended."""
    defaults = {name: x.default for name, x in signature(OneHotHMMGLM).parameters.items()}
    given = {"n_states": fit.sizes["state"]} if "state" in fit.sizes else {}
    given |= {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in fit.attrs.items()
        if name in defaults and name not in ("bin_size", *RUN_ONLY)
    }
    shown = {
        name: value
        for name, value in given.items()
        if name in _ALWAYS_SHOWN or not np.array_equal(value, defaults[name])
    }
    text = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    facts = {"Model": f"{text}; other parameters as by default"}
    if "stop_reason" in fit.attrs:
        facts["Fit"] = (
            f"stopped after {fit.attrs['n_iter']} iterations: {fit.attrs['stop_reason']}; "
            f"{fit.attrs['n_parameters']:,.0f} effective parameters"
        )
    return facts


def _prediction_section(content: ReportContent) -> ReportSection | None:
    if content.scores is None:
        return None
    unit = _unit(content)
    ax = plots.plot_scores(content.scores, reference=content.true_score, unit=unit)
    baseline = (
        "mean and variance in the training data" if unit == "sample" else "mean training rate"
    )
    caption = (
        f"Bits per {unit} that the model gains over each unit's {baseline}, on bins that "
        "were not used for fitting. Lines: intervals over the held-out sessions."
    )
    names = {"name": "model", "bits_per_spike": f"bits per {unit}"}
    table = content.scores.rename(columns=names)
    return ReportSection(
        "Prediction of held-out data",
        tables=[ReportTable(table)],
        figures=[_drawn("prediction", ax, caption)],
    )


def _state_section(content: ReportContent) -> ReportSection | None:
    if content.states is None:
        return None
    transition = content.fit.get("transition_matrix") if content.fit is not None else None
    figures = [] if content.spikes is None else _raster_figures(content, content.spikes)
    figures.append(
        ReportFigure(
            "state_dynamics",
            _dynamics_figure(content.states, _true_states(content), transition),
            "Left: share of time per state; dots are single sessions, diamonds the truth of a "
            "simulation. Middle: probability to go from one state to another in one bin. Right: "
            "share of visits that last longer than a time; steps are the decoded states "
            "(Kaplan-Meier), dashes the geometric law that the transition matrix implies.",
        )
    )
    table = ReportTable(
        plots.state_table(content.states, transition),
        "Visits include those cut by the edge of a session.",
    )
    return ReportSection("States", tables=[table], figures=figures)


def _true_states(content: ReportContent) -> xr.DataArray | None:
    return None if content.truth is None else content.truth.get("states")


def _raster_figures(content: ReportContent, spikes: xr.DataArray) -> list[ReportFigure]:
    assert content.states is not None
    session, start, stop = content.window or _busiest_window(content.states)
    arrays: dict[str, Any] = {
        "states": content.states,
        "posterior": content.posterior,
        "true_states": _true_states(content),
    }
    axes = plots.plot_states(spikes, **arrays, session=session, start=start, stop=stop)
    shown = "Signals" if _unit(content) == "sample" else "Spikes"
    caption = (
        f"{shown}, posterior probability of the states, and the most likely path of states, in a "
        "window with many changes of state."
    )
    figures = [_drawn("states_window", axes[0], caption)]
    if observed_bins(spikes).sum() * bin_size_of(spikes) > 2 * _WINDOW:
        axes = plots.plot_states(spikes, **arrays, session=None)
        caption = (
            "The same for the whole recording; grey levels are means over short stretches, each "
            "unit's relative to its own peak."
        )
        figures.append(_drawn("states_recording", axes[0], caption))
    return figures


def _busiest_window(states: xr.DataArray) -> tuple:
    """Session, start and stop (s) of the stretch of 30 s with the most changes of state."""
    array = states.transpose("session", "time")
    present = observed_bins(array)
    bin_size = bin_size_of(array)
    bins = max(int(_WINDOW / bin_size), 1)
    first = present.argmax(axis=1)
    changes = (np.diff(array.values, axis=1, prepend=array.values[:, :1]) != 0) & present
    index = (np.arange(array.sizes["time"]) - first[:, None]) // bins
    rows, columns = np.nonzero(changes)
    counts = np.zeros((len(changes), index.max() + 1), int)
    np.add.at(counts, (rows, index[rows, columns]), 1)
    row, block = np.unravel_index(counts.argmax(), counts.shape)
    start = float(block * bins * bin_size)
    return array["session"].values[row].item(), start, start + _WINDOW


@styled
def _dynamics_figure(
    states: xr.DataArray, true_states: xr.DataArray | None, transition: xr.DataArray | None
) -> Figure:
    n_states = None if transition is None else transition.sizes["state"]
    widths = [1.0, 1.75] if transition is None else [1.0, 1.25, 1.75]
    figure, axes = new_panels(1, len(widths), 9.5, 3.0, width_ratios=widths)
    plots.plot_occupancy(states, true_states=true_states, n_states=n_states, ax=axes[0, 0])
    if transition is not None:
        many = transition.sizes["state"] > 10
        plots.plot_transition_matrix(transition, ax=axes[0, 1], colorbar=many)
    plots.plot_dwell_times(states, transition, ax=axes[0, -1])
    return figure


def _coupling_section(content: ReportContent) -> ReportSection | None:
    if content.fit is None or "connectivity" not in content.fit:
        return None
    fit = content.fit
    axes = plots.plot_connectivity(fit, standard_errors="connectivity_se" in fit)
    matrices = _drawn("couplings", axes[0, 0], _matrix_caption(fit))
    graph = _drawn(
        "coupling_graph",
        plots.plot_graph(_mean_couplings(fit), **_graph_extras(content)),
        "The strongest couplings, averaged over the states: arrows excite, bars inhibit, the "
        "width grows with the magnitude.",
    )
    caption = (
        "The couplings between different units with the largest magnitude in any state "
        f"({_TOP_CONNECTIONS} at most)."
    )
    table = ReportTable(_strongest_connections(fit), caption)
    figures = [matrices, graph]
    if fit.sizes.get("basis", 1) > 1:
        figures.append(
            _drawn(
                "kernels",
                plots.plot_kernels(fit)[0, 0],
                "How the strongest couplings unfold over the time since a spike, in each state.",
            )
        )
    return ReportSection("Couplings", tables=[table], figures=figures)


def _matrix_caption(fit: xr.Dataset) -> str:
    text = (
        "Couplings: change of the linear predictor η of the postsynaptic unit per spike of the "
        "presynaptic one, summed over lags."
    )
    if "shared_connectivity" in fit:
        text += " “Shared prior” is the interaction that all states have in common."
    if "connection_type" in fit:
        text += (
            " Below, the types: for the shared prior the difference P(excitatory) - "
            "P(inhibitory), for each state the type that was chosen."
        )
    return text


def _mean_couplings(fit: xr.Dataset) -> xr.DataArray:
    couplings = fit["connectivity"]
    return couplings.mean("state", keep_attrs=True) if "state" in couplings.dims else couplings


def _graph_extras(content: ReportContent) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if content.spikes is not None and _unit(content) == "spike":
        counts = content.spikes.transpose("session", "time", "neuron").values
        counts = counts[observed_bins(content.spikes)]
        extras["rates"] = np.nanmean(counts, axis=0) / bin_size_of(content.spikes)
    for source in (content.fit, content.truth):
        if source is not None and "position" in source:
            extras["positions"] = source["position"].transpose("neuron", ...)
    return extras


def _strongest_connections(fit: xr.Dataset) -> pd.DataFrame:
    couplings = fit["connectivity"].transpose(..., "post", "pre")
    values = couplings.values.reshape(-1, *couplings.shape[-2:])
    size = np.nan_to_num(np.abs(values).max(axis=0)) * ~np.eye(values.shape[-1], dtype=bool)
    ranking = np.argsort(-size, axis=None, kind="stable")[:_TOP_CONNECTIONS]
    rows = []
    for post, pre in zip(*np.unravel_index(ranking, size.shape), strict=True):
        if size[post, pre] == 0:
            break
        row: dict[str, Any] = {
            "from": str(couplings["pre"].values[pre]),
            "to": str(couplings["post"].values[post]),
        }
        if "shared_type_proba" in fit:
            proba = fit["shared_type_proba"].transpose("post", "pre", "type").values[post, pre]
            row["shared type"] = f"{_TYPE_NAMES[proba.argmax()]} ({proba.max():.2f})"
        if "shared_connectivity" in fit:
            shared = fit["shared_connectivity"].transpose("post", "pre").values
            row["shared"] = float(shared[post, pre])
        names = (
            [f"state {label}" for label in couplings["state"].values]
            if "state" in couplings.dims
            else ["coupling"]
        )
        rows.append(row | dict(zip(names, values[:, post, pre].tolist(), strict=True)))
    return pd.DataFrame(rows)


def _truth_section(content: ReportContent) -> ReportSection | None:
    tables = []
    if content.recovery is not None:
        measures = content.recovery.rename_axis("measure").reset_index()
        measures["measure"] = measures["measure"].str.replace("_", " ")
        tables.append(ReportTable(measures))
    figures = []
    if content.fit is not None and content.truth is not None and _comparable(content):
        caption = (
            "Couplings and types that were recovered, against the simulation's: one dot per "
            "state and pair of units; the confusion of types in percent of each true type; "
            "precision and recall of finding the connections that exist (AP: average "
            "precision; dotted: chance)."
        )
        axes = plots.plot_recovery(content.fit, content.truth)
        figures.append(_drawn("recovery", axes[0], caption))
    if not tables and not figures:
        return None
    return ReportSection("Comparison with the truth", tables=tables, figures=figures)


def _comparable(content: ReportContent) -> bool:
    """Whether fit and truth have couplings of equal sizes, or a truth without states."""
    sizes = [
        None if data is None or "connectivity" not in data else dict(data["connectivity"].sizes)
        for data in (content.fit, content.truth)
    ]
    found, true = sizes
    if found is None or true is None:
        return False
    return found in (true, {"state": found.get("state"), **true})


def _check_section(content: ReportContent) -> ReportSection | None:
    panels: list[tuple[Callable, tuple]] = []
    captions = []
    # Intervals and rescaled time are those of Poisson counts.
    poisson = _observation(content) == "poisson"
    if poisson and content.rates is not None and content.spikes is not None:
        data = (content.rates, content.spikes)
        panels += [(plots.plot_calibration, data), (plots.plot_time_rescaling, data)]
        captions.append(
            "Calibration: observed against predicted rate, in groups of bins with similar "
            "predictions, with 95 % intervals; on the diagonal, predictions mean what they say. "
            "Time rescaling: distribution of the rescaled intervals between the spikes of each "
            "unit; on the diagonal the model explains when spikes occur; dark lines leave it."
        )
    if content.fit is not None and "log_likelihood_path" in content.fit:
        panels.append((plots.plot_objective, (content.fit,)))
        captions.append("Objective of the fit over its iterations.")
    if not panels:
        return None
    figure = _panel_figure(panels)
    return ReportSection(
        "Checks of the fit", figures=[ReportFigure("checks", figure, " ".join(captions))]
    )


@styled
def _panel_figure(panels: Sequence[tuple[Callable, tuple]]) -> Figure:
    figure, axes = new_panels(1, len(panels), 3.2 * len(panels), 3.1)
    for (panel, data), ax in zip(panels, axes[0], strict=True):
        panel(*data, ax=ax)
    return figure
