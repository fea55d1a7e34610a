"""The largest share of its demand that every job can get, between what is proved.

For a share, the demands are scaled down and counted bins must serve them in full. The
relaxation for just these bins (see ``Relaxer.probe``) either breaks, which proves that
no plan gives that share, or says at which prices to look for one by local search. A
copy is of no more use than the scaled demand: so the bound is tighter than that of the
relaxation in which the share itself is unknown, and a part of a copy may serve it.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving.neighborhoods import Reassigner
from gpupack.packing.capacity.improving.refilling import Refiller
from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing import (
    BinCounts,
    CapacityProgram,
    Measure,
    Relaxer,
    made_to_fit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import CapacityProblem, Configuration
    from gpupack.packing.capacity.relaxing import Guide, Pattern

    Uses = tuple[tuple[Configuration, int], ...]

FIRST_SHARE = 0.7
"""Of the bound, where to begin."""
LEAST_SHARE = 1e-3
PROBE_SHARE = 0.4
PROBES_SHARE = 0.6
"""Of the time left, for one probe, and for all of them."""
LEAST_PROBE_S = 0.5
LEAST_SHARE_OF_PROBE = 0.3
"""Of the time for all probes, that one gets at least where it is short."""
CLOSE = 0.004
"""Relative distance of shares at which probing ends."""
CLOSED = 1e-6
FIRST_MOVES = 15_000
MOVES = 40_000
"""Of the first annealing, of the next; more each further time."""
MAX_TRIES = 60
LEAST_STEP = 0.02
MAX_VAIN = 24
"""Steps of placing jobs anew in vain for one share."""
MOST_BINS_TO_REASSIGN = 60
"""Beyond it a few jobs are too small a part; annealing then comes closer."""
SHARE_LIMIT_S, LEAST_SHARE_S = 2.0, 0.1
"""Of the program that says how much given bins can serve."""


class ShareSearch:
    """Search for the largest smallest share, from below and from above.

    Args:
        problem: What is planned, every bin type counted.
        patterns: To start from.
        near: Numbers of bins that are likely, where a budget leaves a choice.
        bound: Proven on the share.
        seed: For every random choice.
        num_workers: Threads.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        patterns: tuple[Pattern, ...],
        *,
        near: Sequence[float],
        bound: float,
        seed: int,
        num_workers: int = 1,
    ) -> None:
        self._num_workers = num_workers
        self._problem = problem
        self._patterns = patterns
        self._share_of_patterns = 1.0
        self._near = near
        self._seed = seed
        self._tries = 0
        self._guides: dict[float, tuple[tuple[int, ...], Guide]] = {}
        self.bound = min(1.0, bound)
        self.share = -math.inf
        self.uses: Uses = ()
        self._reassigned: Uses = ()
        self._most = tuple(one.count or 0 for one in problem.bin_types)

    def run(self, *, deadline: float, target_gap: float) -> None:
        """Raise ``share`` and lower ``bound`` until they are close, or the deadline."""
        now = time.perf_counter()
        self._probe_between(now + (deadline - now) * PROBES_SHARE, target_gap)
        step = 0.5
        while self._guides and not self._is_closed(target_gap):
            if time.perf_counter() >= deadline or self._tries > MAX_TRIES:
                break
            low = max(self.share, 0.0)
            highest = max(low, min(self.bound, max(self._guides)))
            share = low + step * (highest - low)
            if self._fill(
                share, MOVES + MOVES * self._tries // 4, deadline
            ) or self._reassign(low + step / 2 * (self.bound - low), deadline):
                step = min(0.5, 2 * step)
            else:
                step = step / 2 if step > LEAST_STEP else 0.5

    def _is_closed(self, target_gap: float) -> bool:
        gap = max(target_gap, CLOSED) * max(self.share, 0.0)
        return self.bound - self.share <= gap

    def _probe_between(self, deadline: float, target_gap: float) -> None:
        """Bisect the shares for the largest one that the relaxation allows."""
        started = time.perf_counter()
        allowed = 0.0
        share = FIRST_SHARE * self.bound
        least_s = min(LEAST_PROBE_S, LEAST_SHARE_OF_PROBE * (deadline - started))
        while (
            self.bound - allowed > CLOSE * self.bound
            and not self._is_closed(target_gap)
            and time.perf_counter() < deadline - (least_s if self._guides else 0.0)
        ):
            now = time.perf_counter()
            left_s = max(least_s, (deadline - now) * PROBE_SHARE)
            if self._probe(share, now + left_s):
                self.bound = share
            else:
                if (
                    max(self.share, 0.0) >= allowed
                ):  # filling has kept up with probing so far
                    self._fill(share, FIRST_MOVES, deadline)
                allowed = max(share, self.share)
            share = (self.bound + allowed) / 2
            if share < LEAST_SHARE:
                break

    def _scaled(self, share: float) -> CapacityProblem:
        """Return the problem of serving this share of every demand in full."""
        return replace(
            self._problem,
            jobs=tuple(
                replace(job, demand=math.floor(share * job.demand))
                if job.demand
                else job
                for job in self._problem.jobs
            ),
        )

    def _probe(self, share: float, deadline: float) -> bool:
        """Return whether it is proved that no plan gives so large a share."""
        scaled = self._scaled(share)
        relaxer = Relaxer(scaled, Goal.MIN_BINS, deadline=deadline, seed=self._seed)
        relaxer.start_from(
            made_to_fit(
                scaled,
                pattern.configuration,
                {
                    option: load * share / self._share_of_patterns
                    for (option, _), load in zip(
                        pattern.configuration.counts, pattern.loads, strict=True
                    )
                },
            )
            for pattern in self._patterns
        )
        counts = self._counts_to_probe(scaled, relaxer, deadline)
        while counts is not None:
            cut = relaxer.probe(counts, deadline=deadline)
            self._patterns = tuple(relaxer.promising())
            self._share_of_patterns = share
            if cut is None:
                self._guides[share] = (counts, relaxer.guide())
                return False
            if self._problem.budget is None:
                return True
            counts = self._counts_to_probe(scaled, relaxer, deadline)
        return True

    def _counts_to_probe(
        self, scaled: CapacityProblem, relaxer: Relaxer, deadline: float
    ) -> tuple[int, ...] | None:
        """Return the bins to look at next, None if no affordable ones can do."""
        if self._problem.budget is None:
            return self._most
        numbers = BinCounts(scaled, Goal.MIN_COST, deadline=deadline)
        for cut in relaxer.cuts:
            numbers.add(cut)
        return numbers.roomiest(self._problem.budget, self._near)[0]

    def _fill(self, share: float, num_moves: int, deadline: float) -> bool:
        """Look for a plan that gives this share; return whether it gives a larger one.

        What is found serves as much as it can: often more than was asked for, and
        something where that was too much.
        """
        above = [one for one in self._guides if one >= share]
        counts, guide = self._guides[min(above) if above else max(self._guides)]
        refiller = Refiller(
            self._problem, Goal.MAX_MIN_SHARE, guide, counts, demand_factor=share
        )
        found = refiller.run(
            num_moves=num_moves,
            deadline=deadline,
            seed=self._seed + self._tries,
        )
        self._tries += 1
        reached = self._share_given(found.uses, deadline)
        if reached <= self.share:
            return False
        self.share, self.uses, self._reassigned = reached, found.uses, ()
        return True

    def _reassign(self, share: float, deadline: float) -> bool:
        """Place jobs anew for a plan of this share; return whether it gives more.

        What counts is the sum of what jobs get of this share, by which a plan that
        gives a little more can be told from others long before the smallest is larger.
        """
        if not self.uses or sum(self._most) > MOST_BINS_TO_REASSIGN:
            return False
        scaled = self._scaled(share)
        jobs = tuple(
            replace(
                job, weight=1 / job.demand if job.demand and not job.is_optional else 0
            )
            for job in scaled.jobs
        )
        found = Reassigner(
            replace(scaled, jobs=jobs),
            bound=float(sum(1 for job in jobs if job.weight)),
            seed=self._seed + self._tries,
            num_workers=self._num_workers,
        ).run(
            self._reassigned or self.uses,
            deadline=deadline,
            target_gap=0.0,
            max_vain=MAX_VAIN,
        )
        # Where it was in vain, the next share goes on from there.
        self._reassigned = found
        reached = self._share_given(found, deadline)
        if reached <= self.share:
            return False
        self.share, self.uses = reached, found
        return True

    def _share_given(self, uses: Uses, deadline: float) -> float:
        """Return the largest share that these bins can give, < 0 if they miss a job."""
        program = CapacityProgram(
            self._problem, [one for one, _ in uses], in_full=False, seed=self._seed
        )
        program.fix([(place, count) for place, (_, count) in enumerate(uses)])
        left_s = deadline - time.perf_counter()
        result = program.solve(
            Measure.SHARE, time_limit_s=max(LEAST_SHARE_S, min(SHARE_LIMIT_S, left_s))
        )
        return result.value if result.state in {"optimal", "feasible"} else -math.inf
