"""Every spike is counted once, whatever the bins and however they are cut."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from onehotglm.errors import InvalidInputError
from onehotglm.io.binning import (
    check_bin_size,
    count_spikes,
    count_whole_bins,
    make_grid,
    mask_unobserved,
)

BIN_SIZES = st.sampled_from([0.001, 0.003, 0.01, 0.02, 0.1, 0.3, 1.0])
STARTS = st.sampled_from([0.0, 0.1, 4397.0, 965.496967]) | st.floats(-10, 1e5)


@st.composite
def spike_trains(draw, start: float, bin_size: float, n_time_bins: int) -> np.ndarray:
    """Spikes on, just beside and between the edges of the bins."""
    edges = start + np.arange(-2, n_time_bins + 3) * bin_size
    on_edges = draw(st.lists(st.sampled_from(list(edges)), max_size=20))
    nudge = draw(st.sampled_from([0.0, 1e-12, -1e-12]))
    span = st.floats(edges[0], edges[-1])
    return np.array([t + nudge for t in on_edges] + draw(st.lists(span, max_size=20)))


@given(st.data(), STARTS, BIN_SIZES, st.integers(1, 40), st.integers(1, 50))
def test_any_tiling_holds_each_spike_once(data, start, bin_size, n_time_bins, length):
    spikes = [data.draw(spike_trains(start, bin_size, n_time_bins)) for _ in range(2)]
    stop = start + n_time_bins * bin_size
    whole = count_spikes(spikes, make_grid([start], [stop], bin_size))
    cut = count_spikes(
        spikes, make_grid([start], [stop], bin_size, session_length=length * bin_size)
    )
    assert whole.shape[1] == n_time_bins
    np.testing.assert_array_equal(cut.reshape(-1, 2)[:n_time_bins], whole[0])
    clear = 1e-3 * bin_size
    for train, counted in zip(spikes, whole[0].sum(axis=0), strict=True):
        surely = ((train > start + clear) & (train < stop - clear)).sum()
        perhaps = ((train > start - clear) & (train < stop + clear)).sum()
        assert surely <= counted <= perhaps


@given(st.data(), STARTS, BIN_SIZES, st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_neighbouring_intervals_share_no_spike(data, start, bin_size, lengths):
    edges = start + np.r_[0, np.cumsum(lengths)] * bin_size
    spikes = [data.draw(spike_trains(start, bin_size, sum(lengths)))]
    pieces = count_spikes(spikes, make_grid(edges[:-1], edges[1:], bin_size))
    whole = count_spikes(spikes, make_grid(edges[:1], edges[-1:], bin_size))
    assert np.nansum(pieces) == whole.sum()


@given(STARTS, st.integers(0, 200))
@example(0.1, 3)
def test_ticks_on_edges_open_their_bin(start, tick):
    """A clock tick that falls on an edge belongs to the bin on its right, however rounded."""
    grid = make_grid([start], [start + 201 * 0.02], bin_size=0.02)
    for rounded in (start + tick * 0.02, start + tick / 50):
        assert count_spikes([np.array([rounded])], grid)[0, tick, 0] == 1


def test_counts_do_not_depend_on_the_time_zero():
    times = np.sort(np.random.default_rng(0).integers(0, 30_000 * 60, 4000)) / 30_000
    at_zero = count_spikes([times], make_grid([0.0], [60.0], 0.02))
    shifted = count_spikes([times + 4397.0], make_grid([4397.0], [4457.0], 0.02))
    np.testing.assert_array_equal(at_zero, shifted)


def test_histogram_is_the_oracle_away_from_edges():
    rng = np.random.default_rng(1)
    trains = [rng.uniform(-1, 11, 500) for _ in range(3)]
    counts = count_spikes(trains, make_grid([0.0], [10.0], 0.02), n_history_bins=5)
    edges = np.arange(-5, 501) * 0.02
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(counts[0, :, unit], np.histogram(train, edges)[0])


def test_lead_in_is_what_came_before_the_cut():
    train = [np.random.default_rng(2).uniform(0, 10, 400)]
    grid = make_grid([0.0], [10.0], 0.1, session_length=2.5)
    counts = count_spikes(train, grid, n_history_bins=4)
    np.testing.assert_array_equal(counts[0, :4], 0)  # nothing was recorded before
    for session in range(1, 4):
        np.testing.assert_array_equal(counts[session, :4], counts[session - 1, -4:])


def test_short_sessions_end_in_nan():
    grid = make_grid([0.0, 5.0], [1.0, 5.5], 0.1)
    counts = count_spikes([np.array([5.05])], grid, n_history_bins=2)
    assert counts.shape == (2, 12, 1)
    assert np.isnan(counts[1, 7:]).all()
    assert np.isfinite(counts[1, :7]).all()
    assert counts[1, 2] == 1
    assert np.isfinite(counts[0]).all()


def test_overlapping_sessions_each_count_a_spike():
    counts = count_spikes([np.array([0.55])], make_grid([0.0, 0.5], [1.0, 1.5], 0.1))
    np.testing.assert_array_equal(np.argwhere(counts)[:, :2], [[0, 5], [1, 0]])


def test_unsorted_spikes_and_silent_units():
    grid = make_grid([0.0], [1.0], 0.1)
    counts = count_spikes([np.array([0.95, 0.05]), np.array([])], grid)
    np.testing.assert_array_equal(counts[0].sum(axis=0), [2, 0])


def test_unobserved_bins_are_missing_for_that_unit_only():
    grid = make_grid([10.0], [11.0], 0.1)
    counts = count_spikes([np.array([]), np.array([])], grid, n_history_bins=2)
    observed = [np.array([[10.5, 10.7], [10.0, 10.25], [10.7, 10.9]]), None]
    mask_unobserved(counts, grid, observed, n_history_bins=2)
    missing = np.isnan(counts[0, 2:, 0])
    np.testing.assert_array_equal(np.flatnonzero(missing), [2, 3, 4, 9])
    assert np.isfinite(counts[0, :, 1]).all()
    assert np.isfinite(counts[0, :2, 0]).all()


def test_bins_before_the_first_observed_interval_are_missing():
    grid = make_grid([0.0], [0.5], 0.1)
    counts = mask_unobserved(count_spikes([np.array([])], grid), grid, [np.array([[0.3, 9.0]])])
    np.testing.assert_array_equal(np.isnan(counts[0, :, 0]), [True, True, True, False, False])


@given(BIN_SIZES, st.integers(0, 100_000))
def test_whole_bins_survive_rounding(bin_size, n_time_bins):
    assert count_whole_bins(n_time_bins * bin_size, bin_size) == n_time_bins
    assert count_whole_bins(4397.1 + n_time_bins * bin_size - 4397.1, bin_size) == n_time_bins


@pytest.mark.parametrize("bad", [None, 0, -0.02, np.nan, np.inf, "20 ms"])
def test_bad_bin_sizes_are_named(bad):
    with pytest.raises(InvalidInputError, match=r"bin_size .*0\.02"):
        check_bin_size(bad)


def test_intervals_shorter_than_a_bin_are_refused():
    with pytest.raises(InvalidInputError, match=r"longest of 2 intervals lasts 3 s.*seconds"):
        make_grid([0.0, 5.0], [2.0, 8.0], bin_size=20.0)


def test_session_length_below_a_bin_is_refused():
    with pytest.raises(InvalidInputError, match=r"session_length is 0\.01"):
        make_grid([0.0], [2.0], bin_size=0.1, session_length=0.01)
