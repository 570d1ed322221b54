"""Transitions that inputs drive: what users pass, read and get back."""

from copy import copy

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm import (
    IndependentChains,
    OneHotHMMGLM,
    StateDecoder,
    match_paths,
    recovery,
    select_n_states,
    simulate_from,
    true_model,
)
from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.estimator.exact import nuts
from onehotglm.kernels.history import make_basis

OPTIONS = {"n_states": 2, "prior": "none", "n_init": 1, "progress": False}
NAMES = ["speed", "light"]
MEAN, SD = np.array([10.0, 0.0]), np.array([4.0, 1.0])
# Of the log-odds of going into a state, per standard deviation.
EFFECTS = np.array([[1.5, -0.5], [-1.5, 0.5]])
# Parts have the same shapes, so that little is compiled.
N_SESSIONS, N_TIME = 3, 640


@pytest.fixture(scope="module")
def data():
    """Six sessions of two states that differ in the neurons' rates; speed drives into one."""
    truth = xr.Dataset(
        {
            "bias": (("state", "neuron"), [[0.5, -1.0, -0.5, 0.0], [-1.5, 0.5, 0.5, -1.0]]),
            "weights": (("state", "post", "pre", "basis"), np.zeros((2, 4, 4, 1))),
            "basis_functions": (("basis", "lag"), make_basis("exponential", 5)),
            "transition_matrix": (("state", "next_state"), [[0.95, 0.05], [0.05, 0.95]]),
            "initial_proba": ("state", [0.5, 0.5]),
            "transition_weights": (("state", "input"), EFFECTS / SD),
            "transition_input_mean": ("input", MEAN),
        },
        {"neuron": np.arange(4) + 10, "input": NAMES},
        {"bin_size": 0.02, "link": "softplus"},
    )
    shape = (2 * N_SESSIONS, N_TIME // 4, 2)
    inputs = MEAN + SD * np.random.default_rng(0).normal(size=shape).repeat(4, axis=1)
    recorded = simulate_from(
        truth, n_sessions=2 * N_SESSIONS, n_time_bins=N_TIME, transition_inputs=inputs
    )
    return recorded.rename(transition_inputs="inputs")


@pytest.fixture(scope="module")
def train(data):
    return data.isel(session=slice(N_SESSIONS))


@pytest.fixture(scope="module")
def test(data):
    return data.isel(session=slice(N_SESSIONS, None))


def fit(data, inputs=None, **options):
    return OneHotHMMGLM(**OPTIONS | options).fit(
        data["spikes"], transition_inputs=data["inputs"] if inputs is None else inputs
    )


@pytest.fixture(scope="module")
def driven(train):
    return fit(train)


@pytest.fixture(scope="module")
def plain(train):
    return OneHotHMMGLM(**OPTIONS).fit(train["spikes"])


def accuracy(states, truth):
    order = match_paths(states, truth)
    return (np.argsort(order)[states] == truth).mean()


@pytest.mark.slow
def test_weights_are_recovered_in_the_units_of_the_inputs(train, driven):
    assert driven.transition_input_names_.tolist() == NAMES
    np.testing.assert_allclose(driven.transition_weights_.sum(0), 0, atol=1e-6)
    states = driven.predict_states(train["spikes"], transition_inputs=train["inputs"])
    order = match_paths(states, train["states"])
    np.testing.assert_allclose(driven.transition_weights_[order] * SD, EFFECTS, atol=0.4)
    np.testing.assert_allclose(driven.transition_matrix_.diagonal(), 0.95, atol=0.03)
    other = fit(train, train["inputs"] * [0.01, 1.0] + [3.0, 0.0])
    np.testing.assert_allclose(
        other.transition_weights_[:, 0], 100 * driven.transition_weights_[:, 0], rtol=1e-2
    )
    np.testing.assert_allclose(other.transition_matrix_, driven.transition_matrix_, atol=1e-3)


@pytest.mark.slow
def test_inputs_help_to_predict_and_to_decode(data, test, driven, plain):
    given, spikes = {"transition_inputs": test["inputs"]}, test["spikes"]
    gained = driven.log_likelihood(spikes, **given) - plain.log_likelihood(spikes)
    assert gained.sum() > 20
    assert driven.score(spikes, **given) > plain.score(spikes)
    best = true_model(driven, data).log_likelihood(spikes, **given)
    assert best.sum() > driven.log_likelihood(spikes, **given).sum() - 5
    right = accuracy(driven.predict_states(spikes, **given), test["states"])
    assert right > accuracy(plain.predict_states(spikes), test["states"]) + 0.01
    assert driven.predict(spikes, **given).equals(driven.predict_states(spikes, **given))
    proba = driven.predict_proba(spikes, **given)
    np.testing.assert_allclose(proba.sum("state"), 1, rtol=1e-5)
    assert (driven.path_log_proba(spikes, **given) <= 1e-3).all()


@pytest.mark.slow
def test_causal_posterior_knows_no_later_input(train, driven):
    changed = train["inputs"].copy()
    changed[:, 101:] = 0.0

    def causal(inputs):
        spikes = train["spikes"]
        return (
            driven.predict_proba(spikes, causal=True, transition_inputs=inputs).values,
            driven.predict_rates(spikes, transition_inputs=inputs).values,
        )

    for before, after in zip(causal(train["inputs"]), causal(changed), strict=True):
        np.testing.assert_allclose(before[:, :101], after[:, :101], atol=1e-5)
        assert not np.allclose(before[:, 101:], after[:, 101:], atol=1e-5)


@pytest.mark.slow
def test_inputs_of_any_kind_give_the_same_fit(train, driven):
    lists = [pd.DataFrame(session, columns=NAMES) for session in train["inputs"].values]
    for inputs in (lists, train["inputs"].values, train["inputs"].to_dataset("input")):
        other = fit(train, inputs)
        np.testing.assert_array_equal(other.transition_weights_, driven.transition_weights_)


@pytest.mark.slow
def test_inputs_of_first_bins_do_not_matter(train, driven):
    changed = train["inputs"].copy()
    changed[:, 0] = 0.0
    first = driven.log_likelihood(train["spikes"], transition_inputs=train["inputs"])
    second = driven.log_likelihood(train["spikes"], transition_inputs=changed)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_loaded_models_decode_alike(train, driven, tmp_path):
    loaded = OneHotHMMGLM.load(driven.save(tmp_path / "fit.nc"))
    first, second = (
        x.log_likelihood(train["spikes"], transition_inputs=train["inputs"])
        for x in (loaded, driven)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_samples_follow_the_inputs(driven):
    speed = np.where(np.arange(400) < 200, 7.0, 18.0)
    inputs = np.stack([speed, np.zeros(400)], axis=-1)
    sampled = driven.sample(400, transition_inputs=inputs)
    fast = driven.transition_weights_[:, 0].argmax()
    is_fast = sampled["states"].values[0] == fast
    assert is_fast[200:].mean() > is_fast[:200].mean() + 0.3
    again = simulate_from(driven.to_dataset(), n_time_bins=400, transition_inputs=inputs[None])
    is_fast = again["states"].values[0] == fast
    assert is_fast[200:].mean() > is_fast[:200].mean() + 0.3


@pytest.mark.slow
def test_gaps_need_no_input(train):
    gap = train.copy(deep=True)
    gap["spikes"][0, 50:60] = np.nan
    gap["inputs"][0, 50:60] = np.nan
    model = fit(gap)
    assert np.isfinite(model.transition_weights_).all()


@pytest.mark.slow
def test_checkpoint_of_other_inputs_is_refused(train, tmp_path):
    path = tmp_path / "fit.npz"
    fit(train, checkpoint=path)
    with pytest.raises(DataFileError, match="other data"):
        fit(train, train["inputs"] ** 2, checkpoint=path, resume=True)
    again = fit(train, checkpoint=path, resume=True)
    assert again.transition_weights_.shape == (2, 2)


@pytest.mark.slow
def test_standard_errors_are_conditional_on_the_inputs(train, driven):
    errors = fit(train, max_iter=200, dtype="float64").standard_errors(
        train["spikes"], transition_inputs=train["inputs"]
    )
    assert (errors["connectivity_se"] > 0).all()


@pytest.mark.slow
def test_states_are_recovered_where_the_truth_knows_its_inputs(test, driven):
    truth = test.rename(inputs="transition_inputs").assign(
        connectivity=(("state", "post", "pre"), np.zeros((2, 4, 4)))
    )
    given = {"transition_inputs": test["inputs"]}
    expected = accuracy(driven.predict_states(test["spikes"], **given), test["states"])
    assert recovery(driven, truth)["state_accuracy"] == pytest.approx(float(expected))


@pytest.mark.slow
def test_numbers_of_states_are_judged_with_inputs(train, driven):
    judged = select_n_states(
        train["spikes"],
        [2],
        model=OneHotHMMGLM(**OPTIONS),
        cv=3,
        transition_inputs=train["inputs"],
        progress=False,
    )
    np.testing.assert_allclose(judged.model.transition_weights_, driven.transition_weights_)
    assert judged.table["bits_per_spike"].item() > 0.9 * driven.score(
        train["spikes"], transition_inputs=train["inputs"]
    )
    assert judged.states["verdict"].eq("").all()


@pytest.mark.slow
def test_chains_of_groups_take_inputs(train):
    model = OneHotHMMGLM(**OPTIONS)
    given = {"transition_inputs": train["inputs"]}
    chains = IndependentChains([0, 0, 1, 1], model).fit(train["spikes"], **given)
    weights = chains.to_dataset()["transition_weights"]
    assert weights.dims == ("group", "state", "input")
    assert (np.abs(weights.isel(group=0, input=0)) * SD[0] > 0.5).all()
    assert np.isfinite(chains.score(train["spikes"], **given))


# ------------------------------------------------------------------ without any fit


@pytest.fixture(scope="module")
def inputs(spikes):
    coords = {name: spikes[name] for name in ("session", "time")} | {"input": NAMES}
    values = np.random.default_rng(0).normal(size=(*spikes.shape[:2], 2))
    return xr.DataArray(values, coords, ("session", "time", "input"))


@pytest.fixture(scope="module")
def model(fitted):
    """A fit whose transitions are driven by weights of our choice."""
    given = copy(fitted)
    given.transition_weights_ = EFFECTS
    given.transition_input_names_ = np.array(NAMES)
    given.transition_input_mean_, given.transition_input_sd_ = MEAN, SD
    return given


def test_datasets_and_files_hold_the_inputs(model, fitted, tmp_path):
    loaded = OneHotHMMGLM.load(model.save(tmp_path / "fit.nc"))
    assert loaded.to_dataset()["transition_weights"].dims == ("state", "input")
    np.testing.assert_array_equal(loaded.transition_weights_, EFFECTS)
    np.testing.assert_array_equal(loaded.transition_input_sd_, SD)
    assert loaded.transition_input_names_.tolist() == NAMES
    assert "speed, light" in loaded._repr_html_()
    plain = OneHotHMMGLM.load(fitted.save(tmp_path / "plain.nc"))
    assert plain.transition_weights_ is plain.transition_input_names_ is None


def test_missing_inputs_are_named(spikes, inputs, model):
    broken = inputs.copy()
    broken[1, 7, 0] = np.nan
    message = r"speed = nan in session 1 at 0\.14 s"
    with pytest.raises(InvalidInputError, match=message):
        OneHotHMMGLM(**OPTIONS).fit(spikes, transition_inputs=broken)
    with pytest.raises(InvalidInputError, match=message):
        model.predict_states(spikes, transition_inputs=broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :-1], "299 bins, and the spikes 3 of 300"),
        (lambda x: x[:1], "1 session"),
        (lambda x: 0 * x, "speed, one of the transition_inputs, is 0 in all"),
    ],
    ids=["bins", "sessions", "constant"],
)
def test_inputs_that_do_not_fit_are_refused(spikes, inputs, change, message):
    with pytest.raises(InvalidInputError, match=message):
        OneHotHMMGLM(**OPTIONS).fit(spikes, transition_inputs=change(inputs))


