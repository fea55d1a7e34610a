"""The restricted master: a linear program over the patterns found so far.

It has two aims. *Value*: the best value of the goal, what jobs need being bought off
at a high price where no pattern gives it. *Shortfall*: for given numbers of bins,
the smallest share of every need that must go unmet; below 0 there is room to spare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing.measures import service_scale
from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortools.linear_solver import pywraplp

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern

MOST_SPARE = 1.0
"""Share of every need up to which spare room is told apart."""
USED = 1e-9
"""Columns above it are used."""
LARGE = 1000.0
"""Times what all that a job needs could cost: the price of what it is not given."""


class UnsolvedError(Exception):
    """The linear program could not be solved in floating point: nothing is known."""


@dataclass
class Duals:
    """Prices of what jobs need and of what bins are limited by.

    Args:
        service: Per job, of its whole demand.
        copies: Per job, of one copy more.
        most: Per job, ≤ 0, of one copy more allowed.
        option: Per option of whole jobs, of one copy more.
        room: Per bin type, ≤ 0, of one bin more.
        budget: ≤ 0, of one unit more.
    """

    service: list[float]
    copies: list[float]
    most: list[float]
    option: list[float]
    room: list[float]
    budget: float = 0.0

    def towards(self, other: Duals, share: float) -> Duals:
        """Return the prices a share of the way towards others."""

        def between(ours: list[float], theirs: list[float]) -> list[float]:
            return [
                one + share * (another - one)
                for one, another in zip(ours, theirs, strict=True)
            ]

        return Duals(
            service=between(self.service, other.service),
            copies=between(self.copies, other.copies),
            most=between(self.most, other.most),
            option=between(self.option, other.option),
            room=between(self.room, other.room),
            budget=self.budget + share * (other.budget - self.budget),
        )


class PlanMaster:
    """Rows for the needs of jobs and the limits on bins, a column per pattern.

    Args:
        problem: What is planned.
        goal: Whose value is aimed at.
    """

    def __init__(self, problem: CapacityProblem, goal: Goal) -> None:
        from ortools.linear_solver import pywraplp

        self._problem = problem
        self._goal = goal
        # Where service counts, programs are degenerate: afresh, each takes long.
        self._grows = not goal.is_in_full
        # In dearest bins: amounts of money are no sizes for a linear program.
        prices = problem.prices(goal)
        self.unit = float(max(prices)) or 1.0
        self._bin_prices = tuple(price / self.unit for price in prices)
        self._lp = pywraplp.Solver.CreateSolver("GLOP")
        self._patterns: dict[Pattern, pywraplp.Variable] = {}
        self._artificial: list[pywraplp.Variable] = []
        self._service_rows: dict[int, pywraplp.Constraint] = {}
        self._copy_rows: dict[int, pywraplp.Constraint] = {}
        self._most_rows: dict[int, pywraplp.Constraint] = {}
        self._option_rows: dict[int, pywraplp.Constraint] = {}
        # Above any price that a plan in whole bins could justify.
        self._penalty = LARGE * (len(self._bin_prices) if goal.is_in_full else 1.0)
        self._objective = self._lp.Objective()
        self._objective.SetMinimization()
        self._shortfall = self._lp.NumVar(0, 0, "")
        self._add_jobs()
        self._add_limits()

    def _add_jobs(self) -> None:
        lp, problem, goal = self._lp, self._problem, self._goal
        scale = service_scale(problem)
        smallest = None
        if goal is Goal.MAX_MIN_SHARE:
            smallest = lp.NumVar(0, 1, "")
            self._objective.SetCoefficient(smallest, -1.0)
        for index, job in enumerate(problem.jobs):
            if job.is_whole:
                self._add_whole_job(index, scale)
                continue
            is_promised = goal.is_in_full and not job.is_optional
            if job.demand:
                share = lp.NumVar(1.0 if is_promised else 0, 1, "")
                if goal is Goal.MAX_SERVICE:
                    self._objective.SetCoefficient(
                        share, -job.weight * job.demand / scale
                    )
                if smallest is not None and not job.is_optional:
                    lp.Add(share >= smallest)
                row = lp.RowConstraint(0, lp.infinity(), "")
                row.SetCoefficient(share, -1.0)
                self._service_rows[index] = row
                if is_promised:
                    self._relax(row, 1.0, self._penalty + 10.0 * self._num_alone(index))
            if not job.is_optional and not (
                goal.is_in_full and job.demand and job.copies == 1
            ):
                row = lp.RowConstraint(job.copies, lp.infinity(), "")
                self._copy_rows[index] = row
                self._relax(row, job.copies, self._penalty)
            if job.max_copies is not None:
                self._most_rows[index] = lp.RowConstraint(
                    -lp.infinity(), job.max_copies, ""
                )

    def _add_whole_job(self, index: int, scale: float) -> None:
        lp, problem = self._lp, self._problem
        job = problem.jobs[index]
        total = lp.RowConstraint(0 if job.is_optional else job.copies, job.copies, "")
        for option in problem.options_by_job[index]:
            taken = lp.NumVar(0, lp.infinity(), "")
            total.SetCoefficient(taken, 1)
            if self._goal is Goal.MAX_SERVICE:
                self._objective.SetCoefficient(
                    taken, -job.weight * problem.options[option].rate / scale
                )
            row = lp.RowConstraint(0, lp.infinity(), "")
            row.SetCoefficient(taken, -1)
            self._option_rows[option] = row
        if not job.is_optional:
            self._relax(total, job.copies, self._penalty)

    def _num_alone(self, index: int) -> float:
        """Return how many bins a job with a demand needs for itself."""
        problem = self._problem
        rates = [problem.rate_alone(one) for one in problem.options_by_job[index]]
        return (problem.jobs[index].demand or 0) / max(rates) if rates else 0.0

    def _relax(self, row: pywraplp.Constraint, need: float, penalty: float) -> None:
        """Let a row be bought off, or go unmet by the shortfall's share of its need."""
        missing = self._lp.NumVar(0, self._lp.infinity(), "")
        row.SetCoefficient(missing, 1.0)
        row.SetCoefficient(self._shortfall, need)
        self._objective.SetCoefficient(missing, penalty)
        self._artificial.append(missing)

    def _add_limits(self) -> None:
        lp, problem = self._lp, self._problem
        self._count_rows = [
            lp.RowConstraint(
                -lp.infinity(),
                lp.infinity() if bin_type.count is None else bin_type.count,
                "",
            )
            for bin_type in problem.bin_types
        ]
        self._cost_unit = float(max(one.cost for one in problem.bin_types)) or 1.0
        self._budget_row = (
            None
            if problem.budget is None
            else lp.RowConstraint(-lp.infinity(), problem.budget / self._cost_unit, "")
        )

    def aim_at_shortfall(self, counts: Sequence[int]) -> None:
        """Minimize the shortfall with so many bins of each type, from now on."""
        for column in self._patterns.values():
            self._objective.SetCoefficient(column, 0.0)
        for missing in self._artificial:
            missing.SetUb(0.0)
            self._objective.SetCoefficient(missing, 0.0)
        self._bin_prices = tuple(0.0 for _ in self._bin_prices)
        self._shortfall.SetBounds(-MOST_SPARE, 1.0)
        self._objective.SetCoefficient(self._shortfall, 1.0)
        for row, count in zip(self._count_rows, counts, strict=True):
            row.SetUb(count)

    @property
    def bin_prices(self) -> tuple[float, ...]:
        """What a bin of each type adds to the present aim, in dearest bins."""
        return self._bin_prices

    @property
    def patterns(self) -> Mapping[Pattern, pywraplp.Variable]:
        """The columns."""
        return self._patterns

    def add(self, pattern: Pattern) -> bool:
        """Add a column; return whether it is new."""
        if pattern in self._patterns:
            return False
        problem = self._problem
        bin_type = pattern.configuration.bin_type
        column = self._lp.NumVar(0, self._lp.infinity(), "")
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
            if job in self._copy_rows:
                # A bin with all the copies that must be there does enough for them;
                # to count more would let a part of such a bin do.
                wanted = min(count, problem.jobs[job].copies)
                self._copy_rows[job].SetCoefficient(column, wanted)
            if job in self._most_rows:
                self._most_rows[job].SetCoefficient(column, count)
        if self._budget_row is not None:
            cost = problem.bin_types[bin_type].cost / self._cost_unit
            self._budget_row.SetCoefficient(column, cost)
        self._count_rows[bin_type].SetCoefficient(column, 1)
        self._patterns[pattern] = column
        return True

    def solve(self, *, deadline: float = math.inf) -> float:
        """Solve; return the value of the present aim.

        Args:
            deadline: On the clock of ``time.perf_counter``.

        Raises:
            UnsolvedError: If floating point is not enough for it.
        """
        if not solve_linear(self._lp, deadline=deadline, grows=self._grows):
            raise UnsolvedError
        return float(self._objective.Value())

    def used(self) -> dict[Pattern, float]:
        """Return how many bins of each pattern the last solve uses."""
        return {
            pattern: column.solution_value()
            for pattern, column in self._patterns.items()
            if column.solution_value() > USED
        }

    def missing(self) -> float:
        """Return the most by which a need was bought off in the last solve."""
        return max((one.solution_value() for one in self._artificial), default=0.0)

    def duals(self) -> Duals:
        """Return the prices of the last solve, with the signs that they must have."""
        problem = self._problem
        duals = Duals(
            service=[0.0] * len(problem.jobs),
            copies=[0.0] * len(problem.jobs),
            most=[0.0] * len(problem.jobs),
            option=[0.0] * len(problem.options),
            room=[min(0.0, row.dual_value()) for row in self._count_rows],
        )
        for index, row in self._service_rows.items():
            duals.service[index] = max(0.0, row.dual_value())
        for index, row in self._copy_rows.items():
            duals.copies[index] = max(0.0, row.dual_value())
        for index, row in self._most_rows.items():
            duals.most[index] = min(0.0, row.dual_value())
        for index, row in self._option_rows.items():
            duals.option[index] = max(0.0, row.dual_value())
        if self._budget_row is not None:
            duals.budget = min(0.0, self._budget_row.dual_value()) / self._cost_unit
        return duals


@dataclass(frozen=True)
class Guide:
    """Where a search for a plan in whole bins starts, and what it goes by.

    Args:
        used: Patterns of the relaxation and how many bins have each.
        duals: What jobs need is worth.
        weights: Per bin type and dimension, what room is worth.
    """

    used: dict[Pattern, float]
    duals: Duals
    weights: tuple[tuple[float, ...], ...]
