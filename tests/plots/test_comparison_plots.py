"""Figures of a comparison: every decoder where it belongs, in words and colours."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots import plot_correlations, plot_differences, plot_readings, plot_wiring


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": ["glm", "hmm-glm", "rnn"],
            "difference": [-0.1, np.nan, 0.004],
            "difference_low": [-0.2, np.nan, -0.001],
            "difference_high": [-0.05, np.nan, 0.01],
        }
    )


@pytest.fixture
def connectivity() -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 4, 4))
    values[1] = 0
    values[2:] += 20 * np.eye(4)
    return xr.DataArray(
        values,
        dims=("reading", "post", "pre"),
        coords={
            "reading": list("abcde"),
            "units": ("reading", ["Hz per spike"] * 5),
            "post": [3, 5, 7, 9],
            "pre": [3, 5, 7, 9],
        },
    )


@pytest.fixture
def truth(connectivity) -> xr.DataArray:
    return connectivity[0].where(np.abs(connectivity[0]) > 0.5, 0).drop_vars(["reading", "units"])


def test_differences_leave_out_the_reference(table) -> None:
    ax = plot_differences(table, reference="hmm-glm")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["glm", "rnn"]
    minus = "\N{MINUS SIGN}"
    assert ax.texts[1].get_text() == f"+0.004  ({minus}0.001 to +0.010)"
    with pytest.raises(InvalidInputError, match="no decoder has a difference to 'x'"):
        plot_differences(table.iloc[1:2], reference="x")


def test_readings_begin_with_the_truth_and_skip_what_is_zero(connectivity, truth) -> None:
    axes = plot_readings(connectivity, truth)
    drawn = [ax for ax in axes.flat if ax is not None]
    titles = [ax.get_title(loc="left") for ax in drawn]
    assert titles == ["true wiring", "a", "c", "d", "e"]
    assert axes.shape == (2, 4)
    # The diagonal, which is large, does not wash out the rest.
    assert drawn[2].images[0].get_clim()[1] < 5
    labels = [ax.get_ylabel() for ax in drawn[0].figure.axes if ax not in drawn]
    assert "Coupling (Hz per spike)" in labels
    with pytest.raises(InvalidInputError, match="all connectivities are zero"):
        plot_readings(0 * connectivity)


def test_one_order_for_all_panels(connectivity) -> None:
    for order in ("cluster", [9, 3, 5, 7]):
        axes = plot_readings(connectivity[2:], order=order)
        ticks = {tuple(t.get_text() for t in ax.get_xticklabels()) for ax in axes.flat}
        assert len(ticks) == 1
    assert ticks == {("9", "3", "5", "7")}


def test_correlations_are_written_once() -> None:
    names = ["a", "b", "c"]
    values = [[1, 0.25, -0.5], [0.25, 1, np.nan], [-0.5, np.nan, 1]]
    ax = plot_correlations(pd.DataFrame(values, names, names))
    assert [text.get_text() for text in ax.texts] == ["0.25", "\N{MINUS SIGN}0.50", "\N{EN DASH}"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "c"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_wiring_has_a_curve_and_a_bar_per_reading(connectivity, truth) -> None:
    columns = ("average_precision", "base_rate", "sign_accuracy")
    wiring = pd.DataFrame(0.75, list("abcde"), columns)
    curves, bars = plot_wiring(connectivity, truth, wiring)
    assert len(curves.get_lines()) == 4 + 1
    assert [bar.get_width() for bar in bars.patches] == [0.75] * 4
    legend = [text.get_text() for text in curves.get_legend().get_texts()]
    assert legend[0] == "a (AP 0.75)"
    assert legend[-1].startswith("by chance (")
    # The truth ranks itself without a mistake.
    np.testing.assert_allclose(curves.get_lines()[0].get_ydata()[:2], 1.0)
