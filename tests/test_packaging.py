"""The wheel holds every file that the code reads, and nothing of tests or data."""

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    pytest.importorskip("hatchling", reason="builds the wheel; comes with the dev extra")
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_all_of_the_package(wheel_files: set[str]) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "onehotglm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"onehotglm/py.typed"} < ours <= wheel_files


def test_the_wheel_holds_nothing_else(wheel_files: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel_files} == {"onehotglm"}


def test_the_command_is_installed() -> None:
    from importlib.metadata import entry_points

    from onehotglm.cli import main

    found = [item for item in entry_points(group="console_scripts") if item.name == "onehotglm"]
    if not found:
        pytest.skip("onehotglm is on the path, not installed")
    assert found[0].load() is main
