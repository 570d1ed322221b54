"""Standard errors of a fit: what they promise, and what they refuse."""

import copy

import numpy as np
import pytest

from onehotglm import InvalidInputError
from onehotglm.inference import posterior
from tests.estimator.conftest import quick_fit

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def flat(spikes):
    return quick_fit(spikes, prior="none")


@pytest.mark.slow
def test_intervals_of_mixtures(fitted, spikes):
    errors = fitted.standard_errors(spikes)
    assert errors["weights_se"].dims == ("state", "post", "pre", "basis")
    assert errors["bias_low"].dims == ("state", "neuron")
    assert errors["post"].values.tolist() == fitted.neuron_ids_.tolist()
    assert (errors.attrs["states"], errors.attrs["level"]) == ("uncertain", 0.9)
    low, high = errors["connectivity_low"].values, errors["connectivity_high"].values
    types, strong = fitted.connection_type_, np.abs(fitted.connectivity_) > 1
    assert (low <= high).all()
    assert strong.sum() >= 3
    assert (np.sign(low) == np.sign(high))[strong].all()
    assert (np.sign(low) == types)[strong].all()
    absent = errors["connection_type_proba"].sel(type="absent").values
    assert (low[absent > 0.951] == 0).all()
    assert (high[absent > 0.951] == 0).all()
    proba = errors["connection_type_proba"].values
    np.testing.assert_allclose(proba.sum(-1), 1)
    certain = fitted.connection_type_proba_ > 0.98
    assert (proba[certain] > 0.8).all()
    given_type = errors["connectivity_given_type_low"].values
    assert (given_type[types == 0] == 0).all()
    assert (given_type[types > 0] > 0).all()


def test_bad_options_and_recordings(fitted, spikes):
    with pytest.raises(InvalidInputError, match="states='known'; choose one of 'uncertain'"):
        fitted.standard_errors(spikes, states="known")
    with pytest.raises(InvalidInputError, match="level=90; expected a probability"):
        fitted.standard_errors(spikes, level=90)
    with pytest.raises(InvalidInputError, match=r"neuron 10 has .* pass the recording of that fit"):
        fitted.standard_errors(spikes[:1])
    shared = copy.copy(fitted).set_params(kernel="shared")
    with pytest.raises(InvalidInputError, match="fit with kernel='per_state'"):
        shared.standard_errors(spikes)
    dale = copy.copy(fitted).set_params(prior="none", dale="infer")
    with pytest.raises(InvalidInputError, match="the law holds at zero have none"):
        dale.standard_errors(spikes)


@slow
@pytest.mark.parametrize("prior", ["gaussian", "one-hot"])
def test_smooth_kernels_are_surer(spikes, prior):
    options = {"basis": "lags", "n_lags": 4, "n_init": 1, "prior": prior}
    rough, smooth = (quick_fit(spikes, smoothness=s, **options) for s in (0.0, 1000.0))
    sizes = [
        float(model.standard_errors(spikes, "given")["weights_se"].mean())
        for model in (rough, smooth)
    ]
    assert sizes[1] < 0.8 * sizes[0]


@slow
def test_uncertain_states_and_higher_levels_lengthen(flat, spikes):
    given, uncertain = (flat.standard_errors(spikes, states) for states in ("given", "uncertain"))
    for name in ("weights_se", "connectivity_se", "bias_se"):
        assert (uncertain[name] > given[name]).all()
        assert float((uncertain[name] / given[name]).max()) < 2
    wide = flat.standard_errors(spikes, "given", level=0.99)
    np.testing.assert_allclose(wide["weights_se"], given["weights_se"])
    half = (given["weights_high"] - given["weights_low"]) / 2
    np.testing.assert_allclose(half, 1.6449 * given["weights_se"], rtol=1e-4)
    assert (wide["weights_high"] > given["weights_high"]).all()
    # A single basis function of unit sum: the coupling is the weight.
    np.testing.assert_allclose(given["connectivity_se"], given["weights_se"][..., 0], rtol=1e-6)
    # The fit is at the maximum, or nearly.
    assert float(np.abs(given["weights_mean"] - flat.weights_).max()) < 0.05


@slow
@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_neurons_one_by_one(spikes, prior, monkeypatch):
    model = quick_fit(spikes, prior=prior)
    whole = model.standard_errors(spikes)
    monkeypatch.setattr(posterior, "MAX_COEFFICIENTS", 0)
    parts = model.standard_errors(spikes)
    assert dict(parts.sizes) == dict(whole.sizes)
    # What the other neurons' couplings have to do with it is small where states are clear.
    np.testing.assert_allclose(parts["bias_se"], whole["bias_se"], rtol=0.1)
    np.testing.assert_allclose(parts["weights_se"], whole["weights_se"], rtol=0.2, atol=0.01)


@slow
@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_structure_of_the_model_is_kept(spikes, prior):
    model = quick_fit(spikes, prior=prior, bias="shared", self_history="none")
    errors = model.standard_errors(spikes)
    assert (errors["bias_se"][0] == errors["bias_se"][1]).all()
    own = np.eye(4, dtype=bool)
    assert (errors["connectivity_se"].values[:, own] == 0).all()
    assert (errors["connectivity_high"].values[:, own] == 0).all()
    model = quick_fit(spikes, prior=prior, self_history="shared", basis="raised_cosine", n_basis=2)
    errors = model.standard_errors(spikes)
    se = errors["connectivity_se"].values
    assert (se[:, own] > 0).all()
    np.testing.assert_allclose(se[0][own], se[1][own], rtol=1e-6)
    assert (
        errors["connectivity_low"].values[:, own] < errors["connectivity_high"].values[:, own]
    ).all()


@slow
@pytest.mark.parametrize(
    ("observation", "link"),
    [("bernoulli", "sigmoid"), ("negative_binomial", "exp"), ("gaussian", "identity")],
)
def test_other_observations(spikes, observation, link):
    data = spikes.clip(max=1) if observation == "bernoulli" else spikes
    model = quick_fit(data, prior="none", observation=observation, link=link)
    given, uncertain = (model.standard_errors(data, states) for states in ("given", "uncertain"))
    assert (uncertain["weights_se"] >= given["weights_se"]).all()
    assert float(np.abs(given["weights_mean"] - model.weights_).max()) < 0.05


@slow
def test_signs_are_kept(spikes):
    model = quick_fit(spikes, dale=[1, 1, -1, 1])
    errors = model.standard_errors(spikes, "given")
    low, high = (errors[f"connectivity_{end}"].values.copy() for end in ("low", "high"))
    for ends in (low, high):
        ends[:, np.eye(4, dtype=bool)] = 0
    assert (low[:, :, [0, 1, 3]] >= 0).all()
    assert (high[:, :, 2] <= 0).all()


@slow
def test_saved_fits_have_the_same_errors(fitted, spikes, tmp_path):
    loaded = type(fitted).load(fitted.save(tmp_path / "fit.nc"))
    loaded.set_params(progress=False)
    one, other = (model.standard_errors(spikes, "given") for model in (fitted, loaded))
    np.testing.assert_allclose(other["connectivity_high"], one["connectivity_high"], rtol=1e-6)
