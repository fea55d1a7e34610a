"""Units in a row or column of their own: below the titles, or beside the numbers.

A row's unit is that of its own reading: 5 under ``memory`` is 5 GB in the row that says
GB, and 1461 is 1461 MiB in the row that says MiB.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.titles.columns import (
    AS_GIVEN,
    IGNORE,
    UNIT_FIELD,
    is_meant,
)
from gpupack.importers.tables.titles.vocabulary import title_parts
from gpupack.importers.tables.units import (
    KNOWN,
    Kind,
    folded,
    is_requests,
    spelled,
    worth,
)
from gpupack.quoting import quoted, quoted_all
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse


def with_units_in_cells(
    table: CsvTable, uses: Sequence[ColumnUse]
) -> tuple[CsvTable, list[ColumnUse]]:
    """Return a table whose readings have the units that other columns say.

    A first row that has nothing but units is part of the titles. A column that only
    says ``unit`` is of the reading before it, or else of all readings that can be in
    such a unit.

    Raises:
        ProfileDataError: If a row names a unit that is none of the reading, or another
            than the reading's title; or it names none while others do.
    """
    table, found = _with_unit_row(table, uses)
    uses = list(found)
    rows: list[list[str]] | None = None
    for index, use in enumerate(uses):
        if use.field is None or not use.field.startswith(UNIT_FIELD):
            continue
        told = [row[index] for row in table.rows]
        targets = _targets(index, uses, told)
        if all(map(is_missing, told)) or any(
            uses[one].note.endswith(AS_GIVEN) for one in targets
        ):
            found[index] = replace(use, field=None, note="not needed")
            continue
        if not targets:
            _require_known(table, use, told)
            found[index] = replace(use, field=None, note="no reading is in such a unit")
            continue
        rows = rows or [list(row) for row in table.rows]
        for target in targets:
            found[target] = _with_units(table, rows, target, uses[target], use, told)
        names = quoted_all([uses[one].title for one in targets])
        found[index] = replace(use, note=f"the unit of {names}, row by row")
    return (table if rows is None else replace(table, rows=rows)), found


def _with_unit_row(
    table: CsvTable, uses: Sequence[ColumnUse]
) -> tuple[CsvTable, list[ColumnUse]]:
    """Return a table without a row of units, and its columns in them.

    Raises:
        ProfileDataError: If one is no unit of its column, or another than its title's.
    """
    found = list(uses)
    row = [cell.strip("[]() ") for cell in table.rows[0]] if table.rows else []
    units = {index: cell for index, cell in enumerate(row) if cell and cell != "-"}
    if not units or not all(folded(unit) in KNOWN for unit in units.values()):
        return table, found
    for index, unit in units.items():
        use = found[index]
        if use.kind is None:
            continue
        of_title = title_parts(use.title)[2]
        if worth(use.kind, unit) is None or (
            of_title is not None and worth(use.kind, of_title) != worth(use.kind, unit)
        ):
            raise ProfileDataError(
                f"{table.row_name(0)} has units, of {use.title} {quoted(unit)}; it may "
                f"be {spelled(use.kind)}, and no other than its title says"
            )
        if not use.note.endswith(AS_GIVEN):
            found[index] = replace(use, unit=folded(unit), note="")
    return table.only(lambda index: index > 0), found


def _targets(
    index: int, uses: Sequence[ColumnUse], told: Sequence[str]
) -> Sequence[int]:
    """Return where the readings are whose units a column says."""
    field = uses[index].field or ""
    of = field.removeprefix(UNIT_FIELD).removeprefix(" of ")
    readings = [
        one
        for one, use in enumerate(uses)
        if use.kind is not None and use.field is not None
    ]
    if of:
        return [one for one in readings if is_meant(of, uses[one])]
    units = {unit for unit in told if not is_missing(unit)}

    def is_in_them(one: int) -> bool:
        kind = uses[one].kind
        return kind is not None and any(worth(kind, unit) for unit in units)

    if index - 1 in readings and is_in_them(index - 1):
        return [index - 1]
    bare = [one for one in readings if title_parts(uses[one].title)[2] is None]
    return [one for one in bare if is_in_them(one)]


def _require_known(table: CsvTable, use: ColumnUse, told: Sequence[str]) -> None:
    """Check that a column of units without a reading has known units.

    Raises:
        ProfileDataError: If it has others: they may be of any reading.
    """
    for row, unit in enumerate(told):
        if not is_missing(unit) and not any(worth(kind, unit) for kind in Kind):
            raise ProfileDataError(
                f"{table.row_name(row)}: {use.title} is {quoted(unit)}, no unit of any "
                f"reading; if it is something else, say so: {_ignoring(use)}"
            )


def _with_units(
    table: CsvTable,
    rows: list[list[str]],
    place: int,
    reading: ColumnUse,
    use: ColumnUse,
    told: Sequence[str],
) -> ColumnUse:
    """Write units behind the numbers of a reading, and return how it is understood."""
    assert reading.kind is not None
    kind = reading.kind
    of_title = title_parts(reading.title)[2]
    for index, (row, unit) in enumerate(zip(rows, told, strict=True)):
        cell = row[place]
        if is_missing(cell) or cell[-1].isalpha() or cell[-1] == "%":
            continue
        where = f"{table.row_name(index)}: {use.title}"
        if is_missing(unit):
            raise ProfileDataError(
                f"{where} is empty, but {reading.title} is {quoted(cell)}; write its "
                f"unit, as in the other rows, or {_ignoring(use)}"
            )
        if worth(kind, unit) is None:
            raise ProfileDataError(
                f"{where} is {quoted(unit)}, no unit of {reading.title}; it may be "
                f"{spelled(kind)}"
            )
        if of_title is not None and (
            worth(kind, unit) != worth(kind, of_title)
            or is_requests(unit) != is_requests(of_title)
        ):
            raise ProfileDataError(
                f"{where} is {quoted(unit)}, but the title of {reading.title} says "
                f"{of_title}; say which holds: {_ignoring(use)}, or --unit "
                f"{quoted(reading.title)}={unit}"
            )
        row[place] = f"{cell} {unit}"
    return reading if of_title is not None else replace(reading, unit=None)


def _ignoring(use: ColumnUse) -> str:
    return setting(
        "columns",
        python=f"{{{quoted(use.title)}: {IGNORE!r}}}",
        shell=f"{quoted(use.title)}={IGNORE}",
    )
