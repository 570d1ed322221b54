"""What is written to NWB comes back from it: counts, gaps, states and wiring, without warnings."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.layout import lay_out, spike_times_of
from onehotglm.io.nwb import load_nwb
from onehotglm.io.nwb_file import open_nwb
from onehotglm.io.nwb_truth import load_nwb_truth
from onehotglm.io.nwb_write import save_nwb

BIN = 0.02


def make_spikes(n_sessions=3, n_time_bins=50, n_neurons=4, n_lead_in=0) -> xr.DataArray:
    rng = np.random.default_rng(0)
    return xr.DataArray(
        rng.poisson(0.4, (n_sessions, n_lead_in + n_time_bins, n_neurons)).astype(np.float32),
        dims=("session", "time", "neuron"),
        coords={"time": np.arange(-n_lead_in, n_time_bins) * BIN, "neuron": [7, 3, 5, 12]},
        attrs={"bin_size": BIN},
    )


@pytest.fixture
def simulation() -> xr.Dataset:
    rng = np.random.default_rng(1)
    spikes = make_spikes()
    spikes[1, 40:] = np.nan  # a shorter session
    wiring = ("state", "post", "pre")
    types = ["inhibitory", "absent", "excitatory"]
    return xr.Dataset(
        {
            "spikes": spikes,
            "states": (("session", "time"), rng.integers(0, 3, (3, 50))),
            "rates": spikes * 0 + 20.0,
            "connectivity": (wiring, rng.normal(size=(3, 4, 4))),
            "connection_type": (wiring, rng.integers(-1, 2, (3, 4, 4))),
            "shared_type_proba": (("post", "pre", "type"), rng.dirichlet([1, 1, 1], (4, 4))),
            "bias": (("state", "neuron"), rng.normal(size=(3, 4)).astype(np.float32)),
            "transition_matrix": (("state", "next_state"), rng.dirichlet([1, 1, 1], 3)),
        },
        coords={
            "post": [7, 3, 5, 12],
            "pre": [7, 3, 5, 12],
            "type": types,
            "position": (("neuron", "axis"), rng.random((4, 2))),
            "area": ("neuron", ["CA1", "CA1", "CA3", "CA3"]),
        },
        attrs={"bin_size": BIN, "link": "softplus"},
    )


def read_back(path, **options) -> xr.DataArray:
    return load_nwb(path, BIN, epochs="session", **options)


def test_counts_come_back_exactly(simulation, tmp_path):
    path = save_nwb(tmp_path / "demo.nwb", simulation)
    back = read_back(path, n_history_bins=0)
    assert_array_equal(back, simulation["spikes"])
    assert_array_equal(back.neuron, [7, 3, 5, 12])
    np.testing.assert_allclose(back.time, simulation.time)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([0.001, 0.01, 0.02, 0.033, 0.1, 1 / 3]),
    st.floats(0, 20),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_any_bins_sessions_and_gaps_come_back(
    tmp_path_factory, bin_size, gap, lengths, lead_in, random
):
    rng = np.random.default_rng(random.randrange(1000))
    shape = (len(lengths), lead_in + max(lengths), 2)
    counts = rng.integers(0, 9, shape).astype(np.float32)
    for session, length in enumerate(lengths):
        counts[session, lead_in + length :] = np.nan
    spikes = xr.DataArray(
        counts,
        dims=("session", "time", "neuron"),
        coords={"time": np.arange(-lead_in, max(lengths)) * bin_size},
        attrs={"bin_size": bin_size},
    )
    path = save_nwb(tmp_path_factory.mktemp("nwb") / "x.nwb", spikes, gap=gap)
    assert_array_equal(load_nwb(path, bin_size, epochs="session", n_history_bins=lead_in), counts)


def test_lead_in_is_written_before_its_session(tmp_path):
    spikes = make_spikes(n_lead_in=5)
    path = save_nwb(tmp_path / "x.nwb", spikes, gap=0.0)
    assert_array_equal(read_back(path, n_history_bins=5), spikes)


def test_missing_bins_of_one_neuron_come_back_missing(tmp_path):
    spikes = make_spikes()
    spikes[0, 10:20, 2] = np.nan
    spikes[2, 0, 0] = np.nan
    spikes[:, :, 3] = np.nan
    path = save_nwb(tmp_path / "x.nwb", spikes)
    assert_array_equal(read_back(path, n_history_bins=0), spikes)


def test_gaps_between_sessions_are_missing_not_silent(tmp_path):
    path = save_nwb(tmp_path / "x.nwb", make_spikes(n_sessions=2), gap=1.0)
    whole = load_nwb(path, BIN, n_history_bins=0)[0, :, 0]
    assert_array_equal(np.flatnonzero(np.isnan(whole)), np.arange(50, 100))


def test_file_is_valid_and_opens_without_warnings(simulation, tmp_path):
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save_nwb(tmp_path / "demo.nwb", simulation)
        assert not pynwb.validate(path=path)
        with open_nwb(path) as nwb:
            assert nwb.epochs[0, "tags"] == ["session"]
            states = nwb.intervals["states"].to_dataframe()
        load_nwb_truth(path, read_back(path))
    assert (states["state"].diff()[1:] != 0).sum() >= len(states) - 3  # runs are joined
    assert states["stop_time"].max() <= 50 * BIN * 3 + 2.0


def test_states_and_wiring_come_back(simulation, tmp_path):
    path = save_nwb(tmp_path / "demo.nwb", simulation)
    truth = load_nwb_truth(path, read_back(path))
    expected = simulation["states"].values.copy()
    expected[1, 40:] = -1
    assert_array_equal(truth["states"], expected)
    assert truth["states"].dtype.kind == "i"
    assert set(truth.data_vars) == set(simulation.data_vars) - {"spikes", "rates"}
    for name in set(truth.data_vars) - {"states"}:
        assert truth[name].dims == simulation[name].dims
        assert_array_equal(truth[name], simulation[name])
    assert_array_equal(truth["type"], simulation["type"])
    assert truth.attrs == {"bin_size": BIN, "link": "softplus"}
    for name in ("position", "area"):
        assert name in truth.coords
        assert_array_equal(truth[name], simulation[name])


def test_truth_follows_the_selected_units_and_bins(simulation, tmp_path):
    path = save_nwb(tmp_path / "demo.nwb", simulation)
    spikes = read_back(path, units=[12, 7], session_length=0.2)
    truth = load_nwb_truth(path, spikes)
    assert_array_equal(
        truth["connectivity"], simulation["connectivity"].sel(post=[12, 7], pre=[12, 7])
    )
    assert_array_equal(truth["states"][:5].values.ravel(), simulation["states"][0])


def test_decoded_states_are_written_beside_plain_counts(tmp_path):
    spikes = make_spikes(n_lead_in=5)
    decoded = xr.DataArray(
        np.repeat([[0, 1], [2, 2], [-1, 1]], 25, axis=1), dims=("session", "time")
    )
    path = save_nwb(tmp_path / "x.nwb", spikes, states=decoded)
    with open_nwb(path) as nwb:
        states = nwb.intervals["states"].to_dataframe()
    assert_array_equal(states["state"], [0, 1, 2, 1])
    np.testing.assert_allclose(states["stop_time"] - states["start_time"], [0.5, 0.5, 1.0, 0.5])


def test_states_of_another_shape_are_refused(tmp_path):
    states = xr.DataArray(np.zeros((3, 49)), dims=("session", "time"))
    with pytest.raises(InvalidInputError, match=r"states have the shape \(3, 49\).*\(3, 50\)"):
        save_nwb(tmp_path / "x.nwb", make_spikes(), states=states)
    assert not list(tmp_path.iterdir())


def test_labels_that_are_text_become_unit_names(tmp_path):
    spikes = make_spikes().assign_coords(neuron=["a", "b", "c", "d"])
    path = save_nwb(tmp_path / "x.nwb", spikes)
    assert_array_equal(read_back(path, quality={"unit_name": ["b", "d"]}).neuron, [1, 3])


def test_recording_without_truth_says_so(recording, tmp_path):
    with pytest.raises(DataFileError, match="no simulated truth"):
        load_nwb_truth(recording, load_nwb(recording, BIN))
    path = save_nwb(tmp_path / "x.nwb", make_spikes())
    with pytest.raises(DataFileError, match="no simulated truth"):
        load_nwb_truth(path, read_back(path))


@pytest.mark.parametrize("bad", [-1.0, 0.5])
def test_counts_that_are_no_counts_are_refused(tmp_path, bad):
    spikes = make_spikes()
    spikes[0, 0, 0] = bad
    with pytest.raises(InvalidInputError, match="negative or fractional"):
        save_nwb(tmp_path / "x.nwb", spikes)


def test_bad_input_is_named(tmp_path):
    path = tmp_path / "x.nwb"
    spikes = make_spikes()
    with pytest.raises(InvalidInputError, match="no variable 'spikes'; it has counts"):
        save_nwb(path, spikes.to_dataset(name="counts"))
    with pytest.raises(InvalidInputError, match="bin_size is missing"):
        save_nwb(path, spikes.drop_attrs())
    with pytest.raises(InvalidInputError, match=r"expected \(session, time, neuron\)"):
        save_nwb(path, spikes[0])
    with pytest.raises(InvalidInputError, match="gap is -1"):
        save_nwb(path, spikes, gap=-1)
    spikes[1] = np.nan
    with pytest.raises(InvalidInputError, match=r"sessions \[1\] hold no count"):
        save_nwb(path, spikes)


def test_unwritable_target_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFileError, match="cannot write into the folder"):
        save_nwb(tmp_path / "file" / "x.nwb", make_spikes())


def test_spikes_lie_strictly_inside_their_bins():
    spikes = make_spikes(n_sessions=1)
    trains = spike_times_of(spikes, lay_out(spikes))
    for counts, times in zip(spikes.values[0].T, trains, strict=True):
        assert (np.diff(times) > 0).all()
        fraction = (times / BIN) % 1
        assert (fraction > 0.05).all()
        assert (fraction < 0.95).all()
        assert len(times) == counts.sum()
