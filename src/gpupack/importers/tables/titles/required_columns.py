"""Columns that a table of profiles must have, and what a table without is instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import NotProfilesError, ProfileDataError
from gpupack.importers.tables.titles.columns import MEANINGS, Dialect, understand
from gpupack.quoting import listed, printable, quoted, shortened
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse

_LOADS = ("batch_size", "concurrency", "requests_per_sec")
_MAX_SHOWN = 200
"""Letters of a table's titles that a message repeats."""
_FEWEST = 3
"""Titles of profiles, in a line, that cannot be there by chance."""
_MOST_LINES = 20
_METRIC_WORDS = ("metric", "measurement", "kpi", "quantity", "measure")


def require_columns(
    table: CsvTable,
    uses: Sequence[ColumnUse],
    model_name: str | None,
    batch_size: int | None,
) -> None:
    """Check that a table has what every profile has.

    Args:
        table: The table.
        uses: How its columns were understood.
        model_name: As the caller gave it.
        batch_size: As the caller gave it.

    Raises:
        NotProfilesError: If it holds no profiles at all.
        ProfileDataError: Naming the columns that are missing.
    """
    why = _why_no_profiles(table, uses)
    if why is not None:
        raise NotProfilesError(f"{table.where}: not profiles: {why}")
    fields = {use.field for use in uses}
    missing = []
    if "model_name" not in fields and model_name is None:
        missing.append("model_name")
    if "batch_size" not in fields and batch_size is None:
        missing.append("batch_size")
    if not fields & {"concurrency", "requests_per_sec"}:
        missing.append("concurrency")
    if missing:
        raise ProfileDataError(
            f"{table.where}: missing columns {', '.join(missing)}; a table of profiles "
            f"has {', '.join(MEANINGS)} (see 'Read profiles' in the documentation), "
            f"this one has {_titles(table.titles)}; say which of them is meant with "
            + setting(
                "columns",
                python=f'{{"TITLE": "{missing[0]}"}}',
                shell=f"TITLE={missing[0]}",
            )
            + f", or add a column {missing[0]}"
            + _said_once(missing[0])
        )


def _said_once(name: str) -> str:
    """Return how to say what a column lacks for all rows at once, where one can."""
    values = {"batch_size": 1, "model_name": "NAME"}
    if name not in values:
        return ""
    return f", or say it for all rows with {setting(name, values[name])}"


def _titles(titles: Sequence[str]) -> str:
    return shortened(printable(", ".join(titles)), _MAX_SHOWN)


def _why_no_profiles(table: CsvTable, uses: Sequence[ColumnUse]) -> str | None:
    """Return why a table holds no profiles; None if it has loads or readings."""
    fields = {use.field for use in uses}
    if any(use.kind is not None and use.field for use in uses):
        return None
    metric = [one for one in table.titles if one.casefold() in _METRIC_WORDS]
    if metric and "value" in (one.casefold() for one in table.titles):
        return (
            f"it has one reading a row ({quoted(metric[0])}); give one row per model "
            "and load point, with a column for each reading (a pivot table)"
        )
    for index, row in enumerate(table.rows[:_MOST_LINES]):
        if _num_understood(row) >= _FEWEST:
            return (
                f"its titles seem to stand in row {table.numbers[index]}; remove the "
                "rows above it, and write what they say into the titles"
            )
    first = [table.titles[0] if table.titles else "", *(row[0] for row in table.rows)]
    if _num_understood(first[:_MOST_LINES]) >= _FEWEST:
        return "its titles stand in the first column: turn rows into columns"
    if fields & {*_LOADS}:
        return None
    if len(table.titles) == 1:
        return "it is text without columns"
    return (
        f"none of its columns ({listed(table.titles)}) is understood as throughput, "
        "latency, GPU utilization or memory; if one is, say which, such as "
        + setting(
            "columns",
            python='{"TITLE": "throughput_infer_per_sec"}',
            shell="TITLE=throughput_infer_per_sec",
        )
    )


def _num_understood(cells: Sequence[str]) -> int:
    """Return how many cells are titles of loads or readings."""
    found = [understand(cell[:200], Dialect()) for cell in cells]
    return sum(
        one.field in _LOADS or (one.kind is not None and one.field is not None)
        for one in found
    )
