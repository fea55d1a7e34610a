"""Solve a packing problem: the ladder from cheap bounds to exact search."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gpupack.errors import CheckError, InvalidInputError
from gpupack.packing.items.model import (
    Ladder,
    PackingResult,
    canonicalize,
    check_packing,
    check_result,
)
from gpupack.packing.items.quick import (
    MAX_SMALL_ITEMS,
    constructive_packings,
    named_bounds,
    pack_into,
)
from gpupack.packing.items.search.cpsat import improve_by_assignment
from gpupack.packing.runtime import (
    NO_MEMORY,
    Deadline,
    kernels_are_coming,
    kernels_are_ready,
    passes_interrupts_on,
    weaknesses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.packing.items.model import Bin, PackingProblem

SMALL_FOR_CPSAT = 120
"""Items up to which CP-SAT's assignment model is worth trying first."""
KERNEL_CHECK_S = 1.0
"""How often to look whether kernels being built are ready."""
SMALL_SEARCH_NODES = 20_000
"""Nodes for the search of small problems: about 50 ms at most."""


def solve(
    problem: PackingProblem,
    *,
    time_limit_s: float = 10.0,
    seed: int = 0,
    num_workers: int | None = None,
    hint: Sequence[Bin] | None = None,
    max_bins: int | None = None,
    progress: Callable[[PackingResult], None] | None = None,
) -> PackingResult:
    """Return a checked packing into few bins and a proven bound.

    An anytime solver: at the time limit it returns the best packing and bound
    that it has, and so it does when interrupted (but within
    ``passing_interrupts_on``). A limit of 0 gives a heuristic
    packing with its bound, or the best of a handful of items. The answer does not
    depend on the order of the item types.

    With one worker it is the same for a seed on every run and machine, if it was
    found before the limit: nothing runs beside anything else, and whatever looks at
    the clock stops at the limit only. With more workers searches race: number of bins
    and bound of an optimal packing are the same, what is in the bins need not be.

    Args:
        problem: What to pack.
        time_limit_s: Wall time, ≥ 0; kept within 10 % or 0.5 s.
        seed: For every random choice.
        num_workers: Threads; as many as cores may be used if None.
        hint: A packing to start from; used if it is one of this problem.
        max_bins: Stop as soon as a packing into this many bins is found or
            proved impossible (``bound > max_bins``).
        progress: Called with every better packing, and with the best at every better
            bound, while the search goes on.

    Raises:
        InvalidInputError: If the limit is negative or not a number, or the
            workers or ``max_bins`` are fewer than 1.
    """
    if math.isnan(time_limit_s) or time_limit_s < 0:
        raise InvalidInputError(f"time_limit_s is {time_limit_s}; it must be ≥ 0")
    if num_workers is not None and num_workers < 1:
        raise InvalidInputError(f"num_workers is {num_workers}; it must be ≥ 1")
    if max_bins is not None and max_bins < 1:
        raise InvalidInputError(f"max_bins is {max_bins}; it must be ≥ 1")
    started = time.perf_counter()
    canonical = canonicalize(problem)

    def result_of(ladder: Ladder) -> PackingResult:
        return PackingResult(
            bins=canonical.restore(ladder.bins),
            bound=ladder.bound,
            seconds=time.perf_counter() - started,
            method=ladder.method,
            rungs=tuple(ladder.rungs),
            found_by=ladder.found_by,
            proved_by=ladder.proved_by,
            warnings=() if ladder.is_closed else _weaknesses(ladder),
            is_interrupted=ladder.is_interrupted,
        )

    def tell(ladder: Ladder) -> None:
        if progress is not None:
            progress(result_of(ladder))

    ladder = Ladder(
        canonical.problem,
        deadline=started + time_limit_s,
        time_limit_s=time_limit_s,
        max_bins=max_bins,
        seed=seed,
        num_workers=num_workers,
        tell=tell,
    )
    if problem.num_types == 0:
        ladder.offer(())
    else:
        if hint is not None and _is_packing(problem, hint):
            with ladder.rung("hint"):
                ladder.offer(canonical.translate(hint))
        climb(ladder)
    result = result_of(ladder)
    check_result(problem, result)
    return result


def _weaknesses(ladder: Ladder) -> tuple[str, ...]:
    """Return why a better packing might be found elsewhere."""
    return ((NO_MEMORY,) if ladder.ran_out_of_memory else ()) + weaknesses()


def climb(ladder: Ladder) -> None:
    """Run rung after rung until nothing is left to find out or time is up."""
    try:
        _climb_cheap(ladder)
        if not ladder.is_closed and ladder.remaining_s > 0:
            _climb_dear(ladder)
    except KeyboardInterrupt:
        if not ladder.bins or passes_interrupts_on():
            raise
        ladder.is_interrupted = True
    except MemoryError:
        if not ladder.bins:
            raise
        ladder.ran_out_of_memory = True


def _climb_cheap(ladder: Ladder) -> None:
    """Run the rungs that take milliseconds and need no compiled code."""
    problem = ladder.problem
    with ladder.rung("bounds"):
        for name, bound in named_bounds(problem):
            ladder.raise_bound(bound, by=name)
    with ladder.rung("heuristics"):
        for bins in constructive_packings(problem, Deadline(ladder.deadline)):
            ladder.offer(bins)
            if ladder.is_closed:
                return
            if ladder.remaining_s == 0:
                break
    # Whatever the time limit: its nodes are counted.
    if problem.num_items <= MAX_SMALL_ITEMS:
        with ladder.rung("small search"):
            _search_small(ladder)


def _climb_dear(ladder: Ladder) -> None:
    """Run the rungs that take the time: on patterns, then CP-SAT."""
    _wait_for_kernels(ladder)
    if not ladder.is_closed and kernels_are_ready(wait_s=0):
        # Imports searches that small problems do without.
        from gpupack.packing.items.patterns import climb_patterns

        climb_patterns(ladder)
    if ladder.is_closed or ladder.remaining_s == 0:
        return
    with ladder.rung("CP-SAT"):
        improve_by_assignment(ladder)


def _wait_for_kernels(ladder: Ladder) -> None:
    """Wait for kernels that are being built, a small problem with CP-SAT at work.

    With one worker it only waits, so that the answer does not depend on what was
    built before. Where the kernels are there, or cannot be built, nothing waits.
    """
    is_small = ladder.problem.num_items <= SMALL_FOR_CPSAT and ladder.num_workers > 1
    with ladder.rung("kernels"):
        kernels_are_ready(wait_s=0 if is_small else ladder.remaining_s)
    while (
        not kernels_are_ready(wait_s=0)
        and kernels_are_coming()
        and not ladder.is_closed
        and ladder.remaining_s > 0
    ):
        with ladder.rung("CP-SAT"):
            improve_by_assignment(ladder, time_limit_s=KERNEL_CHECK_S)


def _search_small(ladder: Ladder) -> None:
    while not ladder.is_closed:
        bins, is_complete = pack_into(
            ladder.problem, ladder.num_bins - 1, node_limit=SMALL_SEARCH_NODES
        )
        if bins is not None:
            ladder.offer(bins)
        elif is_complete:
            ladder.raise_bound(ladder.num_bins, by="exhaustive search")
        else:
            return


def _is_packing(problem: PackingProblem, bins: Sequence[Bin]) -> bool:
    try:
        check_packing(problem, bins)
    except CheckError:
        return False
    return True
