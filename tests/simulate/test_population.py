"""Whole simulations: shapes, rates in range, calibration, determinism, errors."""

import jax
import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.history import make_basis
from onehotglm.simulate import (
    connectome_from_adjacency,
    make_connectome,
    simulate_population,
    simulate_published,
)
from onehotglm.simulate.population import markov_chain

# One shape for most tests: the sampler compiles once.
SMALL = {"n_neurons": 10, "n_sessions": 3, "n_time_bins": 1000}
KINDS = ("random", "distance", "small_world", "modular", "scale_free", "published")


@pytest.fixture(scope="module")
def base():
    return simulate_population(**SMALL)


def rates_of(simulation):
    """Rates in counts per bin from the stored truth and the stored counts."""
    counts = simulation["spikes"].values.astype(float)
    basis, weights = simulation["basis_functions"].values, simulation["weights"].values
    history = np.zeros((*counts.shape, len(basis)))
    for lag in range(1, basis.shape[1] + 1):
        history[:, lag:] += counts[:, :-lag, :, None] * basis[:, lag - 1]
    states = simulation["states"].values
    eta = np.einsum("rtmk,snmk->rtsn", history, weights) + simulation["bias"].values
    eta = np.take_along_axis(eta, states[:, :, None, None], axis=2)[:, :, 0]
    return np.logaddexp(0, eta)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_fires_as_asked(kind):
    simulation = simulate_population(kind, mean_rate=6.0, random_state=1, **SMALL)
    spikes, rates = simulation["spikes"], simulation["rates"]
    assert float(rates.mean()) == pytest.approx(6.0, rel=0.15)  # time in states is random
    assert float(rates.max()) < 500
    assert simulation.attrs["coupling_gain"] == pytest.approx(0.9, rel=1e-3)
    assert simulation.attrs["connectome"] == kind
    expected = rates.values * 0.02
    z = (spikes.values - expected).sum((0, 1)) / np.sqrt(expected.sum((0, 1)))
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(expected, rates_of(simulation), rtol=1e-4)


@pytest.mark.slow
def test_target_rates_are_met_by_every_neuron_in_every_state():
    simulation = simulate_population(n_sessions=20, n_time_bins=5000, random_state=3)
    quiet = simulate_population(
        n_sessions=20, n_time_bins=5000, coupling_gain=1e-6, random_state=3
    )  # same targets, no couplings
    states, rates = simulation["states"], simulation["rates"]
    for s in range(3):
        found = rates.where(states == s).mean(("session", "time")).values
        target = np.logaddexp(0, quiet["bias"].values[s]) / 0.02
        np.testing.assert_allclose(found, target, rtol=0.07)


def test_follows_the_contract():
    simulation = simulate_population("modular", n_modules=2, **SMALL)
    dims = {
        "spikes": ("session", "time", "neuron"),
        "states": ("session", "time"),
        "rates": ("session", "time", "neuron"),
        "weights": ("state", "post", "pre", "basis"),
        "connectivity": ("state", "post", "pre"),
        "connection_type": ("state", "post", "pre"),
        "shared_connectivity": ("post", "pre"),
        "shared_type_proba": ("post", "pre", "type"),
        "bias": ("state", "neuron"),
        "transition_matrix": ("state", "next_state"),
        "initial_proba": ("state",),
        "basis_functions": ("basis", "lag"),
    }
    assert {name: array.dims for name, array in simulation.data_vars.items()} == dims
    assert simulation["spikes"].dtype == np.float32
    assert simulation["spikes"].attrs["bin_size"] == 0.02
    np.testing.assert_allclose(simulation["time"], np.arange(1000) * 0.02)
    assert simulation["type"].values.tolist() == ["inhibitory", "absent", "excitatory"]
    assert simulation["module"].values.tolist() == [0] * 5 + [1] * 5
    sums = simulation["basis_functions"].sum("lag")
    xr.testing.assert_allclose(
        (simulation["weights"] * sums).sum("basis"), simulation["connectivity"]
    )
    np.testing.assert_array_equal(
        np.sign(simulation["connectivity"]), simulation["connection_type"]
    )


def test_position_is_kept():
    simulation = simulate_population("distance", sheet_size=2.0, **SMALL)
    assert simulation["position"].dims == ("neuron", "axis")
    assert simulation["position"].attrs["units"] == "mm"


def test_survives_netcdf(tmp_path):
    simulation = simulate_population("distance", **SMALL)
    simulation.to_netcdf(tmp_path / "simulation.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "simulation.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back.load(), simulation)


