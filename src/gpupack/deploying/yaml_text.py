"""YAML as gpupack writes it: sorted, in block style, any text quoted as it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Dumper(yaml.SafeDumper):
    """Without anchors and aliases, which not every reader follows."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Write lines as lines, what cannot be seen as escapes, and the rest plainly."""
    lines = text.split("\n")
    style = None
    if not all(line.isprintable() for line in lines):
        style = '"'  # the one style in which a line break of Unicode's is not lost
    elif len(lines) > 1 and all(line == line.rstrip() for line in lines):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(content: object) -> str:
    """Return one YAML document; equal content gives equal text."""
    return yaml.dump(
        content,
        Dumper=_Dumper,
        sort_keys=True,
        default_flow_style=False,
        allow_unicode=True,
        width=2**16,
    )


def yaml_documents(contents: Iterable[object]) -> str:
    """Return several YAML documents in one text."""
    return "---\n".join(yaml_text(content) for content in contents)
