"""One vocabulary: public parameters bear the names of docs/conventions.rst."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "onehotglm"

# forbidden parameter -> the word of this project
WORDS = {
    "num_states": "n_states",
    "n_components": "n_states",
    "n_hidden_states": "n_states",
    "K": "n_states",
    "S": "n_states",
    "num_neurons": "n_neurons",
    "n_cells": "n_neurons",
    "n_units": "n_neurons",
    "N": "n_neurons",
    "num_timesteps": "n_time_bins",
    "n_timesteps": "n_time_bins",
    "n_bins": "n_time_bins",
    "T": "n_time_bins",
    "num_sessions": "n_sessions",
    "n_trials": "n_sessions",
    "n_sequences": "n_sessions",
    "num_lags": "n_lags",
    "n_lag": "n_lags",
    "num_basis": "n_basis",
    "n_bases": "n_basis",
    "dt": "bin_size",
    "bin_width": "bin_size",
    "binsize": "bin_size",
    "seed": "random_state",
    "random_seed": "random_state",
}


def public_functions(path: Path):
    def visit(node: ast.AST, prefix: str):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                yield from visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef) and (
                not child.name.startswith("_") or child.name == "__init__"
            ):
                yield f"{prefix}{child.name}", child

    yield from visit(ast.parse(path.read_text()), "")


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_public_parameters_use_the_vocabulary(path: Path) -> None:
    for name, function in public_functions(path):
        arguments = function.args
        for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs:
            word = WORDS.get(argument.arg)
            assert word is None, (
                f"{path.name}:{function.lineno} {name}({argument.arg}=...): call it {word}"
            )
