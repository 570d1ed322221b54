"""Folds: every block held out once, nothing of it in what is trained on."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.evaluation.folds import make_blocks, make_folds
from onehotglm.evaluation.stretches import cut_columns, cut_stretches

BIN = 0.1


def recording(lengths, starts=None, lead_in=0) -> xr.DataArray:
    """Sessions of so many bins, NaN at the ends of the shorter; starts in bins on the clock."""
    n_time = lead_in + max(lengths)
    counts = np.arange(1.0, len(lengths) * n_time + 1).reshape(len(lengths), n_time, 1)
    for session, length in enumerate(lengths):
        counts[session, lead_in + length :] = np.nan
    coords = {"session": np.arange(len(lengths)), "time": (np.arange(n_time) - lead_in) * BIN}
    if starts is not None:
        coords["session_start"] = ("session", np.asarray(starts) * BIN)
    return xr.DataArray(counts, coords, ("session", "time", "neuron"), attrs={"bin_size": BIN})


def bins_of(stretches, starts) -> list[set[int]]:
    """Bins on the clock of every stretch."""
    return [
        set(range(starts[s] + first, starts[s] + first + n))
        for s, first, n in zip(*stretches, strict=True)
    ]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(-4, 6)), min_size=2, max_size=5),
    st.integers(2, 12),
    st.integers(2, 4),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_training_stays_clear_of_what_is_held_out(sessions, size, n_folds, gap) -> None:
    lengths = [length for length, _ in sessions]
    # Sessions may touch or overlap on the clock.
    ends = np.cumsum([length + pause for length, pause in sessions])
    starts = [0, *np.maximum(ends[:-1], 0).tolist()]
    spikes = recording(lengths, starts)
    blocks = make_blocks(spikes, size * BIN)
    n_folds = min(n_folds, len(blocks.session))
    if n_folds < 2:
        return
    try:
        folds = make_folds(spikes, blocks, n_folds, gap * BIN)
    except InvalidInputError:
        return  # nothing left to train on
    everything = bins_of(blocks, starts)
    assert sorted(np.concatenate([fold.block for fold in folds])) == list(range(len(everything)))
    for fold in folds:
        test = set().union(*bins_of(fold.test, starts))
        assert test == set().union(*(everything[block] for block in fold.block))
        near = {t + step for t in test for step in range(-gap, gap + 1)}
        train = set().union(*bins_of(fold.train, starts))
        assert not train & near
        others = [everything[b] for b in range(len(everything)) if b not in fold.block]
        assert train == set().union(*others) - near


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 15))
@settings(max_examples=30, deadline=None)
def test_blocks_divide_sessions_evenly(lengths, size) -> None:
    blocks = make_blocks(recording(lengths), size * BIN)
    for session, length in enumerate(lengths):
        mine = blocks.session == session
        assert blocks.n_time_bins[mine].sum() == length
        assert np.ptp(blocks.n_time_bins[mine]) <= 1
        edges = np.r_[0, np.cumsum(blocks.n_time_bins[mine])]
        assert (blocks.first_bin[mine] == edges[:-1]).all()


def test_whole_sessions_are_blocks_and_empty_ones_none() -> None:
    spikes = recording([5, 3, 4])
    spikes[1] = np.nan
    blocks = make_blocks(spikes, None)
    assert blocks.session.tolist() == [0, 2]
    assert blocks.n_time_bins.tolist() == [5, 4]


def test_history_of_a_held_out_block_is_the_true_past() -> None:
    spikes = recording([30])
    blocks = make_blocks(spikes, 1.0)
    fold = make_folds(spikes, blocks, 3, 0.2)[1]
    test = cut_stretches(spikes, fold.test, 3)
    assert test.values[0, :, 0].tolist() == list(range(8, 21))
    train = cut_stretches(spikes, fold.train, 2)
    # A gap of two bins on both sides: the history behind the block is of the gap.
    assert train.values[0, :, 0].tolist()[:10] == [0, 0, *range(1, 9)]
    assert train.values[1, :, 0].tolist()[:10] == list(range(21, 31))
    assert train["time"].values[1 + 1] == pytest.approx(0.0)


def test_sessions_without_a_clock_are_apart() -> None:
    spikes = recording([10, 10])
    folds = make_folds(spikes, make_blocks(spikes, None), 2, 5.0)
    assert folds[0].train.n_time_bins.tolist() == [10]
    clocked = recording([10, 10], starts=[0, 10])
    folds = make_folds(clocked, make_blocks(clocked, None), 2, 0.5)
    assert folds[0].train.first_bin.tolist() == [5]
    assert folds[1].train.n_time_bins.tolist() == [5]


def test_folds_may_be_named() -> None:
    spikes = recording([5] * 4)
    folds = make_folds(spikes, make_blocks(spikes, None), [7, 7, 9, 9], 0.0)
    assert [fold.block.tolist() for fold in folds] == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("cv", "gap", "message"),
    [
        (1, 0.0, r"cv=1 folds of 3 blocks.*block_length=20"),
        (4, 0.0, "cv=4 folds of 3 blocks"),
        ([0, 1], 0.0, "fold of each of the 3 blocks"),
        ([0.5, 1.0, 2.0], 0.0, "as an integer"),
        ([1, 1, 1], 0.0, "one fold for all blocks"),
        (3, -0.1, "gap is -0.1 s"),
        (3, np.nan, "gap is nan s"),
        (3, 5.0, r"no bin to train on.*gap \(now 5 s\)"),
    ],
)
def test_folds_that_make_no_sense(cv, gap, message) -> None:
    spikes = recording([6], starts=[0])
    with pytest.raises(InvalidInputError, match=message):
        make_folds(spikes, make_blocks(spikes, 0.2), cv, gap)


@pytest.mark.parametrize("length", [0.0, 0.05, -1.0, np.nan])
def test_blocks_shorter_than_a_bin_are_refused(length) -> None:
    with pytest.raises(InvalidInputError, match=r"at least one bin of 0\.1 s"):
        make_blocks(recording([6]), length)


def test_columns_are_cut_as_spikes_are() -> None:
    spikes = recording([30, 20])
    blocks = make_blocks(spikes, 0.7)
    columns = spikes.rename(neuron="covariate")
    xr.testing.assert_equal(
        cut_columns(columns, blocks).rename(covariate="neuron").drop_vars("neuron"),
        cut_stretches(spikes, blocks, 0).drop_vars(
            ["session", "time", "neuron", "parent_session", "session_start"], errors="ignore"
        ),
    )
