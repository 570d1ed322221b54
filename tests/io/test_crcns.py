"""The text format of CRCNS pfc-6, on a small session made up in that format."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.crcns import load_crcns_pfc6, load_crcns_position

STARTS = np.array([1_968_759.3, 1_993_249.2, 2_005_927.9])
TRIALS = np.column_stack([STARTS, STARTS + 2_836.0, [1, 4, 2], [0, 1, 1], [1, 0, 1], [0, 1, 1]])


@pytest.fixture
def folder(tmp_path):
    """Three cells (2, 5 and 9), three trials, 30 positions a second."""
    rng = np.random.default_rng(0)
    times = np.sort(np.round(rng.uniform(1.95e6, 2.03e6, 3000), 1))
    cells = rng.choice([2, 5, 9], 3000)
    np.savetxt(tmp_path / "s1_SpikeData.dat", np.c_[times, cells], "%.1f\t%d")
    np.savetxt(tmp_path / "s1_Behavior.dat", TRIALS, "%.1f\t%.1f\t%d\t%d\t%d\t%d")
    track = np.arange(1.95e6, 2.03e6, 33.4)
    np.savetxt(tmp_path / "s1_Pos.dat", np.c_[track, track / 1e3, 250 + 0 * track], "%.4f", "\t")
    return tmp_path


def test_trials_are_cut_as_in_the_paper(folder):
    spikes = load_crcns_pfc6(folder, n_history_bins=0)
    assert spikes.sizes == {"session": 3, "time": 750, "neuron": 3}
    assert_array_equal(spikes.neuron, [2, 5, 9])
    assert_allclose(spikes.session_start, STARTS / 1e3 - 5)
    times, cells = np.loadtxt(folder / "s1_SpikeData.dat", unpack=True)
    for trial, start in enumerate(STARTS):
        inside = (times >= start - 5000) & (times < start + 10_000)
        for column, cell in enumerate([2, 5, 9]):
            assert spikes[trial, :, column].sum() == (inside & (cells == cell)).sum()
            edges = start - 5000 + 20.0 * np.arange(751) - 1e-6
            expected = np.histogram(times[cells == cell], edges)[0]
            assert_array_equal(spikes[trial, :, column], expected)


def test_task_variables_come_along(folder):
    spikes = load_crcns_pfc6(folder)
    assert list(spikes["rule"].values) == ["right", "dark", "light"]
    assert list(spikes["outcome"].values) == ["incorrect", "correct", "correct"]
    assert list(spikes["choice"].values) == ["left", "right", "left"]
    assert list(spikes["light"].values) == ["right", "left", "left"]
    assert_allclose(spikes["trial_end"] - spikes["trial_start"], 2.836)


def test_window_bins_and_lead_in_are_options(folder):
    spikes = load_crcns_pfc6(folder, 0.1, window=(0, 4), n_history_bins=3)
    assert spikes.sizes["time"] == 43
    assert_allclose(spikes.session_start, STARTS / 1e3)
    with pytest.raises(InvalidInputError, match=r"window is \(4, 0\)"):
        load_crcns_pfc6(folder, window=(4, 0))


def test_position_lies_on_the_same_bins(folder):
    spikes = load_crcns_pfc6(folder)
    position = load_crcns_position(folder, spikes)
    assert position.sizes == {"session": 3, "time": 750, "axis": 2}
    centres = spikes.session_start.values[:, None] + (np.arange(750) + 0.5) * 0.02
    assert_allclose(position.sel(axis="x"), centres, atol=1e-3)


def test_behavior_may_end_in_txt(folder):
    (folder / "s1_Behavior.dat").rename(folder / "s1_Behavior.txt")
    assert load_crcns_pfc6(folder).sizes["session"] == 3


def test_one_of_several_sessions(folder):
    (folder / "s2_SpikeData.dat").write_text("5.0\t1\n")
    with pytest.raises(DataFileError, match="several sessions; choose one with session=: s1, s2"):
        load_crcns_pfc6(folder)
    with pytest.raises(DataFileError, match="no session 's3', but s1, s2"):
        load_crcns_pfc6(folder, session="s3")
    assert load_crcns_pfc6(folder, session="s1").sizes["session"] == 3


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(DataFileError, match=r"holds no file \*_SpikeData.dat"):
        load_crcns_pfc6(tmp_path / "none")
    (folder / "s1_Behavior.dat").unlink()
    with pytest.raises(DataFileError, match=r"s1_Behavior\.dat does not exist"):
        load_crcns_pfc6(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Behavior", "1.0\t2.0\t3\n", "has 3 columns, expected 6: trial_start"),
        ("Behavior", "1.0\t2.0\t7\t1\t1\t1\n", r"'rule' holds \[7\.0\], expected 1 \(right\)"),
        ("SpikeData", "time\tcell\n", "no table of numbers"),
        ("SpikeData", "", "no table of numbers"),
        ("SpikeData", "1.0\t2\n3.0\n", "rows with missing numbers; it may be cut off"),
    ],
)
def test_other_content_is_named(folder, name, content, message):
    (folder / f"s1_{name}.dat").write_text(content)
    with pytest.raises(DataFileError, match=message):
        load_crcns_pfc6(folder)
