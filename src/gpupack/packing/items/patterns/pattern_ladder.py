"""The rungs that take the time: local search, patterns, in growing portions."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpupack.packing.items.moves import BackgroundSearch, BinSaving
from gpupack.packing.items.patterns import (
    bin_completion,
    branching,
    diving,
    pattern_program,
)
from gpupack.packing.items.patterns.bin_completion import CompletionSearch
from gpupack.packing.items.patterns.column_generation import ColumnGeneration
from gpupack.packing.items.patterns.decimation import Decimation
from gpupack.packing.items.patterns.pattern_pool import drop_surplus
from gpupack.packing.items.quick import lifted_bounds
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Ladder
    from gpupack.packing.items.patterns.simplex import Pattern

OPENING_SLICES = 2
SLICES_PER_DIVE = 1
SLICES_PER_ATTEMPT = 8
OPENING_ATTEMPTS = 2
OPENING_EFFORT = 0.1
TYPES_PER_ATTEMPT = 100
"""A dive takes longer the more types there are: as many more attempts after it."""
FIRST_EFFORT = 0.1
BRANCHING_WORK = 1_000_000
"""Nodes of branch and bound times patterns, in the first portion."""
MIN_BRANCHING_S = 0.1
FIRST_DIVES = 8
FIRST_PATTERNS = 2_000
DIVES_PER_DECIMATION = 2
DECIMATIONS = 4
"""Attempts before the first of so many dives."""
MAX_MOVED_ITEMS = 300_000
"""Beyond it local search, which keeps every copy by itself, would take more memory than
it is worth."""
MIN_LIFTED_TYPES = 250
"""Up to so many the linear program's bound, which is no lower, takes no longer."""
MAX_ROWS = 700
"""Item types up to which column generation converges in seconds."""


def climb_patterns(ladder: Ladder) -> None:
    """Run local search, column generation, diving and the integer program.

    After column generation has had its say on the bound, the others take
    turns, with portions that double until the gap closes or time is up. Each worker
    beyond the first is a thread meanwhile: one of local search, the others of dives.
    """
    problem = ladder.problem
    completing = CompletionSearch(problem, seed=ladder.seed, deadline=ladder.deadline)
    search = None
    if BinSaving.suits(problem):
        search = BinSaving(problem, ladder.bins, seed=ladder.seed)
        if not ladder.has_many_copies:
            with ladder.rung("local search"):
                eject(ladder, search, OPENING_SLICES)
            if ladder.is_closed:
                return
    if not ladder.has_many_copies:
        with ladder.rung("bin completion"):
            complete(ladder, completing, OPENING_ATTEMPTS, effort=OPENING_EFFORT)
        if ladder.is_closed:
            return
        if problem.num_types > MIN_LIFTED_TYPES:
            with ladder.rung("lifting"):
                for bound in lifted_bounds(
                    problem, ladder.bound, deadline=ladder.deadline
                ):
                    ladder.raise_bound(bound, by="lifted dual values")
            if ladder.is_closed:
                return
    if search is None or ladder.num_workers == 1:
        _climb(ladder, completing, search)
        return
    searches = [search] + [
        BinSaving(problem, ladder.bins, seed=ladder.seed + number)
        for number in range(1, _count_local_searches(ladder))
    ]
    with ExitStack() as others:
        ladder.backgrounds = tuple(
            others.enter_context(BackgroundSearch(one)).source for one in searches
        )
        try:
            _climb(ladder, completing, None)
        finally:
            ladder.collect()
            ladder.backgrounds = ()


def _count_local_searches(ladder: Ladder) -> int:
    """Return how many local searches are to go on in threads of their own."""
    others = ladder.num_workers - 1
    if ladder.problem.num_types > MAX_ROWS:
        return others
    return min(1, others)


def _climb(
    ladder: Ladder, completing: CompletionSearch, search: BinSaving | None
) -> None:
    if ladder.problem.num_types > MAX_ROWS:
        # The linear program would not converge: search from here as well.
        if ladder.problem.num_items > MAX_MOVED_ITEMS:
            return
        seed = ladder.seed + ladder.num_workers - 1
        search = BinSaving(ladder.problem, ladder.bins, seed=seed)
        while not ladder.is_closed and ladder.remaining_s > 0:
            ladder.collect()
            with ladder.rung("bin completion"):
                complete(ladder, completing, 1)
            with ladder.rung("local search"):
                eject(ladder, search, SLICES_PER_ATTEMPT)
        return
    generation = ColumnGeneration(ladder)
    with ladder.rung("integer program"):
        pattern_program.close_frugally(generation)
    if ladder.is_closed:
        return
    with ExitStack() as others:
        for number in range(1, ladder.num_workers - len(ladder.backgrounds)):
            dives = others.enter_context(
                diving.BackgroundDives(generation, number=number)
            )
            ladder.backgrounds += (dives.source,)
        _alternate(generation, completing, search)
        ladder.collect()


