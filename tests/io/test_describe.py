"""The summary of a file names all that a reader can ask for."""

import numpy as np
import pytest

from onehotglm.errors import DataFileError
from onehotglm.io.describe import describe_nwb

TIME_ZERO = 4397.0


@pytest.fixture(scope="module")
def summary(recording):
    return describe_nwb(recording)


def test_units(summary):
    assert list(summary.units.index) == [10, 11, 12]
    assert list(summary.units["n_spikes"]) == [800, 200, 40]
    np.testing.assert_allclose(summary.units["rate"], [20, 5, 1], rtol=0.01)
    assert list(summary.units["quality"]) == ["good", "mua", "good"]


def test_intervals_with_their_tags(summary):
    table = summary.intervals.set_index(["table", "tag"])
    assert table.loc[("epochs", "run"), "n_intervals"] == 2
    assert table.loc[("epochs", "run"), "seconds"] == pytest.approx(25)
    assert table.loc[("trials", ""), "n_intervals"] == 3
    assert table.loc[("brain_states", "nrem"), "start"] == pytest.approx(TIME_ZERO + 12)
    assert "choice_time" in summary.columns["trials"]


def test_series(summary):
    table = summary.series.set_index("name")
    assert table.loc["led", "shape"] == (875, 2)
    assert table.loc["speed", "unit"] == "cm/s"
    assert table.loc["speed", "rate"] == pytest.approx(10)
    assert table.loc["speed", "stop"] == pytest.approx(TIME_ZERO + 39.9)


def test_time_range(summary):
    start, stop = summary.time_range
    assert start == pytest.approx(TIME_ZERO)
    assert stop == pytest.approx(TIME_ZERO + 40, abs=0.1)


def test_text_names_everything(summary):
    text = str(summary)
    for part in (
        "Units: 3, 1,040 spikes",
        "column quality: good (2), mua (1)",
        "run",
        "sleep",
        "nrem",
        "columns of trials: choice_time, choice",
        "led",
        "cm/s",
        "0 min 40 s",
    ):
        assert part in text


def test_file_without_units_is_described(tmp_path):
    import datetime

    from pynwb import NWBHDF5IO, NWBFile

    path = tmp_path / "empty.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(NWBFile("nothing", "x", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)))
    text = str(describe_nwb(path))
    assert "Units: none" in text
    assert "Series: none" in text
    assert "(unknown)" in text


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataFileError, match="does not exist"):
        describe_nwb(tmp_path / "none.nwb")
