"""What came of reading a source: the profiles, and how its columns were understood."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.tables.titles.columns import ColumnUse
    from gpupack.profile_set import ProfileSet


@dataclass(frozen=True, slots=True)
class SourceReading:
    """One file of a source.

    Args:
        where: Its name.
        what: What it was recognized as, in words.
        num_rows: Rows, or measurements, that it has.
        columns: How each column was understood; empty for what is no table.
        is_decimal: Whether its MB are 10⁶ bytes rather than MiB.
    """

    where: str
    what: str
    num_rows: int
    columns: tuple[ColumnUse, ...] = ()
    is_decimal: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What ``gpupack read`` shows; what was left out or assumed, the profiles say."""

    profiles: ProfileSet
    sources: tuple[SourceReading, ...]

    def with_notes(self, notes: Sequence[str]) -> Reading:
        """Return the reading with more to say."""
        if not notes:
            return self
        told = {"notes": (*self.profiles.notes, *notes)}
        return replace(self, profiles=self.profiles.model_copy(update=told))
