"""Plans that keep a rule of who may share, from what is proved without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import PlanStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.packing.capacity.model import CapacityPlan
    from gpupack.packing.capacity.task import Task


def under_rule(
    task: Task, free: CapacityPlan, search: Callable[[], CapacityPlan]
) -> CapacityPlan:
    """Return the plan without the rule if it keeps it, else what a search finds.

    Args:
        task: What is planned, with its rule.
        free: The best plan found without the rule.
        search: For a plan that keeps it.
    """
    if free.status is PlanStatus.INFEASIBLE:
        return task.completion.without_plan(free.status, free.method)
    if free.is_found and all(
        task.problem.is_allowed(one.bin_type, one.counts) for one in free.bins
    ):
        return task.completion.plan(
            free.bins,
            free.bound,
            free.method,
            found_by=free.found_by,
            proved_by=free.proved_by,
        )
    plan = search()
    if not (free.is_found and plan.is_found):
        return plan
    tighter = max if task.goal.is_in_full else min
    bound = tighter(plan.bound, free.bound)
    return task.completion.plan(
        plan.bins,
        bound,
        plan.method,
        found_by=plan.found_by,
        proved_by=plan.proved_by if bound == plan.bound else free.proved_by,
    )
