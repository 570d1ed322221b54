"""Spikes and counts go to pynapple and back."""

import numpy as np
import pynapple as nap
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from onehotglm.errors import InvalidInputError
from onehotglm.io.pynapple import from_pynapple, to_pynapple, to_tsgroup

BIN = 0.02
SUPPORT = nap.IntervalSet([100.0, 115.0], [110.0, 120.0])


@pytest.fixture
def group() -> nap.TsGroup:
    rng = np.random.default_rng(0)
    trains = {unit: nap.Ts(np.sort(rng.uniform(100, 120, 300))) for unit in (3, 8, 5)}
    return nap.TsGroup(trains, time_support=nap.IntervalSet(100.0, 120.0))


def test_spike_times_are_counted_in_their_epochs(group):
    spikes = from_pynapple(group, BIN, epochs=SUPPORT)
    assert_array_equal(spikes.session_start, [100, 115])
    assert sorted(spikes.neuron.values) == [3, 5, 8]
    assert np.isnan(spikes[1, 250:]).all()
    for unit in (3, 5, 8):
        expected = np.histogram(group[unit].t, 100 + np.arange(501) * BIN)[0]
        assert_array_equal(spikes.sel(neuron=unit)[0], expected)


def test_time_support_is_the_default(group):
    spikes = from_pynapple(group, BIN)
    assert spikes.sizes["session"] == 1
    assert spikes.sum() == 900


def test_counts_equal_those_of_their_spike_times(group):
    expected = from_pynapple(group, BIN, epochs=SUPPORT)
    counts = from_pynapple(group.count(BIN, ep=SUPPORT))
    assert counts.attrs["bin_size"] == pytest.approx(BIN)
    assert_array_equal(counts.sel(neuron=expected.neuron), expected)
    assert_allclose(counts.session_start, expected.session_start)


def test_lead_in_and_cuts_agree_for_times_and_counts(group):
    options = {"epochs": SUPPORT, "session_length": 2.0, "n_history_bins": 7}
    times = from_pynapple(group, BIN, **options)
    counts = from_pynapple(group.count(BIN), **options).sel(neuron=times.neuron)
    assert times.sizes == {"session": 8, "time": 107, "neuron": 3}
    assert_array_equal(counts, times)
    assert times[5, :7].sum() > 0  # before the second epoch, outside of all epochs


def test_bins_that_a_frame_lacks_are_missing():
    times = (np.r_[0:10, 13:20] + 0.5) * BIN
    frame = nap.TsdFrame(t=times, d=np.ones((17, 2)), columns=[4, 6])
    spikes = from_pynapple(frame)[0]
    assert_array_equal(np.flatnonzero(np.isnan(spikes[:, 0])), [10, 11, 12])


def test_bad_input_is_named(group):
    with pytest.raises(InvalidInputError, match="bin_size is missing"):
        from_pynapple(group)
    with pytest.raises(InvalidInputError, match="data is a ndarray, expected a pynapple TsGroup"):
        from_pynapple(np.zeros((3, 2)))
    with pytest.raises(InvalidInputError, match=r"not the centres of bins of 0\.03 s"):
        from_pynapple(group.count(BIN), 0.03)


def make_spikes(**coords) -> xr.DataArray:
    counts = np.random.default_rng(1).poisson(0.5, (2, 25, 3)).astype(np.float32)
    counts[0, 20:] = np.nan
    coords |= {"time": np.arange(-5, 20) * BIN, "neuron": [9, 4, 6]}
    dims = ("session", "time", "neuron")
    return xr.DataArray(counts, dims=dims, coords=coords, attrs={"bin_size": BIN})


def test_counts_make_the_round_trip():
    spikes = make_spikes(session_start=("session", [50.0, 60.0]))
    frame = to_pynapple(spikes)
    assert_array_equal(frame.columns, [9, 4, 6])
    assert_allclose(frame.time_support.values, [[50, 50.3], [60, 60.4]])
    back = from_pynapple(frame)
    assert_array_equal(back, spikes[:, 5:])
    assert_allclose(back.session_start, [50, 60])


def test_spike_times_make_the_round_trip():
    spikes = make_spikes(session_start=("session", [50.0, 60.0]))
    back = from_pynapple(to_tsgroup(spikes), BIN).sel(neuron=[9, 4, 6])
    assert_array_equal(back, spikes[:, 5:])


def test_states_without_a_clock_follow_each_other():
    states = xr.DataArray(
        np.array([[0, 0, 1, -1], [2, 2, 2, 2]]),
        dims=("session", "time"),
        coords={"time": np.arange(4) * 0.1},
    )
    series = to_pynapple(states)
    assert_array_equal(series.d, [0, 0, 1, 2, 2, 2, 2])
    assert_allclose(series.t, [0.05, 0.15, 0.25, 1.35, 1.45, 1.55, 1.65])


def test_sessions_that_overlap_are_refused():
    spikes = make_spikes(session_start=("session", [50.0, 50.1]))
    with pytest.raises(InvalidInputError, match="the sessions overlap"):
        to_pynapple(spikes)
    with pytest.raises(InvalidInputError, match="the sessions overlap"):
        to_tsgroup(spikes)
    assert len(to_pynapple(spikes.drop_vars("session_start"))) == 35


def test_other_dimensions_are_refused():
    with pytest.raises(InvalidInputError, match=r"expected \(session, time\)"):
        to_pynapple(make_spikes().transpose("time", "session", "neuron"))
