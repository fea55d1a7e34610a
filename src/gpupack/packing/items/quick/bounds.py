"""Lower bounds that need no linear program: volume, dual-feasible, conflicts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import conflict_matrix, max_copies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.packing.items.model import PackingProblem

MAX_THRESHOLDS = 100
"""Dual-feasible functions tried per dimension and family."""
CLIQUE_STARTS = 5
"""Cliques of conflicting types that are grown."""
MAX_COMPARED_TYPES = 5_000
"""Types of which every pair is compared: 25 MB."""


def lower_bound(problem: PackingProblem) -> int:
    """Return the best of the volume, dual-feasible and conflict-clique bounds.

    Returns:
        At least 1 if there is any item, otherwise 0.
    """
    return max((bound for _, bound in named_bounds(problem)), default=0)


def named_bounds(problem: PackingProblem) -> Iterator[tuple[str, int]]:
    """Yield the bounds with their names, the simplest first; none without items."""
    if problem.num_types:
        yield "volume bound", max(1, volume_bound(problem))
        yield "dual-feasible functions", dual_feasible_bound(problem)
        yield "clique of conflicts", conflict_clique_bound(problem)


def volume_bound(problem: PackingProblem) -> int:
    """Return the largest total size over capacity of any dimension, rounded up.

    References:
        Martello and Toth, "Knapsack Problems", 1990, chapter 8: bound L1,
        taken per dimension.
    """
    totals = [0] * problem.num_dimensions
    for item_type in problem.item_types:
        for dimension, size in enumerate(item_type.sizes):
            totals[dimension] += size * item_type.count
    return max(
        -(-total // capacity)
        for total, capacity in zip(totals, problem.capacity, strict=True)
    )


def dual_feasible_bound(problem: PackingProblem) -> int:
    """Return the best bound of two families of dual-feasible functions.

    Each function maps sizes of one dimension so that whatever fits still fits;
    the volume of the mapped sizes is a bound. All arithmetic is on integers.

    References:
        Fekete and Schepers, "New classes of fast lower bounds for bin packing
        problems", Mathematical Programming 91, 2001: u^(k) and U^(ε).
    """
    best = 0
    counts = [item_type.count for item_type in problem.item_types]
    for dimension, capacity in enumerate(problem.capacity):
        sizes = [item_type.sizes[dimension] for item_type in problem.item_types]
        pairs: dict[int, int] = {}
        for size, count in zip(sizes, counts, strict=True):
            pairs[size] = pairs.get(size, 0) + count
        ordered = sorted(pairs)
        # Number and total size of the items before each size.
        numbers = [0, *accumulate(pairs[size] for size in ordered)]
        totals = [0, *accumulate(size * pairs[size] for size in ordered)]
        last = bisect_right(ordered, capacity // 2)
        thresholds = [size for size in ordered[:last] if size > 0]
        for threshold in _thin(thresholds):
            # U^(ε): small sizes vanish, sizes above capacity - ε fill the bin.
            least = bisect_left(ordered, threshold)
            large = bisect_right(ordered, capacity - threshold)
            total = totals[large] - totals[least]
            total += capacity * (numbers[-1] - numbers[large])
            best = max(best, -(-total // capacity))
        for k in range(1, 21):
            # u^(k): multiples of 1/(k+1) stay, others round down to 1/k; in
            # units of 1/(k(k+1)) of the bin.
            total = 0
            for multiple in range(1, k + 2):
                least, rest = divmod(multiple * capacity, k + 1)
                place = bisect_left(ordered, least + (rest > 0))
                total += (k + 1) * (numbers[-1] - numbers[place])
                if rest == 0:
                    total -= multiple * pairs.get(least, 0)
            best = max(best, -(-total // (k * (k + 1))))
    return best


def conflict_clique_bound(problem: PackingProblem) -> int:
    """Return the bins that a set of mutually conflicting types needs alone.

    Types of which no two may share a bin need ⌈count / copies per bin⌉ bins
    each. The clique is grown greedily from each of the types whose conflicts
    demand most; where the types are too many to be compared, it is that of those above
    half of a bin.
    """
    needs = -(-problem.counts // max_copies(problem))
    if problem.num_types > MAX_COMPARED_TYPES:
        is_large = 2 * problem.sizes > problem.capacities
        return max(int(needs.max()), int((needs @ is_large).max()))
    conflicts = conflict_matrix(problem)
    demands = conflicts @ needs.astype(np.float64) + needs
    order = np.argsort(-demands, kind="stable")
    best = int(needs.max())
    for start in order[:CLIQUE_STARTS]:
        total = int(needs[start])
        candidates = conflicts[start].copy()
        while candidates.any():
            indices = np.flatnonzero(candidates)
            chosen = indices[int(np.argmax(needs[indices] * demands[indices]))]
            total += int(needs[chosen])
            candidates &= conflicts[chosen]
        best = max(best, total)
    return best


def _thin(thresholds: list[int]) -> list[int]:
    """Return at most ``MAX_THRESHOLDS`` of the thresholds, evenly spread."""
    if len(thresholds) <= MAX_THRESHOLDS:
        return thresholds
    step = len(thresholds) / MAX_THRESHOLDS
    return [thresholds[int(index * step)] for index in range(MAX_THRESHOLDS)]
