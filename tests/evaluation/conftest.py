"""A small recording with two states that fire differently, and a fit to it."""

import numpy as np
import pytest
import xarray as xr

from onehotglm import OneHotHMMGLM

# Of as many neurons and lags as elsewhere in the tests: compiled once.
RATES = np.array([[0.2, 0.2, 1.2, 0.5], [1.2, 0.8, 0.2, 0.5]])


def two_states(n_sessions=4, n_time=200, seed=0) -> xr.DataArray:
    """Counts without couplings; visits of 20 bins."""
    rng = np.random.default_rng(seed)
    states = np.repeat(rng.integers(2, size=(n_sessions, n_time // 20)), 20, axis=1)
    coords = {"session": np.arange(n_sessions), "time": np.arange(n_time) * 0.1}
    return xr.DataArray(
        rng.poisson(RATES[states]).astype(np.float32),
        coords | {"neuron": np.arange(4)},
        ("session", "time", "neuron"),
        attrs={"bin_size": 0.1},
    )


def small_model(**parameters) -> OneHotHMMGLM:
    settings = {"prior": "none", "n_init": 2, "progress": False} | parameters
    return OneHotHMMGLM(**settings)


@pytest.fixture(scope="session")
def fitted_small():
    spikes = two_states()
    return small_model(n_states=2).fit(spikes), spikes
