"""Were the clocks held back? What a driver says of them over a measurement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HELD_BACK_SHARE = 0.05
"""From this share of a measurement on, held-back clocks are told."""
SLOWDOWNS: dict[int, str] = {
    0x04: "its power limit",
    0x08: "a hardware slowdown",
    0x10: "other GPUs that its clocks follow (sync boost)",
    0x20: "its temperature (driver)",
    0x40: "its temperature (hardware)",
    0x80: "the power supply (power brake)",
    0x02: "clocks that somebody set",
}
"""Bits of NVML's ``nvmlClocksEventReasons``; idle (1) and display (256) are none."""


@dataclass(frozen=True)
class ClockReadings:
    """The SM clock over a measurement, and what held it back.

    Attributes:
        shares: By reason, the share of the looks at which it held the clocks back.
        lowest_mhz: Lowest SM clock seen; None if it was not read.
        highest_mhz: Highest.
        most_mhz: What the GPU can do.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    lowest_mhz: int | None = None
    highest_mhz: int | None = None
    most_mhz: int | None = None

    @classmethod
    def pooled(cls, weighted: Sequence[tuple[float, ClockReadings]]) -> ClockReadings:
        """Return the readings of several measurements as of one, by their lengths."""
        total = sum(weight for weight, _ in weighted) or 1.0
        reasons = dict.fromkeys(name for _, one in weighted for name in one.shares)
        lowest = [one.lowest_mhz for _, one in weighted if one.lowest_mhz is not None]
        highest = [
            one.highest_mhz for _, one in weighted if one.highest_mhz is not None
        ]
        most = [one.most_mhz for _, one in weighted if one.most_mhz is not None]
        return cls(
            shares={
                name: sum(
                    weight * one.shares.get(name, 0.0) for weight, one in weighted
                )
                / total
                for name in reasons
            },
            lowest_mhz=min(lowest, default=None),
            highest_mhz=max(highest, default=None),
            most_mhz=max(most, default=None),
        )

    def in_words(self) -> str | None:
        """Return what held the clocks back, with figures; None if nothing much did."""
        told = [
            f"in {share:.0%} of the measurement by {name}"
            for name, share in sorted(
                self.shares.items(), key=lambda one: one[1], reverse=True
            )
            if share >= HELD_BACK_SHARE
        ]
        if not told:
            return None
        clocks = ""
        if self.lowest_mhz is not None and self.highest_mhz is not None:
            span = (
                f"{self.lowest_mhz:,}"
                if self.lowest_mhz == self.highest_mhz
                else f"{self.lowest_mhz:,} to {self.highest_mhz:,}"
            )
            most = "" if self.most_mhz is None else f" of at most {self.most_mhz:,}"
            clocks = f" (SM clock {span}{most} MHz)"
        return f"the GPU's clocks were held back {', '.join(told)}{clocks}"


def slowdowns(reasons: int) -> tuple[str, ...]:
    """Return in words what a mask of NVML's reasons says."""
    return tuple(name for bit, name in SLOWDOWNS.items() if reasons & bit)
