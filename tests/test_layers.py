"""The order of the layers: imports go down only, files and functions stay small."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "onehotglm"
MODULES = sorted(PACKAGE.rglob("*.py"))

BOTTOM = {"errors", "typing", "random_state"}
CORE = BOTTOM | {"kernels", "model", "inference", "estimator"}
SIDES = {"networks", "simulate", "io", "plots"}
TOP = {"evaluation", "comparison", "report"}

# What each part of the package may import when it is itself imported.
MAY_IMPORT = {
    "errors": set(),
    "typing": set(),
    "random_state": {"errors"},
    "references": BOTTOM,
    "kernels": BOTTOM,
    "model": BOTTOM | {"kernels"},
    "inference": BOTTOM | {"kernels", "model"},
    "estimator": CORE,
    "simulate": BOTTOM | {"kernels"},
    "io": BOTTOM,
    "plots": BOTTOM,
    "networks": CORE | {"simulate"},
    "evaluation": CORE | SIDES,
    "comparison": CORE | SIDES | TOP | {"references"},
    "report": CORE | SIDES | TOP,
    "workflow": CORE | SIDES | TOP | {"references"},
    "cli_parts": BOTTOM,
    "cli": CORE | SIDES | TOP | {"cli_parts"} | {"workflow", "references"},
}

# Conveniences of the estimator that reach up, inside a method and nowhere else:
# save and load, checkpoints, the plotting methods.
MAY_IMPORT_INSIDE_FUNCTIONS = {
    "estimator": {"io.checkpoint", "io.files", "io.tree", "io.pynapple", "plots"}
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def resolve(name: str) -> str:
    """Cut a dotted name down to the module that defines it."""
    parts = name.split(".")
    while parts and not (
        PACKAGE.joinpath(*parts).with_suffix(".py").is_file()
        or PACKAGE.joinpath(*parts, "__init__.py").is_file()
    ):
        parts.pop()
    return ".".join(parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path) -> list[tuple[str, bool, int]]:
    """(module of this package, inside a function?, line) of every import in a file."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                continue
            names = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                names = [f"{child.module}.{alias.name}" for alias in child.names]
            for name in names:
                if name.split(".")[0] == "onehotglm" and name != "onehotglm.__version__":
                    found.append((resolve(name.partition(".")[2]), inside, child.lineno))
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            visit(child, inside or function)

    visit(ast.parse(path.read_text()), False)
    return found


def allowed(layer: str, target: str, inside: bool) -> bool:
    part = target.split(".")[0]
    if part == layer or part in MAY_IMPORT[layer]:
        return True
    reach = MAY_IMPORT_INSIDE_FUNCTIONS.get(layer, set()) if inside else set()
    return target in reach or part in reach


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down_only(path: Path) -> None:
    name = module_name(path)
    if not name:
        assert not [line for _, inside, line in imports(path) if not inside], (
            "onehotglm/__init__.py finds its names lazily: no import at the top"
        )
        return
    layer = name.split(".")[0]
    assert layer in MAY_IMPORT, f"say in MAY_IMPORT where {layer!r} stands"
    wrong = [
        f"{path.name}:{line} imports onehotglm.{target}"
        for target, inside, line in imports(path)
        if not allowed(layer, target, inside)
    ]
    assert not wrong, f"{layer} may import {sorted(MAY_IMPORT[layer])}: {wrong}"


def test_no_import_cycles() -> None:
    graph = {
        module_name(path): {target for target, inside, _ in imports(path) if not inside and target}
        - {module_name(path)}
        for path in MODULES
        if module_name(path)
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 450, "one file holds one concept: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{path.name}:{node.lineno} {node.name} has {length} lines"
