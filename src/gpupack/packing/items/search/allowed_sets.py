"""Packing when some sets of items that fit a bin are still not allowed in one.

The rule is a predicate on sets. It must be closed downwards: whatever is allowed
stays allowed when an item is taken out. Every allowed set is listed once, depth
first, cutting at the first set that is not; then an integer program covers the items
with the fewest sets (Gilmore and Gomory's formulation, with all columns written out),
with the solver's proof.

Where there are more sets than can be listed, the packing is a heuristic one and the
bound is that of the problem without the rule, which stays valid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import (
    Bin,
    PackingResult,
    check_result,
    count_bins,
    merge_bins,
)
from gpupack.packing.items.search.packing_solve import solve
from gpupack.packing.items.search.set_cover import Cover, cover_by_program, search_cover
from gpupack.packing.runtime import (
    NO_MEMORY,
    Clock,
    Deadline,
    OutOfTimeError,
    most_true,
    passing_interrupts_on,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.items.model import PackingProblem

Counts = tuple[tuple[int, int], ...]
"""Pairs (item type index, number of copies ≥ 1), by type index."""
SetRule = Callable[[Counts], bool]
"""Whether a set that fits may share a bin: closed downwards, and true for every single
item."""

MAX_SETS = 60_000
"""More allowed sets than this are not listed: about 50 MB."""
ALL_SETS = "program over all allowed sets"
"""An integer program, or a search, that chooses among every allowed set."""
APART = "models that share with none of each other"
RULELESS_END = 0.4
FIRST_FIT_END = 0.55
CLIQUE_END = 0.7
LISTING_END = 0.85
"""Of the time limit: when the search without the rule, first fit, looking for items of
which no two may share, and listing the sets end at the latest."""
SMALL_ITEMS = 9
"""Up to so many items all sets are listed whatever the time: some 500 questions."""
MAX_REFUSALS = 60
"""Items that the rule keeps out of a bin before first fit passes it over."""
MAX_LATE_REFUSALS = 4
"""The same once time is up."""


def solve_allowed(
    problem: PackingProblem,
    is_allowed: SetRule,
    *,
    time_limit_s: float = 10.0,
    seed: int = 0,
    num_workers: int | None = None,
    max_sets: int | None = None,
    max_bins: int | None = None,
    clock: Clock = time.perf_counter,
) -> PackingResult:
    """Return a packing into few bins, every one of them allowed, and a bound.

    With a limit of 0 the rule is asked at most once per bin of a packing without it,
    once per item, and ``MAX_LATE_REFUSALS`` times per bin of the packing returned (for
    items of several copies, twice the logarithm of their number as often). Problems of
    up to ``SMALL_ITEMS`` items are solved all the same.

    Args:
        problem: What to pack.
        is_allowed: The rule.
        time_limit_s: Wall time, ≥ 0.
        seed: For every random choice.
        num_workers: Threads; as many as cores may be used if None. With one, the
            answer is the same for a seed if no step was cut by its share of the limit.
        max_sets: List at most so many allowed sets; ``MAX_SETS`` if left out.
        max_bins: Stop as soon as a packing into this many bins is found, or proved
            impossible.
        clock: That the limit is on.

    Raises:
        KeyboardInterrupt: If it comes meanwhile.
    """
    started = clock()
    deadline = Deadline(started + time_limit_s, clock)
    with passing_interrupts_on():
        without_rule = solve(
            problem,
            time_limit_s=time_limit_s * RULELESS_END,
            seed=seed,
            num_workers=num_workers,
            max_bins=max_bins,
        )
    bins, bound = without_rule.bins, without_rule.bound
    found_by, proved_by = without_rule.found_by, without_rule.proved_by
    warnings = without_rule.warnings
    method = ""

    def is_settled() -> bool:
        num_bins = count_bins(bins)
        return num_bins <= bound or (
            max_bins is not None and (num_bins <= max_bins or bound > max_bins)
        )

    if all(is_allowed(one_bin.counts) for one_bin in bins):
        if is_settled():
            return without_rule
    else:
        found_by = "first fit"
        bins = first_fit(
            problem, is_allowed, Deadline(started + time_limit_s * FIRST_FIT_END, clock)
        )
    listed = None
    if not is_settled():
        apart = items_apart(
            problem,
            is_allowed,
            bins,
            deadline=Deadline(started + time_limit_s * CLIQUE_END, clock),
        )
        if len(apart) > bound:
            bound, method, proved_by = len(apart), "clique", APART
    if not is_settled():
        listed = list_allowed(
            problem,
            is_allowed,
            max_sets=MAX_SETS if max_sets is None else max_sets,
            deadline=Deadline(started + time_limit_s * LISTING_END, clock),
            least_asked=2**SMALL_ITEMS if problem.num_items <= SMALL_ITEMS else 0,
        )
        if listed is None:
            method = method or "bound without the rule"
    if listed is not None:
        maximal = _maximal(listed)
        most = count_bins(bins)
        try:
            cover = search_cover(problem, maximal, bound, most) or cover_by_program(
                problem,
                maximal,
                time_limit_s=deadline.remaining_s,
                seed=seed,
                most_bins=most,
            )
        except MemoryError:
            cover = Cover((), 0)
            warnings = (*warnings, NO_MEMORY)
        method = "listed sets"
        if cover.bound > bound:
            bound, proved_by = cover.bound, ALL_SETS
        if cover.bins and count_bins(cover.bins) < count_bins(bins):
            bins, found_by = cover.bins, ALL_SETS
    result = PackingResult(
        bins=bins,
        bound=min(bound, count_bins(bins)),
        seconds=clock() - started,
        method=method or without_rule.method,
        rungs=without_rule.rungs,
        found_by=found_by,
        proved_by=proved_by,
        warnings=warnings if count_bins(bins) > bound else (),
    )
    check_result(problem, result)
    return result


def list_allowed(
    problem: PackingProblem,
    is_allowed: SetRule,
    *,
    max_sets: int = MAX_SETS,
    deadline: Deadline | None = None,
    least_asked: int = 0,
) -> list[Counts] | None:
    """Return every non-empty set that fits a bin and is allowed, None if too many.

    Args:
        problem: Sizes, counts and the capacity.
        is_allowed: The rule.
        max_sets: Give up beyond so many.
        deadline: Give up then.
        least_asked: But ask the rule so often first, whatever the time.
    """
    found: list[Counts] = []
    num_asked = 0
    item_types = problem.item_types
    ask = is_allowed if deadline is None else deadline.stopping(is_allowed)
    # Sets to be grown: what they hold, the room they leave, and what may join them,
    # from some place on. Closed downwards: what cannot join a set cannot join a larger.
    everything = list(range(problem.num_types))
    open_sets: list[tuple[Counts, tuple[int, ...], list[int], int]] = [
        ((), problem.capacity, everything, 0)
    ]
    while open_sets:
        counts, free, candidates, first = open_sets.pop()
        joined: list[int] = []
        grown_sets: list[tuple[Counts, tuple[int, ...]]] = []
        for index in candidates[first:]:
            copies, others = 1, counts
            if counts and counts[-1][0] == index:
                copies, others = counts[-1][1] + 1, counts[:-1]
            left = tuple(
                have - size
                for have, size in zip(free, item_types[index].sizes, strict=True)
            )
            if copies > item_types[index].count or min(left) < 0:
                continue
            grown = (*others, (index, copies))
            num_asked += 1
            try:
                may_join = (is_allowed if num_asked <= least_asked else ask)(grown)
            except OutOfTimeError:
                return None
            if not may_join:
                continue
            if len(found) >= max_sets:
                return None
            found.append(grown)
            joined.append(index)
            grown_sets.append((grown, left))
        open_sets += [
            (grown, left, joined, place)
            for place, (grown, left) in enumerate(grown_sets)
        ]
    return found


def items_apart(
    problem: PackingProblem,
    is_allowed: SetRule,
    bins: Sequence[Bin],
    deadline: Deadline,
) -> list[int]:
    """Return items of which no two may share a bin: each needs one of its own.

    Args:
        problem: Sizes and the capacity.
        is_allowed: The rule.
        bins: A packing: items that have few beside them in it are tried first.
        deadline: What is found by then is returned.

    Returns:
        Item types, one as often as it has copies that may not share either.
    """
    ask = deadline.stopping(is_allowed)
    sizes, capacities = problem.sizes, problem.capacities

    def may_share(one: int, other: int) -> bool:
        if (sizes[one] + sizes[other] > capacities).any():
            return False
        if one == other:
            return ask(((one, 2),))
        return ask(((min(one, other), 1), (max(one, other), 1)))

    beside = _most_beside(bins)
    apart: list[int] = []
    try:
        for index in sorted(range(problem.num_types), key=beside.__getitem__):
            if any(may_share(index, other) for other in dict.fromkeys(apart)):
                continue
            apart.append(index)
            count = problem.item_types[index].count
            if count > 1 and not may_share(index, index):
                apart += [index] * (count - 1)
    except OutOfTimeError:
        pass  # so far no two of them may
    return apart


def _most_beside(bins: Sequence[Bin]) -> dict[int, int]:
    """Return, by item type, how many items its fullest bin holds."""
    most: dict[int, int] = {}
    for one in bins:
        number = sum(copies for _, copies in one.counts)
        for index, _ in one.counts:
            most[index] = max(number, most.get(index, 0))
    return most


def first_fit(
    problem: PackingProblem, is_allowed: SetRule, deadline: Deadline
) -> tuple[Bin, ...]:
    """Put items, largest first, into the first bin that fits and allows them.

    A bin that has turned many items away is passed over from then on: after fewer once
    the deadline has passed, but no item is ever left out.
    """
    sizes, counts = problem.sizes, problem.counts
    order = np.argsort(-(sizes / problem.capacities).sum(axis=1), kind="stable")
    contents: list[dict[int, int]] = []
    free = np.empty((int(counts.sum()), problem.num_dimensions), dtype=np.int64)
    refusals = np.zeros(len(free), dtype=np.int64)

    def add(number: int, index: int, left: int) -> int:
        """Put as many copies into a bin as may go there; return how many."""
        used = np.flatnonzero(sizes[index])
        room = (free[number, used] // sizes[index, used]).min(initial=left)
        held = contents[number]
        copies = most_true(
            lambda more: (
                (more == 1 and not held)
                or is_allowed(tuple(sorted((held | {index: more}).items())))
            ),
            int(min(left, room)),
        )
        if copies:
            contents[number][index] = copies
            free[number] -= copies * sizes[index]
        return copies

    for index in order.tolist():
        left = int(counts[index])
        num_open = len(contents)
        fits = (free[:num_open] >= sizes[index]).all(axis=1)
        for number in np.flatnonzero(fits).tolist():
            most = MAX_LATE_REFUSALS if deadline.has_passed else MAX_REFUSALS
            if refusals[number] >= most:
                continue
            added = add(number, index, left)
            left -= added
            refusals[number] += added == 0
            if not left:
                break
        while left:
            number = len(contents)
            contents.append({})
            free[number] = problem.capacities
            left -= add(number, index, left)
    return merge_bins(Bin(tuple(sorted(one.items()))) for one in contents)


def _maximal(sets: Sequence[Counts]) -> list[Counts]:
    """Return the sets that no other set contains with one item more."""
    contained = set()
    for counts in sets:
        for position, (index, copies) in enumerate(counts):
            fewer = ((index, copies - 1),) if copies > 1 else ()
            contained.add((*counts[:position], *fewer, *counts[position + 1 :]))
    return [counts for counts in sets if counts not in contained]
