"""The flat recording and its design matrix, against loops over bins."""

import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.model.params import from_weights
from onehotglm.model.recording import take_chunk
from tests.inference.tiny import (
    BASIS,
    N_COLUMNS,
    SIZE,
    design_of,
    make_counts,
    make_params,
    packed,
)

pytestmark = pytest.mark.usefixtures("float64")


def all_chunks(recording, size=SIZE):
    chunks = [take_chunk(recording, i, size) for i in range(recording.n_time // size)]
    return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]


def test_design_holds_ones_and_every_history():
    sessions = make_counts(missing=0.1)
    recording = packed(sessions).recording
    counts, weight, design = all_chunks(recording)
    n_bins = sum(map(len, sessions))
    flat = np.concatenate(sessions)
    assert design.shape == (recording.n_time, N_COLUMNS)
    np.testing.assert_allclose(design[:n_bins], np.concatenate([design_of(s) for s in sessions]))
    np.testing.assert_array_equal(counts[:n_bins], np.nan_to_num(flat))
    np.testing.assert_array_equal(weight[:n_bins], np.isfinite(flat))
    assert not weight[n_bins:].any()


def test_chunks_join_whatever_their_size():
    sessions = make_counts()
    large = all_chunks(packed(sessions, 60).recording, 60)
    small = all_chunks(packed(sessions, 20).recording, 20)
    n_bins = sum(map(len, sessions))
    for one, other in zip(large, small, strict=True):
        np.testing.assert_array_equal(one[:n_bins], other[:n_bins])


def test_lead_in_feeds_histories_and_is_not_modelled():
    whole = make_counts(lengths=(50,))[0]
    recording = packed([whole], n_lead=10).recording
    _, weight, design = all_chunks(recording)
    assert not weight[:10].any()
    assert weight[10:50].all()
    np.testing.assert_allclose(design[10:50], design_of(whole)[10:])
    assert np.flatnonzero(recording.starts).tolist() == [10]


def test_the_chain_restarts_at_sessions_and_in_padding():
    recording = packed(make_counts(lengths=(50, 45))).recording
    assert np.flatnonzero(recording.starts).tolist() == [0, 50]
    restarts = np.flatnonzero(recording.chain_starts)
    assert restarts.tolist() == [0, 50, *range(95, recording.n_time)]
    assert not np.asarray(recording.modelled)[95:].any()


def test_no_mask_where_nothing_is_missing():
    assert packed(make_counts()).recording.observed is None
    assert packed(make_counts(missing=0.1)).recording.observed is not None


def test_weights_and_biases_survive_the_inner_form():
    params = make_params()
    weights = params.weights(len(BASIS))
    assert weights.shape == (2, 3, 3, 2)
    # Column 1 + m * n_basis + k.
    assert weights[1, 2, 1, 0] == params.coefficients[1, 2, 3]
    back = from_weights(jnp.asarray(params.bias), jnp.asarray(weights), *params[1:3])
    np.testing.assert_array_equal(back.coefficients, params.coefficients)
