"""One self-contained HTML page about a fit: data, prediction, states, couplings, checks.

The command line (or a user) fills a `ReportContent`; sections without data are
left out.  The page needs no network and no script, and prints.
"""

from onehotglm.report.content import ReportContent, ReportFigure, ReportSection, ReportTable
from onehotglm.report.page import save_figures, write_report
from onehotglm.report.sections import build_sections

__all__ = [
    "ReportContent",
    "ReportFigure",
    "ReportSection",
    "ReportTable",
    "build_sections",
    "save_figures",
    "write_report",
]
