"""What stands before the titles of a table: a byte order mark, ``sep=;``, comments."""

from __future__ import annotations

import re
from typing import NamedTuple

_SEP_LINE = re.compile(r"\"?sep=(?P<separator>[^\n\"]?)\"?[ \t,;|]*(?:\n|\Z)", re.I)
"""As Excel writes and reads it, of one character."""
_COMMENTS = re.compile(r"((?:#[^\n]*\n+)+)([^#\n][^\n]*)")
_SEPARATORS = ",;\t|"


class Beginning(NamedTuple):
    """Where a table begins in a text.

    Args:
        table: The text from the titles on.
        num_lines: That stand before them.
        separator: Of the cells, where the file says it.
        notes: On lines that were not read.
    """

    table: str
    num_lines: int
    separator: str | None = None
    notes: tuple[str, ...] = ()


def beginning_of(text: str) -> Beginning:
    """Return where the table in a text begins.

    Lines that begin with ``#`` are comments, but the last of them if it has as many
    cells as the line after it: those are titles. What comments say is not repeated,
    as command lines hold tokens.
    """
    table = text.lstrip("\ufeff\r\n")
    separator: str | None = None
    said = _SEP_LINE.match(table)
    if said is not None and said["separator"]:
        separator = said["separator"]
        table = table[said.end() :].lstrip("\r\n")
    num_comments = 0
    found = _COMMENTS.match(table)
    if found is not None:
        comments, below = found[1], found[2]
        lines = comments.splitlines()
        if _num_marks(lines[-1], separator) >= max(1, _num_marks(below, separator)):
            del lines[-1]
        num_comments = len(lines)
        for line in lines:
            table = table[len(line) :].lstrip("\n")
    num_lines = text[: len(text) - len(table)].count("\n")
    notes: tuple[str, ...] = ()
    if num_comments:
        what = "a comment" if num_comments == 1 else f"{num_comments} comments"
        notes = (f"{what} above the titles: not read; if it says units, give them",)
    return Beginning(table, num_lines, separator, notes)


def _num_marks(line: str, separator: str | None) -> int:
    return max(line.count(one) for one in separator or _SEPARATORS)
