"""Columns beside the spikes: every kind of input gives the same array, bad input a message."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.columns import Kind
from onehotglm.estimator.per_bin import (
    PerBin,
    along_fit,
    check_known,
    read_per_bin,
    units_of,
    with_data,
)

KIND = Kind("covariates", "covariate")
NAMES = ["speed", "x"]
VALUES = np.random.default_rng(0).normal(size=(2, 30, 2))
SPIKES = xr.DataArray(
    np.ones((2, 30, 3), np.float32),
    {"session": [4, 5], "time": np.arange(30) * 0.02, "neuron": ["a", "b", "c"]},
    ("session", "time", "neuron"),
    attrs={"bin_size": 0.02},
)
LEAD_IN = SPIKES.assign_coords(time=(np.arange(30) - 5) * 0.02)
ONE = SPIKES[:1]
LABELLED = xr.DataArray(
    VALUES,
    {"session": [4, 5], "time": SPIKES["time"], "covariate": NAMES},
    ("session", "time", "covariate"),
)


def read(data, spikes=SPIKES):
    return read_per_bin(data, spikes, KIND)


@pytest.mark.parametrize(
    "data",
    [
        VALUES,
        VALUES.tolist(),
        list(VALUES),
        np.ma.masked_array(VALUES),
        LABELLED,
        LABELLED.transpose("covariate", "session", "time"),
        LABELLED.drop_vars(["session", "time", "covariate"]),
        LABELLED.assign_coords(time=LABELLED["time"] + 0.01),
        LABELLED.rename(covariate="axis"),
        LABELLED.to_dataset("covariate"),
        [pd.DataFrame(session, columns=NAMES) for session in VALUES],
    ],
    ids=[
        *("array", "nested list", "list", "masked", "labelled", "transposed", "without labels"),
        *("bin centres", "other dimension", "dataset", "data frames"),
    ],
)
def test_all_kinds_give_the_same_values(data):
    found = read(data)
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.names.tolist() in (NAMES, [0, 1])


@pytest.mark.parametrize(
    "data",
    [VALUES[0], LABELLED[0].drop_vars("session"), pd.DataFrame(VALUES[0], columns=NAMES)],
    ids=["array", "labelled", "data frame"],
)
def test_one_session_needs_no_dimension(data):
    np.testing.assert_array_equal(read(data, ONE).values, VALUES[:1])


def test_names_come_from_columns_variables_and_series():
    assert read(LABELLED).names.tolist() == NAMES
    speed = LABELLED[..., 0].drop_vars("covariate").rename("speed")
    assert read(speed).names.tolist() == ["speed"]
    position = LABELLED.rename(covariate="axis").assign_coords(axis=["x", "y"])
    both = xr.Dataset({"speed": speed, "position": position})
    assert read(both).names.tolist() == ["speed", "position_x", "position_y"]


def test_lead_in_may_be_left_out():
    np.testing.assert_array_equal(read(VALUES, LEAD_IN).values, VALUES)
    for data in (
        VALUES[:, 5:],
        list(VALUES[:, 5:]),
        LABELLED[:, 5:].assign_coords(time=LEAD_IN["time"][5:]),
    ):
        found = read(data, LEAD_IN).values
        assert np.isnan(found[:, :5]).all()
        np.testing.assert_array_equal(found[:, 5:], VALUES[:, 5:])


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), n=st.integers(1, 3))
def test_sessions_of_any_lengths_are_padded_as_spikes_are(lengths, n):
    longest = max(lengths)
    coords = {"session": np.arange(len(lengths)), "time": np.arange(longest), "neuron": [0]}
    shape = (len(lengths), longest, 1)
    spikes = xr.DataArray(np.ones(shape), coords, ("session", "time", "neuron"))
    sessions = [np.full((length, n), float(length)) for length in lengths]
    values = read(sessions, spikes).values
    assert values.shape == (*shape[:2], n)
    for length, session in zip(lengths, values, strict=True):
        assert (session[:length] == length).all()
        assert np.isnan(session[length:]).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (VALUES[:, :29], r"2 session\(s\) of 29 bins, and the spikes 2 of 30.*sample covariates"),
        (VALUES[:1], r"1 session\(s\) of 30 bins"),
        (list(VALUES[:, :, None]), "list of arrays of shapes"),
        ([VALUES[0], VALUES[1, :, :1]], "with the same columns"),
        ([np.zeros((31, 1))] * 2, r"2 session\(s\) of 31 bins"),
        (VALUES[..., :0], "no columns; leave them out"),
        (VALUES[0], r"have the shape \(30, 2\); expected a DataArray"),
        ("speed", "str.*are not numeric"),
        (LABELLED.rename(time="bin"), r"dims .*expected session, time, covariate"),
        (LABELLED.rename(covariate="neuron"), r"expected session, time, covariate"),
        (LABELLED.assign_coords(session=[5, 4]), "session 5 where the spikes have session 4"),
        (LABELLED.assign_coords(time=LABELLED["time"] + 1), r"interp\(time=spikes.time\)"),
        (LABELLED.assign_coords(covariate=["x", "x"]), "a name twice: x, x"),
        (xr.Dataset(), "Dataset without variables"),
        (
            [pd.DataFrame(VALUES[0], columns=NAMES), pd.DataFrame(VALUES[1])],
            "differ: speed, x, and elsewhere 0, 1",
        ),
    ],
)
def test_input_that_does_not_fit(data, message):
    with pytest.raises(InvalidInputError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        (None, np.array(NAMES), r"fitted with covariates \(speed, x\); pass covariates="),
        (VALUES, None, "fitted without; leave them out"),
        (VALUES[..., :1], np.array(NAMES), r"1 column\(s\).*fitted with 2: speed, x"),
        (LABELLED[..., ::-1], np.array(NAMES), "x, speed.*pass them in that order"),
        (LABELLED, np.array(["speed", "y"]), "speed, x.*speed, y; pass the same ones"),
    ],
)
def test_other_columns_than_those_of_the_fit(data, names, message):
    with pytest.raises(InvalidInputError, match=message):
        along_fit(data, SPIKES, KIND, names)


def test_columns_without_names_fit_any():
    assert along_fit(None, SPIKES, KIND, None) is None
    for data, names in ((VALUES, NAMES), (LABELLED, [0, 1]), (LABELLED, NAMES)):
        found = along_fit(data, SPIKES, KIND, np.array(names))
        assert found.names.tolist() == names


def test_values_are_needed_where_there_are_counts():
    spikes = SPIKES.copy()
    spikes[1, 7] = np.nan
    needed = with_data(spikes)
    values = VALUES.copy()
    values[1, 7] = np.nan
    check_known(PerBin(values, np.array(NAMES)), spikes, KIND, needed)
    values[1, 8, 1] = np.inf
    with pytest.raises(InvalidInputError, match=r"x = inf in session 5 at 0.16 s.*interpolate_na"):
        check_known(PerBin(values, np.array(NAMES)), spikes, KIND, needed)
    assert not with_data(LEAD_IN)[:, :5].any()


def test_units_are_of_the_bins_with_counts():
    bins = with_data(SPIKES)
    bins[1] = False
    units = units_of(read(LABELLED), KIND, bins)
    standardised = units.standardised(VALUES[0])
    np.testing.assert_allclose(standardised.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(0), 1)


def test_a_constant_column_is_refused():
    values = VALUES.copy()
    values[..., 1] = 3
    with pytest.raises(InvalidInputError, match="x, one of the covariates, is 3 in all bins"):
        units_of(PerBin(values, np.array(NAMES)), KIND, with_data(SPIKES))
