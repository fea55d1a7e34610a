"""How messages repeat what others wrote: short, in one line, and harmless.

Names and cells come from files; a message shows enough of one to find it.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_QUOTED = 200
"""Characters of one value that a message repeats."""
MAX_NAME = 120
"""Characters of a name in a table or picture of text; Triton's own are file names."""
MAX_LISTED = 20
"""Values that a message lists."""
MAX_RANGES = 8
"""Numbers, or ranges of them, that are told before the rest is only counted."""
MAX_MESSAGE = 10_000
"""Characters of a whole message, such as one with the end of a server's log."""
_ELLIPSIS = "…"
_WORD = re.compile(r"\S+")
_LONG_WORD = 2 * MAX_QUOTED
"""Among others: more than twice as much as a message repeats of one value."""


class _Short(reprlib.Repr):
    """Python's own shortening, with room for a path."""

    def __init__(self) -> None:
        super().__init__()
        self.fillvalue = _ELLIPSIS
        self.maxstring = self.maxother = MAX_QUOTED
        self.maxlong = 40

    def repr_int(self, x: int, level: int) -> str:
        """Return a whole number, which Python itself refuses to write if it is huge."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"a whole number of {x.bit_length():,} bits"


_SHORT = _Short()


def quoted(value: object) -> str:
    """Return a value as messages show it: as ``repr`` does, its middle left out.

    Control characters and line breaks appear escaped.
    """
    return shortened(_SHORT.repr(value), 2 * MAX_QUOTED)


def quoted_all(values: Collection[object]) -> str:
    """Return values with commas between them, the first few if there are many."""
    shown = [quoted(value) for value, _ in zip(values, range(MAX_LISTED), strict=False)]
    return _listed(shown, len(values))


def listed(texts: Collection[str]) -> str:
    """Return names with commas between them and without quotes, as ``quoted_all``."""
    shown = [
        shortened(printable(text), MAX_QUOTED)
        for text, _ in zip(texts, range(MAX_LISTED), strict=False)
    ]
    return _listed(shown, len(texts))


def _listed(shown: list[str], number: int) -> str:
    more = number - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def number_ranges(ranges: Iterable[range]) -> str:
    """Return numbers in few words; ranges that follow each other are told as one.

    ``"0–6"``, or ``"0–2, 5 and 9 more"``.
    """
    parts: list[range] = []
    for here in ranges:
        if parts and parts[-1].stop == here.start:
            parts[-1] = range(parts[-1].start, here.stop)
        else:
            parts.append(here)
    shown = ", ".join(
        f"{part.start}–{part[-1]}" if len(part) > 1 else f"{part.start}"
        for part in parts[:MAX_RANGES]
    )
    more = sum(map(len, parts[MAX_RANGES:]))
    return shown + (f" and {more:,} more" if more else "")


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, its middle left out if need be."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return text[:head] + _ELLIPSIS + text[len(text) - (most - 1 - head) :]


def with_short_words(text: str) -> str:
    """Return a text in which no word, such as a name, is longer than one repeats."""
    if len(text) <= _LONG_WORD:
        return text

    def short(found: re.Match[str]) -> str:
        word = found.group()
        is_long = _LONG_WORD < len(word) < len(text)
        return shortened(word, MAX_QUOTED) if is_long else word

    return _WORD.sub(short, text)


def for_people(text: str) -> str:
    """Return a message for people: printable, with short words, and not too long."""
    return shortened(printable(with_short_words(text)), MAX_MESSAGE)


def printable_name(name: str) -> str:
    """Return a name for people: control characters escaped, its middle left out."""
    return shortened(printable(name), MAX_NAME)


def printable(text: str, *, keep: str = "") -> str:
    """Return ``text`` with control characters and line breaks shown escaped.

    Args:
        text: Anything.
        keep: Characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
