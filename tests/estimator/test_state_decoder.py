"""Decoding bin after bin: equal to the offline filter and smoother, whatever the bins hold."""

from copy import copy

import jax
import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln
from sklearn.exceptions import NotFittedError

from onehotglm import DataFileError, InvalidInputError, OneHotHMMGLM, StateDecoder
from onehotglm.estimator import outputs
from onehotglm.kernels.emissions import LINKS
from onehotglm.kernels.history import make_basis

N_STATES, N_NEURONS, BIN_SIZE = 3, 4, 0.02


def make_model(link="softplus", basis="raised_cosine", dtype="float64", **changes) -> OneHotHMMGLM:
    """A model as `fit` leaves it, with random parameters."""
    rng = np.random.default_rng(1)
    functions = make_basis(basis, 4, 2 if basis == "raised_cosine" else None)
    weights = 0.5 * rng.normal(size=(N_STATES, N_NEURONS, N_NEURONS, len(functions)))
    arrays = {
        "weights": weights,
        "bias": rng.normal(size=(N_STATES, N_NEURONS)) - 0.5,
        "transition_matrix": 0.8 * np.eye(N_STATES)
        + 0.2 * rng.dirichlet(np.ones(N_STATES), N_STATES),
        "initial_proba": rng.dirichlet(np.ones(N_STATES)),
        "basis_functions": functions,
        "mean_counts": np.array([0.3, 0.2, 0.4, 1.1]),
        "connectivity": weights @ functions.sum(1),
    } | changes
    model = OneHotHMMGLM(N_STATES, "none", link, basis=basis, n_lags=4, dtype=dtype)
    for name in outputs.VARIABLES:
        value = arrays.get(name)
        setattr(model, f"{name}_", None if value is None else np.asarray(value, dtype))
    for name in outputs.SCALARS:  # of the fit that there was not
        setattr(model, f"{name}_", 1)
    model.bin_size_, model.neuron_ids_ = BIN_SIZE, np.arange(N_NEURONS)
    model.guide_ = None
    return model


def make_counts(n_time=100, missing=0.0) -> np.ndarray:
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.6, (n_time, N_NEURONS)).astype(float)
    counts[rng.random(counts.shape) < missing] = np.nan
    return counts


def as_session(counts: np.ndarray, n_lead: int = 0) -> xr.DataArray:
    time = (np.arange(len(counts)) - n_lead) * BIN_SIZE
    return xr.DataArray(
        counts[None], dims=("session", "time", "neuron"), coords={"time": time}
    ).assign_attrs(bin_size=BIN_SIZE)


def run(decoder: StateDecoder, counts: np.ndarray) -> list:
    return [decoder.step(bin_counts) for bin_counts in counts]


def stack(steps: list, name: str) -> np.ndarray:
    return np.array([getattr(step, name) for step in steps])


