"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the page.

    Attributes
    ----------
    name : str
        Name of its PNG file, without the ending.
    figure : matplotlib.figure.Figure
        Closed once it is written.
    caption : str
        What it shows and how to read it.
    """

    name: str
    figure: Figure
    caption: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table of the page: numbers are rounded to three digits, NaN becomes a dash."""

    data: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A section of the page.

    Attributes
    ----------
    title : str
    text : str
        One paragraph.
    facts : mapping of str to object
        Shown as a list of names and values.
    tables : sequence of ReportTable
    figures : sequence of ReportFigure
    html : str
        Inserted as it is, after the rest: pass trusted text only.
    """

    title: str
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[ReportTable] = ()
    figures: Sequence[ReportFigure] = ()
    html: str = ""


@dataclass(frozen=True)
class ReportContent:
    """What a report is made of; what is missing is left out of the page.

    Attributes
    ----------
    title : str
    facts : mapping of str to object
        Facts about the recording and the run ("Recording": "session.nwb"),
        shown first; the sizes of `spikes` and the parameters of `fit` are added.
    fit : Dataset, optional
        ``model.to_dataset()``.
    spikes : DataArray, dims (session, time, neuron), optional
        Counts, NaN where missing.
    states : DataArray, dims (session, time), optional
        Decoded; -1 where there is no bin.
    posterior : DataArray, dims (session, time, state), optional
    rates : DataArray, dims (session, time, neuron), optional
        Predicted rates in Hz, of the same bins as `spikes`.
    scores : DataFrame, optional
        Held-out prediction, a row per prior: ``name``, ``bits_per_spike``, and
        where known ``low`` and ``high``; other columns are shown as they are.
    true_score : float, optional
        Bits per spike of the true parameters on the same data.
    truth : Dataset, optional
        The simulation, its states in the labels of the fit.
    recovery : DataFrame, optional
        Measures against the truth (rows), a column per prior.
    window : tuple, optional
        Session, start and stop (s) of the raster; default: 30 s with many
        changes of state.
    warnings : sequence of str
    extra_sections : sequence of ReportSection
    citation : str
        How to cite, for example ``onehotglm.citation("software", "one-hot")``.
    """

    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    fit: xr.Dataset | None = None
    spikes: xr.DataArray | None = None
    states: xr.DataArray | None = None
    posterior: xr.DataArray | None = None
    rates: xr.DataArray | None = None
    scores: pd.DataFrame | None = None
    true_score: float | None = None
    truth: xr.Dataset | None = None
    recovery: pd.DataFrame | None = None
    window: tuple | None = None
    warnings: Sequence[str] = ()
    extra_sections: Sequence[ReportSection] = ()
    citation: str = ""
