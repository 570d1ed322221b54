"""Writing files so that a reader never sees half of one."""

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onehotglm.errors import DataFileError


def ensure_writable_folder(folder: str | os.PathLike) -> Path:
    """Create `folder` if it is not there, and make sure that a file can be written into it.

    Parameters
    ----------
    folder : path
        The folder; its parents are created too.

    Returns
    -------
    Path

    Raises
    ------
    DataFileError
        If the folder cannot be created or written to.  Call this before any long work.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataFileError(
            f"cannot write into the folder {folder}: {error.strerror or error}. "
            "Choose a folder that you may write to, or change its permissions."
        ) from error
    return folder


@contextmanager
def atomic_write(path: str | os.PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the block ends well.

    If the block fails, the temporary file is removed and an older file at `path` stays.

    Parameters
    ----------
    path : path
        Where the file is to be.
    durable : bool
        Wait until file and name are on the disk, so that not even a loss of power leaves less
        than the old or the new file.

    Raises
    ------
    DataFileError
        If the folder cannot be written to, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise DataFileError(f"{path} is a folder; expected the name of a file to write.")
    ensure_writable_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable and os.name == "posix":  # elsewhere folders cannot be opened
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: str | os.PathLike) -> None:
    """Remove what processes that were killed while they wrote `path` left beside it."""
    path = Path(path)
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.part{path.suffix}"):
        temporary.unlink(missing_ok=True)


def existing_file(path: str | os.PathLike, kind: str) -> Path:
    """Return `path` if it is a file; `kind` says in the error what was looked for."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataFileError(f"{path} {what}; expected {kind}. Check the path (from {Path.cwd()}).")
    return path
