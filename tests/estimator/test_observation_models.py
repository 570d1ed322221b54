"""Fits of binary, overdispersed and real-valued data, from simulation to report."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from onehotglm import OneHotHMMGLM, block_interval, simulate_from, split_blocks
from onehotglm.errors import InvalidInputError
from onehotglm.report import ReportContent, build_sections
from tests.estimator.conftest import quick_fit

DISPERSION = np.array([0.3, 0.8, 1.5])
LINKS = {"bernoulli": "sigmoid", "negative_binomial": "softplus", "gaussian": "identity"}


def recorded(observation, n_sessions=3, n_time_bins=800, seed=0) -> xr.Dataset:
    """Three neurons in two states that differ in couplings and baseline."""
    weights = np.zeros((2, 3, 3, 1))
    weights[0, 0, 1], weights[1, 1, 2] = 0.8, -0.8
    parameters = xr.Dataset(
        {
            "bias": (("state", "neuron"), [[0.8, -1.0, -0.2], [-0.8, 0.8, 0.4]]),
            "weights": (("state", "post", "pre", "basis"), weights),
            "basis_functions": (("basis", "lag"), [[0.7, 0.3]]),
            "transition_matrix": (("state", "next_state"), [[0.97, 0.03], [0.03, 0.97]]),
            "initial_proba": ("state", [0.5, 0.5]),
            "dispersion": ("neuron", DISPERSION),
        },
        attrs={"link": LINKS[observation], "bin_size": 0.02, "observation": observation},
    ).assign_coords(neuron=[3, 4, 5])
    return simulate_from(
        parameters, n_sessions=n_sessions, n_time_bins=n_time_bins, random_state=seed
    )


def fit_to(data, **options) -> OneHotHMMGLM:
    observation = data.attrs["observation"]
    settings = {"observation": observation, "link": LINKS[observation], "prior": "none"}
    return quick_fit(data["spikes"], **settings | options)


# One fit is enough for the fast tests.
ONE_FAST = [
    pytest.param("bernoulli", marks=pytest.mark.slow),
    pytest.param("negative_binomial", marks=pytest.mark.slow),
    "gaussian",
]


@pytest.fixture(scope="module")
def models():
    """Data and fit of each distribution, made once."""
    made = {}

    def get(observation):
        if observation not in made:
            data = recorded(observation)
            made[observation] = data, fit_to(data)
        return made[observation]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("observation", ONE_FAST)
def test_truth_is_recovered(models, observation):
    data, model = models(observation)
    states = model.predict_states(data["spikes"])
    agree = float((states == data["states"]).mean())
    assert max(agree, 1 - agree) > 0.8
    assert model.score(data["spikes"]) > 0.05
    falls = -np.diff(model.objective_path_)
    assert falls.max(initial=0.0) < 1e-5
    if model.dispersion_ is not None:
        assert (np.abs(np.log(model.dispersion_ / DISPERSION)) < 0.4).all()


@pytest.mark.slow
@pytest.mark.parametrize("observation", LINKS)
def test_likelihood_of_one_state_is_scipys(models, observation):
    data, model = models(observation)
    one = fit_to(data, n_states=1, n_init=1)
    x = data["spikes"].values.astype(float)
    rates = one.predict_rates(data["spikes"])
    mean = rates.values * (1.0 if observation == "gaussian" else 0.02)
    logpdf = {
        "bernoulli": lambda: stats.bernoulli.logpmf(x, mean),
        "negative_binomial": lambda: stats.nbinom.logpmf(
            x, 1 / one.dispersion_, 1 / (1 + one.dispersion_ * mean)
        ),
        "gaussian": lambda: stats.norm.logpdf(x, mean, np.sqrt(one.dispersion_)),
    }[observation]()
    found = one.log_likelihood(data["spikes"])
    np.testing.assert_allclose(found, logpdf.sum((1, 2)), rtol=1e-4)
    assert model.score(data["spikes"]) > one.score(data["spikes"])


@pytest.mark.slow
@pytest.mark.parametrize("observation", LINKS)
def test_samples_are_of_the_same_kind(models, observation):
    data, model = models(observation)
    sample = model.sample(n_time_bins=800, n_sessions=3)
    values = sample["spikes"].values
    if observation == "gaussian":
        assert (values % 1 > 0).any()
        assert sample["rates"].attrs["units"] == "signal"
    else:
        assert np.array_equal(values, np.rint(values))
    expected = data["spikes"].mean(("session", "time"))
    spread = data["spikes"].std(("session", "time"))
    assert (np.abs(values.mean((0, 1)) - expected) < 0.4 * spread).all()


def test_signals_are_scored_per_sample(models):
    data, model = models("gaussian")
    gain = model.log_likelihood(data["spikes"]).sum() - stats.norm.logpdf(
        data["spikes"].values.astype(float), model.mean_counts_, np.sqrt(model.baseline_variance_)
    ).sum(dtype=float)
    expected = float(gain) / data["spikes"].size / np.log(2)
    assert model.score(data["spikes"]) == pytest.approx(expected, rel=1e-4)
    low, high = block_interval(model, split_blocks(data["spikes"], 2.0), n_resamples=50)
    assert low < model.score(data["spikes"]) < high


def test_files_keep_the_dispersion(models, tmp_path):
    data, model = models("gaussian")
    back = OneHotHMMGLM.load(model.save(tmp_path / "fit.nc"))
    assert back.observation == "gaussian"
    assert back.score(data["spikes"]) == pytest.approx(model.score(data["spikes"]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("observation", LINKS)
def test_report_speaks_of_the_right_thing(models, observation):
    data, model = models(observation)
    content = ReportContent(
        "A",
        fit=model.to_dataset(),
        spikes=data["spikes"],
        states=model.predict_states(data["spikes"]),
        posterior=model.predict_proba(data["spikes"]),
        rates=model.predict_rates(data["spikes"]),
    )
    sections = build_sections(content)
    text = " ".join(str(section.facts) for section in sections)
    captions = " ".join(figure.caption for section in sections for figure in section.figures)
    assert ("Signals" in text) is (observation == "gaussian")
    assert "Time rescaling" not in captions


def test_binary_data_are_checked():
    counts = np.array([[0.0], [2.0], [1.0]])
    model = OneHotHMMGLM(observation="bernoulli", link="sigmoid")
    with pytest.raises(InvalidInputError, match="the counts go up to 2; observation='bernoulli'"):
        model.fit(counts)


def test_signals_are_refused_as_counts():
    with pytest.raises(InvalidInputError, match="or fit signals with observation='gaussian'"):
        OneHotHMMGLM().fit(np.array([[0.5], [-1.0]]))
