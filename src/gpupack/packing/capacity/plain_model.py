"""Better plans and bounds by CP-SAT on the model of bins one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving import AssignmentModel, is_worth_it
from gpupack.packing.capacity.model import PlanStatus
from gpupack.packing.capacity.relaxing import rounded_bound

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityPlan, FilledBin
    from gpupack.packing.capacity.task import Task

MIN_BIN_BY_BIN_S = 0.3
"""With less time left the plain model is not tried."""


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
