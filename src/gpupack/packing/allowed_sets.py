"""Packing when some sets of items that fit a bin are still not allowed in one.

The rule is a predicate on sets. It must be closed downwards: whatever is allowed
stays allowed when an item is taken out. Every allowed set is listed once, depth
first, cutting at the first set that is not; then an integer program covers the items
with the fewest sets (Gilmore and Gomory's formulation, with all columns written out),
or partitions them for the most value. Both come with the solver's proof.

Where there are more sets than can be listed, the packing is a heuristic one and the
bound is that of the problem without the rule, which stays valid.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.canonical import merge_bins
from gpupack.packing.check import check_result
from gpupack.packing.set_cover import SetProgram, cover_by_program, search_cover
from gpupack.packing.solution import Bin, PackingResult, SolveStatus
from gpupack.packing.solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.packing.problem import PackingProblem

    Counts = tuple[tuple[int, int], ...]
    """Pairs (item type index, number of copies ≥ 1), by type index."""
    Rule = Callable[[Counts], bool]
    Value = Callable[[Counts], float]

MAX_SETS = 60_000
"""More allowed sets than this are not listed."""
ALL_SETS = "program over all allowed sets"
"""An integer program, or a search, that chooses among every allowed set."""
_LISTING_SHARE = 0.4
"""Share of the time limit that listing the sets may take."""


def solve_allowed(
    problem: PackingProblem,
    is_allowed: Rule,
    *,
    time_limit_s: float = 10.0,
    seed: int = 0,
    num_workers: int | None = None,
    max_sets: int = MAX_SETS,
) -> PackingResult:
    """Return a packing into few bins, every one of them allowed, and a bound.

    Args:
        problem: What to pack.
        is_allowed: Whether a set that fits may share a bin. Closed downwards, and
            true for every single item.
        time_limit_s: Wall time, ≥ 0.
        seed: For every random choice.
        num_workers: Threads; all of the machine's cores if None.
        max_sets: List at most so many allowed sets.
    """
    started = time.perf_counter()
    deadline = started + time_limit_s
    without_rule = solve(
        problem,
        time_limit_s=time_limit_s * _LISTING_SHARE,
        seed=seed,
        num_workers=num_workers,
    )
    if all(is_allowed(one_bin.counts) for one_bin in without_rule.bins):
        return without_rule
    bins, bound, method = _first_fit(problem, is_allowed), without_rule.bound, ""
    found_by, proved_by = "first fit", without_rule.proved_by
    listed = list_allowed(
        problem,
        is_allowed,
        max_sets=max_sets,
        deadline=started + time_limit_s * (2 * _LISTING_SHARE),
    )
    if listed is None:
        method = "bound without the rule"
    elif _num_bins(bins) > bound:
        maximal = _maximal(listed)
        most = _num_bins(bins)
        cover = search_cover(problem, maximal, bound, most) or cover_by_program(
            problem,
            maximal,
            time_limit_s=max(0.0, deadline - time.perf_counter()),
            seed=seed,
            most_bins=most,
        )
        method = "listed sets"
        if cover.bound > bound:
            bound, proved_by = cover.bound, ALL_SETS
        if cover.bins and _num_bins(cover.bins) < _num_bins(bins):
            bins, found_by = cover.bins, ALL_SETS
    result = PackingResult(
        bins=bins,
        bound=min(bound, _num_bins(bins)),
        seconds=time.perf_counter() - started,
        method=method or without_rule.method,
        rungs=without_rule.rungs,
        found_by=found_by,
        proved_by=proved_by,
    )
    check_result(problem, result)
    return result


@dataclass(frozen=True, slots=True)
class BestPartition:
    """The most valuable way to share items out over at most so many bins.

    Args:
        bins: None where no allowed packing into so many bins was found.
        value: Of the packing, 0 without one.
        bound: No allowed packing has more value.
        status: OPTIMAL if the value meets the bound, or none exists.
        seconds: Wall time.
    """

    bins: tuple[Bin, ...] | None
    value: float
    bound: float
    status: SolveStatus
    seconds: float


def maximize_value(
    problem: PackingProblem,
    is_allowed: Rule,
    value: Value,
    *,
    max_bins: int,
    time_limit_s: float = 10.0,
    seed: int = 0,
    max_sets: int = MAX_SETS,
) -> BestPartition | None:
    """Return the packing of all items into at most ``max_bins`` with the most value.

    Args:
        problem: What to pack; every item is packed exactly once.
        is_allowed: As for ``solve_allowed``.
        value: Of a set that shares a bin, ≥ 0.
        max_bins: How many bins there are.
        time_limit_s: Wall time, ≥ 0.
        seed: For every random choice.
        max_sets: List at most so many allowed sets.

    Returns:
        None if there are more sets than can be listed in time.
    """
    started = time.perf_counter()
    listed = list_allowed(
        problem,
        is_allowed,
        max_sets=max_sets,
        deadline=started + time_limit_s * 2 * _LISTING_SHARE,
    )
    if listed is None:
        return None
    program = SetProgram(problem, listed, exactly=True)
    program.limit_bins(max_bins)
    program.maximize([value(counts) for counts in listed])
    status = program.solve(
        max(0.05, time_limit_s - (time.perf_counter() - started)), seed
    )
    seconds = time.perf_counter() - started
    if status == "INFEASIBLE":
        return BestPartition(None, 0.0, 0.0, SolveStatus.OPTIMAL, seconds)
    upper = program.bound
    if status not in {"OPTIMAL", "FEASIBLE"}:
        return BestPartition(None, 0.0, upper, SolveStatus.FEASIBLE, seconds)
    bins = program.bins()
    total = sum(value(one.counts) * one.multiplicity for one in bins)
    solved = SolveStatus.OPTIMAL if status == "OPTIMAL" else SolveStatus.FEASIBLE
    return BestPartition(bins, total, max(total, upper), solved, seconds)


def list_allowed(
    problem: PackingProblem,
    is_allowed: Rule,
    *,
    max_sets: int = MAX_SETS,
    deadline: float | None = None,
) -> list[Counts] | None:
    """Return every non-empty set that fits a bin and is allowed, None if too many.

    Args:
        problem: Sizes, counts and the capacity.
        is_allowed: Closed downwards.
        max_sets: Give up beyond so many.
        deadline: Give up then, on the clock of ``time.perf_counter``.
    """
    found: list[Counts] = []
    item_types = problem.item_types

    def extend(counts: Counts, free: tuple[int, ...], candidates: list[int]) -> bool:
        # Closed downwards: what cannot join a set cannot join a larger one.
        joined: list[tuple[int, Counts, tuple[int, ...]]] = []
        for index in candidates:
            item_type = item_types[index]
            copies = 1
            others = counts
            if counts and counts[-1][0] == index:
                copies, others = counts[-1][1] + 1, counts[:-1]
            left = tuple(
                have - size for have, size in zip(free, item_type.sizes, strict=True)
            )
            grown = (*others, (index, copies))
            if copies <= item_type.count and min(left) >= 0 and is_allowed(grown):
                joined.append((index, grown, left))
        for position, (_, grown, left) in enumerate(joined):
            if len(found) >= max_sets or (
                deadline is not None and time.perf_counter() > deadline
            ):
                return False
            found.append(grown)
            if not extend(grown, left, [index for index, _, _ in joined[position:]]):
                return False
        return True

    everything = list(range(problem.num_types))
    return found if extend((), problem.capacity, everything) else None


def _maximal(sets: Sequence[Counts]) -> list[Counts]:
    """Return the sets that no other set contains with one item more."""
    contained = set()
    for counts in sets:
        for position, (index, copies) in enumerate(counts):
            fewer = ((index, copies - 1),) if copies > 1 else ()
            contained.add((*counts[:position], *fewer, *counts[position + 1 :]))
    return [counts for counts in sets if counts not in contained]


def _num_bins(bins: Sequence[Bin]) -> int:
    return sum(one_bin.multiplicity for one_bin in bins)


def _first_fit(problem: PackingProblem, is_allowed: Rule) -> tuple[Bin, ...]:
    """Put items, largest first, into the first bin that fits and allows them."""
    order = sorted(
        range(problem.num_types),
        key=lambda index: (
            -sum(
                size / most
                for size, most in zip(
                    problem.item_types[index].sizes, problem.capacity, strict=True
                )
            )
        ),
    )
    contents: list[dict[int, int]] = []
    free: list[list[int]] = []
    for index in order:
        sizes = problem.item_types[index].sizes
        candidate = 0
        for _ in range(problem.item_types[index].count):
            # What an earlier copy could not join, a later one cannot either.
            while candidate < len(contents):
                grown = contents[candidate] | {
                    index: contents[candidate].get(index, 0) + 1
                }
                fits = all(
                    have >= size
                    for have, size in zip(free[candidate], sizes, strict=True)
                )
                if fits and is_allowed(tuple(sorted(grown.items()))):
                    break
                candidate += 1
            else:
                contents.append({})
                free.append(list(problem.capacity))
                grown = {index: 1}
            contents[candidate] = grown
            free[candidate] = [
                have - size for have, size in zip(free[candidate], sizes, strict=True)
            ]
    return merge_bins(Bin(tuple(sorted(counts.items()))) for counts in contents)
