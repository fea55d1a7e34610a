"""One capacity problem as every step of its search is given it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.improving import Clock, Completion
    from gpupack.packing.capacity.model import (
        CapacityPlan,
        CapacityProblem,
        FilledBin,
        Goal,
    )

    Uses = tuple[tuple[Configuration, int], ...]


@dataclass(frozen=True)
class Task:
    """One capacity problem with its goal, clock, seed and threads.

    Args:
        problem: What is planned.
        goal: What is best.
        clock: For the whole solve.
        completion: Makes plans out of configurations.
        seed: For every random choice.
        num_workers: Threads.
        target_gap: Relative, at which a plan is good enough.
    """

    problem: CapacityProblem
    goal: Goal
    clock: Clock
    completion: Completion
    seed: int
    num_workers: int
    target_gap: float

    def is_better(self, plan: CapacityPlan, other: CapacityPlan) -> bool:
        """Return whether a plan is better than another."""
        if self.goal.is_in_full:
            return plan.value < other.value
        return plan.value > other.value

    def better(self, best: CapacityPlan | None, plan: CapacityPlan) -> CapacityPlan:
        """Return the better of a plan that is known and another, with both bounds."""
        if best is None or not plan.is_found:
            # A checked plan refutes whatever says that there is none.
            return best or plan
        tighter = max if self.goal.is_in_full else min
        bound = tighter(plan.bound, best.bound)
        if not self.is_better(best, plan) and bound == plan.bound:
            return plan
        better = best if self.is_better(best, plan) else plan
        return self.completion.plan(
            better.bins,
            bound,
            plan.method,
            found_by=better.found_by,
            proved_by=plan.proved_by if bound == plan.bound else best.proved_by,
        )


def uses_of(bins: Sequence[FilledBin]) -> Uses:
    """Return the configurations of bins and how many have each."""
    uses: dict[Configuration, int] = {}
    for one in bins:
        key = Configuration(one.bin_type, one.counts)
        uses[key] = uses.get(key, 0) + one.multiplicity
    return tuple(sorted(uses.items()))
