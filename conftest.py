"""Settings of one test run, for tests and for the examples in docstrings."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Set before anything imports matplotlib or jax, and passed on to subprocesses.
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Share compiled functions between the processes of this run, and only of this run."""
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="onehotglm-jax-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Figures of one test are gone in the next."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def release_compiled_functions() -> Iterator[None]:
    """Drop compiled functions before the system's limit of memory maps (65,530) ends the process.

    Every one holds several maps, and a test run compiles thousands.
    """
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        sys.modules["jax"].clear_caches()
