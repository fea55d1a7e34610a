"""Configurations: how many copies of which options one bin holds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from gpupack.packing.runtime import most_true

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem, Counts


MAX_ENUMERATED = 400
"""Configurations up to which the program over all of them is solved at once."""
MAX_LISTED_OPTIONS = 250
"""Options of a bin type beyond which its configurations are not listed."""
MAX_TAKEN_APART = 5
"""Options of a configuration of which every part is listed: 2 to that power."""


@dataclass(frozen=True, slots=True, order=True)
class Configuration:
    """Copies per option in a bin, by their full sizes only.

    How much the copies serve is not part of it: bins of one configuration share out
    their service freely, and as what fits into a bin is convex in the service, any
    total that fits into all of them together can be spread evenly over them.

    Args:
        bin_type: Index of the bin type.
        counts: Pairs (option, copies ≥ 1), by option.
    """

    bin_type: int
    counts: tuple[tuple[int, int], ...]


def fixed_room_left(
    problem: CapacityProblem, configuration: Configuration
) -> tuple[int, ...]:
    """Return what the fixed sizes leave of each dimension, < 0 if they overflow."""
    left = list(problem.bin_types[configuration.bin_type].capacity)
    for option, copies in configuration.counts:
        for dimension, size in enumerate(problem.options[option].fixed):
            left[dimension] -= size * copies
    return tuple(left)


def taken_apart(
    problem: CapacityProblem,
    configurations: Sequence[Configuration],
    bin_types: Collection[int],
) -> list[Configuration]:
    """Return these configurations, every part of them, and every option alone.

    Args:
        problem: What is planned.
        configurations: Of some plan.
        bin_types: Types of which there are bins left: options go alone in those.
    """
    found = dict.fromkeys(configurations)
    for one in configurations:
        if len(one.counts) > MAX_TAKEN_APART:
            continue
        for size in range(1, len(one.counts)):
            for counts in combinations(one.counts, size):
                found.setdefault(Configuration(one.bin_type, counts))
    for bin_type in bin_types:
        for option in problem.options_by_bin_type[bin_type]:
            found.setdefault(Configuration(bin_type, ((option, 1),)))
    return list(found)


def enumerate_configurations(
    problem: CapacityProblem,
    *,
    limit: int,
    most: int = MAX_ENUMERATED,
    deadline: float = math.inf,
) -> list[Configuration] | None:
    """Return every configuration that an optimal plan may need, None if too many.

    Of jobs with a demand only fillings to which no copy can be added: copies that
    serve nothing take nothing but fixed room. Copies of whole jobs always take all
    of theirs, and some jobs may have only so many copies, so every number of those is
    a configuration of its own.

    Args:
        problem: What is planned.
        limit: Give up beyond so many steps of the search.
        most: Configurations that are not too many.
        deadline: Give up then, on the clock of ``time.perf_counter``: where there is
            a rule, every step asks it.
    """
    found: list[Configuration] = []
    budget = limit
    for bin_type in range(len(problem.bin_types)):
        if problem.bin_types[bin_type].count == 0:
            continue
        if len(useful_options(problem, bin_type)) > MAX_LISTED_OPTIONS:
            return None
        for configuration in _fillings(problem, bin_type):
            budget -= 1
            if budget < 0 or time.perf_counter() > deadline:
                return None
            if configuration is not None and configuration.counts:
                found.append(configuration)
                if len(found) > most:
                    return None
    return found


def _fillings(
    problem: CapacityProblem, bin_type: int
) -> Iterator[Configuration | None]:
    """Yield the configurations of a bin type, and None for every other step."""
    indices = useful_options(problem, bin_type)
    # Counted jobs first, so that the others can be checked for being maximal.
    order = sorted(
        indices, key=lambda i: (not problem.jobs[problem.options[i].job].is_counted, i)
    )
    most = [problem.most_copies(index) for index in order]
    chosen: list[int] = []
    per_job = [0] * len(problem.jobs)

    def descend(depth: int, left: list[int]) -> Iterator[Configuration | None]:
        if depth == len(order):
            yield maximal(left)
            return
        yield None
        index = order[depth]
        option = problem.options[index]
        job = problem.jobs[option.job]
        copies = most[depth]
        if job.is_counted:
            most_of_job = job.copies if job.is_whole else job.max_copies
            copies = min(copies, (most_of_job or 0) - per_job[option.job])
        for size, room in zip(option.fixed, left, strict=True):
            if size:
                copies = min(copies, room // size)
        if problem.rule is not None:
            copies = most_true(may_hold, copies)
        for count in range(copies, -1, -1):
            chosen.append(count)
            per_job[option.job] += count
            yield from descend(
                depth + 1,
                [
                    room - size * count
                    for size, room in zip(option.fixed, left, strict=True)
                ],
            )
            per_job[option.job] -= count
            chosen.pop()

    def may_hold(copies: int) -> bool:
        chosen.append(copies)
        counts = held()
        chosen.pop()
        return problem.is_allowed(bin_type, counts)

    def held(extra: int | None = None) -> Counts:
        counts = dict(zip(order, chosen, strict=False))
        if extra is not None:
            counts[extra] += 1
        return tuple(sorted((index, n) for index, n in counts.items() if n))

    def maximal(left: list[int]) -> Configuration | None:
        for index, count, limit in zip(order, chosen, most, strict=True):
            option = problem.options[index]
            if problem.jobs[option.job].is_counted or count >= limit:
                continue
            if all(
                size <= room for size, room in zip(option.fixed, left, strict=True)
            ) and problem.is_allowed(bin_type, held(index)):
                return None
        return Configuration(bin_type, held())

    yield from descend(0, list(problem.bin_types[bin_type].capacity))


def useful_options(problem: CapacityProblem, bin_type: int) -> tuple[int, ...]:
    """Return the options of a bin type that no other option of the job dominates.

    An option of a job with a demand is dominated by one that gives at least as much
    service for no more fixed room, and each unit of it for no more room in
    proportion. Options of whole jobs differ in what they yield and are all kept
    unless another is at least as good in every size and in its rate.
    """
    if problem.rule is not None:
        # Nobody says that the smaller option is also the better neighbour.
        return problem.options_by_bin_type[bin_type]
    return problem.undominated_by_bin_type[bin_type]
