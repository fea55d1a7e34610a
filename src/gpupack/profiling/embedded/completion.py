"""Whether a repository has models whose configuration Triton must complete."""

from __future__ import annotations

import re
from pathlib import Path

_COMMENT = re.compile(r"#[^\n]*")
_NEEDED = (r"\binput\s*[\[{:]", r"\boutput\s*[\[{:]", r"\bmax_batch_size\s*:")
_BACKEND = re.compile(r"\b(backend|platform)\s*:\s*[\"'](?P<name>[^\"']*)[\"']")
_ANSWERED_AS_WRITTEN = ("python", "ensemble")
"""Triton adds nothing to these, unless the model's own code does."""


def completes_configurations(repository: Path) -> bool:
    """Return whether Triton would add to the configuration of any model.

    That is so where ``config.pbtxt`` is missing or leaves something out, where the
    model's code has an ``auto_complete_config``, and for backends that read the model's
    file. In doubt it is: completing costs time, leaving it out costs the model.
    """
    try:
        folders = [one for one in repository.iterdir() if one.is_dir()]
    except OSError:
        return True
    return any(_completes(folder) for folder in folders)


def _completes(folder: Path) -> bool:
    try:
        text = (folder / "config.pbtxt").read_text(encoding="utf-8")
        code = [
            path.read_text(encoding="utf-8", errors="replace")
            for path in (*folder.glob("*.py"), *folder.glob("*/*.py"))
        ]
    except (OSError, UnicodeDecodeError):
        return True
    text = _COMMENT.sub("", text)
    backend = _BACKEND.search(text)
    if backend is None or backend["name"] not in _ANSWERED_AS_WRITTEN:
        return True
    is_plain = all(re.search(pattern, text) for pattern in _NEEDED)
    # A class that inherits may have it from a module elsewhere.
    return not is_plain or any(
        "auto_complete_config" in one or re.search(r"class TritonPythonModel\s*\(", one)
        for one in code
    )
