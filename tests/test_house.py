"""What keeps the house one that a newcomer can hold in mind."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import grimp
import pytest

from docs.explanation.make_architecture import (
    PAGE,
    ROOT,
    page_with_drawing,
    read_packages,
)

MOST_ROOMS = 12
MOST_FLOORS = 8
MOST_LINES = 400
SOURCES = Path(__file__).parents[1] / "src" / ROOT
TESTS = Path(__file__).parent
WITH_DOORS = (
    "deploying",
    "explore",
    "packing",
    "planning",
    "profiling",
    "verifying",
)
"""Packages that are entered, and whose packages are entered, by their facade alone."""
WITHOUT_DOORS = {
    "gpupack.packing.kernels",
    "gpupack.packing.kernels.capacity",
    "gpupack.packing.kernels.items",
}
"""Compiled code, one module for one search: nothing to hide, and slow to load whole."""


def modules() -> list[Path]:
    return sorted(
        path for path in SOURCES.rglob("*.py") if "demo_models" not in path.parts
    )


def test_every_package_is_small_and_has_no_cycle() -> None:
    packages = read_packages()  # raises on a cycle
    del packages[ROOT]  # its rooms are the layers, which import-linter holds
    sizes = {name: (one.num_rooms, len(one.floors)) for name, one in packages.items()}
    assert {
        name: size
        for name, size in sizes.items()
        if size[0] > MOST_ROOMS or size[1] > MOST_FLOORS
    } == {}


def test_packages_are_entered_through_their_facades() -> None:
    graph = grimp.build_graph(ROOT, cache_dir=None)
    doors = {
        module
        for module in graph.modules
        if module.split(".")[1:2]
        and module.split(".")[1] in WITH_DOORS
        and graph.find_children(module)
    } - WITHOUT_DOORS
    around = [
        f"{module} imports {imported}, past the door of {door}"
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        for door in doors
        if imported.startswith(f"{door}.")
        and not (module == door or module.startswith(f"{door}."))
    ]
    assert around == []


@pytest.mark.parametrize("package", WITH_DOORS)
def test_no_two_modules_or_classes_of_a_package_have_one_name(package: str) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        name = path.relative_to(SOURCES)
        if name.parts[0] != package or path.name == "__init__.py":
            continue
        if "kernels" not in name.parts:  # named like the module that calls them
            places[path.stem].append(str(name))
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(name))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_exported_name_is_that_of_a_module_beside_it() -> None:
    """``from package import name`` would give the one or the other."""
    clashes = {}
    for stub in sorted(SOURCES.rglob("__init__.pyi")):
        beside = {path.stem for path in stub.parent.iterdir()}
        exported = {
            alias.name
            for node in ast.parse(stub.read_text()).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        if beside & exported:
            clashes[str(stub)] = beside & exported
    assert clashes == {}


def test_a_long_file_says_first_why() -> None:
    unexplained = []
    for path in modules():
        lines = path.read_text().splitlines()
        if len(lines) > MOST_LINES and not lines[0].startswith("# Long because"):
            unexplained.append((path.name, len(lines)))
    assert unexplained == []


def test_tests_lie_where_what_they_test_lies() -> None:
    other = {"benchmarks", "docs", "questions", "release"}
    astray = [
        str(path.relative_to(TESTS))
        for path in sorted(TESTS.rglob("test_*.py"))
        if (folder := path.parent.relative_to(TESTS)).parts[:1]
        and folder.parts[0] not in other
        and not (SOURCES / folder).is_dir()
    ]
    assert astray == []


def test_the_drawing_is_that_of_the_sources() -> None:
    page = PAGE.read_text()
    assert page == page_with_drawing(page), "run docs/explanation/make_architecture.py"
