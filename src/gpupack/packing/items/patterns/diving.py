"""Diving: fix patterns of the linear program one after the other.

Whole parts of the solution are fixed, then the fraction nearest to one (with a
random choice among the nearest after the first dive); the rest of the demand is
solved again with new patterns priced for it.

References:
    Sadykov, Vanderbeck, Pessoa, Tahiri and Uchoa, "Primal heuristics for
    branch and price", INFORMS Journal on Computing 31, 2019.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import Correspondence, Ladder, Letterbox
from gpupack.packing.items.patterns.bin_completion import CompletionSearch
from gpupack.packing.items.patterns.column_generation import (
    INTEGRAL,
    QUICK_NODES,
    THOROUGH_NODES,
    ColumnGeneration,
)
from gpupack.packing.runtime import ended_by, start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.patterns.simplex import Pattern

MAX_CANDIDATES = 8
MAX_ROUNDS = 60
ROUNDS_WITHIN = 8
"""Rounds of pricing after a pattern was fixed: while the rest needs too many bins, and
where it does not but less than a bin is to spare."""
MAX_SEARCHED_TYPES = 250
"""Of few copies each, up to which dives price without exchanges: a search finds the
columns that a dive needs in a third of the time."""
PATIENCE_S = 0.2
"""Before dives begin in a thread of their own: most problems are closed by then."""


def dive(
    generation: ColumnGeneration,
    completing: CompletionSearch | None = None,
    *,
    randomize: bool,
    aims_low: bool = False,
) -> bool:
    """Look for a packing better than the ladder's; True if one was found.

    Args:
        generation: The patterns and duals so far.
        completing: Tried on the rest each time it has halved, if given.
        randomize: Whether to choose among the largest fractions at random.
        aims_low: Whether to price until as few bins are needed as the linear program
            has, not one fewer than the best packing.
    """
    ladder, master = generation.ladder, generation.master
    aim = ladder.num_bins - 1
    if aims_low:
        aim = min(aim, math.ceil(master.value - INTEGRAL))
    left = generation.demand.copy()
    fixed: dict[Pattern, int] = {}
    num_fixed = 0
    found = False
    next_attempt = ladder.num_bins // 2
    while ladder.remaining_s > 0:
        ladder.collect()
        if ladder.is_closed:
            break
        allowed = ladder.num_bins - 1 - num_fixed
        _solve_rest(generation, left, allowed, aim=min(allowed, aim - num_fixed))
        if num_fixed + math.ceil(master.value - INTEGRAL) >= ladder.num_bins:
            break
        aim = max(aim, num_fixed + math.ceil(master.value - INTEGRAL))
        for pattern, copies in _choose(generation, left, randomize=randomize):
            useful = _repeats(pattern, copies, left)
            if useful:
                fixed[pattern] = fixed.get(pattern, 0) + useful
                num_fixed += useful
                for item, count in pattern:
                    left[item] = max(0, left[item] - count * useful)
        rest = aim - num_fixed
        if completing is not None and left.any() and 1 < rest <= next_attempt:
            next_attempt = rest // 2
            completed = completing.attempt(left, rest, master.duals)
            if completed is not None:
                for pattern, copies in completed.items():
                    fixed[pattern] = fixed.get(pattern, 0) + copies
                left[:] = 0
        if not left.any():
            found = ladder.offer(generation.to_packing(fixed))
            break
    master.set_demand(generation.demand, deadline=ladder.deadline)
    return found


class BackgroundDives:
    """Dives in a thread, on a linear program of its own with another's patterns.

    Args:
        generation: Whose problem to pack, and whose patterns to take over as they
            come. What both threads read is only ever appended to.
        number: Of this thread, from 1: each has a seed of its own.
    """

    def __init__(self, generation: ColumnGeneration, *, number: int) -> None:
        found, better = Letterbox(), Letterbox()
        self._generation = generation
        self.source = Correspondence("diving", inbox=found, outbox=better)
        self._stop = threading.Event()
        ladder = generation.ladder
        self._ladder = Ladder(
            ladder.problem,
            deadline=ladder.deadline,
            time_limit_s=ladder.time_limit_s,
            max_bins=None,
            seed=ladder.seed + number,
            num_workers=1,
        )
        self._ladder.raise_bound(ladder.bound)
        self._ladder.offer(ladder.bins)
        self._ladder.backgrounds = (Correspondence("", inbox=better, outbox=found),)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> BackgroundDives:
        start(self._thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._ladder.deadline = -math.inf
        self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(PATIENCE_S):
            return
        ladder, patterns = self._ladder, self._generation.master.patterns
        completing = CompletionSearch(
            ladder.problem, seed=ladder.seed, deadline=ladder.deadline
        )
        with (
            ended_by(self._stop),
            suppress(MemoryError),  # the search that this is beside goes on
            ladder.rung(self.source.name),
        ):
            generation = ColumnGeneration(ladder)
            num_known = 0
            while not ladder.is_closed and ladder.remaining_s > 0:
                ladder.raise_bound(self._generation.ladder.bound)
                ladder.collect()
                generation.learn(ladder.bins)
                new, num_known = patterns[num_known:], len(patterns)
                generation.master.add(new)
                dive(generation, completing, randomize=True)


def _solve_rest(
    generation: ColumnGeneration, left: NDArray[np.int64], allowed: int, *, aim: int
) -> None:
    """Optimize over the rest of the demand, pricing while it needs too many bins.

    Args:
        generation: Its patterns and duals.
        left: The rest.
        allowed: Bins there are for it.
        aim: Bins below which nothing more is priced, at most as many.
    """
    master, ladder = generation.master, generation.ladder
    master.set_demand(left, deadline=ladder.deadline)
    master.optimize(deadline=ladder.deadline)
    node_limit = QUICK_NODES
    by_exchanges = ladder.has_many_copies or len(left) > MAX_SEARCHED_TYPES
    for number in range(MAX_ROUNDS):
        if master.value <= aim - 1 + INTEGRAL or ladder.remaining_s == 0:
            return
        if number >= ROUNDS_WITHIN and master.value <= allowed + INTEGRAL:
            return
        if generation.add_columns(
            left, node_limit=node_limit, by_exchanges=by_exchanges
        ):
            master.optimize(deadline=ladder.deadline)
        elif node_limit < THOROUGH_NODES and master.value > allowed + INTEGRAL:
            node_limit = THOROUGH_NODES
        else:
            return


def _choose(
    generation: ColumnGeneration, left: NDArray[np.int64], *, randomize: bool
) -> list[tuple[Pattern, int]]:
    """Return patterns to fix with how often: whole parts, else one fraction."""
    master = generation.master
    solution = master.solution()
    whole = [
        (master.patterns[column], math.floor(value + 1e-4))
        for column, value in solution
        if value >= 1 - 1e-4
    ]
    if whole:
        return whole
    ranked = sorted(solution, key=lambda pair: (-pair[1], master.patterns[pair[0]]))[
        :MAX_CANDIDATES
    ]
    chosen = 0
    if randomize:
        weights = np.array([value for _, value in ranked]) ** 3
        chosen = int(generation.rng.choice(len(ranked), p=weights / weights.sum()))
    return [(master.patterns[ranked[chosen][0]], 1)]


def _repeats(pattern: Pattern, copies: int, left: NDArray[np.int64]) -> int:
    """Return how many of the copies still pack something."""
    return min(copies, max((-(-int(left[item]) // count) for item, count in pattern)))