@pytest.mark.parametrize(
    ("link", "basis", "dtype"),
    [
        ("softplus", "raised_cosine", "float64"),
        ("softplus", "raised_cosine", "float32"),
        pytest.param("softplus", "exponential", "float32", marks=pytest.mark.slow),
        pytest.param("softplus", "lags", "float64", marks=pytest.mark.slow),
        *(
            pytest.param(link, "raised_cosine", "float64", marks=pytest.mark.slow)
            for link in LINKS
            if link != "softplus"
        ),
    ],
)
def test_steps_equal_the_offline_filter(link, basis, dtype):
    model, counts = make_model(link, basis, dtype), make_counts(missing=0.1)
    counts[10:14] = np.nan  # a whole stretch, as offline
    steps, session = run(StateDecoder(model), counts), as_session(counts)
    offline = model.predict_proba(session, causal=True).values[0]
    np.testing.assert_allclose(stack(steps, "posterior"), offline, rtol=0, atol=1e-12)
    if dtype == "float32":
        return
    rates = model.predict_rates(session).values[0]
    np.testing.assert_allclose(stack(steps[:-1], "rates"), rates[1:], rtol=1e-12)
    total = stack(steps, "log_likelihood").sum()
    np.testing.assert_allclose(total, model.log_likelihood(session)[0], rtol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_every_link(link):
    """The second bin by hand."""
    model, counts = make_model(link, "lags"), make_counts(2)
    first, second = run(StateDecoder(model), counts)
    eta = model.bias_ + model.weights_[..., 0] @ counts[0]
    with jax.enable_x64(True):
        rate, log_rate = map(np.asarray, LINKS[link].rate_and_log(eta))
    log_lik = (counts[1] * log_rate - rate - gammaln(counts[1] + 1)).sum(1)
    predicted = first.posterior @ model.transition_matrix_
    np.testing.assert_allclose(first.rates * BIN_SIZE, predicted @ rate, rtol=1e-12)
    expected = np.log(predicted @ np.exp(log_lik))
    np.testing.assert_allclose(second.log_likelihood, expected, rtol=1e-12)


@pytest.mark.parametrize("lag", [0, 1, 7])
def test_the_smoother_equals_the_offline_one_on_the_bins_so_far(lag):
    model, counts = make_model(), make_counts(missing=0.1)
    decoder = StateDecoder(model, lag=lag)
    steps = run(decoder, counts)
    smoothed = stack(steps, "smoothed")
    assert np.isnan(smoothed[:lag]).all()
    # The offline smoother of a recording that ends here.
    for end in (len(counts), 53):
        offline = model.predict_proba(as_session(counts[:end])).values[0]
        np.testing.assert_allclose(smoothed[end - 1], offline[end - 1 - lag], atol=1e-12)
    whole = model.predict_proba(as_session(counts)).values[0]
    np.testing.assert_allclose(decoder.recent, whole[-lag - 1 :], atol=1e-12)
    decoder.reset()
    decoder.step(counts[0])
    assert decoder.recent.shape == (1, N_STATES)


def test_lead_in_serves_as_history():
    model, counts = make_model(), make_counts()
    counts[[2, 40], 1] = np.nan
    offline = model.predict_proba(as_session(counts, n_lead=6), causal=True).values[0]
    decoder = StateDecoder(model)
    decoder.reset(counts[:6])
    online = stack(run(decoder, counts[6:]), "posterior")
    np.testing.assert_allclose(online, offline, atol=1e-12)
    decoder.reset(counts[3:6])  # fewer bins than lags: zeros before
    shorter = stack(run(decoder, counts[6:]), "posterior")
    assert np.abs(shorter - online).max() > 1e-6


def test_reset_begins_a_new_session():
    model, counts = make_model(), make_counts()
    decoder = StateDecoder(model, lag=3)
    first = run(decoder, counts)
    decoder.reset()
    assert decoder.n_bins == 0
    second = run(decoder, counts)
    for name in first[0]._fields:
        np.testing.assert_array_equal(stack(first, name), stack(second, name))


def test_change_proba_is_that_of_the_chain():
    model = make_model()
    step = run(StateDecoder(model, horizon=3), make_counts(20))[-1]
    stays = 0.0
    for state, proba in enumerate(step.posterior):
        stays += proba * model.transition_matrix_[state, state] ** 3
    np.testing.assert_allclose(step.change_proba, 1 - stays, rtol=1e-12)
    longer = run(StateDecoder(model, horizon=9), make_counts(20))[-1]
    assert longer.change_proba > step.change_proba


def test_states_that_seemed_impossible_come_back():
    """A chain with zeros, and evidence of thousands of nats for and against a state."""
    bias = np.array([[8.0] * N_NEURONS, [-8.0] * N_NEURONS, [-30.0] * N_NEURONS])
    model = make_model(
        bias=bias,
        weights=np.zeros((N_STATES, N_NEURONS, N_NEURONS, 2)),
        transition_matrix=np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0.5, 0.5]]),
        initial_proba=np.array([0.5, 0.5, 0.0]),
    )
    counts = np.concatenate([np.zeros((300, N_NEURONS)), np.full((400, N_NEURONS), 30.0)])
    counts[7, 0] = np.nan
    decoder = StateDecoder(model, lag=5)
    steps = run(decoder, counts)
    offline = model.predict_proba(as_session(counts), causal=True).values[0]
    assert offline[299, 0] == 0
    assert offline[-1, 0] == 1
    np.testing.assert_allclose(stack(steps, "posterior"), offline, atol=1e-9)
    np.testing.assert_allclose(steps[-1].smoothed, [1, 0, 0], atol=1e-9)


