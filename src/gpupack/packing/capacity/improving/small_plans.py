"""The cheapest bins for a handful of whole copies, by a tiny exact search."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, Goal

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityProblem

    Uses = tuple[tuple[Configuration, int], ...]

MAX_COPIES = 16
NODE_LIMIT = 4_000
"""Of the search: some 50 ms."""
ROUNDING = 1e-9


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
    search = _Search(problem, goal, copies, node_limit)
    try:
        search.place(0, 0, 0)
    except _NodeLimitError:
        return None
    if search.best is None:
        return None
    prices = problem.prices(goal)
    return search.best, sum(prices[one.bin_type] * n for one, n in search.best)


class _NodeLimitError(Exception):
    """The search was cut short: nothing is proved."""


def _with_ties(problem: CapacityProblem, goal: Goal, most_bins: int) -> list[int]:
    """Return prices by which of equally good plans the first tie decides."""
    is_cost = goal is Goal.MIN_COST
    ties = problem.prices(Goal.MIN_BINS if is_cost else Goal.MIN_COST)
    above = 1 + max(ties) * most_bins
    return [
        price * above + tie
        for price, tie in zip(problem.prices(goal), ties, strict=True)
    ]


class _Bin:
    """An open bin: its type, the room left, and the options in it."""

    def __init__(self, bin_type: int, capacity: tuple[int, ...]) -> None:
        self.bin_type = bin_type
        self.room = list(capacity)
        self.options: list[int] = []

    def add(self, option: int, sizes: tuple[int, ...]) -> None:
        self.options.append(option)
        for dimension, size in enumerate(sizes):
            self.room[dimension] -= size

    def remove(self, sizes: tuple[int, ...]) -> None:
        self.options.pop()
        for dimension, size in enumerate(sizes):
            self.room[dimension] += size


class _Search:
    """Depth first over copies, the largest first, cut by what room costs."""

    def __init__(
        self, problem: CapacityProblem, goal: Goal, copies: list[int], node_limit: int
    ) -> None:
        self._problem = problem
        self._prices = _with_ties(problem, goal, len(copies))
        self._step = math.gcd(*self._prices) or 1
        self._left = [
            len(copies) if one.count is None else one.count for one in problem.bin_types
        ]
        self._nodes_left = node_limit
        self._bins: list[_Bin] = []
        self.best: Uses | None = None
        self.best_value = sum(self._prices) * len(copies) + 1
        # A bin costs its price, so a copy at least its part of it, in any dimension.
        cheapest = {job: self._cheapest(job) for job in copies}
        self._copies = sorted(copies, key=lambda job: (-max(cheapest[job]), job))
        self._rest = [[0.0] * problem.num_dimensions]
        for job in reversed(self._copies):
            above = self._rest[-1]
            self._rest.append(
                [a + c for a, c in zip(above, cheapest[job], strict=True)]
            )
        self._rest.reverse()

    def _cheapest(self, job: int) -> list[float]:
        parts = [
            self._parts(
                self._problem.options[index].bin_type,
                self._problem.options[index].fixed,
            )
            for index in self._problem.options_by_job[job]
        ]
        return [min(column) for column in zip(*parts, strict=True)]

    def _parts(self, bin_type: int, sizes: tuple[int, ...] | list[int]) -> list[float]:
        capacity = self._problem.bin_types[bin_type].capacity
        price = self._prices[bin_type]
        return [
            price * size / most if most else 0.0
            for size, most in zip(sizes, capacity, strict=True)
        ]

    def _lowest(self, position: int, value: int) -> int:
        """Return what all bins cost at least, with the copies yet to come."""
        free = [0.0] * self._problem.num_dimensions
        for one in self._bins:
            parts = self._parts(one.bin_type, one.room)
            free = [a + b for a, b in zip(free, parts, strict=True)]
        more = max(
            (
                need - have
                for need, have in zip(self._rest[position], free, strict=True)
            ),
            default=0.0,
        )
        lowest = value + max(0.0, more)
        return math.ceil(lowest / self._step - ROUNDING) * self._step

    def place(self, position: int, value: int, cost: int) -> None:
        """Place the copies from ``position`` on in every way that may be cheaper."""
        if self._lowest(position, value) >= self.best_value:
            return
        if position == len(self._copies):
            uses = Counter(
                Configuration(one.bin_type, tuple(sorted(Counter(one.options).items())))
                for one in self._bins
            )
            self.best, self.best_value = tuple(sorted(uses.items())), value
            return
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise _NodeLimitError
        problem = self._problem
        tried: set[tuple[int, tuple[int, ...]]] = set()
        for index in problem.options_by_job[self._copies[position]]:
            option = problem.options[index]
            for one in self._bins:
                state = one.bin_type, tuple(one.room)
                if one.bin_type != option.bin_type or state in tried:
                    continue
                tried.add(state)
                if any(a < b for a, b in zip(one.room, option.fixed, strict=True)):
                    continue
                one.add(index, option.fixed)
                self.place(position + 1, value, cost)
                one.remove(option.fixed)
            bin_type = problem.bin_types[option.bin_type]
            paid = cost + bin_type.cost
            if not self._left[option.bin_type] or (
                problem.budget is not None and paid > problem.budget
            ):
                continue
            self._left[option.bin_type] -= 1
            new = _Bin(option.bin_type, bin_type.capacity)
            new.add(index, option.fixed)
            self._bins.append(new)
            self.place(position + 1, value + self._prices[option.bin_type], paid)
            self._bins.pop()
            self._left[option.bin_type] += 1
