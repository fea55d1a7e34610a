"""Large neighborhood search: a few jobs of a plan are taken out and placed anew.

Bins that are filled anew one by one, or a few of them at a time, keep jobs where they
are in all the others. Here it is the other way round: some jobs may go into any bin, at
any of their options, while the others stay; and the service of all is shared out anew.
With about ten jobs that is a program of a tenth of a second; as the old plan is one of
its choices, no step is a loss. The more of them were in vain, the more jobs are freed.

References:
    Shaw, "Using constraint programming and local search methods to solve vehicle
    routing problems", CP 1998 (large neighborhood search). Pisinger and Ropke, "A
    general heuristic for vehicle routing problems", Computers & Operations Research
    34, 2007 (several ways to choose what is taken out).
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving.neighborhoods.job_release import (
    JobRelease,
    OpenBin,
)
from gpupack.packing.capacity.model import Configuration, Goal, useful_options
from gpupack.packing.capacity.relaxing import MEASURES, CapacityProgram
from gpupack.packing.runtime import call_all_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem

    Uses = tuple[tuple[Configuration, int], ...]

FEWEST_FREED, MOST_FREED = 6, 14
VAIN_PER_SIZE = 6
"""Jobs freed at first and at most, and another one after so many steps in vain."""
MOST_BINS = 12
"""That jobs are taken out of, and put into, in one step."""
MOST_VARIABLES = 900
"""Options of free jobs times bins, above which fewer jobs are freed."""
UNMET_PART = 1 / 3
SAME_BINS_PART = 0.7
SAME_BINS = 2
"""Of the jobs that are freed, those that lack service, or those of the same bins."""
CHAINED = 3
"""Steps of a worker before it compares its plan with those of the others."""
MAX_VAIN = 120
"""Steps in vain after which to stop."""
LEAST_GAIN = 1e-6
WORTH_MORE = 1e-4
"""Relative gains below which a step counts as one in vain."""
LEAST_UNMET = 1e-6
FIRST_LIMIT_S = 6.0
"""For sharing out the service of the plan to start from."""


@dataclass(frozen=True)
class _Plan:
    """A plan bin by bin, and what it serves, weighted."""

    bins: tuple[OpenBin, ...]
    value: float


class Reassigner:
    """Improves the weighted service of a plan by placing some of its jobs anew.

    Args:
        problem: What is planned, every bin type counted.
        bound: Proven on the weighted service.
        seed: For every random choice.
        num_workers: Threads; as many searches side by side.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        *,
        bound: float,
        seed: int,
        num_workers: int = 1,
    ) -> None:
        self._problem = problem
        self._bound = bound
        self._seed = seed
        self._num_workers = num_workers
        self._rng = random.Random(seed)
        self._unit = max(
            (job.weight * (job.demand or 1) for job in problem.jobs), default=1.0
        )
        self._options: list[dict[int, list[int]]] = []
        for bin_type in range(len(problem.bin_types)):
            of_job: dict[int, list[int]] = {}
            for index in useful_options(problem, bin_type):
                of_job.setdefault(problem.options[index].job, []).append(index)
            self._options.append(of_job)
        self._jobs = sorted({job for one in self._options for job in one})

    def run(
        self,
        uses: Uses,
        *,
        deadline: float,
        target_gap: float,
        max_vain: int | None = None,
        stop: NDArray[np.int8] | None = None,
    ) -> Uses:
        """Return a plan that is at least as good.

        Args:
            uses: The plan to start from.
            deadline: On the clock of ``time.perf_counter``.
            target_gap: Relative, at which to stop.
            max_vain: Steps in vain after which to stop; as many as it takes to have
                tried the most jobs at a time if None.
            stop: Ends the search, too, once its entry is not 0.
        """
        most_vain = MAX_VAIN if max_vain is None else max_vain
        plan = self._spread(uses)
        if plan is None or not self._jobs:
            return uses
        first = plan.value
        vain = 0
        while (
            vain < most_vain
            and time.perf_counter() < deadline
            and not (stop is not None and stop[0])
            and self._bound - plan.value > max(target_gap, LEAST_GAIN) * plan.value
        ):
            size = min(FEWEST_FREED + vain // VAIN_PER_SIZE, MOST_FREED)
            found = call_all_until(
                deadline,
                [
                    partial(
                        self._chained, plan, size, self._rng.randrange(2**31), deadline
                    )
                    for _ in range(self._num_workers)
                ],
                num_workers=self._num_workers,
            )
            best = max(found, key=lambda one: one.value)
            if best.value > plan.value * (1 + WORTH_MORE):
                vain = max(0, vain - VAIN_PER_SIZE)
            else:
                vain += CHAINED * self._num_workers
            if best.value > plan.value:
                plan = best
        return _merged(plan.bins) if plan.value > first else uses

    def _spread(self, uses: Uses) -> _Plan | None:
        """Return a plan bin by bin, empty ones too, with its service shared out."""
        problem = self._problem
        configurations = [one for one, _ in uses]
        program = CapacityProgram(
            problem, configurations, in_full=False, seed=self._seed
        )
        program.fix([(place, number) for place, (_, number) in enumerate(uses)])
        result = program.solve(
            MEASURES[Goal.MAX_SERVICE][0], time_limit_s=FIRST_LIMIT_S
        )
        if result.state not in {"optimal", "feasible"}:
            return None
        bins = []
        spare = [one.count or 0 for one in problem.bin_types]
        budget = problem.budget
        for (one, number), shares in zip(uses, program.served(), strict=True):
            spare[one.bin_type] -= number
            if budget is not None:
                budget -= number * problem.bin_types[one.bin_type].cost
            held = {}
            for index, copies in one.counts:
                option = problem.options[index]
                demand = problem.jobs[option.job].demand or 0
                load = shares.get(index, 0.0) * demand / option.rate / number
                held[index] = copies, min(float(copies), load)
            bins += [OpenBin(one.bin_type, held)] * number
        for bin_type, number in enumerate(spare):
            cost = problem.bin_types[bin_type].cost
            if budget is not None and cost:
                number = min(number, budget // cost)
                budget -= number * cost
            # More empty ones at a time are of no use to a step.
            bins += [OpenBin(bin_type, {})] * min(number, MOST_BINS)
        return _Plan(tuple(bins), result.value)

    def _chained(
        self,
        plan: _Plan,
        size: int,
        seed: int,
        deadline: float,
        stop: NDArray[np.int8],
    ) -> _Plan:
        """Return what a few steps come to, each from what the one before came to."""
        rng = random.Random(seed)
        for _ in range(CHAINED):
            if stop[0]:
                break
            plan = self._reassigned(plan, size, rng, deadline)
        return plan

    def _reassigned(
        self, plan: _Plan, size: int, rng: random.Random, deadline: float
    ) -> _Plan:
        at = list(range(len(plan.bins)))
        if len(at) > MOST_BINS:
            at = sorted(rng.sample(at, MOST_BINS))
        chosen = set(at)
        program = JobRelease(
            self._problem,
            self._options,
            [plan.bins[place] for place in at],
            [one for place, one in enumerate(plan.bins) if place not in chosen],
            self._freed(plan, at, size, rng),
            unit=self._unit,
            seed=self._seed,
        )
        found = program.solve(limit_s=deadline - time.perf_counter())
        if found is None:
            return plan
        gain, bins = found
        again = list(plan.bins)
        for place, one in zip(at, bins, strict=True):
            again[place] = one
        return _Plan(tuple(again), plan.value + gain)

    def _freed(
        self, plan: _Plan, at: Sequence[int], size: int, rng: random.Random
    ) -> list[int]:
        """Return jobs to free: any, or many that lack service, or of the same bins."""
        first: list[int] = []
        way = rng.randrange(3)
        if way == 1:
            first = self._unmet(plan)
            rng.shuffle(first)
            first = first[: round(UNMET_PART * size)]
        elif way == 2:
            same = rng.sample(at, min(SAME_BINS, len(at)))
            first = sorted(
                {
                    self._problem.options[one].job
                    for b in same
                    for one in plan.bins[b].held
                }
            )
            rng.shuffle(first)
            first = first[: round(SAME_BINS_PART * size)]
        known = set(first)
        others = [job for job in self._jobs if job not in known]
        rng.shuffle(others)
        freed: list[int] = []
        left = MOST_VARIABLES
        for job in [*first, *others][:size]:
            left -= sum(
                len(self._options[plan.bins[b].bin_type].get(job, ())) for b in at
            )
            if left < 0 and freed:
                break
            freed.append(job)
        return freed

    def _unmet(self, plan: _Plan) -> list[int]:
        """Return the jobs that do not get all they want, of those that count."""
        problem = self._problem
        served = [0.0] * len(problem.jobs)
        copies = [0] * len(problem.jobs)
        for one in plan.bins:
            for index, (number, load) in one.held.items():
                option = problem.options[index]
                served[option.job] += load * option.rate
                copies[option.job] += number
        return [
            index
            for index in self._jobs
            for job in [problem.jobs[index]]
            if job.weight > 0
            and (
                copies[index] < job.copies
                if job.is_whole
                else served[index] < (job.demand or 0) * (1 - LEAST_UNMET)
            )
        ]


def _merged(bins: Sequence[OpenBin]) -> Uses:
    """Return how many bins have each configuration."""
    uses: dict[Configuration, int] = {}
    for one in bins:
        counts = tuple(sorted((index, n) for index, (n, _) in one.held.items()))
        if counts:
            key = Configuration(one.bin_type, counts)
            uses[key] = uses.get(key, 0) + 1
    return tuple(sorted(uses.items()))
