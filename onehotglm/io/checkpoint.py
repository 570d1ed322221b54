"""Results as netCDF files: written atomically, checked when read, no pickle."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from onehotglm import __version__
from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.files import atomic_write, existing_file

FORMAT_VERSION = 1
"""Layout of the files that this version writes; raised whenever older code cannot read them."""

_FORMAT, _KIND, _WRITER = "onehotglm_format", "onehotglm_kind", "onehotglm_version"
_JSON = "json:"


def save_dataset(dataset: xr.Dataset, path: str | os.PathLike, kind: str) -> Path:
    """Write a dataset as netCDF, so that any tool for netCDF opens it.

    Attributes that netCDF does not know (None, booleans, lists, dictionaries) are written as
    JSON text; tuples come back as lists.

    Parameters
    ----------
    dataset : xarray.Dataset
        What to write.
    path : path
        The file; an older one is replaced only once the new one is complete.
    kind : str
        What the dataset is, for example ``"fit"`` or ``"simulation"``; `load_dataset` checks it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataFileError
        If the file cannot be written.
    InvalidInputError
        If an attribute cannot be written.

    See Also
    --------
    load_dataset : Reads the file back.
    """
    encoded = _map_attrs(dataset, _encode)
    encoded.attrs |= {_FORMAT: FORMAT_VERSION, _KIND: kind, _WRITER: __version__}
    with atomic_write(path) as temporary:
        try:
            encoded.to_netcdf(temporary, engine="h5netcdf")
        except OSError as error:
            raise DataFileError(f"could not write {path}: {error}.") from error
    return Path(path)


def load_dataset(path: str | os.PathLike, kind: str | None = None) -> xr.Dataset:
    """Read a dataset that `save_dataset` wrote.

    Parameters
    ----------
    path : path
        The file.
    kind : str, optional
        What the file has to hold; default: anything.

    Returns
    -------
    xarray.Dataset
        In memory; the file is closed.

    Raises
    ------
    DataFileError
        If the file is missing, damaged, was not written by this package or by another version
        of its format, or holds another kind of dataset.
    """
    path = existing_file(path, "a netCDF file written by onehotglm")
    _check_header(path, kind)
    try:
        dataset = xr.load_dataset(path, engine="h5netcdf")
    except Exception as error:  # the HDF5 stack raises many types on damaged files
        raise _damaged(path, error) from error
    decoded = _map_attrs(dataset, _decode)
    for name in (_FORMAT, _KIND, _WRITER):
        del decoded.attrs[name]
    return decoded


def _check_header(path: Path, kind: str | None) -> None:
    """Read only the file's own attributes, and refuse what `load_dataset` could not read."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            header = {name: file.attrs.get(name) for name in (_FORMAT, _KIND, _WRITER)}
    except OSError as error:
        raise _damaged(path, error) from error
    if header[_FORMAT] is None:
        raise DataFileError(
            f"{path} was not written by onehotglm. Expected a file from model.save() or the "
            "command line; recordings are read by load_nwb."
        )
    version = int(np.squeeze(header[_FORMAT]))
    if version != FORMAT_VERSION:
        writer = header[_WRITER]
        raise DataFileError(
            f"{path} has format {version}, written by onehotglm {writer}; this is onehotglm "
            f"{__version__}, which reads format {FORMAT_VERSION}. Install the version that wrote "
            "it, or make the file again."
        )
    if kind is not None and header[_KIND] != kind:
        raise DataFileError(f"{path} holds a {header[_KIND]}, expected a {kind}.")


def _damaged(path: Path, error: Exception) -> DataFileError:
    return DataFileError(
        f"{path} is damaged or is no netCDF file ({error}). It may have been cut off while it "
        "was copied or downloaded: copy it again, or make it again."
    )


def _map_attrs(dataset: xr.Dataset, convert: Any) -> xr.Dataset:
    """Shallow copy with every attribute of the dataset and its variables converted."""
    dataset = dataset.copy()
    dataset.attrs = {name: convert(name, value) for name, value in dataset.attrs.items()}
    for variable in dataset.variables.values():
        variable.attrs = {name: convert(name, value) for name, value in variable.attrs.items()}
    return dataset


def _encode(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and not value.startswith(_JSON):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    try:
        return _JSON + json.dumps(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the attribute {name!r} is a {type(value).__name__}, which a file cannot hold; "
            "expected numbers, text, booleans, None, or lists and dictionaries of these."
        ) from error


def _decode(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str) and value.startswith(_JSON):
        return json.loads(value.removeprefix(_JSON))
    return value
