"""Wishes from columns of the table that holds the profiles.

``demand``, ``latency_limit_ms``, ``replicas``, ``max_replicas``, ``min_traffic``,
``weight``, ``optional``, ``min_retention`` and ``one_load_point``, under just these
titles. A model of several rows says it in one of them, or the same in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, ProfileDataError
from gpupack.files import AnyPath, read_text
from gpupack.importers.tables.cells import NumberStyle, is_missing, number_style
from gpupack.importers.tables.layout.csv_text import read_csv
from gpupack.importers.tables.table_content import is_model_name
from gpupack.importers.tables.titles.columns import Dialect, understand
from gpupack.importers.tables.titles.vocabulary import WISH_COLUMNS
from gpupack.quoting import quoted
from gpupack.records.request import Request
from gpupack.spreadsheet_cells import cell_text

if TYPE_CHECKING:
    from gpupack.importers.tables.layout.csv_text import CsvTable

_YES_OR_NO = {
    "true": True, "yes": True, "y": True, "1": True, "x": True,
    "false": False, "no": False, "n": False, "0": False,
}  # fmt: skip
_FLAGS = ("optional", "one_load_point")


def read_table_wishes(path: AnyPath) -> Request | None:
    """Return what the columns of a table ask of its models; None if they ask nothing.

    Raises:
        ProfileDataError: If the file is no table, or a row contradicts another.
        InvalidInputError: If a value is none that the wish can have.
    """
    where = str(path)
    table = read_csv(read_text(path), where)
    wishes = {
        title: title.strip().casefold()
        for title in table.titles
        if title.strip().casefold() in WISH_COLUMNS
    }
    names = next(
        (t for t in table.titles if understand(t, Dialect()).field == "model_name"),
        None,
    )
    if not wishes or names is None:
        return None
    style = number_style(
        [
            cell
            for title, wish in wishes.items()
            if wish not in _FLAGS
            for cell in table.column(title)
        ],
        where=where,
        separator=table.separator,
    )
    models: dict[str, dict[str, object]] = {}
    for index, name in enumerate(table.column(names)):
        for title, wish in wishes.items():
            cell = table.column(title)[index]
            if is_model_name(name) and not is_missing(cell):
                value = _value(wish, cell, style, f"{table.row_name(index)}, {title}")
                _add(models.setdefault(cell_text(name), {}), wish, value, table, index)
    try:
        return Request.model_validate({"models": models})
    except GpupackError as err:
        raise type(err)(f"{quoted(where)}: {err}") from err


def _value(wish: str, cell: str, style: NumberStyle, where: str) -> object:
    """Return what a cell says.

    Raises:
        ProfileDataError: If it is no number, or neither yes nor no.
    """
    if wish in _FLAGS:
        known = _YES_OR_NO.get(cell.strip().casefold())
        if known is None:
            raise ProfileDataError(f"{where} is {quoted(cell)}; it must be yes or no")
        return known
    try:
        number, unit = style.parse(cell)
    except ValueError as err:
        raise ProfileDataError(f"{where} is {quoted(cell)}, {err}") from err
    if unit == "%" and wish == "min_retention":
        return number / 100
    if unit:
        raise ProfileDataError(
            f"{where} is {quoted(cell)}; write the number alone, in the unit of the "
            "title"
        )
    return int(number) if number.is_integer() else number


def _add(
    asked: dict[str, object], wish: str, value: object, table: CsvTable, index: int
) -> None:
    if asked.setdefault(wish, value) != value:
        raise ProfileDataError(
            f"{table.row_name(index)}: {wish} is {value}, but another row of the model "
            f"says {asked[wish]}; say it once"
        )
