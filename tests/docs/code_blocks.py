"""The fenced code blocks of a Markdown page, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class CodeBlock:
    language: str
    code: str
    expected: str | None
    """The ``text`` block right below: what the code prints."""


def code_blocks(path: Path) -> list[CodeBlock]:
    text = path.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    blocks = []
    for index, match in enumerate(found):
        expected = None
        if index + 1 < len(found) and found[index + 1][1] == "text":
            between = text[match.end() : found[index + 1].start()]
            expected = found[index + 1][2] if not between.strip() else None
        blocks.append(CodeBlock(match[1], match[2], expected))
    return blocks
