"""The flagship as a decoder: its rates, its likelihood and its connectivities."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from onehotglm import OneHotHMMGLM
from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import mean_rates, poisson_log_likelihood
from onehotglm.kernels.history import make_basis
from onehotglm.networks.hmm_glm import HMMGLMDecoder, OneStepRates

N_LAGS, N_NEURONS, BIN_SIZE = 3, 3, 0.02


@pytest.fixture(scope="module")
def spikes() -> xr.DataArray:
    """Two sessions with a lead-in, of which the second is shorter."""
    counts = np.random.default_rng(0).poisson(0.3, (2, 60 + N_LAGS, N_NEURONS)).astype(float)
    counts[1, 50:] = np.nan
    coords = {
        "session": [0, 1],
        "time": BIN_SIZE * np.arange(-N_LAGS, 60),
        "neuron": 10 + np.arange(N_NEURONS),
    }
    return xr.DataArray(counts, coords, ("session", "time", "neuron"), attrs={"bin_size": BIN_SIZE})


def with_parameters(spikes: xr.DataArray, n_states: int, **changed) -> HMMGLMDecoder:
    """As if parameters had been fitted, without the time that it takes."""
    rng = np.random.default_rng(1)
    model = OneHotHMMGLM(n_states=n_states, n_lags=N_LAGS)
    model.basis_functions_ = make_basis("exponential", N_LAGS)
    model.bias_ = rng.normal(-1, 0.5, (n_states, N_NEURONS))
    model.weights_ = rng.normal(0, 1, (n_states, N_NEURONS, N_NEURONS, 1))
    model.transition_matrix_ = np.full((n_states, n_states), 0.1) + 0.8 * np.eye(n_states)
    model.transition_matrix_ /= model.transition_matrix_.sum(1, keepdims=True)
    model.initial_proba_ = np.full(n_states, 1 / n_states)
    model.__dict__.update(changed)
    model.connectivity_ = model.weights_.sum(-1)
    model.occupancy_ = np.arange(1.0, n_states + 1)
    model.shared_connectivity_ = model.connectivity_.mean(0)
    model.bin_size_, model.neuron_ids_ = BIN_SIZE, spikes["neuron"].values
    model.mean_counts_ = mean_rates(spikes).values * BIN_SIZE
    decoder = HMMGLMDecoder(model, n_lags=N_LAGS)
    decoder.model_, decoder.mean_rates_ = model, mean_rates(spikes)
    decoder._take_connectivity(spikes)
    return decoder


@pytest.fixture(scope="module")
def switching(spikes) -> HMMGLMDecoder:
    return with_parameters(spikes, 2)


@pytest.mark.slow
def test_the_differentiable_rates_are_those_of_the_model(switching, spikes) -> None:
    predictor = OneStepRates.of(switching.model_, N_LAGS)
    expected = switching.predict_rates(spikes)
    for session in (0, 1):
        counts = jnp.asarray(np.nan_to_num(spikes.values[session]), jnp.float32)
        known = np.isfinite(expected.values[session])
        found = np.asarray(predictor(counts))[N_LAGS:]
        np.testing.assert_allclose(found[known], expected.values[session][known], rtol=1e-4)


@pytest.mark.slow
def test_without_states_both_readings_agree(spikes) -> None:
    glm = with_parameters(spikes, 1)
    np.testing.assert_allclose(glm.connectivity_, glm.direct_connectivity_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(glm.couplings_, glm.model_.connectivity_[0])
    assert list(glm.readings_) == ["effective", "couplings"]
    by_rates = poisson_log_likelihood(glm.predict_rates(spikes), spikes)
    np.testing.assert_allclose(glm.log_likelihood(spikes), by_rates, rtol=1e-4)
    assert glm.n_parameters_ == N_NEURONS + N_NEURONS**2


def test_with_states_a_spike_is_also_evidence(switching, spikes) -> None:
    readings = switching.readings_
    assert list(readings) == ["effective", "couplings", "shared"]
    assert not np.allclose(readings["effective"], switching.direct_connectivity_, rtol=0.05)
    assert all(reading.dims == ("post", "pre") for reading in readings.values())
    assert readings["effective"]["post"].values.tolist() == spikes["neuron"].values.tolist()
    # A state that evidence cannot move leaves the couplings.
    frozen = {"transition_matrix_": np.eye(2), "initial_proba_": np.array([1.0, 0.0])}
    decoder = with_parameters(spikes, 2, **frozen)
    np.testing.assert_allclose(
        decoder.connectivity_, decoder.direct_connectivity_, rtol=1e-3, atol=1e-3
    )


def test_couplings_weigh_states_by_their_time(switching) -> None:
    first, second = switching.model_.connectivity_
    np.testing.assert_allclose(switching.couplings_, (first + 2 * second) / 3)


def test_score_is_the_model_s_and_not_that_of_its_mean_rates(switching, spikes) -> None:
    assert switching.score(spikes) == pytest.approx(switching.model_.score(spikes), rel=1e-5)
    by_rates = poisson_log_likelihood(switching.predict_rates(spikes), spikes)
    assert not np.allclose(by_rates, switching.log_likelihood(spikes), rtol=1e-6)


def test_parameters_that_are_free_are_counted(spikes, switching) -> None:
    assert switching.n_parameters_ == 2 * N_NEURONS + 2 * N_NEURONS**2 + 3
    decoder = clone(switching)
    decoder.model_ = clone(switching.model).set_params(bias="shared", n_states=3)
    decoder.model_.bias_ = np.ones((3, N_NEURONS))
    decoder.model_.weights_ = np.zeros((3, N_NEURONS, N_NEURONS, 1))
    assert decoder.n_parameters_ == N_NEURONS + 8


def test_contract_of_scikit_learn(switching) -> None:
    copy = clone(switching)
    assert copy.model.get_params() == switching.model.get_params()
    assert not hasattr(copy, "model_")
    assert HMMGLMDecoder().model is None


@pytest.mark.slow
def test_fit_leaves_the_given_model_and_sets_what_it_promises(spikes) -> None:
    model = OneHotHMMGLM(n_states=2, n_lags=N_LAGS, n_init=1, progress=False)
    decoder = HMMGLMDecoder(model, n_lags=2).fit(spikes)
    assert not hasattr(model, "weights_")
    assert decoder.model_.n_states == 2
    assert decoder.connectivity_error_.dims == ("post", "pre")
    np.testing.assert_allclose(decoder.mean_rates_, mean_rates(spikes))
    other = clone(decoder).set_params(random_state=1, n_lags=1, model__n_states=1).fit(spikes)
    assert other.model_.n_states == 1
    assert not np.allclose(other.connectivity_, decoder.connectivity_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "one-hot"}, "model is str, expected a OneHotHMMGLM"),
        (
            {"model": OneHotHMMGLM(observation="bernoulli")},
            "observation='bernoulli', but decoders are compared as predictors of Poisson counts",
        ),
        ({"n_lags": 0}, "n_lags=0, but it must be at least 1"),
        ({"n_lags": 500}, "the longest session has 63 bins, too few for n_lags=500"),
    ],
)
def test_wrong_options_are_named(spikes, options, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        HMMGLMDecoder(**options).fit(spikes)
