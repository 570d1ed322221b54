"""The wiring and the states behind a simulated recording, kept in its NWB file."""

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.errors import DataFileError
from onehotglm.io.nwb_file import open_nwb
from onehotglm.io.nwb_series import load_labels

if TYPE_CHECKING:
    from pynwb import NWBFile

PREFIX = "truth_"
STATES_TABLE = "states"
NEURON_DIMS = ("neuron", "post", "pre")
BIN_DIMS = ("session", "time")


def add_truth(nwb: "NWBFile", dataset: xr.Dataset) -> None:
    """Put every variable that does not run over time into the file's scratch space.

    Each becomes an array ``truth_NAME`` whose description is JSON with its dimensions and their
    labels; the dataset's attributes go along.
    """
    for name in (*dataset.data_vars, *dataset.coords):
        variable = dataset[name]
        if set(BIN_DIMS) & set(variable.dims) or name in dataset.dims:
            continue
        labels = {
            dim: variable[dim].values.tolist()
            for dim in variable.dims
            if dim in variable.coords and dim not in NEURON_DIMS
        }
        about = {
            "dims": variable.dims,
            "coords": labels,
            "is_coord": name in dataset.coords,
            "attrs": _plain_attrs(dataset),
        }
        nwb.add_scratch(variable.values, name=f"{PREFIX}{name}", description=json.dumps(about))


def load_nwb_truth(path: str | os.PathLike, spikes: xr.DataArray) -> xr.Dataset:
    """Read the truth that `save_nwb` wrote beside simulated spikes.

    Parameters
    ----------
    path : path
        The NWB file.
    spikes : xarray.DataArray, dims (session, time, neuron)
        What `load_nwb` read from it: the truth is cut to its neurons and bins.

    Returns
    -------
    xarray.Dataset
        `states` (session, time), -1 outside the simulation, where the file has the states; and
        the wiring as it was simulated, for example `connectivity` (state, post, pre) and
        `connection_type`, and where the neurons are (`position`), if they are somewhere.

    Raises
    ------
    DataFileError
        If the file holds no truth: it is a real recording, or was written without it.
    """
    with open_nwb(path) as nwb:
        found = {
            name.removeprefix(PREFIX): (np.asarray(item.data[()]), json.loads(item.description))
            for name, item in nwb.scratch.items()
            if name.startswith(PREFIX)
        }
        unit_ids = np.asarray(nwb.units.id[:])
        has_states = STATES_TABLE in (nwb.intervals or {})
    if not found:
        raise DataFileError(
            f"{path} holds no simulated truth: it is a real recording, or was written from "
            "counts alone. save_nwb keeps the truth of a Dataset from simulate_population."
        )
    truth = xr.Dataset()
    for name, (values, about) in found.items():
        coords = about["coords"] | {dim: unit_ids for dim in about["dims"] if dim in NEURON_DIMS}
        truth[name] = xr.DataArray(values, dims=about["dims"], coords=coords)
        truth.attrs.update(about["attrs"])
    truth = truth.set_coords([name for name, (_, about) in found.items() if about["is_coord"]])
    neurons = spikes["neuron"].values
    truth = truth.sel({dim: neurons for dim in NEURON_DIMS if dim in truth.dims})
    if has_states:
        labels = load_labels(path, STATES_TABLE, spikes, column="state", missing=-1)
        truth["states"] = labels.astype(int)
    return truth


def _plain_attrs(dataset: xr.Dataset) -> dict[str, object]:
    """Keep the attributes that JSON can hold."""
    plain: dict[str, object] = {}
    for name, value in dataset.attrs.items():
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, str | int | float | bool | None):
            plain[str(name)] = value
    return plain
