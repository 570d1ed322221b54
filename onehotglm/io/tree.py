"""Nested tuples of arrays as one npz file: written atomically, without pickle."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onehotglm.errors import DataFileError
from onehotglm.io.files import atomic_write, existing_file

_DESCRIPTION = "description"


def save_tree(
    path: str | os.PathLike, header: Mapping[str, Any], tree: Any, *, durable: bool = True
) -> None:
    """Write a tree of arrays.

    Parameters
    ----------
    path : path
        An older file is replaced only once the new one is complete.
    header : mapping
        Of what JSON knows; `load_header` reads it alone.
    tree : object
        NamedTuples, tuples, lists and dictionaries of numpy and jax arrays, numbers, text,
        booleans and None.
    durable : bool
        Make sure that the file is on the disk, not only with the operating system: a process
        that is killed loses nothing either way, a computer that loses power may.

    Raises
    ------
    DataFileError
        If the file cannot be written.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps({"header": dict(header), "tree": _describe(tree, arrays)})
    members: dict[str, Any] = {f"array_{index}": array for index, array in enumerate(arrays)}
    members[_DESCRIPTION] = np.array(text)
    with atomic_write(path, durable=durable) as temporary:
        try:
            with temporary.open("wb") as file:
                np.savez(file, **members)
        except OSError as error:
            raise DataFileError(f"could not write {path}: {error}.") from error


def load_header(path: str | os.PathLike) -> dict[str, Any]:
    """Read the header of a file from `save_tree`; raises as `load_tree` does."""
    return _read(path, [])["header"]


def load_tree(path: str | os.PathLike, types: Sequence[type]) -> Any:
    """Read the tree of a file from `save_tree`.

    Parameters
    ----------
    path : path
    types : sequence of types
        NamedTuples that may occur in it.

    Returns
    -------
    object
        As it was saved, lists as tuples.

    Raises
    ------
    DataFileError
        If the file is missing, damaged or something else.
    """
    arrays: list[np.ndarray] = []
    description = _read(path, arrays)["tree"]
    try:
        return _rebuild(description, arrays, {kind.__name__: kind for kind in types})
    except (KeyError, IndexError, TypeError) as error:
        raise _damaged(Path(path), error) from error


def _read(path: str | os.PathLike, arrays: list[np.ndarray]) -> dict[str, Any]:
    """Read the description, and append the arrays if it is that of a tree."""
    path = existing_file(path, "a checkpoint written by onehotglm")
    try:
        with np.load(path, allow_pickle=False) as file:
            description = json.loads(str(file[_DESCRIPTION]))
            arrays += [file[f"array_{index}"] for index in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    return description


def _damaged(path: Path, error: Exception) -> DataFileError:
    return DataFileError(
        f"{path} is damaged or is no checkpoint of onehotglm ({error}). Delete it to begin anew, "
        "or choose another file."
    )


def _describe(node: Any, arrays: list[np.ndarray]) -> Any:
    """Put arrays aside, and say in JSON's terms where they belong."""
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, dict):
        return {"dict": {name: _describe(value, arrays) for name, value in node.items()}}
    if isinstance(node, tuple) and hasattr(node, "_asdict"):
        fields = {name: _describe(value, arrays) for name, value in node._asdict().items()}
        return {"type": type(node).__name__, "fields": fields}
    if isinstance(node, tuple | list):
        return {"items": [_describe(value, arrays) for value in node]}
    arrays.append(np.asarray(node))
    return {"array": len(arrays) - 1, "numpy": isinstance(node, np.ndarray | np.generic)}


def _rebuild(node: Any, arrays: list[np.ndarray], types: dict[str, type]) -> Any:
    if not isinstance(node, dict):
        return node
    if "dict" in node:
        return {name: _rebuild(value, arrays, types) for name, value in node["dict"].items()}
    if "items" in node:
        return tuple(_rebuild(value, arrays, types) for value in node["items"])
    if "type" in node:
        fields = {name: _rebuild(value, arrays, types) for name, value in node["fields"].items()}
        return types[node["type"]](**fields)
    array = arrays[node["array"]]
    if node["numpy"]:
        return array
    import jax.numpy as jnp

    return jnp.asarray(array)
