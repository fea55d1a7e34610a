"""Solve a capacity problem: enumeration where it is small, else column generation."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.packing.capacity.assignment import AssignmentModel, is_worth_it
from gpupack.packing.capacity.check import check_plan
from gpupack.packing.capacity.configurations import (
    Configuration,
    enumerate_configurations,
)
from gpupack.packing.capacity.plan import CapacityPlan, PlanStatus
from gpupack.packing.capacity.problem import CapacityProblem, Goal
from gpupack.packing.capacity.program import CapacityProgram, Measure, most_service
from gpupack.packing.capacity.relaxation import CLOSE_ENOUGH, Relaxer
from gpupack.packing.capacity.sharing import share_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.plan import FilledBin
    from gpupack.packing.capacity.program import ProgramResult

MAX_ENUMERATION_STEPS = 20_000
MAX_ENUMERATED = 400
"""Configurations up to which the program over all of them is solved at once."""
MAX_EXTRA_CONFIGURATIONS = 150
"""Configurations beside those the relaxation uses that the program may choose from."""
FULL_SHARE = 0.4
"""Of the time limit, to see whether everything can be served."""
RELAXATION_SHARE = 0.4
DIVING_SHARE = 0.4
"""Of the time that is left, for column generation and for diving at most."""
MIN_BIN_BY_BIN_S = 0.3
"""With less time left the plain model is not tried."""
PROVED = 1e-6
"""Relative gap at which a plan counts as proved."""

_MEASURES = {
    Goal.MIN_BINS: (Measure.BINS, Measure.COST, Measure.SERVICE),
    Goal.MIN_COST: (Measure.COST, Measure.BINS, Measure.SERVICE),
    Goal.MAX_SERVICE: (Measure.SERVICE, Measure.COST, Measure.BINS),
    Goal.MAX_MIN_SHARE: (Measure.SHARE, Measure.SERVICE, Measure.COST, Measure.BINS),
}
"""What a goal asks for, and how its ties are broken, in order."""


def plan_capacity(
    problem: CapacityProblem,
    goal: Goal,
    *,
    time_limit_s: float = 10.0,
    seed: int = 0,
    target_gap: float = 0.0,
) -> CapacityPlan:
    """Return a checked plan and a proven bound.

    Ties are broken by what the goal lists next, as far as the time limit allows; the
    proof is of the goal itself.

    Args:
        problem: What to plan.
        goal: What is best. Where service counts and every job can have all it wants,
            the plan is the cheapest that gives it.
        time_limit_s: Wall time, ≥ 0; the best plan so far is returned.
        seed: For every random choice.
        target_gap: Stop as soon as value and bound are this close, relative to the
            value.

    Raises:
        InvalidInputError: If the limit is negative or not a number, or
            ``MAX_MIN_SHARE`` is asked for without any demand.
    """
    if math.isnan(time_limit_s) or time_limit_s < 0:
        raise InvalidInputError(f"time_limit_s is {time_limit_s}; it must be ≥ 0")
    if goal is Goal.MAX_MIN_SHARE and not any(
        job.demand and not job.is_optional for job in problem.jobs
    ):
        raise InvalidInputError("a largest smallest share needs a demand")
    started = time.perf_counter()
    search = _Search(
        problem,
        goal,
        started=started,
        limit_s=time_limit_s,
        seed=seed,
        target_gap=target_gap,
    )
    return search.run()


class _Search:
    """One solve: its clock, its configurations, its best plan."""

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        *,
        started: float,
        limit_s: float,
        seed: int,
        target_gap: float,
    ) -> None:
        self._target_gap = target_gap
        self._asked = problem
        self._goal = goal
        self._started = started
        self._limit_s = limit_s
        self._seed = seed

    def run(self) -> CapacityPlan:
        for index, job in enumerate(self._asked.jobs):
            if not job.is_optional and not self._asked.options_by_job[index]:
                return self._without_plan(PlanStatus.INFEASIBLE, "a job fits nowhere")
        if not self._goal.is_in_full and self._asked.budget is None:
            # Everything for everyone, if the bins allow it, and then the cheapest.
            full = _everything(self._asked, self._goal)
            has_costs = any(one.cost for one in full.bin_types)
            plan = _Search(
                full,
                Goal.MIN_COST if has_costs else Goal.MIN_BINS,
                started=self._started,
                limit_s=self._limit_s * FULL_SHARE,
                seed=self._seed,
                target_gap=self._target_gap,
            ).run()
            if plan.is_found:
                value = most_service(self._asked)
                if self._goal is Goal.MAX_MIN_SHARE:
                    value = 1.0
                return replace(
                    plan, value=value, bound=value, status=PlanStatus.OPTIMAL
                )
        return self._solve(_counted(self._asked, self._goal), self._goal)

    def _remaining_s(self) -> float:
        spent = time.perf_counter() - self._started
        # A limit of 0 still gets an answer, from the cheapest steps.
        return max(0.2, self._limit_s - spent)

    def _solve(self, problem: CapacityProblem, goal: Goal) -> CapacityPlan:
        configurations = enumerate_configurations(problem, limit=MAX_ENUMERATION_STEPS)
        if configurations is not None and len(configurations) <= MAX_ENUMERATED:
            result, bins = self._program(problem, goal, configurations)
            if result.state in {"infeasible", "unknown"}:
                return self._without_plan(_status_without(result), "enumeration")
            return self._plan(problem, goal, bins, result.bound, "enumeration")
        relaxer = Relaxer(
            problem,
            goal,
            deadline=time.perf_counter() + self._remaining_s() * RELAXATION_SHARE,
            seed=self._seed,
        )
        relaxation = relaxer.run(target_gap=max(self._target_gap / 2, CLOSE_ENOUGH))
        if relaxation.is_infeasible or self._has_no_fractional_plan(
            problem, goal, relaxation.bought_off
        ):
            return self._without_plan(PlanStatus.INFEASIBLE, "column generation")
        bound = _rounded_bound(problem, goal, relaxation.bound)
        dived: tuple[tuple[Configuration, int], ...] = ()
        if goal.is_in_full:
            dived = (
                relaxer.dive(
                    deadline=time.perf_counter() + self._remaining_s() * DIVING_SHARE
                )
                or ()
            )
        else:
            dived = self._idle_plan(problem)
        chosen = relaxation.configurations[
            : relaxation.num_used + MAX_EXTRA_CONFIGURATIONS
        ]
        chosen = tuple(dict.fromkeys([*(one for one, _ in dived), *chosen]))
        result, bins = self._program(problem, goal, chosen, hint=dived)
        if result.state == "unknown" and dived:
            few = [one for one, _ in dived]
            result, bins = self._program(problem, goal, few, hint=dived)
        if result.state in {"infeasible", "unknown"}:
            return self._without_plan(PlanStatus.UNKNOWN, "column generation")
        plan = self._plan(problem, goal, bins, bound, "column generation")
        if goal.is_in_full and plan.status is PlanStatus.FEASIBLE:
            plan = self._bin_by_bin(problem, goal, plan)
        return plan

    def _idle_plan(
        self, problem: CapacityProblem
    ) -> tuple[tuple[Configuration, int], ...]:
        """Return the fewest bins in which every copy that must be there is, idle."""
        jobs = tuple(
            job if job.demand is None else replace(job, demand=0)
            for job in problem.jobs
        )
        has_costs = any(one.cost for one in problem.bin_types)
        plan = _Search(
            replace(problem, jobs=jobs, budget=None),
            Goal.MIN_COST if has_costs else Goal.MIN_BINS,
            started=time.perf_counter(),
            limit_s=self._remaining_s() * DIVING_SHARE,
            seed=self._seed,
            target_gap=0.1,
        ).run()
        uses: dict[Configuration, int] = {}
        for one in plan.bins:
            counts = tuple((group.option, group.num_copies) for group in one.copies)
            key = Configuration(one.bin_type, counts)
            uses[key] = uses.get(key, 0) + one.multiplicity
        return tuple(sorted(uses.items()))

    def _bin_by_bin(
        self, problem: CapacityProblem, goal: Goal, plan: CapacityPlan
    ) -> CapacityPlan:
        """Spend what time is left on the plain model, where it is small enough."""
        step = math.gcd(*problem.prices(goal)) or 1
        gap = (plan.value - plan.bound) / plan.value
        while plan.status is PlanStatus.FEASIBLE and gap > self._target_gap:
            max_value = round(plan.value) - step
            left = self._started + self._limit_s - time.perf_counter()
            if left < MIN_BIN_BY_BIN_S or not is_worth_it(problem, goal, max_value):
                break
            model = AssignmentModel(
                problem, goal, max_value=max_value, lower_bound=round(plan.bound)
            )
            found = model.solve(
                time_limit_s=left, seed=self._seed, num_workers=os.cpu_count() or 1
            )
            bound = min(plan.value, max(plan.bound, found.bound))
            bound = _rounded_bound(problem, goal, bound)
            bins: tuple[FilledBin, ...] = ()
            if found.uses is not None:
                configurations = [one for one, _ in found.uses]
                _, bins = self._program(problem, goal, configurations, hint=found.uses)
            better = bins or plan.bins
            again = self._plan(problem, goal, better, bound, "CP-SAT")
            if again.value >= plan.value:
                # Found nothing, or only what rounding allowed: the bound may be better.
                return self._plan(problem, goal, plan.bins, bound, "CP-SAT")
            plan = again
            gap = (plan.value - plan.bound) / plan.value
        return plan

    def _has_no_fractional_plan(
        self, problem: CapacityProblem, goal: Goal, bought_off: bool
    ) -> bool:
        if not bought_off or not goal.is_in_full:
            return False
        free = replace(
            problem, bin_types=tuple(replace(one, cost=0) for one in problem.bin_types)
        )
        deadline = time.perf_counter() + self._remaining_s() * RELAXATION_SHARE
        relaxer = Relaxer(free, Goal.MIN_COST, deadline=deadline, seed=self._seed)
        return relaxer.run().is_infeasible

    def _program(
        self,
        problem: CapacityProblem,
        goal: Goal,
        configurations: Sequence[Configuration],
        *,
        hint: Sequence[tuple[Configuration, int]] = (),
    ) -> tuple[ProgramResult, tuple[FilledBin, ...]]:
        """Solve the goal's measures one after the other, starting from a hint."""
        program = CapacityProgram(
            problem,
            configurations,
            in_full=goal.is_in_full,
            seed=self._seed,
        )
        if hint:
            position = {one: index for index, one in enumerate(configurations)}
            program.hint([(position[one], count) for one, count in hint])
        first: ProgramResult | None = None
        bins: tuple[FilledBin, ...] = ()
        for measure in _MEASURES[goal]:
            share = 0.6 if first is None else 0.3
            result = program.solve(
                measure,
                time_limit_s=self._remaining_s() * share,
                gap=self._target_gap / 2,
            )
            if first is None:
                first = result
            if result.state not in {"optimal", "feasible"}:
                break
            bins = share_out(
                problem,
                [(configurations[k], count) for k, count in result.uses],
                result.shares,
                program.copies_per_option(),
            )
            program.hold(measure, result.value)
            program.hint(result.uses)
        assert first is not None
        return first, bins

    def _plan(
        self,
        problem: CapacityProblem,
        goal: Goal,
        bins: tuple[FilledBin, ...],
        bound: float,
        method: str,
    ) -> CapacityPlan:
        check_plan(problem, bins, in_full=goal.is_in_full)
        value = measured_value(problem, goal, bins)
        # The check allows service one part in a million off; a bound that float
        # rounding put on the wrong side of the value equals it.
        off = PROVED * max(1.0, abs(value))
        if goal.is_in_full:
            bound = min(bound, value)
            is_proved = value - bound <= off
        else:
            bound = max(bound, value)
            is_proved = bound - value <= off
        if is_proved:
            bound = value
        return CapacityPlan(
            bins=bins,
            value=value,
            bound=bound,
            status=PlanStatus.OPTIMAL if is_proved else PlanStatus.FEASIBLE,
            method=method,
            seconds=time.perf_counter() - self._started,
        )

    def _without_plan(self, status: PlanStatus, method: str) -> CapacityPlan:
        return CapacityPlan(
            bins=(),
            value=0.0,
            bound=0.0,
            status=status,
            method=method,
            seconds=time.perf_counter() - self._started,
        )


