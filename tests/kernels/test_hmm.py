"""Both forms of the hidden Markov kernels against enumeration of every path."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.kernels import hmm, hmm_scan
from tests.kernels.hmm_oracle import Enumeration, make_problem, up_to

# The sequential functions are compiled by those who call them, here once for all tests.
NAMES = ("smooth", "filter_states", "most_likely_path", "sample_path")
COMPILED = SimpleNamespace(**{name: jax.jit(getattr(hmm, name)) for name in NAMES})
FORMS = {"sequential": COMPILED, "parallel": hmm_scan}
# Few shapes: every one is compiled.
SHAPES = [(1, 1), (6, 3)]


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def form(request):
    return request.param


def random_problem(data):
    n_time, n_states = data.draw(st.sampled_from(SHAPES), "shape")
    starts = data.draw(st.sets(st.integers(0, n_time - 1)), "starts")
    spread = data.draw(st.sampled_from([0.0, 1.0, 5.0]), "spread")
    seed = data.draw(st.integers(0, 1000), "seed")
    return make_problem(n_time, n_states, starts, seed, spread)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_smoother_sums_over_all_paths(form, data):
    problem = random_problem(data)
    truth = Enumeration(problem)
    with jax.enable_x64(True):
        result = form.smooth(*problem.jax())
    np.testing.assert_allclose(result.log_likelihood, truth.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(result.marginals, truth.marginals(), atol=1e-12)
    np.testing.assert_allclose(result.transition_counts, truth.transition_counts(), atol=1e-12)
    starts = np.asarray(problem.starts).copy()
    starts[0] = True
    with jax.enable_x64(True):
        counts = hmm.expected_starts(result.marginals, starts)
    np.testing.assert_allclose(counts, truth.initial_counts(), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_most_likely_path_is_the_best_of_all(form, data):
    problem = random_problem(data)
    truth = Enumeration(problem)
    with jax.enable_x64(True):
        path = np.asarray(form.most_likely_path(*problem.jax()))
    # By its probability: without spread several paths may be as good.
    which = (truth.paths == path).all(1).argmax()
    assert truth.log_joint[which] == pytest.approx(truth.log_joint.max(), rel=1e-12)


def test_filter_knows_the_past_only(form, float64):
    problem = make_problem(6, 3, starts=[4])
    result = form.filter_states(*problem.jax())
    before = 0.0
    for t in range(6):
        truth = Enumeration(up_to(problem, t + 1))
        np.testing.assert_allclose(result.probabilities[t], truth.marginals()[t], atol=1e-12)
        added = truth.log_likelihood - before
        assert float(result.log_normalizers[t]) == pytest.approx(added, rel=1e-10)
        before = truth.log_likelihood
    moved = result.probabilities[:-1] @ problem.transition
    np.testing.assert_allclose(result.predicted[1:4], moved[:3], atol=1e-12)
    np.testing.assert_allclose(
        result.predicted[np.array([0, 4])], [problem.initial] * 2, atol=1e-12
    )
    assert float(result.log_likelihood) == pytest.approx(before, rel=1e-12)


def test_samples_follow_the_posterior(form, float64):
    problem = make_problem(4, 2, starts=[2], spread=1.0)
    truth = Enumeration(problem)
    n_samples = 20_000
    keys = jax.random.split(jax.random.key(1), n_samples)
    draw = jax.jit(jax.vmap(lambda key: form.sample_path(key, *problem.jax())))
    which = np.asarray(draw(keys)) @ (2 ** np.arange(4)[::-1])
    frequency = np.bincount(which, minlength=16) / n_samples
    error = np.sqrt(truth.posterior * (1 - truth.posterior) / n_samples)
    assert (np.abs(frequency - truth.posterior) < 5 * error + 1e-6).all()


def test_missing_bins_are_summed_out(form, float64):
    """A bin without likelihood is predicted from its neighbours by the chain alone."""
    problem = make_problem(6, 3)
    problem.log_lik[2:4] = 0.0
    result = form.smooth(*problem.jax())
    truth = Enumeration(problem)
    np.testing.assert_allclose(result.marginals, truth.marginals(), atol=1e-12)
    np.testing.assert_allclose(result.log_normalizers[2:4], 0.0, atol=1e-12)

    # All missing: the chain's own distribution.
    empty = form.smooth(*problem._replace(log_lik=np.zeros((6, 3))).jax())
    prior = [problem.initial]
    for _ in range(5):
        prior.append(prior[-1] @ problem.transition)
    np.testing.assert_allclose(empty.marginals, prior, atol=1e-12)
    assert float(empty.log_likelihood) == pytest.approx(0.0, abs=1e-12)


HARD = {
    "forbidden transitions": {"transition": np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1.0]])},
    "forbidden first states": {"initial": np.array([0.0, 0.0, 1.0])},
    "identity": {"transition": np.eye(3)},
    "impossible in one state": {"log_lik": np.array([[0.0, -np.inf, -1.0]] * 6)},
    "one possible state": {"log_lik": np.array([[-np.inf, 5.0, -np.inf]] * 6)},
    "far apart": {"log_lik": -700.0 * np.random.default_rng(0).random((6, 3))},
    "first state against the likelihood": {
        "initial": np.array([1.0, 0.0, 0.0]),
        "log_lik": np.array([[-900.0, 0.0, 0.0]] * 6),
    },
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("change", HARD.values(), ids=HARD)
def test_hard_cases_are_exact(form, change, dtype, float64):
    problem = make_problem(6, 3, starts=[3])._replace(**change)
    truth = Enumeration(problem)
    result = form.smooth(*problem.jax(dtype))
    rtol, atol = (1e-11, 1e-11) if dtype == "float64" else (1e-6, 2e-5)
    np.testing.assert_allclose(result.log_likelihood, truth.log_likelihood, rtol=rtol, atol=atol)
    np.testing.assert_allclose(result.marginals, truth.marginals(), atol=atol)
    np.testing.assert_allclose(result.transition_counts, truth.transition_counts(), atol=atol)
    np.testing.assert_allclose(
        form.filter_states(*problem.jax(dtype)).probabilities[-1],
        Enumeration(up_to(problem, 6)).marginals()[-1],
        atol=atol,
    )
    path = np.asarray(form.most_likely_path(*problem.jax(dtype)))
    which = (truth.paths == path).all(1).argmax()
    assert truth.log_joint[which] == pytest.approx(truth.log_joint.max(), rel=1e-6)
    drawn = np.asarray(form.sample_path(jax.random.key(0), *problem.jax(dtype)))
    assert truth.posterior[(truth.paths == drawn).all(1).argmax()] > 0


def test_constant_added_to_a_bin_adds_to_the_log_likelihood(form, float64):
    problem = make_problem(6, 3)
    shift = np.linspace(-1e4, 1e4, 6)
    one = form.smooth(*problem.jax())
    other = form.smooth(*problem._replace(log_lik=problem.log_lik + shift[:, None]).jax())
    np.testing.assert_allclose(other.marginals, one.marginals, atol=1e-10)
    np.testing.assert_allclose(other.log_normalizers - shift, one.log_normalizers, atol=1e-10)


def test_renaming_states_renames_the_result(form, float64):
    problem = make_problem(6, 3, starts=[2])
    order = np.array([2, 0, 1])
    renamed = problem._replace(
        initial=problem.initial[order],
        transition=problem.transition[np.ix_(order, order)],
        log_lik=problem.log_lik[:, order],
    )
    one, other = form.smooth(*problem.jax()), form.smooth(*renamed.jax())
    np.testing.assert_allclose(other.marginals, one.marginals[:, order], atol=1e-12)
    path = np.asarray(form.most_likely_path(*renamed.jax()))
    np.testing.assert_array_equal(order[path], form.most_likely_path(*problem.jax()))


def test_results_keep_the_precision(form, float64):
    for dtype in (jnp.float32, jnp.float64):
        arguments = make_problem(6, 3).jax(dtype)
        for result in (form.smooth(*arguments), form.filter_states(*arguments)):
            assert {x.dtype for x in result} == {jnp.dtype(dtype)}
