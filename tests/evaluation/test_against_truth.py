"""Measures of recovery: by definition, against a reference, and whatever the labels."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.match import reorder_states
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.evaluation import recovery, true_model
from onehotglm.simulate import simulate_population

TYPE = ["inhibitory", "absent", "excitatory"]


@pytest.fixture(scope="module")
def reference(shared_data) -> ModuleType:
    """Score sheet of the published benchmark, numpy and scipy only."""
    tool = shared_data("demo_seed0.npz").parents[1] / "tools" / "score_demo.py"
    if not Path(tool).is_file():
        pytest.skip(f"{tool} is not there")
    spec = importlib.util.spec_from_file_location("score_demo", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def simulated(rng: np.random.Generator, n_states: int, n_neurons: int = 6) -> xr.Dataset:
    """Truth with all three types in every state."""
    types = rng.integers(-1, 2, size=(n_states, n_neurons, n_neurons))
    types[:, 0, :3] = [-1, 0, 1]
    strength = rng.gamma(2.0, size=types.shape)
    states = rng.integers(n_states, size=(3, 40))
    states[:, :n_states] = np.arange(n_states)
    return dataset(types * strength, types, rng, states)


def dataset(couplings, types, rng, states) -> xr.Dataset:
    n_states, n_neurons, _ = couplings.shape
    couple = ("state", "post", "pre")
    proba = rng.dirichlet(np.ones(3), size=(n_neurons, n_neurons))
    return xr.Dataset(
        {
            "connectivity": (couple, couplings),
            "connection_type": (couple, types),
            "shared_type_proba": (("post", "pre", "type"), proba),
            "transition_matrix": (("state", "next_state"), np.eye(n_states) * 0.9 + 0.1 / n_states),
            "states": (("session", "time"), states),
        },
        coords={"type": TYPE},
    )


def blurred(truth: xr.Dataset, rng: np.random.Generator, noise: float = 0.7) -> xr.Dataset:
    """A fit with errors in everything."""
    couplings = truth["connectivity"].values + noise * rng.normal(size=truth["connectivity"].shape)
    types = np.sign(couplings).astype(int) * (np.abs(couplings) > 0.5)
    states = truth["states"].values.copy()
    wrong = rng.random(states.shape) < 0.2
    states[wrong] = rng.integers(truth.sizes["state"], size=wrong.sum())
    return dataset(couplings, types, rng, states)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_score_sheet(reference: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = simulated(rng, 3)
    fit = reorder_states(blurred(truth, rng), [2, 0, 1])
    spikes = rng.poisson(0.5, size=(*truth["states"].shape, 6)).astype(float)
    bias = rng.normal(size=(3, 6))
    parameters = {
        "W": fit["connectivity"].values,
        "b": bias,
        "T": fit["transition_matrix"].values,
        "init": np.full(3, 1 / 3),
        "act": "sigmoid",
        "lb": None,
        "ub": None,
        "basis": np.array([0.7, 0.3]),
        "A": fit["connection_type"].values,
        "P": fit["shared_type_proba"].values,
    }
    data = {
        "spikes": np.concatenate([spikes, spikes]),
        "states": np.tile(truth["states"].values, (2, 1)),
        "weights_true": truth["connectivity"].values,
        "adjacency_true": truth["connection_type"].values,
        "adjacency_prior": truth["shared_type_proba"].values,
    }
    sheet = reference.score(parameters, data, n_train=3)
    emission = reference.log_emission(parameters, spikes)
    _, posterior = reference.forward_backward(emission, parameters["T"], parameters["init"])
    found = recovery(fit, truth, posterior.argmax(-1))
    same = {
        "state_accuracy": "state_acc_posterior",
        "connectivity_mse": "weight_mse",
        "connectivity_correlation": "weight_pearson",
        "type_accuracy": "adj_acc",
        "type_balanced_accuracy": "adj_bal_acc",
        "threshold_balanced_accuracy": "adj_bal_acc_best_threshold",
        "sign_accuracy": "sign_acc_on_true_connections",
        "average_precision": "auprc_abs_weight",
        "shared_type_accuracy": "prior_acc",
        "shared_type_balanced_accuracy": "prior_bal_acc",
    }
    assert set(found.index) == {*same, "type_average_precision"}
    np.testing.assert_allclose(
        found[list(same)], [sheet[name] for name in same.values()], rtol=1e-12
    )


@given(st.permutations(range(4)), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_labels_of_states_do_not_matter(permutation: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = simulated(rng, 4)
    fit = blurred(truth, rng, noise=0.1)
    renamed = reorder_states(fit, permutation)
    for states, new_states in ((None, None), (fit["states"], renamed["states"])):
        np.testing.assert_allclose(
            recovery(fit, truth, states), recovery(renamed, truth, new_states), rtol=1e-12
        )


def test_the_truth_is_perfect() -> None:
    truth = simulated(np.random.default_rng(0), 3)
    found = recovery(truth, truth, truth["states"])
    assert found["connectivity_mse"] == 0
    np.testing.assert_allclose(found.drop(["connectivity_mse", "type_average_precision"]), 1)
    assert np.isnan(recovery(truth, truth)["state_accuracy"])


def test_connections_are_found_by_their_probability() -> None:
    truth = simulated(np.random.default_rng(0), 2)
    exists = truth["connection_type"] != 0
    proba = xr.concat([exists * 0.4, 1 - exists * 0.8, exists * 0.4], dim="type")
    fit = truth.assign(connection_type_proba=proba, connectivity=0 * truth["connectivity"])
    found = recovery(fit, truth, truth["states"])
    assert found["type_average_precision"] == 1
    assert found["average_precision"] == pytest.approx(float(exists.mean()))


def test_padding_does_not_count() -> None:
    truth = simulated(np.random.default_rng(0), 2)
    states = truth["states"].values.copy()
    states[:, 10:20] = -1
    assert recovery(truth, truth, states)["state_accuracy"] == 1
    states[:, :2] = states[:, 1::-1]
    assert recovery(truth, truth, states)["state_accuracy"] == pytest.approx(28 / 30)


def test_a_fit_without_types() -> None:
    truth = simulated(np.random.default_rng(0), 2)
    fit = truth.drop_vars(["connection_type", "shared_type_proba"])
    found = recovery(fit, truth)
    lacking = [name for name in found.index if "type_" in name] + ["state_accuracy"]
    assert found[lacking].isna().all()
    assert found.drop(lacking).notna().all()
    # Signs of true couplings stand in for types that the truth does not list.
    assert recovery(truth, fit)["type_accuracy"] == 1


def test_more_fitted_states_than_true_ones() -> None:
    truth = simulated(np.random.default_rng(0), 3)
    fewer = truth.isel(state=[0, 1], next_state=[0, 1])
    fewer["states"] = fewer["states"].clip(max=1)
    found = recovery(reorder_states(truth, [2, 1, 0]), fewer)
    assert found["connectivity_mse"] == 0


def test_fewer_fitted_states_than_true_ones() -> None:
    truth = simulated(np.random.default_rng(0), 3)
    fit = truth.isel(state=[0, 1], next_state=[0, 1]).drop_vars("states")
    states = np.minimum(truth["states"].values, 1)
    found = recovery(fit, truth, states)
    true = truth["connectivity"].values
    # The true state 2 goes without partner, unless it is visited more than state 1.
    lost = 2 if (truth["states"] == 1).sum() >= (truth["states"] == 2).sum() else 1
    assert found["state_accuracy"] == pytest.approx((truth["states"] != lost).mean())
    compared = [0, 1, None] if lost == 2 else [0, None, 1]
    errors = [
        min(((true[:2] - true[state]) ** 2).mean((1, 2)))
        if partner is None
        else ((true[partner] - true[state]) ** 2).mean()
        for state, partner in enumerate(compared)
    ]
    assert found["connectivity_mse"] == pytest.approx(np.mean(errors))


def test_a_truth_that_does_not_switch() -> None:
    rng = np.random.default_rng(0)
    truth = simulated(rng, 1)
    constant = truth[["connectivity", "connection_type"]].isel(state=0, drop=True)
    fit = truth.isel(state=[0, 0], next_state=[0, 0])
    fit["connectivity"] = fit["connectivity"] + xr.DataArray([0.0, 1.0], dims="state")
    assert recovery(fit, constant)["connectivity_mse"] == pytest.approx(0.5)


def test_a_model_decodes_the_spikes_of_the_truth() -> None:
    truth = simulated(np.random.default_rng(0), 2)

    class Model:
        def predict_states(self, spikes: xr.DataArray) -> xr.DataArray:
            return spikes

        def to_dataset(self) -> xr.Dataset:
            return truth.drop_vars("states")

    spikes = truth["states"].copy()
    spikes[:, 0] = 1 - spikes[:, 0]
    found = recovery(Model(), truth.assign(spikes=spikes))
    assert found["state_accuracy"] == pytest.approx(39 / 40)
    assert recovery(Model(), truth, truth["states"])["state_accuracy"] == 1


def test_what_cannot_be_compared() -> None:
    truth = simulated(np.random.default_rng(0), 2)
    with pytest.raises(InvalidInputError, match="fit has no connectivity"):
        recovery(truth[["states"]], truth)
    with pytest.raises(InvalidInputError, match="truth has no connectivity"):
        recovery(truth, truth[["states"]])
    other = simulated(np.random.default_rng(0), 2, n_neurons=5)
    with pytest.raises(InvalidInputError, match="same neurons"):
        recovery(truth, other)
    with pytest.raises(InvalidInputError, match="same neurons"):
        recovery(truth, other, other["states"])


@pytest.mark.slow
def test_true_parameters_predict_and_decode_best() -> None:
    truth = simulate_population(
        n_neurons=10, n_sessions=2, n_time_bins=600, n_states=2, link="exp", rate_variation=1.0
    )
    spikes = truth["spikes"]
    # As after a fit: all that a copy with other parameters keeps.
    model = OneHotHMMGLM(n_states=3)
    model.mean_counts_ = spikes.mean(("session", "time")).values
    model.neuron_ids_, model.bin_size_ = spikes["neuron"].values, truth.attrs["bin_size"]
    true = true_model(model, truth)
    assert true.score(spikes) > 0.1
    shuffled = truth.assign(weights=truth["weights"].copy(data=truth["weights"].values[:, ::-1]))
    assert true.score(spikes) > true_model(model, shuffled).score(spikes)
    # The rates of the simulation, where the states were not in doubt.
    posterior = true.predict_proba(spikes)
    sure = posterior.max("state") > 0.999
    ratio = true.predict_rates(spikes).where(sure).mean() / truth["rates"].where(sure).mean()
    assert float(ratio) == pytest.approx(1.0, abs=0.1)
    assert recovery(truth, truth, posterior.argmax("state"))["state_accuracy"] > 0.8
    assert model.n_states == 3
    assert not hasattr(model, "weights_")


def test_a_truth_without_parameters() -> None:
    truth = simulated(np.random.default_rng(0), 2)
    with pytest.raises(InvalidInputError, match="lacks weights, bias, initial_proba"):
        true_model(OneHotHMMGLM(), truth)


def test_true_dispersions_go_into_the_model() -> None:
    sizes = {"state": 2, "post": 3, "pre": 3, "neuron": 3, "next_state": 2, "basis": 1, "lag": 5}
    truth = xr.Dataset(
        {
            name: (dims, np.zeros([sizes[dim] for dim in dims]))
            for name, dims in {
                "weights": ("state", "post", "pre", "basis"),
                "bias": ("state", "neuron"),
                "transition_matrix": ("state", "next_state"),
                "initial_proba": ("state",),
                "basis_functions": ("basis", "lag"),
            }.items()
        },
        attrs={"link": "softplus"},
    )
    dispersed = truth.assign(dispersion=("neuron", [0.5, 1.0, 1.5]))
    dispersed.attrs["observation"] = "negative_binomial"
    true = true_model(OneHotHMMGLM(observation="negative_binomial"), dispersed)
    np.testing.assert_array_equal(true.dispersion_, dispersed["dispersion"])
    with pytest.raises(InvalidInputError, match="'negative_binomial', the model 'poisson'"):
        true_model(OneHotHMMGLM(), dispersed)
    with pytest.raises(InvalidInputError, match="'poisson', the model 'bernoulli'"):
        true_model(OneHotHMMGLM(observation="bernoulli"), truth)


def test_true_weights_of_covariates_go_into_the_model() -> None:
    truth = simulate_population(n_neurons=3, n_states=1, n_sessions=1, n_time_bins=200)
    weights = (("state", "neuron", "covariate"), np.full((1, 3, 1), 2.0))
    truth["covariate_weights"] = weights
    model = OneHotHMMGLM(n_states=1)
    with pytest.raises(InvalidInputError, match="the truth has covariates and the model none"):
        true_model(model, truth)
    model.covariate_mean_ = np.array([10.0])
    with pytest.raises(InvalidInputError, match="the model has covariates and the truth none"):
        true_model(model, truth.drop_vars("covariate_weights"))
    true = true_model(model, truth.assign(covariate_mean=("covariate", [9.0])))
    np.testing.assert_array_equal(true.covariate_weights_, weights[1])
    np.testing.assert_allclose(true.bias_, truth["bias"] + 2.0)
