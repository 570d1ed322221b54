"""Every kind of input gives the same array; bad input a message that helps."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.validate import DIMS, as_spikes, check_neurons

COUNTS = np.random.default_rng(0).poisson(0.5, (2, 30, 3))
LABELLED = xr.DataArray(
    COUNTS,
    dims=DIMS,
    coords={"session": [0, 1], "time": np.arange(30) * 0.02, "neuron": ["a", "b", "c"]},
    attrs={"bin_size": 0.02},
)


@pytest.mark.parametrize(
    "data",
    [
        COUNTS,
        COUNTS.astype(float),
        [COUNTS[0], COUNTS[1]],
        (COUNTS[0], COUNTS[1].tolist()),
        LABELLED,
        LABELLED.transpose("neuron", "time", "session"),
        LABELLED.drop_vars(["time", "neuron", "session"]),
    ],
    ids=["int", "float", "list", "tuple", "labelled", "transposed", "without coordinates"],
)
def test_all_kinds_give_the_same_counts(data):
    spikes = as_spikes(data, bin_size=0.02)
    assert spikes.dims == DIMS
    assert spikes.dtype == np.float32
    assert spikes.attrs["bin_size"] == 0.02
    np.testing.assert_array_equal(spikes, COUNTS)
    np.testing.assert_allclose(spikes["time"], np.arange(30) * 0.02)


@pytest.mark.parametrize(
    "data",
    [COUNTS[0], LABELLED[0].drop_vars("session"), pd.DataFrame(COUNTS[0], columns=["a", "b", "c"])],
    ids=["array", "labelled", "data frame"],
)
def test_one_session_needs_no_dimension(data):
    spikes = as_spikes(data)
    np.testing.assert_array_equal(spikes, COUNTS[:1])
    assert spikes["session"].values.tolist() == [0]


def test_neurons_keep_their_names():
    frame = pd.DataFrame(COUNTS[0], columns=["a", "b", "c"])
    assert as_spikes(frame)["neuron"].values.tolist() == ["a", "b", "c"]
    assert as_spikes(LABELLED)["neuron"].values.tolist() == ["a", "b", "c"]


def test_unequal_sessions_are_padded_with_nan():
    spikes = as_spikes([COUNTS[0], COUNTS[1, :20]])
    assert spikes.shape == (2, 30, 3)
    np.testing.assert_array_equal(spikes[1, :20], COUNTS[1, :20])
    assert np.isnan(spikes[1, 20:]).all()


def test_without_a_bin_size_time_counts_bins():
    spikes = as_spikes(COUNTS)
    assert spikes.attrs["bin_size"] == 1.0
    np.testing.assert_array_equal(spikes["time"], np.arange(30))


def test_input_is_left_as_it_is():
    before = LABELLED.copy(deep=True)
    as_spikes(LABELLED).values[:] = 7
    xr.testing.assert_identical(LABELLED, before)
    floats = COUNTS.astype(np.float32)
    as_spikes(floats).values[:] = 7
    np.testing.assert_array_equal(floats, COUNTS)


def test_pynapple_counts_and_spike_times():
    nap = pytest.importorskip("pynapple")
    times = {unit: np.sort(np.random.default_rng(unit).uniform(0, 3, 20)) for unit in (4, 9)}
    group = nap.TsGroup(
        {unit: nap.Ts(t) for unit, t in times.items()}, time_support=nap.IntervalSet(0, 3)
    )
    from_times = as_spikes(group, bin_size=0.1)
    from_counts = as_spikes(group.count(0.1))
    np.testing.assert_array_equal(from_times, from_counts)
    assert from_times["neuron"].values.tolist() == [4, 9]
    with pytest.raises(InvalidInputError, match=r"bin.size"):
        as_spikes(group)


def changed(value, index=(0, 3, 1)):
    counts = COUNTS.astype(float)
    counts[index] = value
    return counts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(-1), r"hold -1 \(1 negative or fractional"),
        (changed(0.5), r"hold 0\.5 .*pass counts and not rates"),
        (changed(np.inf), "infinities; mark missing bins by NaN"),
        (changed(-np.inf), "infinities"),
        (np.full((2, 30, 3), np.nan), "all counts are NaN"),
        (COUNTS[0, :1], r"only one time bin.*transposed"),
        (COUNTS[0, 0], r"shape \(3,\); expected a numpy array \(time, neuron\)"),
        (COUNTS[None], r"shape \(1, 2, 30, 3\); expected"),
        (COUNTS[:, :0], "got no data"),
        ([], "list of arrays"),
        ([COUNTS[0], COUNTS[1, 0]], r"\(30, 3\), \(3,\).*expected each \(time, neuron\)"),
        ([COUNTS[0], COUNTS[1, :, :2]], r"have \[2, 3\] neurons; all need the same"),
        (LABELLED.rename(neuron="unit"), r"dims \('session', 'time', 'unit'\); expected session"),
        (LABELLED.to_dataset(name="spikes"), r"pass its spikes, dataset\['spikes'\]"),
        (LABELLED.to_dataset(name="rates"), "Dataset without spikes"),
        (np.array([["a", "b"], ["c", "d"]]), "not numeric"),
        (pd.DataFrame({"unit": ["a", "b"]}), "not numeric"),
        ("spikes.nwb", "not numeric"),
        (None, "expected a numpy array"),
        ({"a": 1}, "not numeric"),
    ],
)
def test_bad_input_is_named(data, message):
    with pytest.raises(InvalidInputError, match=message):
        as_spikes(data)


@pytest.mark.parametrize("bin_size", [0, -0.02, np.nan, np.inf, "20 ms"])
def test_bad_bin_size(bin_size):
    with pytest.raises(InvalidInputError, match=r"bin_size=.*expected a positive number"):
        as_spikes(COUNTS, bin_size)


def test_bin_sizes_must_agree():
    with pytest.raises(InvalidInputError, match=r"bin_size=0\.01.*0\.02 s"):
        as_spikes(LABELLED, bin_size=0.01)


def test_lead_in_alone_is_no_data():
    with pytest.raises(InvalidInputError, match="only one time bin"):
        as_spikes(LABELLED[:1].assign_coords(time=(np.arange(30) - 29) * 0.02))


def test_neurons_must_match_the_fit():
    spikes = as_spikes(COUNTS)
    check_neurons(spikes, np.arange(3))
    check_neurons(spikes, np.array([4, 2, 9]))
    with pytest.raises(InvalidInputError, match="got 3 neurons, but the model was fitted to 5"):
        check_neurons(spikes, np.arange(5))
