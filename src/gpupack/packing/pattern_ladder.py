"""The rungs that take the time: local search, patterns, in growing portions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing import diving, pattern_program
from gpupack.packing.column_generation import ColumnGeneration
from gpupack.packing.ejection import MAX_ITEMS, EjectionSearch

if TYPE_CHECKING:
    from gpupack.packing.ladder import Ladder

FIRST_DIVES = 16
FIRST_SLICES = 2
FIRST_PATTERNS = 2_000
MANY_COPIES = 3
"""Items per type from which local search over single items comes late."""


def climb_patterns(ladder: Ladder) -> None:
    """Run local search, column generation, diving and the integer program.

    After column generation has had its say on the bound, the others take
    turns, with portions that double until the gap closes or time is up.
    """
    problem = ladder.problem
    search = None
    if problem.num_items <= MAX_ITEMS:
        search = EjectionSearch(problem, ladder.bins, seed=ladder.seed)
        if problem.num_items < MANY_COPIES * problem.num_types:
            with ladder.rung("local search"):
                _eject(ladder, search, FIRST_SLICES)
            if ladder.is_closed:
                return
    with ladder.rung("column generation"):
        generation = ColumnGeneration(ladder)
        generation.learn(ladder.bins)
        generation.raise_bound()
    portion = 1
    while not ladder.is_closed and ladder.remaining_s > 0:
        with ladder.rung("diving"):
            for number in range(FIRST_DIVES * portion):
                if ladder.is_closed or ladder.remaining_s == 0:
                    return
                diving.dive(generation, randomize=portion > 1 or number > 0)
        if search is not None:
            with ladder.rung("local search"):
                _eject(ladder, search, FIRST_SLICES * portion)
            if ladder.is_closed or ladder.remaining_s == 0:
                return
        with ladder.rung("integer program"):
            pattern_program.close_gap(
                generation, max_patterns=FIRST_PATTERNS * portion, effort=0.1 * portion
            )
        portion *= 2


def _eject(ladder: Ladder, search: EjectionSearch, slices: int) -> None:
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
