"""How a model was driven, as the cells of a row say it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.layout.csv_text import CsvTable
from gpupack.importers.tables.units import is_requests
from gpupack.importers.tables.values import count, rate
from gpupack.quoting import quoted, quoted_all
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.importers.tables.cells import NumberStyle
    from gpupack.importers.tables.table_content import TableContent
    from gpupack.importers.tables.titles.columns import ColumnUse

Load = tuple[int, int | None, float | None]
"""Batch size, concurrency and requests a second; one of the last two is None."""


_ZEROS = ("0", "0.0")
"""Cells of the way that a row was not driven, besides empty ones."""
LOAD_TITLES = ("batch_size", "concurrency")
_LOAD_ASSUMED = (
    "no column says batch size and concurrency: taken as 1 and 1, one request of one "
    "input at a time; throughput, utilizations and memory stand as they are"
)
_CONCURRENCY_ASSUMED = (
    "no column says the concurrency: taken as 1, one request at a time; throughput, "
    "utilizations and memory stand as they are"
)


class AssumedLoad(NamedTuple):
    """A table with columns for what it does not say of loads.

    Args:
        table: The further columns are its last.
        note: What was assumed.
    """

    table: CsvTable
    note: str


def with_assumed_load(
    table: CsvTable,
    uses: Sequence[ColumnUse],
    is_model: Callable[[str], bool],
    *,
    model_name: str | None = None,
    batch_size: int | None = None,
) -> AssumedLoad | None:
    """Return a table that does not say its loads with columns that say 1.

    As people write down what they know of models that serve one request after the
    other. A batch size is assumed where a request's inputs do not count alone: not of
    requests a second, and not where a concurrency is said.

    Args:
        table: As it was read.
        uses: How its columns were understood.
        is_model: Whether a row of this name is of a model.
        model_name: Of all rows, as the caller gave it.
        batch_size: Likewise.

    Returns:
        None where the table says what it must, or has no readings of named models.
    """
    known = {one.field for one in uses}
    has_size = "batch_size" in known or batch_size is not None
    readings = {"gpu_utilization_percent", "gpu_memory_used_bytes"}
    if has_size:
        readings |= {"throughput_infer_per_sec", "gpu_utilization_mean_percent"}
    if (
        known & {"concurrency", "requests_per_sec"}
        or set(table.titles) & {*LOAD_TITLES} - known
        or ("model_name" not in known and (model_name is None or not has_size))
        or not known & readings
        or (not has_size and any(is_requests(one.unit or "") for one in uses))
    ):
        return None
    titles = ("concurrency",) if has_size else LOAD_TITLES
    names: Sequence[str] = [model_name or ""] * len(table.rows)
    if "model_name" in known:
        names = table.column(
            next(one.title for one in uses if one.field == "model_name")
        )
    size_at = next(
        (index for index, one in enumerate(uses) if one.field == "batch_size"), None
    )
    rows = [
        [
            *row,
            *(
                [("1" if is_model(name) and _has_load(row, size_at) else "")]
                * len(titles)
            ),
        ]
        for row, name in zip(table.rows, names, strict=True)
    ]
    note = _CONCURRENCY_ASSUMED if has_size else _LOAD_ASSUMED
    aside = [one.title for one in uses if one.field is None and not one.note]
    if aside:
        note += (
            f"; not understood: {quoted_all(aside)}: if one of them says it, say so ("
            + setting("columns", {aside[0]: titles[0]}, shell=f"{aside[0]}={titles[0]}")
            + ")"
        )
    return AssumedLoad(replace(table, titles=(*table.titles, *titles), rows=rows), note)


def _has_load(row: Sequence[str], size_at: int | None) -> bool:
    """Return whether a row of a model says a batch size, where a column does."""
    return size_at is None or not is_missing(row[size_at])


def note_on_both_loads(content: TableContent) -> str | None:
    """Return what to say of rows with a concurrency and a rate of requests, or None."""
    names = ("concurrency", "requests_per_sec")
    if not content.position.keys() >= set(names):
        return None
    cells = [content.table.column_at(content.position[name]) for name in names]
    num_rows = sum(
        not any(map(_is_none_or_zero, both)) for both in zip(*cells, strict=True)
    )
    if not num_rows:
        return None
    titles = [quoted(content.uses[name].title) for name in names]
    return (
        f"{num_rows} row{'s' * (num_rows != 1)} with {' and '.join(titles)}: taken "
        "as measured at that concurrency; where requests were sent at that rate, leave "
        "the concurrency empty"
    )


def _is_none_or_zero(cell: str) -> bool:
    return is_missing(cell) or cell.strip() in _ZEROS


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
        and concurrency in _ZEROS
    )
    if requests_per_sec is not None and is_open:
        return size, None, rate(requests_per_sec, style, where("requests_per_sec"))
    return size, count(concurrency or "", where("concurrency")), None
