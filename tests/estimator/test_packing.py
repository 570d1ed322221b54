"""Sessions laid end to end, and back."""

import numpy as np

from onehotglm.estimator.packing import pack, unpack
from onehotglm.estimator.validate import as_spikes
from onehotglm.kernels.history import make_basis

BASIS = make_basis("exponential", 3)
STAND_IN = np.array([0.25, 0.75])


def make_spikes(lengths=(7, 4, 6), n_lead=0):
    rng = np.random.default_rng(0)
    spikes = as_spikes([rng.poisson(2.0, (n, 2)) for n in lengths])
    return spikes.assign_coords(time=spikes["time"] - n_lead)


def packed_from(spikes, chunk_size=8):
    return pack(spikes, BASIS, STAND_IN, chunk_size)


def test_bins_return_to_their_places():
    spikes = make_spikes()
    packed = packed_from(spikes)
    flat = np.asarray(packed.recording.counts)[BASIS.shape[1] :]
    back = unpack(packed, flat, (3, 7), np.nan)
    np.testing.assert_array_equal(back, spikes)
    np.testing.assert_array_equal(
        packed.counts,
        np.concatenate([s[:n] for s, n in zip(spikes.values, (7, 4, 6), strict=True)]),
    )
    assert packed.session.tolist() == [0] * 7 + [1] * 4 + [2] * 6


def test_the_end_is_padded_to_whole_chunks():
    recording = packed_from(make_spikes()).recording
    assert recording.n_time == 24
    assert recording.counts.shape == (24 + 3, 2)
    assert np.asarray(recording.modelled).tolist() == [True] * 17 + [False] * 7
    assert packed_from(make_spikes(lengths=(5, 3))).recording.n_time == 8


def test_gaps_inside_a_session_are_modelled_and_padding_is_not():
    spikes = make_spikes()
    spikes[0, 2:4] = np.nan
    packed = packed_from(spikes)
    assert (packed.session == 0).sum() == 7
    observed = np.asarray(packed.recording.observed)
    assert not observed[2:4].any()
    assert observed[[0, 1, 4, 5, 6]].all()
    # In histories a stand-in takes the place of what is missing.
    past = np.asarray(packed.recording.past)[BASIS.shape[1] :]
    np.testing.assert_array_equal(past[2:4], [STAND_IN] * 2)
    assert not np.asarray(packed.recording.counts)[BASIS.shape[1] :][2:4].any()


def test_a_session_without_data_is_left_out():
    spikes = make_spikes()
    spikes[1] = np.nan
    packed = packed_from(spikes)
    assert sorted(set(packed.session)) == [0, 2]
    out = unpack(packed, np.ones(packed.recording.n_time), (3, 7), -1.0)
    assert (out[1] == -1).all()
    assert (out[0] == 1).all()


def test_lead_in_is_history_only():
    spikes = make_spikes(n_lead=2)
    packed = packed_from(spikes)
    recording = packed.recording
    assert np.flatnonzero(recording.starts).tolist() == [2, 9, 13]
    assert np.flatnonzero(~np.asarray(recording.modelled))[:6].tolist() == [0, 1, 7, 8, 11, 12]
    assert packed.time[:5].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(packed.counts[:5], spikes[0, 2:])
    # The age counts the lead-in, so that histories reach into it.
    assert np.asarray(recording.age)[2] == 2


def test_missing_lead_in_is_no_missing_observation():
    spikes = make_spikes(n_lead=2)
    spikes[0, :2] = np.nan
    packed = packed_from(spikes)
    past = np.asarray(packed.recording.past)[BASIS.shape[1] :]
    np.testing.assert_array_equal(past[:2], [STAND_IN] * 2)
    assert packed.recording.observed is None


def test_fill_keeps_the_type():
    packed = packed_from(make_spikes())
    states = unpack(packed, np.zeros(packed.recording.n_time, np.int32), (3, 7), -1)
    assert states.dtype == np.int32
    assert (states[1] == [0, 0, 0, 0, -1, -1, -1]).all()
