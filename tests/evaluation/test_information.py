"""Mutual information of states with a signal."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st
from sklearn.metrics import mutual_info_score

from onehotglm import InvalidInputError, state_information

DIMS = ("session", "time")


def slow_paths(n_sessions=6, n_time=400, dwell=20, seed=0):
    """States, a signal that follows them, and one that only looks alike."""
    rng = np.random.default_rng(seed)
    draw = [
        np.repeat(rng.integers(3, size=(n_sessions, n_time // dwell)), dwell, axis=1)
        for _ in range(2)
    ]
    noise = rng.standard_normal((2, n_sessions, n_time))
    states = xr.DataArray(draw[0], dims=DIMS)
    both = xr.DataArray(np.stack(draw + 0.3 * noise, axis=2), dims=(*DIMS, "neuron"))
    return states, both.assign_coords(neuron=["follows", "alike"])


def test_a_signal_that_follows_is_told_from_one_that_looks_alike():
    states, signals = slow_paths()
    found = state_information(states, signals, n_shifts=60)
    assert found["information"].sel(neuron="follows") > 1
    assert found["p_value"].sel(neuron="follows") == pytest.approx(1 / 61)
    assert found["p_value"].sel(neuron="alike") > 0.05
    # By chance slow signals share more than independent bins do.
    assert found["shifted"].mean("shift").sel(neuron="alike") > 6 / (2 * 2400 * np.log(2))
    alone = state_information(states, signals.sel(neuron="alike"), n_shifts=60)
    assert float(alone["information"]) == pytest.approx(float(found["information"][1]))


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_it_is_the_information_of_the_counts(seed, n_levels):
    rng = np.random.default_rng(seed)
    states = xr.DataArray(rng.integers(-1, 3, size=(2, 60)), dims=DIMS)
    signal = xr.DataArray(rng.standard_normal((2, 60)) + states.values, dims=DIMS)
    found = state_information(states.T, signal.T, n_levels=n_levels, n_shifts=2)
    known = states.values >= 0
    cuts = np.quantile(signal.values[known], np.arange(1, n_levels) / n_levels)
    level = np.searchsorted(cuts, signal.values[known])
    expected = mutual_info_score(states.values[known], level) / np.log(2)
    assert float(found["information"]) == pytest.approx(expected, abs=1e-6)
    assert -1e-6 <= expected <= float(min(found["signal_entropy"], found["state_entropy"])) + 1e-6
    assert float(found["signal_entropy"]) == pytest.approx(np.log2(n_levels), abs=0.02)


def test_one_state_says_nothing():
    _, signals = slow_paths()
    constant = xr.zeros_like(signals[..., 0], dtype=int).drop_vars("neuron")
    found = state_information(constant, signals, n_shifts=5)
    np.testing.assert_allclose(found["information"], 0, atol=1e-6)
    assert (found["p_value"] == 1).all()
    assert float(found["state_entropy"]) == 0


def test_sessions_and_unknown_bins_keep_apart():
    # Sessions of one state each: turning them around changes nothing.
    states = xr.DataArray([[0] * 30, [1] * 20 + [-1] * 10], dims=DIMS)
    signal = xr.DataArray(np.array([[0.0] * 30, [1.0] * 30]), dims=DIMS)
    found = state_information(states, signal, n_levels=2, n_shifts=10)
    np.testing.assert_allclose(found["shifted"], float(found["information"]), atol=1e-6)
    gaps = state_information(states, signal.where(signal["time"] < 20), n_levels=2, n_shifts=1)
    assert float(gaps["information"]) == pytest.approx(1)


def test_seed_and_number_of_shifts():
    states, signals = slow_paths()
    first, again, other = (
        state_information(states, signals, n_shifts=4, random_state=seed) for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first["shifted"].equals(other["shifted"])
    assert first.sizes["shift"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, x: (s, x, {"n_levels": 1}), "n_levels=1 and n_shifts=200"),
        (lambda s, x: (s, x, {"n_shifts": 0}), "n_shifts=0; expected"),
        (lambda s, x: (s, x[:, 1:], {}), "expected the same sessions and times"),
        (
            lambda s, x: (s.assign_coords(time=np.arange(400)), x.assign_coords(time=s.time + 5)),
            "expected the same sessions and times",
        ),
        (lambda s, x: (s[0], x, {}), "states have the dims"),
        (lambda s, x: (0 * s - 1, x, {}), "no bin has both"),
    ],
)
def test_wrong_input_is_named(change, message):
    states, signals, *options = change(*slow_paths())
    with pytest.raises(InvalidInputError, match=message):
        state_information(states, signals, **(options[0] if options else {}))
