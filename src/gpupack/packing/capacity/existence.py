"""Whether there is any plan at all: by search, or proved in whole numbers.

A handful of whole copies is searched depth first. What SCIP says of a program over all
fillings, it says in floating point; here every size and rate is rounded to where it
allows more, so that whatever plan there is would satisfy the rounded program, too, and
CP-SAT decides that one exactly:

    x_k   bins of configuration k;  b_k  whether there are any
    u_ko  parts of what option o could serve in all of them, rounded down
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving import first_plan
from gpupack.packing.capacity.model import enumerate_configurations, fixed_room_left
from gpupack.packing.capacity.overload import is_overloaded
from gpupack.packing.capacity.relaxing import most_bins
from gpupack.packing.items import place_copies
from gpupack.packing.runtime import solve_cp_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.model import CapacityProblem, Configuration, Goal

    Sizes = tuple[int, ...]

MAX_COPIES = 24
"""More copies than this are left to other methods."""
MAX_LISTED_STEPS = 20_000
"""In which all fillings of a small problem are listed."""
NODE_LIMIT = 3_000
"""Of the search: some 20 ms."""
PARTS = 10**6
"""Of a bin's service, its room and a demand, that are told apart."""
SLACK = Fraction(2, 10**6)
"""Relative, of demands and room: a plan may be off by half as much."""
MAX_EFFORT = 1.0
"""CP-SAT's deterministic time, about seconds."""


def has_plan(problem: CapacityProblem, *, node_limit: int = NODE_LIMIT) -> bool | None:
    """Return whether every job can run, None where this search cannot tell.

    Copies go in depth first, the largest first, into any bin that has room or a new
    one of any type that is left; bins of the same type with the same room are tried
    once. It tells of problems without demands, which would take fractions, and
    without a rule of who may share; a demand of 0 asks for copies alone.
    """
    if problem.rule is not None or any(job.demand for job in problem.jobs):
        return None
    copies: list[tuple[tuple[int, Sizes], ...]] = []
    for job, options in zip(problem.jobs, problem.options_by_job, strict=True):
        if job.is_optional:
            continue
        choices: list[tuple[int, Sizes]] = []
        for index in options:
            one = problem.options[index]
            choices.append((one.bin_type, one.fixed))
        copies.extend([_smallest(choices)] * job.copies)
    if len(copies) > MAX_COPIES:
        return None
    capacities = [one.capacity for one in problem.bin_types]
    copies.sort(key=lambda one: (_share(one, capacities), one), reverse=True)
    placed, is_complete = place_copies(
        copies,
        capacities,
        [len(copies) if one.count is None else one.count for one in problem.bin_types],
        costs=[one.cost for one in problem.bin_types],
        budget=problem.budget,
        node_limit=node_limit,
    )
    if placed is not None:
        return True
    return False if is_complete else None


def _smallest(choices: Sequence[tuple[int, Sizes]]) -> tuple[tuple[int, Sizes], ...]:
    """Return the choices without those that another of the bin type beats."""
    distinct = sorted(set(choices))
    return tuple(
        one
        for one in distinct
        if not any(
            other != one
            and other[0] == one[0]
            and all(a <= b for a, b in zip(other[1], one[1], strict=True))
            for other in distinct
        )
    )


def _share(choices: Sequence[tuple[int, Sizes]], capacities: Sequence[Sizes]) -> float:
    """Return the least share of a bin that a copy takes."""
    return min(
        (
            max(
                (
                    size / most
                    for size, most in zip(sizes, capacities[bin_type], strict=True)
                    if most
                ),
                default=0.0,
            )
            for bin_type, sizes in choices
        ),
        default=2.0,
    )


def is_ruled_out(
    problem: CapacityProblem, goal: Goal, *, time_limit_s: float
) -> bool | None:
    """Return whether it is proved that there is no plan; None for a large problem.

    False where a first plan serves every demand in full, or where the proof fails. No
    best plan is looked for, which takes much longer.

    Args:
        problem: What is asked; one with a rule of who may share counts as large.
        goal: Of a first plan; serves in full.
        time_limit_s: Wall time.
    """
    if any(
        not job.is_optional and not options
        for job, options in zip(problem.jobs, problem.options_by_job, strict=True)
    ) or is_overloaded(problem):
        return True
    if first_plan(problem, goal, seed=0, is_any=True):
        return False
    if problem.rule is not None:
        return None
    configurations = enumerate_configurations(problem, limit=MAX_LISTED_STEPS)
    if configurations is None:
        return None
    return is_impossible(
        problem, configurations, in_full=True, time_limit_s=time_limit_s
    )


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
