"""What load_nwb reads, option by option, and what it says when it cannot."""

import datetime

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.nwb import load_nwb
from onehotglm.io.nwb_series import load_intervals

TIME_ZERO = 4397.0
BIN = 0.02


def train(path, unit: int) -> np.ndarray:
    with h5py.File(path, "r") as file:
        ends = file["units/spike_times_index"][:]
        return file["units/spike_times"][: ends[unit]][slice(ends[unit - 1] if unit else 0, None)]


def oracle(path, unit: int, start: float, n_time_bins: int) -> np.ndarray:
    edges = start + np.arange(n_time_bins + 1) * BIN
    return np.histogram(train(path, unit), edges)[0]


def test_whole_recording_is_one_session_that_starts_with_it(recording):
    spikes = load_nwb(recording, BIN, n_history_bins=0)
    assert spikes.dims == ("session", "time", "neuron")
    assert spikes.dtype == np.float32
    assert spikes.sizes["session"] == 1
    assert float(spikes.session_start[0]) == pytest.approx(TIME_ZERO, abs=0.2)
    assert_array_equal(spikes.neuron, [10, 11, 12])
    assert_array_equal(spikes.sum(("session", "time")), [800, 200, 40])


def test_epochs_by_tag_become_sessions(recording):
    spikes = load_nwb(recording, BIN, epochs="run")
    assert_array_equal(spikes.session_start, [TIME_ZERO, TIME_ZERO + 20])
    assert_array_equal(spikes.interval, [0, 2])
    assert_array_equal(spikes.tag, ["run", "run"])
    assert spikes.attrs["bin_size"] == BIN
    for session, (start, n_time_bins) in enumerate([(0, 500), (20, 750)]):
        counts = spikes.isel(session=session).sel(time=slice(-1e-9, None))
        for unit in range(3):
            expected = oracle(recording, unit, TIME_ZERO + start, n_time_bins)
            assert_array_equal(counts.values[:n_time_bins, unit], expected)
        assert np.isnan(counts[n_time_bins:]).all()


def test_several_tags_and_names_of_tables(recording):
    both = load_nwb(recording, BIN, epochs=["rest", "run"])
    assert_array_equal(both.tag, ["run", "rest", "run"])
    assert_array_equal(load_nwb(recording, BIN, epochs=["run", "all"]).interval, [0, 1, 2, 3])
    assert_array_equal(load_nwb(recording, BIN, epochs="epochs").interval, [0, 1, 2, 3])
    assert_array_equal(load_nwb(recording, BIN, epochs="trials").interval, [0, 1, 2])
    assert_array_equal(load_nwb(recording, BIN, epochs="nrem").session_start, [TIME_ZERO + 12])


def test_lead_in_is_what_was_recorded_before_the_epoch(recording):
    spikes = load_nwb(recording, BIN, epochs="rest", n_history_bins=25)
    assert float(spikes.time[0]) == pytest.approx(-0.5)
    lead_in = spikes.isel(session=0, time=slice(0, 25))
    assert_array_equal(lead_in.sel(neuron=10), oracle(recording, 0, TIME_ZERO + 9.5, 25))
    assert lead_in.sum() > 0


def test_lead_in_before_the_recording_is_silent(recording):
    spikes = load_nwb(recording, BIN, epochs="run", n_history_bins=25)
    assert_array_equal(spikes[0, :25], 0)


def test_default_lead_in_and_none(recording):
    assert int((load_nwb(recording, BIN).time < 0).sum()) == 10
    assert int((load_nwb(recording, BIN, n_history_bins=0).time < 0).sum()) == 0
    with pytest.raises(InvalidInputError, match="n_history_bins is -1"):
        load_nwb(recording, BIN, n_history_bins=-1)


def test_session_length_cuts_epochs_without_losing_bins(recording):
    whole = load_nwb(recording, BIN, epochs="run", n_history_bins=0)
    cut = load_nwb(recording, BIN, epochs="run", session_length=4.0, n_history_bins=0)
    assert_array_equal(cut.session_start - TIME_ZERO, [0, 4, 8, 20, 24, 28, 32])
    assert_array_equal(cut.interval, [0, 0, 0, 2, 2, 2, 2])
    joined = cut.values.reshape(-1, 3)
    assert_array_equal(
        joined[np.isfinite(joined[:, 0])], np.concatenate([whole.values[0, :500], whole.values[1]])
    )


def test_trials_are_aligned_to_their_event(recording):
    with pytest.warns(UserWarning, match="1 of 3 trials have no 'choice_time'"):
        spikes = load_nwb(recording, BIN, trials="trials", align_to="choice_time", window=(-2, 1))
    assert_array_equal(spikes.session_start - TIME_ZERO, [5.5, 26.0])
    assert_array_equal(spikes.interval, [0, 2])
    assert spikes.attrs["align_to"] == "choice_time"
    assert spikes.attrs["window"] == [-2.0, 1.0]
    assert spikes.sizes["time"] == 150 + 10
    counts = spikes.sel(session=1, neuron=10, time=slice(-1e-9, None))
    assert_array_equal(counts, oracle(recording, 0, TIME_ZERO + 26.0, 150))


