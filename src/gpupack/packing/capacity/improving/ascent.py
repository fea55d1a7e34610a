"""Local search for the most service from a limited number of bins (annealing).

Which bins to use follows from the relaxation; with a budget, its parts of bins are
rounded as far as the money goes.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving.refilling import Refiller
from gpupack.packing.capacity.model import Goal

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityProblem, Configuration
    from gpupack.packing.capacity.relaxing import Guide

    Uses = tuple[tuple[Configuration, int], ...]

MOVES = 60_000
"""Of one annealing."""
HOT = 0.015
"""First temperature: the bins of the relaxation are a start worth keeping."""
MAX_VAIN = 6
"""Annealings in vain after which to stop."""
CLOSE = 5e-4
"""Relative distance of shares that are not told apart."""


def ascend(
    problem: CapacityProblem,
    guide: Guide,
    *,
    deadline: float,
    target_gap: float,
    seed: int,
) -> Uses:
    """Return configurations that serve much in all.

    Args:
        problem: What is planned, every bin type counted.
        guide: From the relaxation.
        deadline: On the clock of ``time.perf_counter``.
        target_gap: Relative, at which to stop.
        seed: For every random choice.
    """
    counts = affordable_bins(problem, guide)
    if not any(counts):
        return ()
    refiller = Refiller(problem, Goal.MAX_SERVICE, guide, counts)
    best: Uses = ()
    lowest = math.inf
    vain = 0
    while vain < MAX_VAIN and (lowest == math.inf or time.perf_counter() < deadline):
        found = refiller.run(num_moves=MOVES, deadline=deadline, seed=seed, hot=HOT)
        is_better = found.loss < lowest - max(CLOSE * abs(lowest) * target_gap, 1e-9)
        vain = 0 if is_better else vain + 1
        best, lowest = found.uses, min(lowest, found.loss)
        seed += 1
    return best


def affordable_bins(problem: CapacityProblem, guide: Guide) -> tuple[int, ...]:
    """Return numbers of bins: all there are, or what the budget buys."""
    most = [one.count or 0 for one in problem.bin_types]
    if problem.budget is None:
        return tuple(most)
    parts = [0.0] * len(most)
    for pattern, number in guide.used.items():
        parts[pattern.configuration.bin_type] += number
    counts = [
        min(n, math.floor(part + 1e-6)) for n, part in zip(most, parts, strict=True)
    ]
    costs = [one.cost for one in problem.bin_types]
    left = problem.budget - sum(c * n for c, n in zip(costs, counts, strict=True))
    order = sorted(
        range(len(most)), key=lambda index: (counts[index] - parts[index], index)
    )
    for index in order:
        # What was used most of buys up what is left, in the order of its fractions.
        room = most[index] - counts[index]
        bought = min(room, left // costs[index]) if costs[index] else room
        if parts[index] > 0:
            counts[index] += bought
            left -= bought * costs[index]
    return tuple(counts)
