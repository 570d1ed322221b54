"""Covariates: recovered, invariant to their units, and refused where they do not fit."""

import warnings

import numpy as np
import pytest
import sklearn
import xarray as xr
from sklearn.model_selection import GridSearchCV

from onehotglm import IndependentChains, InvalidInputError, OneHotHMMGLM, StateDecoder
from onehotglm.errors import DataFileError
from onehotglm.estimator.exact import nuts
from tests.estimator.conftest import quietly_fit

N_SESSIONS, N_TIME, N_NEURONS = 4, 400, 3
MEAN, SD = np.array([20.0, -1.0]), np.array([4.0, 0.5])
# per standard deviation, (state, neuron, covariate)
EFFECTS = np.array([[[1.0, 0.0], [-0.6, 0.7], [0.0, 0.9]], [[-1.0, 0.0], [0.6, -0.7], [0.0, 0.9]]])
BASE = {"n_states": 2, "prior": "none", "n_init": 2, "progress": False, "bin_size": 0.02}


def simulate(effects, seed=0) -> xr.Dataset:
    """Two states without couplings, that covariates drive, from numpy alone."""
    rng = np.random.default_rng(seed)
    standard = rng.normal(size=(N_SESSIONS, N_TIME, 2))
    states = (np.cumsum(rng.random((N_SESSIONS, N_TIME)) < 0.02, axis=1) + 1) % 2
    bias = np.array([[1.0, -0.5, 0.5], [-0.5, 1.0, 0.5]])
    eta = bias[states] + np.einsum("rtnc,rtc->rtn", effects[states], standard)
    dims = ("session", "time")
    return xr.Dataset(
        {
            "spikes": ((*dims, "neuron"), rng.poisson(np.logaddexp(0, eta)).astype(np.float32)),
            "covariates": ((*dims, "covariate"), MEAN + SD * standard),
            "states": (dims, states),
        },
        {"time": np.arange(N_TIME) * 0.02, "covariate": ["speed", "x"]},
    )


def fit(data, **options) -> OneHotHMMGLM:
    return quietly_fit(
        OneHotHMMGLM(**BASE | options), data["spikes"], covariates=data["covariates"]
    )


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return simulate(EFFECTS)


@pytest.fixture(scope="module")
def fitted(data) -> OneHotHMMGLM:
    return fit(data)


@pytest.fixture(scope="module")
def without(data) -> OneHotHMMGLM:
    return quietly_fit(OneHotHMMGLM(**BASE), data["spikes"])


def effects_of(model, data) -> np.ndarray:
    """Weights per standard deviation, states in the order of the simulation."""
    states = model.predict_states(data["spikes"], covariates=data["covariates"])
    first = np.bincount(states.values[data["states"].values == 0], minlength=2).argmax()
    return model.covariate_weights_[[first, 1 - first]] * SD


def test_weights_of_every_state_are_recovered(data, fitted):
    np.testing.assert_allclose(effects_of(fitted, data), EFFECTS, atol=0.2)
    np.testing.assert_allclose(fitted.covariate_mean_, MEAN, atol=0.3)
    np.testing.assert_allclose(fitted.covariate_sd_, SD, rtol=0.1)
    assert fitted.covariate_names_.tolist() == ["speed", "x"]


@pytest.mark.slow
def test_they_predict_what_a_fit_without_does_not(data, fitted, without):
    gained = fitted.score(data["spikes"], covariates=data["covariates"])
    assert gained > without.score(data["spikes"]) + 0.05
    assert fitted.n_parameters_ > without.n_parameters_ + 10
    with pytest.raises(InvalidInputError, match="fitted without; leave them out"):
        without.score(data["spikes"], covariates=data["covariates"])


@pytest.mark.slow
def test_weights_that_states_share_are_recovered():
    shared = np.repeat(EFFECTS[:1], 2, axis=0)
    data = simulate(shared, seed=1)
    model = fit(data, covariate_effect="shared")
    np.testing.assert_array_equal(model.covariate_weights_[0], model.covariate_weights_[1])
    np.testing.assert_allclose(model.covariate_weights_[0] * SD, EFFECTS[0], atol=0.15)
    apart = fit(data)
    assert np.ptp(apart.covariate_weights_, axis=0).max() > 0
    assert model.n_parameters_ < apart.n_parameters_ - 4
    errors = model.standard_errors(data["spikes"], covariates=data["covariates"])
    se = errors["covariate_weights_se"].values * SD
    assert (np.abs(model.covariate_weights_ * SD - shared) < 4 * se).all()


