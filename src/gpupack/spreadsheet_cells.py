"""Text in tables that a spreadsheet may open: a cell is never taken for a formula.

A spreadsheet runs what begins with ``=``, ``+``, ``-`` or ``@``, or with a tab or line
break before it. Such a text is written with an apostrophe in front, by which people say
in a spreadsheet that a cell is text; gpupack's reader takes it off again. A text that
has apostrophes before such a character gets one more, so that every text comes back as
it was.

References:
    OWASP, "CSV Injection".
"""

from __future__ import annotations

import re

_BEGINNINGS = r"=+@\t\r\n＝＋－＠\-"
_TO_BE_MARKED = re.compile(f"'*[{_BEGINNINGS}]")
_MARKED = re.compile(f"'+[{_BEGINNINGS}]")


def text_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _TO_BE_MARKED.match(text) else text


def cell_text(cell: str) -> str:
    """Return the text for which ``text_cell`` returned this cell."""
    return cell[1:] if _MARKED.match(cell) else cell