def test_survives_nwb(tmp_path):
    from onehotglm.io import load_nwb, save_nwb

    simulation = simulate_population("distance", **SMALL)
    path = save_nwb(tmp_path / "simulation.nwb", simulation)
    spikes = load_nwb(path, bin_size=0.02, epochs="session", n_history_bins=5)
    np.testing.assert_array_equal(spikes.sel(time=spikes["time"] >= 0), simulation["spikes"])
    assert (spikes.sel(time=spikes["time"] < 0) == 0).all()  # sessions start from silence


def test_one_state_is_an_ordinary_network():
    connectome = make_connectome("small_world", 10, random_state=2)
    simulation = simulate_population(connectome, n_states=1, n_sessions=3, n_time_bins=1000)
    assert (simulation["states"] == 0).all()
    np.testing.assert_array_equal(simulation["connection_type"][0], connectome.connection_type)
    ratio = simulation["connectivity"].values[0][connectome.weights != 0]
    ratio = ratio / connectome.weights[connectome.weights != 0]
    np.testing.assert_allclose(ratio, ratio[0])  # one scale for all


def test_ids_of_a_given_connectome_name_the_neurons():
    connectome = connectome_from_adjacency(np.eye(10, k=1), neuron_ids=list("abcdefghij"))
    simulation = simulate_population(connectome, n_sessions=3, n_time_bins=1000)
    for dim in ("neuron", "post", "pre"):
        assert simulation[dim].values.tolist() == list("abcdefghij")


@pytest.mark.slow
def test_same_couplings_in_every_basis(base):
    """The decay by e per bin is the same function of the lag, so the spikes agree."""
    lags = simulate_population(basis="lags", **SMALL)
    np.testing.assert_allclose(
        lags["weights"], base["weights"].values * make_basis("exponential", 5)[0], atol=1e-6
    )
    assert (lags["spikes"] == base["spikes"]).mean() > 0.999  # rounding aside
    cosines = simulate_population(basis="raised_cosine", n_lags=10, n_basis=4, **SMALL)
    assert cosines.sizes["basis"] == 4
    np.testing.assert_allclose(
        (cosines["weights"] * cosines["basis_functions"].sum("lag")).sum("basis"),
        cosines["connectivity"],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "option",
    [
        {"random_state": 1},
        {"mean_rate": 4.0},
        {"rate_spread": 0.1},
        {"rate_variation": 0.0},
        {"dwell_time": 0.5},
        {"coupling_gain": 0.4},
        {"vanish": 0.6},
        {"strength_variation": 0.0},
        {"link": "exp"},
        {"bin_size": 0.01},
        {"n_lags": 2},
        {"dale": False},
        {"density": 0.4},
        {"balance": 2.0},
    ],
    ids=lambda option: next(iter(option)),
)
def test_each_option_changes_the_spikes(base, option):
    changed = simulate_population(**SMALL, **option)
    assert (base["spikes"].values != changed["spikes"].values).any()


@pytest.mark.slow
def test_spread_and_variation_of_rates():
    simulation = simulate_population(
        n_neurons=400, n_states=4, n_sessions=1, n_time_bins=2, density=0.0, rate_spread=0.7,
        rate_variation=0.3,
    )  # fmt: skip
    log_rate = np.log(np.logaddexp(0, simulation["bias"].values))
    truncated = 0.88  # standard deviation of a standard normal within two of its own
    assert log_rate.mean(0).std() == pytest.approx(truncated * np.hypot(0.7, 0.15), rel=0.1)
    between_states = np.sqrt(log_rate.var(0, ddof=1).mean())
    assert between_states == pytest.approx(truncated * 0.3, rel=0.1)
    assert np.exp(log_rate).mean() / 0.02 == pytest.approx(8.0, rel=1e-3)


@pytest.mark.slow
def test_dwell_times():
    simulation = simulate_population(n_sessions=20, n_time_bins=5000, dwell_time=[0.2, 0.4, 1.0])
    states = simulation["states"].values
    for s, dwell in enumerate((0.2, 0.4, 1.0)):
        left = ((states[:, :-1] == s) & (states[:, 1:] != s)).sum()
        assert (states[:, :-1] == s).sum() / left * 0.02 == pytest.approx(dwell, rel=0.12)
    time_in = np.bincount(states.ravel()) / states.size
    np.testing.assert_allclose(time_in, simulation["initial_proba"], atol=0.03)


