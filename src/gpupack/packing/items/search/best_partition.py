"""Sharing items out over bins for the most value, when what a bin is worth is no sum.

A set of items that share a bin is worth something that only a function of the set can
say, but never more than its items are worth alone. All allowed sets are listed; then
the best partition of a few items is found by dynamic programming over their subsets,
of more by an integer program, with the solver's proof. Where there are too many sets,
a local search moves and swaps items while that gains, and the bound is the sum of what
the items are worth alone.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, SolveStatus, count_bins, merge_bins
from gpupack.packing.items.search.allowed_sets import (
    ALL_SETS,
    MAX_SETS,
    SMALL_ITEMS,
    Counts,
    SetRule,
    list_allowed,
    solve_allowed,
)
from gpupack.packing.items.search.set_cover import SetProgram, has_no_partition
from gpupack.packing.runtime import Clock, Deadline, OutOfTimeError

if TYPE_CHECKING:
    from gpupack.packing.items.model import PackingProblem

Value = Callable[[Counts], float]
"""What a set that shares a bin is worth: ≥ 0, and at most what its items are alone."""

LISTING_END = 0.4
PACKING_END = 0.6
"""Of the time limit: when listing the sets, and looking for any packing into the bins
there are, end at the latest."""
MAX_SUBSET_ITEMS = SMALL_ITEMS
"""Of more items there are too many subsets of subsets: 3 to that power."""
LEAST_ASKED = 2**MAX_SUBSET_ITEMS
"""Questions to the rule while listing, whatever the time: for all sets of so few."""
LEAST_PROGRAM_S = 0.1
"""For the program over the sets, however late it is."""
LEAST_EVALUATIONS = 1_000
"""Sets that the local search may ask the value of, however late it is."""
SUBSETS = "dynamic programming over all subsets"
ALONE = "what all models serve alone"
GAIN = 1e-9
"""Relative, below which a change is none."""


@dataclass(frozen=True, slots=True)
class BestPartition:
    """The most valuable way to share items out over at most so many bins.

    Args:
        bins: None where no allowed packing into so many bins was found.
        value: Of the packing, 0 without one.
        bound: No allowed packing has more value.
        status: OPTIMAL if the value meets the bound, or no packing exists; else
            FEASIBLE, also where none was found.
        seconds: Wall time.
        method: What found it.
        proved_by: What proved the bound.
    """

    bins: tuple[Bin, ...] | None
    value: float
    bound: float
    status: SolveStatus
    seconds: float
    method: str
    proved_by: str


def maximize_value(
    problem: PackingProblem,
    is_allowed: SetRule,
    value: Value,
    *,
    max_bins: int,
    time_limit_s: float = 10.0,
    seed: int = 0,
    num_workers: int | None = None,
    max_sets: int = MAX_SETS,
    clock: Clock = time.perf_counter,
) -> BestPartition:
    """Return the packing of all items into at most ``max_bins`` with the most value.

    With a limit of 0, problems of up to nine items are still solved; of larger ones
    rule and value are asked at most ``LEAST_ASKED`` plus ``LEAST_EVALUATIONS`` times,
    plus what ``solve_allowed`` asks, and once per item and bin.

    Args:
        problem: What to pack; every item is packed exactly once.
        is_allowed: The rule.
        value: Of a set.
        max_bins: How many bins there are.
        time_limit_s: Wall time, ≥ 0.
        seed: For every random choice.
        num_workers: Threads; None for the machine's.
        max_sets: List at most so many allowed sets.
        clock: That the limit is on.
    """
    started = clock()
    deadline = Deadline(started + time_limit_s, clock)
    alone = math.fsum(
        value(((index, 1),)) * item_type.count
        for index, item_type in enumerate(problem.item_types)
    )

    def best(
        bins: tuple[Bin, ...] | None,
        bound: float,
        method: str,
        proved_by: str = "",
        *,
        is_proved: bool,
    ) -> BestPartition:
        total = math.fsum(value(one.counts) * one.multiplicity for one in bins or ())
        return BestPartition(
            bins,
            total,
            max(total, min(bound, alone)),
            SolveStatus.OPTIMAL if is_proved else SolveStatus.FEASIBLE,
            clock() - started,
            method,
            proved_by if bound < alone else ALONE,
        )

    listed = list_allowed(
        problem,
        is_allowed,
        max_sets=max_sets,
        deadline=Deadline(started + time_limit_s * LISTING_END, clock),
        least_asked=LEAST_ASKED,
    )
    bound = alone
    if listed is not None and problem.num_items <= MAX_SUBSET_ITEMS:
        bins = _by_subsets(problem, listed, value, max_bins)
        return best(bins, 0.0, SUBSETS, SUBSETS, is_proved=True)
    if listed is not None:
        found = _by_program(problem, listed, value, max_bins, deadline, seed)
        if found is not None:
            status, bins, bound = found
            if status == "INFEASIBLE" and has_no_partition(
                problem,
                listed,
                most_bins=max_bins,
                time_limit_s=max(LEAST_PROGRAM_S, deadline.remaining_s),
            ):
                return best(None, 0.0, ALL_SETS, ALL_SETS, is_proved=True)
            if status == "OPTIMAL":
                return best(bins, bound, ALL_SETS, ALL_SETS, is_proved=True)
            if bins is not None:
                return best(bins, bound, ALL_SETS, ALL_SETS, is_proved=False)
    packed = solve_allowed(
        problem,
        is_allowed,
        time_limit_s=max(0.0, started + time_limit_s * PACKING_END - clock()),
        seed=seed,
        num_workers=num_workers,
        max_bins=max_bins,
        clock=clock,
    )
    if packed.bound > max_bins:
        return best(None, 0.0, packed.method, packed.proved_by, is_proved=True)
    if count_bins(packed.bins) > max_bins:
        return best(None, bound, packed.method, ALL_SETS, is_proved=False)
    search = _LocalSearch(problem, is_allowed, value, max_bins, deadline)
    return best(
        search.run(packed.bins), bound, "local search", ALL_SETS, is_proved=False
    )


def _by_subsets(
    problem: PackingProblem, listed: list[Counts], value: Value, max_bins: int
) -> tuple[Bin, ...] | None:
    """Return the best partition of a few items, None if there is none.

    What is best for a subset in so many bins is the best over the bin that holds its
    first item, and what is best for the rest in one bin less.
    """
    items = [
        index
        for index, item_type in enumerate(problem.item_types)
        for _ in range(item_type.count)
    ]
    worth = {counts: value(counts) for counts in listed}
    everything = (1 << len(items)) - 1

    @cache
    def counts_of(subset: int) -> Counts:
        held = Counter(item for place, item in enumerate(items) if subset >> place & 1)
        return tuple(sorted(held.items()))

    @cache
    def best_of(subset: int, num_bins: int) -> tuple[float, int]:
        """Return the value, and the subset that shares a bin with the first item."""
        if not subset:
            return 0.0, 0
        found = (-math.inf, 0)
        if not num_bins:
            return found
        first = subset & -subset
        others = rest = subset ^ first
        while True:
            together = first | rest
            here = worth.get(counts_of(together), -math.inf)
            if here > -math.inf:
                total = here + best_of(subset ^ together, num_bins - 1)[0]
                found = max(found, (total, together))
            if not rest:
                return found
            rest = (rest - 1) & others

    bins = []
    left, num_bins = everything, min(max_bins, len(items))
    if best_of(left, num_bins)[0] == -math.inf:
        return None
    while left:
        _, together = best_of(left, num_bins)
        bins.append(Bin(counts_of(together)))
        left, num_bins = left ^ together, num_bins - 1
    return merge_bins(bins)


def _by_program(
    problem: PackingProblem,
    listed: list[Counts],
    value: Value,
    max_bins: int,
    deadline: Deadline,
    seed: int,
) -> tuple[str, tuple[Bin, ...] | None, float] | None:
    """Return status, bins and bound of the integer program, None if time is up."""
    ask = value if len(listed) <= LEAST_ASKED else deadline.stopping(value)
    try:
        worth = [ask(counts) for counts in listed]
    except OutOfTimeError:
        return None
    program = SetProgram(problem, listed, exactly=True)
    program.limit_bins(max_bins)
    program.maximize(worth)
    status = program.solve(max(LEAST_PROGRAM_S, deadline.remaining_s), seed)
    has_bins = status in {"OPTIMAL", "FEASIBLE"}
    bins = program.bins() if has_bins else None
    bound = program.bound if has_bins else math.inf
    return status, bins, bound


class _LocalSearch:
    """Moves and swaps of items between bins, each of which gains value."""

    def __init__(
        self,
        problem: PackingProblem,
        is_allowed: SetRule,
        value: Value,
        max_bins: int,
        deadline: Deadline,
    ) -> None:
        self._sizes = [one.sizes for one in problem.item_types]
        self._capacity = problem.capacity
        self._is_allowed = is_allowed
        self._value = value
        self._max_bins = max_bins
        self._deadline = deadline
        self._evaluations_left = LEAST_EVALUATIONS

    def run(self, bins: tuple[Bin, ...]) -> tuple[Bin, ...]:
        """Return a packing of which no move or swap is better, if time allows."""
        contents = [dict(one.counts) for one in bins for _ in range(one.multiplicity)]
        contents += [{} for _ in range(self._max_bins - len(contents))]
        try:
            worth = [self._worth(one) for one in contents]
            while self._improve(contents, worth):
                pass
        except OutOfTimeError:
            pass  # every change was made as a whole
        return merge_bins(Bin(tuple(sorted(one.items()))) for one in contents if one)

    def _improve(self, contents: list[dict[int, int]], worth: list[float]) -> bool:
        """Go once through all pairs of bins; return whether any change was made."""
        has_changed = False
        for first in range(len(contents)):
            for second in range(len(contents)):
                while first != second and self._trade(contents, worth, first, second):
                    has_changed = True
        return has_changed

    def _trade(
        self,
        contents: list[dict[int, int]],
        worth: list[float],
        first: int,
        second: int,
    ) -> bool:
        """Make the first change between two bins that gains; return whether any did."""
        self._stop_if_late()
        now = worth[first] + worth[second]
        for giving, taking in _trades(contents[first], contents[second]):
            if not (self._fits(giving) and self._fits(taking)):
                continue
            given, taken = self._worth(giving), self._worth(taking)
            if given + taken > now + GAIN * max(1.0, now):
                contents[first], contents[second] = giving, taking
                worth[first], worth[second] = given, taken
                return True
        return False

    def _fits(self, content: dict[int, int]) -> bool:
        return all(
            sum(self._sizes[index][dimension] * n for index, n in content.items())
            <= most
            for dimension, most in enumerate(self._capacity)
        )

    def _stop_if_late(self) -> None:
        if self._evaluations_left <= 0 and self._deadline.has_passed:
            raise OutOfTimeError

    def _worth(self, content: dict[int, int]) -> float:
        """Return what a bin is worth, minus infinity if it is not allowed."""
        if not content:
            return 0.0
        self._stop_if_late()
        self._evaluations_left -= 1
        counts = tuple(sorted(content.items()))
        return self._value(counts) if self._is_allowed(counts) else -math.inf


def _trades(
    giver: dict[int, int], taker: dict[int, int]
) -> Iterator[tuple[dict[int, int], dict[int, int]]]:
    """Yield both bins after one item went over, alone or for another."""
    for index in sorted(giver):
        less, more = _moved(giver, taker, index)
        yield less, more
        for back in sorted(taker):
            if back > index:  # the other way round is the giver's turn
                taking, giving = _moved(more, less, back)
                yield giving, taking


def _moved(
    giver: dict[int, int], taker: dict[int, int], index: int
) -> tuple[dict[int, int], dict[int, int]]:
    left = {**giver, index: giver[index] - 1}
    if not left[index]:
        del left[index]
    return left, {**taker, index: taker.get(index, 0) + 1}
