"""Keeping a long fit: a file that always holds where it stands, and going on from it."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import jax
import numpy as np

from onehotglm import __version__
from onehotglm.errors import DataFileError
from onehotglm.estimator.settings import RUN_ONLY
from onehotglm.inference import em, phases, restarts
from onehotglm.inference.learning import Learned, Problem
from onehotglm.inference.newton import Penalty
from onehotglm.inference.shared_kernel import SharedKernel
from onehotglm.inference.statistics import Curvature
from onehotglm.model.dale import Signs
from onehotglm.model.params import Params
from onehotglm.model.priors import GaussianPrior, OneHotPrior, TypePosterior, WeightPenalty

if TYPE_CHECKING:
    from onehotglm.estimator.monitor import Monitor

FORMAT_VERSION = 1
# NamedTuples that states of EM consist of.
_TYPES = (
    *(em.Run, em.EMState, restarts.Search, phases.Learning),
    *(Curvature, Params, Penalty, SharedKernel, Signs),
    *(GaussianPrior, OneHotPrior, TypePosterior, WeightPenalty),
)
# Part of a fit's time that may be spent on waiting for the disk.
_WAITING = 0.05


class Stage(Protocol):
    """A part of a fit with an explicit state; modules of `onehotglm.inference` are such."""

    def step(self, problem: Problem, state: Any, /) -> Any:
        """Take one EM step, or one block of variational steps."""

    def is_done(self, state: Any, /) -> bool:
        """Whether nothing is left to do."""

    def compact(self, state: Any, /) -> Any:
        """Leave out what can be computed again."""

    def restore(self, problem: Problem, state: Any, /) -> Any:
        """Undo `compact`, to the last bit."""


class Keeper:
    """Runs the stages of a fit and writes a checkpoint after every step.

    The file is replaced by renaming: a process killed at any moment leaves the state after
    the last step that ended, so at most one step is lost.  That the file is on the disk is
    waited for as often as it costs at most a twentieth of the time (with steps of more than a
    few tenths of a second: always); a computer that loses power loses what came after that.

    Parameters
    ----------
    path : path or None
        Without a path nothing is kept.
    resume : bool
        Go on from the file, if there is one.
    fingerprint : dict of str to object
        What has to be the same to go on, see `fingerprint_of`.
    monitor : Monitor
        Its paths are kept too.
    types : sequence of types
        NamedTuples that states consist of, beside those of EM.

    Raises
    ------
    DataFileError
        If the file is of another fit, damaged, or holds an unfinished fit that would be lost.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        *,
        resume: bool,
        fingerprint: Callable[[], dict[str, Any]],
        monitor: "Monitor",
        types: Sequence[type] = (),
    ):
        self._path = None if path is None else Path(path)
        self._monitor = monitor
        self._kept: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._synced, self._sync_seconds = -math.inf, 0.0
        if self._path is None:
            return
        from onehotglm.io.files import ensure_writable_folder, remove_leftovers
        from onehotglm.io.tree import load_header, load_tree

        ensure_writable_folder(self._path.parent)
        remove_leftovers(self._path)
        self._header = {"format": FORMAT_VERSION, "version": __version__, **fingerprint()}
        if not self._path.exists():
            return
        found = load_header(self._path)
        if resume:
            _check_same(self._path, found, self._header)
            self._kept = load_tree(self._path, (*_TYPES, *types))
        elif not found.get("done"):
            raise DataFileError(
                f"{self._path} holds a fit that has not ended; pass resume=True to go on with it, "
                "or delete the file to begin anew"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Mark the file as that of a fit that has ended, unless it was stopped early."""
        if kind is None and self._last is not None:
            self._write(self._last, done=True)

    def drive(self, name: str, stage: Stage, problem: Problem, begin: Callable[[], Any]) -> Any:
        """Run a stage to its end.

        Parameters
        ----------
        name : str
            Of the stage.
        stage : Stage
        problem : Problem
        begin : callable
            Gives its first state; not called if the file holds a later one.

        Returns
        -------
        object
            The state at the end; None if the file holds a later stage.
        """
        if self._kept is None:
            state = begin()
        elif self._kept["stage"] != name:
            return None
        else:
            state = stage.restore(problem, self._kept["state"])
            self._monitor.recall(self._kept["monitor"])
            self._kept = None
        while not stage.is_done(state):
            state = stage.step(problem, state)
            # After an interrupt the fit is only rounded off: the file keeps where it stood.
            if not self._monitor.interrupted:
                compact = stage.compact(state)
                self._write({"stage": name, "state": compact, "monitor": self._monitor.record()})
        return state

    def _write(self, tree: dict[str, Any], *, done: bool = False) -> None:
        if self._path is None:
            return
        from onehotglm.io.tree import save_tree

        begin = time.monotonic()
        durable = done or (begin - self._synced) * _WAITING > self._sync_seconds
        save_tree(self._path, {**self._header, "done": done}, tree, durable=durable)
        if durable:
            self._synced = time.monotonic()
            self._sync_seconds = self._synced - begin
        self._last = tree


def run_em(
    parameters: dict[str, Any], problem: Problem, starts: Sequence[Params], monitor: "Monitor"
) -> Learned:
    """Find the best start and learn from it, or go on from the checkpoint.

    Parameters
    ----------
    parameters : dict of str to object
        Of the constructor.
    problem : Problem
    starts : sequence of Params
    monitor : Monitor

    Returns
    -------
    Learned

    Raises
    ------
    DataFileError
        See `Keeper`.
    """
    with open_keeper(parameters, problem, starts, monitor) as keeper:
        learning = drive_em(keeper, parameters["prior"], problem, starts, monitor)
    assert learning is not None  # no stage comes after it
    return phases.result(learning)


def open_keeper(
    parameters: dict[str, Any],
    problem: Problem,
    starts: Sequence[Params],
    monitor: "Monitor",
    types: Sequence[type] = (),
) -> Keeper:
    """Keeper of a fit with these parameters of the constructor; raises as `Keeper`."""
    return Keeper(
        parameters["checkpoint"],
        resume=parameters["resume"],
        fingerprint=lambda: fingerprint_of(parameters, problem, starts),
        monitor=monitor,
        types=types,
    )


def drive_em(
    keeper: Keeper, prior: str, problem: Problem, starts: Sequence[Params], monitor: "Monitor"
) -> phases.Learning | None:
    """Run both stages of EM; None if the file holds a later one."""
    search = keeper.drive("search", restarts, problem, lambda: restarts.init(starts))
    monitor.start_over()
    return keeper.drive(
        "learning",
        phases,
        problem,
        lambda: phases.init(problem, restarts.best(search), prior),
    )


def fingerprint_of(
    parameters: dict[str, Any], problem: Problem, starts: Sequence[Params]
) -> dict[str, Any]:
    """Describe a fit so that another one can be told from it.

    Parameters
    ----------
    parameters : dict of str to object
        Of the constructor.
    problem : Problem
    starts : sequence of Params
        Of them only a fixed `random_state` makes the same again.

    Returns
    -------
    dict of str to object
        `settings`, and digests of the data and of the starts.
    """
    aside = (*RUN_ONLY, "progress")
    settings = {name: value for name, value in parameters.items() if name not in aside}
    fixed = isinstance(settings["random_state"], int | np.integer)
    if not fixed:
        settings["random_state"] = type(settings["random_state"]).__name__
    return {
        "settings": json.loads(json.dumps(settings, default=_plain)),
        "data": _digest((problem.recording, problem.structure, problem.bias_mean)),
        "starts": _digest(list(starts)) if fixed else None,
    }


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into lists or text."""
    return np.asarray(value).tolist() if hasattr(value, "__array__") else repr(value)


def _digest(tree: Any) -> str:
    """Hash of all arrays of a tree, their shapes and types."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _check_same(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise unless the checkpoint is of this very fit."""
    if (found.get("format"), found.get("version")) != (FORMAT_VERSION, __version__):
        raise DataFileError(
            f"{path} is a checkpoint of onehotglm {found.get('version')} (format "
            f"{found.get('format')}); this is {__version__} (format {FORMAT_VERSION}), which may "
            "compute otherwise. Go on with the version that wrote it, or delete it to begin anew."
        )
    differing = [
        f"{name}={found['settings'].get(name)!r} there and {value!r} here"
        for name, value in expected["settings"].items()
        if found["settings"].get(name) != value
    ]
    if found["data"] != expected["data"]:
        differing.append("other data")
    elif not differing and found["starts"] != expected["starts"]:
        differing.append("other starts")
    if differing:
        raise DataFileError(
            f"{path} is the checkpoint of another fit: {', '.join(differing)}. Go on with the data "
            "and settings that it was begun with, choose another checkpoint, or delete this one."
        )
