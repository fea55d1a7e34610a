"""Text of a JSON value, whatever it is of."""

from __future__ import annotations

import json
from contextlib import suppress

from pydantic_core import from_json

from gpupack.errors import ProfileDataError


def require_unicode(text: str, found: object, where: str) -> None:
    """Check that what was read can be written again.

    Raises:
        ProfileDataError: If half of a surrogate pair is escaped in it.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as err:
        raise ProfileDataError(
            f"{where}: it has text that is no Unicode, half of a surrogate pair; write "
            "it again"
        ) from err


def json_of(text: str) -> object:
    """Return what a text holds, None if it is no JSON."""
    with suppress(ValueError):
        # Half the time and memory; what it does not read, the other one may.
        fast: object = from_json(text, cache_strings="all")
        return fast
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found
