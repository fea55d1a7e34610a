"""The oracle's own reading of memory that models on one GPU share.

From the documentation of ``place()``: a GPU holds a composing model as often as the
caller that needs most of it has copies; where it is placed itself, it is one of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord
    from tests.questions.facts import Option


@dataclass(frozen=True)
class Part:
    """A composing model as a record was measured with it.

    Args:
        name: Of the composing model.
        versions: That were loaded.
        variant: Its configuration; empty if it has one only.
        memory_bytes: What it takes.
    """

    name: str
    versions: tuple[int, ...]
    variant: str
    memory_bytes: int

    @property
    def what(self) -> tuple[str, tuple[int, ...], str]:
        """What two models must agree in to share it."""
        return self.name, self.versions, self.variant


def composing_parts(record: ProfileRecord, own_bytes: int) -> tuple[Part, ...]:
    """Return what of a record's own memory composing models take."""
    left, parts = own_bytes, []
    variants = record.load_point.variant.composing if record.load_point.variant else ()
    for one in record.helper_memory:
        size = min(left, one.memory_bytes)
        left -= size
        variant = [
            other.name
            for other in variants
            if other.name.split("_config_")[0] == one.model_name
        ]
        parts.append(Part(one.model_name, one.versions, "".join(variant[:1]), size))
    return tuple(parts)


def memory_together(options: Sequence[Option]) -> int:
    """Return what instances on one GPU take, what they share counted once."""
    names = {part.name for one in options for part in one.parts}
    own = sum(
        one.memory_bytes - sum(part.memory_bytes for part in one.parts)
        for one in options
    )
    return own + sum(_taken_by(name, options) for name in names)


def _taken_by(name: str, options: Sequence[Option]) -> int:
    """Return what the composing models of a name take besides what is placed."""
    placed = [one for one in options if one.model_name == name]
    kinds = sorted(
        {part.what for one in options for part in one.parts if part.name == name}
    )
    total = 0
    for kind in kinds:
        uses = [one for one in placed if _is_such(one, kind)]
        if uses:
            placed = []  # It is one of the kinds, not each of them.
        needs = []
        for caller in {one.model_name for one in options}:
            sizes = [
                part.memory_bytes
                for one in options
                if one.model_name == caller
                for part in one.parts
                if part.what == kind
            ]
            if sizes:
                there = sum(min(min(sizes), _rest(one)) for one in uses)
                needs.append(max(0, sum(sizes) - there))
        total += max(needs)
    return total


def _rest(option: Option) -> int:
    return option.memory_bytes - sum(part.memory_bytes for part in option.parts)


def _is_such(option: Option, kind: tuple[str, tuple[int, ...], str]) -> bool:
    _, versions, variant = kind
    own = option.record.load_point.variant
    version = option.record.model_version
    return (not variant or (own is not None and own.name == variant)) and (
        not versions or version is None or version in versions
    )
