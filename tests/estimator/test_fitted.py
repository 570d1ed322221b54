"""What a fitted model predicts, scores and samples."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln
from sklearn.base import clone

from onehotglm import InvalidInputError
from tests.estimator.conftest import BIN_SIZE, N_TIME, simulate


def test_score_is_bits_per_spike_over_training_rates(fitted, spikes):
    test = simulate(seed=1)["spikes"]
    counts = test.values.astype(float)
    rate = spikes.values.mean((0, 1), dtype=float)
    baseline = (counts * np.log(rate) - rate - gammaln(counts + 1)).sum()
    gain = float(fitted.log_likelihood(test).sum()) - baseline
    assert fitted.score(test) == pytest.approx(gain / (counts.sum() * np.log(2)), rel=1e-6)
    assert fitted.score(test) > 0.05
    assert np.isnan(fitted.score(np.zeros((1, 10, 4))))


def test_log_likelihood_is_per_session(fitted, spikes):
    per_session = fitted.log_likelihood(spikes)
    alone = [float(fitted.log_likelihood(session).sum()) for session in spikes]
    np.testing.assert_allclose(per_session, alone, rtol=1e-5)
    assert per_session.attrs["units"] == "nats"
    # The training path ends at the same likelihood.
    per_bin = float(per_session.sum()) / (3 * N_TIME)
    assert per_bin == pytest.approx(fitted.log_likelihood_path_[-1], rel=1e-4)


def test_one_bin_is_enough_to_predict(fitted, spikes):
    alone = spikes.isel(session=[0], time=[0])
    np.testing.assert_allclose(fitted.predict_proba(alone).sum("state"), 1, rtol=1e-5)
    assert np.isfinite(fitted.log_likelihood(alone)).all()


def test_rates_depend_on_the_past_only(fitted, spikes):
    other = spikes.copy()
    other[:, 200:] = other.values[:, 200:][:, ::-1]
    before, after = fitted.predict_rates(spikes), fitted.predict_rates(other)
    # Bin 200's rate sees bins up to 199.
    np.testing.assert_allclose(before[:, :201], after[:, :201], rtol=1e-5)
    assert np.abs(before[:, 201:] - after[:, 201:]).max() > 1


def test_rates_are_calibrated(fitted, spikes):
    rates = fitted.predict_rates(spikes)
    assert rates.attrs["units"] == "Hz"
    observed = spikes.mean(("session", "time")) / BIN_SIZE
    np.testing.assert_allclose(rates.mean(("session", "time")), observed, rtol=0.1)


@pytest.mark.slow
def test_samples_have_the_rates_of_the_model(fitted):
    sample = fitted.sample(n_time_bins=2000, n_sessions=3, random_state=1)
    assert sample["spikes"].dims == ("session", "time", "neuron")
    assert sample["spikes"].shape == (3, 2000, 4)
    assert sample["spikes"].attrs["bin_size"] == BIN_SIZE
    observed = sample["spikes"].mean(("session", "time")) / BIN_SIZE
    np.testing.assert_allclose(observed, sample["rates"].mean(("session", "time")), rtol=0.1)
    share = float((sample["states"] == 0).mean())
    stationary = np.linalg.matrix_power(fitted.transition_matrix_.astype(float), 1000)[0, 0]
    assert share == pytest.approx(stationary, abs=0.15)
    same, other = (fitted.sample(n_time_bins=2000, n_sessions=3, random_state=s) for s in (1, 2))
    xr.testing.assert_identical(same, sample)
    assert not same["spikes"].equals(other["spikes"])
    # What is sampled can be decoded.
    assert fitted.score(sample["spikes"]) > 0.05


def test_exploding_samples_are_refused(fitted):
    model = clone(fitted)
    model.__dict__.update(fitted.__dict__)
    model.weights_ = np.full_like(fitted.weights_, 50.0)
    with pytest.raises(InvalidInputError, match=r"exploded.*bounded link"):
        model.sample(n_time_bins=2000, n_sessions=3)


def test_neurons_and_bin_size_must_match_the_fit(fitted, spikes):
    with pytest.raises(InvalidInputError, match="got 3 neurons, but the model was fitted to 4"):
        fitted.predict_states(spikes[..., :3])
    with pytest.raises(InvalidInputError, match=r"bin_size=0\.02 s.*says 0\.05 s"):
        fitted.predict_rates(spikes.assign_attrs(bin_size=0.05))
