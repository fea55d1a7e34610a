"""How a source of profiles was understood, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ColumnRow = tuple[str, str, str, str]
"""Title, what it is understood as, unit, and a note."""


def format_columns(rows: Sequence[ColumnRow]) -> str:
    """Return a table with one line per column of a source."""
    return tabulate(
        [[printable(cell) for cell in row] for row in rows],
        headers=["column", "understood as", "unit", "note"],
        tablefmt="simple",
        disable_numparse=True,
    )


def format_readiness(goals: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return what can be planned, and what is lacking for the rest, a line each."""
    lines = []
    for goal, lacking in goals:
        if not lacking:
            lines.append(f"{goal}: nothing is missing")
        lines += [f"{goal}: missing is {printable(text)}" for text in lacking]
    return "\n".join(lines)
