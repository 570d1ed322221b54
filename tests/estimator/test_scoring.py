"""One baseline and one unit for everything that predicts spikes."""

import numpy as np
import pytest
import xarray as xr

from onehotglm.estimator.scoring import mean_rates, poisson_log_likelihood
from onehotglm.networks.homogeneous import HomogeneousPoisson

DIMS = ("session", "time", "neuron")


def test_never_observed_neuron_has_a_small_rate() -> None:
    counts = np.ones((2, 10, 2))
    counts[..., 1] = np.nan
    spikes = xr.DataArray(counts, dims=DIMS, attrs={"bin_size": 0.5})
    np.testing.assert_allclose(mean_rates(spikes), [2.0, 0.5 / 20 / 0.5])


def test_impossible_spikes_cost_everything_and_their_absence_nothing() -> None:
    spikes = xr.DataArray([[[1.0]], [[0.0]]], dims=DIMS, attrs={"bin_size": 1.0})
    silent = xr.DataArray([0.0], dims="neuron")
    assert poisson_log_likelihood(silent, spikes).values.tolist() == [-np.inf, 0.0]


def test_the_estimator_s_baseline_is_the_decoders(spikes, fitted) -> None:
    test = xr.DataArray(spikes, dims=DIMS, attrs={"bin_size": fitted.bin_size_})
    baseline = HomogeneousPoisson().fit(test)
    np.testing.assert_allclose(
        fitted.mean_counts_ / fitted.bin_size_, baseline.mean_rates_, rtol=1e-6
    )
    gained = float((fitted.log_likelihood(test) - baseline.log_likelihood(test)).sum())
    expected = gained / float(test.sum()) / np.log(2)
    assert fitted.score(test) == pytest.approx(expected, rel=1e-5)
