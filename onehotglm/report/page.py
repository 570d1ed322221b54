"""Write a report: sections to HTML, figures to PNG."""

from __future__ import annotations

import base64
import datetime
import io
import platform
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

from onehotglm.errors import DataFileError
from onehotglm.report.content import ReportContent, ReportFigure, ReportSection, ReportTable
from onehotglm.report.sections import build_sections

_PAGE_DPI = 150
_FILE_DPI = 200
_MINUS = "\N{MINUS SIGN}"
_MISSING = "\N{EN DASH}"
_VERSIONS_OF = ("jax", "numpy", "scipy", "xarray")


def write_report(
    path: str | Path, content: ReportContent, *, figure_folder: str | Path | None = None
) -> Path:
    """Write the page, and on request its figures as PNG files.

    Parameters
    ----------
    path : str or Path
        Of the HTML file, in an existing folder.
    content : ReportContent
    figure_folder : str or Path, optional
        Existing folder for the PNG files.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    DataFileError
        If a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/report.html", ReportContent("Session 3", {"Rat": "A"}))
    ...     "Session 3" in page.read_text()
    True
    """
    path = Path(path)
    sections = build_sections(content)
    try:
        if figure_folder is not None:
            _write_figures(Path(figure_folder), sections)
        _write(path, _render(content, sections).encode())
    finally:
        _close_figures(sections)
    return path


def save_figures(folder: str | Path, content: ReportContent) -> list[Path]:
    """Write the figures of a report as PNG files, without the page.

    Parameters
    ----------
    folder : str or Path
        Existing folder.
    content : ReportContent

    Returns
    -------
    list of Path

    Raises
    ------
    DataFileError
        If a file cannot be written.

    Examples
    --------
    >>> save_figures("results", ReportContent("Nothing to draw"))
    []
    """
    sections = build_sections(content)
    try:
        return _write_figures(Path(folder), sections)
    finally:
        _close_figures(sections)


def _render(content: ReportContent, sections: Sequence[ReportSection]) -> str:
    import jinja2

    template = resources.files("onehotglm.report").joinpath("page.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": format_value, "rows": _rows, "png": _data_uri}
    return environment.from_string(template).render(
        title=content.title,
        created=datetime.datetime.now().strftime("%d %B %Y, %H:%M"),
        warnings=content.warnings,
        sections=sections,
        versions=_versions(),
        citation=content.citation,
    )


def format_value(value: Any, decimals: int | None = None) -> str:
    """Text of a fact or a table cell.

    Parameters
    ----------
    value : object
    decimals : int, optional
        Of a float; default: as many as three significant digits need.

    Returns
    -------
    str
        A dash for None and NaN.

    Examples
    --------
    >>> format_value(0.14766), format_value(12345), format_value(0.1, decimals=2)
    ('0.148', '12,345', '0.10')
    """
    if value is None or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return _MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        text = f"{value:,}"
    elif not isinstance(value, (float, np.floating)):
        return str(value)
    elif np.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif decimals is not None:
        text = f"{np.round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0: no negative zero
    else:
        text = f"{value:,.0f}" if abs(float(value)) >= 1000 else f"{value:.3g}"
    return text.replace("-", _MINUS)


def _rows(table: ReportTable) -> list[list[tuple[str, str]]]:
    """Cells of a table as (class, text)."""
    columns = []
    for _, column in table.data.items():
        values = column.tolist()
        numeric = all(value is None or isinstance(value, (int, float)) for value in values)
        decimals = _decimals(values) if numeric else None
        columns.append([("num" * numeric, format_value(value, decimals)) for value in values])
    return [list(row) for row in zip(*columns, strict=True)]


def _decimals(values: Sequence) -> int | None:
    """Decimals that give the largest value of a column three significant digits."""
    sizes = np.abs(np.array([np.nan if value is None else value for value in values], float))
    largest = sizes[np.isfinite(sizes)].max(initial=0.0)
    return int(np.clip(2 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 2


def _png(figure: Any, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def _data_uri(figure: ReportFigure) -> str:
    encoded = base64.b64encode(_png(figure.figure, _PAGE_DPI)).decode("ascii")
    return f"data:image/png;base64,{encoded}"


def _write_figures(folder: Path, sections: Sequence[ReportSection]) -> list[Path]:
    written = []
    for section in sections:
        for figure in section.figures:
            path = folder / f"{figure.name}.png"
            _write(path, _png(figure.figure, _FILE_DPI))
            written.append(path)
    return written


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be written ({error.strerror}); choose an existing folder that you "
            "may write to"
        ) from error


def _close_figures(sections: Sequence[ReportSection]) -> None:
    figures = [figure.figure for section in sections for figure in section.figures]
    if figures:
        import matplotlib.pyplot as plt

        for figure in figures:
            plt.close(figure)


def _versions() -> dict[str, str]:
    from onehotglm import __version__

    others = {name: metadata.version(name) for name in _VERSIONS_OF}
    return {"onehotglm": __version__, "Python": platform.python_version()} | others
