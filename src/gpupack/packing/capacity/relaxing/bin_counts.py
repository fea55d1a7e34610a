"""How many bins of each type a plan can have: a small integer program of its own.

Prices of what jobs need bound what a bin of each type can give; together the bins of
a plan must be able to give all that is needed. Every choice of prices is one such
inequality over the numbers of bins. That these numbers are whole makes the cheapest
ones that satisfy all inequalities a better bound than the linear relaxation: it is
what branching on them would give, without the tree.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.packing.runtime import new_program, solve_cp_model, solve_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.linear_solver import pywraplp
    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.model import CapacityProblem, Goal

SAFETY = 1e-7
"""Relative rounding of prices and values that an inequality allows for."""
MAX_HEADROOM = 1.0
UNLIKENESS = 0.01
"""Headroom given for numbers of bins like those of the relaxation."""
MAX_SOLVE_S, LEAST_SOLVE_S = 2.0, 0.02
"""For one small program; most take some milliseconds."""
MAX_SUM = 2**60
"""Of whole numbers that CP-SAT adds."""
MAX_EXACT_EFFORT = 0.5
"""CP-SAT's deterministic time for an exact proof, about seconds."""


@dataclass(frozen=True, slots=True)
class CountCut:
    """Bins of a plan are worth at least what its jobs need, at some prices.

    Args:
        values: Per bin type, what one bin is worth at most.
        needed: What all the needs are worth.
        in_share: What of it falls in proportion where all demands do.
    """

    values: tuple[float, ...]
    needed: float
    in_share: float = 0.0

    def headroom(self, counts: Sequence[int]) -> float:
        """Return the share by which so many bins are worth more than is needed."""
        worth = sum(v * n for v, n in zip(self.values, counts, strict=True))
        return worth / self.needed - 1.0

    def share(self, counts: Sequence[int]) -> float:
        """Return a share of all demands that no plan of so many bins exceeds.

        Up to all of them. A plan that gives every job a share of its demand gives as
        much of what demands are worth; what copies must be there does not change.
        """
        if self.in_share <= 0:
            return 1.0
        worth = sum(v * n for v, n in zip(self.values, counts, strict=True))
        fixed = self.needed - self.in_share
        slack = SAFETY * (worth + abs(self.needed) + self.in_share)
        return min(1.0, max(0.0, (worth - fixed + slack) / self.in_share))


