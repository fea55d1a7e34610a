"""Plans in whole bins by local search around the relaxation, each goal its own way.

Shares are bisected, service climbs by annealing, by jobs that are placed anew and by
bins that are reopened, cost descends over numbers of bins.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.packing.capacity.improving.ascent import affordable_bins, ascend
from gpupack.packing.capacity.improving.assignment import is_worth_it
from gpupack.packing.capacity.improving.descent import Descent
from gpupack.packing.capacity.improving.neighborhoods import Reassigner, Reopener
from gpupack.packing.capacity.improving.share_search import MOST_KEPT, ShareSearch
from gpupack.packing.capacity.model import MAX_ENUMERATED, Goal, PlanStatus, taken_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.improving.completion import Completion
    from gpupack.packing.capacity.model import (
        CapacityPlan,
        CapacityProblem,
        Configuration,
    )
    from gpupack.packing.capacity.relaxing import Relaxer

    Uses = tuple[tuple[Configuration, int], ...]

ASCENT_SHARE = 0.15
"""Of the time, for annealing where bins are reopened after it."""
CLOSE = 0.02
"""Relative distance from a plan to the bound up to which annealing is left out."""
SMALL_MARGIN = 1.05
"""Above the bound: up to there the plain model must be small to be worth trying."""


class LocalSearch:
    """Searches plans for one problem and goal.

    Args:
        problem: What is planned, without a rule of who may share.
        goal: What is best.
        completion: Makes plans out of configurations.
        seed: For every random choice.
        target_gap: Relative, at which to stop.
        num_workers: Threads.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        completion: Completion,
        *,
        seed: int,
        target_gap: float,
        num_workers: int,
    ) -> None:
        self._num_workers = num_workers
        self._problem = problem
        self._goal = goal
        self._completion = completion
        self._seed = seed
        self._target_gap = target_gap

    def run(
        self,
        relaxer: Relaxer,
        bound: float,
        *,
        known: Uses = (),
        known_value: float = -math.inf,
        deadline: float,
    ) -> CapacityPlan | None:
        """Return the plan that the search comes to, None if it finds none.

        Args:
            relaxer: After its run.
            bound: Proven: no plan is better.
            known: A plan to start from.
            known_value: Of that plan.
            deadline: On the clock of ``time.perf_counter``.
        """
        problem, goal = self._problem, self._goal
        if goal is Goal.MAX_MIN_SHARE:
            shares = ShareSearch(
                problem,
                tuple(relaxer.promising(MOST_KEPT)),
                near=affordable_bins(problem, relaxer.guide()),
                bound=bound,
                likely=relaxer.value,
                center=relaxer.center,
                seed=self._seed,
                num_workers=self._num_workers,
            )
            shares.run(
                deadline=deadline,
                target_gap=self._target_gap,
                known=known,
                guide=relaxer.guide(),
            )
            return self._first_that_holds([shares.uses, known], shares.bound)
        if goal is Goal.MAX_SERVICE:
            now = time.perf_counter()
            start = known
            if known_value < bound * (1 - CLOSE):
                start = ascend(
                    problem,
                    relaxer.guide(),
                    deadline=now + (deadline - now) * ASCENT_SHARE,
                    target_gap=self._target_gap,
                    seed=self._seed,
                )
            found = Reassigner(
                problem, bound=bound, seed=self._seed, num_workers=self._num_workers
            ).run(start or known, deadline=deadline, target_gap=self._target_gap)
            found = Reopener(
                problem,
                goal,
                bound=bound,
                patterns=relaxer.promising(),
                seed=self._seed,
                num_workers=self._num_workers,
            ).run(found, deadline=deadline, target_gap=self._target_gap)
            plan = self._first_that_holds([found, start], bound)
            return self._spread(found, plan, bound)
        if not all(problem.prices(goal)):
            return None
        descended = Descent(
            problem,
            goal,
            relaxer,
            bound=bound,
            seed=self._seed,
            deadline=deadline,
            serves_all=lambda uses: bool(self._completion.fill(uses)),
            known=known,
            num_workers=self._num_workers,
        ).run(
            target_gap=self._target_gap,
            is_last=not is_worth_it(problem, goal, math.ceil(bound * SMALL_MARGIN)),
        )
        if math.isinf(descended.bound):
            return self._completion.without_plan(
                PlanStatus.INFEASIBLE, "column generation"
            )
        return self._first_that_holds(descended.uses, descended.bound)

    def _spread(
        self, uses: Uses, plan: CapacityPlan | None, bound: float
    ) -> CapacityPlan | None:
        """Return a plan that takes bins apart, where others are left empty.

        Local search fills bins one by one: where jobs may have only so many copies,
        the last ones stay empty while the first ones are crowded.
        """
        problem = self._problem
        if plan is None or plan.status is PlanStatus.OPTIMAL or not uses:
            return plan
        spare = [
            (one.count or 0) - sum(n for c, n in uses if c.bin_type == index)
            for index, one in enumerate(problem.bin_types)
        ]
        costs = [one.cost for one in problem.bin_types]
        left = math.inf
        if problem.budget is not None:
            left = problem.budget - sum(costs[c.bin_type] * n for c, n in uses)
        open_types = [
            index for index, n in enumerate(spare) if n > 0 and costs[index] <= left
        ]
        apart = taken_apart(problem, [one for one, _ in uses], open_types)
        if not open_types or len(apart) > MAX_ENUMERATED:
            return plan
        _, bins = self._completion.choose(apart, hint=uses)
        if not bins:
            return plan
        other = self._completion.plan(
            bins, bound, "local search", proved_by="column generation"
        )
        return other if other.value > plan.value else plan

    def _first_that_holds(
        self, candidates: Sequence[Uses], bound: float
    ) -> CapacityPlan | None:
        for uses in candidates:
            bins = self._completion.fill(uses)
            if bins:
                with contextlib.suppress(CheckError):
                    return self._completion.plan(
                        bins, bound, "local search", proved_by="column generation"
                    )
        return None
