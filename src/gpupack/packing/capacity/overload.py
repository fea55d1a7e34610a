"""Quick proofs that the bins are too few, or plainly enough, without any search."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from gpupack.packing.items import (
    MAX_TOTAL,
    ItemType,
    PackingProblem,
    conflict_clique_bound,
    dual_feasible_bound,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.packing.capacity.model import BinType, CapacityProblem, Job, Option

SLACK = 2e-6
"""By how much of a demand less is taken as enough: traffic is shared out in floating
point, and what a plan may fall short of must not be called impossible."""


def is_overloaded(problem: CapacityProblem) -> bool:
    """Return whether the bins are proved to be too few for the jobs that must run.

    Every job is taken to need no more than its most frugal option in each dimension,
    and every bin to be of the largest type. False says nothing.

    References:
        Martello and Toth, "Knapsack Problems", 1990, chapter 8: bound L1, taken per
        dimension. The other two bounds are those of ``items.quick.bounds``.
    """
    num_bins = _most_bins(problem)
    if num_bins is None:
        return False
    required = [index for index, job in enumerate(problem.jobs) if not job.is_optional]
    needs = least_needs(problem)
    if any(not problem.options_by_job[index] for index in required):
        return True
    room = _room(problem, num_bins)
    for dimension, most in enumerate(room):
        if math.fsum(needs[index][dimension] for index in required) > most * (
            1 + SLACK
        ):
            return True
    relaxed = _relaxed(problem, required)
    return relaxed is not None and (
        conflict_clique_bound(relaxed) > num_bins
        or dual_feasible_bound(relaxed) > num_bins
    )


def fits_apart(problem: CapacityProblem) -> bool:
    """Return whether there is a bin for every copy, so that nothing need be shared.

    False says nothing.
    """
    required = [index for index, job in enumerate(problem.jobs) if not job.is_optional]
    return are_there(problem, [bins_apart(problem, index) for index in required])


def fits_together(problem: CapacityProblem) -> bool:
    """Return whether one bin surely holds all that must run.

    False says nothing, as it does wherever a rule decides what may share a bin.
    """
    return problem.rule is None and any(
        _holds_all(problem, index) for index in range(len(problem.bin_types))
    )


def _holds_all(problem: CapacityProblem, bin_type: int) -> bool:
    one = problem.bin_types[bin_type]
    if one.count == 0 or (problem.budget is not None and one.cost > problem.budget):
        return False
    taken = [0.0] * problem.num_dimensions
    for index, job in enumerate(problem.jobs):
        if job.is_optional:
            continue
        here = [
            problem.options[number]
            for number in problem.options_by_job[index]
            if problem.options[number].bin_type == bin_type
        ]
        if not here:
            return False
        option = max(here, key=lambda one: one.rate)
        demand = job.demand or 0
        copies = max(job.copies, math.ceil(demand / option.rate))
        if job.max_copies is not None and copies > job.max_copies:
            return False
        for dimension, size in enumerate(option.fixed):
            taken[dimension] += size * copies
            taken[dimension] += option.proportional[dimension] * demand / option.rate
    return all(total <= most for total, most in zip(taken, one.capacity, strict=True))


def bins_apart(problem: CapacityProblem, index: int) -> Counter[int] | None:
    """Return bins by type that hold a job, each copy in one of its own.

    All are of one type; None where no type has enough of them.
    """
    job = problem.jobs[index]
    best: tuple[int, int] | None = None
    for number in problem.options_by_job[index]:
        bin_type = problem.options[number].bin_type
        copies = job.copies
        if job.demand is not None:
            copies = max(copies, math.ceil(job.demand / problem.rate_alone(number)))
            if job.max_copies is not None and copies > job.max_copies:
                continue
        count = problem.bin_types[bin_type].count
        if (count is None or copies <= count) and (best is None or copies < best[0]):
            best = copies, bin_type
    return None if best is None else Counter({best[1]: best[0]})


def are_there(problem: CapacityProblem, uses: Iterable[Counter[int] | None]) -> bool:
    """Return whether there are so many bins together, and the budget for them."""
    total = Counter[int]()
    for one in uses:
        if one is None:
            return False
        total += one
    cost = 0
    for index, number in total.items():
        bin_type = problem.bin_types[index]
        if bin_type.count is not None and number > bin_type.count:
            return False
        cost += bin_type.cost * number
    return problem.budget is None or cost <= problem.budget


def least_needs(problem: CapacityProblem) -> tuple[tuple[float, ...], ...]:
    """Return what each job takes at least of every dimension, whatever its options."""
    return tuple(
        tuple(
            _least_need(problem, index, dimension)
            for dimension in range(problem.num_dimensions)
        )
        for index in range(len(problem.jobs))
    )


def _least_need(problem: CapacityProblem, index: int, dimension: int) -> float:
    """Return the larger of two bounds on what a job takes of one dimension.

    Each copy takes its fixed size, and all service its proportion. Besides, a copy
    that serves a share of its rate takes at least that share of all it could take.
    """
    job = problem.jobs[index]
    options = [problem.options[one] for one in problem.options_by_job[index]]
    if not options:
        return 0.0
    fixed = min(one.fixed[dimension] for one in options)
    demand = _demand(job)
    loaded = min(one.proportional[dimension] / one.rate for one in options)
    per_unit = min(
        (one.fixed[dimension] + one.proportional[dimension]) / one.rate
        for one in options
    )
    return max(
        _least_copies(problem, index) * fixed + demand * loaded, demand * per_unit
    )


def _demand(job: Job) -> float:
    return (job.demand or 0) * (1 - SLACK)


def _least_copies(problem: CapacityProblem, index: int) -> int:
    job = problem.jobs[index]
    if job.is_whole:
        return job.copies
    rates = [problem.rate_alone(one) for one in problem.options_by_job[index]]
    return max(job.copies, math.ceil(_demand(job) / max(rates)))


def _most_bins(problem: CapacityProblem) -> int | None:
    """Return how many bins there can be at most; None without a limit."""
    limits = []
    counts = [one.count for one in problem.bin_types if one.count is not None]
    if len(counts) == len(problem.bin_types):
        limits.append(sum(counts))
    least_cost = min(one.cost for one in problem.bin_types)
    if problem.budget is not None and least_cost > 0:
        limits.append(problem.budget // least_cost)
    return min(limits, default=None)


def _room(problem: CapacityProblem, num_bins: int) -> tuple[float, ...]:
    """Return what so many bins, or the budget, offer at most of every dimension."""
    return tuple(
        _room_in(problem.bin_types, dimension, num_bins, problem.budget)
        for dimension in range(problem.num_dimensions)
    )


def _room_in(
    bin_types: Sequence[BinType], dimension: int, num_bins: int, budget: int | None
) -> float:
    ways = [num_bins * max(one.capacity[dimension] for one in bin_types)]
    counts = [one.count for one in bin_types if one.count is not None]
    if len(counts) == len(bin_types):
        ways.append(
            sum(
                count * one.capacity[dimension]
                for count, one in zip(counts, bin_types, strict=True)
            )
        )
    if budget is not None and all(one.cost > 0 for one in bin_types):
        best = max(one.capacity[dimension] / one.cost for one in bin_types)
        ways.append(math.ceil(budget * best))
    return min(ways)


def _relaxed(
    problem: CapacityProblem, required: Sequence[int]
) -> PackingProblem | None:
    """Return the copies at their smallest in bins at their largest.

    None where there is nothing to pack, or sums would overflow.
    """
    dimensions = range(problem.num_dimensions)
    capacity = tuple(
        max(1, *(one.capacity[dimension] for one in problem.bin_types))
        for dimension in dimensions
    )
    item_types = []
    for index in required:
        options: list[Option] = [
            problem.options[one] for one in problem.options_by_job[index]
        ]
        sizes = tuple(
            min(one.fixed[dimension] for one in options) for dimension in dimensions
        )
        item_types.append(ItemType(sizes, _least_copies(problem, index)))
    totals = [
        sum(one.sizes[dimension] * one.count for one in item_types)
        for dimension in dimensions
    ]
    if not item_types or max(totals) > MAX_TOTAL or max(capacity) > MAX_TOTAL:
        return None
    return PackingProblem(capacity, tuple(item_types))
