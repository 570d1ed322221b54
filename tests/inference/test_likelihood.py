"""The likelihood with its own derivative against automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.inference.likelihood import Emission, marginal_log_likelihood
from onehotglm.inference.minibatch import find_sessions, session_log_likelihoods, take_sessions
from onehotglm.kernels import hmm
from onehotglm.kernels.emissions import LINKS
from onehotglm.model.recording import take_chunk
from tests.inference.tiny import (
    SIZE,
    make_counts,
    make_params,
    on_device,
    packed,
)

EMISSION = Emission(SIZE, "softplus")


def test_value_and_derivative(float64):
    sessions = make_counts(missing=0.1)
    recording = packed(sessions).recording
    params = on_device(make_params())

    def sequentially(params):
        chunk = take_chunk(recording, jnp.asarray(0), recording.n_time)
        eta = jnp.einsum("tc,snc->tsn", chunk.design, params.coefficients)
        rate, log_rate = LINKS["softplus"].rate_and_log(eta)
        log_lik = ((chunk.counts[:, None] * log_rate - rate) * chunk.weight[:, None]).sum(-1)
        filtered = hmm.filter_states(
            params.initial, params.transition, log_lik, recording.chain_starts
        )
        return filtered.log_likelihood

    def ours(params):
        return marginal_log_likelihood(params, recording, EMISSION)

    both = jax.jit(lambda params: [jax.value_and_grad(f)(params) for f in (ours, sequentially)])
    (one, gradient), (other, expected) = both(params)
    assert float(one) == pytest.approx(float(other), abs=1e-8)
    # Bins that are not modelled restart the chain: along the initial probabilities' sum,
    # which is always one, automatic differentiation sees them.
    gradient, expected = (
        g._replace(initial=g.initial - g.initial.mean()) for g in (gradient, expected)
    )
    for name in ("coefficients", "transition", "initial"):
        np.testing.assert_allclose(getattr(gradient, name), getattr(expected, name), atol=1e-7)


def test_sessions_add_up(float64):
    sessions = make_counts((70, 45, 12))
    recording = packed(sessions, n_lead=5).recording
    found = find_sessions(recording)
    assert found.length.tolist() == [70, 45, 12]
    params = on_device(make_params())
    each = session_log_likelihoods(params, recording, found, longest=70, emission=EMISSION)
    whole = marginal_log_likelihood(params, recording, EMISSION)
    assert float(each.sum()) == pytest.approx(float(whole), abs=1e-8)
    alone = packed([sessions[2]], n_lead=5).recording
    expected = marginal_log_likelihood(params, alone, EMISSION)
    assert float(each[2]) == pytest.approx(float(expected), abs=1e-8)


def test_a_batch_holds_the_chosen_sessions(float64):
    sessions = make_counts((30, 50, 20))
    recording = packed(sessions).recording
    batch = take_sessions(recording, find_sessions(recording), jnp.array([2, 0]), 50, SIZE)
    assert batch.n_time % SIZE == 0
    counts = np.asarray(batch.counts)[recording.basis.shape[1] :]
    np.testing.assert_array_equal(counts[:20], sessions[2])
    np.testing.assert_array_equal(counts[50:80], sessions[0])
    assert np.flatnonzero(batch.starts).tolist() == [0, 50]
    assert int(batch.modelled.sum()) == 50