def test_counts_that_no_state_explains_leave_the_posterior_as_predicted():
    bias = np.full((N_STATES, N_NEURONS), 800.0)
    model = make_model("exp", bias=bias, weights=np.zeros((N_STATES, N_NEURONS, N_NEURONS, 2)))
    step = StateDecoder(model).step(np.zeros(N_NEURONS))
    assert step.log_likelihood == -np.inf
    np.testing.assert_allclose(step.posterior, model.initial_proba_)


@pytest.mark.parametrize("n_before", [0, 2, 30])
def test_a_saved_stream_goes_on_as_if_it_had_not_been_interrupted(tmp_path, n_before):
    model, counts = make_model(dtype="float32"), make_counts(60, missing=0.05)
    decoder = StateDecoder(model, lag=5, horizon=4)
    run(decoder, counts[:n_before])
    path = decoder.save(tmp_path / "stream.nc")
    resumed = StateDecoder.load(path)
    assert (resumed.n_bins, resumed.lag, resumed.horizon) == (n_before, 5, 4)
    for one, other in zip(
        run(decoder, counts[n_before:]), run(resumed, counts[n_before:]), strict=True
    ):
        for name in one._fields:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_results_are_not_overwritten_by_later_steps():
    decoder, counts = StateDecoder(make_model(), lag=1), make_counts(10)
    step = decoder.step(counts[0])
    kept = [np.array(value) for value in step]
    run(decoder, counts[1:])
    for value, before in zip(step, kept, strict=True):
        np.testing.assert_array_equal(value, before)


def test_one_state_and_one_lag():
    rng = np.random.default_rng(0)
    bias = rng.normal(size=(1, N_NEURONS))
    model = make_model(
        weights=np.zeros((1, N_NEURONS, N_NEURONS, 1)),
        bias=bias,
        transition_matrix=np.ones((1, 1)),
        initial_proba=np.ones(1),
        basis_functions=np.ones((1, 1)),
    ).set_params(n_states=1, n_lags=1)
    counts = make_counts(3)
    step = run(StateDecoder(model, lag=2), counts)[-1]
    rate = np.logaddexp(0, bias[0])
    np.testing.assert_allclose(step.rates, rate / BIN_SIZE)
    expected = (counts[-1] * np.log(rate) - rate - gammaln(counts[-1] + 1)).sum()
    np.testing.assert_allclose(step.log_likelihood, expected)
    assert step.change_proba == 0
    np.testing.assert_allclose(step.smoothed, 1)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros(3), r"shape \(3,\); expected \(4,\)"),
        (np.zeros((2, 4)), r"shape \(2, 4\); expected \(4,\)"),
        ([0, -1, 0, 0], "hold -1; expected whole numbers"),
        ([0, 0.5, 0, 0], "hold 0.5; expected whole numbers"),
        ([0, np.inf, 0, 0], "hold inf; expected whole numbers"),
    ],
)
def test_what_are_no_counts_is_refused(counts, message):
    with pytest.raises(InvalidInputError, match=message):
        StateDecoder(make_model()).step(counts)


def test_odd_settings_and_files_are_refused(tmp_path):
    model = make_model()
    with pytest.raises(InvalidInputError, match=r"lag=-1; expected a whole number"):
        StateDecoder(model, lag=-1)
    with pytest.raises(InvalidInputError, match=r"horizon=2.5; expected a whole number"):
        StateDecoder(model, horizon=2.5)
    with pytest.raises(NotFittedError):
        StateDecoder(OneHotHMMGLM())
    with pytest.raises(InvalidInputError, match="observation='bernoulli'; StateDecoder takes"):
        StateDecoder(copy(model).set_params(observation="bernoulli"))
    with pytest.raises(InvalidInputError, match=r"got counts of shape \(5, 3\)"):
        StateDecoder(model).reset(np.zeros((5, 3)))
    path = model.save(tmp_path / "fit.nc")
    with pytest.raises(DataFileError, match="holds a fit, expected a decoder"):
        StateDecoder.load(path)
