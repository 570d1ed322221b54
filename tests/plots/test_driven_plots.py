"""Transition probabilities against an input."""

import numpy as np
import pytest
import xarray as xr

from onehotglm import plots
from onehotglm.errors import InvalidInputError


def driven_fit(n_states=3):
    matrix = np.full((n_states, n_states), 0.1) + np.eye(n_states) * (1 - 0.1 * n_states)
    weights = np.stack([np.linspace(-1, 1, n_states), np.zeros(n_states)], axis=1)
    return xr.Dataset(
        {
            "transition_matrix": (("state", "next_state"), matrix),
            "transition_weights": (("state", "input"), weights),
            "transition_input_mean": ("input", [10.0, 0.0]),
            "transition_input_sd": ("input", [2.0, 1.0]),
        },
        {"input": ["speed", "light"]},
    )


def test_lines_are_probabilities_of_the_next_state():
    axes = plots.plot_driven_transitions(driven_fit())
    line = axes[0].get_lines()[2]  # after the mean's and that to state 1
    speed, proba = line.get_data()
    assert (speed[0], speed[-1]) == (6.0, 14.0)
    assert proba[50] == pytest.approx(0.1)
    weights = np.array([0.8, 0.1, 0.1]) * np.exp(4.0 * np.array([-1, 0, 1]))
    assert proba[-1] == pytest.approx(weights[2] / weights.sum())
    assert axes[0].get_xlabel() == "speed"
    flat = plots.plot_driven_transitions(driven_fit(), "light")[0].get_lines()[1].get_ydata()
    np.testing.assert_allclose(flat, 0.1)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InvalidInputError, match="lacks transition_weights"):
        plots.plot_driven_transitions(driven_fit().drop_vars("transition_weights"))
    with pytest.raises(InvalidInputError, match="no input 'sound'; choose one of 'speed', 'light'"):
        plots.plot_driven_transitions(driven_fit(), "sound")
    with pytest.raises(InvalidInputError, match="one state"):
        plots.plot_driven_transitions(driven_fit(1))