def measured_value(
    problem: CapacityProblem, goal: Goal, bins: Sequence[FilledBin]
) -> float:
    """Return what a plan is worth for a goal, from its bins alone."""
    if goal.is_in_full:
        prices = problem.prices(goal)
        return float(sum(prices[one.bin_type] * one.multiplicity for one in bins))
    served = [0.0] * len(problem.jobs)
    for one in bins:
        for group in one.copies:
            job = problem.options[group.option].job
            served[job] += group.service * one.multiplicity
    if goal is Goal.MAX_SERVICE:
        return math.fsum(
            job.weight * service
            for job, service in zip(problem.jobs, served, strict=True)
        )
    return min(
        service / job.demand
        for job, service in zip(problem.jobs, served, strict=True)
        if job.demand and not job.is_optional
    )


def _everything(problem: CapacityProblem, goal: Goal) -> CapacityProblem:
    """Return the problem in which every job must have the best there is for it."""
    if goal is Goal.MAX_MIN_SHARE:
        return problem
    jobs = tuple(replace(job, is_optional=False) for job in problem.jobs)
    best = {
        index: max(
            (problem.options[i].rate for i in problem.options_by_job[index]), default=0
        )
        for index, job in enumerate(jobs)
        if job.is_whole
    }
    options = tuple(
        option for option in problem.options if option.rate >= best.get(option.job, 0)
    )
    return replace(problem, jobs=jobs, options=options)


