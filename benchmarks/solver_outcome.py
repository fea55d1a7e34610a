"""What a solver of packing problems reached, or that it is not there."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """What a solver reached; ``num_bins`` is None if it found no packing."""

    num_bins: int | None
    bound: int
    seconds: float
    method: str = ""
    rungs: list[list[object]] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """Whether the packing meets the bound."""
        return self.num_bins is not None and self.num_bins <= self.bound


class SolverMissingError(Exception):
    """A peer is not installed; the message says what to install."""
