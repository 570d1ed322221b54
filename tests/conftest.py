"""Fixtures that every test may use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a file of reference data, or skip the test.

    ``shared_data("wmaze.nwb")`` looks into the folder that ``ONEHOTGLM_DATA`` names and
    into ``../shared/data`` beside the repository.  Where ``ONEHOTGLM_REQUIRE_DATA`` is
    set (continuous integration, where the folder is there), a missing file fails the test.
    """
    folders = [ROOT.parent / "shared" / "data"]
    if "ONEHOTGLM_DATA" in os.environ:
        folders.insert(0, Path(os.environ["ONEHOTGLM_DATA"]))

    def find(name: str) -> Path:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        message = f"{name} is not in {' or '.join(map(str, folders))}; set ONEHOTGLM_DATA"
        if os.environ.get("ONEHOTGLM_REQUIRE_DATA"):
            pytest.fail(message)
        pytest.skip(message)

    return find


@pytest.fixture
def float64() -> Iterator[None]:
    """Double precision inside one test: ``def test_it(float64): ...``."""
    import jax

    with jax.enable_x64(True):
        yield
