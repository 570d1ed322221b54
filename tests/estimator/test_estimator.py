"""The estimator's promises: shapes and labels, scikit-learn's contract, inputs."""

import pickle
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from onehotglm import ConvergenceWarning, InvalidInputError, OneHotHMMGLM
from tests.estimator.conftest import (
    BIN_SIZE,
    N_NEURONS,
    N_TIME,
    quick_fit as fit,
    quietly_fit,
)

FITTED = (
    "weights_",
    "connectivity_",
    "connection_type_",
    "connection_type_proba_",
    "shared_connectivity_",
    "shared_type_proba_",
    "bias_",
    "transition_matrix_",
    "initial_proba_",
    "log_likelihood_path_",
    "occupancy_",
)


def assert_same_fit(one, other):
    for name in FITTED:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.n_iter_ == other.n_iter_
    assert one.stop_reason_ == other.stop_reason_


# --------------------------------------------------------------------- shapes and labels


def test_fitted_attributes(fitted):
    assert fitted.weights_.shape == (2, 4, 4, 1)
    assert fitted.connectivity_.shape == fitted.connection_type_.shape == (2, 4, 4)
    assert fitted.connection_type_proba_.shape == (2, 4, 4, 3)
    assert fitted.shared_connectivity_.shape == (4, 4)
    assert fitted.shared_type_proba_.shape == (4, 4, 3)
    assert fitted.bias_.shape == (2, 4)
    np.testing.assert_allclose(fitted.transition_matrix_.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(fitted.initial_proba_.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(fitted.occupancy_.sum(), 3 * N_TIME, rtol=1e-5)
    assert (np.diff(fitted.occupancy_) <= 0).all()
    assert fitted.n_iter_ == len(fitted.log_likelihood_path_) == len(fitted.objective_path_)
    assert fitted.converged_ is (fitted.stop_reason_ in ("converged", "no further increase"))
    assert fitted.n_features_in_ == 4
    assert fitted.bin_size_ == BIN_SIZE
    assert fitted.neuron_ids_.tolist() == [10, 11, 12, 13]


def test_connections_are_zero_where_absent_and_have_their_sign(fitted):
    types = fitted.connection_type_
    assert set(np.unique(types)) <= {-1, 0, 1}
    assert (types != 0).any()
    np.testing.assert_array_equal(fitted.connectivity_[types == 0], 0)
    np.testing.assert_array_equal(fitted.weights_[types == 0], 0)
    assert (fitted.weights_ * types[..., None] >= 0).all()
    np.testing.assert_array_equal(types, fitted.connection_type_proba_.argmax(-1) - 1)


def test_states_and_couplings_are_found(fitted, simulation):
    states = fitted.predict_states(simulation["spikes"]).values
    same = (states == simulation["states"].values).mean()
    assert max(same, 1 - same) > 0.9
    # Each state's strongest coupling, by the state in which neuron 0 is most active.
    order = np.argsort(-fitted.bias_[:, 0])
    connectivity = fitted.connectivity_[order]
    assert connectivity[0, 0, 1] > 1
    assert connectivity[0, 2, 3] > 1
    assert connectivity[1, 3, 0] > 1
    assert connectivity[1, 1, 2] < -0.5


def test_outputs_have_the_same_dims_for_any_input(fitted, spikes):
    for data in (spikes, spikes.values, list(spikes.values), spikes.values[0]):
        n_sessions = 1 if getattr(data, "ndim", 3) == 2 else 3
        states = fitted.predict_states(data)
        assert states.dims == ("session", "time")
        assert states.shape == (n_sessions, N_TIME)
        assert states.dtype.kind == "i"
        proba = fitted.predict_proba(data)
        assert proba.dims == ("session", "time", "state")
        np.testing.assert_allclose(proba.sum("state"), 1, rtol=1e-5)
        rates = fitted.predict_rates(data)
        assert rates.dims == ("session", "time", "neuron")
        assert rates["neuron"].values.tolist() == [10, 11, 12, 13]
        assert fitted.log_likelihood(data).dims == ("session",)
        # The bin size is the fit's where the data do not know it.
        for out in (states, proba, rates):
            np.testing.assert_allclose(out["time"], spikes["time"])
    xr.testing.assert_identical(fitted.predict(spikes), fitted.predict_states(spikes))


def test_padding_is_marked(fitted, spikes):
    sessions = [spikes.values[0], spikes.values[1, :200]]
    assert (fitted.predict_states(sessions)[1, 200:] == -1).all()
    assert (fitted.predict_states(sessions)[1, :200] >= 0).all()
    assert np.isnan(fitted.predict_proba(sessions)[1, 200:]).all()
    assert np.isnan(fitted.predict_rates(sessions)[1, 200:]).all()
    alone = fitted.log_likelihood(spikes.values[1, :200])
    np.testing.assert_allclose(fitted.log_likelihood(sessions)[1], alone[0], rtol=1e-5)


# ------------------------------------------------------------------ scikit-learn's contract


def test_parameters_and_clone():
    model = OneHotHMMGLM(n_states=4, prior="gaussian", ridge=2.0)
    assert clone(model).get_params() == model.get_params()
    model.set_params(n_states=2, prior="none")
    assert (model.n_states, model.prior) == (2, "none")
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(n_components=2)


@pytest.mark.parametrize("method", ["predict_states", "predict_rates", "score", "sample", "save"])
def test_an_unfitted_model_says_so(method, spikes):
    with pytest.raises(NotFittedError):
        getattr(OneHotHMMGLM(), method)(*([] if method == "sample" else [spikes]))


def test_refitting_and_copies_give_the_same_bits(fitted, spikes):
    again = quietly_fit(clone(fitted), spikes)
    assert_same_fit(again, fitted)
    assert_same_fit(quietly_fit(again, spikes), fitted)


def test_refitting_forgets_the_fit_before(spikes):
    model = fit(spikes, prior="one-hot")
    model.set_params(prior="none")
    quietly_fit(model, spikes)
    assert model.connection_type_ is None
    assert model.shared_connectivity_ is None
    assert_same_fit(model, fit(spikes, prior="none"))


def test_pickle(fitted, spikes):
    copy = pickle.loads(pickle.dumps(fitted))
    assert_same_fit(copy, fitted)
    np.testing.assert_array_equal(copy.predict_rates(spikes), fitted.predict_rates(spikes))


@pytest.mark.slow
def test_grid_search_over_sessions(spikes):
    search = GridSearchCV(
        OneHotHMMGLM(n_states=2, n_init=1, max_iter=20, progress=False),
        {"prior": ["none", "gaussian"], "n_states": [1, 2]},
        cv=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(spikes.values)
    assert search.best_params_["n_states"] == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(spikes.values).shape == (3, N_TIME)


def test_pipeline(spikes):
    halves = FunctionTransformer(lambda x: x[..., ::1])
    pipeline = make_pipeline(halves, OneHotHMMGLM(n_states=2, n_init=2, progress=False))
    direct = fit(spikes.values)
    quietly_fit(pipeline, spikes.values)
    assert pipeline.score(spikes.values) == direct.score(spikes.values)
    np.testing.assert_array_equal(pipeline.predict(spikes.values), direct.predict(spikes.values))


def test_random_states(spikes):
    options = {"prior": "none", "max_iter": 5, "n_init": 1}
    one = fit(spikes, random_state=3, **options)
    assert_same_fit(one, fit(spikes, random_state=3, **options))
    assert not np.array_equal(one.weights_, fit(spikes, random_state=4, **options).weights_)
    key = jax.random.key(1)
    assert_same_fit(
        fit(spikes, random_state=key, **options), fit(spikes, random_state=key, **options)
    )
    generators = [np.random.default_rng(5) for _ in range(2)]
    one, two = (fit(spikes, random_state=rng, **options) for rng in generators)
    assert_same_fit(one, two)
    assert not np.array_equal(
        one.weights_, fit(spikes, random_state=generators[0], **options).weights_
    )
    with pytest.raises(InvalidInputError, match="not a seed"):
        fit(spikes, random_state="zero")


@pytest.fixture(scope="module")
def traces():
    """Names of functions traced or compiled; recorded while the list is wanted."""
    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **kwargs: events.append(name) if "/compile/" in name else None
    )
    return events


def test_a_second_fit_compiles_nothing(spikes, traces):
    for prior in ("one-hot", "gaussian", "none"):
        first = fit(spikes, prior=prior)
        first.score(spikes)
        first.predict_rates(spikes)
        del traces[:]
        second = fit(spikes[:, ::-1].assign_coords(time=spikes["time"]), prior=prior)
        second.score(spikes)
        second.predict_rates(spikes)
        assert traces == []


# ------------------------------------------------------------------------------- inputs


def test_all_kinds_of_input_give_the_same_fit(spikes):
    options = {"prior": "none", "n_init": 1, "bin_size": BIN_SIZE}
    labelled = fit(spikes, **options)
    assert_same_fit(fit(spikes.values, **options), labelled)
    assert_same_fit(fit(list(spikes.values), **options), labelled)
    assert_same_fit(fit(spikes.transpose("neuron", "session", "time"), **options), labelled)
    one = fit(spikes.values[0], **options)
    assert_same_fit(fit(pd.DataFrame(spikes.values[0]), **options), one)
    assert_same_fit(fit(spikes[0], **options), one)
    padded = spikes.values.copy()
    padded[1, 200:] = np.nan
    unequal = [spikes.values[0], spikes.values[1, :200], spikes.values[2]]
    assert_same_fit(fit(unequal, **options), fit(padded, **options))


def test_pynapple_input_gives_the_same_fit(spikes):
    nap = pytest.importorskip("pynapple")
    counts = spikes.values[0].astype(int)
    edges = np.arange(N_TIME) * BIN_SIZE
    group = nap.TsGroup(
        {
            unit: nap.Ts(np.repeat(edges + BIN_SIZE / 2, counts[:, unit]))
            for unit in range(N_NEURONS)
        },
        time_support=nap.IntervalSet(0, N_TIME * BIN_SIZE),
    )
    options = {"prior": "none", "n_init": 1, "bin_size": BIN_SIZE}
    expected = fit(counts, **options)
    assert_same_fit(fit(group, **options), expected)
    assert_same_fit(fit(group.count(BIN_SIZE), **options), expected)


def with_lead_in(spikes, n_lead):
    """The first bins of every session as its lead-in."""
    return spikes.assign_coords(time=(np.arange(N_TIME) - n_lead) * BIN_SIZE)


def test_lead_in_is_history_and_nothing_else(fitted, spikes):
    led = with_lead_in(spikes, 5)
    rates = fitted.predict_rates(led)
    assert rates.sizes["time"] == N_TIME - 5
    assert float(rates["time"][0]) == 0
    assert fitted.predict_states(led).sizes["time"] == N_TIME - 5
    # With one state the rates are the whole recording's: histories are true across the cut.
    single = fit(spikes, n_states=1, prior="none")
    np.testing.assert_allclose(
        single.predict_rates(led), single.predict_rates(spikes)[:, 5:], rtol=1e-6
    )
    cut = single.predict_rates(spikes.values[:, 5:])
    assert np.abs(cut[:, 0].values - single.predict_rates(led)[:, 0].values).max() > 1e-3
    # Scores count the modelled bins only.
    total = single.log_likelihood(spikes) - single.log_likelihood(spikes[:, :5])
    np.testing.assert_allclose(single.log_likelihood(led), total, rtol=1e-5)


def test_lead_in_gives_regressions_their_true_histories(spikes):
    # Two long sessions, or each cut in two with the bins before the cut as lead-in.
    options = {"n_states": 1, "prior": "none", "n_init": 1, "dtype": "float64", "tol": 1e-10}
    whole = fit(with_lead_in(spikes, 5), **options)
    first = spikes.values[:, :150]
    second = spikes.values[:, 145:]
    parts = np.full((6, 155, N_NEURONS), np.nan)
    parts[:3, :150], parts[3:, :155] = first, second
    cut = spikes.isel(time=slice(0, 155), session=[0, 0, 0, 0, 0, 0]).copy(data=parts)
    cut = cut.assign_coords(time=(np.arange(155) - 5) * BIN_SIZE, session=np.arange(6))
    again = fit(cut, **options)
    np.testing.assert_allclose(again.weights_, whole.weights_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(again.bias_, whole.bias_, rtol=1e-6)


def test_order_of_sessions_and_neurons_does_not_matter(fitted, spikes):
    sessions = fitted.log_likelihood(spikes[[2, 0, 1]])
    np.testing.assert_allclose(sessions, fitted.log_likelihood(spikes)[[2, 0, 1]], rtol=1e-6)
    order = [3, 1, 0, 2]
    permuted = clone(fitted)
    permuted.__dict__.update(fitted.__dict__)
    permuted.bias_ = fitted.bias_[:, order]
    permuted.weights_ = fitted.weights_[:, order][:, :, order]
    permuted.mean_counts_ = fitted.mean_counts_[order]
    shuffled = spikes.values[..., order]
    np.testing.assert_allclose(
        permuted.log_likelihood(shuffled), fitted.log_likelihood(spikes), rtol=1e-5
    )
    assert permuted.score(shuffled) == pytest.approx(fitted.score(spikes), rel=1e-4)


def test_one_state_is_fitted_the_same_in_any_order(spikes):
    options = {"n_states": 1, "prior": "gaussian", "dtype": "float64", "tol": 1e-10, "n_init": 1}
    one = fit(spikes, **options)
    order = [3, 1, 0, 2]
    other = fit(spikes[[1, 2, 0]][..., order], **options)
    np.testing.assert_allclose(
        other.connectivity_, one.connectivity_[:, order][:, :, order], rtol=1e-4, atol=1e-5
    )


def test_missing_counts_are_not_scored(fitted, spikes):
    gaps = spikes.copy()
    gaps[0, 50:60] = np.nan
    gaps[1, 20:90, 2] = np.nan
    rates, states = fitted.predict_rates(gaps), fitted.predict_states(gaps)
    assert np.isfinite(rates).all()
    assert (states >= 0).all()
    # The same formula without what is missing: the bits of single neurons add up.
    assert np.isfinite(fitted.score(gaps))
    assert float(fitted.log_likelihood(gaps)[0]) > float(fitted.log_likelihood(spikes)[0])
    # A model whose neurons do not talk: gaps change no other bin's rates in one state.
    single = fit(spikes, n_states=1, prior="none", ridge=1e8)
    np.testing.assert_allclose(single.predict_rates(gaps), single.predict_rates(spikes), rtol=1e-4)
    model = fit(gaps)
    assert np.isfinite(model.weights_).all()
    assert model.score(spikes) > 0.8 * fitted.score(spikes)
