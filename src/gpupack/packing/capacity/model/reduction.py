"""A smaller problem with the same best plans: without options that nobody needs.

Taken out are options that another option of the job beats, bin types that another bin
type beats, and all but one of bin types that are alike.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model.configurations import useful_options
from gpupack.packing.capacity.model.plan import Copies, FilledBin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model.capacity_problem import (
        BinType,
        CapacityProblem,
        Goal,
        Option,
    )

MAX_TIES = 300
"""Options up to which those that only ties need are kept."""


@dataclass(frozen=True)
class Reduction:
    """A smaller problem and how its plans are those of the larger one.

    Args:
        problem: The smaller one; its jobs are those of the larger.
        bin_types: Per bin type of it, those of the larger problem that it stands for.
        options: Per option of it and bin type of the larger problem, the option there.
        is_without_ties: Whether options were left out that a better tie may need.
    """

    problem: CapacityProblem
    bin_types: tuple[tuple[int, ...], ...]
    options: tuple[dict[int, int], ...]
    is_without_ties: bool

    def restored(
        self, bins: Sequence[FilledBin], asked: CapacityProblem
    ) -> tuple[FilledBin, ...]:
        """Return the bins of a plan as bins of the larger problem."""
        left = [one.count for one in asked.bin_types]
        found = []
        for one in bins:
            number = one.multiplicity
            for bin_type in self.bin_types[one.bin_type]:
                count = left[bin_type]
                here = number if count is None else min(number, count)
                if not here:
                    continue
                if count is not None:
                    left[bin_type] = count - here
                copies = tuple(
                    Copies(
                        self.options[group.option][bin_type],
                        group.num_copies,
                        group.service,
                    )
                    for group in one.copies
                )
                found.append(FilledBin(bin_type, copies, here))
                number -= here
        return tuple(found)


def reduced(problem: CapacityProblem, goal: Goal) -> Reduction | None:
    """Return the problem without what no best plan needs, None if that is nothing.

    A rule of who may share a bin knows every option for itself: then nothing is.
    """
    if problem.rule is not None:
        return None
    kept = [
        list(useful_options(problem, bin_type))
        for bin_type in range(len(problem.bin_types))
    ]
    is_without_ties = goal.is_in_full and sum(map(len, kept)) > MAX_TIES
    if is_without_ties:
        slim = [_smallest(problem, options) for options in kept]
        is_without_ties = slim != kept
        kept = slim
    groups = _alike(problem, kept)
    if goal.is_in_full:
        groups = _unbeaten(problem, goal, kept, groups)
    if len(groups) == len(problem.bin_types) and sum(map(len, kept)) == len(
        problem.options
    ):
        return None
    options: list[Option] = []
    places: list[dict[int, int]] = []
    bin_types: list[BinType] = []
    for number, group in enumerate(groups):
        counts = [problem.bin_types[one].count for one in group]
        total = None if None in counts else sum(one or 0 for one in counts)
        bin_types.append(replace(problem.bin_types[group[0]], count=total))
        columns = [sorted(kept[one], key=lambda i: _key(problem, i)) for one in group]
        for row in zip(*columns, strict=True):
            options.append(replace(problem.options[row[0]], bin_type=number))
            places.append(dict(zip(group, row, strict=True)))
    smaller = replace(problem, bin_types=tuple(bin_types), options=tuple(options))
    return Reduction(smaller, tuple(groups), tuple(places), is_without_ties)


def _smallest(problem: CapacityProblem, options: Sequence[int]) -> list[int]:
    """Return the options of one bin type without those that cost more room.

    Where all must be served in full, a faster option of a job of whole copies is worth
    nothing but a tie.
    """
    of_job: dict[int, list[int]] = defaultdict(list)
    for index in options:
        of_job[problem.options[index].job].append(index)
    found: list[int] = []
    for job, indices in of_job.items():
        if not problem.jobs[job].is_whole or problem.jobs[job].is_optional:
            found.extend(indices)
            continue
        sizes = np.array([problem.options[one].fixed for one in indices], dtype=float)
        # Of equal sizes the fastest stays.
        rates = [problem.options[one].rate for one in indices]
        order = sorted(range(len(indices)), key=lambda at: (*sizes[at], -rates[at], at))
        kept: list[int] = []
        for at in order:
            if not (kept and (sizes[kept] <= sizes[at]).all(axis=1).any()):
                kept.append(at)
        found.extend(indices[at] for at in kept)
    return sorted(found)


def _key(problem: CapacityProblem, index: int) -> tuple[object, ...]:
    one = problem.options[index]
    return one.job, one.fixed, one.proportional, one.rate


def _alike(
    problem: CapacityProblem, kept: Sequence[Sequence[int]]
) -> list[tuple[int, ...]]:
    """Return bin types in groups of which every one offers the same."""
    groups: dict[object, list[int]] = defaultdict(list)
    for bin_type, one in enumerate(problem.bin_types):
        rows = tuple(sorted(_key(problem, index) for index in kept[bin_type]))
        groups[one.capacity, one.cost, rows].append(bin_type)
    return [tuple(group) for group in groups.values()]


def _unbeaten(
    problem: CapacityProblem,
    goal: Goal,
    kept: Sequence[Sequence[int]],
    groups: Sequence[tuple[int, ...]],
) -> list[tuple[int, ...]]:
    """Return the groups without those of which others offer more for less.

    One that beats another must be there in any number.
    """
    prices = problem.prices(goal)
    offers = {group[0]: _offers(problem, kept[group[0]]) for group in groups}

    def worth(group: tuple[int, ...]) -> tuple[int, int]:
        one = group[0]
        return prices[one], problem.bin_types[one].cost

    order = sorted(groups, key=lambda group: (worth(group), group))
    found: list[tuple[int, ...]] = []
    for group in order:
        if not offers[group[0]]:
            continue  # nothing can go there
        rivals = [
            other
            for other in found
            if any(problem.bin_types[one].count is None for one in other)
            and worth(other)[1] <= worth(group)[1]
        ]
        if not any(
            _has_more_room(problem, one[0], group[0])
            and _beats(offers[one[0]], offers[group[0]])
            for one in rivals
        ):
            found.append(group)
    return sorted(found) or list(groups[:1])


def _offers(
    problem: CapacityProblem, options: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """Return, by job, options as rows: sizes in full, sizes per rate, and rate.

    In each column less is better.
    """
    rows: dict[int, list[list[float]]] = defaultdict(list)
    for index in options:
        one = problem.options[index]
        per_unit = [size / one.rate for size in one.proportional]
        rows[one.job].append([*one.fixed, *per_unit, -one.rate])
    return {job: np.array(of_job, dtype=float) for job, of_job in rows.items()}


def _has_more_room(problem: CapacityProblem, first: int, second: int) -> bool:
    return all(
        a >= b
        for a, b in zip(
            problem.bin_types[first].capacity,
            problem.bin_types[second].capacity,
            strict=True,
        )
    )


def _beats(
    first: dict[int, NDArray[np.float64]], second: dict[int, NDArray[np.float64]]
) -> bool:
    """Return whether for every option of the second the first has one as good.

    What fits into a bin of the second then fits into one of the first with more room.
    """
    for job, rows in second.items():
        better = first.get(job)
        if better is None:
            return False
        is_as_good = np.all(better[None] <= rows[:, None], axis=2)
        if not np.all(np.any(is_as_good, axis=1)):
            return False
    return True
