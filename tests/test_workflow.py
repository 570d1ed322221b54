"""The steps of the command line that need no fit."""

import numpy as np
import xarray as xr

from onehotglm.workflow import model_settings, states_frame


def test_states_frame_has_one_row_per_bin_and_none_for_padding() -> None:
    dims = ("session", "time")
    coords = {
        "session": [3, 5],
        "time": [0.0, 0.1, 0.2],
        "session_start": ("session", [100.0, 200.0]),
    }
    states = xr.DataArray([[0, 1, 1], [1, -1, -1]], dims=dims, coords=coords)
    first = np.where(states == 0, 0.9, 0.2)
    posterior = xr.DataArray(
        np.stack([first, 1 - first], axis=-1), dims=(*dims, "state"), coords=coords
    )
    frame = states_frame(xr.Dataset({"states": states, "posterior": posterior}), held_out=[5])
    assert frame["session"].tolist() == [3, 3, 3, 5]
    assert frame["recording_time"].tolist() == [100.0, 100.1, 100.2, 200.0]
    assert frame["state"].tolist() == [0, 1, 1, 1]
    assert frame["held_out"].tolist() == [False, False, False, True]
    assert frame["probability_0"].tolist() == [0.9, 0.2, 0.2, 0.2]


def test_states_frame_without_a_clock_has_no_recording_time() -> None:
    states = xr.DataArray([[0]], dims=("session", "time"), coords={"session": [0], "time": [0.0]})
    posterior = states.astype(float).expand_dims(state=1, axis=2) + 1
    frame = states_frame(xr.Dataset({"states": states, "posterior": posterior}))
    assert "recording_time" not in frame


def test_one_fit_per_prior_and_a_baseline_without_states() -> None:
    settings = model_settings("all", {"n_states": 4, "n_init": 5, "link": "exp"})
    assert list(settings) == ["one state", "none", "gaussian", "one-hot"]
    assert settings["one state"] == {"n_states": 1, "n_init": 1, "link": "exp", "prior": "one-hot"}
    assert settings["none"] == {"n_states": 4, "n_init": 5, "link": "exp", "prior": "none"}


def test_one_state_needs_no_baseline() -> None:
    assert list(model_settings("gaussian", {"n_states": 1, "n_init": 5})) == ["gaussian"]
    assert list(model_settings("none", {"n_states": 2, "n_init": 5}, baseline=False)) == ["none"]
