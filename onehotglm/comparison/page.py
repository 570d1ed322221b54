"""A comparison as a result folder: tables, figures, and a page that shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.comparison.result import Comparison
from onehotglm.report import (
    ReportContent,
    ReportFigure,
    ReportSection,
    ReportTable,
    write_report,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPACE = "\N{NO-BREAK SPACE}"
_COLUMNS = {
    "name": "decoder",
    "bits_per_spike": "bits per spike",
    "training": "training",
    "fit_seconds": "fit (s)",
    "n_parameters": "parameters",
}
_WIRING_COLUMNS = {
    "average_precision": "average precision",
    "base_rate": "by chance",
    "sign_accuracy": "right signs",
    "correlation": "correlation",
}


def write_comparison(
    folder: str | Path,
    title: str,
    comparison: Comparison,
    *,
    spikes: xr.DataArray | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``table.csv``, ``comparison.nc``, figures and ``report.html``.

    Parameters
    ----------
    folder : str or Path
        Created where it is not there.
    title : str
        Of the page.
    comparison : Comparison
    spikes : DataArray, dims (session, time, neuron), optional
        The recording, whose sizes head the page.
    facts : mapping of str to object, optional
        More about the recording, for the top of the page.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    DataFileError
        If a file cannot be written.
    """
    from onehotglm.references import citation

    folder = Path(folder)
    comparison.save(folder)
    content = ReportContent(
        title=title,
        facts=dict(facts or {}),
        spikes=spikes,
        warnings=_warnings(comparison),
        extra_sections=_sections(comparison),
        citation=citation("software", "one-hot"),
    )
    return write_report(folder / "report.html", content, figure_folder=folder)


def readable_table(comparison: Comparison) -> pd.DataFrame:
    """`Comparison.table` with intervals in words, as the page and the terminal show it.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    DataFrame
    """
    table = comparison.table
    shown = table[list(_COLUMNS)].rename(columns=_COLUMNS)
    shown.insert(2, "95 % interval", _texts(table, "{1} to {2}", "bits_per_spike", "low", "high"))
    ends = ("difference", "difference_low", "difference_high")
    over = f"more than {comparison.reference}"
    shown.insert(3, over, _texts(table, "{0} ({1} to {2})", *ends))
    return shown


def readable_wiring(comparison: Comparison) -> pd.DataFrame | None:
    """`Comparison.wiring` with the readings as a column; None without a known wiring.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    DataFrame or None
    """
    wiring = comparison.wiring
    if wiring is None:
        return None
    return wiring.rename(columns=_WIRING_COLUMNS).reset_index(names="reading")


def _texts(table: pd.DataFrame, form: str, *columns: str) -> list[str]:
    """Three numbers of each row in words that do not break; a dash where they are missing."""
    texts = []
    for row in table[list(columns)].to_numpy(float):
        numbers = (f"{round(value, 3) + 0.0:.3f}" for value in row)  # no negative zero
        text = form.format(*numbers).replace("-", "\N{MINUS SIGN}")
        texts.append("\N{EN DASH}" if np.isnan(row).any() else text.replace(" ", _SPACE))
    return texts


def _warnings(comparison: Comparison) -> list[str]:
    failed = [f"{name} is missing: {why}" for name, why in comparison.failures.items()]
    return failed + [
        f"{result.name}: {message}" for result in comparison.results for message in result.warnings
    ]


def _sections(comparison: Comparison) -> list[ReportSection]:
    sections = [_prediction(comparison)]
    if len(comparison.correlations):
        sections.append(_connectivity(comparison))
    if comparison.truth is not None:
        sections.append(_wiring(comparison))
    return sections


def _drawn(name: str, ax: "Axes", caption: str) -> ReportFigure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return ReportFigure(name, figure, caption)


def _prediction(comparison: Comparison) -> ReportSection:
    n_blocks = comparison.n_spikes.sizes["session"]
    n_spikes = int(comparison.n_spikes.sum())
    figures = [
        _drawn(
            "prediction",
            comparison.plot_scores(),
            "Bits per spike gained over each unit's mean training rate, on the held-out blocks, "
            "with 95 % intervals from resampling blocks.",
        )
    ]
    if comparison.table["difference"].notna().any():
        figures.append(
            _drawn(
                "differences",
                comparison.plot_differences(),
                f"Difference to {comparison.reference} on the same blocks, with paired 95 % "
                "intervals: an interval that excludes zero tells two decoders apart, even where "
                "their own intervals overlap.",
            )
        )
    return ReportSection(
        "Prediction of held-out blocks",
        text=(
            f"Every decoder was fitted to the same blocks and predicts each bin of {n_blocks} "
            f"others ({n_spikes:,} spikes) from the bins before it. Times to fit include "
            "compilation and the connectivity."
        ),
        tables=[ReportTable(readable_table(comparison))],
        figures=figures,
    )


def _connectivity(comparison: Comparison) -> ReportSection:
    axes = comparison.plot_connectivity()
    figures = [
        _drawn(
            "connectivities",
            axes[0, 0],
            "Rows receive, columns send. A decoder's name alone: how much one spike moves the "
            "predicted rate, summed over lags (mean Jacobian), the one reading that all have. "
            "“Couplings”: the model's own, in units of its linear predictor, averaged over the "
            "time in each state; “shared”: what the prior says that all states have in common. "
            "Colours saturate at the 98th percentile between different units.",
        )
    ]
    if len(comparison.correlations) > 1:
        figures.append(
            _drawn(
                "correlations",
                comparison.plot_correlations(),
                "Pearson correlation of the couplings between different units.",
            )
        )
    return ReportSection("Connectivities", figures=figures)


def _wiring(comparison: Comparison) -> ReportSection:
    table = readable_wiring(comparison)
    assert table is not None
    caption = (
        "Pairs of different units, ranked by the magnitude of their coupling: precision and recall "
        "of the connections that exist (AP: average precision), and how many of them have the "
        "right sign."
    )
    figures = []
    if len(comparison.correlations) > 1:
        figures.append(_drawn("wiring", comparison.plot_wiring()[0], caption))
    return ReportSection("Against the true wiring", tables=[ReportTable(table)], figures=figures)
