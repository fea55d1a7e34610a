"""Wishes from columns of the table that holds the profiles.

``demand``, ``latency_limit_ms``, ``replicas``, ``max_replicas``, ``min_traffic``,
``weight``, ``optional``, ``min_retention`` and ``one_load_point``, spelled in any way
and with a unit behind them: ``Demand (req/s)``, ``latency limit (s)``. A request holds
as many inferences as the row's batch size says, as in columns of throughput. A model of
several rows says it in one of them, or the same in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, ProfileDataError
from gpupack.files import AnyPath
from gpupack.importers.source_text import read_source_text
from gpupack.importers.tables.cells import NumberStyle, is_missing
from gpupack.importers.tables.layout.csv_text import read_csv
from gpupack.importers.tables.layout.flat_json import csv_in
from gpupack.importers.tables.table_content import is_model_name
from gpupack.importers.tables.titles.columns import (
    Dialect,
    understand,
    understand_columns,
)
from gpupack.importers.tables.titles.wish_titles import (
    FLAGS,
    WishTitle,
    in_given_unit,
    unit_of_wish,
    units_of,
    wish_in_column,
)
from gpupack.importers.tables.values import style_of
from gpupack.quoting import quoted
from gpupack.records.request import Request
from gpupack.spreadsheet_cells import cell_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.importers.tables.layout.csv_text import CsvTable

_YES_OR_NO = {
    "true": True, "yes": True, "y": True, "1": True, "x": True,
    "false": False, "no": False, "n": False, "0": False,
}  # fmt: skip


def table_in(path: AnyPath) -> CsvTable | None:
    """Return the table in a file, of CSV or of JSON; None for other JSON.

    Raises:
        StoreError: If the file cannot be read.
        ProfileDataError: If it is text, but no table.
    """
    text = csv_in(read_source_text(path))
    return None if text is None else read_csv(text, str(path))


def wishes_of(
    table: CsvTable,
    *,
    columns: Mapping[str, str] | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
    units: Mapping[str, str] | None = None,
) -> Request | None:
    """Return what the columns of a table ask of its models; None if they ask nothing.

    The request knows of each wish which column it is from.

    Args:
        table: As it was read.
        columns: Titles whose meaning the caller knows, as ``read_profiles()`` takes
            them; ``{"needed": "demand"}``.
        model_name: Of all rows, where no column says.
        batch_size: Of all rows, where no column says.
        units: By title or wish, the unit; those of other columns are not looked at.

    Raises:
        ProfileDataError: If a row contradicts another, or two columns ask the same.
        InvalidInputError: If a value is none that the wish can have.
    """
    where = table.where
    meanings = {
        title.strip().casefold(): meaning for title, meaning in (columns or {}).items()
    }
    wishes = _columns(table, meanings, units or {})
    of_names = _title_of(table, "model_name", meanings)
    if of_names is not None:
        names: Sequence[str] = table.column(of_names)
    elif model_name is not None:
        names = [model_name] * len(table.rows)
    else:
        return None
    if not wishes:
        return None
    uses = understand_columns(
        table.titles,
        where=where,
        dialect=Dialect(),
        columns=columns,
        units=units,
        is_one_of_several=True,
    )
    style = style_of(table, uses)  # as its readings are written, too
    of_batches = _title_of(table, "batch_size", meanings)
    batches = None if of_batches is None else table.column(of_batches)
    batch_of_all = "1" if batch_size is None else str(batch_size)
    models: dict[str, dict[str, object]] = {}
    said_at: dict[tuple[str, ...], str] = {}
    for index, name in enumerate(names):
        for title, of in wishes.items():
            cell = table.column(title)[index]
            if not is_model_name(name) or is_missing(cell):
                continue
            place = f"{table.row_name(index)}, {title}"
            batch = batch_of_all if batches is None else batches[index].strip()
            value = _value(of, cell, style, place, batch)
            model_name = cell_text(name)
            _require_possible(model_name, of.wish, value, place)
            _add(models.setdefault(model_name, {}), of, value, table, index)
            path_of = ("models", model_name, of.wish)
            said_at[path_of] = f"{quoted(where)}, column {quoted(title)}"
    return Request.model_validate({"models": models}).said(said_at)


def _columns(
    table: CsvTable, meanings: Mapping[str, str], units: Mapping[str, str]
) -> dict[str, WishTitle]:
    """Return what the columns ask, by title, less those in a unit that is not known.

    Raises:
        ProfileDataError: If two ask the same.
    """
    found: dict[str, WishTitle] = {}
    title_of: dict[str, str] = {}
    for title in table.titles:
        of = wish_in_column(title, meanings.get(title.casefold()))
        of = None if of is None else in_given_unit(title, of, units)
        if of is None or of.unit is None:
            continue
        if of.wish in title_of:
            raise ProfileDataError(
                f"{table.where}: columns {quoted(title_of[of.wish])} and "
                f"{quoted(title)} both ask for {of.wish}; keep one"
            )
        title_of[of.wish] = title
        found[title] = of
    return found


def _title_of(table: CsvTable, field: str, meanings: Mapping[str, str]) -> str | None:
    for title in table.titles:
        meaning = meanings.get(title.casefold(), title)
        if understand(meaning, Dialect()).field == field:
            return title
    return None


def _require_possible(name: str, wish: str, value: object, place: str) -> None:
    """Check that a wish can have a value.

    Raises:
        InvalidInputError: Naming row and column.
    """
    try:
        Request.model_validate({"models": {name: {wish: value}}})
    except GpupackError as err:
        raise type(err)(f"{place}: {err}") from err


def _value(
    of: WishTitle, cell: str, style: NumberStyle, where: str, batch: str
) -> object:
    """Return what a cell says, in the wish's own unit.

    Raises:
        ProfileDataError: If it is no number, in no unit of the wish, or neither yes
            nor no.
    """
    if of.wish in FLAGS:
        known = _YES_OR_NO.get(cell.strip().casefold())
        if known is None:
            raise ProfileDataError(f"{where} is {quoted(cell)}; it must be yes or no")
        return known
    try:
        number, unit_text = style.parse(cell)
    except ValueError as err:
        raise ProfileDataError(f"{where} is {quoted(cell)}, {err}") from err
    unit = unit_of_wish(of.wish, unit_text) if unit_text else of.unit
    if unit is None:
        raise ProfileDataError(
            f"{where} is {quoted(cell)}; write the number alone, in the unit of the "
            f"title, or a unit behind it: {units_of(of.wish)}"
        )
    factor = unit.factor * (_batch_size(batch, where) if unit.are_requests else 1)
    if factor != 1:
        number = float(f"{number * factor:.12g}")
    return int(number) if number.is_integer() else number


def _batch_size(cell: str, where: str) -> int:
    """Return how many inferences a request of this row holds.

    Raises:
        ProfileDataError: If the row does not say.
    """
    if not cell.isdecimal() or int(cell) < 1:
        raise ProfileDataError(
            f"{where} counts requests, but the row's batch size is {quoted(cell)}, so "
            "what one holds is not known; say it in infer/sec"
        )
    return int(cell)


def _add(
    asked: dict[str, object], of: WishTitle, value: object, table: CsvTable, index: int
) -> None:
    wish = of.wish
    if asked.setdefault(wish, value) == value:
        return
    is_of_requests = of.unit is not None and of.unit.are_requests
    raise ProfileDataError(
        f"{table.row_name(index)}: {wish} is {value}, but another row of the model "
        f"says {asked[wish]}; say it once"
        + (
            ", in infer/sec, where batch sizes differ: a request holds as many "
            "inferences as the row's batch size says"
            if is_of_requests
            else ""
        )
    )
