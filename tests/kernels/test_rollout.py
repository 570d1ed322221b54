"""Closed-loop sampling against a plain-loop twin and against its own rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels.history import make_basis
from onehotglm.kernels.rollout import MAX_COUNTS_PER_BIN, rollout, sample_states

NUMPY_LINKS = {
    "softplus": lambda eta: np.logaddexp(0.0, eta),
    "exp": np.exp,
    "sigmoid": lambda eta: 1 / (1 + np.exp(-eta)),
}


def parameters(n_states=3, n_neurons=4, basis_name="raised_cosine", n_lags=6, seed=0):
    rng = np.random.default_rng(seed)
    basis = make_basis(basis_name, n_lags)
    transition = rng.dirichlet(np.ones(n_states), n_states)
    return {
        "bias": rng.normal(-1.5, 0.3, (n_states, n_neurons)),
        "weights": rng.normal(0, 0.3, (n_states, n_neurons, n_neurons, len(basis))),
        "basis": basis,
        "transition_matrix": transition,
        "initial_proba": np.full(n_states, 1 / n_states),
    }


def sample(p, seed=0, link="softplus", n_sessions=2, n_time_bins=50, **given):
    arrays = {name: jnp.asarray(value) for name, value in p.items()}
    sizes = {"n_sessions": n_sessions, "n_time_bins": n_time_bins}
    return rollout(jax.random.key(seed), **arrays, link=link, **sizes, **given)


def rates_given_counts(p, counts, states, lead_in, link):
    """Rates by the textbook sum, one bin, neuron and lag at a time."""
    n_basis, n_lags = p["basis"].shape
    padded = np.concatenate([np.zeros((n_lags, counts.shape[1])), lead_in, counts])
    offset = n_lags + len(lead_in)
    rates = np.zeros(counts.shape)
    for t in range(len(counts)):
        eta = p["bias"][states[t]].copy()
        for lag in range(1, n_lags + 1):
            past = padded[offset + t - lag]
            for k in range(n_basis):
                eta += p["weights"][states[t], :, :, k] @ past * p["basis"][k, lag - 1]
        rates[t] = NUMPY_LINKS[link](eta)
    return rates


@pytest.mark.parametrize(("link", "n_lead"), [("softplus", 0), ("exp", 9), ("sigmoid", 2)])
def test_rates_equal_those_of_a_plain_loop_given_the_counts(float64, link, n_lead):
    p = parameters()
    lead_in = np.random.default_rng(1).poisson(1.0, (2, n_lead, 4)).astype(float)
    out = sample(p, link=link, lead_in=jnp.asarray(lead_in))
    for r in range(2):
        expected = rates_given_counts(
            p, np.asarray(out.counts[r]), np.asarray(out.states[r]), lead_in[r], link
        )
        np.testing.assert_allclose(out.rates[r], expected, rtol=1e-12)


@pytest.mark.slow
def test_lead_in_changes_the_first_rates_and_silence_is_the_default():
    p = parameters()
    silent = sample(p)
    explicit = sample(p, lead_in=jnp.zeros((2, 3, 4)))
    busy = sample(p, lead_in=jnp.full((2, 3, 4), 5.0))
    np.testing.assert_array_equal(silent.counts, explicit.counts)
    assert not np.allclose(silent.rates[:, 0], busy.rates[:, 0])


def test_history_is_strictly_causal_and_as_long_as_the_basis():
    p = parameters(n_lags=3)
    states = jnp.zeros((1, 6), int)
    draws = [
        sample(p, n_sessions=1, n_time_bins=6, states=states, lead_in=lead_in)
        for lead_in in (jnp.zeros((1, 4, 4)), jnp.zeros((1, 4, 4)).at[0, 0].set(50.0))
    ]
    np.testing.assert_array_equal(draws[0].rates, draws[1].rates)  # four bins ago: out of reach


@pytest.mark.slow
def test_counts_are_calibrated_against_their_rates():
    out = sample(parameters(), n_sessions=40, n_time_bins=500)
    counts, rates = np.asarray(out.counts, float), np.asarray(out.rates, float)
    z = (counts - rates).sum((0, 1)) / np.sqrt(rates.sum((0, 1)))
    assert np.abs(z).max() < 4.5
    dispersion = ((counts - rates) ** 2).sum() / rates.sum()
    assert dispersion == pytest.approx(1, abs=0.02)
    assert (counts == counts.round()).all()
    assert counts.min() == 0


def test_states_are_a_markov_chain_from_the_initial_distribution():
    p = parameters()
    p["initial_proba"] = np.array([0.2, 0.0, 0.8])
    states = np.asarray(sample(p, n_sessions=2000, n_time_bins=20).states)
    first = np.bincount(states[:, 0], minlength=3) / 2000
    assert first[1] == 0
    np.testing.assert_allclose(first, p["initial_proba"], atol=0.04)
    moves = np.zeros((3, 3))
    np.add.at(moves, (states[:, :-1], states[:, 1:]), 1)
    moves /= moves.sum(1, keepdims=True)
    np.testing.assert_allclose(moves, p["transition_matrix"], atol=0.03)


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_impossible_states_are_never_drawn(n_states, seed):
    n_time_bins = 30
    rng = np.random.default_rng(seed)
    reachable = rng.random(n_states) < 0.5
    reachable[0] = True
    row = np.where(reachable, rng.random(n_states) + 1e-3, 0.0)
    row = jnp.asarray(row / row.sum(), jnp.float32)
    path = sample_states(jax.random.key(seed), jnp.tile(row, (n_states, 1)), row, n_time_bins)
    assert path.shape == (n_time_bins,)
    assert reachable[np.asarray(path)].all()


def test_initial_distribution_may_differ_between_sessions():
    p = parameters()
    p["initial_proba"] = np.eye(3)[[2, 0]]
    np.testing.assert_array_equal(sample(p).states[:, 0], [2, 0])


def test_given_states_are_used():
    states = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 50)))
    np.testing.assert_array_equal(sample(parameters(), states=states).states, states)


@pytest.mark.slow
def test_any_key_works_and_decides_the_sample():
    p = {name: jnp.asarray(value) for name, value in parameters().items()}
    keys = [jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")]
    draws = [rollout(key, **p, link="exp", n_sessions=2, n_time_bins=50) for key in keys]
    np.testing.assert_array_equal(draws[0].counts, draws[1].counts)
    assert (draws[0].counts != draws[2].counts).any()
    assert (sample(parameters(), seed=1).counts != sample(parameters(), seed=2).counts).any()


def test_an_explosion_ends_in_nan_not_in_wrong_counts():
    p = parameters()
    p["weights"] = np.full_like(p["weights"], 5.0)
    out = sample(p, link="exp", n_time_bins=50)
    counts = np.asarray(out.counts)
    assert np.isnan(counts[:, -1]).all()
    assert np.nanmax(counts) < 2 * MAX_COUNTS_PER_BIN
    assert np.nanmin(counts) >= 0


def test_large_rates_are_sampled():
    p = parameters(n_states=1)
    p["bias"] = np.full((1, 4), 5000.0)
    p["weights"] = 0 * p["weights"]
    counts = np.asarray(sample(p, n_time_bins=500).counts)
    assert counts.mean() == pytest.approx(5000, abs=5)
    assert counts.var() == pytest.approx(5000, rel=0.1)
