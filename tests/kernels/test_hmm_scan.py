"""The parallel form against the sequential one, over blocks, groups and sessions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels import hmm, hmm_scan
from onehotglm.kernels.lanes import BLOCK, GROUP, from_lanes, in_groups, make_layout, to_lanes
from tests.kernels.hmm_oracle import make_problem

# Sequential functions compiled once for all tests.
smooth, filter_states, most_likely_path, sample_path = map(
    jax.jit, (hmm.smooth, hmm.filter_states, hmm.most_likely_path, hmm.sample_path)
)

MANY_GROUPS = 2 * GROUP + 3 * BLOCK + 17
LONG = make_problem(
    MANY_GROUPS, 3, [0, 5, BLOCK, GROUP, GROUP + 1, MANY_GROUPS - 1], spread=1.0, stay=0.95
)
# (bins, states): one bin per block, several, and long enough for a second vector of lanes.
SHAPES = [(7, 2), (8 * BLOCK + 1, 5), (401, 12)]


@settings(max_examples=100, deadline=None)
@given(n_time=st.integers(1, 3_000_000), group=st.sampled_from([None, GROUP]))
def test_layout_holds_all_bins_and_little_more(n_time, group):
    layout = make_layout(n_time, group)
    n_groups, size = layout.shape
    assert n_groups * size >= n_time
    assert layout.block <= BLOCK
    assert n_groups * size < 1.15 * n_time + 2 * 8 * BLOCK


def test_lanes_are_blocks_of_consecutive_bins():
    layout = make_layout(2 * GROUP - 5)
    x = np.arange(layout.n_time * 2.0).reshape(-1, 2)
    groups = in_groups(layout, jnp.asarray(x), -1.0)
    lanes = to_lanes(layout, groups[0])
    np.testing.assert_array_equal(lanes[:, :, 1], x[layout.block : 2 * layout.block])
    np.testing.assert_array_equal(from_lanes(lanes), groups[0])
    assert (groups[1].reshape(-1)[-1:] == -1.0).all()


def assert_same(result, expected, atol, rtol):
    """Fields of `Smoothed` or `Filtered`: probabilities by `atol`, sums by `rtol`."""
    for name, value in result._asdict().items():
        scale = {"rtol": rtol} if value.ndim != 2 or "counts" in name else {"atol": atol}
        if name == "log_normalizers":
            scale = {"atol": 50 * rtol, "rtol": rtol}
        np.testing.assert_allclose(value, getattr(expected, name), **scale, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.sampled_from(SHAPES[:2]),
    starts=st.sets(st.integers(0, 6), max_size=5),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 0.5, 3.0]),
    stay=st.sampled_from([0.0, 0.99]),
)
def test_smoother_and_filter_equal_the_sequential_ones(shape, starts, seed, spread, stay):
    problem = make_problem(*shape, starts, seed, spread, stay)
    # Starts all over the blocks, at their first bins among others.
    problem.starts[BLOCK::137] = True
    with jax.enable_x64(True):
        arguments = problem.jax()
        exact = smooth(*arguments)
        assert_same(hmm_scan.smooth(*arguments), exact, atol=1e-10, rtol=1e-10)
        assert_same(
            hmm_scan.filter_states(*arguments), filter_states(*arguments), atol=1e-10, rtol=1e-10
        )
    single = hmm_scan.smooth(*problem.jax("float32"))
    np.testing.assert_allclose(single.marginals, exact.marginals, atol=1e-4)
    np.testing.assert_allclose(single.log_likelihood, exact.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(single.transition_counts, exact.transition_counts, atol=1e-2)


@pytest.mark.slow
def test_across_groups_of_blocks():
    with jax.enable_x64(True):
        exact = smooth(*LONG.jax())
        assert_same(hmm_scan.smooth(*LONG.jax()), exact, atol=1e-10, rtol=1e-9)
        filtered = hmm_scan.filter_states(*LONG.jax())
        assert_same(filtered, filter_states(*LONG.jax()), atol=1e-10, rtol=1e-9)
        path = most_likely_path(*LONG.jax())
        np.testing.assert_array_equal(hmm_scan.most_likely_path(*LONG.jax()), path)
    single = hmm_scan.smooth(*LONG.jax("float32"))
    np.testing.assert_allclose(single.marginals, exact.marginals, atol=1e-4)
    np.testing.assert_allclose(single.log_likelihood, exact.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(single.transition_counts, exact.transition_counts, rtol=1e-4)
    np.testing.assert_allclose(single.marginals.sum(1), 1.0, atol=1e-5)
    single = np.asarray(hmm_scan.most_likely_path(*LONG.jax("float32")))
    assert (single != np.asarray(path)).mean() < 1e-4


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_paths_equal_the_sequential_ones(shape, float64):
    problem = make_problem(*shape, [3], spread=1.0, stay=0.9)
    problem.starts[BLOCK::137] = True
    arguments = problem.jax()
    np.testing.assert_array_equal(
        hmm_scan.most_likely_path(*arguments), most_likely_path(*arguments)
    )
    for seed in range(3):
        key = jax.random.key(seed)
        np.testing.assert_array_equal(
            hmm_scan.sample_path(key, *arguments), sample_path(key, *arguments)
        )


SHAPE = SHAPES[2]


def hard_problems():
    """Chains whose products of probabilities are not safe, in one shape."""
    n_time, n_states = SHAPE
    plain = make_problem(n_time, n_states, [7], spread=1.0, stay=0.9)
    left_right = np.triu(plain.transition)
    yield "zeros", plain._replace(transition=left_right / left_right.sum(1, keepdims=True))
    yield "no way back", plain._replace(transition=np.eye(n_states))
    rare = np.full((n_states, n_states), 1e-7) + np.eye(n_states)
    rare = rare / rare.sum(1, keepdims=True)
    yield (
        "rare transitions, clear likelihoods",
        plain._replace(transition=rare, log_lik=300.0 * plain.log_lik),
    )
    yield "rare transitions", plain._replace(transition=rare, log_lik=15.0 * plain.log_lik)
    yield "hundreds of nats apart", plain._replace(log_lik=200.0 * plain.log_lik)
    impossible = np.where(plain.log_lik > -10.0, plain.log_lik, -np.inf)
    impossible[:, 0] = plain.log_lik[:, 0]
    yield "impossible in some states", plain._replace(log_lik=impossible)
    yield "one first state", plain._replace(initial=np.eye(n_states)[2])


HARD = dict(hard_problems())


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_unsafe_products_fall_back_to_the_exact_answer(name, dtype, float64):
    problem = HARD[name]
    exact = smooth(*problem.jax())
    result = hmm_scan.smooth(*problem.jax(dtype))
    atol, rtol = (1e-10, 1e-10) if dtype == "float64" else (1e-4, 1e-6)
    np.testing.assert_allclose(result.log_likelihood, exact.log_likelihood, rtol=rtol)
    # Far apart, a rounding of the log-likelihoods itself is many times `atol`.
    spacing = np.abs(np.where(np.isfinite(problem.log_lik), problem.log_lik, 0)).max()
    atol = max(atol, 20 * spacing * np.finfo(dtype).eps)
    np.testing.assert_allclose(result.marginals, exact.marginals, atol=atol)
    np.testing.assert_allclose(result.transition_counts, exact.transition_counts, atol=20 * atol)
    filtered = hmm_scan.filter_states(*problem.jax(dtype))
    exact = filter_states(*problem.jax())
    np.testing.assert_allclose(filtered.probabilities, exact.probabilities, atol=atol)
    if dtype == "float64":
        np.testing.assert_array_equal(
            hmm_scan.most_likely_path(*problem.jax()), most_likely_path(*problem.jax())
        )


def test_a_state_that_underflowed_comes_back_exactly(float64):
    """Seven bins push a state out of float32's range, the eighth is possible there only."""
    n_time, n_states = SHAPE
    problem = HARD["rare transitions"]
    for first in range(0, n_time - 8, 11):
        problem.log_lik[first : first + 7] = -13.5
        problem.log_lik[first : first + 7, first % n_states] = 0.0
        problem.log_lik[first + 7] = -95.0
        problem.log_lik[first + 7, (first + 1) % n_states] = 0.0
    exact = smooth(*problem.jax())
    single = hmm_scan.smooth(*problem.jax("float32"))
    np.testing.assert_allclose(single.marginals, exact.marginals, atol=1e-4)
    np.testing.assert_allclose(single.log_likelihood, exact.log_likelihood, rtol=1e-6)


