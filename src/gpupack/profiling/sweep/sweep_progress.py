"""Who is told how a sweep goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpupack.records.profile import FailedLoadPoint, ProfileRecord


class SweepProgress(Protocol):
    """Is called as a sweep goes on."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """Take how many load points the sweep has, and how many the store holds."""
        ...

    def working(self, text: str) -> None:
        """Take in words what is being done now."""
        ...

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Take the record, or the failure, of a load point that the store now holds."""
        ...


class SilentProgress:
    """Tells nobody."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """Do nothing."""

    def working(self, text: str) -> None:
        """Do nothing."""

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Do nothing."""
