"""Missing counts: one mask through likelihood, histories, starts and scores."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm import InvalidInputError
from onehotglm.estimator.packing import pack
from onehotglm.estimator.validate import as_spikes
from onehotglm.kernels.history import make_basis
from tests.estimator.conftest import BIN_SIZE, N_NEURONS, N_TIME, quick_fit
from tests.estimator.test_estimator import assert_same_fit

QUICK = {"prior": "none", "n_init": 1, "max_iter": 4, "bin_size": BIN_SIZE}


@pytest.fixture(scope="module")
def mask():
    """Single counts, one neuron for a while, everything for a while."""
    rng = np.random.default_rng(0)
    missing = rng.random((3, N_TIME, N_NEURONS)) < 0.1
    missing[0, 100:180, 2] = True
    missing[1, 40:90] = True
    return missing


def garbage(counts: np.ndarray, missing: np.ndarray, seed: int) -> np.ndarray:
    """Counts with anything at all where they are missing."""
    rng = np.random.default_rng(seed)
    wild = rng.choice([-5.0, 0.3, 7.0, 1e30, np.inf, np.nan], counts.shape)
    return np.where(missing, wild, counts)


def test_masked_values_change_nothing_to_the_last_bit(spikes, mask):
    counts = spikes.values
    labelled = spikes.where(~mask)
    expected = quick_fit(labelled, **QUICK)
    assert np.isfinite(expected.weights_).all()
    masked = [np.ma.array(garbage(counts, mask, seed), mask=mask) for seed in (1, 2)]
    for data in (masked[0], masked[1], list(masked[1])):
        assert_same_fit(quick_fit(data, **QUICK), expected)
        assert expected.score(data) == expected.score(labelled)
        np.testing.assert_array_equal(
            expected.predict_proba(data), expected.predict_proba(labelled)
        )
    wrapped = spikes.copy(data=masked[0].filled(3)).where(~mask)
    assert_same_fit(quick_fit(wrapped, **QUICK), expected)


def test_every_kind_of_input_keeps_its_mask(spikes, mask):
    counts, missing = spikes.values[0], mask[0]
    expected = np.where(missing, np.nan, counts).astype(np.float32)
    masked = np.ma.array(garbage(counts, missing, 3), mask=missing)
    integers = np.ma.array(counts.astype(int), mask=missing)
    frame = pd.DataFrame(counts.astype(int)).astype("Int64").mask(missing)
    for data in (
        masked,
        integers,
        [masked],
        [list(masked)],
        frame,
        xr.DataArray(masked, dims=("time", "neuron")),
    ):
        np.testing.assert_array_equal(as_spikes(data, BIN_SIZE).values[0], expected)


def test_missing_history_is_the_mean_count_everywhere():
    counts = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, np.nan], [0.0, 1.0]])
    spikes = as_spikes(counts).assign_coords(time=[-2.0, -1.0, 0.0, 1.0])
    recording = pack(spikes, make_basis("lags", 2), np.array([0.25, 0.75]), 4).recording
    np.testing.assert_array_equal(recording.past[2:6], [[1, 2], [0.25, 0], [3, 0.75], [0, 1]])


def test_mean_rates_are_over_a_units_own_bins(spikes):
    late = spikes.copy()
    late[:, : N_TIME // 2, 1] = np.nan
    model = quick_fit(late, **QUICK)
    seen = spikes.values[:, N_TIME // 2 :, 1]
    assert model.mean_counts_[1] == pytest.approx(seen.mean(), rel=1e-6)


@pytest.mark.slow
def test_mean_rates_score_nothing_wherever_units_were_observed(spikes):
    late = spikes.copy()
    late[:, : N_TIME // 2, 1] = np.nan
    flat = quick_fit(late, **QUICK | {"n_states": 1, "max_iter": 100}, ridge=1e8)
    assert flat.score(late) == pytest.approx(0, abs=1e-4)


def test_a_gap_forgets_the_state(fitted, spikes):
    gap = spikes.copy()
    gap[0, 60:260] = np.nan
    proba = fitted.predict_proba(gap)[0].values
    stationary = np.linalg.matrix_power(fitted.transition_matrix_, 1000)[0]
    np.testing.assert_allclose(proba[160], stationary, atol=0.05)
    assert (fitted.predict_states(gap)[0] >= 0).all()


def test_the_same_neurons_are_asked_for_by_their_ids(fitted, spikes):
    assert fitted.neuron_ids_.tolist() == [10, 11, 12, 13]
    with pytest.raises(InvalidInputError, match=r"neuron 13 where .* neuron 10.*sel\(neuron="):
        fitted.predict_states(spikes[..., ::-1])
    others = spikes.assign_coords(neuron=[10, 11, 12, 14])
    with pytest.raises(InvalidInputError, match=r"got neuron 14 .* NaN where one was not recorded"):
        fitted.score(others)
    with pytest.raises(InvalidInputError, match=r"got 3 neurons, but .* fitted to 4"):
        fitted.score(spikes[..., :3])
    # Arrays have no ids; their columns are taken as they come.
    assert fitted.score(spikes.values) == fitted.score(spikes)


def test_sessions_of_any_lengths_are_packed_without_padding():
    lengths = [3000, 10, 500, 20]
    sessions = [np.ones((length, 2)) for length in lengths]
    recording = pack(as_spikes(sessions), make_basis("lags", 2), np.ones(2), 200).recording
    assert recording.n_time - sum(lengths) < 200
