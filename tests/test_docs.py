"""README and documentation speak of names and options that exist.

`make docs` builds the pages with warnings as errors and runs the examples; `make test-fast`
runs the examples of the docstrings.
"""

import re
from importlib import import_module
from pathlib import Path

import pytest

import onehotglm
from onehotglm.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]
_REFERENCED = (
    *("comparison", "io", "networks", "networks.rnn"),
    *("networks.astrosnn", "networks.bdh", "networks.language", "networks.text"),
    *("networks.training", "networks.transformer", "plots", "report", "simulate"),
)
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", PAGES + SCRIPTS, ids=lambda path: path.name)
def test_imported_names_exist(path: Path) -> None:
    lists = re.findall(r"from onehotglm import (\([^)]*\)|[^\n]*)", path.read_text())
    names = [name for found in lists for name in re.findall(r"\w+", found)]
    assert not [name for name in names if name not in onehotglm.__all__]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_options_of_the_command_line_exist(path: Path) -> None:
    for command, rest in re.findall(
        r"onehotglm (fit|compare|demo|simulate|info)\b([^\n`]*)", path.read_text()
    ):
        known = {option for item in main.commands[command].params for option in item.opts}
        assert set(re.findall(r"--[a-z-]+", rest.split("#")[0])) <= known | {"--help"}


def test_the_reference_lists_every_public_name() -> None:
    listed = set(re.findall(r"^   ([\w.]+)$", (ROOT / "docs/api/index.rst").read_text(), re.M))
    public = set(onehotglm.__all__) - {"__version__", *onehotglm._MODULES}
    for module in _REFERENCED:
        names = import_module(f"onehotglm.{module}").__all__
        public |= {f"{module}.{name}" for name in names if name not in onehotglm.__all__}
    assert listed == public
