"""A small recording with everything that readers have to cope with."""

import datetime
from pathlib import Path

import numpy as np
import pytest

TIME_ZERO = 4397.0


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> Path:
    """Three units over 40 s that start at 4,397 s: epochs, trials, labels, a position."""
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import Position
    from pynwb.epoch import TimeIntervals

    rng = np.random.default_rng(0)
    nwb = NWBFile(
        session_description="test",
        identifier="test",
        session_start_time=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    )
    nwb.add_unit_column("quality", "of the sorting")
    nwb.add_unit_column("region", "of the brain")
    for unit, (rate, quality, region) in enumerate(
        [(20, "good", "CA1"), (5, "mua", "CA1"), (1, "good", "CA3")]
    ):
        times = TIME_ZERO + np.sort(rng.uniform(0, 40, rate * 40))
        nwb.add_unit(id=10 + unit, spike_times=times, quality=quality, region=region)
    for start, stop, tag in [(0, 10, "run"), (10, 20, "rest"), (20, 35, "run"), (35, 39, "sleep")]:
        nwb.add_epoch(TIME_ZERO + start, TIME_ZERO + stop, tags=[tag, "all"])
    nwb.add_trial_column("choice_time", "when the rat chose")
    nwb.add_trial_column("choice", "arm")
    for start, choice, arm in [(5, 7.5, "left"), (15, np.nan, "none"), (25, 28.0, "right")]:
        nwb.add_trial(
            TIME_ZERO + start, TIME_ZERO + start + 4, choice_time=TIME_ZERO + choice, choice=arm
        )
    labels = TimeIntervals(name="brain_states", description="scored")
    labels.add_column("label", "state")
    labels.add_row(start_time=TIME_ZERO, stop_time=TIME_ZERO + 12.0, label="wake")
    labels.add_row(start_time=TIME_ZERO + 12, stop_time=TIME_ZERO + 30.0, label="nrem")
    nwb.add_time_intervals(labels)
    times = TIME_ZERO + np.r_[np.arange(0, 20, 0.04), np.arange(25, 40, 0.04)]
    position = Position(name="Position")
    position.create_spatial_series(
        name="led",
        data=np.stack([times, -2 * times], axis=1),
        timestamps=times,
        reference_frame="camera",
        unit="cm",
    )
    module = nwb.create_processing_module("behavior", "tracked")
    module.add(position)
    module.add(
        TimeSeries(
            name="speed",
            data=np.arange(400.0),
            unit="cm/s",
            rate=10.0,
            starting_time=TIME_ZERO,
            conversion=0.5,
            offset=1.0,
        )
    )
    path = tmp_path_factory.mktemp("recording") / "recording.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path
