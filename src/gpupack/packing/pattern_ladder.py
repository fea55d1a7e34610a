"""The rungs that take the time: local search, patterns, in growing portions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing import diving, pattern_program
from gpupack.packing.column_generation import ColumnGeneration
from gpupack.packing.ejection import MAX_ITEMS, BackgroundSearch, EjectionSearch

if TYPE_CHECKING:
    from gpupack.packing.ladder import Ladder

OPENING_SLICES = 2
SLICES_PER_DIVE = 1
FIRST_DIVES = 16
FIRST_PATTERNS = 2_000
MAX_ROWS = 700
"""Item types up to which column generation converges in seconds."""
MANY_COPIES = 3
"""Items per type from which local search over single items comes late."""


def climb_patterns(ladder: Ladder) -> None:
    """Run local search, column generation, diving and the integer program.

    After column generation has had its say on the bound, the others take
    turns, with portions that double until the gap closes or time is up. With
    more than one worker, local search goes on in a thread of its own meanwhile.
    """
    problem = ladder.problem
    search = None
    if problem.num_items <= MAX_ITEMS:
        search = EjectionSearch(problem, ladder.bins, seed=ladder.seed)
        if problem.num_items < MANY_COPIES * problem.num_types:
            with ladder.rung("local search"):
                eject(ladder, search, OPENING_SLICES)
            if ladder.is_closed:
                return
    if search is None or ladder.num_workers == 1:
        _climb(ladder, search)
        return
    background = BackgroundSearch(search)
    with background:
        ladder.background = background
        try:
            _climb(ladder, None)
        finally:
            ladder.collect()
            ladder.background = None


def _climb(ladder: Ladder, search: EjectionSearch | None) -> None:
    if ladder.problem.num_types > MAX_ROWS:
        # The linear program would not converge: search from here as well.
        seed = ladder.seed + ladder.num_workers - 1
        search = EjectionSearch(ladder.problem, ladder.bins, seed=seed)
        with ladder.rung("local search"):
            while not ladder.is_closed and ladder.remaining_s > 0:
                ladder.collect()
                eject(ladder, search, 1)
        return
    generation = ColumnGeneration(ladder)

    def interlude() -> None:
        if search is not None:
            eject(ladder, search, SLICES_PER_DIVE)

    portion = 1
    while not ladder.is_closed and ladder.remaining_s > 0:
        with ladder.rung("column generation"):
            generation.learn(ladder.bins)
            generation.raise_bound(portion=portion, interlude=interlude)
        for number in range(FIRST_DIVES * portion):
            with ladder.rung("diving"):
                diving.dive(generation, randomize=portion > 1 or number > 0)
            if search is not None and not ladder.is_closed:
                with ladder.rung("local search"):
                    eject(ladder, search, SLICES_PER_DIVE)
            if ladder.is_closed or ladder.remaining_s == 0:
                return
        with ladder.rung("integer program"):
            pattern_program.close_gap(
                generation, max_patterns=FIRST_PATTERNS * portion, effort=0.1 * portion
            )
        ladder.collect()
        portion *= 2


def eject(ladder: Ladder, search: EjectionSearch, slices: int) -> None:
    """Let the local search run for so many slices of work."""
    for _ in range(slices):
        if ladder.is_closed or ladder.remaining_s == 0:
            return
        if search.num_bins >= ladder.num_bins:
            search.restart(ladder.bins)
        if search.run(rounds=search.slice_rounds):
            ladder.offer(search.packing())
            if ladder.num_bins > 1:
                search.restart(ladder.bins)
