"""Fits as labelled datasets, as files and in notebooks."""

from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from onehotglm import DataFileError, OneHotHMMGLM
from onehotglm.estimator.outputs import TYPES, VARIABLES
from onehotglm.io.checkpoint import save_dataset
from tests.estimator.conftest import BIN_SIZE, quietly_fit


@pytest.fixture(scope="module", params=["one-hot", "gaussian", "none"])
def model(request, spikes):
    model = OneHotHMMGLM(n_states=2, prior=request.param, n_init=1, progress=False)
    return quietly_fit(model, spikes)


@pytest.fixture
def file(fitted, tmp_path):
    return fitted.save(tmp_path / "fit.nc")


def test_dataset_has_every_label(fitted):
    dataset = fitted.to_dataset()
    assert set(dataset.data_vars) == {
        name for name in VARIABLES if getattr(fitted, f"{name}_") is not None
    }
    for name in dataset.data_vars:
        assert dataset[name].dims == VARIABLES[name]
        np.testing.assert_array_equal(dataset[name], getattr(fitted, f"{name}_"))
    assert tuple(dataset["type"].values) == TYPES == ("inhibitory", "absent", "excitatory")
    for dim in ("neuron", "post", "pre"):
        assert dataset[dim].values.tolist() == [10, 11, 12, 13]
    assert dataset["state"].values.tolist() == [0, 1]
    assert dataset["lag"].values.tolist() == [1, 2, 3, 4, 5]
    assert dataset.attrs["bin_size"] == BIN_SIZE
    assert dataset.attrs["prior"] == "one-hot"
    assert dataset.attrs["link"] == "softplus"
    # Where the fit was kept while it ran says nothing about it.
    assert set(fitted.get_params()) - set(dataset.attrs) == {"checkpoint", "resume"}


def test_only_what_the_prior_has(model):
    dataset = model.to_dataset()
    one_hot, gaussian = (model.prior == name for name in ("one-hot", "gaussian"))
    assert ("shared_connectivity" in dataset) is (one_hot or gaussian)
    for name in ("connection_type", "connection_type_proba", "shared_type_proba", "type"):
        assert (name in dataset.variables) is one_hot
    assert ("prior_slab_mean" in dataset) is ("prior_slab_sd" in dataset) is one_hot
    for name in ("prior_mean", "prior_sd", "prior_mean_sd"):
        assert (name in dataset) is gaussian


def test_saved_fits_predict_the_same(model, spikes, tmp_path):
    path = model.save(tmp_path / "fit.nc")
    loaded = OneHotHMMGLM.load(path)
    for data in (spikes, spikes.values):
        for method in ("predict_states", "predict_proba", "predict_rates", "log_likelihood"):
            expected = getattr(model, method)(data)
            xr.testing.assert_identical(getattr(loaded, method)(data), expected)
        assert loaded.score(data) == model.score(data)
    xr.testing.assert_identical(loaded.sample(100), model.sample(100))
    xr.testing.assert_identical(loaded.to_dataset(), model.to_dataset())
    for name in ("stop_reason_", "converged_", "n_iter_", "bin_size_", "n_features_in_"):
        value = getattr(model, name)
        assert getattr(loaded, name) == value
        assert type(getattr(loaded, name)) is type(value)
    assert loaded.converged_ is model.converged_


def test_loaded_parameters_fit_again(fitted, file, spikes):
    loaded = OneHotHMMGLM.load(file)
    assert loaded.get_params() == fitted.get_params()
    again = quietly_fit(clone(loaded), spikes)
    np.testing.assert_array_equal(again.weights_, fitted.weights_)


def test_bin_size_survives_a_file(spikes, tmp_path):
    model = OneHotHMMGLM(2, n_init=1, prior="none", bin_size=BIN_SIZE, progress=False)
    quietly_fit(model, spikes.values)
    loaded = OneHotHMMGLM.load(model.save(tmp_path / "fit.nc"))
    xr.testing.assert_identical(
        loaded.predict_rates(spikes.values), model.predict_rates(spikes.values)
    )


def test_a_generator_is_no_result(spikes, tmp_path):
    model = OneHotHMMGLM(
        2, n_init=1, prior="none", random_state=np.random.default_rng(0), progress=False
    )
    path = quietly_fit(model, spikes).save(tmp_path / "fit.nc")
    assert OneHotHMMGLM.load(path).random_state is None


def test_names_of_neurons_survive(spikes, tmp_path):
    named = spikes.assign_coords(neuron=["a", "b", "c", "d"])
    model = OneHotHMMGLM(2, n_init=1, prior="none", progress=False)
    path = quietly_fit(model, named).save(tmp_path / "fit.nc")
    assert OneHotHMMGLM.load(path).neuron_ids_.tolist() == ["a", "b", "c", "d"]


def test_bad_files(file, tmp_path):
    with pytest.raises(DataFileError, match=r"missing\.nc"):
        OneHotHMMGLM.load(tmp_path / "missing.nc")
    damaged = tmp_path / "damaged.nc"
    damaged.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DataFileError, match="damaged"):
        OneHotHMMGLM.load(damaged)
    other = save_dataset(xr.Dataset({"a": 1}), tmp_path / "other.nc", "simulation")
    with pytest.raises(DataFileError, match="holds a simulation, expected a fit"):
        OneHotHMMGLM.load(other)
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"a": 1}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(DataFileError, match="not written by onehotglm"):
        OneHotHMMGLM.load(foreign)


def test_a_folder_that_cannot_be_written(fitted, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataFileError):
        fitted.save(blocked / "fit.nc")


class Checker(HTMLParser):
    """Collects text, and checks that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_notebooks_show_a_table(model):
    html = model._repr_html_()
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    text = " ".join(checker.text)
    assert f"{model.prior}, softplus" in text
    assert "nats per bin" in text
    assert ("% excitatory" in text) is (model.prior == "one-hot")
    assert f"after {model.n_iter_} EM steps" in text
    # Notebooks ask for this method first.
    assert model._repr_mimebundle_() == {"text/plain": repr(model), "text/html": html}


def test_notebooks_show_an_unfitted_model():
    assert "not fitted" in OneHotHMMGLM()._repr_mimebundle_()["text/html"]


def test_figures(fitted, spikes):
    import matplotlib.pyplot as plt

    assert fitted.plot_connectivity() is not None
    assert fitted.plot_states(spikes) is not None
    plt.close("all")
