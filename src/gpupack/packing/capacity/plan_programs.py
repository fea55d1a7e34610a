"""Plans by integer programs: over the patterns of column generation, or bin by bin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving import AssignmentModel, is_worth_it
from gpupack.packing.capacity.model import MAX_ENUMERATED, PlanStatus, taken_apart
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
    problem, goal, completion = task.problem, task.goal, task.completion
    step = math.gcd(*problem.prices(goal)) or 1
    gap = (plan.value - plan.bound) / plan.value
    while plan.status is PlanStatus.FEASIBLE and gap > task.target_gap:
        max_value = round(plan.value) - step
        left = task.clock.limit_s - task.clock.spent_s
        if left < MIN_BIN_BY_BIN_S or not is_worth_it(problem, goal, max_value):
            break
        model = AssignmentModel(
            problem, goal, max_value=max_value, lower_bound=round(plan.bound)
        )
        found = model.solve(
            time_limit_s=left, seed=task.seed, num_workers=task.num_workers
        )
        bound = min(plan.value, max(plan.bound, found.bound))
        bound = rounded_bound(problem, goal, bound)
        bins: tuple[FilledBin, ...] = ()
        if found.uses is not None:
            configurations = [one for one, _ in found.uses]
            _, bins = completion.choose(configurations, hint=found.uses)
        proved_by = "CP-SAT" if bound > plan.bound else plan.proved_by
        again = completion.plan(bins or plan.bins, bound, "CP-SAT", proved_by=proved_by)
        if again.value >= plan.value:
            # Found nothing, or only what rounding allowed: the bound may be better.
            return completion.plan(
                plan.bins,
                bound,
                "CP-SAT",
                found_by=plan.found_by,
                proved_by=proved_by,
            )
        plan = again
        gap = (plan.value - plan.bound) / plan.value
    return plan
