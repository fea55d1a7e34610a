"""Solve a packing problem: the ladder from cheap bounds to exact search."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING

from gpupack.errors import CheckError, InvalidInputError
from gpupack.packing import bounds, cpsat, heuristics, small_search, warm_up
from gpupack.packing.canonical import canonicalize
from gpupack.packing.check import check_packing, check_result
from gpupack.packing.ladder import Ladder
from gpupack.packing.solution import PackingResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.problem import PackingProblem
    from gpupack.packing.solution import Bin

SMALL_FOR_CPSAT = 120
"""Items up to which CP-SAT's assignment model is worth trying first."""
KERNEL_LOAD_S = 0.8
"""Loading kernels that were compiled before takes less than this."""
KERNEL_CHECK_S = 1.0
"""How often to look whether kernels being compiled are ready."""
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
) -> PackingResult:
    """Return a checked packing into few bins and a proven bound.

    An anytime solver: at the time limit it returns the best packing and bound
    that it has, and so it does when interrupted. A limit of 0 gives the best
    heuristic packing with its bound. The answer does not depend on the order of
    the item types and, with one worker, is the same for a seed whenever the
    limit was not reached.

    Args:
        problem: What to pack.
        time_limit_s: Wall time, ≥ 0; kept within 10 % or 0.5 s.
        seed: For every random choice.
        num_workers: Threads; all of the machine's cores if None.
        hint: A packing to start from; used if it is one of this problem.
        max_bins: Stop as soon as a packing into this many bins is found or
            proved impossible (``bound > max_bins``).

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
    ladder = Ladder(
        canonical.problem,
        deadline=started + time_limit_s,
        time_limit_s=time_limit_s,
        max_bins=max_bins,
        seed=seed,
        num_workers=num_workers or os.cpu_count() or 1,
    )
    if problem.num_types == 0:
        ladder.offer(())
    else:
        if hint is not None and _is_packing(problem, hint):
            with ladder.rung("hint"):
                ladder.offer(canonical.translate(hint))
        climb(ladder)
    result = PackingResult(
        bins=canonical.restore(ladder.bins),
        bound=ladder.bound,
        seconds=time.perf_counter() - started,
        method=ladder.method,
        rungs=tuple(ladder.rungs),
        found_by=ladder.found_by,
        proved_by=ladder.proved_by,
    )
    check_result(problem, result)
    return result


def climb(ladder: Ladder) -> None:
    """Run rung after rung until nothing is left to find out or time is up."""
    try:
        _climb_cheap(ladder)
        if not ladder.is_closed and ladder.remaining_s > 0:
            _climb_dear(ladder)
    except KeyboardInterrupt:
        if not ladder.bins:
            raise


def _climb_cheap(ladder: Ladder) -> None:
    """Run the rungs that take milliseconds and need no compiled code."""
    problem = ladder.problem
    with ladder.rung("bounds"):
        for name, bound in bounds.named_bounds(problem):
            ladder.raise_bound(bound, by=name)
    with ladder.rung("heuristics"):
        for bins in heuristics.constructive_packings(problem):
            ladder.offer(bins)
            if ladder.is_closed or ladder.remaining_s == 0:
                return
    if problem.num_items <= small_search.MAX_ITEMS:
        with ladder.rung("small search"):
            _search_small(ladder)


def _climb_dear(ladder: Ladder) -> None:
    """Run the rungs that take the time: on patterns, then CP-SAT."""
    _wait_for_kernels(ladder)
    if not ladder.is_closed and warm_up.kernels_are_ready(wait_s=0):
        # Imports numba, which small problems should not wait for.
        from gpupack.packing.pattern_ladder import climb_patterns

        climb_patterns(ladder)
    if ladder.is_closed or ladder.remaining_s == 0:
        return
    with ladder.rung("CP-SAT"):
        cpsat.improve_by_assignment(ladder)


def _wait_for_kernels(ladder: Ladder) -> None:
    """Wait for the compiled kernels, a small problem with CP-SAT at work.

    With one worker it only waits, so that the answer does not depend on what
    was compiled before.
    """
    is_small = ladder.problem.num_items <= SMALL_FOR_CPSAT and ladder.num_workers > 1
    patience = KERNEL_LOAD_S if is_small else ladder.remaining_s
    with ladder.rung("kernels"):
        ready = warm_up.kernels_are_ready(wait_s=min(patience, ladder.remaining_s))
    while not ready and not ladder.is_closed and ladder.remaining_s > 0:
        with ladder.rung("CP-SAT"):
            cpsat.improve_by_assignment(ladder, time_limit_s=KERNEL_CHECK_S)
        ready = warm_up.kernels_are_ready(wait_s=0)


def _search_small(ladder: Ladder) -> None:
    while not ladder.is_closed:
        bins, is_complete = small_search.pack_into(
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
