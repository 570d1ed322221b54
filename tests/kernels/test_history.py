"""Bases and the causal history, against plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels.history import BASES, convolve_history, make_basis


@pytest.mark.parametrize("n_lags", [1, 2, 5, 25])
@pytest.mark.parametrize("name", BASES)
def test_shape_and_unit_sums(name, n_lags):
    basis = make_basis(name, n_lags)
    expected = {"exponential": 1, "lags": n_lags, "raised_cosine": min(n_lags, 3)}[name]
    assert basis.shape == (expected, n_lags)
    assert (basis >= 0).all()
    np.testing.assert_allclose(basis.sum(1), 1.0)


def test_exponential_decays_by_e_per_bin():
    basis = make_basis("exponential", 6)[0]
    np.testing.assert_allclose(basis[1:] / basis[:-1], np.exp(-1))


def test_lags_are_one_function_each():
    np.testing.assert_array_equal(make_basis("lags", 4), np.eye(4))


@pytest.mark.parametrize("n_basis", [1, 2, 5])
def test_raised_cosines_peak_in_order_and_cover_all_lags(n_basis):
    basis = make_basis("raised_cosine", 40, n_basis)
    assert basis.shape == (n_basis, 40)
    peaks = basis.argmax(1)
    assert (np.diff(peaks) > 0).all()
    assert peaks[0] == 0
    # Wider with the lag, and none of the lags without a function.
    widths = (basis > basis.max(1, keepdims=True) / 2).sum(1)
    assert (widths[1:] >= widths[0]).all()
    assert (basis.sum(0) > 0).all()


def test_number_of_functions_applies_to_raised_cosines():
    assert len(make_basis("raised_cosine", 10, 5)) == 5
    assert len(make_basis("raised_cosine", 10)) == 3


def test_unknown_basis_names_the_others():
    with pytest.raises(ValueError, match="'gamma' is unknown; choose one of exponential"):
        make_basis("gamma", 5)


def by_loops(counts, age, basis):
    (n_basis, n_lags), n_time = basis.shape, len(age)
    history = np.zeros((n_time, counts.shape[1], n_basis))
    for t in range(n_time):
        for k in range(n_basis):
            for lag in range(1, min(n_lags, age[t]) + 1):
                history[t, :, k] += basis[k, lag - 1] * counts[n_lags + t - lag]
    return history


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(BASES),
    starts=st.sets(st.integers(0, 11), max_size=4),
    before=st.integers(0, 6),
    seed=st.integers(0, 100),
)
def test_history_is_the_sum_over_lags(name, starts, before, seed):
    """Of the bins of the same session: `before` bins of the first one came before."""
    rng = np.random.default_rng(seed)
    n_lags, n_time = 4, 12
    counts = rng.poisson(1.0, (n_lags + n_time, 3)).astype(np.float32)
    age = np.empty(n_time, int)
    for t in range(n_time):
        age[t] = 0 if t in starts else before if t == 0 else age[t - 1] + 1
    basis = make_basis(name, n_lags)
    result = convolve_history(jnp.asarray(counts), jnp.asarray(age), jnp.asarray(basis))
    assert result.shape == (n_time, 3, len(basis))
    np.testing.assert_allclose(result, by_loops(counts, age, basis), atol=1e-5)


def test_history_is_strictly_causal():
    n_lags, n_time, t = 3, 10, 4
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (n_lags + n_time, 2)).astype(np.float32)
    changed = counts.copy()
    changed[n_lags + t] += 5
    age, basis = jnp.arange(n_time), jnp.asarray(make_basis("exponential", n_lags))
    one, other = (convolve_history(jnp.asarray(c), age, basis) for c in (counts, changed))
    differs = np.asarray(one != other).any((1, 2))
    np.testing.assert_array_equal(np.flatnonzero(differs), [t + 1, t + 2, t + 3])


def test_what_lies_before_a_start_does_not_matter():
    basis = jnp.asarray(make_basis("lags", 2))
    counts = jnp.arange(10.0).reshape(5, 2)
    history = convolve_history(counts.at[:2].set(jnp.nan), jnp.arange(3), basis)
    assert not jnp.isnan(history).any()
    assert (history[0] == 0).all()
