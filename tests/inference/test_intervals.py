"""Quantiles against scipy's distributions and draws."""

import numpy as np
import pytest
from scipy import stats

from onehotglm.inference.intervals import mixture_interval, mixture_quantile, positive_quantile


@pytest.mark.parametrize("location", [-3.0, 0.0, 1.5, 40.0])
def test_truncated_quantiles(location):
    p = np.array([0.01, 0.3, 0.5, 0.99])
    expected = stats.truncnorm.ppf(p, -location / 0.7, np.inf, location, 0.7)
    np.testing.assert_allclose(positive_quantile(p, location, 0.7), expected, rtol=1e-7)


def test_far_tails_stay_defined():
    values = positive_quantile(np.array([0.05, 0.95]), np.array(-200.0), np.array(1.0))
    # Nearly exponential with rate 200.
    np.testing.assert_allclose(values, -np.log([0.95, 0.05]) / 200, rtol=1e-3)


def test_mixture_quantiles_are_those_of_draws():
    rng = np.random.default_rng(0)
    proba, location, scale = np.array([0.3, 0.3, 0.4]), np.array([0.5, 1.0]), np.array([0.4, 0.6])
    sign = rng.choice([-1, 0, 1], 400_000, p=proba)
    side = (sign > 0).astype(int)
    strength = location[side] + scale[side] * stats.truncnorm.rvs(
        (-location / scale)[side], np.inf, random_state=rng
    )
    for p in (0.02, 0.2, 0.29, 0.31, 0.59, 0.65, 0.97):
        expected = np.quantile(sign * strength, p)
        assert mixture_quantile(p, proba, location, scale) == pytest.approx(expected, abs=0.01)


def test_certain_types():
    ones = np.ones(2)
    absent, excitatory = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    assert mixture_interval(absent, ones, ones, 0.9) == (0, 0)
    low, high = mixture_interval(excitatory, ones, ones, 0.9)
    np.testing.assert_allclose([low, high], positive_quantile(np.array([0.05, 0.95]), 1.0, 1.0))
