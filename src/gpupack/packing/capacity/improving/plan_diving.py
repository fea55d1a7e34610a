"""Diving: round the relaxation pattern by pattern, generating more on the way."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityProblem, Configuration
    from gpupack.packing.capacity.relaxing import Pattern, Relaxer

MAX_REFILLS = 2
"""Rounds of new patterns after each fixing."""


def dive(
    problem: CapacityProblem, relaxer: Relaxer, *, deadline: float
) -> tuple[tuple[Configuration, int], ...] | None:
    """Return a plan found by fixing patterns one after the other, None if none.

    Whole parts of the relaxation are fixed, then the largest fraction is rounded
    up; patterns made to measure for what is still open are generated in between.

    Args:
        problem: What is planned.
        relaxer: Whose relaxation is solved; fixed patterns stay fixed.
        deadline: On the clock of ``time.perf_counter``.
    """
    master = relaxer.master
    fixed: dict[Pattern, int] = {}
    while time.perf_counter() < deadline:
        master.solve(deadline=deadline)
        values = {
            pattern: value - fixed.get(pattern, 0)
            for pattern, value in master.used().items()
            if value > fixed.get(pattern, 0) + 1e-6
        }
        if not values:
            return _uses(fixed) if master.missing() < 1e-7 else None
        whole = {
            pattern: math.floor(value + 1e-6)
            for pattern, value in values.items()
            if value >= 1 - 1e-6
        }
        if not whole:
            most = max(values, key=lambda one: (values[one], one.configuration))
            whole = {most: 1}
        for pattern, count in whole.items():
            fixed[pattern] = fixed.get(pattern, 0) + count
            master.patterns[pattern].SetLb(fixed[pattern])
        _refill(problem, relaxer, fixed)
    return None


def _refill(
    problem: CapacityProblem, relaxer: Relaxer, fixed: dict[Pattern, int]
) -> None:
    """Generate patterns for what the fixed ones leave open."""
    covered = [0.0] * len(problem.jobs)
    for pattern, count in fixed.items():
        for (option, copies), load in zip(
            pattern.configuration.counts, pattern.loads, strict=True
        ):
            one = problem.options[option]
            job = problem.jobs[one.job]
            if job.demand:
                covered[one.job] += count * load * one.rate / job.demand
            else:
                covered[one.job] += count * copies / job.copies
    left = [max(0.0, 1.0 - share) for share in covered]
    for _ in range(MAX_REFILLS):
        relaxer.master.solve()
        duals = relaxer.master.duals()
        if not relaxer.improve_greedily(duals, left, num_weightings=3):
            return


def _uses(fixed: dict[Pattern, int]) -> tuple[tuple[Configuration, int], ...]:
    """Return how many bins have each configuration."""
    uses: dict[Configuration, int] = {}
    for pattern, count in fixed.items():
        uses[pattern.configuration] = uses.get(pattern.configuration, 0) + count
    return tuple(sorted(uses.items()))