def test_trials_without_window_last_from_start_to_stop(recording):
    spikes = load_nwb(recording, BIN, trials="trials")
    assert_array_equal(spikes.session_start - TIME_ZERO, [5, 15, 25])
    assert int((spikes.time >= 0).sum()) == 200


def test_interval_ids_find_the_trials_properties(recording):
    spikes = load_nwb(recording, BIN, trials="trials", window=(0, 1))
    trials = load_intervals(recording, "trials")
    assert list(trials.loc[spikes.interval.values, "choice"]) == ["left", "none", "right"]
    with pytest.raises(DataFileError, match=r"called 'choices'.*brain_states"):
        load_intervals(recording, "choices")


def test_start_and_stop_cut_epochs_and_drop_trials(recording):
    cut = load_nwb(recording, BIN, epochs="run", start=TIME_ZERO + 5, stop=TIME_ZERO + 22)
    assert_array_equal(cut.session_start - TIME_ZERO, [5, 20])
    assert float(cut.time[-1]) == pytest.approx(5 - BIN)
    trials = load_nwb(recording, BIN, trials="trials", start=TIME_ZERO + 6, stop=TIME_ZERO + 20)
    assert_array_equal(trials.interval, [1])
    with pytest.raises(InvalidInputError, match="nothing is left between start=0 and stop=10"):
        load_nwb(recording, BIN, epochs="run", start=0, stop=10)


def test_units_are_selected_by_id_in_the_order_asked(recording):
    assert_array_equal(load_nwb(recording, BIN, units=[12, 10]).neuron, [12, 10])
    with pytest.raises(DataFileError, match=r"ids \[99\]; its ids are 10, 11, 12"):
        load_nwb(recording, BIN, units=[10, 99])


def test_units_are_selected_by_quality(recording):
    assert_array_equal(load_nwb(recording, BIN, quality="good").neuron, [10, 12])
    assert_array_equal(load_nwb(recording, BIN, quality=["good", "mua"]).neuron, [10, 11, 12])
    both = {"quality": "good", "region": ["CA1", "CA2"]}
    assert_array_equal(load_nwb(recording, BIN, quality=both).neuron, [10])
    assert_array_equal(load_nwb(recording, BIN, units=[12, 11], quality="good").neuron, [12])
    with pytest.raises(DataFileError, match="no column 'layer'; their columns are quality, region"):
        load_nwb(recording, BIN, quality={"layer": 5})
    with pytest.raises(DataFileError, match=r"'quality' in \['best'\]; the column holds good, mua"):
        load_nwb(recording, BIN, quality="best")


def test_units_are_selected_by_rate_in_the_sessions(recording):
    assert_array_equal(load_nwb(recording, BIN, epochs="run", min_rate=3).neuron, [10, 11])
    with pytest.raises(InvalidInputError, match=r"min_rate=100 Hz.*fastest of 3"):
        load_nwb(recording, BIN, min_rate=100)


def test_coarser_bins_hold_the_same_spikes(recording):
    fine = load_nwb(recording, 0.02, epochs="run", n_history_bins=0)
    coarse = load_nwb(recording, 0.1, epochs="run", n_history_bins=0)
    assert_array_equal(fine.values.reshape(2, -1, 5, 3).sum(axis=2), coarse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bin_size": None}, "bin_size is missing: spike times have to be counted"),
        ({"bin_size": 60.0, "epochs": "run"}, "no interval holds a whole bin"),
        ({"epochs": "run", "trials": "trials"}, "epochs and trials were both given"),
        ({"epochs": []}, "epochs is an empty list"),
        ({"window": (-1, 1)}, "window and align_to are for trials"),
        ({"trials": "trials", "align_to": "choice_time"}, "needs a window"),
        ({"trials": "trials", "window": (2, 1)}, r"window is \(2, 1\), expected two increasing"),
    ],
)
def test_options_that_make_no_sense_are_named(recording, options, message):
    with pytest.raises(InvalidInputError, match=message):
        load_nwb(recording, **{"bin_size": BIN} | options)


def test_unknown_names_list_those_that_exist(recording):
    with pytest.raises(DataFileError, match=r"'walk'.*tags: all, rest, run, sleep.*nrem, wake"):
        load_nwb(recording, BIN, epochs="walk")
    with pytest.raises(DataFileError, match=r"no table of trials is called 'tests'.*trials"):
        load_nwb(recording, BIN, trials="tests")
    with pytest.raises(DataFileError, match=r"no column 'choice' of times.*choice_time"):
        load_nwb(recording, BIN, trials="trials", align_to="choice", window=(0, 1))


