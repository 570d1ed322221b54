"""A small recording with two states, and a fit to it, shared by the tests of a run."""

import warnings

import numpy as np
import pytest
import xarray as xr

from onehotglm import OneHotHMMGLM

N_SESSIONS, N_TIME, N_NEURONS, BIN_SIZE = 3, 300, 4, 0.02


def simulate(n_sessions=N_SESSIONS, n_time=N_TIME, seed=0) -> xr.Dataset:
    """Two states that differ in their couplings and rates, from a loop in numpy."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((2, N_NEURONS, N_NEURONS))
    weights[0, 0, 1] = weights[0, 2, 3] = weights[1, 3, 0] = 2.0
    weights[1, 1, 2] = -2.0
    bias = np.array([[0.5, -1.0, -0.5, 0.0], [-1.5, 0.5, 0.5, -1.0]])
    phi = np.exp(-np.arange(1, 6.0))
    phi /= phi.sum()
    counts = np.zeros((n_sessions, 5 + n_time, N_NEURONS))
    states = np.zeros((n_sessions, n_time), int)
    for r in range(n_sessions):
        for t in range(n_time):
            stay = t > 0 and rng.random() < 0.97
            states[r, t] = states[r, t - 1] if stay else rng.integers(2)
            history = phi @ counts[r, t : t + 5][::-1]
            eta = bias[states[r, t]] + weights[states[r, t]] @ history
            counts[r, t + 5] = rng.poisson(np.logaddexp(0, eta))
    spikes = xr.DataArray(
        counts[:, 5:].astype(np.float32),
        dims=("session", "time", "neuron"),
        coords={
            "session": np.arange(n_sessions),
            "time": np.arange(n_time) * BIN_SIZE,
            "neuron": np.arange(N_NEURONS) + 10,
        },
        attrs={"bin_size": BIN_SIZE},
    )
    return xr.Dataset({"spikes": spikes, "states": (("session", "time"), states)})


def quietly_fit(model: OneHotHMMGLM, spikes, **beside) -> OneHotHMMGLM:
    """Fit without the warnings of short fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(spikes, **beside)


def quick_fit(data, **options) -> OneHotHMMGLM:
    """Fit two states from two starts, or as the options say."""
    return quietly_fit(
        OneHotHMMGLM(**{"n_states": 2, "n_init": 2, "progress": False} | options), data
    )


@pytest.fixture(scope="session")
def simulation() -> xr.Dataset:
    return simulate()


@pytest.fixture(scope="session")
def spikes(simulation) -> xr.DataArray:
    return simulation["spikes"]


@pytest.fixture(scope="session")
def fitted(spikes) -> OneHotHMMGLM:
    return quietly_fit(OneHotHMMGLM(n_states=2, progress=False), spikes)
