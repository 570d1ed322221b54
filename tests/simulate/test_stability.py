"""The gain and the mean-field biases, against closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.simulate.stability import loop_gain, mean_field_bias, sampled_drive, stabilise

KERNEL = np.array([0.6, 0.3, 0.1])


def random_network(seed=0, n_states=2, n_neurons=6):
    rng = np.random.default_rng(seed)
    connectivity = rng.normal(0, 1, (n_states, n_neurons, n_neurons))
    target = rng.uniform(0.02, 0.4, (n_states, n_neurons))
    return connectivity, target


def rng():
    return np.random.default_rng(1)


def test_without_input_the_bias_inverts_the_link():
    target = np.array([[0.01, 0.1, 0.7]])
    inverse = {
        "softplus": np.log(np.expm1(target)),
        "exp": np.log(target),
        "sigmoid": np.log(target / (1 - target)),
    }
    for link, expected in inverse.items():
        bias = mean_field_bias(target, np.zeros((1, 1, 3)), link)
        np.testing.assert_allclose(bias, expected, atol=1e-4)


def test_sampled_drive_has_the_moments_of_shot_noise():
    connectivity, target = random_network()
    drive = sampled_drive(connectivity, target, KERNEL, rng())
    mean = np.einsum("snm,sm->sn", connectivity, target)
    variance = np.einsum("snm,sm->sn", connectivity**2, target) * (KERNEL**2).sum()
    np.testing.assert_allclose(drive.mean(0), mean, atol=5 * np.sqrt(variance.max() / len(drive)))
    np.testing.assert_allclose(drive.var(0), variance, rtol=0.15)


def test_exponential_link_has_a_closed_form():
    # log E exp(c x) = rate (exp(c) - 1) for Poisson x
    connectivity, target = random_network()
    connectivity = 0.5 * connectivity
    drive = sampled_drive(connectivity, target, KERNEL, rng())
    growth = np.expm1(connectivity[..., None] * KERNEL).sum(-1)
    expected = np.log(target) - np.einsum("snm,sm->sn", growth, target)
    np.testing.assert_allclose(mean_field_bias(target, drive, "exp"), expected, atol=0.05)


@pytest.mark.parametrize("link", ["softplus", "sigmoid"])
def test_biases_give_the_target_on_fresh_input(link):
    connectivity, target = random_network()
    rate = {"softplus": lambda x: np.logaddexp(0, x), "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    stable = stabilise(connectivity, target, KERNEL, link, 0.9, rng())
    fresh = sampled_drive(stable.scale * connectivity, target, KERNEL, np.random.default_rng(2))
    found = rate[link](stable.bias + fresh).mean(0)
    np.testing.assert_allclose(found, target, rtol=0.1)


def test_gain_is_the_larger_of_rest_and_bursts():
    inhibitory = -2 * np.ones((1, 2, 2))
    slope = np.full((1, 2), 0.25)
    assert loop_gain(slope, inhibitory, "softplus") == pytest.approx(1.0)  # 0.25 * 2 * 2
    assert loop_gain(slope, -inhibitory, "softplus") == pytest.approx(4.0)
    assert loop_gain(slope, -inhibitory, "sigmoid") == pytest.approx(1.0)
    two_states = np.concatenate([inhibitory, -inhibitory])
    assert loop_gain(np.repeat(slope, 2, axis=0), two_states, "softplus") == pytest.approx(4.0)


@given(
    st.integers(0, 2**31),
    st.sampled_from(["softplus", "exp", "sigmoid"]),
    st.floats(0.05, 1.5),
    st.floats(-4, 4),
)
@settings(max_examples=30, deadline=None)
def test_scaling_reaches_the_gain_whatever_the_unit(seed, link, gain, log10_unit):
    connectivity, target = random_network(seed)
    stable = stabilise(connectivity * 10**log10_unit, target, KERNEL, link, gain, rng())
    assert stable.gain == pytest.approx(gain)
    assert np.isfinite(stable.bias).all()
    reference = stabilise(connectivity, target, KERNEL, link, gain, rng())
    np.testing.assert_allclose(stable.bias, reference.bias, atol=1e-3)


def test_strengths_stay_where_scaling_is_off_or_there_are_none():
    connectivity, target = random_network()
    assert stabilise(connectivity, target, KERNEL, "softplus", None, rng()).scale == 1
    assert stabilise(0 * connectivity, target, KERNEL, "softplus", 0.8, rng()).gain == 0


def test_a_chain_has_a_gain_though_its_spectral_radius_is_zero():
    chain = 3 * np.eye(4, k=1)[None]
    assert loop_gain(np.full((1, 4), 0.1), chain, "softplus") == pytest.approx(3.0)
    stable = stabilise(chain, np.full((1, 4), 0.1), KERNEL, "softplus", 0.6, rng())
    assert stable.scale == pytest.approx(0.2)


@pytest.mark.slow
def test_rates_return_from_a_burst_below_a_gain_of_one():
    """Deterministic rates relax to the fixed point from a high start, in every state."""
    connectivity, target = random_network(3, n_neurons=20)
    stable = stabilise(connectivity, target, KERNEL, "softplus", 0.9, rng())
    for s in range(2):
        past = np.full((3, 20), 50.0)
        for _ in range(400):
            drive = stable.scale * connectivity[s] @ (KERNEL @ past)
            past = np.concatenate([np.logaddexp(0, stable.bias[s] + drive)[None], past[:-1]])
        assert past[0].max() < 2 * target[s].max()


def test_sigmoid_cannot_reach_more_than_a_count_per_bin():
    connectivity, target = random_network()
    with pytest.raises(InvalidInputError, match="the sigmoid link reaches 1 at most"):
        stabilise(connectivity, 10 * target, KERNEL, "sigmoid", 0.8, rng())
