"""Counts, states and wiring to an NWB file."""

import datetime
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.io.files import atomic_write
from onehotglm.io.layout import Layout, lay_out, observed_intervals, runs, spike_times_of
from onehotglm.io.nwb_truth import STATES_TABLE, add_truth

if TYPE_CHECKING:
    from pynwb import NWBFile

NO_DATE = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def save_nwb(
    path: str | os.PathLike,
    data: xr.Dataset | xr.DataArray,
    *,
    states: xr.DataArray | None = None,
    gap: float = 1.0,
    description: str = "spike counts written by onehotglm",
    session_start_time: datetime.datetime = NO_DATE,
) -> Path:
    """Write spikes, states and wiring to an NWB file that `load_nwb` reads back exactly.

    Parameters
    ----------
    path : path
        The file; an older one is replaced only once the new one is complete.
    data : xarray.Dataset or xarray.DataArray
        Counts with dims (session, time, neuron) and the attribute `bin_size`, or a Dataset with
        such `spikes`, as `simulate_population` returns.
    states : xarray.DataArray, dims (session, time), optional
        State of each bin, negative where there is none; for example decoded states.  Default:
        the Dataset's own `states`.
    gap : float
        Sessions follow each other on the file's clock, at least this many seconds apart.
    description : str
        What the recording is.
    session_start_time : datetime.datetime
        When the recording began; with a time zone.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidInputError
        If the counts are negative or fractional, or the states do not fit them.
    DataFileError
        If the file cannot be written.

    Notes
    -----
    Each session is an epoch with the tag ``"session"``.  A bin's spikes are spread evenly inside
    it; lead-in bins go before their session.  What is NaN is left out of the unit's
    `obs_intervals`.  States become the table of intervals ``"states"``.  What a simulation knows
    of its wiring goes into the scratch space, from where `load_nwb_truth` reads it.  The rates
    are not written: they follow from the wiring, the states and the spikes.  Labels of neurons
    that are no whole numbers go into the column `unit_name`; the units' ids then count from 0.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from onehotglm.io.nwb import load_nwb
    >>> counts = xr.DataArray(
    ...     [[[1.0, 0.0], [3.0, 1.0]], [[0.0, 2.0], [1.0, np.nan]]],
    ...     dims=("session", "time", "neuron"),
    ...     attrs={"bin_size": 0.1},
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     file = save_nwb(f"{folder}/demo.nwb", counts)
    ...     back = load_nwb(file, bin_size=0.1, epochs="session", n_history_bins=0)
    >>> np.array_equal(back, counts, equal_nan=True)
    True
    """
    dataset = data if isinstance(data, xr.Dataset) else data.to_dataset(name="spikes")
    if "spikes" not in dataset:
        raise InvalidInputError(
            f"the Dataset has no variable 'spikes'; it has {', '.join(map(str, dataset))}."
        )
    spikes = dataset["spikes"]
    if "bin_size" not in spikes.attrs and "bin_size" in dataset.attrs:
        spikes = spikes.assign_attrs(bin_size=dataset.attrs["bin_size"])
    layout = lay_out(spikes, gap)
    states = dataset.get("states") if states is None else states
    nwb = _new_file(spikes, description, session_start_time)
    _add_units(nwb, spikes, layout)
    for start, stop in zip(layout.start, layout.stop, strict=True):
        nwb.add_epoch(float(start), float(stop), tags=["session"])
    if states is not None:
        _add_states(nwb, spikes, states, layout)
    if isinstance(data, xr.Dataset):
        add_truth(nwb, data)
    return _write(nwb, path)


def _new_file(
    spikes: xr.DataArray, description: str, session_start_time: datetime.datetime
) -> "NWBFile":
    from pynwb import NWBFile

    digest = hashlib.sha256(spikes.values.astype(np.float32).tobytes())
    return NWBFile(
        session_description=description,
        identifier=f"onehotglm-{digest.hexdigest()[:16]}",
        session_start_time=session_start_time,
    )


def _add_units(nwb: "NWBFile", spikes: xr.DataArray, layout: Layout) -> None:
    labels = spikes["neuron"].values
    named = labels.dtype.kind not in "iu"
    if named:
        nwb.add_unit_column("unit_name", "label of the neuron in the analysis")
    trains = spike_times_of(spikes, layout)
    observed = observed_intervals(spikes, layout)
    for row, (label, times, intervals) in enumerate(zip(labels, trains, observed, strict=True)):
        name = {"unit_name": str(label)} if named else {}
        nwb.add_unit(
            id=row if named else int(label), spike_times=times, obs_intervals=intervals, **name
        )


def _add_states(nwb: "NWBFile", spikes: xr.DataArray, states: xr.DataArray, layout: Layout) -> None:
    """Write the runs of equal states as intervals."""
    from pynwb.epoch import TimeIntervals

    n_modelled = spikes.sizes["time"] - layout.n_history_bins
    if states.ndim != 2 or states.shape not in {spikes.shape[:2], (len(spikes), n_modelled)}:
        raise InvalidInputError(
            f"the states have the shape {states.shape}, expected (session, time) = "
            f"{(len(spikes), n_modelled)} like the spikes without their lead-in."
        )
    values = np.asarray(states.values[:, -n_modelled:], dtype=np.int64)
    lengths = np.rint((layout.stop - layout.start) / layout.bin_size).astype(np.int64)
    ended = np.arange(n_modelled) >= lengths[:, None]
    session, first, last, state = runs(np.where(ended, -1, values) + 1)
    table = TimeIntervals(name=STATES_TABLE, description="hidden state of the network")
    table.add_column(name="state", description="number of the state, from 0")
    starts = layout.start[session] + first * layout.bin_size
    stops = layout.start[session] + last * layout.bin_size
    for start, stop, label in zip(starts, stops, state - 1, strict=True):
        table.add_row(start_time=float(start), stop_time=float(stop), state=int(label))
    nwb.add_time_intervals(table)


def _write(nwb: "NWBFile", path: str | os.PathLike) -> Path:
    from pynwb import NWBHDF5IO

    with atomic_write(path) as temporary, NWBHDF5IO(temporary, mode="w") as io:
        io.write(nwb)
    return Path(path)
