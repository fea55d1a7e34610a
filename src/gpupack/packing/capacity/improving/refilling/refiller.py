"""Local search over given bins: empty a few, fill them again, keep what serves more.

How many bins of each type there are is fixed. Lost is what jobs need and do not get,
at the prices of the relaxation; a move that loses no more is kept, one that loses
more with a probability that falls (simulated annealing). A bin is filled by value
per weighted room, with noise; as only what the other bins leave open can be filled
in, a move takes microseconds, and a second tries tens of thousands. Where all needs
must be met, load is shifted between copies after every move, also in other bins: what
is spare in one bin serves what another has no room for.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.improving.refilling.needs import Needs
from gpupack.packing.capacity.model import Configuration, Goal
from gpupack.packing.kernels.capacity import refilling as kernels
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing import Guide, Pattern

    Array = NDArray[np.float64]

MAX_BINS = 400
"""Beyond it, whole parts of the relaxation stay as they are."""
MAX_SLOTS = 64
"""Options in one bin."""
MOST_EMPTIED = 3
HOT, COLD = 0.04, 0.0007
HOT_IN_FULL, COLD_IN_FULL = 0.02, 0.0003
"""First and last temperature, as shares of what a bin is worth on average; the last two
where every need must be met, and load is shifted for it."""
MOVES_TO_TIME = 20
MOVES_FIRST = 2_000
"""Moves after which the clock is looked at, once and again."""
WORTH_ROUNDING = 0.4
"""Parts of bins in the relaxation that become a bin to start from."""
EMPHASIS = 0.15
"""Of what a need is worth, by which it is worth more once all of it went unmet."""
EMPHASIS_SHARE = 1 / 3
"""Of a need: that much unmet counts as all of it."""
EMPHASIS_KEPT = 0.9
"""Of what needs were worth more than by the relaxation, in the next annealing."""
SERVED = 2e-9
"""Share of needs and rates that rounding may lose."""


@dataclass(frozen=True)
class Refilled:
    """What a search found.

    Args:
        uses: Configurations and how many bins have each.
        loss: What jobs lack, in worths; 0 if they have all they need.
        needed: What all they need is worth.
        unmet: Share of each job's need that it lacks.
    """

    uses: tuple[tuple[Configuration, int], ...]
    loss: float
    needed: float
    unmet: tuple[float, ...]


class Refiller:
    """Searches fillings of given numbers of bins.

    Args:
        problem: What is planned.
        goal: What is lost: needs of jobs that must be served, or weighted service.
        guide: Prices, and where to start.
        counts: Bins of each type.
        demand_factor: Share of every demand to be met.
        emphasis: Per job, what its need is worth, in worths; all of them if left out.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        guide: Guide,
        counts: Sequence[int],
        *,
        demand_factor: float = 1.0,
        emphasis: Array | None = None,
    ) -> None:
        self._problem = problem
        self._goal = goal
        self._needs = Needs(problem, goal, demand_factor)
        self._emphasis = np.ones(len(problem.jobs)) if emphasis is None else emphasis
        self._fixed: dict[Configuration, int] = {}
        self._left = np.ones(len(problem.jobs))
        self._copies = np.zeros(len(problem.jobs), dtype=np.int64)
        starting = self._rounded(guide, counts)
        free = [
            count - sum(n for one, n in self._fixed.items() if one.bin_type == bin_type)
            for bin_type, count in enumerate(counts)
        ]
        self._choices = self._needs.choices(guide, free, self._emphasis)
        self._filling = self._empty_filling(len(self._choices.bin_type))
        self._filling.left[:] = self._left
        self._filling.copies[:] = self._copies
        self._start_from(starting)

    def _rounded(
        self, guide: Guide, counts: Sequence[int]
    ) -> list[tuple[Pattern, int]]:
        """Fix whole parts if there are many bins; return patterns to start from."""
        free = list(counts)
        starting: list[tuple[Pattern, int]] = []
        parts: list[tuple[float, Pattern]] = []
        is_large = sum(counts) > MAX_BINS
        for pattern, number in sorted(
            guide.used.items(), key=lambda pair: (-pair[1], pair[0].configuration)
        ):
            bin_type = pattern.configuration.bin_type
            whole = min(free[bin_type], math.floor(number + 1e-6))
            free[bin_type] -= whole
            parts.append((number - whole, pattern))
            if whole and is_large:
                self._fix(pattern, whole)
            elif whole:
                starting.append((pattern, whole))
        for part, pattern in sorted(
            parts, key=lambda pair: (-pair[0], pair[1].configuration)
        ):
            bin_type = pattern.configuration.bin_type
            if part >= WORTH_ROUNDING and free[bin_type]:
                free[bin_type] -= 1
                starting.append((pattern, 1))
        return starting

    def _fix(self, pattern: Pattern, number: int) -> None:
        problem = self._problem
        one = pattern.configuration
        self._fixed[one] = self._fixed.get(one, 0) + number
        for (option, copies), load in zip(one.counts, pattern.loads, strict=True):
            job = problem.options[option].job
            self._left[job] -= number * load * self._needs.gain(option)
            self._copies[job] += number * copies

    def _empty_filling(self, num_bins: int) -> kernels.Filling:
        shape = (num_bins, MAX_SLOTS)
        num_jobs = len(self._problem.jobs)
        return kernels.Filling(
            option=np.zeros(shape, dtype=np.int64),
            number=np.zeros(shape, dtype=np.int64),
            load=np.zeros(shape),
            num_slots=np.zeros(num_bins, dtype=np.int64),
            left=np.ones(num_jobs),
            copies=np.zeros(num_jobs, dtype=np.int64),
        )

    def _start_from(self, patterns: Sequence[tuple[Pattern, int]]) -> None:
        """Put patterns into bins, without copies or service that is not needed."""
        filling, choices = self._filling, self._choices
        empty = [
            list(np.flatnonzero(choices.bin_type == bin_type))
            for bin_type in range(len(self._problem.bin_types))
        ]
        for pattern, number in patterns:
            for _ in range(number):
                here = empty[pattern.configuration.bin_type].pop(0)
                slot = 0
                for (option, copies), load in zip(
                    pattern.configuration.counts, pattern.loads, strict=True
                ):
                    job = choices.job[option]
                    copies = min(copies, choices.most[job] - filling.copies[job])
                    gain = choices.gain[option]
                    if gain:
                        load = min(load, max(0.0, filling.left[job]) / gain)
                    load = min(load, copies)
                    is_needed = filling.copies[job] < choices.least[job]
                    if copies <= 0 or (load < SERVED and not is_needed):
                        continue
                    filling.option[here, slot] = option
                    filling.number[here, slot] = copies
                    filling.load[here, slot] = load
                    filling.left[job] -= load * gain
                    filling.copies[job] += copies
                    slot += 1
                filling.num_slots[here] = slot

    def run(
        self, *, num_moves: int, deadline: float, seed: int, hot: float | None = None
    ) -> Refilled:
        """Anneal once, from the best so far; return it.

        Args:
            num_moves: Fewer if the deadline is near.
            deadline: On the clock of ``time.perf_counter``; the search stops there.
            seed: For every random choice.
            hot: First temperature, as a share of what a bin is worth on average; the
                goal's own if left out.
        """
        return call_until(
            deadline,
            lambda stop: self.anneal(
                num_moves=num_moves, deadline=deadline, seed=seed, hot=hot, stop=stop
            ),
        )

    def anneal(
        self,
        *,
        num_moves: int,
        deadline: float,
        seed: int,
        stop: NDArray[np.int8],
        hot: float | None = None,
    ) -> Refilled:
        """Do what ``run`` does, in this thread; ``stop`` ends it once it is not 0."""
        total = float(self._choices.worth.sum())
        num_bins = max(1, len(self._choices.bin_type))
        heat = max(total, float(self._choices.bonus.max(initial=0.0))) / num_bins
        best = self._empty_filling(len(self._choices.bin_type))
        kept = self._empty_filling(MOST_EMPTIED)
        cold = COLD_IN_FULL if self._goal.is_in_full else COLD
        if hot is None:
            hot = HOT_IN_FULL if self._goal.is_in_full else HOT
        target = SERVED * total if self._goal is not Goal.MAX_SERVICE else -math.inf
        started = time.perf_counter()
        loss = math.inf
        done = 0
        for batch in (MOVES_TO_TIME, MOVES_FIRST, num_moves):
            moves = min(batch, num_moves - done)
            if moves <= 0 or loss <= target or (done and stop[0]):
                break
            now = time.perf_counter()
            left_s, spent_s = max(0.0, deadline - now), now - started
            if done and spent_s > 0 and math.isfinite(left_s):
                # So that it has cooled down by then; later moves may take longer.
                moves = min(moves, int(done / spent_s * left_s))
                if not moves:
                    break
            done += moves
            loss = kernels.refill(
                self._choices,
                self._filling,
                best,
                kept,
                moves,
                MOST_EMPTIED,
                hot * heat,
                cold * heat,
                target,
                seed,
                stop,
                shifts_loads=self._goal.is_in_full,
            )
        return Refilled(
            self._uses(),
            0.0 if loss <= target else float(loss),
            total,
            tuple(np.maximum(0.0, self._filling.left).tolist()),
        )

    def _uses(self) -> tuple[tuple[Configuration, int], ...]:
        uses = dict(self._fixed)
        filling = self._filling
        for number, bin_type in enumerate(self._choices.bin_type):
            counts: dict[int, int] = {}
            for slot in range(filling.num_slots[number]):
                option = int(filling.option[number, slot])
                counts[option] = int(filling.number[number, slot])
            if counts:
                one = Configuration(int(bin_type), tuple(sorted(counts.items())))
                uses[one] = uses.get(one, 0) + 1
        return tuple(sorted(uses.items()))


def emphasized(emphasis: Array, unmet: Sequence[float]) -> Array:
    """Return what needs are worth next, in worths, after some of them went unmet.

    Args:
        emphasis: Per job, what its need was worth.
        unmet: Share of each job's need that went unmet.
    """
    missed = np.minimum(1.0, np.asarray(unmet) / EMPHASIS_SHARE)
    return 1.0 + EMPHASIS_KEPT * (emphasis - 1.0) + EMPHASIS * missed
