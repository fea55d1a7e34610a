"""The numbers in a table's columns, in the units that records have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, cast

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.cells import NumberStyle, is_missing, number_style
from gpupack.importers.tables.titles.wish_titles import FLAGS
from gpupack.importers.tables.units import Kind, is_requests, spelled, worth
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse

_MAX_DIGITS = 9
"""Of a batch size or a concurrency."""
_MOST_COUNT = 10**_MAX_DIGITS - 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of one column.

    Args:
        values: By row, in the record's unit; None where the cell has no value.
        are_requests: Whether a rate counts requests rather than their inputs.
    """

    values: Sequence[float | None]
    are_requests: bool = False


def style_of(table: CsvTable, uses: Sequence[ColumnUse]) -> NumberStyle:
    """Return how a table writes numbers, those of wishes included.

    Raises:
        ProfileDataError: If that cannot be said.
    """
    columns = [
        index
        for index, use in enumerate(uses)
        if use.kind is not None
        or use.field == "requests_per_sec"
        or (use.wish is not None and use.wish.wish not in FLAGS)
    ]
    cells = list(chain.from_iterable(map(table.column_at, columns)))
    return number_style(cells, where=table.where, separator=table.separator)


def has_units(cells: Sequence[str], kind: Kind, style: NumberStyle) -> bool:
    """Return whether every cell that has a number has its unit, too."""
    num_units = 0
    for cell in cells:
        if is_missing(cell):
            continue
        try:
            _, unit = style.parse(cell)
        except ValueError:
            return False
        if not unit or worth(kind, unit) is None:
            return False
        num_units += 1
    return num_units > 0


def column_numbers(
    table: CsvTable, use: ColumnUse, style: NumberStyle, *, is_decimal: bool
) -> Numbers:
    """Return the numbers of a column.

    Args:
        table: Has the column.
        use: What it means; its kind is known.
        style: How numbers are written.
        is_decimal: Whether a MB is 10⁶ bytes.

    Raises:
        ProfileDataError: Naming row, column and value of what is no finite number ≥ 0,
            or is in another unit.
    """
    assert use.kind is not None
    factor = 1.0
    if use.unit is not None:
        factor = worth(use.kind, use.unit, is_decimal=is_decimal) or 1.0
    values: list[float | None] = []
    requests = {is_requests(use.unit)} if use.unit is not None else set[bool]()

    def where(number: int) -> str:
        return f"{table.row_name(number)}: {use.title}"

    is_plain = style.decimal == "." and use.unit is not None
    factors: dict[str, float] = {}
    for number, cell in enumerate(table.column(use.title)):
        if is_plain:
            try:
                value = float(cell) * factor
            except ValueError:
                pass
            else:
                if 0 <= value < math.inf:
                    values.append(value)
                    continue
        if is_missing(cell):
            values.append(None)
            continue
        try:
            value, unit = style.parse(cell)
        except ValueError as err:
            raise _no_number(cell, where(number), err) from err
        if unit in factors:
            value *= factors[unit]
        elif unit:
            worth_of_cell = worth(use.kind, unit, is_decimal=is_decimal)
            if worth_of_cell is None:
                raise ProfileDataError(
                    f"{where(number)} is {quoted(cell)}: {quoted(unit)} is no unit "
                    f"of it; it may be in {spelled(use.kind)}"
                )
            if use.kind is Kind.RATE:
                requests.add(is_requests(unit))
            factors[unit] = worth_of_cell
            value *= worth_of_cell
        elif use.unit is None:
            raise ProfileDataError(f"{where(number)} is {quoted(cell)}, without a unit")
        else:
            value *= factor
        if not 0 <= value < math.inf:
            raise ProfileDataError(
                f"{where(number)} is {cell[:40]}; it must be a finite number ≥ 0"
            )
        values.append(value)
    if len(requests) > 1:
        raise ProfileDataError(
            f"{table.where}: {use.title} has rates of requests and of their inputs; "
            "write all in one unit"
        )
    return Numbers(values, are_requests=True in requests)


def readings_by_row(
    columns: Mapping[str, Sequence[float | None]], num_rows: int
) -> Iterator[dict[str, float]]:
    """Yield the numbers that each row has, by field.

    Args:
        columns: Numbers by field, and in it by row.
        num_rows: How many rows there are, for a table without numbers.
    """
    rows: Iterable[tuple[float | None, ...]] = zip(*columns.values(), strict=True)
    for row in rows if columns else [()] * num_rows:
        readings = dict(zip(columns, row, strict=True))
        if None in row:
            yield {name: one for name, one in readings.items() if one is not None}
        else:
            yield cast("dict[str, float]", readings)


def _no_number(cell: str, where: str, err: ValueError) -> ProfileDataError:
    """Return the error of a cell that holds no number, or no finite one."""
    try:
        is_finite = math.isfinite(float(cell))
    except ValueError:
        is_finite = True
    if not is_finite:
        return ProfileDataError(
            f"{where} is {cell[:40]}; it must be a finite number ≥ 0"
        )
    return ProfileDataError(f"{where} is {quoted(cell)}, {err}")


def count(cell: str, where: str, *, least: int = 1) -> int:
    """Return a cell as a whole number; ``4.0`` is one, too.

    Args:
        cell: Its text.
        where: Row and column for messages.
        least: The smallest that makes sense.

    Raises:
        ProfileDataError: If it is anything else.
    """
    text = cell.strip()
    whole = text.removesuffix(".0")
    if whole.isascii() and whole.isdecimal() and len(whole) <= _MAX_DIGITS:
        value = int(whole)
        if value >= least:
            return value
    raise ProfileDataError(
        f"{where} is {quoted(text)}; it must be a whole number ≥ {least} "
        f"of at most {_MAX_DIGITS} digits"
    )


def rate(cell: str, style: NumberStyle, where: str) -> float:
    """Return a cell as a number of requests a second.

    Raises:
        ProfileDataError: If it is no number > 0.
    """
    try:
        value, unit = style.parse(cell)
    except ValueError as err:
        raise _no_number(cell, where, err) from err
    if value <= 0 or (unit and not is_requests(unit)):
        raise ProfileDataError(
            f"{where} is {quoted(cell)}; it must be a number of requests a second > 0"
        )
    return value