def test_order_of_sessions_does_not_matter(float64):
    n_sessions, length = 5, 83
    problem = make_problem(n_sessions * length, 3, range(0, n_sessions * length, length))
    order = np.array([3, 0, 4, 1, 2])
    sessions = problem.log_lik.reshape(n_sessions, length, 3)
    one = hmm_scan.smooth(*problem.jax())
    other = hmm_scan.smooth(*problem._replace(log_lik=sessions[order].reshape(-1, 3)).jax())
    marginals = np.asarray(one.marginals).reshape(sessions.shape)[order].reshape(-1, 3)
    np.testing.assert_allclose(other.marginals, marginals, atol=1e-12)
    np.testing.assert_allclose(other.transition_counts, one.transition_counts, rtol=1e-12)
    assert float(other.log_likelihood) == pytest.approx(float(one.log_likelihood), rel=1e-12)


def test_sessions_together_equal_sessions_apart(float64):
    length = 83
    problem = make_problem(3 * length, 3, [length, 2 * length], spread=1.0)
    together = hmm_scan.smooth(*problem.jax())
    apart = [
        hmm_scan.smooth(*problem._replace(log_lik=x, starts=np.zeros(length, bool)).jax())
        for x in problem.log_lik.reshape(3, length, 3)
    ]
    np.testing.assert_allclose(
        together.marginals, np.concatenate([x.marginals for x in apart]), atol=1e-12
    )
    for name in ("log_likelihood", "transition_counts"):
        total = sum(getattr(x, name) for x in apart)
        np.testing.assert_allclose(getattr(together, name), total, rtol=1e-11, err_msg=name)


