"""Local search over given bins: empty a few, fill them again, keep what serves more.

How many bins of each type there are is fixed. Lost is what jobs need and do not get,
at the prices of the relaxation; a move that loses no more is kept, one that loses
more with a probability that falls (simulated annealing). A bin is filled by value
per weighted room, with noise; as only what the other bins leave open can be filled
in, a move takes microseconds, and a second tries tens of thousands.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model import Configuration, Goal, useful_options
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
"""First and last temperature, as shares of what a bin is worth on average."""
MOVES_TO_TIME = 20
MOVES_FIRST = 2_000
"""Moves after which the clock is looked at, once and again."""
MISSING_COPY = 3.0
"""Loss per copy that must be there, in bins' worths, where service is the goal."""
SMALLEST_WORTH = 1e-3
"""Worth of a need that costs nothing, as a share of the largest."""
WORTH_ROUNDING = 0.4
"""Parts of bins in the relaxation that become a bin to start from."""
EMPHASIS = 0.15
"""Of what a need is worth, by which it is worth more once all of it went unmet."""
EMPHASIS_SHARE = 1 / 3
"""Of a need: that much unmet counts as all of it."""
EMPHASIS_KEPT = 0.9
"""Of what needs were worth more than by the relaxation, in the next annealing."""
MANY = 1 << 40
ROUNDING = 1e-13
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
        self._factor = demand_factor
        self._emphasis = np.ones(len(problem.jobs)) if emphasis is None else emphasis
        self._fixed: dict[Configuration, int] = {}
        self._left = np.ones(len(problem.jobs))
        self._copies = np.zeros(len(problem.jobs), dtype=np.int64)
        starting = self._rounded(guide, counts)
        free = [
            count - sum(n for one, n in self._fixed.items() if one.bin_type == bin_type)
            for bin_type, count in enumerate(counts)
        ]
        self._choices = self._make_choices(guide, free)
        self._filling = self._empty_filling(len(self._choices.bin_type))
        self._filling.left[:] = self._left
        self._filling.copies[:] = self._copies
        self._start_from(starting)

    def _make_choices(self, guide: Guide, counts: Sequence[int]) -> kernels.Choices:
        problem = self._problem
        scale = np.array([one.capacity for one in problem.bin_types], dtype=float)
        scale[scale == 0] = 1.0
        types = np.array([one.bin_type for one in problem.options])
        options: list[int] = []
        starts = [0]
        for bin_type in range(len(problem.bin_types)):
            options.extend(useful_options(problem, bin_type))
            starts.append(len(options))
        jobs = problem.jobs
        worth, must, bonus = self._worths(guide)
        worth *= self._emphasis
        average = max(worth.sum(), bonus.max(initial=0.0)) / max(1, sum(counts))
        must[~np.isfinite(must)] = MISSING_COPY * average
        capacity = np.array([one.capacity for one in problem.bin_types], dtype=float)
        weights = np.array(guide.weights, dtype=float)
        weights += 1e-3 * max(weights.max(), 1e-9)
        return kernels.Choices(
            bin_type=np.repeat(np.arange(len(counts)), counts),
            capacity=capacity / scale,
            weights=weights,
            options=np.array(options, dtype=np.int64),
            starts=np.array(starts, dtype=np.int64),
            job=np.array([one.job for one in problem.options], dtype=np.int64),
            # Sizes that are whole fit exactly: rounding may not keep them out.
            fixed=np.array([one.fixed for one in problem.options], dtype=float)
            / scale[types]
            * (1 - ROUNDING),
            loaded=np.array([one.proportional for one in problem.options], dtype=float)
            / scale[types],
            gain=np.array([self._gain(index) for index in range(len(problem.options))]),
            bonus=bonus,
            worth=worth,
            must=must,
            least=np.array(
                [0 if job.is_optional else job.copies for job in jobs], dtype=np.int64
            ),
            most=np.array(
                [
                    job.copies
                    if job.is_whole
                    else MANY
                    if job.max_copies is None
                    else job.max_copies
                    for job in jobs
                ],
                dtype=np.int64,
            ),
            whole=np.array([job.is_whole for job in jobs]),
        )

    def _gain(self, index: int) -> float:
        option = self._problem.options[index]
        job = self._problem.jobs[option.job]
        if job.demand is None:
            return 1.0 / job.copies
        return option.rate / (job.demand * self._factor) if job.demand else 0.0

    def _worths(self, guide: Guide) -> tuple[Array, Array, Array]:
        """Return the worths of needs, of copies that must be there, of options."""
        problem, duals = self._problem, guide.duals
        bonus = np.zeros(len(problem.options))
        if self._goal is Goal.MAX_SERVICE:
            worth = np.array([job.weight * (job.demand or 0) for job in problem.jobs])
            for index, option in enumerate(problem.options):
                if problem.jobs[option.job].is_whole:
                    bonus[index] = problem.jobs[option.job].weight * option.rate
            return worth, np.full(len(problem.jobs), math.inf), bonus
        worth = np.array(duals.service)
        must = np.array(duals.copies)
        for index, job in enumerate(problem.jobs):
            if job.is_whole:
                options = problem.options_by_job[index]
                worth[index] = job.copies * max(
                    (duals.option[one] for one in options), default=0.0
                )
            elif job.demand and job.copies == 1:
                must[index] = 0.0  # its service implies it
        floor = SMALLEST_WORTH * max(worth.max(), must.max(), 1e-9)
        for index, job in enumerate(problem.jobs):
            worth[index] = max(worth[index], floor) if job.demand != 0 else 0.0
            if not job.is_whole and (job.copies > 1 or not job.demand):
                must[index] = max(must[index], floor)
            if job.is_optional:
                worth[index] = 0.0
        return worth, must, bonus

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
            self._left[job] -= number * load * self._gain(option)
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
        self, *, num_moves: int, deadline: float, seed: int, hot: float = HOT
    ) -> Refilled:
        """Anneal once, from the best so far; return it.

        Args:
            num_moves: Fewer if the deadline is near.
            deadline: On the clock of ``time.perf_counter``; the search stops there.
            seed: For every random choice.
            hot: First temperature, as a share of what a bin is worth on average.
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
        hot: float = HOT,
    ) -> Refilled:
        """Do what ``run`` does, in this thread; ``stop`` ends it once it is not 0."""
        total = float(self._choices.worth.sum())
        num_bins = max(1, len(self._choices.bin_type))
        heat = max(total, float(self._choices.bonus.max(initial=0.0))) / num_bins
        best = self._empty_filling(len(self._choices.bin_type))
        kept = self._empty_filling(MOST_EMPTIED)
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
                COLD * heat,
                target,
                seed,
                stop,
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