def test_units_do_not_matter(data, fitted):
    """Powers of two: to the last bit."""
    other = data.assign(covariates=data["covariates"] * np.array([4.0, 0.5]))
    model = fit(other)
    np.testing.assert_array_equal(
        model.covariate_weights_ * np.array([4.0, 0.5]), fitted.covariate_weights_
    )
    for name in ("bias_", "weights_", "transition_matrix_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(fitted, name))


@pytest.mark.slow
def test_the_ridge_pulls_to_a_fit_without(data, fitted, without):
    model = fit(data, covariate_ridge=1e9)
    assert np.abs(model.covariate_weights_ * SD).max() < 1e-4
    np.testing.assert_allclose(model.bias_, without.bias_, atol=0.02)
    assert np.abs(fitted.covariate_weights_ * SD).max() > 0.5


@pytest.mark.slow
def test_values_where_nothing_was_counted_do_not_matter(data):
    data = data.copy(deep=True)
    data["spikes"][1, 100:150] = np.nan
    data["spikes"][3, 300:] = np.nan
    gaps = data.copy(deep=True)
    gaps["covariates"][1, 100:150] = np.nan
    gaps["covariates"][3, 300:] = 1e6
    one, other = (fit(d, n_init=1, max_iter=5) for d in (data, gaps))
    np.testing.assert_array_equal(one.covariate_weights_, other.covariate_weights_)
    np.testing.assert_array_equal(one.weights_, other.weights_)
    rates = other.predict_rates(gaps["spikes"], covariates=gaps["covariates"])
    unknown = np.isnan(rates.values).all(-1)
    assert unknown[1, 100:150].all()
    assert unknown.sum() == 150


@pytest.mark.slow
def test_lead_in_needs_no_covariates(data, fitted):
    spikes = data["spikes"].assign_coords(time=data["time"] - 5 * 0.02)
    modelled = data["covariates"][:, 5:].assign_coords(time=spikes["time"][5:])
    short = fitted.predict_rates(spikes, covariates=modelled)
    full = fitted.predict_rates(
        spikes, covariates=data["covariates"].assign_coords(time=spikes["time"])
    )
    assert short.sizes["time"] == N_TIME - 5
    np.testing.assert_array_equal(short, full)


def test_a_file_keeps_them(data, fitted, tmp_path):
    dataset = fitted.to_dataset()
    assert dataset["covariate_weights"].dims == ("state", "neuron", "covariate")
    again = OneHotHMMGLM.load(fitted.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(
        again.predict_rates(data["spikes"], covariates=data["covariates"]),
        fitted.predict_rates(data["spikes"], covariates=data["covariates"]),
    )
    assert again.covariate_names_.tolist() == ["speed", "x"]
    assert "speed, x (per state)" in again._repr_html_()


@pytest.mark.slow
def test_a_later_fit_without_forgets_them(data, fitted):
    model = quietly_fit(sklearn.clone(fitted).set_params(n_init=1, max_iter=2), data["spikes"])
    assert model.covariate_weights_ is None
    assert "covariate_weights" not in model.to_dataset()
    assert np.isfinite(model.predict_rates(data["spikes"])).all()


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, lambda u: u[:3], r"3 session\(s\) of 400 bins, and the spikes 4 of 400"),
        ({}, lambda u: u.where(u["time"] != 1.0), "missing .* in 4 bins with counts; the first"),
        ({}, lambda u: u * np.array([1, 0]), "x, one of the covariates, is -?0 in all bins"),
        ({"method": "vi"}, lambda u: u, "method='vi' takes no covariates"),
        ({"covariate_effect": "shared"}, lambda u: None, "covariate_effect='shared' says how"),
        ({"covariate_ridge": 2.0}, lambda u: None, "pass covariates=, or leave covariate_ridge"),
        ({"covariate_effect": "both"}, lambda u: u, "choose one of 'per_state', 'shared'"),
        ({"covariate_ridge": -1.0}, lambda u: u, "covariate_ridge=-1.0; expected a number"),
    ],
)
def test_fits_that_make_no_sense(data, options, change, message):
    model = OneHotHMMGLM(**BASE | options)
    with pytest.raises(InvalidInputError, match=message):
        model.fit(data["spikes"], covariates=change(data["covariates"]))


def test_a_fitted_model_needs_the_covariates_of_its_fit(data, fitted):
    spikes, covariates = data["spikes"], data["covariates"]
    for method in ("predict_states", "predict_rates", "log_likelihood", "standard_errors"):
        with pytest.raises(InvalidInputError, match=r"fitted with covariates \(speed, x\)"):
            getattr(fitted, method)(spikes)
    with pytest.raises(InvalidInputError, match="pass covariates="):
        fitted.sample(100)
    with pytest.raises(InvalidInputError, match="pass them in that order"):
        fitted.predict_proba(spikes, covariates=covariates[..., ::-1])
    with pytest.raises(InvalidInputError, match="which nuts does not take"):
        nuts(fitted, spikes)


@pytest.mark.slow
def test_samples_follow_the_covariates(data, fitted):
    with pytest.raises(InvalidInputError, match=r"have 4 session\(s\) of 400 bins"):
        fitted.sample(100, N_SESSIONS, covariates=data["covariates"])
    drawn = fitted.sample(N_TIME, N_SESSIONS, covariates=data["covariates"].values)
    again = quietly_fit(OneHotHMMGLM(**BASE), drawn["spikes"], covariates=data["covariates"].values)
    sample = data.assign(spikes=drawn["spikes"], states=drawn["states"].transpose(...))
    order = fitted.covariate_weights_ * SD
    np.testing.assert_allclose(effects_of(again, sample), order, atol=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["gaussian", "one-hot"])
