"""The plan that a search starts from, with a bound that needs no search."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.packing.capacity.improving import first_plan
from gpupack.packing.capacity.many_jobs import OptionArrays, RoomPricing, SlackSearch
from gpupack.packing.capacity.model import plan_volume_bound
from gpupack.packing.capacity.relaxing import rounded_bound
from gpupack.packing.capacity.task import uses_of
from gpupack.packing.runtime import kernels_are_ready

if TYPE_CHECKING:
    from gpupack.packing.capacity.many_jobs import SlackPlan
    from gpupack.packing.capacity.model import CapacityPlan
    from gpupack.packing.capacity.task import Task

FIRST_METHOD = "first fit"
SLACK_METHOD, SLACK_PROOF = "minimum slack", "prices of room"
MIN_PRICED_JOBS = 100
"""From which on room is priced and bins are filled by slack, in about a millisecond."""
MAX_FITTED_JOBS = 4_000
"""Beyond it first fit takes long, and comes to no better plan."""
KERNELS_WAIT_S = 60.0
"""For kernels that are being built, where first fit would take as long."""
LAST_IN_VAIN = 150
"""Rounds without a gain after which the last search ends."""
MAX_FILLED = 600
"""Different fillings and jobs of a first plan up to which a program shares out its
service anew."""


def starting_plan(
    task: Task, most_value: float, slack_plans: SlackPlans
) -> CapacityPlan | None:
    """Return the plan to start from, None if none; time is for better ones alone.

    Args:
        task: What is planned.
        most_value: No plan serves more.
        slack_plans: Of the task.
    """
    priced = slack_plans.first()
    if priced is not None and len(task.problem.jobs) > MAX_FITTED_JOBS:
        return priced
    bins = first_plan(task.problem, task.goal, seed=task.seed)
    if not bins:
        return priced
    bound = (
        plan_volume_bound(task.problem, task.goal)
        if task.goal.is_in_full
        else most_value
    )
    bound = rounded_bound(task.problem, task.goal, bound)
    proof = "volume" if task.goal.is_in_full else "everything being served"
    plan = task.completion.plan(bins, bound, FIRST_METHOD, proved_by=proof)
    if priced is not None:
        plan = task.better(plan, priced)
    is_decided = task.goal.is_in_full and all(job.is_whole for job in task.problem.jobs)
    if not is_decided and len(bins) + len(task.problem.jobs) <= MAX_FILLED:
        filled = task.completion.fill(uses_of(plan.bins))
        if filled:
            with contextlib.suppress(CheckError):
                other = task.completion.plan(
                    filled,
                    plan.bound,
                    plan.method,
                    found_by=plan.found_by,
                    proved_by=plan.proved_by,
                )
                plan = plan if task.is_better(plan, other) else other
    return plan


class SlackPlans:
    """Plans of bins that are filled with little slack, for one task.

    Args:
        task: What is planned.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._search: SlackSearch | None = None
        self._found: SlackPlan | None = None
        self._bound = 0.0

    def first(self) -> CapacityPlan | None:
        """Return a first plan with its bound, None where that is not tried or vain."""
        problem, goal = self._task.problem, self._task.goal
        if len(problem.jobs) < MIN_PRICED_JOBS or not SlackSearch.is_for(problem, goal):
            return None
        wait_s = KERNELS_WAIT_S if len(problem.jobs) > MAX_FITTED_JOBS else 0.0
        if not kernels_are_ready(wait_s=wait_s):
            return None
        options = OptionArrays.of(problem)
        priced = RoomPricing(problem, goal, options).best()
        bound = max(priced.bound, plan_volume_bound(problem, goal))
        self._bound = rounded_bound(problem, goal, bound)
        self._search = SlackSearch(
            problem, goal, options, priced.weights, seed=self._task.seed
        )
        self._found = self._search.run(deadline=self._task.clock.deadline)
        return self._plan()

    @property
    def is_searched(self) -> bool:
        """Whether there is such a plan, which can be improved."""
        return self._found is not None

    def improved(
        self, best: CapacityPlan, *, deadline: float, is_last: bool
    ) -> CapacityPlan:
        """Return a plan that is no worse than the best.

        Args:
            best: Known so far.
            deadline: On the clock of ``time.perf_counter``.
            is_last: Whether no other search follows, which would have what is left of
                the time after many rounds in vain.
        """
        if self._search is None or self._found is None:
            return best
        least = self._bound / max(1e-9, 1 - self._task.target_gap)
        patience = {"max_in_vain": LAST_IN_VAIN} if is_last else {}
        found = self._search.improved(
            self._found, bound=least, deadline=deadline, **patience
        )
        if found is self._found or found.cost >= best.value:
            return best
        self._found = found
        plan = self._plan()
        return best if plan is None else self._task.better(best, plan)

    def _plan(self) -> CapacityPlan | None:
        if self._search is None or self._found is None:
            return None
        return self._task.completion.plan(
            self._search.filled(self._found),
            self._bound,
            SLACK_METHOD,
            proved_by=SLACK_PROOF,
        )
