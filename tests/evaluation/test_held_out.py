"""Blocks: every bin once, with the history that came before; intervals that cover."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.evaluation import block_interval, hold_out, split_blocks
from onehotglm.io.spikes import modelled, n_lead_in, session_lengths

BIN = 0.1


def recording(lengths: list[int], lead_in: int = 0, clock: bool = True) -> xr.DataArray:
    """Sessions in which every count is unlike every other; NaN at the ends of the shorter."""
    n_time = lead_in + max(lengths)
    counts = np.arange(1.0, len(lengths) * n_time * 2 + 1).reshape(len(lengths), n_time, 2)
    for session, length in enumerate(lengths):
        counts[session, lead_in + length :] = np.nan
    coords = {
        "session": 10 + np.arange(len(lengths)),
        "time": (np.arange(n_time) - lead_in) * BIN,
        "neuron": [4, 7],
        "tag": ("session", [f"tag {k}" for k in range(len(lengths))]),
    }
    if clock:
        coords["session_start"] = ("session", 4397.3 + 100.0 * np.arange(len(lengths)))
    dims = ("session", "time", "neuron")
    return xr.DataArray(counts, coords, dims, attrs={"bin_size": BIN, "source": "x.nwb"})


@given(
    st.lists(st.integers(2, 12), min_size=1, max_size=4),
    st.integers(0, 4),
    st.integers(1, 14),
    st.integers(0, 6),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_bin_is_in_one_block_behind_its_own_past(
    lengths: list[int], lead_in: int, size: int, n_history_bins: int, clock: bool
) -> None:
    spikes = recording(lengths, lead_in, clock)
    blocks = split_blocks(spikes, size * BIN, n_history_bins=n_history_bins)
    assert n_lead_in(blocks) == n_history_bins
    found = modelled(blocks).values
    assert sorted(found[np.isfinite(found)]) == sorted(
        modelled(spikes).values[np.isfinite(modelled(spikes).values)]
    )
    assert session_lengths(blocks).tolist() == [
        min(size, length - first) for length in lengths for first in range(0, length, size)
    ]
    for block in blocks.transpose("session", "time", "neuron"):
        parent = spikes.sel(session=block["parent_session"].item())
        past = parent.values.reshape(-1)
        first_count = block.values[n_history_bins, 0]
        place = int(np.flatnonzero(past == first_count)[0]) // 2
        expected = np.zeros((n_history_bins, 2))
        known = min(n_history_bins, place)
        if known:
            expected[-known:] = parent.values[place - known : place]
        assert (block.values[:n_history_bins] == expected).all()


def test_blocks_are_as_likely_as_the_sessions_that_they_were() -> None:
    rng = np.random.default_rng(0)
    spikes = recording([25, 40])
    spikes = spikes.copy(data=np.where(np.isnan(spikes), np.nan, rng.poisson(0.5, spikes.shape)))
    # One state: what a block does not know of its past is the past itself.
    model = OneHotHMMGLM(n_states=1, n_lags=3)
    model.weights_, model.bias_ = rng.normal(size=(1, 2, 2, 1)), np.zeros((1, 2))
    model.transition_matrix_, model.initial_proba_ = np.ones((1, 1)), np.ones(1)
    model.basis_functions_, model.mean_counts_ = np.full((1, 3), 1 / 3), np.ones(2)
    model.neuron_ids_, model.bin_size_ = spikes["neuron"].values, BIN
    blocks = split_blocks(spikes, 10 * BIN, n_history_bins=3)
    per_block = model.log_likelihood(blocks).groupby(blocks["parent_session"]).sum()
    np.testing.assert_allclose(per_block, model.log_likelihood(spikes), rtol=1e-5)
    forgetful = split_blocks(spikes, 10 * BIN, n_history_bins=0)
    assert abs(model.log_likelihood(forgetful).sum() - per_block.sum()) > 0.1


def test_labels_move_along() -> None:
    blocks = split_blocks(recording([5, 2]), 2 * BIN)
    assert blocks["parent_session"].values.tolist() == [10, 10, 10, 11]
    assert blocks["session"].values.tolist() == [0, 1, 2, 3]
    assert blocks["tag"].values.tolist() == ["tag 0"] * 3 + ["tag 1"]
    np.testing.assert_allclose(
        blocks["session_start"], [4397.3, 4397.3 + 0.2, 4397.3 + 0.4, 4497.3]
    )
    assert blocks["neuron"].values.tolist() == [4, 7]
    assert blocks.attrs == {"bin_size": BIN, "source": "x.nwb"}
    assert "session_start" not in split_blocks(recording([5], clock=False), 0.2).coords


def test_short_blocks_are_dropped_on_request() -> None:
    spikes = recording([5, 2, 1])
    blocks = split_blocks(spikes, 2 * BIN, keep_short=False)
    assert blocks["parent_session"].values.tolist() == [10, 10, 11]
    assert np.isfinite(blocks).all()
    with pytest.raises(InvalidInputError, match=r"whole block of 0\.9 s"):
        split_blocks(spikes, 0.9, keep_short=False)


@pytest.mark.parametrize("length", [0.01, 0.0, -1.0, np.nan])
def test_blocks_shorter_than_a_bin(length: float) -> None:
    with pytest.raises(InvalidInputError, match=r"at least one bin of 0\.1 s"):
        split_blocks(recording([5]), length)


def test_negative_history() -> None:
    with pytest.raises(InvalidInputError, match="n_history_bins is -1"):
        split_blocks(recording([5]), n_history_bins=-1)


class Decoder:
    """Scores each session by what it is told, pooled over sessions as scores are."""

    def __init__(self, bits_per_spike: list[float]):
        self.bits_per_spike = np.asarray(bits_per_spike)

    def score(self, spikes: xr.DataArray) -> float:
        n_spikes = spikes.where(spikes["time"] >= 0).sum(("time", "neuron")).values
        bits = self.bits_per_spike[spikes["session"].values] * n_spikes
        return float(bits.sum() / n_spikes.sum())


def counts(totals: list[float]) -> xr.DataArray:
    values = np.zeros((len(totals), 3, 1))
    values[:, 0] = 100.0  # lead-in: not scored
    values[:, 1, 0] = totals
    coords = {"session": np.arange(len(totals)), "time": [-BIN, 0.0, BIN]}
    return xr.DataArray(values, coords, ("session", "time", "neuron"))


def test_interval_has_the_width_of_the_ratio_s_error() -> None:
    rng = np.random.default_rng(0)
    n_spikes = rng.poisson(200, size=100).astype(float)
    model = Decoder(rng.normal(0.3, 0.1, size=100))
    spikes = counts(list(n_spikes))
    low, high = block_interval(model, spikes)
    score = model.score(spikes)
    residual = n_spikes * (model.bits_per_spike - score)
    error = np.sqrt((residual**2).sum()) / n_spikes.sum()
    assert low == pytest.approx(score - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(score + 1.96 * error, abs=0.15 * error)
    narrow = block_interval(model, spikes, level=0.5)
    assert low < narrow[0] < score < narrow[1] < high
    assert block_interval(model, spikes) == (low, high)
    assert block_interval(model, spikes, random_state=1) != (low, high)
    assert block_interval(model, spikes, n_resamples=100) != (low, high)


def test_interval_of_a_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    bits = rng.normal(0.3, 0.2, size=40)
    better, worse = Decoder(bits + 0.01), Decoder(bits)
    spikes = counts([50.0] * 40)
    low, high = block_interval(better, spikes, minus=worse)
    assert low == pytest.approx(0.01)
    assert high == pytest.approx(0.01)


def test_sessions_without_spikes_do_not_count() -> None:
    model = Decoder([0.1, np.nan, 0.2])
    both = Decoder([0.1, 0.2])
    assert block_interval(model, counts([5, 0, 7])) == block_interval(both, counts([5, 7]))
    assert np.isnan(block_interval(model, counts([5, 0, 0]))).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_level_is_a_probability(level: float) -> None:
    with pytest.raises(InvalidInputError, match="expected a probability"):
        block_interval(Decoder([1.0, 1.0]), counts([1, 1]), level=level)


def empty_sessions(n_sessions: int) -> xr.DataArray:
    return xr.DataArray(
        np.zeros((n_sessions, 4, 2)),
        dims=("session", "time", "neuron"),
        coords={"session": np.arange(n_sessions)},
    )


def test_every_fifth_session_is_held_out() -> None:
    train, test = hold_out(empty_sessions(13))
    assert test["session"].values.tolist() == [2, 7, 12]
    assert train["session"].values.tolist() == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]


def test_no_session_is_held_out_on_request() -> None:
    spikes = empty_sessions(3)
    train, test = hold_out(spikes, every=0)
    assert train.identical(spikes)
    assert test is None


@pytest.mark.parametrize(("n_sessions", "every"), [(2, 5), (1, 2), (4, 1), (4, -2)])
def test_too_few_sessions_are_an_error(n_sessions: int, every: int) -> None:
    with pytest.raises(InvalidInputError, match=r"hold out every .* sessions"):
        hold_out(empty_sessions(n_sessions), every=every)
