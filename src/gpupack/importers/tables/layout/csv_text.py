"""A table in a text file: its titles, rows and where each stands."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.layout.beginning import beginning_of
from gpupack.quoting import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SEPARATORS = (",", ";", "\t", "|")
_MAX_CELL = 10_000_000
_CUT_OFF = (
    "the file ends within a row, as that of a run that was stopped does: measure "
    "again, or remove the row; "
)
_TITLES_BELOW = (
    "if the titles are further down, remove the rows above them, and write what those "
    "say into the titles; "
)
_JSON = re.compile(r'[{}]|"\s*:|:\s*[\["]')
"""What JSON has and titles have not."""
_RULE = re.compile(r"(:?-{2,}:?)?")
_HEAD = 100_000
"""Letters that the titles are looked for in."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table of text cells.

    Args:
        where: Name of the file for messages.
        separator: What stands between cells.
        titles: Of the columns, without surrounding blanks; empty for one without.
        rows: Cells without surrounding blanks, as many per row as titles.
        numbers: Of the rows, as a spreadsheet numbers them; titles are row 1.
        ends_within_line: Whether the last line lacks its end.
        notes: On lines that were not read.
    """

    where: str
    separator: str
    titles: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int]
    ends_within_line: bool = False
    notes: tuple[str, ...] = ()
    _columns: dict[int, Sequence[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def column(self, title: str) -> Sequence[str]:
        """Return the cells of a column."""
        return self.column_at(self.titles.index(title))

    def column_at(self, position: int) -> Sequence[str]:
        """Return the cells of a column, taken from the rows once."""
        if position not in self._columns:
            self._columns[position] = [row[position] for row in self.rows]
        return self._columns[position]

    def row_name(self, index: int) -> str:
        """Return where a row stands, for messages."""
        return f"{self.where}, row {self.numbers[index]}"

    def only(self, is_kept: Callable[[int], bool]) -> CsvTable:
        """Return the table with the rows of these indices."""
        kept = [index for index in range(len(self.rows)) if is_kept(index)]
        if len(kept) == len(self.rows):
            return self
        return replace(
            self,
            rows=[self.rows[index] for index in kept],
            numbers=[self.numbers[index] for index in kept],
        )


def read_csv(text: str, where: str) -> CsvTable:
    """Return the table in a text; what separates cells, its first line says.

    Titles that stand again between rows, as where tables were put one after the other,
    and rows that begin with ``#`` are left out, with a note.

    Raises:
        ProfileDataError: If the table is empty, not CSV, names a column twice, or
            a row has more or fewer cells than there are titles.
    """
    beginning = beginning_of(text)
    head, num_above = beginning.table, beginning.num_lines
    separator = beginning.separator or _separator(head[:_HEAD])
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=separator, strict=True)
    try:
        lines = list(reader)
    except csv.Error as err:
        raise ProfileDataError(f"{where}: not a CSV table: {err}") from err
    if not lines or not any(cell.strip() for cell in lines[0]):
        raise ProfileDataError(f"{where}: the table is empty")
    titles = told_apart([title.strip() for title in lines[0]])
    if any(_JSON.search(title) for title in titles):
        # Nothing of it is repeated: it may hold tokens.
        raise ProfileDataError(
            f"{where}: neither a table nor whole JSON; give the file as it was written"
        )
    while titles and not titles[-1]:
        titles.pop()
    first = [title.strip() for title in lines[0]][: len(titles)]
    repeated = sorted(title for title, n in Counter(titles).items() if n > 1 and title)
    if repeated:
        raise ProfileDataError(f"{where}: columns named twice: {listed(repeated)}")
    rows: list[list[str]] = []
    numbers: list[int] = []
    left_out = []
    width = len(titles)
    for number, line in enumerate(lines[1:], start=2 + num_above):
        cells = [cell.strip() for cell in line]
        if len(cells) > width and not any(cells[width:]):
            del cells[width:]  # spreadsheets pad rows
        if not any(cells):
            continue
        if not rows and all(_RULE.fullmatch(cell) for cell in cells):
            continue  # below the titles of a table in Markdown
        if cells[0].startswith("#") or cells == first:
            left_out.append(number)
            continue
        if len(cells) != width:
            is_last = number == len(lines) + num_above
            raise ProfileDataError(
                f"{where}, row {number}: {len(cells)} cells under {width} titles; "
                + (_CUT_OFF if is_last and len(cells) < width else "")
                + (_TITLES_BELOW if not rows and len(cells) > width else "")
                + "quote cells that hold commas"
            )
        rows.append(cells)
        numbers.append(number)
    notes = list(beginning.notes)
    if left_out:
        which = listed([str(number) for number in left_out])
        notes.append(f"row {which}: left out, a comment or the titles again")
    return CsvTable(
        where=where,
        separator=separator,
        titles=tuple(titles),
        rows=rows,
        numbers=numbers,
        ends_within_line=bool(rows) and not head.endswith(("\n", "\r")),
        notes=tuple(notes),
    )


def notes_of(table: CsvTable) -> tuple[str, ...]:
    """Return what there is to say of an export: lines left out, or one cut off.

    The tools that write exports end every line; a table of people's own need not.
    """
    notes = [f"{table.where}: {note}" for note in table.notes]
    if table.ends_within_line:
        notes.append(
            f"{table.where}: the last line lacks its end: if the run was stopped while "
            f"it wrote, the last number of row {table.numbers[-1]} may be cut off; "
            "remove the row, or measure again"
        )
    return tuple(notes)


def first_titles(text: str) -> tuple[str, ...]:
    """Return the titles of the table that a text may be; none if it is not."""
    beginning = beginning_of(text)
    head = beginning.table[:_HEAD]
    separator = beginning.separator or _separator(head)
    try:
        line = next(csv.reader(io.StringIO(head), delimiter=separator), [])
    except csv.Error:
        return ()
    return tuple(told_apart([title.strip() for title in line]))


def told_apart(titles: Sequence[str]) -> list[str]:
    """Return titles in which each ``unit`` is called after the column before it.

    A table may have one beside each of several readings.
    """
    found = list(titles)
    alike = [index for index, title in enumerate(titles) if is_bare_unit(title)]
    if len(alike) > 1:
        for index in alike:
            if index and titles[index - 1]:
                found[index] = f"{titles[index - 1]} {titles[index]}"
    return found


def is_bare_unit(title: str) -> bool:
    """Return whether a title says no more than that units stand below it."""
    return title.casefold().strip(" .:") in ("unit", "units", "einheit", "unité")


def _separator(head: str) -> str:
    """Return what splits the first line into most cells."""

    def num_cells(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(head), delimiter=separator), []))
        except csv.Error:
            return 0

    return max(_SEPARATORS, key=num_cells)
