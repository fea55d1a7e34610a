"""Plans by integer programs: over the patterns of column generation, or bin by bin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving import AssignmentModel, is_worth_it
from gpupack.packing.capacity.model import (
    MAX_ENUMERATED,
    Goal,
    PlanStatus,
    fixed_room_left,
    taken_apart,
)
from gpupack.packing.capacity.relaxing import rounded_bound

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityPlan, Configuration, FilledBin
    from gpupack.packing.capacity.relaxing import Relaxation
    from gpupack.packing.capacity.task import Task

    Uses = tuple[tuple[Configuration, int], ...]

MAX_EXTRA_CONFIGURATIONS = 150
"""Configurations beside those the relaxation uses that the program may choose from."""
MIN_BIN_BY_BIN_S = 0.3
"""With less time left the plain model is not tried."""

FIRST_EFFORT = 0.5
"""Of CP-SAT's deterministic time, for the first questions of ``bisect``."""


def choose_patterns(
    task: Task,
    relaxation: Relaxation,
    bound: float,
    *,
    hint: Uses,
    known_value: float | None,
) -> CapacityPlan:
    """Return the best plan over the most promising configurations.

    Args:
        task: What is planned.
        relaxation: Whose configurations to choose from.
        bound: Proven: no plan is better.
        hint: A plan to start from.
        known_value: Of a plan that is known: none is worse.
    """
    chosen = relaxation.configurations[: relaxation.num_used + MAX_EXTRA_CONFIGURATIONS]
    chosen = tuple(dict.fromkeys([*(one for one, _ in hint), *chosen]))
    if any(job.max_copies is not None for job in task.problem.jobs):
        # Patterns that share a job of few copies exclude each other, unless they
        # are taken apart.
        every_type = range(len(task.problem.bin_types))
        parts = taken_apart(task.problem, chosen, every_type)
        if len(parts) <= MAX_ENUMERATED:
            chosen = tuple(parts)
    result, bins = task.completion.choose(chosen, hint=hint, known_value=known_value)
    if result.state == "unknown" and hint:
        few = [one for one, _ in hint]
        result, bins = task.completion.choose(few, hint=hint)
    if result.state in {"infeasible", "unknown"}:
        return task.completion.without_plan(PlanStatus.UNKNOWN, "column generation")
    return task.completion.plan(
        bins, bound, "column generation", found_by="integer program"
    )


def bin_by_bin(task: Task, plan: CapacityPlan) -> CapacityPlan:
    """Spend what time is left on the plain model, where it is small enough."""
    step = _step(task)
    while _is_worth_more(task, plan, round(plan.value) - step, task.clock.limit_s):
        again = _asked(
            task, plan, lowest=round(plan.bound), highest=round(plan.value) - step
        )
        if again.value >= plan.value:
            # Found nothing, or only what rounding allowed: the bound may be better.
            return again
        plan = again
    return plan


def bisect(task: Task, plan: CapacityPlan, *, share: float) -> CapacityPlan:
    """Ask the plain model for plans of values between the bound and the plan's.

    Where copies have room in common, linear programs say little: bounds stay low, and
    plans high. Far from the best value CP-SAT answers at once. In the middle first,
    then from both ends; effort doubles when all three stay open.

    Args:
        task: What is planned.
        plan: The best so far.
        share: Of the time left, to spend at most.
    """
    clock, step, effort = task.clock, _step(task), FIRST_EFFORT
    until_s = clock.spent_s + share * clock.remaining_s
    while True:
        before = plan.value, plan.bound
        for part in (1 / 2, 0, 1):
            lowest, highest = round(plan.bound), round(plan.value) - step
            aim = lowest + math.floor((highest - lowest) * part / step) * step
            if not _is_worth_more(task, plan, aim, until_s):
                return plan
            plan = _asked(
                task,
                plan,
                # Bins may be empty: so many hold whatever fewer do.
                lowest=aim if task.goal is Goal.MIN_BINS else lowest,
                highest=aim,
                effort=effort,
                until_s=until_s,
            )
            if (plan.value, plan.bound) != before:
                break
        else:
            effort *= 2


def _step(task: Task) -> int:
    return math.gcd(*task.problem.prices(task.goal)) or 1


def _is_worth_more(
    task: Task, plan: CapacityPlan, max_value: int, until_s: float
) -> bool:
    gap = (plan.value - plan.bound) / plan.value
    return (
        plan.status is PlanStatus.FEASIBLE
        and gap > task.target_gap
        and until_s - task.clock.spent_s >= MIN_BIN_BY_BIN_S
        and is_worth_it(task.problem, task.goal, max_value)
    )


def _asked(
    task: Task,
    plan: CapacityPlan,
    *,
    lowest: int,
    highest: int,
    effort: float = math.inf,
    until_s: float = math.inf,
) -> CapacityPlan:
    """Return what the plain model makes of a plan.

    Args:
        task: What is planned.
        plan: The best so far.
        lowest: Value from which plans are looked for; if there are none up to
            ``highest``, there are none below it either.
        highest: Up to which.
        effort: Of the search, in CP-SAT's deterministic time.
        until_s: On the task's clock, when to stop; at its limit at the latest.
    """
    problem, goal, completion = task.problem, task.goal, task.completion
    model = AssignmentModel(problem, goal, max_value=highest, lower_bound=lowest)
    found = model.solve(
        time_limit_s=min(until_s, task.clock.limit_s) - task.clock.spent_s,
        effort=effort,
        seed=task.seed,
        num_workers=task.num_workers,
    )
    bound = plan.bound
    if math.isinf(found.bound):
        bound = max(bound, min(plan.value, highest + _step(task)))
    elif lowest <= plan.bound:
        bound = max(bound, min(plan.value, found.bound))
    bound = rounded_bound(problem, goal, bound)
    bins: tuple[FilledBin, ...] = ()
    if found.uses is not None and all(
        min(fixed_room_left(problem, one)) >= 0
        and problem.is_allowed(one.bin_type, one.counts)
        for one, _ in found.uses
    ):
        configurations = [one for one, _ in found.uses]
        _, bins = completion.choose(configurations, hint=found.uses)
    proved_by = "CP-SAT" if bound > plan.bound else plan.proved_by
    again = completion.plan(bins or plan.bins, bound, "CP-SAT", proved_by=proved_by)
    if again.value < plan.value:
        return again
    return completion.plan(
        plan.bins, bound, "CP-SAT", found_by=plan.found_by, proved_by=proved_by
    )
