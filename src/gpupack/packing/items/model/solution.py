"""The answer to a packing problem, with what proves it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SolveStatus(StrEnum):
    """How good an answer is known to be."""

    OPTIMAL = "OPTIMAL"
    """Number of bins equals the proven bound."""
    FEASIBLE = "FEASIBLE"
    """A checked packing; fewer bins may be possible."""


@dataclass(frozen=True, slots=True)
class Bin:
    """What one bin holds, and how many bins hold exactly that.

    Args:
        counts: Pairs (item type index, number of copies ≥ 1), by type index.
        multiplicity: How many bins are filled this way, ≥ 1.
    """

    counts: tuple[tuple[int, int], ...]
    multiplicity: int = 1


@dataclass(frozen=True, slots=True)
class RungReport:
    """What one rung of the ladder took and left."""

    name: str
    seconds: float
    num_bins: int
    bound: int


@dataclass(frozen=True, slots=True)
class PackingResult:
    """A checked packing and a proven lower bound on the number of bins.

    Args:
        bins: The packing, equal bins merged.
        bound: No packing has fewer bins.
        seconds: Wall time of the solve.
        method: The rung that closed the gap, or the last that ran.
        rungs: What each rung took and left, in order.
        found_by: The rung that found the packing.
        proved_by: What proved the bound; a heuristic proves nothing.
        warnings: Why a better packing might be found elsewhere, in words.
    """

    bins: tuple[Bin, ...]
    bound: int
    seconds: float
    method: str
    rungs: tuple[RungReport, ...] = ()
    found_by: str = ""
    proved_by: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def num_bins(self) -> int:
        """Number of bins used."""
        return sum(one_bin.multiplicity for one_bin in self.bins)

    @property
    def status(self) -> SolveStatus:
        """OPTIMAL if the packing meets the bound."""
        if self.num_bins <= self.bound:
            return SolveStatus.OPTIMAL
        return SolveStatus.FEASIBLE
