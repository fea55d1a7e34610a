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
    ready = []
    goals_without: dict[str, list[str]] = {}
    for goal, lacking in goals:
        if not lacking:
            ready.append(goal)
        for text in lacking:
            goals_without.setdefault(text, []).append(goal)
    lines = [f"nothing is missing for {_and(ready)}"] if ready else []
    lines += [
        f"missing for {_and(of_text)}: {printable(text)}"
        for text, of_text in goals_without.items()
    ]
    return "\n".join(lines)


def _and(names: Sequence[str]) -> str:
    """Return names with commas between them, and "and" before the last."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
