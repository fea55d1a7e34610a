"""The page's own files, by name: nothing else can be asked for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@cache
def asset_names() -> dict[str, str]:
    """Return the media type of every file, by its path from here."""
    found: dict[str, str] = {}
    waiting = [("", files(__name__))]
    while waiting:
        above, folder = waiting.pop()
        for one in folder.iterdir():
            if one.is_dir():
                waiting.append((f"{above}{one.name}/", one))
            elif (ending := "." + one.name.rpartition(".")[2]) in _TYPES:
                found[above + one.name] = _TYPES[ending]
    return found


@cache
def read_asset(name: str) -> bytes:
    """Return a file.

    Args:
        name: One of ``asset_names()``.
    """
    return files(__name__).joinpath(*name.split("/")).read_bytes()
