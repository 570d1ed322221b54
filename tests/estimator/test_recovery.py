"""States, signs and strengths come back from recordings whose truth is known."""

import numpy as np
import pytest
import xarray as xr

from onehotglm import OneHotHMMGLM, simulate_from
from onehotglm.estimator.match import match_paths, reorder_states
from onehotglm.simulate.population import simulate_published


def matched(model, spikes, states):
    """State accuracy, and the fit with the truth's labels."""
    found = model.predict_states(spikes).values
    order = match_paths(found, states, n_states=model.n_states)
    return (np.argsort(order)[found] == states).mean(), reorder_states(model.to_dataset(), order)


@pytest.mark.slow
def test_small_published_benchmark():
    data = simulate_published(n_neurons=8, n_states=3, n_sessions=12, n_time_bins=2000)
    model = OneHotHMMGLM(n_states=3, link="sigmoid", progress=False).fit(data["spikes"])
    accuracy, fit = matched(model, data["spikes"], data["states"].values)
    assert accuracy > 0.85
    true, found = data["connection_type"].values, fit["connection_type"].values
    assert np.mean([(found[true == t] == t).mean() for t in (-1, 0, 1)]) > 0.8
    both = (true != 0) & (found != 0)
    assert (np.sign(true[both]) == np.sign(found[both])).mean() > 0.98
    assert float(((fit["weights"].values - data["weights"].values) ** 2).mean()) < 0.05


@pytest.mark.slow
def test_reference_benchmark(shared_data):
    with np.load(shared_data("demo_seed0.npz")) as data:
        spikes, states = data["spikes"].astype(np.float32), data["states"]
        weights, types = data["weights_true"], data["adjacency_true"]
    train, test = (
        xr.DataArray(part, dims=("session", "time", "neuron"), attrs={"bin_size": 0.02})
        for part in (spikes[:30], spikes[30:])
    )
    scores, errors = {}, {}
    for prior in ("one-hot", "gaussian", "none"):
        model = OneHotHMMGLM(n_states=5, prior=prior, link="sigmoid", progress=False).fit(train)
        accuracy, fit = matched(model, test, states[30:])
        scores[prior] = model.score(test)
        errors[prior] = ((fit["connectivity"].values - weights) ** 2).mean()
        # The true parameters reach 0.985 and 0.148 bits per spike.
        assert accuracy > 0.98
        if prior == "one-hot":
            found = fit["connection_type"].values
            assert np.mean([(found[types == t] == t).mean() for t in (-1, 0, 1)]) > 0.93
    assert scores["one-hot"] > 0.99 * 0.148
    assert errors["one-hot"] < 0.003
    assert errors["one-hot"] < errors["gaussian"] < errors["none"]


@pytest.fixture(scope="module")
def with_kernels():
    """Two states with one rising and falling kernel per connection, of other strengths."""
    rng, n_neurons, n_lags = np.random.default_rng(0), 4, 8
    lags, peak = np.arange(1, n_lags + 1), rng.uniform(1, 3, (n_neurons, n_neurons, 1))
    kernel = lags * np.exp(-lags / peak)
    kernel /= kernel.sum(-1, keepdims=True)
    strength = rng.normal(size=(2, n_neurons, n_neurons))
    # So that bursts die out.
    strength *= 0.9 / np.linalg.eigvals(strength).real.max(-1)[:, None, None]
    parameters = xr.Dataset(
        {
            "bias": (("state", "neuron"), np.array([[-1.2] * 4, [-0.2] * 4])),
            "weights": (("state", "post", "pre", "basis"), strength[..., None] * kernel),
            "basis_functions": (("basis", "lag"), np.eye(n_lags)),
            "transition_matrix": (("state", "next_state"), [[0.98, 0.02], [0.02, 0.98]]),
            "initial_proba": ("state", [0.5, 0.5]),
        },
        attrs={"bin_size": 0.02, "link": "softplus"},
    )
    return simulate_from(parameters, n_sessions=4, n_time_bins=1500)


@pytest.mark.slow
def test_kernels(with_kernels):
    data, errors = with_kernels, []
    options = {"n_states": 2, "n_init": 1, "prior": "none", "basis": "lags", "n_lags": 8}
    for choice in ({}, {"smoothness": 300.0}, {"smoothness": 300.0, "kernel": "shared"}):
        model = OneHotHMMGLM(progress=False, **options, **choice).fit(data["spikes"])
        order = match_paths(model.predict_states(data["spikes"]), data["states"])
        kernels = (model.weights_ @ model.basis_functions_)[order]
        errors.append(((kernels - data["weights"].values) ** 2).mean())
    free, smooth, shared = errors
    assert smooth < 0.6 * free
    assert shared < smooth
    assert shared < 0.7 * float((data["weights"] ** 2).mean())
    strength = data["weights"].values.sum(-1)
    assert np.corrcoef(model.strength_[order].ravel(), strength.ravel())[0, 1] > 0.8
