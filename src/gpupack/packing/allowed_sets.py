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

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.canonical import merge_bins
from gpupack.packing.check import check_result
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
_LISTING_SHARE = 0.4
"""Share of the time limit that listing the sets may take."""
_MAX_SEARCHED_ITEMS = 24
_MAX_SEARCH_STEPS = 20_000


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
        cover = _search_cover(problem, maximal, bound, _num_bins(bins)) or _cover(
            problem,
            maximal,
            time_limit_s=max(0.0, deadline - time.perf_counter()),
            seed=seed,
            hint=bins,
        )
        method = "listed sets"
        bound = max(bound, cover.bound)
        if cover.bins and _num_bins(cover.bins) < _num_bins(bins):
            bins = cover.bins
    result = PackingResult(
        bins=bins,
        bound=min(bound, _num_bins(bins)),
        seconds=time.perf_counter() - started,
        method=method or without_rule.method,
        rungs=without_rule.rungs,
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
    program = _SetProgram(problem, listed, exactly=True)
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


@dataclass(frozen=True, slots=True)
class _Cover:
    bins: tuple[Bin, ...]
    bound: int


def _search_cover(
    problem: PackingProblem, sets: Sequence[Counts], bound: int, upper: int
) -> _Cover | None:
    """Return the fewest bins of a small problem by depth-first search.

    Spares small problems the import of a solver library. Tries every set that covers
    the first item still open, with one bin more at a time; ``upper`` bins are known to
    do, so reaching them proves them. None when it gives up.
    """
    if problem.num_items > _MAX_SEARCHED_ITEMS:
        return None
    covering: list[list[Counts]] = [[] for _ in range(problem.num_types)]
    largest = max(sum(copies for _, copies in counts) for counts in sets)
    for counts in sorted(sets, key=lambda one: -sum(copies for _, copies in one)):
        for index, _ in counts:
            covering[index].append(counts)
    steps_left = _MAX_SEARCH_STEPS
    dead: set[tuple[tuple[int, ...], int]] = set()

    def cover(left: tuple[int, ...], num_bins: int) -> list[Counts] | None:
        nonlocal steps_left
        total = sum(left)
        if total == 0:
            return []
        if total > num_bins * largest or (left, num_bins) in dead or steps_left <= 0:
            return None
        steps_left -= 1
        first = next(index for index, count in enumerate(left) if count)
        for counts in covering[first]:
            rest = list(left)
            for index, copies in counts:
                rest[index] = max(0, rest[index] - copies)
            found = cover(tuple(rest), num_bins - 1)
            if found is not None:
                return [counts, *found]
        dead.add((left, num_bins))
        return None

    everything = tuple(item_type.count for item_type in problem.item_types)
    for num_bins in range(max(1, bound), upper):
        found = cover(everything, num_bins)
        if found is not None:
            bins = _without_surplus(problem, [Bin(counts) for counts in found])
            return _Cover(bins, num_bins)
        if steps_left <= 0:
            return None
    return _Cover((), upper)


def _cover(
    problem: PackingProblem,
    sets: Sequence[Counts],
    *,
    time_limit_s: float,
    seed: int,
    hint: tuple[Bin, ...],
) -> _Cover:
    if time_limit_s <= 0:
        return _Cover((), 0)
    program = _SetProgram(problem, sets, exactly=False)
    program.limit_bins(_num_bins(hint))
    program.minimize_bins()
    status = program.solve(time_limit_s, seed)
    if status not in {"OPTIMAL", "FEASIBLE"}:
        return _Cover((), 0)
    return _Cover(
        _without_surplus(problem, program.bins()), math.ceil(program.bound - 1e-6)
    )


def _without_surplus(problem: PackingProblem, bins: Sequence[Bin]) -> tuple[Bin, ...]:
    """Drop copies that a cover has too many of; what is left stays allowed."""
    left = [item_type.count for item_type in problem.item_types]
    kept = []
    for one_bin in bins:
        for _ in range(one_bin.multiplicity):
            counts = tuple(
                (index, min(copies, left[index]))
                for index, copies in one_bin.counts
                if left[index]
            )
            for index, copies in counts:
                left[index] -= copies
            if counts:
                kept.append(Bin(counts))
    return merge_bins(kept)


class _SetProgram:
    """How often each listed set is used, as an integer program for SCIP.

    CP-SAT proves these slowly: its linear relaxation, which is nearly tight with all
    columns written out, is not where it is strong.
    """

    def __init__(
        self, problem: PackingProblem, sets: Sequence[Counts], *, exactly: bool
    ) -> None:
        # Importing OR-Tools takes half a second: only when it is really needed.
        from ortools.linear_solver import pywraplp

        self._sets = sets
        self._solver = pywraplp.Solver.CreateSolver("SCIP")
        self._uses = [
            self._solver.IntVar(0, problem.num_items, "") for _ in range(len(sets))
        ]
        rows = [
            self._solver.Constraint(
                item_type.count,
                item_type.count if exactly else self._solver.infinity(),
            )
            for item_type in problem.item_types
        ]
        for use, counts in zip(self._uses, sets, strict=True):
            for index, copies in counts:
                rows[index].SetCoefficient(use, copies)

    def limit_bins(self, most: int) -> None:
        row = self._solver.Constraint(0, most)
        for use in self._uses:
            row.SetCoefficient(use, 1)

    def minimize_bins(self) -> None:
        objective = self._solver.Objective()
        for use in self._uses:
            objective.SetCoefficient(use, 1)
        objective.SetMinimization()

    def maximize(self, worth: Sequence[float]) -> None:
        objective = self._solver.Objective()
        for use, each in zip(self._uses, worth, strict=True):
            objective.SetCoefficient(use, each)
        objective.SetMaximization()

    def solve(self, time_limit_s: float, seed: int) -> str:
        self._solver.SetTimeLimit(max(1, int(1000 * time_limit_s)))
        self._solver.SetSolverSpecificParametersAsString(
            f"randomization/randomseedshift = {seed}\n"
        )
        names = {
            self._solver.OPTIMAL: "OPTIMAL",
            self._solver.FEASIBLE: "FEASIBLE",
            self._solver.INFEASIBLE: "INFEASIBLE",
        }
        return names.get(self._solver.Solve(), "UNKNOWN")

    @property
    def bound(self) -> float:
        return float(self._solver.Objective().BestBound())

    def bins(self) -> tuple[Bin, ...]:
        return merge_bins(
            Bin(counts, round(use.solution_value()))
            for counts, use in zip(self._sets, self._uses, strict=True)
            if use.solution_value() > 0.5
        )
