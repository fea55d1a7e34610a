"""The Lagrangian bound: with needs priced, bins and jobs decide apart.

References:
    Farley, "A note on bounding a class of linear programming problems, including
    cutting stock problems", Operations Research 38, 1990: scaled prices give a bound
    before the relaxation is solved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing.measures import service_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.plan_master import Duals

ROUNDING = 2.0**-40
"""Relative to the sizes of all terms: each is the result of a few operations, which
round by 2^-53, and their sums are rounded once, however many there are."""


class Lagrangian:
    """Bounds for one problem and goal; no plan is better than any of them.

    Args:
        problem: What is planned.
        goal: What is best.
    """

    def __init__(self, problem: CapacityProblem, goal: Goal) -> None:
        self._problem = problem
        self._goal = goal
        self._scale = service_scale(problem)

    def bound(
        self, duals: Duals, values: Sequence[float], bin_prices: Sequence[float]
    ) -> float:
        """Return the best bound of the prices, scaled by factors up to 1.

        With what jobs need priced, bins and jobs decide apart: each bin type at most
        ``count`` times its best pattern, each job its cheapest service. A type
        without count allows only factors at which no pattern earns its cost. A budget
        is priced, too.

        Args:
            duals: What needs are worth.
            values: Per bin type, what no pattern's worth exceeds.
            bin_prices: Per bin type, in the units of the goal.
        """
        problem = self._problem
        per_budget = -duals.budget
        costs = [
            price + per_budget * one.cost
            for price, one in zip(bin_prices, problem.bin_types, strict=True)
        ]
        paid = per_budget * (problem.budget or 0)
        counted = [one.count or 0 for one in problem.bin_types]
        # What rounding may have added to the sums below, each term of which takes a few
        # operations: large prices of needs cancel out, their rounding does not.
        size = self._size_of_jobs(duals) + abs(paid)
        size += math.fsum(
            count * (abs(cost) + abs(value))
            for count, cost, value in zip(counted, costs, values, strict=True)
        )
        error = ROUNDING * size
        factors = {1.0}
        most = 1.0
        for bin_type, cost, value in zip(problem.bin_types, costs, values, strict=True):
            if value > 0:
                factors.add(cost / value)
                if bin_type.count is None:
                    most = min(most, cost / value)
        factors.add(most)
        best = -math.inf
        for factor in factors:
            if factor > most:
                continue
            terms = self._of_jobs(duals, factor)
            terms.append(-paid)
            terms += [
                count * min(0.0, cost - factor * value)
                for count, cost, value in zip(counted, costs, values, strict=True)
            ]
            best = max(best, math.fsum(terms))
        return best - error

    def of_jobs(self, duals: Duals, factor: float) -> float:
        """Return what jobs cost at least where their needs have these prices.

        Args:
            duals: What needs are worth.
            factor: Of these prices, 0–1.
        """
        size = self._size_of_jobs(duals)
        return math.fsum(self._of_jobs(duals, factor)) - ROUNDING * size

    def _of_jobs(self, duals: Duals, factor: float) -> list[float]:
        """Return the terms whose sum is what jobs cost at least."""
        terms: list[float] = []
        shares: list[float] = []
        for index, job in enumerate(self._problem.jobs):
            terms.append(factor * duals.copies[index] * job.copies)
            terms.append(factor * duals.most[index] * (job.max_copies or 0))
            price = factor * duals.service[index]
            if job.is_whole:
                costs = []
                for option in self._problem.options_by_job[index]:
                    earned = 0.0
                    if self._goal is Goal.MAX_SERVICE:
                        rate = self._problem.options[option].rate
                        earned = job.weight * rate / self._scale
                    costs.append(factor * duals.option[option] - earned)
                cheapest = min(costs, default=0.0)
                if job.is_optional:
                    cheapest = min(0.0, cheapest)
                terms.append(job.copies * cheapest)
            elif not job.demand:
                continue
            elif self._goal.is_in_full:
                terms.append(0.0 if job.is_optional else price)
            elif self._goal is Goal.MAX_SERVICE:
                earned = job.weight * job.demand / self._scale
                terms.append(min(0.0, price - earned))
            elif not job.is_optional:
                shares.append(price)
        if self._goal is Goal.MAX_MIN_SHARE:
            terms.append(min(0.0, math.fsum([*shares, -1.0])))
        return terms

    def _size_of_jobs(self, duals: Duals) -> float:
        """Return the sum of the sizes of all that ``_of_jobs`` adds up."""
        sizes = [1.0]
        for index, job in enumerate(self._problem.jobs):
            sizes.append(abs(duals.copies[index]) * job.copies)
            sizes.append(abs(duals.most[index]) * (job.max_copies or 0))
            sizes.append(abs(duals.service[index]))
            if job.demand:
                sizes.append(job.weight * job.demand / self._scale)
            if job.is_whole:
                sizes += [
                    job.copies
                    * (
                        abs(duals.option[option])
                        + job.weight * self._problem.options[option].rate / self._scale
                    )
                    for option in self._problem.options_by_job[index]
                ]
        return math.fsum(sizes)
