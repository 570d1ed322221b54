"""Every option of the constructor changes the fit, and in the direction it says."""

import sys
from pathlib import Path

import numpy as np
import pytest

from onehotglm import ConvergenceWarning, InvalidInputError, OneHotHMMGLM
from onehotglm.estimator import monitor
from onehotglm.kernels.history import make_basis
from tests.estimator.conftest import BIN_SIZE, quietly_fit

BASE = {"n_states": 2, "n_init": 1, "prior": "none", "progress": False}


@pytest.fixture(scope="module")
def fit(spikes):
    """Fit with some options, on the same recording."""

    def with_options(data=None, **options):
        return quietly_fit(OneHotHMMGLM(**BASE | options), spikes if data is None else data)

    return with_options


@pytest.fixture(scope="module")
def base(fit):
    return fit()


def differ(one, other):
    return not np.allclose(one.connectivity_, other.connectivity_, rtol=1e-3, atol=1e-4)


def test_every_parameter_is_tried_here():
    source = Path(__file__).read_text()
    for name in OneHotHMMGLM().get_params():
        assert f"{name}=" in source, name


def test_n_states(fit, base, spikes):
    assert fit(n_states=1).weights_.shape == (1, 4, 4, 1)
    assert base.score(spikes) > fit(n_states=1).score(spikes)


def test_prior(fit, base):
    gaussian, one_hot = fit(prior="gaussian"), fit(prior="one-hot")
    assert base.shared_connectivity_ is None
    assert base.connection_type_ is None
    assert gaussian.shared_connectivity_.shape == (4, 4)
    assert gaussian.connection_type_ is None
    assert one_hot.connection_type_.shape == (2, 4, 4)
    assert differ(base, gaussian)
    assert differ(gaussian, one_hot)


def test_link(fit, base, spikes):
    exponential = fit(link="exp")
    assert differ(base, exponential)
    # Sigmoid rates never exceed one count per bin.
    rates = fit(link="sigmoid").predict_rates(spikes) * BIN_SIZE
    assert float(rates.max()) <= 1
    assert float(exponential.predict_rates(spikes).max()) * BIN_SIZE > 1


@pytest.mark.slow
@pytest.mark.slow
def test_observation(fit, base):
    assert base.dispersion_ is None
    wider = fit(observation="negative_binomial")
    assert wider.dispersion_.shape == (4,)
    assert differ(base, wider)


