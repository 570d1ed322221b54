"""The comparison of one chain with several says the right thing where it is known."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm import InvalidInputError, OneHotHMMGLM, compare_chains, simulate_population
from onehotglm.evaluation import chains
from onehotglm.simulate import simulate_from, simulate_independent_chains

GROUPS = np.repeat(["left", "right"], 3)


@pytest.fixture(scope="module")
def simulated():
    settings = {"n_sessions": 10, "n_time_bins": 1600, "random_state": 1}
    parameters = simulate_population(
        n_neurons=6, n_states=2, n_sessions=1, n_time_bins=10, mean_rate=25.0, rate_variation=1.0
    )
    return {
        "one chain suffices": simulate_from(parameters, **settings)["spikes"],
        "independent chains": simulate_independent_chains(parameters, GROUPS, **settings)["spikes"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["one chain suffices", "independent chains"])
def test_verdict_is_right(simulated, verdict):
    spikes = simulated[verdict]
    model = OneHotHMMGLM(n_states=2, prior="none", n_init=2, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare_chains(spikes[:6], spikes[6:], GROUPS, model, n_shifts=99)
    assert found.verdict == verdict
    scores = found.scores.set_index("name")
    assert list(scores.index) == list(found.models)
    gain = scores["bits_per_spike"] - scores["bits_per_spike"]["one chain"]
    np.testing.assert_allclose(scores["gain"], gain)
    np.testing.assert_array_equal(scores.loc["one chain", ["gain_low", "gain_high"]], 0)
    assert (scores["gain_low"] <= gain).all()
    assert (gain <= scores["gain_high"]).all()
    # 2 states of 6 rows of 7, transitions and starts.
    assert scores["parameters"].tolist() == [87, 90, 4 * 42 + 15]
    assert verdict in str(found)
    assert "bits per spike held out" in str(found)
    figure = found.plot()
    assert len(figure.axes) == 2


def test_verdicts():
    assert chains._verdict((0.1, 0.2), False) == "independent chains"
    assert chains._verdict((0.1, 0.2), True) == "coupled chains"
    assert chains._verdict((-0.2, 0.1), True) == "one chain suffices"
    assert chains._verdict((-0.2, -0.1), False) == "one chain suffices"
    assert chains._verdict((-0.1, 0.1), False) == "undecided"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n_states=st.integers(1, 4))
def test_mutual_information_is_symmetric_and_bounded(seed, n_states):
    first, second = np.random.default_rng(seed).integers(n_states, size=(2, 50))
    found = chains.mutual_information(first, second, n_states)
    assert found == pytest.approx(chains.mutual_information(second, first, n_states))
    assert -1e-12 < found <= np.log2(n_states) + 1e-12


def test_dependence_is_told_from_chance():
    rng = np.random.default_rng(0)
    switches = rng.random((2, 3, 400)) < 0.05
    paths = np.cumsum(switches, axis=-1) % 2
    paths[:, 1, 300:] = -1
    observed, null = chains._dependence(paths, 2, 99, 0)
    assert np.mean(null >= observed) > 0.05
    paths[1] = paths[0]
    observed, null = chains._dependence(paths, 2, 99, 0)
    assert (null < observed).all()


@pytest.mark.parametrize(
    ("groups", "n_test", "message"),
    [([0] * 6, 2, "holds 1 label"), (GROUPS, 1, "test holds 1 session")],
)
def test_what_cannot_be_compared(groups, n_test, message):
    spikes = np.ones((3, 10, 6))
    with pytest.raises(InvalidInputError, match=message):
        compare_chains(spikes, spikes[:n_test], groups, OneHotHMMGLM())
