"""Recordings, fits and outputs as the estimator would give them, drawn from known rates."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

TYPES = ["inhibitory", "absent", "excitatory"]


def _make_truth(n_neurons=6, n_states=3, n_sessions=3, n_time_bins=200, seed=0):
    """Make a simulation Dataset: Poisson counts of rates that depend on the state only."""
    rng = np.random.default_rng(seed)
    bin_size = 0.02
    stay = np.full((n_states, n_states), 0.05 / max(n_states - 1, 1))
    np.fill_diagonal(stay, 0.95 if n_states > 1 else 1.0)
    states = np.zeros((n_sessions, n_time_bins), int)
    for session in range(n_sessions):
        for time in range(1, n_time_bins):
            states[session, time] = rng.choice(n_states, p=stay[states[session, time - 1]])
    rates = rng.gamma(2.0, 10.0, (n_states, n_neurons))[states]
    kinds = rng.integers(-1, 2, (n_states, n_neurons, n_neurons))
    couplings = kinds * rng.gamma(4.0, 0.25, kinds.shape)
    units = np.arange(n_neurons) + 10
    return xr.Dataset(
        {
            "spikes": (
                ("session", "time", "neuron"),
                rng.poisson(rates * bin_size).astype("float32"),
                {"bin_size": bin_size},
            ),
            "states": (("session", "time"), states),
            "rates": (("session", "time", "neuron"), rates),
            "connectivity": (("state", "post", "pre"), couplings),
            "connection_type": (("state", "post", "pre"), kinds),
            "transition_matrix": (("state", "next_state"), stay),
        },
        coords={
            "session": np.arange(n_sessions),
            "time": bin_size * np.arange(n_time_bins),
            "neuron": units,
            "post": units,
            "pre": units,
            "state": np.arange(n_states),
        },
        attrs={"bin_size": bin_size, "link": "softplus"},
    )


def _make_fit(truth, seed=1):
    """Make a fit Dataset that is nearly the truth."""
    rng = np.random.default_rng(seed)
    fit = truth[["connectivity", "connection_type", "transition_matrix"]].copy(deep=True)
    fit["connectivity"] = fit["connectivity"] * rng.normal(1.0, 0.1, fit["connectivity"].shape)
    pairs = fit["connectivity"].shape[1:]
    fit["shared_connectivity"] = fit["connectivity"].mean("state")
    fit["shared_type_proba"] = (("post", "pre", "type"), rng.dirichlet([1, 1, 1], pairs))
    certain = np.stack([fit["connection_type"] == kind for kind in (-1, 0, 1)], axis=-1)
    fit["connection_type_proba"] = (("state", "post", "pre", "type"), 0.9 * certain + 0.1 / 3)
    fit["log_likelihood_path"] = ("iteration", -0.2 - 0.1 * np.exp(-np.arange(12.0)))
    return fit.assign_coords(type=TYPES).assign_attrs(
        bin_size=truth.attrs["bin_size"], prior="one-hot", link="softplus"
    )


def _make_posterior(truth):
    """Make a posterior that is nearly certain of the true states."""
    n_states = truth.sizes["state"]
    proba = 0.9 * np.eye(n_states)[truth["states"].values] + 0.1 / n_states
    coords = {name: truth[name] for name in ("session", "time", "state")}
    return xr.DataArray(proba, dims=("session", "time", "state"), coords=coords)


@pytest.fixture
def make_recording():
    """Make a simulation, a fit and a posterior: ``truth, fit, posterior = make_recording()``."""

    def make(**sizes):
        truth = _make_truth(**sizes)
        return truth, _make_fit(truth), _make_posterior(truth)

    return make


@pytest.fixture
def truth(make_recording):
    return make_recording()[0]


@pytest.fixture
def fit(make_recording):
    return make_recording()[1]


@pytest.fixture
def posterior(make_recording):
    return make_recording()[2]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")
