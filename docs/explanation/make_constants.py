"""Write the table of the packing engines' tuning constants, from the sources.

Run from the repository's root: ``python docs/explanation/make_constants.py``.
``tests/docs/test_constants.py`` fails while the table is not that of the sources.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "gpupack" / "packing"
PAGE = Path(__file__).with_name("tuning_constants.md")
HEAD = """# Tuning constants of the packing engines

Every number in `gpupack.packing` that trades one good for another, with the words that
stand below it in the source. The table is written by
`docs/explanation/make_constants.py` and checked by a test. None of them can make an
answer wrong: they decide how long is looked, and where.

`benchmarks.run_packing` (item engine) and `benchmarks.plan` (capacity engine) measure
all constants of an engine together, at the values of their day. A constant that was
measured by itself names its benchmark in the last column; of all others "not measured"
says that nobody has yet varied it alone and kept the figures.

| constant | module | value | what it is | measured alone |
|---|---|---|---|---|
"""
MEASURED: dict[tuple[str, str], str] = {}
"""By module and constant: the benchmark that varied it, and where its figures are."""


@dataclass(frozen=True)
class Constant:
    """A number at the top of a module.

    Attributes:
        module: Its path below ``packing``, dotted.
        name: Of the constant.
        value: As the source writes it.
        words: The docstring below it; empty if there is none.
    """

    module: str
    name: str
    value: str
    words: str


def read_constants() -> list[Constant]:
    """Return the numeric constants of every module, in the order of the sources."""
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        source = path.read_text()
        body = ast.parse(source).body
        for place, node in enumerate(body):
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            (target,) = node.targets
            if isinstance(target, ast.Name) and _is_number(node.value):
                found.append(
                    Constant(
                        module,
                        target.id,
                        ast.get_source_segment(source, node.value) or "",
                        _words(body, place),
                    )
                )
    return found


def _is_number(node: ast.expr) -> bool:
    """Return whether an expression is a number, or several, or sums of them."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    if isinstance(node, ast.Tuple):
        return bool(node.elts) and all(map(_is_number, node.elts))
    return False


def _words(body: list[ast.stmt], place: int) -> str:
    """Return the docstring right below an assignment, empty if there is none."""
    if place + 1 == len(body):
        return ""
    below = body[place + 1]
    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
        return " ".join(str(below.value.value).split())
    return ""


def page() -> str:
    """Return the page with the table as the sources have it now."""
    rows = [
        f"| `{one.name}` | `{one.module}` | {one.value} | {_cell(one.words)} | "
        f"{MEASURED.get((one.module, one.name), 'not measured')} |"
        for one in read_constants()
    ]
    return HEAD + "\n".join(rows) + "\n"


def _cell(words: str) -> str:
    return words.replace("``", "`").replace("|", "\\|") or "–"


if __name__ == "__main__":
    PAGE.write_text(page())
