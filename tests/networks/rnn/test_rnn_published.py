import numpy as np
import pytest

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.networks.rnn.accuracy import accuracy_along
from onehotglm.networks.rnn.published import ARRAYS, load_published, published_names

NETWORKS = [f"{kind}_N{span}" for kind in ("single", "cumulative") for span in (2, 6, 10)]
# The mean timescale of each network as SEEDS has it, or as stored where it has none.
MEAN_TAU = {
    "single_N2": 1.487,
    "single_N10": 1.441,
    "cumulative_N2": 1.487,
    "cumulative_N10": 1.397,
}


def test_names_of_published_networks(shared_data):
    assert published_names(shared_data("rnn_reference.npz")) == sorted(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_published_weights_give_the_published_accuracy(shared_data, name):
    network, stored = load_published(shared_data("rnn_reference.npz"), name)
    span = int(name.partition("_N")[2])
    measured = accuracy_along(network, "parity", span, n_time_bins=2000, n_streams=10)
    assert abs(measured - stored) < 0.01


@pytest.mark.parametrize("name", MEAN_TAU)
def test_published_timescales(shared_data, name):
    network, _ = load_published(shared_data("rnn_reference.npz"), name)
    assert network.layers[0].tau.mean() == pytest.approx(MEAN_TAU[name], abs=0.0006)
    assert network.layers[0].effective_tau.min() >= 1


def write(path, *, without=()):
    shapes = {"w_hh": (3, 3), "w_in": (3, 1), "w_out": (2, 3), "b_out": (2,), "accuracy": ()}
    arrays = {f"toy__{key}": np.ones(shapes.get(key, (3,)), np.float32) for key in ARRAYS}
    np.savez(path, **{key: a for key, a in arrays.items() if key not in without})
    return path


def test_loader_reads_the_keys(tmp_path):
    network, accuracy = load_published(write(tmp_path / "toy.npz"), "toy")
    assert accuracy == 1.0
    assert network.n_heads == 1
    assert network.layers[0].n_neurons == 3


def test_loader_says_which_networks_there_are(tmp_path):
    with pytest.raises(InvalidInputError, match="holds no network 'other'; it holds toy"):
        load_published(write(tmp_path / "toy.npz"), "other")


def test_loader_says_which_array_is_missing(tmp_path):
    path = write(tmp_path / "toy.npz", without=("toy__tau",))
    with pytest.raises(DataFileError, match="lacks tau of toy"):
        load_published(path, "toy")


def test_loader_says_when_the_file_is_broken(tmp_path):
    (tmp_path / "broken.npz").write_text("not a zip file")
    with pytest.raises(DataFileError, match="cannot be read as an npz file of networks"):
        published_names(tmp_path / "broken.npz")
