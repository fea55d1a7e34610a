"""Tables as JSON: a list of objects, an object a line, or a list for each column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from pydantic_core import from_json

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.layout.json_text import json_of
from gpupack.quoting import quoted

_COLUMNS = re.compile(r'\{\s*"(?:[^"\\]|\\.){0,1000}"\s*:\s*\[\s*[^\s{]')
"""How an object of columns begins."""
_FEWEST = 3
"""Cells of an object that may be the only row of a table."""
_LONGEST_ROW = 100_000
"""Letters of a row as an object in a line of its own."""
Cell = str | int | float | bool | None


def csv_of(found: object) -> str | None:
    """Return the CSV text of a table as JSON; None if it is no table.

    Args:
        found: A list of objects without lists or objects in them, one such object, an
            object of equally long lists, or what pandas calls ``split``: ``columns``
            and ``data``.
    """
    if isinstance(found, list):
        return _of_objects(found)
    if not isinstance(found, dict):
        return None
    titles, data = found.get("columns"), found.get("data")
    if _are_cells(titles) and isinstance(data, list) and "index" in found:
        rows = [one for one in data if _are_cells(one) and len(one) == len(titles)]
        return (
            _written(list(map(str, titles)), rows) if len(rows) == len(data) else None
        )
    columns = list(found.values())
    if len(columns) >= _FEWEST and _are_cells(columns) and "kind" not in found:
        return _of_objects([found])  # the only line of JSON Lines
    if not columns or not all(map(_are_cells, columns)):
        return None
    if len({len(one) for one in columns}) > 1:
        return None
    return _written(list(found), list(zip(*columns, strict=True)))


def csv_of_text(text: str, found: object) -> str | None:
    """Return the CSV text of a table that a text in braces may be.

    Args:
        text: As it stands in the file.
        found: The one JSON value that it is; None if it is none.
    """
    return csv_of_lines(text) if found is None else csv_of(found)


def csv_of_lines(text: str) -> str | None:
    """Return the CSV text of a table with an object in each line; None if it is none.

    Objects with a ``kind`` are gpupack's own records.
    """
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            one = from_json(line)
        except ValueError:
            return None
        if not isinstance(one, dict) or "kind" in one:
            return None
        found.append(one)
    return _of_objects(found)


def refuse_broken_line(text: str, where: str) -> None:
    """Say which line of a table with an object in each is none.

    A text whose first line is no row of a table is let pass.

    Raises:
        ProfileDataError: Naming the first line that cannot be read as an object.
    """
    lines = [(n, one) for n, one in enumerate(text.splitlines(), 1) if one.strip()]
    if not lines or not _is_row(json_of(lines[0][1])):
        return
    for number, line in lines:
        found = json_of(line)
        if _is_row(found):
            continue
        if found is not None:
            problem = "not an object of names, numbers and texts alone, as the first is"
        elif number == lines[-1][0]:
            problem = (
                "cut off: not a whole JSON object; delete the line, or write the file "
                "again"
            )
        else:
            problem = "not a JSON object"
        raise ProfileDataError(f"{where}, line {number}: {problem}: {quoted(line)}")


def _is_row(found: object) -> bool:
    return _are_cells_of(found) and isinstance(found, dict) and "kind" not in found


def csv_in(text: str) -> str | None:
    """Return the CSV text of a table that a text may be; None for any other JSON.

    Looks at the beginning first: what is no table may be large.
    """
    beginning = text.lstrip("\ufeff \n\t")
    if beginning.startswith("["):
        return csv_of(json_of(beginning))
    if not beginning.startswith("{"):
        return text
    if _COLUMNS.match(beginning):
        return csv_of(json_of(beginning))
    line = beginning.partition("\n")[0]
    if len(line) > _LONGEST_ROW or not _are_cells_of(json_of(line)):
        return None
    return csv_of_lines(text)


def _are_cells_of(found: object) -> bool:
    return isinstance(found, dict) and _are_cells(list(found.values()))


def _of_objects(found: Sequence[object]) -> str | None:
    titles: dict[str, None] = {}
    rows: list[Mapping[str, Cell]] = []
    for one in found:
        if not isinstance(one, dict) or not _are_cells(list(one.values())):
            return None
        titles.update(dict.fromkeys(one))
        rows.append(one)
    if not rows:
        return None
    return _written(list(titles), [[one.get(name) for name in titles] for one in rows])


def _are_cells(values: object) -> TypeGuard[list[Cell]]:
    return isinstance(values, list) and all(
        one is None or isinstance(one, str | int | float) for one in values
    )


def _written(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(["" if one is None else one for one in row] for row in rows)
    return stream.getvalue()
