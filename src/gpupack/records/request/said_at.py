"""Where the fields of a request were said: in which file, or column of a table."""

from __future__ import annotations


class SaidAt(dict[tuple[str, ...], str]):
    """Places in words, by the path of what was said there.

    All are equal: where something was said is no part of what was said.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SaidAt)

    __hash__ = None
