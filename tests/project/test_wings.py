"""The package's wings: none imports one above it, and no two files import each other."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import elulayer as el

PACKAGE = Path(el.__file__).parent

# From the ground up: a wing imports from lower floors, and from itself.
FLOORS = [
    {"_core", "_cuda", "_xla"},
    {"_support"},
    {"arrays", "data"},
    {"layers"},
    {"network"},
    {"plots", "checking", "torch", "onnx", "jax"},
    {"training"},
    {"cli"},
    {"", "__main__"},
]
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}


def modules():
    """The package's Python files by their names, without the package's own."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(name, path, known):
    """The package's modules that a file imports, in functions and for types too."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        above = package[: len(package) - (node.level - 1)]
        source = ".".join(part for part in (*above, node.module or "") if part)
        for alias in node.names:
            inside = f"{source}.{alias.name}".lstrip(".")
            yield inside if inside in known else source


def graph():
    found = modules()
    known = {*found, "_core", "_cuda"}
    return {name: set(imports(name, path, known)) for name, path in found.items()}


def test_every_wing_has_a_floor():
    assert {name.partition(".")[0] for name in modules()} <= set(FLOOR)


def test_no_file_imports_upwards():
    for name, imported in graph().items():
        own = name.partition(".")[0]
        for other in imported:
            wing = other.partition(".")[0]
            assert wing == own or FLOOR[wing] < FLOOR[own], f"{name} imports {other}"


def test_no_files_import_each_other():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
