"""Draw the house from the imports, into ``architecture.md`` between its two marks.

Run from the repository's root: ``python docs/explanation/make_architecture.py``.
``tests/test_house.py`` fails while the drawing is not that of the sources.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = "gpupack"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- drawing: begin -->", "<!-- drawing: end -->"
DRAWN = (
    "cli",
    "deploying",
    "verifying",
    "planning",
    "packing",
    "profiling",
    "importers",
    "report",
)
"""Packages drawn from inside, besides the whole."""


@dataclass(frozen=True)
class Package:
    """A package as its imports show it.

    Attributes:
        name: Dotted.
        floors: The names of its direct rooms, modules or packages, lowest floor
            first: each imports only those on lower floors.
    """

    name: str
    floors: tuple[tuple[str, ...], ...]

    @property
    def num_rooms(self) -> int:
        """How many modules and packages lie directly in it."""
        return sum(map(len, self.floors))


class CycleError(Exception):
    """Rooms of one package import each other."""


def read_packages() -> dict[str, Package]:
    """Return every package of gpupack by name.

    Raises:
        CycleError: If rooms of one package import each other; names them.
    """
    graph = grimp.build_graph(ROOT, cache_dir=None)
    rooms: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        if module != ROOT:
            rooms[module.rpartition(".")[0]].add(module)
    declared = _declared_exceptions()
    imports = [
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (module, imported) not in declared
    ]
    return {
        package: Package(package, _floors(package, rooms[package], imports))
        for package in sorted(rooms)
    }


def _declared_exceptions() -> set[tuple[str, str]]:
    """Return the imports that pyproject.toml lets go up."""
    settings = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]
    return {
        (module, imported)
        for contract in settings["contracts"]
        for one in contract.get("ignore_imports", ())
        for module, _, imported in [one.partition(" -> ")]
    }


def _floors(
    package: str, rooms: set[str], imports: list[tuple[str, str]]
) -> tuple[tuple[str, ...], ...]:
    below: dict[str, set[str]] = {room: set() for room in rooms}
    depth = package.count(".") + 2
    for module, imported in imports:
        if module.startswith(f"{package}.") and imported.startswith(f"{package}."):
            room = ".".join(module.split(".")[:depth])
            other = ".".join(imported.split(".")[:depth])
            if room != other:
                below[room].add(other)
    floors = []
    while below:
        floor = {room for room, others in below.items() if not others & below.keys()}
        if not floor:
            raise CycleError(f"in {package}: {', '.join(sorted(below))}")
        floors.append(tuple(sorted(room.rpartition(".")[2] for room in floor)))
        below = {room: others for room, others in below.items() if room not in floor}
    return tuple(floors)


def draw() -> str:
    """Return the drawing: the whole, then each package, highest floor first."""
    packages = read_packages()
    names = [ROOT, *(f"{ROOT}.{name}" for name in DRAWN)]
    names += [
        name
        for name in packages
        if name.count(".") > 1 and name.rpartition(".")[0] in names
    ]
    return "\n\n".join(_draw(packages[name]) for name in sorted(names, key=_order))


def _order(name: str) -> tuple[int, str]:
    parts = name.split(".")
    return (DRAWN.index(parts[1]) if len(parts) > 1 else -1), name


def _draw(package: Package) -> str:
    width = 78
    lines = [
        f"{package.name}  ({package.num_rooms} rooms, {len(package.floors)} floors)"
    ]
    for height, floor in reversed(list(enumerate(package.floors, 1))):
        prefix = f"  {height}  "
        line = prefix
        for room in floor:
            if len(line) + len(room) > width:
                lines.append(line.rstrip())
                line = " " * len(prefix)
            line += f"{room}  "
        lines.append(line.rstrip())
    return "\n".join(lines)


def page_with_drawing(page: str) -> str:
    """Return a page with the present drawing between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n```text\n{draw()}\n```\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with_drawing(PAGE.read_text()))