def _counted(problem: CapacityProblem, goal: Goal) -> CapacityProblem:
    """Return the problem with a count for every bin type where service is the goal.

    As many bins as there could be copies are as good as any number of them.
    """
    if goal.is_in_full:
        return problem
    most = sum(
        job.copies
        if job.demand is None
        else max(
            job.copies,
            *(
                math.ceil(job.demand / problem.rate_alone(i))
                for i in problem.options_by_job[index]
            ),
        )
        for index, job in enumerate(problem.jobs)
        if problem.options_by_job[index]
    )
    return replace(
        problem,
        bin_types=tuple(
            replace(one, count=most) if one.count is None else one
            for one in problem.bin_types
        ),
    )


def _rounded_bound(problem: CapacityProblem, goal: Goal, bound: float) -> float:
    """Round a bound on the cost up to a sum that costs can have."""
    if not goal.is_in_full:
        return bound
    if math.isinf(bound):
        return 0.0
    step = math.gcd(*problem.prices(goal))
    if step == 0:
        return max(0.0, bound)
    return max(0.0, math.ceil(bound / step - 1e-6) * step)


def _status_without(result: ProgramResult) -> PlanStatus:
    if result.state == "infeasible":
        return PlanStatus.INFEASIBLE
    return PlanStatus.UNKNOWN
