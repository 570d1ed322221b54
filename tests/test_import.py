"""Importing the package is cheap and changes nothing."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import onehotglm

HEAVY = ("matplotlib", "networkx", "numpyro", "pynapple", "pynwb", "sklearn", "torch")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_top_level_import_is_light() -> None:
    loaded = run(f"""
        import sys
        import onehotglm
        dir(onehotglm)
        print([name for name in {(*HEAVY, "jax", "xarray")} if name in sys.modules])
    """)
    assert loaded.strip() == "[]"


def test_no_module_loads_optional_or_drawing_packages() -> None:
    loaded = run("""
        import importlib, pkgutil, sys
        import onehotglm
        for module in pkgutil.walk_packages(onehotglm.__path__, "onehotglm."):
            if not module.name.startswith("onehotglm.networks"):
                importlib.import_module(module.name)
        heavy = ("matplotlib", "networkx", "pynapple", "pynwb", "torch")
        print([name for name in heavy if name in sys.modules])
    """)
    assert loaded.strip() == "[]"


def test_import_starts_no_backend_and_changes_no_setting() -> None:
    # Other packages' own side effects come first: only ours are looked at.
    run("""
        import importlib, os, pkgutil, random, warnings
        import click, equinox, jax, jinja2, matplotlib, networkx, numpy, numpyro, optax, pooch
        import pynapple, pynwb, scipy.optimize, sklearn.base, tqdm, xarray

        def settings():
            return {
                "warnings": list(warnings.filters),
                "jax": dict(jax.config.values),
                "matplotlib": (dict(matplotlib.rcParams), matplotlib.get_backend()),
                "numpy": (numpy.geterr(), numpy.get_printoptions()),
                "random": (random.getstate(), numpy.random.get_state()[1].tolist()),
                "environment": dict(os.environ),
                "xarray": dict(xarray.core.options.OPTIONS),
            }

        before = settings()
        import onehotglm
        for module in pkgutil.walk_packages(onehotglm.__path__, "onehotglm."):
            importlib.import_module(module.name)
        for name in onehotglm.__all__:
            getattr(onehotglm, name)
        after = settings()
        for key in before:
            assert before[key] == after[key], f"the import changed {key}"

        from jax._src import xla_bridge
        assert not xla_bridge.backends_are_initialized(), "the import started a JAX backend"
    """)


def test_every_public_name_resolves() -> None:
    assert set(onehotglm.__all__) <= set(dir(onehotglm))
    for name in onehotglm.__all__:
        assert getattr(onehotglm, name) is not None


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(onehotglm.__file__).read_text())
    block = next(
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n)
    )
    seen = {
        alias.asname: node.module.removeprefix("onehotglm.")
        for node in block.body
        for alias in node.names
    }
    assert seen == onehotglm._PUBLIC


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'OneHotGLMHMM'"):
        _ = onehotglm.OneHotGLMHMM
