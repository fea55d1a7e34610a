"""Who is told how a sweep goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpupack.records.profile import FailedLoadPoint, ProfileRecord


class SweepProgress(Protocol):
    """Told how a sweep goes on."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """The sweep has so many load points, of which some are in the store."""
        ...

    def working(self, text: str) -> None:
        """What is being done now."""
        ...

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """One load point is in the store."""
        ...


class SilentProgress:
    """Tells nobody."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """Do nothing."""

    def working(self, text: str) -> None:
        """Do nothing."""

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Do nothing."""
