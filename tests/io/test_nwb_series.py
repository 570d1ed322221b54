"""Series and labels land on the bins that they belong to."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.nwb import load_nwb
from onehotglm.io.nwb_series import load_labels, load_series
from onehotglm.io.spikes import bin_centres

TIME_ZERO = 4397.0
BIN = 0.02


@pytest.fixture(scope="module")
def spikes(recording):
    return load_nwb(recording, BIN, epochs="run", session_length=5.0)


def test_position_is_interpolated_at_bin_centres(recording, spikes):
    position = load_series(recording, "led", spikes)
    assert position.dims == ("session", "time", "axis")
    assert_array_equal(position.axis, ["x", "y"])
    assert position.attrs["units"] == "cm"
    assert position.sizes["time"] == 250  # without lead-in
    assert_allclose(position.sel(axis="x")[0], TIME_ZERO + (np.arange(250) + 0.5) * BIN)
    assert_allclose(position.sel(axis="y"), -2 * position.sel(axis="x"))


def test_unsampled_time_is_missing(recording, spikes):
    position = load_series(recording, "led", spikes).sel(axis="x")
    seconds = bin_centres(spikes) - TIME_ZERO
    assert np.isnan(position.where((seconds > 20) & (seconds < 25))).all()
    assert np.isfinite(position.where(seconds > 25.01, drop=True).values[:, :240]).any()
    bridged = load_series(recording, "led", spikes, max_gap=10.0).sel(axis="x")
    assert np.isfinite(bridged[:4]).all()


def test_rate_conversion_and_offset_are_applied(recording, spikes):
    speed = load_series(recording, "speed", spikes)
    assert speed.dims == ("session", "time")
    seconds = (np.arange(250) + 0.5) * BIN
    assert_allclose(speed[0], 0.5 * (10 * seconds) + 1.0)


def test_nearest_sample(recording, spikes):
    speed = load_series(recording, "speed", spikes, method="nearest")
    samples = (speed[0] - 1.0) / 0.5
    assert_array_equal(samples, np.rint(samples))
    assert abs(samples - 10 * (np.arange(250) + 0.5) * BIN).max() <= 0.5


def test_unknown_series_and_method_are_named(recording, spikes):
    with pytest.raises(DataFileError, match="no series 'head'; its series are led, speed"):
        load_series(recording, "head", spikes)
    with pytest.raises(InvalidInputError, match="method is 'cubic', expected one of linear"):
        load_series(recording, "led", spikes, method="cubic")
    with pytest.raises(InvalidInputError, match="no coordinate 'session_start'"):
        load_series(recording, "led", spikes.drop_vars("session_start"))


def test_labels_of_intervals(recording, spikes):
    labels = load_labels(recording, "brain_states", spikes, "label", missing="unknown")
    assert labels.dims == ("session", "time")
    assert set(labels.values[0]) == {"wake"}
    assert set(labels.values[2]) == {"nrem"}
    assert set(labels.values[4]) == {"unknown"}
    trial = load_labels(recording, "trials", spikes, "choice_time")
    assert np.isnan(trial[0]).all()
    assert_array_equal(np.unique(trial[1, :200]), [TIME_ZERO + 7.5])


def test_unknown_table_and_column_are_named(recording, spikes):
    with pytest.raises(DataFileError, match=r"no column 'stage'.*start_time, stop_time, label"):
        load_labels(recording, "brain_states", spikes, "stage")
    with pytest.raises(DataFileError, match="no table of intervals is called 'sleep'"):
        load_labels(recording, "sleep", spikes, "label")


def test_real_position(shared_data):
    path = shared_data("wmaze.nwb")
    spikes = load_nwb(path, BIN, epochs="run", session_length=20.0)
    position = load_series(path, "position", spikes)
    assert position.attrs["units"] == "pixels"
    assert float(np.isnan(position[:40]).mean()) < 0.01
    assert 0 <= float(position.min()) <= float(position.max()) <= 640
