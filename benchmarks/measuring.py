"""What the benchmarks share: the data's folder, threads, clocks, tables that grow."""

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

FOLDERS = (
    os.environ.get("ONEHOTGLM_DATA", ""),
    Path(__file__).resolve().parents[2] / "shared" / "data",
)


def find_data(name: str) -> Path:
    """Path of a file of reference data, or the end of the benchmark."""
    for folder in FOLDERS:
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    print(f"{name} was not found: name its folder by the environment variable ONEHOTGLM_DATA")
    raise SystemExit(0)


def use_threads(number: int | None) -> None:
    """Pin this process to so many cores; before anything imports numpy or jax."""
    if number is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])
    if number is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(number)


class Stopwatch:
    """Wall time, time of all threads, and compilations while it runs: ``with Stopwatch() as w``.

    `compiled` counts programs; `compile_seconds` is what they took of the wall time.
    """

    def __enter__(self) -> Self:
        import jax

        self.compiled, self.compile_seconds = 0, 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        self._begin = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        import jax

        self.wall = time.perf_counter() - self._begin[0]
        self.cpu = time.process_time() - self._begin[1]
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.compiled += 1
            self.compile_seconds += seconds


class Table:
    """A CSV file that has every row as soon as it is measured."""

    def __init__(self, path: Path | None):
        self.path, self.rows = path, []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """Print a row and write it; all rows have the columns of the first."""
        self.rows.append(dict(row))
        print("  ".join(f"{name} {_short(value)}" for name, value in row.items()), flush=True)
        if self.path is None:
            return
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys())
            if len(self.rows) == 1:
                writer.writeheader()
            writer.writerow({name: _short(value) for name, value in row.items()})


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
