"""The cheapest bins for a handful of whole copies, by a tiny exact search."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, Goal
from gpupack.packing.items import place_copies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import CapacityProblem

    Uses = tuple[tuple[Configuration, int], ...]

MAX_COPIES = 16
NODE_LIMIT = 4_000
"""Of the search: some 50 ms."""


def cheapest_plan(
    problem: CapacityProblem, goal: Goal, *, node_limit: int = NODE_LIMIT
) -> tuple[Uses, int] | None:
    """Return the cheapest plan and its value, None where this search cannot tell.

    It needs no compiled code, and no library. It tells of jobs of whole copies that
    have one option at most per bin type, without a rule of who may share; not that
    there is no plan. Of equally good plans it is the best by the first tie of the goal:
    cost, or the number of bins.
    """
    if problem.rule is not None or not all(job.is_whole for job in problem.jobs):
        return None
    copies: list[int] = []
    for index, job in enumerate(problem.jobs):
        types = [problem.options[i].bin_type for i in problem.options_by_job[index]]
        if job.is_optional or len(set(types)) < len(types):
            return None
        copies.extend([index] * job.copies)
    if len(copies) > MAX_COPIES:
        return None
    prices = _with_ties(problem, goal, len(copies))
    cheapest = {job: _largest_part(problem, prices, job) for job in copies}
    copies.sort(key=lambda job: (-cheapest[job], job))
    options = [problem.options_by_job[job] for job in copies]
    placed, _ = place_copies(
        [
            tuple(
                (problem.options[index].bin_type, problem.options[index].fixed)
                for index in of_job
            )
            for of_job in options
        ],
        [one.capacity for one in problem.bin_types],
        [len(copies) if one.count is None else one.count for one in problem.bin_types],
        prices=prices,
        costs=[one.cost for one in problem.bin_types],
        budget=problem.budget,
        node_limit=node_limit,
    )
    if placed is None:
        return None
    contents: list[Counter[int]] = [Counter() for _ in placed.kinds]
    for of_job, number, choice in zip(
        options, placed.bins, placed.choices, strict=True
    ):
        contents[number][of_job[choice]] += 1
    uses = Counter(
        Configuration(kind, tuple(sorted(held.items())))
        for kind, held in zip(placed.kinds, contents, strict=True)
    )
    goal_prices = problem.prices(goal)
    value = sum(goal_prices[one.bin_type] * n for one, n in uses.items())
    return tuple(sorted(uses.items())), value


def _with_ties(problem: CapacityProblem, goal: Goal, most_bins: int) -> list[int]:
    """Return prices by which of equally good plans the first tie decides."""
    is_cost = goal is Goal.MIN_COST
    ties = problem.prices(Goal.MIN_BINS if is_cost else Goal.MIN_COST)
    above = 1 + max(ties) * most_bins
    return [
        price * above + tie
        for price, tie in zip(problem.prices(goal), ties, strict=True)
    ]


def _largest_part(problem: CapacityProblem, prices: Sequence[int], job: int) -> float:
    """Return the least that a copy pays for its room, in its dearest dimension."""
    options = [problem.options[index] for index in problem.options_by_job[job]]
    return max(
        min(
            prices[one.bin_type] * size / most if most else 0.0
            for one, size, most in column
        )
        for column in zip(
            *(
                [
                    (one, size, most)
                    for size, most in zip(
                        one.fixed,
                        problem.bin_types[one.bin_type].capacity,
                        strict=True,
                    )
                ]
                for one in options
            ),
            strict=True,
        )
    )