def test_stationary_distribution():
    transition, stationary = markov_chain(3, [1.0, 2.0, 5.0], 0.1)
    np.testing.assert_allclose(stationary @ transition, stationary)
    np.testing.assert_allclose(transition.sum(1), 1)
    assert markov_chain(1, 2.0, 0.1)[0].tolist() == [[1.0]]


def test_an_int_gives_the_same_dataset_and_any_seed_works():
    first, second = (simulate_population(random_state=7, **SMALL) for _ in range(2))
    xr.testing.assert_identical(first, second)
    seeds = [np.random.default_rng(7), np.random.RandomState(7), jax.random.key(7)]
    others = [simulate_population(random_state=seed, **SMALL)["spikes"].values for seed in seeds]
    np.testing.assert_array_equal(others[0], first["spikes"])
    assert (others[1] != others[2]).any()


def test_longer_recordings_keep_the_wiring(base):
    long = simulate_population(**SMALL | {"n_sessions": 1, "n_time_bins": 1200})
    xr.testing.assert_identical(base["weights"], long["weights"])


def test_published_generator_matches_the_published_data(shared_data):
    simulation = simulate_published(n_sessions=10, random_state=3)
    data = [np.load(shared_data(f"demo_seed{k}.npz")) for k in range(3)]
    assert simulation.attrs["link"] == "sigmoid"
    np.testing.assert_allclose(simulation["basis_functions"][0], data[0]["basis"], rtol=1e-6)
    np.testing.assert_allclose(simulation["transition_matrix"], data[0]["transition"], rtol=1e-5)
    assert np.abs(simulation["bias"]).max() <= 0.05
    assert (simulation["bias"] == simulation["bias"][0]).all()
    rates = [d["spikes"].mean() for d in data]
    assert min(rates) - 0.1 < float(simulation["spikes"].mean()) < max(rates) + 0.1
    assert simulation["spikes"].sizes == {"session": 10, "time": 2000, "neuron": 20}


def test_strong_couplings_warn_and_explosions_raise():
    with (
        pytest.warns(UserWarning, match="the recurrent loop has a gain of"),
        pytest.raises(InvalidInputError, match=r"the rates exploded .* coupling_gain=0\.9"),
    ):
        simulate_population("small_world", excitatory_fraction=1.0, coupling_gain=8.0, **SMALL)


def test_unscaled_couplings_are_used_as_they_are():
    connectome = connectome_from_adjacency(0.1 * np.eye(10, k=1))
    simulation = simulate_population(
        connectome, n_states=1, n_sessions=3, n_time_bins=1000, coupling_gain=None
    )
    np.testing.assert_allclose(simulation["connectivity"][0], connectome.weights)
    scaled = simulate_population(connectome, n_states=1, n_sessions=3, n_time_bins=1000)
    assert scaled["connectivity"].max() > 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connectome": "star"}, "kind 'star' is unknown"),
        ({"connectome": np.eye(3)}, "connectome is a ndarray; expected a Connectome"),
        ({"connectome": make_connectome(n_neurons=3)}, "n_neurons belong to the wiring"),
        ({"connectome": make_connectome(n_neurons=3), "n_neurons": None, "density": 0.1},
         "density belong to the wiring"),
        ({"connectome": "published", "concentration": -1}, "concentration=-1"),
        ({"n_states": 0}, "n_states=0"),
        ({"n_sessions": 0}, "n_sessions=0"),
        ({"n_time_bins": -5}, "n_time_bins=-5"),
        ({"bin_size": 0}, "bin_size=0"),
        ({"link": "relu"}, "link 'relu' is unknown; choose one of softplus"),
        ({"basis": "fourier"}, "basis 'fourier' is unknown; choose one of exponential"),
        ({"n_basis": 3}, "only raised_cosine takes a number"),
        ({"n_lags": 0}, "n_lags=0"),
        ({"mean_rate": 0}, "mean_rate=0"),
        ({"rate_spread": -1}, "rate_spread=-1"),
        ({"mean_rate": 100.0, "link": "sigmoid"}, "the sigmoid link reaches 1 at most"),
        ({"dwell_time": [1.0, 2.0]}, "one number or one for each of 3 states"),
        ({"dwell_time": 0.001}, "expected at least one bin"),
        ({"coupling_gain": 0}, "coupling_gain=0"),
        ({"random_state": "seed"}, "is not a seed"),
        ({"flip": 0.1}, "would break Dale's law"),
        ({"densty": 0.1}, "no option densty"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        simulate_population(**SMALL | {"connectome": "random"} | arguments)
