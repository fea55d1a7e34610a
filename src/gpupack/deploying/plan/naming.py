"""Names for clusters: made of models' names, valid, and as distinct as those are."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LENGTH = 32
"""Leaves room for what is put before and behind within the 63 letters of a label."""
_HASH_LENGTH = 8
_WRONG = re.compile(r"[^a-z0-9]+")


def dns_names(names: Iterable[str], *, reserved: Iterable[str] = ()) -> dict[str, str]:
    """Return a DNS label for each name: itself where it is one, else with a hash.

    A label has up to ``MAX_LENGTH`` small letters, digits and dashes, the first a
    letter. No two names get the same one, and a name's label does not depend on which
    others there are, but where two would meet, or one of ``reserved``.
    """
    found: dict[str, str] = {}
    taken = set(reserved)
    # Names that are labels keep them, so that nobody else's hash takes them away.
    for name in sorted(set(names), key=lambda name: (not _is_label(name), name)):
        label = name if _is_label(name) else _label(name, _HASH_LENGTH)
        length = _HASH_LENGTH
        while label in taken:
            length += 4
            label = _label(name, length)
        taken.add(label)
        found[name] = label
    return found


def short_hash(text: str, length: int = _HASH_LENGTH) -> str:
    """Return some letters and digits that hardly any other text has."""
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:length]


def _is_label(name: str) -> bool:
    return (
        len(name) <= MAX_LENGTH
        and re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) is not None
    )


def _label(name: str, hash_length: int) -> str:
    words = _WRONG.sub("-", name.lower()).strip("-")
    if not words or not words[0].isalpha():
        words = f"m-{words}".rstrip("-")
    head = words[: MAX_LENGTH - hash_length - 1].rstrip("-")
    return f"{head}-{short_hash(name, hash_length)}"
