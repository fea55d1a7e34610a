"""Units that a table does not name: guessed where the numbers leave no doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.titles.columns import AS_GIVEN
from gpupack.importers.tables.units import Kind, worth
from gpupack.importers.tables.values import has_units
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.tables.cells import NumberStyle
    from gpupack.importers.tables.titles.columns import ColumnUse
    from gpupack.importers.tables.layout.csv_text import CsvTable

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
    cells = [cell for cell in table.column(use.title) if not is_missing(cell)]
    if not cells or has_units(cells, use.kind, style):
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
        return _memory(table, use, values)
    return _share(table, use, values)


def _values(cells: Sequence[str], style: NumberStyle) -> list[float]:
    values = []
    for cell in cells:
        if style.decimal == ".":
            try:
                values.append(float(cell))
            except ValueError:
                pass
            else:
                continue
        try:
            value, unit = style.parse(cell)
        except ValueError:
            continue  # told by row and column where it is read
        if not unit:
            values.append(value)
    return values


def _memory(table: CsvTable, use: ColumnUse, values: Sequence[float]) -> ColumnUse:
    used = [value for value in values if value != 0]
    if used and not (min(used) >= _LEAST_MIB and max(used) <= _MOST_MIB):
        raise ProfileDataError(
            f"{table.where}: {use.title} has {min(used):g} to {max(used):g} of a unit "
            'that its title does not name; give it: units={"memory": "GB"} in Python, '
            "--unit memory=GB in the shell (bytes, MiB, MB, GiB or GB)"
        )
    return replace(use, unit="mib", note="taken as MiB")


def _share(table: CsvTable, use: ColumnUse, values: Sequence[float]) -> ColumnUse:
    are_shares = max(values, default=1) <= 1 and any(0 < one < 1 for one in values)
    if use.unit is None:
        if are_shares:
            note = "all are ≤ 1, so taken as shares: 1 is 100 %"
            return replace(use, unit="ratio", note=note)
        return replace(use, unit="%")
    is_highest = "mean" not in (use.field or "")
    if are_shares and is_highest and not use.note.endswith(AS_GIVEN):
        example = next(one for one in values if 0 < one < 1)
        if any("host, " in cell for row in table.rows for cell in row):
            return use  # the host's CPU share is no whole number
        raise ProfileDataError(
            f"{table.where}: {use.title} is at most 1 in every row, such as "
            f"{example:g}, but the highest utilization of a GPU is read in whole "
            "percents; say what it is: "
            f'units={{{quoted(use.title)}: "ratio"}} for shares of 1, '
            '"percent" for percents (--unit in the shell)'
        )
    return use