def _alternate(
    generation: ColumnGeneration,
    completing: CompletionSearch,
    search: BinSaving | None,
) -> None:
    """Let column generation, dives and the rest take turns."""
    ladder = generation.ladder

    def interlude() -> None:
        if search is not None:
            eject(ladder, search, SLICES_PER_DIVE)

    # It keeps every copy by itself.
    decimation = None if ladder.has_many_copies else Decimation(ladder)
    portion = 1
    while not ladder.is_closed and ladder.remaining_s > 0:
        with ladder.rung("column generation"):
            generation.learn(ladder.bins)
            generation.raise_bound(portion=portion, interlude=interlude)
        for number in range(FIRST_DIVES * portion):
            if decimation is not None and number % DIVES_PER_DECIMATION == 0:
                decimate(ladder, decimation)
            if ladder.is_closed:
                return
            with ladder.rung("diving"):
                # What is quick to find first, then as little as there may be.
                diving.dive(
                    generation,
                    completing,
                    randomize=portion > 1 or number > 0,
                    aims_low=number % 2 == 1,
                )
            with ladder.rung("bin completion"):
                # By the dimensions alone one time, by the duals as well the next.
                complete(
                    ladder,
                    completing,
                    1 + ladder.problem.num_types // TYPES_PER_ATTEMPT,
                    duals=generation.master.duals if number % 2 else None,
                    effort=min(1.0, FIRST_EFFORT * portion * (1 + number / 4)),
                )
            if search is not None and not ladder.is_closed:
                with ladder.rung("local search"):
                    eject(ladder, search, SLICES_PER_DIVE)
            if ladder.is_closed or ladder.remaining_s == 0:
                return
        with ladder.rung("integer program"):
            undecided = pattern_program.close_gap(
                generation, max_patterns=FIRST_PATTERNS * portion, effort=0.1 * portion
            )
        _branch(generation, undecided, portion)
        ladder.collect()
        portion *= 2


def _branch(
    generation: ColumnGeneration, patterns: list[Pattern] | None, portion: int
) -> None:
    """Branch over patterns that left it undecided whether the bound can be met."""
    ladder = generation.ladder
    if patterns is None or ladder.is_closed or ladder.remaining_s < MIN_BRANCHING_S:
        return
    with ladder.rung("branching"):
        branching.branch(
            generation,
            patterns,
            ladder.bound,
            node_limit=BRANCHING_WORK * portion // len(patterns),
        )


def decimate(ladder: Ladder, search: Decimation) -> None:
    """Offer the ladder what decimation finds, for items of few copies each."""
    for _ in range(DECIMATIONS):
        if ladder.is_closed or ladder.remaining_s == 0 or not search.is_promising:
            return
        with ladder.rung("decimation"):
            search.attempt()


def eject(ladder: Ladder, search: BinSaving, slices: int) -> None:
    """Let the local search run for so many slices of work."""
    for _ in range(slices):
        if ladder.is_closed or ladder.remaining_s == 0:
            return
        if search.num_bins >= ladder.num_bins:
            search.restart(ladder.bins)
        if call_until(ladder.deadline, search.run):
            ladder.offer(search.packing())
            if ladder.num_bins > 1:
                search.restart(ladder.bins)


def complete(
    ladder: Ladder,
    completing: CompletionSearch,
    attempts: int,
    *,
    duals: NDArray[np.float64] | None = None,
    effort: float = 1.0,
) -> None:
    """Try so many times to save a bin by completion, again after each success."""
    problem = ladder.problem
    if problem.num_items > bin_completion.MAX_ITEMS:
        return
    if ladder.has_many_copies and ladder.num_bins > ladder.bound + 1:
        # One bin at a time would take long where dives save many.
        return
    tried = 0
    while tried < attempts and not ladder.is_closed and ladder.remaining_s > 0:
        tried += 1
        patterns = completing.attempt(
            problem.counts, ladder.num_bins - 1, duals, effort=effort
        )
        if patterns is not None:
            ladder.offer(drop_surplus(patterns, problem.counts))
            tried = 0
