"""The plan that a search starts from, with a bound that needs no search."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.packing.capacity.improving import first_plan
from gpupack.packing.capacity.model import plan_volume_bound
from gpupack.packing.capacity.relaxing import rounded_bound
from gpupack.packing.capacity.task import uses_of

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityPlan
    from gpupack.packing.capacity.task import Task

FIRST_METHOD = "first fit"
MAX_FILLED = 600
"""Different fillings and jobs of a first plan up to which a program shares out its
service anew."""


def starting_plan(task: Task, most_value: float) -> CapacityPlan | None:
    """Return the plan to start from, which depends on no clock; None if none.

    Args:
        task: What is planned.
        most_value: No plan serves more.
    """
    bins = first_plan(task.problem, task.goal, seed=task.seed)
    if not bins:
        return None
    bound = (
        plan_volume_bound(task.problem, task.goal)
        if task.goal.is_in_full
        else most_value
    )
    bound = rounded_bound(task.problem, task.goal, bound)
    proof = "volume" if task.goal.is_in_full else "everything being served"
    plan = task.completion.plan(bins, bound, FIRST_METHOD, proved_by=proof)
    is_decided = task.goal.is_in_full and all(job.is_whole for job in task.problem.jobs)
    if not is_decided and len(bins) + len(task.problem.jobs) <= MAX_FILLED:
        filled = task.completion.fill(uses_of(bins))
        if filled:
            with contextlib.suppress(CheckError):
                other = task.completion.plan(
                    filled, bound, FIRST_METHOD, proved_by=proof
                )
                plan = plan if task.is_better(plan, other) else other
    return plan
