"""Tests of `onehotglm.report`, here because they need the recordings of the figures' tests."""

import base64
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from onehotglm.errors import DataFileError
from onehotglm.report import (
    ReportContent,
    ReportFigure,
    ReportSection,
    ReportTable,
    build_sections,
    save_figures,
    write_report,
)
from onehotglm.report.page import format_value

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Outline(HTMLParser):
    """Check that tags are balanced, and collect headings, links and images."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.links, self.images, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [attrs[name] for name in ("id",) if name in attrs]
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]
        if tag == "img":
            self.images.append(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def parse(path):
    outline = Outline()
    outline.feed(path.read_text("utf-8"))
    outline.close()
    assert outline.open == []
    return outline


@pytest.fixture
def content(make_recording):
    truth, fit, posterior = make_recording(n_time_bins=400)
    names = ["one-hot", "none"]
    return ReportContent(
        title="Rat A & friends <1>",
        facts={"Recording": "a.nwb"},
        fit=fit,
        spikes=truth["spikes"],
        states=truth["states"],
        posterior=posterior,
        rates=truth["rates"],
        scores=pd.DataFrame({"name": names, "bits_per_spike": [0.148, 0.141]}),
        true_score=0.15,
        truth=truth,
        recovery=pd.DataFrame([[0.98, np.nan]], ["state_accuracy"], names),
        warnings=["Unit 3 is silent."],
        extra_sections=[ReportSection("Other brains", html="<p id='mine'>trusted</p>")],
        citation="@software{onehotglm}",
    )


def test_page_holds_everything_in_one_small_file(content, tmp_path):
    path = write_report(tmp_path / "report.html", content, figure_folder=tmp_path)
    outline = parse(path)
    assert outline.headings == [
        "Warning",
        "What was fitted",
        "Prediction of held-out data",
        "States",
        "Couplings",
        "Comparison with the truth",
        "Checks of the fit",
        "Other brains",
        "Versions and citation",
    ]
    text = path.read_text("utf-8")
    for part in ("Rat A &amp; friends &lt;1&gt;", "Unit 3 is silent.", "@software{onehotglm}"):
        assert part in text
    assert "mine" in outline.ids

    jumps = [link for link in outline.links if link.startswith("#")]
    assert {link[1:] for link in jumps} <= set(outline.ids)
    assert all(link.startswith("data:image/png;base64,") for link in {*outline.links} - {*jumps})
    assert not re.search(r"<script|@import|url\(", text)
    assert path.stat().st_size < 5e6
    assert all(image["alt"] for image in outline.images)
    first = base64.b64decode(outline.images[0]["src"].split(",")[1])
    assert first.startswith(b"\x89PNG")

    files = list(tmp_path.glob("*.png"))
    assert {file.stem for file in files} == {
        "prediction",
        "states_window",
        "state_dynamics",
        "couplings",
        "coupling_graph",
        "recovery",
        "checks",
    }
    assert len(outline.images) == len(files)
    assert plt.get_fignums() == []


def test_sections_without_data_are_left_out(content, tmp_path):
    outline = parse(write_report(tmp_path / "a.html", ReportContent("A")))
    assert outline.headings == ["Versions and citation"]
    only_states = ReportContent("A", states=content.states)
    assert [section.title for section in build_sections(only_states)] == ["States"]


@pytest.mark.slow
def test_kernels_are_drawn_where_there_are_several_basis_functions(content):
    n_states, n_neurons = content.fit.sizes["state"], content.fit.sizes["post"]
    weights = np.ones((n_states, n_neurons, n_neurons, 2))
    fit = content.fit.assign(
        weights=(("state", "post", "pre", "basis"), weights),
        basis_functions=(("basis", "lag"), np.eye(2)),
    )
    sections = build_sections(ReportContent("A", fit=fit))
    names = [figure.name for section in sections for figure in section.figures]
    assert names.index("kernels") == names.index("coupling_graph") + 1


def test_truth_of_other_sizes_is_not_drawn(content):
    truth = content.truth.isel(state=[0, 1])
    other = ReportContent("A", fit=content.fit, truth=truth)
    assert "Comparison with the truth" not in [s.title for s in build_sections(other)]


def test_figures_can_be_saved_without_the_page(content, tmp_path):
    (path,) = save_figures(tmp_path, ReportContent("A", scores=content.scores))
    assert path == tmp_path / "prediction.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert plt.get_fignums() == []
    with pytest.raises(DataFileError, match=r"prediction\.png cannot be written"):
        save_figures(tmp_path / "missing", ReportContent("A", scores=content.scores))
    assert plt.get_fignums() == []


def test_long_recordings_get_an_overview(make_recording):
    truth, _, _ = make_recording(n_time_bins=1500)
    content = ReportContent("A", spikes=truth["spikes"], states=truth["states"])
    (_, section) = build_sections(content)
    assert [f.name for f in section.figures][:2] == ["states_window", "states_recording"]


def test_window_is_the_one_asked_for_or_a_busy_one(make_recording):
    truth, _, _ = make_recording(n_time_bins=3200, n_sessions=2)
    states = truth["states"].copy(data=np.zeros((2, 3200), int))
    states[1, 1600:2000:10] = 1
    content = ReportContent("A", spikes=truth["spikes"], states=states)
    ax = build_sections(content)[1].figures[0].figure.axes[0]
    assert ax.get_xlim() == pytest.approx((30.0, 60.0))
    asked = ReportContent("A", spikes=truth["spikes"], states=states, window=(0, 5.0, 7.0))
    ax = build_sections(asked)[1].figures[0].figure.axes[0]
    assert ax.get_xlim() == pytest.approx((5.0, 7.0))


def test_strongest_connections_are_sorted(content):
    sections = {section.title: section for section in build_sections(content)}
    table = sections["Couplings"].tables[0].data
    sizes = table[["state 0", "state 1", "state 2"]].abs().max(axis=1)
    assert sizes.is_monotonic_decreasing
    couplings = content.fit["connectivity"]
    pairs = abs(couplings).max("state").values * ~np.eye(6, dtype=bool)
    assert sizes[0] == pytest.approx(pairs.max())
    row = table.iloc[0]
    found = couplings.sel(post=int(row["to"]), pre=int(row["from"])).values
    np.testing.assert_allclose(row[["state 0", "state 1", "state 2"]].astype(float), found)


def test_extra_sections_hold_figures_and_tables(tmp_path):
    section = ReportSection(
        "More",
        text="A <b>paragraph</b>.",
        facts={"Seed": 3},
        tables=[ReportTable(pd.DataFrame({"x": [0.5, None], "n": [1, 2]}), "Numbers")],
        figures=[ReportFigure("more", plt.figure(figsize=(2, 1)), "A caption")],
    )
    path = write_report(tmp_path / "a.html", ReportContent("A", extra_sections=[section]))
    text = path.read_text("utf-8")
    for part in ("A &lt;b&gt;paragraph&lt;/b&gt;.", "Numbers", "A caption", "Seed", ">0.500<"):
        assert part in text
    assert len(parse(path).images) == 1


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataFileError, match=r"report\.html cannot be written"):
        write_report(tmp_path / "missing" / "report.html", ReportContent("A"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
        (float("inf"), "∞"),
        (-0.5, "\N{MINUS SIGN}0.5"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (12345.6, "12,346"),
        (1e-5, "1e\N{MINUS SIGN}05"),
        (0.00012345, "0.000123"),
        ("x", "x"),
    ],
)
def test_values_are_short(value, text):
    assert format_value(value) == text


def test_no_negative_zero():
    assert format_value(-1e-9, decimals=2) == "0.00"