def test_a_model_takes_the_inputs_of_its_fit_and_no_others(spikes, inputs, model, fitted):
    with pytest.raises(InvalidInputError, match=r"with transition_inputs \(speed, light\)"):
        model.score(spikes)
    with pytest.raises(InvalidInputError, match="pass them in that order"):
        model.score(spikes, transition_inputs=inputs[..., ::-1])
    with pytest.raises(InvalidInputError, match="1 column"):
        model.score(spikes, transition_inputs=inputs[..., :1])
    with pytest.raises(InvalidInputError, match="fitted without"):
        fitted.score(spikes, transition_inputs=inputs)
    with pytest.raises(InvalidInputError, match=r"1 session\(s\) of 300 bins"):
        model.sample(200, transition_inputs=inputs[:1])


def test_what_knows_no_inputs_refuses_them(spikes, inputs, model):
    with pytest.raises(InvalidInputError, match="nuts does not take"):
        nuts(model, spikes)
    with pytest.raises(InvalidInputError, match="method='vi' takes no transition_inputs"):
        OneHotHMMGLM(**OPTIONS, method="vi").fit(spikes, transition_inputs=inputs)


def test_parameters_and_inputs_of_a_simulation_go_together(model, fitted):
    with pytest.raises(InvalidInputError, match="transition_weights and transition_inputs are mis"):
        simulate_from(model.to_dataset())
    with pytest.raises(InvalidInputError, match="has no transition_weights"):
        simulate_from(fitted.to_dataset(), transition_inputs=np.zeros((1, 3000, 2)))


