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
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.improving.neighborhoods import (
    ShareRaiser,
    scaled_to,
    share_given,
)
from gpupack.packing.capacity.improving.refilling import Refiller, emphasized
from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing import (
    BinCounts,
    Relaxer,
    made_to_fit,
)
from gpupack.packing.runtime import call_all_until, call_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Configuration
    from gpupack.packing.capacity.relaxing import Duals, Guide, Pattern

    Uses = tuple[tuple[Configuration, int], ...]

FIRST_SHARE = 0.7
"""Of the bound, where to begin, at least."""
MOST_KEPT = 1_500
"""Patterns that a relaxation starts with from the one of other demands."""
LEAST_SHARE = 1e-3
PROBE_SHARE = 0.4
PROBES_SHARE = 0.6
"""Of the time left, for one probe, and for all of them."""
PROBES_SHARE_BESIDE = 0.85
"""For all of them where the plan is improved meanwhile."""
LEAST_PROBE_S = 0.5
LEAST_SHARE_OF_PROBE = 0.3
"""Of the time for all probes, that one gets at least where it is short."""
CLOSE = 0.002
"""Relative distance of shares at which probing ends."""
AIM, AIM_FIRST, AIM_SHARE = 0.75, 0.925, 0.5
"""Share of the way from what a relaxation has reached to the bound, of the demands to
look at next: those below what is possible tell nothing. Of the bound, the first where
none is likely. And of the time left, until one has told something."""
NEAR = 0.03
"""Distance to the bound up to which to look at that instead."""
CLOSED = 1e-6
FIRST_MOVES = 15_000
FIRST_MOVES_IN_FULL, MAX_VAIN_FILLS, LEAST_FILL_STEP = 30_000, 3, 0.1
"""Of an annealing before the plan is raised job by job. After so many in vain for one
share a lower one is looked for, with twice the moves, unless it is that near."""
MOVES = 40_000
"""Of the first annealing, of the next; more each further time."""
MAX_TRIES = 60
LEAST_STEP = 0.02
MOST_BINS_TO_REASSIGN = 60
"""Beyond it a few jobs are too small a part; annealing then comes closer."""


