"""Groups with chains of their own: shapes, oracles, and equality where one group is all."""

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from onehotglm import IndependentChains, InvalidInputError, OneHotHMMGLM, StateDecoder
from tests.estimator.conftest import quietly_fit

GROUPS = ["b", "a", "b", "a"]
ROWS = {"b": [0, 2], "a": [1, 3]}


@pytest.fixture(scope="module")
def model():
    return OneHotHMMGLM(n_states=2, n_init=1, prior="none", progress=False)


@pytest.fixture(scope="module")
def chains(model, spikes):
    return quietly_fit(IndependentChains(GROUPS, model), spikes)


@pytest.fixture(scope="module")
def holes(spikes):
    data = spikes.copy()
    data[1, 200:] = np.nan
    data[0, 20:30, 1] = np.nan
    return data


def test_results_have_their_dims(chains, spikes):
    assert chains.group_labels_.tolist() == ["b", "a"]
    assert chains.predict_states(spikes).dims == ("group", "session", "time")
    assert chains.predict_proba(spikes).dims == ("group", "session", "time", "state")
    rates = chains.predict_rates(spikes)
    assert rates.dims == ("session", "time", "neuron")
    np.testing.assert_array_equal(rates["neuron"], spikes["neuron"])
    assert chains.connectivity_.shape == (2, 4, 4)
    assert chains.weights_.shape == (2, 4, 4, 1)
    assert chains.transition_matrix_.shape == (2, 2, 2)
    assert chains.initial_proba_.shape == (2, 2)


def test_rows_and_rates_are_those_of_the_groups_chain(chains, spikes):
    rates = chains.predict_rates(spikes)
    for index, (label, rows) in enumerate(ROWS.items()):
        chain = chains.chains_[index]
        np.testing.assert_array_equal(chains.connectivity_[:, rows], chain.connectivity_)
        np.testing.assert_array_equal(chains.bias_[:, rows], chain.bias_)
        np.testing.assert_array_equal(rates.isel(neuron=rows), chain.predict_rates(spikes))
        np.testing.assert_array_equal(
            chains.predict_states(spikes).sel(group=label), chain.predict_states(spikes)
        )
        assert chain.connectivity_.shape == (2, 2, 4)


@pytest.mark.slow
def test_kernels_that_states_share(model, spikes):
    options = {"prior": "gaussian", "basis": "lags", "n_lags": 3, "kernel": "shared"}
    chains = quietly_fit(IndependentChains(GROUPS, clone(model).set_params(**options)), spikes)
    found = chains.to_dataset()
    assert found["kernel"].dims == ("post", "pre", "basis")
    assert found["prior_mean"].sizes["strength_basis"] == 1
    np.testing.assert_allclose(found["strength"] * found["kernel"], found["weights"], atol=1e-5)


@pytest.mark.slow
def test_likelihood_is_that_of_one_chain_over_all_combinations(chains, model, holes):
    """Oracle: the same parameters as one chain with four states."""
    joint = quietly_fit(clone(model).set_params(n_states=4, max_iter=1), holes)
    first, second = np.divmod(np.arange(4), 2)
    for name in ("weights_", "bias_"):
        rows = np.stack([getattr(chains, name)[first], getattr(chains, name)[second]])
        of_group = np.array([GROUPS.index(g) for g in GROUPS])
        combined = np.where(
            (of_group == 0).reshape((1, 4) + (1,) * (rows[0].ndim - 2)), rows[0], rows[1]
        )
        setattr(joint, name, combined)
    joint.transition_matrix_ = np.kron(*chains.transition_matrix_)
    joint.initial_proba_ = np.kron(*chains.initial_proba_)
    joint.mean_counts_ = chains.chains_[0].mean_counts_
    assert (chains.predict_states(holes)[:, 1, 200:] == -1).all()
    np.testing.assert_allclose(chains.log_likelihood(holes), joint.log_likelihood(holes), rtol=1e-5)
    np.testing.assert_allclose(chains.score(holes), joint.score(holes), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(chains.predict_rates(holes), joint.predict_rates(holes), rtol=1e-3)


@pytest.mark.slow
def test_one_group_is_the_plain_model(model, spikes):
    one = quietly_fit(IndependentChains([7] * 4, model), spikes)
    plain = quietly_fit(clone(model), spikes)
    np.testing.assert_array_equal(one.weights_, plain.weights_)
    assert one.score(spikes) == plain.score(spikes)
    assert plain.to_dataset().sizes["post"] == 4


def test_other_groups_drive_a_group(chains, spikes):
    # In the simulation neuron 3 (group a) drives neuron 2 (group b).
    assert np.abs(chains.connectivity_[:, 2, 3]).max() > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"prior": "one-hot"}, {"self_history": "shared"}])
def test_options_work_in_groups(model, spikes, options):
    fitted = quietly_fit(
        IndependentChains(GROUPS, clone(model).set_params(**options, max_iter=20)), spikes
    )
    data = fitted.to_dataset()
    assert data["connectivity"].sizes == {"state": 2, "post": 4, "pre": 4}
    if "prior" in options:
        absent = data["connection_type"] == 0
        assert (data["connectivity"].where(absent, 0) == 0).all()
        assert data["shared_type_proba"].sizes == {"post": 4, "pre": 4, "type": 3}
    else:
        own = np.einsum("snn->sn", fitted.connectivity_)
        np.testing.assert_array_equal(own[0], own[1])
        assert (own != 0).all()


def test_dataset_names_the_groups(chains):
    data = chains.to_dataset()
    assert data["transition_matrix"].dims == ("group", "state", "next_state")
    assert data["post_group"].values.tolist() == GROUPS
    assert isinstance(data, xr.Dataset)


@pytest.mark.parametrize("method", ["sample", "to_dataset"])
def test_a_single_chain_says_what_it_cannot_do(chains, method):
    with pytest.raises(InvalidInputError, match=f"{method} needs a model of all neurons"):
        getattr(chains.chains_[0], method)()
    with pytest.raises(InvalidInputError, match="StateDecoder needs a model of all neurons"):
        StateDecoder(chains.chains_[0])


def test_signals_are_refused():
    signals = OneHotHMMGLM(observation="gaussian")
    with pytest.raises(InvalidInputError, match="observation='gaussian'; chains of groups take"):
        IndependentChains([0, 0, 1, 1], signals).fit(np.zeros((9, 4)))


def test_one_label_per_neuron(model, spikes):
    with pytest.raises(InvalidInputError, match=r"groups has the shape \(3,\) for 4 neurons"):
        IndependentChains([0, 0, 1], model).fit(spikes)


def test_other_neurons_are_refused(chains, spikes):
    with pytest.raises(InvalidInputError, match="got 3 neurons"):
        chains.score(spikes[..., :3])