def minimal_nwb(path, **content):
    from pynwb import NWBHDF5IO, NWBFile

    nwb = NWBFile("test", "test", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    for unit in content.get("units", []):
        nwb.add_unit(**unit)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def test_references_and_ragged_columns_of_units_are_left_out(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile

    nwb = NWBFile("test", "test", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("shank0", description="x", location="CA1", device=device)
    for _ in range(2):
        nwb.add_electrode(group=group, location="CA1")
    nwb.add_unit_column("depth", "of the soma")
    for unit in range(2):
        nwb.add_unit(
            spike_times=np.array([0.5, 1.5]),
            electrodes=[unit],
            electrode_group=group,
            waveform_mean=np.ones(5),
            depth=100.0 * unit,
        )
    path = tmp_path / "probe.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    assert_array_equal(load_nwb(path, BIN, quality={"depth": 100.0}).neuron, [1])
    with pytest.raises(DataFileError, match=r"their columns are depth\."):
        load_nwb(path, BIN, quality={"electrode_group": "shank0"})


def test_file_without_units_is_named(tmp_path):
    path = minimal_nwb(tmp_path / "empty.nwb")
    with pytest.raises(DataFileError, match=r"no units with spike times.*onehotglm info"):
        load_nwb(path, BIN)


def test_file_without_spikes_or_epochs_is_named(tmp_path):
    silent = [{"id": 0, "spike_times": np.array([])}, {"id": 1, "spike_times": np.array([])}]
    path = minimal_nwb(tmp_path / "silent.nwb", units=silent)
    with pytest.raises(DataFileError, match="holds no spike at all"):
        load_nwb(path, BIN)
    with pytest.raises(DataFileError, match="no table of intervals at all"):
        load_nwb(path, BIN, epochs="run")


def test_bins_outside_observed_intervals_are_missing(tmp_path):
    units = [
        {"spike_times": np.array([0.5, 5.0, 9.0]), "obs_intervals": np.array([[0.0, 6.0]])},
        {"spike_times": np.array([9.5]), "obs_intervals": np.array([[2.0, 4.0], [8.0, 10.0]])},
    ]
    path = minimal_nwb(tmp_path / "observed.nwb", units=units)
    spikes = load_nwb(path, 1.0, n_history_bins=0)[0]
    assert_array_equal(spikes[:, 0], [1, 0, 0, 0, 0, 1, *[np.nan] * 4])
    missing = np.flatnonzero(np.isnan(spikes[:, 1]))
    assert_array_equal(missing, [0, 1, 4, 5, 6, 7])
    assert spikes[9, 1] == 1
    only = load_nwb(path, 1.0, min_rate=0.3, n_history_bins=0)  # 1 / 4 s and 2 / 6 s observed
    assert_array_equal(only.neuron, [0])


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5, 0.98])
def test_truncated_file_is_named(recording, tmp_path, fraction):
    path = tmp_path / "cut.nwb"
    content = recording.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(DataFileError, match=r"cut\.nwb cannot be read as NWB.*copy it again"):
        load_nwb(path, BIN)


def test_other_files_are_named(tmp_path):
    with pytest.raises(DataFileError, match="does not exist; expected an NWB file"):
        load_nwb(tmp_path / "none.nwb", BIN)
    path = tmp_path / "fit.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(DataFileError, match="cannot be read as NWB"):
        load_nwb(path, BIN)


def test_real_recording(shared_data):
    path = shared_data("wmaze.nwb")
    spikes = load_nwb(path, BIN, epochs="run", session_length=20.0)
    assert spikes.sizes["neuron"] == 25
    assert_array_equal(np.unique(spikes.interval), [0, 2])
    for unit in range(0, 25, 6):
        times = train(path, unit)
        in_run = ((times >= 5.357333) & (times < 965.497)) | (
            (times >= 2585.1569) & (times < 3245.1085)
        )
        total = float(spikes.isel(neuron=unit).sel(time=slice(-1e-9, None)).sum())
        assert total == pytest.approx(in_run.sum(), abs=2)  # the last bin of an epoch is not whole


def test_recording_that_starts_late_gives_the_same_counts(shared_data, tmp_path):
    original = shared_data("wmaze.nwb")
    late = tmp_path / "late.nwb"
    late.write_bytes(original.read_bytes())
    with h5py.File(late, "r+") as file:
        for name in (
            "units/spike_times",
            "intervals/epochs/start_time",
            "intervals/epochs/stop_time",
        ):
            file[name][:] += 4397.0
    first = load_nwb(original, BIN, epochs=["run", "rest"], session_length=60.0)
    second = load_nwb(late, BIN, epochs=["run", "rest"], session_length=60.0)
    assert_array_equal(first, second)
    np.testing.assert_allclose(second.session_start - first.session_start, 4397.0)
    assert load_nwb(late, BIN).sizes["time"] == load_nwb(original, BIN).sizes["time"]
