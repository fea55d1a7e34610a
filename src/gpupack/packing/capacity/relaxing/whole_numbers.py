"""Proofs in whole numbers that no plan over given configurations exists.

SCIP says so in floating point. Here every size and rate is rounded to where it allows
more, so that whatever plan there is would satisfy the rounded program, too; CP-SAT then
decides that one exactly.

    x_k   bins of configuration k;  b_k  whether there are any
    u_ko  parts of what option o could serve in all of them, rounded down
    n_o   copies of a whole job's option
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import fixed_room_left
from gpupack.packing.capacity.relaxing.bin_counts import most_bins
from gpupack.packing.runtime import solve_cp_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.model import CapacityProblem, Configuration

PARTS = 10**6
"""Of a bin's service, its room and a demand, that are told apart."""
SLACK = Fraction(2, 10**6)
"""Relative, of demands and room: a plan may be off by half as much."""
MAX_EFFORT = 1.0
"""CP-SAT's deterministic time, about seconds."""


def is_impossible(
    problem: CapacityProblem,
    configurations: Sequence[Configuration],
    *,
    in_full: bool,
    time_limit_s: float,
) -> bool:
    """Return whether it is proved that no plan uses these configurations alone.

    False says nothing: the time may have been too short, or a plan nearly exists.

    Args:
        problem: What is planned.
        configurations: That may be used.
        in_full: Whether every demand of a job that is not optional must be met.
        time_limit_s: Wall time.
    """
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = MAX_EFFORT
    solver.parameters.max_time_in_seconds = max(0.01, time_limit_s)
    solver.parameters.num_workers = 1
    model = _Program(problem, configurations, in_full=in_full).model
    return bool(solve_cp_model(solver, model) == cp_model.INFEASIBLE)


class _Program:
    def __init__(
        self,
        problem: CapacityProblem,
        configurations: Sequence[Configuration],
        *,
        in_full: bool,
    ) -> None:
        from ortools.sat.python import cp_model

        self.model = cp_model.CpModel()
        self._problem = problem
        self._configurations = configurations
        most = most_bins(problem)
        self._x = [
            self.model.new_int_var(0, most[one.bin_type], "") for one in configurations
        ]
        self._add_bins()
        self._add_copies()
        if in_full:
            self._add_service()

    def _add_bins(self) -> None:
        problem = self._problem
        pairs = list(zip(self._x, self._configurations, strict=True))
        for index, bin_type in enumerate(problem.bin_types):
            if bin_type.count is not None:
                here = [x for x, one in pairs if one.bin_type == index]
                self.model.add(sum(here) <= bin_type.count)
        if problem.budget is not None:
            costs = [problem.bin_types[one.bin_type].cost * x for x, one in pairs]
            self.model.add(sum(costs) <= problem.budget)

    def _add_copies(self) -> None:
        problem, model = self._problem, self.model
        provided: list[list[cp_model.LinearExprT]] = [[] for _ in problem.options]
        for x, configuration in zip(self._x, self._configurations, strict=True):
            for option, count in configuration.counts:
                provided[option].append(count * x)
        for job, options in zip(problem.jobs, problem.options_by_job, strict=True):
            total = sum(term for option in options for term in provided[option])
            if not job.is_optional:
                # More copies than a whole job has are left out of their bins.
                model.add(total >= job.copies)
            if job.max_copies is not None and not job.is_whole:
                model.add(total <= job.max_copies)

    def _add_service(self) -> None:
        problem, model = self._problem, self.model
        served: list[list[cp_model.LinearExprT]] = [[] for _ in problem.jobs]
        for x, configuration in zip(self._x, self._configurations, strict=True):
            capacity = problem.bin_types[configuration.bin_type].capacity
            left = fixed_room_left(problem, configuration)
            in_use: list[list[cp_model.LinearExprT]] = [[] for _ in capacity]
            is_used = model.new_bool_var("")
            model.add(is_used <= x)
            for index, count in configuration.counts:
                option = problem.options[index]
                demand = problem.jobs[option.job].demand
                if not demand:
                    continue
                loads = min(Fraction(count), Fraction(demand, option.rate))
                part = model.new_int_var(0, PARTS * self._most(configuration), "")
                model.add(part <= PARTS * x)
                worth = math.ceil(loads * option.rate / demand * PARTS)
                # What was rounded down is less than a part.
                served[option.job].append(worth * part + worth * is_used)
                for dimension, size in enumerate(option.proportional):
                    if size:
                        taken = size * loads / capacity[dimension]
                        in_use[dimension].append(math.floor(taken * PARTS) * part)
            for dimension, terms in enumerate(in_use):
                if terms:
                    share = Fraction(left[dimension], capacity[dimension]) + SLACK
                    model.add(sum(terms) <= math.ceil(share * PARTS) * PARTS * x)
        for job, terms in zip(problem.jobs, served, strict=True):
            if job.demand and not job.is_optional:
                model.add(sum(terms) >= math.floor(PARTS**2 * (1 - SLACK)))

    def _most(self, configuration: Configuration) -> int:
        return most_bins(self._problem)[configuration.bin_type]