def test_every_prior_over_couplings_goes_with_them(data, prior):
    model = fit(data, prior=prior)
    np.testing.assert_allclose(effects_of(model, data), EFFECTS, atol=0.2)
    errors = model.standard_errors(data["spikes"], covariates=data["covariates"])
    se = errors["covariate_weights_se"]
    assert se.dims == ("state", "neuron", "covariate")
    assert se["covariate"].values.tolist() == ["speed", "x"]
    np.testing.assert_allclose(
        errors["covariate_weights_mean"], model.covariate_weights_, rtol=0.02, atol=5e-3
    )
    # About 800 bins per state, of about one count each.
    assert ((se * SD > 0.02) & (se * SD < 0.12)).all()


@pytest.mark.slow
def test_chains_of_groups_have_the_same_covariates(data):
    model = OneHotHMMGLM(**BASE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chains = IndependentChains(["a", "a", "b"], model).fit(
            data["spikes"], covariates=data["covariates"]
        )
    assert chains.predict_rates(data["spikes"], covariates=data["covariates"]).shape[2] == 3
    assert chains.score(data["spikes"], covariates=data["covariates"]) > 0.1
    dataset = chains.to_dataset()
    assert dataset["covariate_weights"].shape == (2, 3, 2)
    np.testing.assert_array_equal(
        dataset["covariate_weights"][:, 2], chains.chains_[1].covariate_weights_[:, 0]
    )
    with pytest.raises(InvalidInputError, match="pass covariates="):
        chains.predict_states(data["spikes"])


@pytest.mark.slow
def test_searches_divide_them_with_the_sessions(data):
    """By scikit-learn's metadata routing."""
    with sklearn.config_context(enable_metadata_routing=True):
        model = OneHotHMMGLM(**BASE | {"n_init": 1, "max_iter": 20})
        model.set_fit_request(covariates=True).set_score_request(covariates=True)
        search = GridSearchCV(model, {"covariate_ridge": [1.0, 1e9]}, cv=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(data["spikes"].values, covariates=data["covariates"].values)
    assert search.best_params_ == {"covariate_ridge": 1.0}


@pytest.mark.slow
def test_a_checkpoint_of_other_covariates_is_refused(data, tmp_path):
    path = tmp_path / "fit.ckpt"
    fit(data, checkpoint=path, n_init=1, max_iter=3)
    fit(data, checkpoint=path, n_init=1, max_iter=3, resume=True)
    other = data.copy(deep=True)
    other["covariates"][0, 7, 1] += 1
    with pytest.raises(DataFileError, match="of another fit: other data"):
        fit(other, checkpoint=path, n_init=1, max_iter=3, resume=True)
    with pytest.raises(DataFileError, match=r"covariate_ridge=None there and 2\.0 here"):
        fit(data, checkpoint=path, n_init=1, max_iter=3, resume=True, covariate_ridge=2.0)


@pytest.mark.slow
def test_decoder_on_line_is_the_causal_posterior(data, fitted):
    decoder = StateDecoder(fitted, lag=2)
    spikes, covariates = data["spikes"][:1, :40], data["covariates"][:1, :40]
    offline = fitted.predict_proba(spikes, causal=True, covariates=covariates)
    found = [
        decoder.step(counts, covariates=now)
        for counts, now in zip(spikes[0].values, covariates[0].values, strict=True)
    ]
    np.testing.assert_allclose([now.posterior for now in found], offline[0], atol=1e-9)
    log_likelihood = fitted.log_likelihood(spikes, covariates=covariates).item()
    assert sum(now.log_likelihood for now in found) == pytest.approx(log_likelihood, rel=1e-4)
    # What is foretold is under the last covariates.
    held = data["covariates"][:1, :41].copy()
    held[0, 40] = held[0, 39]
    longer = data["spikes"][:1, :41]
    rates = fitted.predict_rates(longer, covariates=held)
    np.testing.assert_allclose(found[-1].rates, rates[0, 40], rtol=1e-4)
    for wrong in (None, [1.0], [1.0, np.nan]):
        with pytest.raises(InvalidInputError, match=r"fitted with \(speed, x\)"):
            decoder.step(spikes[0, 0], covariates=wrong)


@pytest.mark.slow
def test_they_stand_beside_kernels_that_states_share(data):
    options = {"basis": "lags", "n_lags": 4, "kernel": "shared", "smoothness": 20.0}
    ties = {"self_history": "shared", "covariate_effect": "shared"}
    model = fit(data, **options, **ties)
    products = model.strength_[..., None] * model.kernel_
    np.testing.assert_allclose(model.weights_, products, atol=1e-5)
    own = np.einsum("snnk->snk", model.weights_)
    for shared in (own, model.covariate_weights_):
        np.testing.assert_array_equal(shared[0], shared[1])
    assert np.abs(model.covariate_weights_).max() > 0.1
