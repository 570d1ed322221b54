"""The end of a fit with the one-hot prior: types are fixed, and strengths find their place."""

import signal

import numpy as np
import pytest
import xarray as xr

from onehotglm import OneHotHMMGLM, simulate_from
from onehotglm.estimator.monitor import Monitor
from onehotglm.kernels.history import make_basis
from tests.estimator.conftest import quietly_fit

pytestmark = pytest.mark.slow
N_LAGS, N_BASIS, N_DRIVERS = 15, 2, 3


def driven_units(seed: int) -> xr.DataArray:
    """Counts of units of about one spike per bin, and of others that they drive.

    Kernels rise and fall: their two weights nearly cancel, and no type holds for both.  So one
    of them is dropped when strengths settle, and the other alone is far too much.
    """
    rng, n_neurons = np.random.default_rng(seed), 2 * N_DRIVERS
    early = np.zeros((n_neurons, n_neurons))
    early[N_DRIVERS:, :N_DRIVERS] = 40 * rng.normal(size=(N_DRIVERS, N_DRIVERS))
    late = -early * rng.uniform(0.8, 1.2, early.shape)
    parameters = xr.Dataset(
        {
            "bias": (("state", "neuron"), rng.normal(0.3, 0.7, (1, n_neurons))),
            "weights": (("state", "post", "pre", "basis"), np.stack([early, late], -1)[None]),
            "basis_functions": (("basis", "lag"), make_basis("raised_cosine", N_LAGS, N_BASIS)),
            "transition_matrix": (("state", "next_state"), [[1.0]]),
            "initial_proba": ("state", [1.0]),
        },
        attrs={"bin_size": 0.1, "link": "softplus"},
    )
    return simulate_from(parameters, n_time_bins=1000, random_state=seed)["spikes"]


def settled_fit(spikes) -> OneHotHMMGLM:
    options = {"basis": "raised_cosine", "n_lags": N_LAGS, "n_basis": N_BASIS}
    return quietly_fit(OneHotHMMGLM(n_states=1, n_init=1, progress=False, **options), spikes)


def has_strengths_of_its_types(model: OneHotHMMGLM) -> bool:
    return bool((model.weights_ * model.connection_type_[..., None] >= 0).all())


@pytest.mark.parametrize("seed", [5, 12])
def test_what_is_dropped_leaves_rates_that_fit(seed):
    spikes = driven_units(seed)
    model = settled_fit(spikes)
    assert model.score(spikes) > 0.1
    assert has_strengths_of_its_types(model)


@pytest.mark.parametrize("after", [3, 42])
def test_an_interrupt_leaves_rates_that_fit(after, monkeypatch):
    """While the prior is not learned yet, and while strengths settle."""
    spikes, steps, record = driven_units(5), [], Monitor.__call__

    def interrupted(self, state):
        steps.append(state)
        if len(steps) == after:
            signal.raise_signal(signal.SIGINT)
        return record(self, state)

    monkeypatch.setattr(Monitor, "__call__", interrupted)
    model = settled_fit(spikes)
    assert model.stop_reason_ == "interrupted"
    assert model.score(spikes) > 0.1
    assert has_strengths_of_its_types(model)
