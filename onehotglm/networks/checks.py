"""Sizes and files that do not fit, told apart before any work is done."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from onehotglm.errors import DataFileError, InvalidInputError


def check_sizes(**sizes: int) -> None:
    """Raise unless every size is a whole number of at least 1.

    Parameters
    ----------
    **sizes : int
        By the names that a user knows them by.

    Raises
    ------
    InvalidInputError

    Examples
    --------
    >>> check_sizes(n_neurons=3, n_levels=1)
    """
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise InvalidInputError(f"{name}={size}, but it must be at least 1, a whole number")


def read_npz(path: str | Path, content: str) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file.

    Parameters
    ----------
    path : path
        Where from.
    content : str
        What the file should be, for the message: ``"a checkpoint"``.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    DataFileError
        If the file is missing, damaged, or no npz file.
    """
    try:
        with Path(path).open("rb") as file, np.lib.npyio.NpzFile(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(
            f"{path} cannot be read as {content} ({error}); check the path, and that the file was "
            "copied whole"
        ) from error
