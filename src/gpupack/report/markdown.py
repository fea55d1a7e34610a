"""Names in Markdown: shown as they are, whatever is in them."""

from __future__ import annotations

import re

from gpupack.quoting import MAX_NAME, printable, shortened

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>()#!|~&$^]")
"""What can be markup within a line of CommonMark, GitHub's Markdown or MyST."""


def markdown_name(name: str) -> str:
    """Return a name as ``markdown_text`` does, the middle of a long one left out."""
    return markdown_text(shortened(name, MAX_NAME))


def markdown_text(text: str) -> str:
    """Return a name such that Markdown shows it letter by letter, in tables too.

    Control characters appear escaped. Blanks at its ends are kept, which a table's cell
    would lose.
    """
    shown = _SPECIAL.sub(r"\\\g<0>", printable(text))
    core = shown.strip(" ")
    start = len(shown) - len(shown.lstrip(" "))
    end = len(shown) - start - len(core)
    return "&#32;" * start + core + "&#32;" * end