class ShareSearch:
    """Search for the largest smallest share, from below and from above.

    Args:
        problem: What is planned, every bin type counted.
        patterns: To start from.
        near: Numbers of bins that are likely, where a budget leaves a choice.
        bound: Proven on the share.
        likely: Share that the relaxation gives in which the share is unknown.
        center: Prices of jobs there.
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
        likely: float | None = None,
        center: Duals | None = None,
        seed: int,
        num_workers: int = 1,
    ) -> None:
        self._num_workers = num_workers
        self._problem = problem
        self._patterns = patterns
        self._share_of_patterns = 1.0
        self._center = center
        self._near = near
        self._seed = seed
        self._tries = 0
        self._guides: dict[float, tuple[tuple[int, ...], Guide]] = {}
        self.bound = min(1.0, bound)
        if likely is None:
            likely = AIM_FIRST * self.bound
        # Where time was short, it says little.
        self._likely = min(self.bound, max(likely, FIRST_SHARE * self.bound))
        self.share = -math.inf
        self.uses: Uses = ()
        self._most = tuple(one.count or 0 for one in problem.bin_types)

    def run(
        self,
        *,
        deadline: float,
        target_gap: float,
        known: Uses = (),
        guide: Guide | None = None,
    ) -> None:
        """Raise ``share`` and lower ``bound`` until they are close, or the deadline.

        Args:
            deadline: On the clock of ``time.perf_counter``.
            target_gap: Relative, at which to stop.
            known: A plan to start from.
            guide: From the relaxation in which the share is unknown.
        """
        now = time.perf_counter()
        is_small = sum(self._most) <= MOST_BINS_TO_REASSIGN
        if known and is_small and guide is not None and self._problem.budget is None:
            raiser = ShareRaiser(self._problem, seed=self._seed)
            raiser.start_from(known, deadline=deadline)
            self.share, self.uses = raiser.share, raiser.uses
            self._guides[1.0] = self._most, guide
            self._bound_and_raise(raiser, deadline, target_gap)
        else:
            self._probe_between(now + (deadline - now) * PROBES_SHARE, target_gap)
        step = 0.5
        while self._guides and not self._is_closed(target_gap):
            if time.perf_counter() >= deadline or self._tries > MAX_TRIES:
                break
            low = max(self.share, 0.0)
            highest = max(low, min(self.bound, max(self._guides)))
            share = low + step * (highest - low)
            if self._fill(share, MOVES + MOVES * self._tries // 4, deadline):
                step = min(0.5, 2 * step)
            else:
                step = step / 2 if step > LEAST_STEP else 0.5

    def _bound_and_raise(
        self, raiser: ShareRaiser, deadline: float, target_gap: float
    ) -> None:
        """Lower the bound in one thread, and raise the plan's share in another."""
        now = time.perf_counter()
        is_alone = self._num_workers == 1
        part = PROBES_SHARE if is_alone else PROBES_SHARE_BESIDE
        until = now + (deadline - now) * part

        def lower(stop: NDArray[np.int8]) -> None:
            try:
                self._lower_bound(until)
            finally:
                stop[0] = 1

        def improve(stop: NDArray[np.int8]) -> None:
            self._fill_in_full(until, stop)
            raiser.start_from(self.uses, deadline=until)
            self._raise(raiser, until, target_gap, stop=stop)

        if is_alone:
            call_until(until, lower)
            call_until(deadline, improve)
        else:
            call_all_until(until, [lower, improve], num_workers=2)
        self._raise(raiser, deadline, target_gap, num_workers=self._num_workers)

    def _fill_in_full(self, deadline: float, stop: NDArray[np.int8]) -> None:
        """Anneal for shares between the plan's and what the relaxation gives.

        To serve a share of all demands in full, load is shifted between copies after
        every move, and what goes unmet is worth more the next time.
        """
        counts, guide = self._guides[1.0]
        emphasis = np.ones(len(self._problem.jobs))
        step, vain, num_moves = 0.5, 0, FIRST_MOVES_IN_FULL
        while step >= LEAST_FILL_STEP and not stop[0]:
            highest = max(self.share, min(self.bound, self._likely))
            share = self.share + step * (highest - self.share)
            if share < LEAST_SHARE or time.perf_counter() >= deadline:
                return
            found = Refiller(
                scaled_to(self._problem, share),
                Goal.MIN_BINS,
                guide,
                counts,
                emphasis=emphasis,
            ).run(
                num_moves=num_moves,
                deadline=deadline,
                seed=self._seed + self._tries,
            )
            self._tries += 1
            emphasis = emphasized(emphasis, found.unmet)
            if self._keep(found.uses, deadline) and not found.loss:
                vain = 0
                continue
            vain += 1
            if vain == MAX_VAIN_FILLS:
                step, vain, num_moves = step / 2, 0, 2 * num_moves

    def _lower_bound(self, deadline: float) -> None:
        """Lower the bound by relaxations of demands that are scaled.

        By a share between that of the plan and the bound. Each relaxation says by how
        much all these demands must fall, or that they need not.
        """
        allowed, is_near = 0.0, False
        # Of smaller demands copies can serve less, and so the bound is lower: probably
        # below what is likely.
        aim = min(self.bound, self._likely * (1 + CLOSE))
        while self.bound - allowed > CLOSE / 2 * self.bound:
            now = time.perf_counter()
            if aim < LEAST_SHARE or now > deadline:
                return
            _, relaxer = self._relaxer(aim, deadline)

            def tell(share: float, aim: float = aim) -> None:
                if share < 1:
                    self.bound = min(self.bound, aim * share)

            found = relaxer.share(
                self._most,
                deadline=deadline,
                patience=deadline if is_near else now + (deadline - now) * AIM_SHARE,
                close=CLOSE / 4,
                center=self._center,
                tell=tell,
            )
            self._center = found.center
            self._patterns = tuple(relaxer.promising(MOST_KEPT))
            self._share_of_patterns = aim
            if found.most < 1:
                # The bound of demands at the bound itself is lower by about half of
                # what these fell by.
                if found.most > 1 - CLOSE:
                    return
                is_near, aim = True, self.bound
            elif found.reached >= 1 - CLOSE / 4:
                allowed = max(allowed, aim)
                is_near = self.bound - aim < NEAR * self.bound
                aim = self.bound if is_near else aim + AIM * (self.bound - aim)
            elif is_near:
                return
            else:
                # From the bound itself on, whatever is found lowers it.
                is_near, aim = True, self.bound

    def _raise(
        self,
        raiser: ShareRaiser,
        deadline: float,
        target_gap: float,
        *,
        num_workers: int = 1,
        stop: NDArray[np.int8] | None = None,
    ) -> None:
        raiser.run(
            bound=lambda: self.bound,
            deadline=deadline,
            target_gap=target_gap,
            num_workers=num_workers,
            stop=stop,
        )
        if raiser.share > self.share:
            self.share, self.uses = raiser.share, raiser.uses

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
                # As long as filling has kept up with probing.
                if max(self.share, 0.0) >= allowed:
                    self._fill(share, FIRST_MOVES, deadline)
                allowed = max(share, self.share)
            share = (self.bound + allowed) / 2
            if share < LEAST_SHARE:
                break

    def _probe(self, share: float, deadline: float) -> bool:
        """Return whether it is proved that no plan gives so large a share."""
        scaled, relaxer = self._relaxer(share, deadline)
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

    def _relaxer(
        self, share: float, deadline: float
    ) -> tuple[CapacityProblem, Relaxer]:
        """Return the problem of serving a share, and its relaxation with a start."""
        scaled = scaled_to(self._problem, share)
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
        return scaled, relaxer

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
        return self._keep(found.uses, deadline)

    def _keep(self, uses: Uses, deadline: float) -> bool:
        """Keep a plan that gives a larger share; return whether it does."""
        reached = share_given(self._problem, uses, seed=self._seed, deadline=deadline)
        if reached <= self.share:
            return False
        self.share, self.uses = reached, uses
        return True
