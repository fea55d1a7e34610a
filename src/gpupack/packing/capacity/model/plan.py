"""The answer to a capacity problem, with what proves it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.packing.capacity.model.capacity_problem import Counts


class PlanStatus(StrEnum):
    """How good an answer is known to be."""

    OPTIMAL = "OPTIMAL"
    """The value equals the proven bound; of what is served, to one in a million."""
    FEASIBLE = "FEASIBLE"
    """A checked plan; a better one may exist."""
    INFEASIBLE = "INFEASIBLE"
    """Proved: there is no plan."""
    UNKNOWN = "UNKNOWN"
    """No plan was found in time, and none was proved impossible."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of one option in one bin.

    Args:
        option: Index of the option.
        num_copies: At least 1.
        service: What they serve together, in the problem's units.
    """

    option: int
    num_copies: int
    service: float


@dataclass(frozen=True, slots=True)
class FilledBin:
    """What a bin of one type holds, and how many bins hold exactly that."""

    bin_type: int
    copies: tuple[Copies, ...]
    multiplicity: int = 1

    @property
    def counts(self) -> Counts:
        """Pairs (option, copies), by option."""
        total: Counter[int] = Counter()
        for one in self.copies:
            total[one.option] += one.num_copies
        return tuple(sorted(total.items()))


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """Filled bins, their value and a proven bound on it.

    Args:
        bins: Equal ones merged; empty without a plan.
        value: Cost, weighted service or share, whatever the goal counts.
        bound: No plan is better.
        status: How good it is known to be.
        method: What closed the gap, or the last that tried.
        seconds: Wall time of the solve.
        found_by: What found the bins; empty without a plan.
        proved_by: What proved the bound; a search that is not exhaustive proves none.
        warnings: Why a better plan might be found elsewhere, in words.
    """

    bins: tuple[FilledBin, ...]
    value: float
    bound: float
    status: PlanStatus
    method: str
    seconds: float
    found_by: str = ""
    proved_by: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_found(self) -> bool:
        """Whether there is a plan at all."""
        return self.status in {PlanStatus.OPTIMAL, PlanStatus.FEASIBLE}

    @property
    def num_bins(self) -> int:
        """Number of bins used."""
        return sum(one.multiplicity for one in self.bins)
