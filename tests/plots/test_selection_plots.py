"""The figure of a selection."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from onehotglm import InvalidInputError
from onehotglm.plots import plot_selection


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "bits_per_spike": [0.1, 0.2, 0.19],
            "se_below_best": [0.02, 0.0, 0.01],
            "bic": [9.0, 5.0, 6.0],
            "icl": [9.0, 7.0, 8.0],
            "elbo": [-9.0, -5.0, -7.0],
            "flagged": ["", "", "1: duplicate of 2"],
        },
        index=pd.Index([1, 2, 3], name="n_states"),
    )


def test_scores_and_criteria_are_drawn(table) -> None:
    choices = pd.Series({"one-se": 2, "bic": 3})
    above, below = plot_selection(table, choices)
    assert above.get_title(loc="left") == "2 states by rule 'one-se'"
    hollow = [
        line.get_markerfacecolor() == "white" for line in above.lines if line.get_marker() == "o"
    ]
    assert hollow[:3] == [False, False, True]
    names = {line.get_label(): line.get_ydata() for line in below.lines}
    np.testing.assert_allclose(names["BIC"], [4, 0, 1])
    np.testing.assert_allclose(names["ELBO, negative"], [4, 0, 2])
    title = plot_selection(table, choices, rule="bic")[0].get_title(loc="left")
    assert title.startswith("3 states")


def test_what_is_missing_is_left_out(table) -> None:
    table.loc[3, ["bits_per_spike", "bic"]] = np.nan
    above, below = plot_selection(table[["bits_per_spike", "se_below_best", "bic"]])
    assert above.get_title(loc="left") == ""
    assert len(below.lines[0].get_ydata()) == 2
    axes = plt.subplots(2)[1]
    assert plot_selection(table[["bic"]], axes=axes) is axes


def test_nothing_to_draw() -> None:
    with pytest.raises(InvalidInputError, match=r"neither scores nor criteria.*columns seconds"):
        plot_selection(pd.DataFrame({"seconds": [1.0]}))