def test_counts_add_up():
    result = hmm_scan.smooth(*LONG.jax("float32"))
    n_sessions = LONG.starts.sum()
    counts = hmm.expected_starts(result.marginals, LONG.starts)
    assert float(counts.sum()) == pytest.approx(n_sessions, rel=1e-5)
    n_transitions = MANY_GROUPS - n_sessions
    assert float(result.transition_counts.sum()) == pytest.approx(n_transitions, rel=1e-5)


def test_gradient_of_the_log_likelihood_is_the_posterior(float64):
    problem = make_problem(*SHAPES[1], [50], spread=1.0)
    arguments = problem.jax()
    value, gradient = jax.value_and_grad(hmm_scan.log_likelihood, (0, 1, 2))(*arguments)
    by_hand, expected = jax.value_and_grad(
        lambda *a: hmm.filter_states(*a).log_likelihood, (0, 1, 2)
    )(*arguments)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-12)
    for one, other in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    np.testing.assert_allclose(gradient[2], smooth(*arguments).marginals, atol=1e-12)


def test_gradient_is_finite_where_probabilities_are_zero(float64):
    problem = make_problem(*SHAPES[0])._replace(
        initial=np.array([1.0, 0.0]), transition=np.array([[0.5, 0.5], [0.0, 1.0]])
    )
    gradient = jax.grad(hmm_scan.log_likelihood, (0, 1, 2))(*problem.jax())
    assert all(np.isfinite(x).all() for x in gradient)
    assert gradient[0][1] == 0.0
    assert gradient[1][1, 0] == 0.0


def test_second_call_of_a_shape_compiles_nothing():
    hmm_scan.smooth(*make_problem(*SHAPES[2]).jax("float32"))
    before = hmm_scan.smooth._cache_size()
    hmm_scan.smooth(*make_problem(*SHAPES[2], seed=1).jax("float32"))
    assert hmm_scan.smooth._cache_size() == before


@pytest.mark.slow
def test_a_million_bins():
    problem = make_problem(1_000_000, 5, range(0, 1_000_000, 7_001), spread=1.0, stay=0.97)
    with jax.enable_x64(True):
        exact = smooth(*problem.jax())
        double = hmm_scan.smooth(*problem.jax())
    single = hmm_scan.smooth(*problem.jax("float32"))
    exact, double = (type(x)(*map(np.asarray, x)) for x in (exact, double))
    assert np.abs(double.marginals - exact.marginals).max() < 1e-10
    assert float(double.log_likelihood) == pytest.approx(float(exact.log_likelihood), rel=1e-12)
    assert np.abs(np.asarray(single.marginals) - exact.marginals).max() < 1e-4
    assert float(single.log_likelihood) == pytest.approx(float(exact.log_likelihood), rel=1e-6)
    np.testing.assert_allclose(single.transition_counts, exact.transition_counts, rtol=1e-4)
    assert not jnp.isnan(single.log_normalizers).any()
