"""Data and users that are out of the ordinary: defined results, or errors that help."""

import signal

import numpy as np
import pytest
from sklearn.base import clone

from onehotglm import ConvergenceWarning, InvalidInputError, OneHotHMMGLM
from onehotglm.estimator.fit_warnings import warn_of_fit
from onehotglm.estimator.monitor import Monitor
from tests.estimator.conftest import BIN_SIZE, N_NEURONS, N_TIME, quick_fit as fit


def assert_defined(model):
    for name in ("weights_", "bias_", "transition_matrix_", "initial_proba_", "occupancy_"):
        assert np.isfinite(getattr(model, name)).all(), name
    assert np.isfinite(model.log_likelihood_path_).all()


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_silent_neuron(spikes, prior):
    silent = spikes.copy()
    silent[..., 1] = 0
    model = fit(silent, prior=prior, ridge=0.0 if prior == "none" else 1.0)
    assert_defined(model)
    assert float(model.predict_rates(silent)[..., 1].max()) < 0.1 / BIN_SIZE
    assert model.score(silent) > 0


@pytest.mark.parametrize("value", [0, 1])
def test_constant_data(value):
    constant = np.full((3, N_TIME, N_NEURONS), value)
    model = fit(constant)
    assert_defined(model)
    rates = model.predict_rates(constant)
    np.testing.assert_allclose(rates[:, 10:], value, atol=0.1)


def test_one_session_and_one_neuron(spikes):
    assert_defined(fit(spikes[:1]))
    model = fit(spikes[..., :1])
    assert_defined(model)
    assert model.predict_states(spikes[..., :1]).shape == (3, N_TIME)


def test_more_states_than_the_data_call_for(fitted):
    model = fit(np.ones((1, 12, N_NEURONS)) * [3, 0, 1, 0], n_states=6, n_init=1)
    assert_defined(model)
    # Whether a state ends up empty is the data's choice; if one does, the user hears of it.
    model = clone(fitted)
    model.__dict__.update(fitted.__dict__)
    model.occupancy_ = np.array([900.0, 0.5])
    with pytest.warns(ConvergenceWarning, match=r"states \[1\] are empty.*fit fewer"):
        warn_of_fit(model)


def test_too_many_states_are_refused():
    with pytest.raises(InvalidInputError, match="n_states=6 for 5 time bins"):
        fit(np.ones((5, 2)), n_states=6)


def test_bad_parameters_are_refused_before_anything_is_fitted(spikes):
    model = OneHotHMMGLM(prior="dirichlet")
    with pytest.raises(InvalidInputError, match="prior='dirichlet'"):
        model.fit(spikes)
    assert not hasattr(model, "weights_")


# ------------------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
@pytest.mark.parametrize("after", [1, 6, 14])
def test_an_interrupt_returns_a_fitted_model(spikes, prior, after, monkeypatch):
    steps = []
    record = Monitor.__call__

    def interrupted(self, state):
        steps.append(state)
        if len(steps) == after:
            signal.raise_signal(signal.SIGINT)
        return record(self, state)

    monkeypatch.setattr(Monitor, "__call__", interrupted)
    model = fit(spikes, prior=prior, tol=0.0)
    assert model.stop_reason_ == "interrupted"
    assert not model.converged_
    assert len(steps) <= after + 8
    assert_defined(model)
    assert model.predict_states(spikes).shape == (3, N_TIME)
