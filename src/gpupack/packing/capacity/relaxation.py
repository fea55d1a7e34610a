"""The linear relaxation over all patterns, by column generation, and its bound.

References:
    Gilmore and Gomory, "A linear programming approach to the cutting-stock
    problem", Operations Research 9, 1961. Farley, "A note on bounding a class of
    linear programming problems, including cutting stock problems", Operations
    Research 38, 1990: scaled prices give a bound before the relaxation is solved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.patterns import Pattern, PatternFinder, Prices
from gpupack.packing.capacity.problem import Goal
from gpupack.packing.capacity.program import service_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.linear_solver import pywraplp

    from gpupack.packing.capacity.configurations import Configuration
    from gpupack.packing.capacity.problem import CapacityProblem

CLOSE_ENOUGH = 1e-3
"""Relative distance between relaxation and bound at which generation stops."""
MIN_EXACT_PRICING_S = 0.25
MAX_EXACT_PRICING_S = 2.0
MAX_REFILLS = 2
"""Rounds of new patterns after each fixing of a dive."""
MAX_STARTS = 8
"""Greedy patterns per bin type and weighting in one round."""


@dataclass(frozen=True)
class Relaxation:
    """What column generation found.

    Args:
        value: Of the restricted relaxation, in the units of the goal.
        bound: Proven: no plan is better.
        configurations: Of the patterns, the most promising first.
        num_used: How many of them the relaxation uses.
        bought_off: Not every job got what it must; it may be impossible.
        is_infeasible: Proved: not even fractions of bins do.
    """

    value: float
    bound: float
    configurations: tuple[Configuration, ...]
    num_used: int
    bought_off: bool
    is_infeasible: bool


class _Duals:
    """Prices of what jobs need: service, copies, copies of one option."""

    def __init__(self, problem: CapacityProblem) -> None:
        self.service = [0.0] * len(problem.jobs)
        self.copies = [0.0] * len(problem.jobs)
        self.most = [0.0] * len(problem.jobs)
        self.budget = 0.0
        self.option = [0.0] * len(problem.options)
        self.room = [0.0] * len(problem.bin_types)


class Relaxer:
    """Column generation for one problem and goal.

    Args:
        problem: What is planned; every bin type counted unless the goal is cost.
        goal: What is best.
        deadline: On the clock of ``time.perf_counter``.
        seed: For every random choice.
    """

    def __init__(
        self, problem: CapacityProblem, goal: Goal, *, deadline: float, seed: int
    ) -> None:
        from ortools.linear_solver import pywraplp

        self._problem = problem
        self._goal = goal
        self._deadline = deadline
        self._scale = service_scale(problem)
        self._bin_prices = problem.prices(goal)
        self._finders = [
            PatternFinder(problem, index, seed=seed)
            for index in range(len(problem.bin_types))
        ]
        self._lp = pywraplp.Solver.CreateSolver("GLOP")
        self._patterns: dict[Pattern, pywraplp.Variable] = {}
        self._add_rows()

    def _add_rows(self) -> None:
        lp, problem = self._lp, self._problem
        infinity = lp.infinity()
        self._objective = lp.Objective()
        self._objective.SetMinimization()
        in_full = self._goal.is_in_full
        # Above any price that a plan in whole bins could justify.
        self._penalty = 1000.0 * (
            sum(max(1, price) for price in self._bin_prices) if in_full else 1.0
        )
        self._artificial: list[pywraplp.Variable] = []
        smallest = None
        if self._goal is Goal.MAX_MIN_SHARE:
            smallest = lp.NumVar(0, 1, "")
            self._objective.SetCoefficient(smallest, -1.0)
        self._service_rows: dict[int, pywraplp.Constraint] = {}
        self._copy_rows: dict[int, pywraplp.Constraint] = {}
        self._most_rows: dict[int, pywraplp.Constraint] = {}
        self._option_rows: dict[int, pywraplp.Constraint] = {}
        for index, job in enumerate(problem.jobs):
            if job.demand is not None:
                if job.demand:
                    share = lp.NumVar(
                        1.0 if in_full and not job.is_optional else 0, 1, ""
                    )
                    if self._goal is Goal.MAX_SERVICE:
                        self._objective.SetCoefficient(
                            share, -job.weight * job.demand / self._scale
                        )
                    if smallest is not None and not job.is_optional:
                        lp.Add(share >= smallest)
                    row = lp.RowConstraint(0, infinity, "")
                    row.SetCoefficient(share, -1.0)
                    self._service_rows[index] = row
                    if in_full and not job.is_optional:
                        self._relax(row)
                if not job.is_optional and not (
                    in_full and job.demand and job.copies == 1
                ):
                    row = lp.RowConstraint(job.copies, infinity, "")
                    self._copy_rows[index] = row
                    self._relax(row)
                if job.max_copies is not None:
                    self._most_rows[index] = lp.RowConstraint(
                        -infinity, job.max_copies, ""
                    )
                continue
            total = lp.RowConstraint(
                0 if job.is_optional else job.copies, job.copies, ""
            )
            for option in problem.options_by_job[index]:
                taken = lp.NumVar(0, infinity, "")
                total.SetCoefficient(taken, 1)
                if self._goal is Goal.MAX_SERVICE:
                    self._objective.SetCoefficient(
                        taken, -job.weight * problem.options[option].rate / self._scale
                    )
                row = lp.RowConstraint(0, infinity, "")
                row.SetCoefficient(taken, -1)
                self._option_rows[option] = row
            if not job.is_optional:
                self._relax(total)
        self._count_rows = [
            None
            if bin_type.count is None
            else lp.RowConstraint(-infinity, bin_type.count, "")
            for bin_type in problem.bin_types
        ]
        self._budget_row = (
            None
            if problem.budget is None
            else lp.RowConstraint(-infinity, problem.budget, "")
        )

    def _relax(self, row: pywraplp.Constraint) -> None:
        """Let a row be bought off at a high price, so that the program is feasible."""
        missing = self._lp.NumVar(0, self._lp.infinity(), "")
        row.SetCoefficient(missing, 1.0)
        self._objective.SetCoefficient(missing, self._penalty)
        self._artificial.append(missing)

    def _add(self, pattern: Pattern) -> bool:
        if pattern in self._patterns:
            return False
        lp, problem = self._lp, self._problem
        bin_type = pattern.configuration.bin_type
        column = lp.NumVar(0, lp.infinity(), "")
        self._objective.SetCoefficient(column, self._bin_prices[bin_type])
        service: dict[int, float] = {}
        copies: dict[int, int] = {}
        for (option, count), load in zip(
            pattern.configuration.counts, pattern.loads, strict=True
        ):
            one = problem.options[option]
            demand = problem.jobs[one.job].demand
            copies[one.job] = copies.get(one.job, 0) + count
            if demand:
                served = load * one.rate / demand
                service[one.job] = service.get(one.job, 0.0) + served
            if option in self._option_rows:
                self._option_rows[option].SetCoefficient(column, count)
        for job, share in service.items():
            self._service_rows[job].SetCoefficient(column, share)
        for job, count in copies.items():
            for rows in (self._copy_rows, self._most_rows):
                if job in rows:
                    rows[job].SetCoefficient(column, count)
        if self._budget_row is not None:
            self._budget_row.SetCoefficient(column, problem.bin_types[bin_type].cost)
        row = self._count_rows[bin_type]
        if row is not None:
            row.SetCoefficient(column, 1)
        self._patterns[pattern] = column
        return True

    def run(self, *, target_gap: float = CLOSE_ENOUGH) -> Relaxation:
        """Generate patterns until the bound is close or the deadline near."""
        started = time.perf_counter()
        best_bound = -math.inf
        value = math.inf
        for pattern in self._first_patterns():
            self._add(pattern)
        while True:
            self._lp.Solve()
            value = self._objective.Value()
            if time.perf_counter() > self._deadline:
                break
            duals = self._duals()
            now = time.perf_counter()
            # Without an exact round there is no bound: half of the time is for those.
            is_late = best_bound == -math.inf and now - started > self._deadline - now
            if not is_late and self._improve_greedily(duals):
                continue
            bound, is_new = self._improve_exactly(duals)
            best_bound = max(best_bound, bound)
            if not is_new or value - best_bound <= target_gap * max(1.0, abs(value)):
                break
        return self._result(best_bound)

    def dive(self, *, deadline: float) -> tuple[tuple[Configuration, int], ...] | None:
        """Return a plan found by fixing patterns one after the other, None if none.

        Whole parts of the relaxation are fixed, then the largest fraction is rounded
        up; patterns made to measure for what is still open are generated in between.

        Args:
            deadline: On the clock of ``time.perf_counter``.
        """
        fixed: dict[Pattern, int] = {}
        while time.perf_counter() < deadline:
            self._lp.Solve()
            values = {
                pattern: column.solution_value() - fixed.get(pattern, 0)
                for pattern, column in self._patterns.items()
                if column.solution_value() > fixed.get(pattern, 0) + 1e-6
            }
            if not values:
                is_complete = all(
                    one.solution_value() < 1e-7 for one in self._artificial
                )
                return _uses(fixed) if is_complete else None
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
                self._patterns[pattern].SetLb(fixed[pattern])
            self._refill(fixed)
        return None

    def _refill(self, fixed: dict[Pattern, int]) -> None:
        """Generate patterns for what the fixed ones leave open."""
        problem = self._problem
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
            self._lp.Solve()
            duals = self._duals()
            if not self._improve_greedily(duals, left, num_weightings=3):
                return

    def _first_patterns(self) -> list[Pattern]:
        problem = self._problem
        ones = [1.0] * len(problem.options)
        prices = Prices(
            [
                0.0 if problem.jobs[o.job].is_whole else one
                for o, one in zip(problem.options, ones, strict=True)
            ],
            [
                0.0 if problem.jobs[o.job].demand else one
                for o, one in zip(problem.options, ones, strict=True)
            ],
        )
        weights = [1.0] * problem.num_dimensions
        return [
            pattern
            for finder in self._finders
            for pattern in finder.greedy(prices, weights, max_starts=len(problem.jobs))
        ]

    def _duals(self) -> _Duals:
        duals = _Duals(self._problem)
        for index, row in self._service_rows.items():
            duals.service[index] = max(0.0, row.dual_value())
        for index, row in self._copy_rows.items():
            duals.copies[index] = max(0.0, row.dual_value())
        for index, row in self._most_rows.items():
            duals.most[index] = min(0.0, row.dual_value())
        if self._budget_row is not None:
            duals.budget = min(0.0, self._budget_row.dual_value())
        for index, row in self._option_rows.items():
            duals.option[index] = max(0.0, row.dual_value())
        for index, count_row in enumerate(self._count_rows):
            if count_row is not None:
                duals.room[index] = min(0.0, count_row.dual_value())
        return duals

    def _prices(self, duals: _Duals) -> Prices:
        problem = self._problem
        per_load, per_copy = [], []
        for index, option in enumerate(problem.options):
            demand = problem.jobs[option.job].demand
            per_load.append(
                duals.service[option.job] * option.rate / demand if demand else 0.0
            )
            per_copy.append(
                duals.copies[option.job] + duals.most[option.job] + duals.option[index]
            )
        return Prices(per_load, per_copy)

    def _price_of_bin(self, bin_type: int, duals: _Duals) -> float:
        cost = self._problem.bin_types[bin_type].cost
        return self._bin_prices[bin_type] - duals.room[bin_type] - duals.budget * cost

    def _improve_greedily(
        self,
        duals: _Duals,
        open_shares: Sequence[float] | None = None,
        *,
        num_weightings: int | None = None,
    ) -> bool:
        prices = self._prices(duals)
        is_new = False
        for bin_type, finder in enumerate(self._finders):
            if self._problem.bin_types[bin_type].count == 0:
                continue
            price = self._price_of_bin(bin_type, duals)
            for weights in _weightings(finder.weights(prices))[:num_weightings]:
                for pattern in finder.greedy(
                    prices, weights, max_starts=MAX_STARTS, open_shares=open_shares
                ):
                    gain = prices.value(pattern) - price
                    if gain > 1e-3 * max(price, 1e-3) and self._add(pattern):
                        is_new = True
        return is_new

    def _improve_exactly(self, duals: _Duals) -> tuple[float, bool]:
        prices = self._prices(duals)
        values = []
        is_new = False
        for bin_type, finder in enumerate(self._finders):
            if self._problem.bin_types[bin_type].count == 0:
                values.append(0.0)
                continue
            remaining = self._deadline - time.perf_counter()
            share = remaining / (len(self._finders) - bin_type)
            pattern, most = finder.best(
                prices,
                time_limit_s=max(MIN_EXACT_PRICING_S, min(MAX_EXACT_PRICING_S, share)),
            )
            values.append(max(0.0, most))
            if pattern is not None:
                price = self._price_of_bin(bin_type, duals)
                gain = prices.value(pattern) - price
                if gain > 1e-9 * max(1.0, price) and self._add(pattern):
                    is_new = True
        return self._lagrangian_bound(duals, values), is_new

    def _lagrangian_bound(self, duals: _Duals, values: Sequence[float]) -> float:
        """Return the best bound of the prices, scaled by factors up to 1.

        With what jobs need priced, bins and jobs decide apart: each bin type at most
        ``count`` times its best pattern, each job its cheapest service. A type
        without count allows only factors at which no pattern earns its cost. A budget
        is priced, too.
        """
        problem = self._problem
        per_budget = -duals.budget
        costs = [
            price + per_budget * one.cost
            for price, one in zip(self._bin_prices, problem.bin_types, strict=True)
        ]
        paid = per_budget * (problem.budget or 0)
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
            total = self._jobs_bound(duals, factor) - paid
            for bin_type, cost, value in zip(
                problem.bin_types, costs, values, strict=True
            ):
                if bin_type.count is not None:
                    total += bin_type.count * min(0.0, cost - factor * value)
            best = max(best, total)
        return best

    def _jobs_bound(self, duals: _Duals, factor: float) -> float:
        total = 0.0
        shares = 0.0
        for index, job in enumerate(self._problem.jobs):
            total += factor * duals.copies[index] * job.copies
            total += factor * duals.most[index] * (job.max_copies or 0)
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
                total += job.copies * cheapest
            elif not job.demand:
                continue
            elif self._goal.is_in_full:
                total += 0.0 if job.is_optional else price
            elif self._goal is Goal.MAX_SERVICE:
                total += min(0.0, price - job.weight * job.demand / self._scale)
            elif not job.is_optional:
                shares += price
        if self._goal is Goal.MAX_MIN_SHARE:
            total += min(0.0, shares - 1.0)
        return total

    def _result(self, bound: float) -> Relaxation:
        self._lp.Solve()  # patterns may have been added since
        value = self._objective.Value()
        bought_off = any(one.solution_value() > 1e-6 for one in self._artificial)
        # A bound above what any feasible plan can cost proves there is none.
        is_infeasible = bought_off and bound > self._worst_value()
        ranked = sorted(
            self._patterns.items(),
            key=lambda pair: (
                -pair[1].solution_value()
                if pair[1].solution_value() > 1e-9
                else max(0.0, pair[1].reduced_cost()),
                pair[0].configuration,
            ),
        )
        used = [p for p, column in ranked if column.solution_value() > 1e-9]
        rest = sorted(
            (p for p, column in ranked if column.solution_value() <= 1e-9),
            key=lambda p: (max(0.0, self._patterns[p].reduced_cost()), p.configuration),
        )
        used_configurations = list(dict.fromkeys(p.configuration for p in used))
        every = dict.fromkeys([*used_configurations, *(p.configuration for p in rest)])
        if self._goal.is_in_full:
            return Relaxation(
                value,
                bound,
                tuple(every),
                len(used_configurations),
                bought_off,
                is_infeasible,
            )
        unit = self._scale if self._goal is Goal.MAX_SERVICE else 1.0
        return Relaxation(
            -value * unit,
            -bound * unit,
            tuple(every),
            len(used_configurations),
            bought_off,
            is_infeasible,
        )

    def _worst_value(self) -> float:
        worst = 1e-6
        for price, one in zip(self._bin_prices, self._problem.bin_types, strict=True):
            if price and one.count is None:
                return math.inf
            worst += price * (one.count or 0)
        return worst


def _weightings(weights: list[float]) -> list[list[float]]:
    """Return what room is worth, and variations: each dimension more, each less."""
    total = sum(weights)
    if len(weights) == 1 or total <= 0:
        return [[1.0] * len(weights)]
    floor = 0.02 * total
    base = [max(weight, floor) for weight in weights]
    varied = [base]
    for dimension in range(len(base)):
        for factor in (0.5, 2.0):
            other = list(base)
            other[dimension] *= factor
            varied.append(other)
    return varied


def _uses(fixed: dict[Pattern, int]) -> tuple[tuple[Configuration, int], ...]:
    """Return how many bins have each configuration."""
    uses: dict[Configuration, int] = {}
    for pattern, count in fixed.items():
        uses[pattern.configuration] = uses.get(pattern.configuration, 0) + count
    return tuple(sorted(uses.items()))
