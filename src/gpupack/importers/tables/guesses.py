"""Units that a table does not name: guessed where the numbers leave no doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.titles.columns import AS_GIVEN
from gpupack.importers.tables.units import SERVER_MEMORY, Kind, worth
from gpupack.importers.tables.values import has_units
from gpupack.quoting import listed, quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.importers.tables.cells import NumberStyle
    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse

_LEAST_MIB = 64
"""A server with a model on a GPU takes more; CUDA's context alone does."""
_MOST_MIB = 1_500_000
"""No GPU has more."""


def guess_unit(table: CsvTable, use: ColumnUse, style: NumberStyle) -> ColumnUse:
    """Return a column with the unit that its numbers must have.

    A time without a unit is kept aside: milliseconds and microseconds look the same.
    Shares between 0 and 1 are taken for what they are, unless the title says percent.

    Raises:
        ProfileDataError: If the numbers do not tell, or contradict the title; says how
            to name the unit.
    """
    if use.kind not in (Kind.MEMORY, Kind.SHARE, Kind.TIME) or use.field is None:
        return use
    is_percent = use.unit is not None and worth(use.kind, use.unit) == 1.0
    if use.unit is not None and not (use.kind is Kind.SHARE and is_percent):
        return use
    cells = table.column(use.title)
    if all(map(is_missing, cells)) or has_units(cells, use.kind, style):
        return use
    if use.kind is Kind.TIME:
        return replace(
            use,
            field=None,
            kind=None,
            note="its unit is not known; give one, such as --unit latency=ms",
        )
    values = _values(cells, style)
    if use.kind is Kind.MEMORY:
        return _memory(table, use, list(values.values()))
    return _share(table, use, values, len(cells) - sum(map(is_missing, cells)))


def _values(cells: Sequence[str], style: NumberStyle) -> dict[int, float]:
    """Return the numbers without a unit, by row."""
    values = {}
    for index, cell in enumerate(cells):
        if style.decimal == ".":
            try:
                values[index] = float(cell)
            except ValueError:
                pass
            else:
                continue
        if is_missing(cell):
            continue
        try:
            value, unit = style.parse(cell)
        except ValueError:
            continue  # told by row and column where it is read
        if not unit:
            values[index] = value
    return values


def _memory(table: CsvTable, use: ColumnUse, values: Sequence[float]) -> ColumnUse:
    used = [value for value in values if value != 0]
    if used and not (min(used) >= _LEAST_MIB and max(used) <= _MOST_MIB):
        raise ProfileDataError(
            f"{table.where}: {use.title} has {min(used):g} to {max(used):g} of a unit "
            "that its title does not name; give it: "
            + setting("units", {"memory": "GB"}, shell="memory=GB")
            + " (bytes, MiB, MB, GiB or GB); for the server alone, "
            + setting(
                "units",
                {SERVER_MEMORY: "GB"},
                shell=quoted(f"{SERVER_MEMORY}=GB"),
            )
        )
    return replace(use, unit="mib", note="taken as MiB")


def _share(
    table: CsvTable, use: ColumnUse, values: Mapping[int, float], num_cells: int
) -> ColumnUse:
    """Return a column of utilizations as shares of 1 or percents.

    The highest that NVML reads is a whole percent: 0.61 of it can only be a share.
    """
    fractions = {index: one for index, one in values.items() if 0 < one < 1}
    larger = {index: one for index, one in values.items() if one > 1}
    is_highest = "mean" not in (use.field or "")
    is_percent = use.unit is not None
    if use.note.endswith(AS_GIVEN):
        return use
    if is_percent and not is_highest:
        if not fractions or not larger:
            return use
        index, value = next(iter(fractions.items()))
        note = f"{value:g} in row {table.numbers[index]} read as percent, as the others"
        return replace(use, note=note)
    if fractions and (larger or len(values) < num_cells):
        if any("host, " in cell for row in table.rows for cell in row):
            return use if is_percent else replace(use, unit="%")
        raise _mixed(table, use, fractions, larger)
    are_small = bool(values) and max(values.values()) <= 1
    if not is_percent:
        if fractions:
            note = "all are ≤ 1, so taken as shares: 1 is 100 %"
            return replace(use, unit="ratio", note=note)
        if are_small and any(values.values()) and len(values) == num_cells:
            raise ProfileDataError(
                f"{table.where}: {use.title} is 0 or 1 in every row: 1 may be 1 % or "
                f"all of it; {_say_what(use)}"
            )
        return replace(use, unit="%")
    if fractions:
        example = next(iter(fractions.values()))
        if any("host, " in cell for row in table.rows for cell in row):
            return use  # the host's CPU share is no whole number
        raise ProfileDataError(
            f"{table.where}: {use.title} is at most 1 in every row, such as "
            f"{example:g}, but the highest utilization of a GPU is read in whole "
            f"percents; {_say_what(use)}"
        )
    return use


def _mixed(
    table: CsvTable,
    use: ColumnUse,
    fractions: Mapping[int, float],
    larger: Mapping[int, float],
) -> ProfileDataError:
    """Return the error of a column that has shares of 1 beside percents."""
    rows = listed([str(table.numbers[index]) for index in fractions])
    index, example = next(iter(fractions.items()))
    beside = "cells with a unit"
    if larger:
        other, value = next(iter(larger.items()))
        beside = f"{value:g} in row {table.numbers[other]}"
    return ProfileDataError(
        f"{table.where}: {use.title} is a share of 1 in row {rows} ("
        f"{example:g} in row {table.numbers[index]}), beside {beside}: write all in "
        f"one unit; or, if all are in one, {_say_what(use)}"
    )


def _say_what(use: ColumnUse) -> str:
    shares, percents = (
        setting(
            "units",
            python=f"{{{quoted(use.title)}: {unit!r}}}",
            shell=f"{quoted(use.title)}={unit}",
        )
        for unit in ("ratio", "percent")
    )
    return f"say what it is: {shares} for shares of 1, {percents} for percents"