def test_ridge_is_checked(spikes, inputs):
    with pytest.raises(InvalidInputError, match=r"leave transition_ridge at 1\.0"):
        OneHotHMMGLM(**OPTIONS, transition_ridge=2.0).fit(spikes)
    with pytest.raises(InvalidInputError, match="transition_ridge=-1"):
        OneHotHMMGLM(**OPTIONS, transition_ridge=-1).fit(spikes, transition_inputs=inputs)


@pytest.mark.slow
def test_decoder_on_line_is_the_causal_posterior(spikes, inputs, model):
    decoder = StateDecoder(model, lag=2)
    first = {"transition_inputs": inputs[:1, :40]}
    offline = model.predict_proba(spikes[:1, :40], causal=True, **first).values[0]
    found = [
        decoder.step(counts, transition_inputs=now)
        for counts, now in zip(spikes[0, :40].values, inputs[0, :40].values, strict=True)
    ]
    np.testing.assert_allclose([now.posterior for now in found], offline, atol=1e-9)
    log_likelihood = model.log_likelihood(spikes[:1, :40], **first).item()
    assert sum(now.log_likelihood for now in found) == pytest.approx(log_likelihood, rel=1e-4)
    smoothed = model.predict_proba(spikes[:1, :40], **first)
    np.testing.assert_allclose(found[-1].smoothed, smoothed[0, 37], atol=1e-4)
    # What is foretold is under the last input.
    drive = EFFECTS @ (inputs[0, 39].values - MEAN)
    stays = model.transition_matrix_ * np.exp(drive)
    stays = np.diagonal(stays / stays.sum(1, keepdims=True))
    expected = 1 - found[-1].posterior @ stays**decoder.horizon
    assert found[-1].change_proba == pytest.approx(expected, rel=1e-5)
    for wrong in (None, [1.0], [1.0, np.nan]):
        with pytest.raises(InvalidInputError, match=r"fitted with \(speed, light\)"):
            decoder.step(spikes[0, 0], transition_inputs=wrong)
