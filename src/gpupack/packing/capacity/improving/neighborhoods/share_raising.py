"""Raise the smallest share of its demand that any job gets, target by target.

The smallest share says nothing of all the others, so that hardly any step changes it.
What steps of ``Reassigner`` raise is the sum of what jobs get of a target that is a
little above the smallest share: once no job lacks any of it, that is the share. The
nearer plans come to what is possible, the nearer the targets.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving.neighborhoods.reassigning import Reassigner
from gpupack.packing.capacity.relaxing import CapacityProgram, Measure

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Configuration

    Uses = tuple[tuple[Configuration, int], ...]

FIRST_STEP, LEAST_STEP = 0.012, 0.0015
"""Of the share, that a target is above it: at first, and at least."""
NEXT_STEP = 0.006
"""The same after the least was in vain, from the best plan again."""
MAX_VAIN = 18
"""Steps of placing jobs anew in vain for one target."""
NEAR = 0.4
"""Share of the way to the bound, where that is nearer."""
CLOSED = 1e-6
MAX_TARGETS = 400
MAX_RESTARTS = 4
"""In vain, after which to stop."""
SHARE_LIMIT_S, LEAST_SHARE_S = 2.0, 0.1
"""Of the program that says how much given bins can serve."""


class ShareRaiser:
    """Raises the smallest share that a plan gives.

    Args:
        problem: What is planned, every bin type counted.
        seed: For every random choice.
    """

    def __init__(self, problem: CapacityProblem, *, seed: int) -> None:
        self._problem = problem
        self._seed = seed
        self._tries = 0
        self.share = -math.inf
        self.uses: Uses = ()

    def start_from(self, uses: Uses, *, deadline: float) -> bool:
        """Go on from this plan if it gives a larger share; return whether it does."""
        reached = share_given(self._problem, uses, seed=self._seed, deadline=deadline)
        if reached <= self.share:
            return False
        self.share, self.uses = reached, uses
        return True

    def run(
        self,
        *,
        bound: Callable[[], float],
        deadline: float,
        target_gap: float,
        num_workers: int = 1,
        stop: NDArray[np.int8] | None = None,
    ) -> None:
        """Raise ``share`` until it is close to the bound, or the deadline.

        Args:
            bound: Proven on the share by then.
            deadline: On the clock of ``time.perf_counter``.
            target_gap: Relative, at which to stop.
            num_workers: Threads.
            stop: Ends the search, too, once its entry is not 0.
        """
        step, restarts, current = FIRST_STEP, 0, self.uses
        for _ in range(MAX_TARGETS):
            highest = bound()
            if (
                not self.uses
                or time.perf_counter() >= deadline
                or (stop is not None and stop[0])
                or highest - self.share
                <= max(target_gap, CLOSED) * max(self.share, 0.0)
            ):
                return
            low = max(self.share, LEAST_STEP * highest)
            target = min(low * (1 + step), low + (highest - low) * NEAR)
            current = self._reassigned(current, target, deadline, num_workers, stop)
            before = self.share
            if self.start_from(current, deadline=deadline):
                restarts = 0
            if self.share >= target * (1 - CLOSED):
                step = min(FIRST_STEP, 2 * step)
            elif self.share == before:
                step /= 2
            if step < LEAST_STEP:
                step, current = NEXT_STEP, self.uses
                restarts += 1
                if restarts > MAX_RESTARTS:
                    return

    def _reassigned(
        self,
        uses: Uses,
        target: float,
        deadline: float,
        num_workers: int,
        stop: NDArray[np.int8] | None,
    ) -> Uses:
        """Return a plan that gives jobs more of this share, in all."""
        self._tries += 1
        jobs = []
        for job in self._problem.jobs:
            demand, weight = job.demand, 0.0
            if demand:
                # Rounded up: of small demands, what they get now may be rounded down.
                demand = min(demand, math.ceil(target * demand))
                weight = 0.0 if job.is_optional else 1 / demand
            jobs.append(replace(job, demand=demand, weight=weight))
        return Reassigner(
            replace(self._problem, jobs=tuple(jobs)),
            bound=float(sum(1 for job in jobs if job.weight)),
            seed=self._seed + self._tries,
            num_workers=num_workers,
        ).run(uses, deadline=deadline, target_gap=0.0, max_vain=MAX_VAIN, stop=stop)


def scaled_to(problem: CapacityProblem, share: float) -> CapacityProblem:
    """Return the problem of serving this share of every demand in full."""
    return replace(
        problem,
        jobs=tuple(
            replace(job, demand=math.floor(share * job.demand)) if job.demand else job
            for job in problem.jobs
        ),
    )


def share_given(
    problem: CapacityProblem, uses: Uses, *, seed: int, deadline: float
) -> float:
    """Return the largest share that these bins can give, < 0 if they miss a job."""
    program = CapacityProgram(
        problem, [one for one, _ in uses], in_full=False, seed=seed
    )
    program.fix([(place, count) for place, (_, count) in enumerate(uses)])
    left_s = deadline - time.perf_counter()
    result = program.solve(
        Measure.SHARE, time_limit_s=max(LEAST_SHARE_S, min(SHARE_LIMIT_S, left_s))
    )
    return result.value if result.state in {"optimal", "feasible"} else -math.inf