@pytest.mark.slow
def test_basis_n_lags_and_n_basis(fit, base):
    np.testing.assert_array_equal(base.basis_functions_, make_basis("exponential", 5))
    lags = fit(basis="lags", n_lags=2)
    assert lags.weights_.shape == (2, 4, 4, 2)
    np.testing.assert_allclose(lags.connectivity_, lags.weights_.sum(-1), rtol=1e-5)
    assert fit(n_lags=2).basis_functions_.shape == (1, 2)
    assert differ(fit(n_lags=2), base)
    two, three = fit(basis="raised_cosine", n_basis=2), fit(basis="raised_cosine")
    assert two.weights_.shape == (2, 4, 4, 2)
    assert three.weights_.shape == (2, 4, 4, 3)
    np.testing.assert_array_equal(two.basis_functions_, make_basis("raised_cosine", 5, 2))


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_kernel(fit, prior, tmp_path):
    options = {"basis": "raised_cosine", "prior": prior}
    free, shared = fit(**options), fit(kernel="shared", **options)
    assert free.kernel_ is None
    assert shared.kernel_.shape == (4, 4, 3)
    products = shared.strength_[..., None] * shared.kernel_
    np.testing.assert_allclose(shared.weights_, products, atol=1e-5)
    over_lags = shared.kernel_ @ shared.basis_functions_
    np.testing.assert_allclose(np.abs(over_lags).sum(-1), 1, rtol=1e-4)
    assert (over_lags.sum(-1) >= 0).all()
    assert differ(free, shared)
    again = OneHotHMMGLM.load(shared.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(again.kernel_, shared.kernel_)
    if prior != "none":
        assert shared.shared_connectivity_.shape == (4, 4)


@pytest.mark.slow
def test_smoothness(fit):
    rough, smooth = (fit(basis="lags", smoothness=s) for s in (0.0, 100.0))
    sizes = [np.abs(np.diff(model.weights_, 2, axis=-1)).mean() for model in (rough, smooth)]
    assert sizes[1] < 0.3 * sizes[0]


@pytest.mark.parametrize("prior", ["none", "one-hot"])
def test_bias(fit, base, prior):
    shared = fit(bias="shared", prior=prior)
    np.testing.assert_array_equal(shared.bias_[0], shared.bias_[1])
    assert np.abs(np.diff(base.bias_, axis=0)).max() > 0.1


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_self_history(fit, base, prior):
    def own(model):
        return np.einsum("snn->sn", model.connectivity_)

    excluded = fit(self_history="none", prior=prior)
    np.testing.assert_array_equal(own(excluded), 0)
    assert (own(base) != 0).all()
    if prior == "one-hot":
        np.testing.assert_array_equal(np.einsum("snn->sn", excluded.connection_type_), 0)
    per_state = fit(self_history="per_state", prior=prior)
    shared = fit(self_history="shared", prior=prior, bias="shared")
    assert np.abs(np.diff(own(per_state), axis=0)).min() > 1e-3
    np.testing.assert_array_equal(own(shared)[0], own(shared)[1])
    assert (own(shared) != 0).all()
    for model in (per_state, shared):
        if prior == "one-hot":
            np.testing.assert_array_equal(np.einsum("snn->sn", model.connection_type_), 0)
        if prior != "none":
            np.testing.assert_allclose(
                np.diag(model.shared_connectivity_), own(model).mean(0), rtol=1e-5
            )


def test_self_ridge(fit):
    weak, strong = (fit(self_history="per_state", self_ridge=r) for r in (0.1, 1000.0))
    own = [np.abs(np.einsum("snn->sn", model.connectivity_)).mean() for model in (weak, strong)]
    assert own[1] < 0.1 * own[0]


@pytest.mark.slow
def test_covariate_options(spikes):
    """What else is said of covariates is in `test_covariates.py`."""
    speed = {"covariates": spikes.isel(neuron=[0]).rename(neuron="covariate") + 0.1}
    options = [{}, dict(covariate_ridge=1e4), dict(covariate_effect="shared")]
    base, stiff, shared = (
        quietly_fit(OneHotHMMGLM(**BASE | more), spikes, **speed).covariate_weights_
        for more in options
    )
    assert np.abs(stiff).max() < 0.5 * np.abs(base).max()
    assert (shared[0] == shared[1]).all()
    assert (base[0] != base[1]).all()


@pytest.mark.parametrize("prior", [pytest.param("none", marks=pytest.mark.slow), "one-hot"])
def test_dale(fit, base, prior, tmp_path):
    between = ~np.eye(4, dtype=bool)
    assert base.neuron_sign_ is None
    model = fit(dale="infer", prior=prior)
    assert set(model.neuron_sign_) <= {-1, 1}
    np.testing.assert_array_equal(model.neuron_sign_ > 0, model.neuron_sign_proba_ >= 0.5)
    assert ((model.connectivity_ * model.neuron_sign_)[:, between] >= 0).all()
    # In the simulation neuron 2 inhibits and the others excite.
    np.testing.assert_array_equal(model.neuron_sign_, [1, 1, -1, 1])
    given = fit(dale=-model.neuron_sign_, prior=prior)
    np.testing.assert_array_equal(given.neuron_sign_, -model.neuron_sign_)
    assert ((given.connectivity_ * given.neuron_sign_)[:, between] >= 0).all()
    again = OneHotHMMGLM.load(given.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(again.neuron_sign_, given.neuron_sign_)
    np.testing.assert_array_equal(again.dale, given.dale)


def test_as_many_signs_as_neurons(fit):
    with pytest.raises(InvalidInputError, match="dale holds 3 signs for 4 neurons"):
        fit(dale=[1, 1, -1])


def test_ridge(fit, base):
    strong = fit(ridge=100.0)
    assert np.abs(strong.connectivity_).mean() < 0.5 * np.abs(base.connectivity_).mean()


def test_transition_concentration(fit, base):
    equal = fit(transition_concentration=1000.0)
    assert np.abs(equal.transition_matrix_ - 0.5).max() < 0.3
    assert np.diag(base.transition_matrix_).min() > 0.8


def test_stickiness(fit):
    stay = [np.diag(fit(stickiness=s).transition_matrix_).min() for s in (0.0, 1000.0)]
    assert stay[1] > max(stay[0], 0.985)


@pytest.mark.slow
def test_transition_ridge(spikes):
    """What else is said of inputs is in `test_transition_inputs.py`."""
    activity = {"transition_inputs": spikes.isel(neuron=[0]).rename(neuron="input")}
    options = [{}, dict(transition_ridge=1e4)]
    base, stiff = (
        quietly_fit(OneHotHMMGLM(**BASE | more), spikes, **activity).transition_weights_
        for more in options
    )
    assert np.abs(stiff).max() < 0.1 * np.abs(base).max()


def test_n_init(fit, base):
    # More starts contain the single one's, and the best by the objective is kept.
    several = fit(n_init=4)
    assert several.objective_path_[-1] >= base.objective_path_[-1] - 1e-4


def test_max_iter(spikes):
    model = OneHotHMMGLM(**BASE | {"max_iter": 2, "tol": 0.0})
    with pytest.warns(ConvergenceWarning, match="max_iter=2 steps before it converged"):
        model.fit(spikes)
    assert model.n_iter_ <= 2
    assert model.stop_reason_ == "max_iter"
    assert not model.converged_


def test_tol(fit):
    loose, tight = fit(tol=0.2), fit(tol=1e-6)
    assert loose.converged_
    assert loose.objective_path_[-1] < tight.objective_path_[-1] - 1e-3


@pytest.mark.slow
def test_dtype(fit, base, spikes):
    double = fit(dtype="float64")
    assert double.weights_.dtype == np.float64
    assert base.weights_.dtype == np.float32
    assert double.predict_rates(spikes).dtype == np.float64
    np.testing.assert_allclose(double.score(spikes), base.score(spikes), rtol=0.02)


@pytest.mark.slow
def test_double_precision_stays_inside_the_model(fit, recwarn):
    import jax.numpy as jnp

    double = fit(dtype="float64")
    double.sample(n_time_bins=50)
    assert jnp.ones(1).dtype == jnp.float32
    assert not [w for w in recwarn if "float64" in str(w.message)]


def test_random_state(fit, base):
    # Other starts, other rounding at least.
    other = fit(random_state=1)
    assert not np.array_equal(other.weights_, base.weights_)
    np.testing.assert_array_equal(fit(random_state=0).weights_, base.weights_)


def test_bin_size_scales_rates(fit, spikes):
    slow, fast = (fit(spikes.values, bin_size=size) for size in (0.02, 0.01))
    np.testing.assert_allclose(
        2 * slow.predict_rates(spikes.values), fast.predict_rates(spikes.values), rtol=1e-6
    )
    assert fit(spikes.values).predict_rates(spikes.values).attrs["bin_size"] == 1.0
    np.testing.assert_array_equal(slow.weights_, fast.weights_)


@pytest.mark.parametrize("progress", [True, False])
def test_progress(fit, capsys, monkeypatch, progress):
    monkeypatch.setattr(monitor, "_DELAY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(progress=progress)
    assert ("EM" in capsys.readouterr().err) is progress


@pytest.mark.slow
def test_method_guide_and_batch_size(fit, base, spikes):
    variational = fit(method="vi", max_iter=3)
    assert base.guide_ is None
    assert differ(base, variational)
    mean_field = fit(method="vi", max_iter=3, guide="mean_field")
    assert "correlation" in variational.guide_
    assert "correlation" not in mean_field.guide_
    few = fit(method="vi", max_iter=3, guide="mean_field", batch_size=1)
    assert not np.array_equal(few.weights_, mean_field.weights_)


def test_cheap_information_ends_near_the_exact_fit(fit, base, monkeypatch, spikes):
    from onehotglm.estimator import settings

    monkeypatch.setattr(settings, "EXACT_LIMIT", 0.0)
    cheap = fit(max_iter=300)
    assert cheap.score(spikes) == pytest.approx(base.score(spikes), rel=0.05)


def test_given_starts(fit, base, spikes):
    with base._precision():
        best = base._params()
    short = {"max_iter": 1, "random_state": 5}
    cold = fit(**short)
    warm = OneHotHMMGLM(**BASE | short)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        warm.fit(spikes, starts=[best])
    assert warm.objective_path_[-1] > cold.objective_path_[-1] + 1e-3
    with pytest.raises(InvalidInputError, match=r"a start has the shape \(2, 4, 5\).*\(3, 4, 5\)"):
        OneHotHMMGLM(**BASE | {"n_states": 3}).fit(spikes, starts=[best])


def test_checkpoint_and_resume(fit, base, tmp_path):
    """They change nothing; `test_keeper` has the rest."""
    path = tmp_path / "fit.ckpt"
    for kept in (fit(checkpoint=path), fit(checkpoint=path, resume=True)):
        np.testing.assert_array_equal(kept.weights_, base.weights_)
