"""Variational inference through the estimator."""

import numpy as np
import pytest
import xarray as xr

from onehotglm import IndependentChains, OneHotHMMGLM
from onehotglm.errors import InvalidInputError
from tests.estimator.conftest import quietly_fit

VI = {"n_states": 2, "n_init": 1, "method": "vi", "progress": False}


@pytest.fixture(scope="module")
def vi(spikes):
    return quietly_fit(OneHotHMMGLM(**VI, max_iter=8), spikes)


@pytest.mark.slow
def test_posterior_of_the_one_hot_prior(vi, fitted, spikes, tmp_path):
    # One fit serves all of these: compiling it is what takes time.
    assert vi.score(spikes) == pytest.approx(fitted.score(spikes), abs=0.01)
    correlation = np.corrcoef(vi.connectivity_.ravel(), fitted.connectivity_.ravel())[0, 1]
    assert correlation > 0.98
    np.testing.assert_allclose(vi.connection_type_proba_.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(vi.shared_type_proba_.sum(-1), 1, rtol=1e-5)
    assert len(vi.elbo_path_) == vi.n_iter_ == 8
    assert vi.stop_reason_ == "max_iter"
    assert vi.elbo_path_[-1] < vi.log_likelihood_path_[-1]

    posterior = vi.posterior(level=0.8)
    for name in ("weights", "connectivity", "bias", "transition_matrix", "initial_proba"):
        mean, sd, low, high = (posterior[f"{name}_{x}"] for x in ("mean", "se", "low", "high"))
        np.testing.assert_allclose(mean, getattr(vi, f"{name}_"), rtol=1e-5, atol=1e-6)
        assert (low <= high).all()
        assert (sd >= 0).all()
    wide = vi.posterior()
    assert (wide["bias_high"] >= posterior["bias_high"]).all()
    assert wide.attrs["level"] == 0.9
    np.testing.assert_array_equal(wide["post"], spikes["neuron"])

    tree = vi.to_datatree(n_draws=300)
    drawn = tree["posterior"].to_dataset()
    assert drawn["weights"].dims == ("chain", "draw", "state", "post", "pre", "basis")
    for name in ("bias", "connectivity", "transition_matrix"):
        error = np.abs(drawn[name].mean(("chain", "draw")) - posterior[f"{name}_mean"])
        assert (error <= 5 * posterior[f"{name}_se"] / np.sqrt(300) + 0.01).all()
    types = (drawn["connection_type"] == 1).mean(("chain", "draw"))
    np.testing.assert_allclose(types, vi.connection_type_proba_[..., 2], atol=0.12)

    loaded = OneHotHMMGLM.load(vi.save(tmp_path / "fit.nc"))
    xr.testing.assert_identical(loaded.posterior(), wide)
    assert "variational steps" in vi._repr_html_()


def test_only_variational_fits_have_a_posterior(fitted):
    for ask in (fitted.posterior, fitted.to_datatree):
        with pytest.raises(InvalidInputError, match="fit with method='vi'"):
            ask()
    with pytest.raises(AttributeError, match="fit with method='vi'"):
        _ = fitted.elbo_path_


@pytest.mark.slow
def test_the_level_is_a_probability(vi):
    with pytest.raises(InvalidInputError, match="level=90; expected a probability between 0 and 1"):
        vi.posterior(level=90)


def test_independent_chains_are_fitted_by_em(spikes):
    chains = IndependentChains([0, 0, 1, 1], OneHotHMMGLM(**VI))
    with pytest.raises(InvalidInputError, match="use method='em' for groups of them"):
        chains.fit(spikes)


@pytest.mark.slow
@pytest.mark.parametrize("guide", ["mean_field", "low_rank"])
def test_other_guides_find_the_same_couplings(guide, fitted, spikes):
    model = quietly_fit(OneHotHMMGLM(**VI, guide=guide), spikes)
    assert model.converged_
    np.testing.assert_allclose(model.connectivity_, fitted.connectivity_, atol=0.1)
    assert model.guide_.get("correlation") is None or guide == "low_rank"


@pytest.mark.slow
def test_other_priors_and_bases(spikes, tmp_path):
    options = {"basis": "raised_cosine", "n_basis": 2, "n_lags": 4, "bias": "shared"}
    model = quietly_fit(OneHotHMMGLM(**VI, prior="gaussian", max_iter=6, **options), spikes)
    em = quietly_fit(OneHotHMMGLM(n_states=2, prior="gaussian", progress=False, **options), spikes)
    assert model.score(spikes) == pytest.approx(em.score(spikes), abs=0.02)
    np.testing.assert_allclose(model.bias_[0], model.bias_[1])
    assert model.connection_type_ is None
    assert (
        np.corrcoef(model.shared_connectivity_.ravel(), em.shared_connectivity_.ravel())[0, 1] > 0.9
    )
    # Couplings summed over lags: closed form against draws.
    drawn = model.to_datatree(2000)["posterior"].to_dataset()
    sd = drawn["connectivity"].std(("chain", "draw"))
    np.testing.assert_allclose(sd, model.posterior()["connectivity_se"], rtol=0.15)
    loaded = OneHotHMMGLM.load(model.save(tmp_path / "fit.nc"))
    xr.testing.assert_identical(loaded.posterior(), model.posterior())


@pytest.mark.slow
def test_a_hundred_regressions_under_the_gaussian_prior_do_not_block_each_other():
    counts = np.random.default_rng(0).poisson(0.3, (2, 200, 20))
    options = VI | {"n_states": 5, "prior": "gaussian", "max_iter": 2}
    model = quietly_fit(OneHotHMMGLM(**options), counts)
    assert model.n_iter_ == 2
    assert np.isfinite(model.posterior()["connectivity_se"]).all()


@pytest.mark.slow
def test_a_second_fit_compiles_nothing_and_is_the_same(spikes):
    import jax

    # Not the shared fit: what it compiled may have been released between tests.
    first = quietly_fit(OneHotHMMGLM(**VI, max_iter=8), spikes)
    compiled = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        again = quietly_fit(OneHotHMMGLM(**VI, max_iter=8), spikes)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not compiled
    np.testing.assert_array_equal(again.weights_, first.weights_)


@pytest.mark.slow
def test_one_state_and_excluded_self_couplings(spikes):
    options = VI | {"n_states": 1, "self_history": "none", "max_iter": 4}
    model = quietly_fit(OneHotHMMGLM(**options), spikes)
    np.testing.assert_array_equal(np.einsum("snn->sn", model.connectivity_), 0)
    np.testing.assert_array_equal(np.einsum("nnt->nt", model.shared_type_proba_), [[0, 1, 0]] * 4)
    assert (np.diagonal(model.posterior()["connectivity_se"][0]) == 0).all()
    np.testing.assert_array_equal(model.transition_matrix_, [[1.0]])


@pytest.mark.slow
def test_smoothness_is_part_of_the_posterior(spikes):
    options = VI | {"prior": "gaussian", "basis": "lags", "n_lags": 4, "max_iter": 6}
    bends, spreads = [], []
    for smoothness in (0.0, 1000.0):
        model = quietly_fit(OneHotHMMGLM(**options, smoothness=smoothness), spikes)
        draws = model.to_datatree(n_draws=100)["posterior"]["weights"].diff("basis", 2)
        bends.append(float(np.abs(np.diff(model.weights_, 2, axis=-1)).mean()))
        spreads.append(float(draws.std(("chain", "draw")).mean()))
    assert bends[1] < 0.3 * bends[0]
    assert spreads[1] < 0.3 * spreads[0]
    em = quietly_fit(OneHotHMMGLM(**options | {"method": "em"}, smoothness=1000.0), spikes)
    assert np.corrcoef(em.weights_.ravel(), model.weights_.ravel())[0, 1] > 0.95
