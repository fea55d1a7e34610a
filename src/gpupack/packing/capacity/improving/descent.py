"""Local search for the lowest cost: cheaper numbers of bins, filled by annealing.

For a value between what is proved and the best plan, the numbers of bins with the most
headroom are filled by local search. If that fails they are probed: either the
relaxation for just these bins breaks, which gives one more inequality over such
numbers, or it says at which prices to fill them better. What one annealing leaves unmet
is worth more to the next in the same bins: else each ends by leaving out the same job,
the one that is worth least for the room it needs.

References:
    Voudouris and Tsang, "Guided local search and its application to the traveling
    salesman problem", European Journal of Operational Research 113, 1999.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.improving.refilling import Refiller, emphasized
from gpupack.packing.capacity.relaxing import SAFETY, BinCounts, rounded_up
from gpupack.packing.runtime import call_all_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpupack.packing.capacity.improving.refilling import Refilled
    from gpupack.packing.capacity.model import CapacityProblem, Configuration, Goal
    from gpupack.packing.capacity.relaxing import Guide, Relaxer

    Uses = tuple[tuple[Configuration, int], ...]

FIRST_MARGIN = 0.03
"""Above the bound, relative, at which the first plan is looked for."""
FIRST_MOVES = 15_000
MOVES = 60_000
"""Of annealings at a value before and after probing; more each further time."""
PROBING_SHARE = 0.3
"""Of the time left, for one probe at most."""
SEEDS_APART = 7_919
"""Between annealings side by side."""
NEARLY = 1e-2
"""Share of all needs that annealing may leave unmet: then it is worth looking whether
its bins meet them if all service is shared out anew."""
MAX_PROBES = 20
"""At one value in a row."""
MAX_VAIN = 8
"""Annealings in vain after which the descent ends, where another method comes next."""


@dataclass(frozen=True)
class Descended:
    """What the descent came to.

    Args:
        uses: Plans found, the best first.
        bound: Proven on the value.
    """

    uses: tuple[Uses, ...]
    bound: float


class Descent:
    """The search for the cheapest bins in which everything is served in full.

    Args:
        problem: What is planned.
        goal: Bins or cost.
        relaxer: After its relaxation was solved.
        bound: Proven so far.
        seed: For every random choice.
        deadline: On the clock of ``time.perf_counter``.
        serves_all: Whether bins can, however service is shared out.
        known: A plan to go down from.
        num_workers: Threads, each annealing for itself.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        relaxer: Relaxer,
        *,
        bound: float,
        seed: int,
        deadline: float,
        serves_all: Callable[[Uses], bool],
        known: Uses = (),
        num_workers: int = 1,
    ) -> None:
        self._problem = problem
        self._goal = goal
        self._relaxer = relaxer
        self._prices = problem.prices(goal)
        self._step = math.gcd(*self._prices)
        self._seed = seed
        self._serves_all = serves_all
        self._num_workers = num_workers
        self._deadline = deadline
        self._first_guide = relaxer.guide()
        self._near = [0.0] * len(problem.bin_types)
        for pattern, number in self._first_guide.used.items():
            self._near[pattern.configuration.bin_type] += number
        self._counts = BinCounts(problem, goal, deadline=deadline)
        for cut in relaxer.cuts:
            self._counts.add(cut)
        lowest = max(bound, self._counts.lowest_value())
        self._bound: float = lowest if math.isinf(lowest) else self._rounded_up(lowest)
        self._found: list[tuple[int, Uses]] = []
        if known:
            cost = sum(self._prices[one.bin_type] * number for one, number in known)
            self._found.append((cost, known))
        self._tries: dict[int, int] = {}
        self._guides: dict[tuple[int, ...], Guide] = {}
        self._emphases: dict[tuple[int, ...], list[NDArray[np.float64]]] = {}

    def run(self, *, target_gap: float, is_last: bool) -> Descended:
        """Descend until the gap is closed, or the deadline.

        Args:
            target_gap: Relative, at which to stop.
            is_last: Whether to go on however often it was in vain.
        """
        if math.isinf(self._bound):
            return Descended((), self._bound)
        deadline = self._deadline
        first = self._rounded_up(self._bound * (1 + FIRST_MARGIN))
        value: float = min(first, self._best - self._step)
        vain = 0
        while time.perf_counter() < deadline and math.isfinite(self._bound):
            best = self._best
            if best <= self._bound or best - self._bound <= target_gap * best:
                break
            if self._try(round(value), deadline):
                vain = 0
            else:
                vain += 1
            if vain > MAX_VAIN and not is_last and self._found:
                break
            value = self._next_value(value)
        return Descended(tuple(uses for _, uses in self._found), self._bound)

    @property
    def _best(self) -> float:
        return self._found[0][0] if self._found else math.inf

    def _rounded_up(self, value: float) -> int:
        return rounded_up(value, self._step)

    def _next_value(self, value: float) -> float:
        """Return where to look next: halfway, then where least was tried."""
        if not self._found:
            return self._rounded_up(value * (1 + FIRST_MARGIN / 2) + self._step)
        low = round(self._bound)
        for tried in self._tries:
            if tried < self._best:
                low = max(low, tried + self._step)
        high = round(self._best) - self._step
        if low <= high:
            return self._rounded_up((low + high) / 2)
        # Again where least was tried; the higher, the likelier.
        values = [one for one in self._tries if self._bound <= one <= high]
        values.append(high)
        return min(values, key=lambda one: (self._tries.get(one, 0), -one))

    def _try(self, value: int, deadline: float) -> bool:
        """Look for a plan of at most this value; return whether one was found."""
        tries = self._tries.get(value, 0)
        self._tries[value] = tries + 1
        if not tries:
            # By the prices of the relaxation as it is: probing takes longer.
            counts, _ = self._counts.roomiest(value, self._near)
            if counts is not None and self._fill(
                counts, self._first_guide, FIRST_MOVES, self._seed, deadline
            ):
                return True
        counts = self._probed(value, deadline)
        return counts is not None and self._fill(
            counts,
            self._guides[counts],
            MOVES + MOVES * tries // 2,
            self._seed + 1000 * tries + value % 1000,
            deadline,
        )

    def _fill(
        self,
        counts: tuple[int, ...],
        guide: Guide,
        num_moves: int,
        seed: int,
        deadline: float,
    ) -> bool:
        """Fill these bins by local search; keep the plan if everything is served.

        Else what went unmet is worth more the next time, to each thread what itself did
        not meet: so they do not search the same.
        """
        emphases = self._emphases.get(
            counts, [np.ones(len(self._problem.jobs))] * self._num_workers
        )

        def refill(number: int, stop: NDArray[np.int8]) -> Refilled:
            refiller = Refiller(
                self._problem, self._goal, guide, counts, emphasis=emphases[number]
            )
            refilled = refiller.anneal(
                num_moves=num_moves,
                deadline=deadline,
                seed=seed + number * SEEDS_APART,
                stop=stop,
            )
            if not refilled.loss:
                stop[0] = 1  # one plan is enough
            return refilled

        found = call_all_until(
            deadline,
            [partial(refill, number) for number in range(self._num_workers)],
            num_workers=self._num_workers,
        )
        refilled = min(found, key=lambda one: one.loss / (one.needed or 1.0))
        if refilled.loss > 0 and not (
            refilled.loss <= NEARLY * refilled.needed
            and self._serves_all(refilled.uses)
        ):
            self._emphases[counts] = [
                emphasized(emphasis, one.unmet)
                for emphasis, one in zip(emphases, found, strict=True)
            ]
            return False
        cost = sum(self._prices[one.bin_type] * n for one, n in refilled.uses)
        self._found.append((cost, refilled.uses))
        self._found.sort(key=lambda pair: pair[0])
        return True

    def _probed(self, value: int, deadline: float) -> tuple[int, ...] | None:
        """Return numbers of bins that the relaxation allows, None if there are none."""
        for _ in range(MAX_PROBES):
            counts, headroom = self._counts.roomiest(value, self._near)
            if headroom < -SAFETY:
                if not self._counts.is_impossible(value):
                    return None
                # Nothing at this value or below.
                self._bound = max(self._bound, self._rounded_up(value + self._step))
                return None
            if counts is None or counts in self._guides:
                return counts
            now = time.perf_counter()
            cut = self._relaxer.probe(
                counts, deadline=now + (deadline - now) * PROBING_SHARE
            )
            for one in self._relaxer.cuts:
                self._counts.add(one)
            if cut is None:
                self._guides[counts] = self._relaxer.guide()
                return counts
        return None
