"""How a model was driven, as the cells of a row say it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.values import count, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.importers.tables.cells import NumberStyle
    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse

Load = tuple[int, int | None, float | None]
"""Batch size, concurrency and requests a second; one of the last two is None."""


LOAD_TITLES = ("batch_size", "concurrency")
LOAD_ASSUMED = (
    "no column says batch size and concurrency: taken as 1 and 1, one request of one "
    "input at a time; throughput, utilizations and memory stand as they are"
)


def with_assumed_load(
    table: CsvTable, uses: Sequence[ColumnUse], is_model: Callable[[str], bool]
) -> CsvTable | None:
    """Return a table that says nothing of loads with columns that say 1 and 1.

    As people write down what they know of models that serve one request after the
    other.

    Args:
        table: As it was read.
        uses: How its columns were understood.
        is_model: Whether a row of this name is of a model.

    Returns:
        None where the table says something, or has no readings of named models.
    """
    known = {one.field for one in uses}
    has_readings = known & {"gpu_utilization_percent", "gpu_memory_used_bytes"}
    if (
        known & {*LOAD_TITLES, "requests_per_sec"}
        or any(one.unit == "requests/sec" for one in uses)
        or set(table.titles) & set(LOAD_TITLES)
        or "model_name" not in known
        or not has_readings
    ):
        return None
    title = next(one.title for one in uses if one.field == "model_name")
    rows = [
        [*row, *(["1", "1"] if is_model(name) else ["", ""])]
        for row, name in zip(table.rows, table.column(title), strict=True)
    ]
    return replace(table, titles=(*table.titles, *LOAD_TITLES), rows=rows)


def read_load(
    *,
    batch_size: str | int,
    concurrency: str | None,
    requests_per_sec: str | None,
    style: NumberStyle,
    where: Callable[[str], str],
) -> Load:
    """Return the load that the cells of a row say.

    Tables with a column for each way leave one empty, or 0, where the other holds.

    Args:
        batch_size: The cell, or what the caller knows.
        concurrency: The cell; None if there is no such column.
        requests_per_sec: The cell; None if there is no such column.
        style: How numbers are written.
        where: Returns row and column for messages, by the field's name.

    Raises:
        ProfileDataError: Naming the cell that is no such number.
    """
    size = batch_size
    if isinstance(size, str):
        size = count(size, where("batch_size"))
    is_open = concurrency is None or is_missing(concurrency)
    is_open = is_open or (
        requests_per_sec is not None
        and not is_missing(requests_per_sec)
        and concurrency in ("0", "0.0")
    )
    if requests_per_sec is not None and is_open:
        return size, None, rate(requests_per_sec, style, where("requests_per_sec"))
    return size, count(concurrency or "", where("concurrency")), None
