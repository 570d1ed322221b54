"""Delays until a change of state is seen."""

import numpy as np
import pytest
import xarray as xr

from onehotglm import InvalidInputError, detection_delays


def make_paths():
    states = xr.DataArray(
        [[0, 0, 1, 1, 2, 2], [1, 0, 0, 0, -1, -1]],
        dims=("session", "time"),
        coords={"session": ["a", "b"], "time": np.arange(6) * 0.02},
    )
    proba = np.full((2, 6, 3), 0.1)
    proba[0, :2, 0] = 0.8
    proba[0, 3, 1] = 0.6  # state 1 is seen in its second bin
    proba[1, 2:, 0] = 0.9  # state 2 never, state 0 in its second bin
    posterior = xr.DataArray(proba, dims=("session", "time", "state"))
    return states, posterior


def test_every_change_has_a_row():
    frame = detection_delays(*make_paths())
    assert frame["session"].tolist() == ["a", "a", "b"]
    assert frame["before"].tolist() == [0, 1, 1]
    assert frame["after"].tolist() == [1, 2, 0]
    np.testing.assert_allclose(frame["time"], [0.04, 0.08, 0.02])
    np.testing.assert_allclose(frame["duration"], [0.04, 0.04, 0.06])
    np.testing.assert_allclose(frame["delay"], [0.04, np.inf, 0.04])


def test_the_threshold_matters_and_dims_do_not():
    states, posterior = make_paths()
    strict = detection_delays(states.T, posterior.transpose("state", ...), threshold=0.7)
    np.testing.assert_allclose(strict["delay"], [np.inf, np.inf, 0.04])


def test_a_path_without_changes_has_no_rows():
    states, posterior = make_paths()
    frame = detection_delays(states * 0, posterior)
    assert frame.empty
    assert list(frame) == ["session", "time", "before", "after", "duration", "delay"]


def test_what_does_not_fit_is_refused():
    states, posterior = make_paths()
    with pytest.raises(InvalidInputError, match="expected the same sessions and times"):
        detection_delays(states[:, :3], posterior)
    with pytest.raises(InvalidInputError, match=r"threshold=1\.5; expected a probability"):
        detection_delays(states, posterior, threshold=1.5)
