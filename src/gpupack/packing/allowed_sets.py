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
_VALUE_SCALE = 1000
"""Values enter the integer program as thousandths."""


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
        cover = _cover(
            problem,
            _maximal(listed),
            time_limit_s=max(0.0, deadline - time.perf_counter()),
            seed=seed,
            num_workers=num_workers,
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
    num_workers: int | None = None,
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
        num_workers: Threads; all of the machine's cores if None.
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
    worth = [round(value(counts) * _VALUE_SCALE) for counts in listed]
    program = _SetProgram(problem, listed, exactly=True)
    program.limit_bins(max_bins)
    program.maximize(worth)
    status = program.solve(
        max(0.05, time_limit_s - (time.perf_counter() - started)), seed, num_workers
    )
    seconds = time.perf_counter() - started
    if status == "INFEASIBLE":
        return BestPartition(None, 0.0, 0.0, SolveStatus.OPTIMAL, seconds)
    upper = program.bound / _VALUE_SCALE
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

    def extend(counts: Counts, free: tuple[int, ...], first: int) -> bool:
        for index in range(first, len(item_types)):
            sizes = item_types[index].sizes
            left = free
            for copies in range(1, item_types[index].count + 1):
                left = tuple(
                    have - size for have, size in zip(left, sizes, strict=True)
                )
                grown = (*counts, (index, copies))
                if min(left) < 0 or not is_allowed(grown):
                    break
                if len(found) >= max_sets or (
                    deadline is not None and time.perf_counter() > deadline
                ):
                    return False
                found.append(grown)
                if not extend(grown, left, index + 1):
                    return False
        return True

    return found if extend((), problem.capacity, 0) else None


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


def _cover(
    problem: PackingProblem,
    sets: Sequence[Counts],
    *,
    time_limit_s: float,
    seed: int,
    num_workers: int | None,
    hint: tuple[Bin, ...],
) -> _Cover:
    if time_limit_s <= 0:
        return _Cover((), 0)
    program = _SetProgram(problem, sets, exactly=False)
    program.limit_bins(_num_bins(hint))
    program.minimize_bins()
    status = program.solve(time_limit_s, seed, num_workers)
    if status not in {"OPTIMAL", "FEASIBLE"}:
        return _Cover((), 0)
    return _Cover(_without_surplus(problem, program.bins()), round(program.bound))


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
    """How often each listed set is used, as an integer program for CP-SAT."""

    def __init__(
        self, problem: PackingProblem, sets: Sequence[Counts], *, exactly: bool
    ) -> None:
        # Importing OR-Tools takes half a second: only when it is really needed.
        from ortools.sat.python import cp_model

        self._sets = sets
        self._model = cp_model.CpModel()
        self._solver = cp_model.CpSolver()
        most = problem.num_items
        self._uses = [
            self._model.new_int_var(0, most, f"set{index}")
            for index in range(len(sets))
        ]
        by_item: list[list[cp_model.LinearExprT]] = [
            [] for _ in range(problem.num_types)
        ]
        for use, counts in zip(self._uses, sets, strict=True):
            for index, copies in counts:
                by_item[index].append(copies * use)
        for terms, item_type in zip(by_item, problem.item_types, strict=True):
            if exactly:
                self._model.add(sum(terms) == item_type.count)
            else:
                self._model.add(sum(terms) >= item_type.count)

    def limit_bins(self, most: int) -> None:
        self._model.add(sum(self._uses) <= most)

    def minimize_bins(self) -> None:
        self._model.minimize(sum(self._uses))

    def maximize(self, worth: Sequence[int]) -> None:
        self._model.maximize(
            sum(each * use for each, use in zip(worth, self._uses, strict=True))
        )

    def solve(self, time_limit_s: float, seed: int, num_workers: int | None) -> str:
        parameters = self._solver.parameters
        parameters.max_time_in_seconds = time_limit_s
        parameters.random_seed = seed
        if num_workers is not None:
            parameters.num_workers = num_workers
        return str(self._solver.status_name(self._solver.solve(self._model)))

    @property
    def bound(self) -> float:
        return float(self._solver.best_objective_bound)

    def bins(self) -> tuple[Bin, ...]:
        return merge_bins(
            Bin(counts, int(self._solver.value(use)))
            for counts, use in zip(self._sets, self._uses, strict=True)
            if self._solver.value(use)
        )