class BinCounts:
    """The inequalities known so far, and the numbers of bins they allow.

    Args:
        problem: What is planned.
        goal: Serves in full; says what a bin costs.
        deadline: On the clock of ``time.perf_counter``: what is asked later gets a
            moment, and what is not proved by then is not claimed.
    """

    def __init__(
        self, problem: CapacityProblem, goal: Goal, *, deadline: float = math.inf
    ) -> None:
        self._problem = problem
        self._deadline = deadline
        self._prices = problem.prices(goal)
        self._cuts: list[CountCut] = []

    @property
    def _limit_s(self) -> float:
        """Time for the next program."""
        left_s = self._deadline - time.perf_counter()
        return max(LEAST_SOLVE_S, min(MAX_SOLVE_S, left_s))

    def add(self, cut: CountCut) -> None:
        """Take another inequality into account."""
        is_finite = all(map(math.isfinite, (*cut.values, cut.needed)))
        if is_finite and cut.needed > 0 and cut not in self._cuts:
            self._cuts.append(cut)

    def headroom(self, counts: Sequence[int]) -> float:
        """Return the smallest headroom of any inequality; below 0 there is no plan."""
        return min((one.headroom(counts) for one in self._cuts), default=MAX_HEADROOM)

    def lowest_value(self) -> float:
        """Return a value that no plan can go below, infinite if there is no plan.

        Proved in whole numbers, as ``is_impossible`` says; 0 if time was too short.
        """
        from ortools.sat.python import cp_model

        most = most_bins(self._problem)
        if sum(p * n for p, n in zip(self._prices, most, strict=True)) >= MAX_SUM:
            return 0.0
        model, bins = self._exact_model()
        model.minimize(sum(p * n for p, n in zip(self._prices, bins, strict=True)))
        solver = _exact_solver(self._limit_s)
        status = solve_cp_model(solver, model)
        if status == cp_model.INFEASIBLE:
            return math.inf
        if status == cp_model.MODEL_INVALID:
            return 0.0
        # A double holds so many digits; what it may have been rounded up by is taken
        # off again.
        bound = Fraction(solver.best_objective_bound) * (1 - Fraction(1, 2**52))
        return float(max(0, math.ceil(bound)))

    def roomiest(
        self, value: int, near: Sequence[float]
    ) -> tuple[tuple[int, ...] | None, float]:
        """Return numbers of bins for at most a value, and the most headroom there is.

        None, and less than 0, if no plan has that value.

        Args:
            value: They cost at most.
            near: Of numbers with about the same headroom those like these, in
                proportion, are preferred.
        """
        mip, bins = self._program()
        spare = mip.NumVar(-1.0, MAX_HEADROOM, "")
        for cut in self._cuts:
            mip.Add(_worth(mip, cut, bins) >= 1.0 + spare)
        mip.Add(self._value(mip, bins) <= value)
        mip.Maximize(spare + 0.0)
        most, _ = _solved(mip, self._limit_s, infeasible=-1.0)
        if most < -SAFETY:
            return None, most
        like_value = sum(p * n for p, n in zip(self._prices, near, strict=True))
        scale = value / like_value if like_value else 0.0
        off = []
        for price, number, like in zip(self._prices, bins, near, strict=True):
            distance = mip.NumVar(0, mip.infinity(), "")
            mip.Add(distance >= price / max(1, value) * (number - scale * like))
            mip.Add(distance >= price / max(1, value) * (scale * like - number))
            off.append(distance)
        mip.Add(spare >= -SAFETY / 2)
        mip.Maximize(spare - UNLIKENESS * mip.Sum(off))
        _, is_found = _solved(mip, self._limit_s, infeasible=-1.0)
        if not is_found:
            return None, most
        counts = tuple(round(one.solution_value()) for one in bins)
        if self.headroom(counts) < -SAFETY or not self._is_affordable(counts):
            return None, most
        return counts, most

    def _is_affordable(self, counts: Sequence[int]) -> bool:
        """Return whether the budget allows them, which SCIP may exceed by a little."""
        budget = self._problem.budget
        costs = [one.cost for one in self._problem.bin_types]
        return budget is None or budget >= sum(
            c * n for c, n in zip(costs, counts, strict=True)
        )

    def is_impossible(self, value: int | None = None) -> bool:
        """Return whether whole numbers prove that no bins for a value are enough.

        Without a value: that not even all the bins there are would be.

        What bins are worth is rounded up and what is needed down, so that sums are
        exact and what floating point could not tell is no proof. False says nothing.
        """
        from ortools.sat.python import cp_model

        model, bins = self._exact_model()
        if value is not None:
            total = sum(p * n for p, n in zip(self._prices, bins, strict=True))
            model.add(total <= value)
        return bool(
            solve_cp_model(_exact_solver(self._limit_s), model) == cp_model.INFEASIBLE
        )

    def _exact_model(self) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
        """Return numbers of bins that satisfy all inequalities, in whole numbers."""
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        most = most_bins(self._problem)
        bins = [model.new_int_var(0, number, "") for number in most]
        if self._problem.budget is not None:
            costs = [one.cost for one in self._problem.bin_types]
            model.add(
                sum(c * n for c, n in zip(costs, bins, strict=True))
                <= self._problem.budget
            )
        for cut in self._cuts:
            shares = [Fraction(one) / Fraction(cut.needed) for one in cut.values]
            # Bins worth more than all that is needed are worth all of it.
            shares = [min(one, Fraction(1)) for one in shares]
            parts = (MAX_SUM // 2) // max(1, sum(most))
            worth = sum(
                math.ceil(share * parts) * number
                for share, number in zip(shares, bins, strict=True)
            )
            model.add(worth >= math.floor(parts * (1 - Fraction(SAFETY))))
        return model, bins

    def _program(self) -> tuple[pywraplp.Solver, list[pywraplp.Variable]]:

        problem = self._problem
        mip = new_program()
        bins = [mip.IntVar(0, most, "") for most in most_bins(problem)]
        if problem.budget is not None:
            costs = [one.cost for one in problem.bin_types]
            cost = mip.Sum(c * n for c, n in zip(costs, bins, strict=True))
            mip.Add(cost <= problem.budget)
        return mip, bins

    def _value(
        self, mip: pywraplp.Solver, bins: Sequence[pywraplp.Variable]
    ) -> pywraplp.LinearExpr:
        return mip.Sum(p * n for p, n in zip(self._prices, bins, strict=True)) + 0.0


def _exact_solver(limit_s: float) -> cp_model.CpSolver:
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = MAX_EXACT_EFFORT
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.num_workers = 1
    return solver


def _worth(
    mip: pywraplp.Solver, cut: CountCut, bins: Sequence[pywraplp.Variable]
) -> pywraplp.LinearExpr:
    """Return what bins are worth at most, in all that is needed."""
    return mip.Sum(
        value / cut.needed * number
        for value, number in zip(cut.values, bins, strict=True)
    )


def _solved(
    mip: pywraplp.Solver, limit_s: float, *, infeasible: float
) -> tuple[float, bool]:
    """Return a bound on the objective, and whether there is a solution to read."""
    from ortools.linear_solver import pywraplp

    parameters = pywraplp.MPSolverParameters()
    parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, 1e-9)
    mip.SetTimeLimit(math.ceil(1000 * limit_s))
    status = solve_program(mip, parameters)
    if status == pywraplp.Solver.INFEASIBLE:
        return infeasible, False
    is_found = status in {pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE}
    return float(mip.Objective().BestBound()), is_found


def most_bins(problem: CapacityProblem) -> tuple[int, ...]:
    """Return how many bins of each type there can be any use for."""
    copies = 0
    for job, options in zip(problem.jobs, problem.options_by_job, strict=True):
        needed = job.copies
        if job.demand and options:
            rates = [problem.rate_alone(index) for index in options]
            needed = max(needed, math.ceil(job.demand / min(rates)))
        if job.max_copies is not None:
            needed = min(needed, job.max_copies)
        copies += needed
    return tuple(
        copies if one.count is None else min(one.count, copies)
        for one in problem.bin_types
    )
