"""Public recordings: where they are, whose they are, and how to be sure of having them whole."""

import os
import tomllib
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.files import ensure_writable_folder, existing_file

REQUIRED = ("about", "format", "licence", "citation", "source")


def list_datasets(registry: str | os.PathLike | None = None) -> pd.DataFrame:
    """List the public recordings that `fetch` knows.

    Parameters
    ----------
    registry : path, optional
        A registry of your own, a TOML file like the package's ``io/registry.toml``.

    Returns
    -------
    pandas.DataFrame
        One row per recording; columns `about`, `format`, `licence`, `citation`, `source`,
        `files`, `verified` (whether the hashes of all its files are known) and `obtain` (how to
        get it by hand, where it cannot be downloaded).

    Examples
    --------
    >>> list_datasets().loc["place-cells-rat", ["format", "files", "verified"]].to_dict()
    {'format': 'NWB', 'files': 'Achilles_10252013.nwb', 'verified': True}
    """
    rows = {
        name: {key: entry[key] for key in REQUIRED}
        | {
            "files": ", ".join(file["name"] for file in entry["files"]),
            "verified": bool(entry["files"]) and all("sha256" in file for file in entry["files"]),
            "obtain": entry.get("obtain", ""),
        }
        for name, entry in _read_registry(registry).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def fetch(
    name: str,
    folder: str | os.PathLike | None = None,
    *,
    registry: str | os.PathLike | None = None,
    progress: bool = True,
) -> Path:
    """Download a public recording, once, and check it.

    Parameters
    ----------
    name : str
        Its name in `list_datasets`.
    folder : path, optional
        Where to keep it.  Default: the user's cache.
    registry : path, optional
        A registry of your own, a TOML file like the package's ``io/registry.toml``.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        The file, or the folder of a recording with several files.

    Warns
    -----
    UserWarning
        If the hash of a file is not known, so that nobody can tell whether it is the right one;
        the warning states the hash of what came.

    Raises
    ------
    InvalidInputError
        If there is no recording of that name; the message lists those that exist.
    DataFileError
        If the download fails, its hash is not the one in the registry, or the recording can only
        be had by hand; the message says how.
    """
    entries = _read_registry(registry)
    if name not in entries:
        raise InvalidInputError(
            f"no recording is called {name!r}; the registry has {', '.join(entries)}."
        )
    entry = entries[name]
    if not entry["files"]:
        raise DataFileError(f"{name} cannot be downloaded without an account. {entry['obtain']}")
    if folder is None:
        import pooch

        folder = pooch.os_cache("onehotglm")
    folder = ensure_writable_folder(Path(folder) / name)
    paths = [_retrieve(file, folder, progress) for file in entry["files"]]
    return paths[0] if len(paths) == 1 else folder


def _read_registry(path: str | os.PathLike | None) -> dict[str, dict[str, Any]]:
    if path is None:
        text = resources.files("onehotglm.io").joinpath("registry.toml").read_text("utf-8")
    else:
        text = existing_file(path, "a registry of recordings (TOML)").read_text("utf-8")
    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataFileError(f"{path} is no TOML file: {error}.") from error
    for name, entry in entries.items():
        missing = [key for key in REQUIRED if key not in entry]
        if missing or ("files" in entry) == ("obtain" in entry):
            raise DataFileError(
                f"the recording {name!r} in {path} lacks {', '.join(missing) or 'files or obtain'};"
                f" expected {', '.join(REQUIRED)}, and either files or obtain."
            )
        entry.setdefault("files", [])
    return entries


def _retrieve(file: dict[str, str], folder: Path, progress: bool) -> Path:
    import pooch

    known = f"sha256:{file['sha256']}" if "sha256" in file else None
    try:
        path = pooch.retrieve(
            file["url"], known, fname=file["name"], path=folder, progressbar=progress
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash a value
        raise DataFileError(
            f"could not download {file['name']} from {file['url']}: {error}. Check the "
            f"connection, or download it by hand and put it into {folder}."
        ) from error
    if known is None:
        warnings.warn(
            f"{file['name']} was not checked: the registry has no hash for it. What lies at "
            f"{path} has sha256 {pooch.file_hash(path)}.",
            UserWarning,
            stacklevel=3,
        )
    return Path(path)
