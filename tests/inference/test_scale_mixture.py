"""Integrating the spread out, against quadrature."""

import numpy as np

from onehotglm.inference.scale_mixture import integrate_spread
from onehotglm.model.priors import PSEUDO_SD, PSEUDO_STATES, GaussianPrior


def test_one_state_against_quadrature():
    mean_sd, estimate, variance = 0.5, 0.9, 0.05
    w, log_sd = np.meshgrid(np.linspace(-4, 6, 4001), np.log(np.geomspace(0.01, 6, 800)))
    sd = np.exp(log_sd)
    total = sd**2 + mean_sd**2
    log_density = (
        -PSEUDO_STATES * (log_sd + 0.5 * (PSEUDO_SD / sd) ** 2)
        - 0.5 * (np.log(total) + w**2 / total)
        - 0.5 * (w - estimate) ** 2 / variance
    )
    density = np.exp(log_density - log_density.max())
    mean = (density * w).sum() / density.sum()
    expected = (density * (w - mean) ** 2).sum() / density.sum()

    plugged_in = 0.2
    precision = 1 / variance + 1 / (plugged_in**2 + mean_sd**2)
    prior = GaussianPrior(np.zeros(1), np.array([plugged_in]), np.array([mean_sd]))
    found_mean, found = integrate_spread(
        np.array([[estimate / variance / precision]]), np.array([[[1 / precision]]]), prior
    )
    np.testing.assert_allclose(found_mean, [[mean]], rtol=2e-3)
    np.testing.assert_allclose(found, [[expected]], rtol=5e-3)


def test_states_that_agree_keep_short_intervals_and_states_that_differ_lengthen():
    prior = GaussianPrior(np.zeros(2), np.full(2, 0.1), np.array([0.5, 0.5]))
    mean = np.array([[0.5, 0.5, 0.5], [1.5, -0.4, 0.4]])
    covariance = np.broadcast_to(0.005 * np.eye(3), (2, 3, 3))
    _, variance = integrate_spread(mean, covariance, prior)
    assert (variance[1] > 1.2 * variance[0]).all()
