"""Covering the items of a problem by the fewest listed sets.

A small problem by depth-first search, any other by an integer program.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, merge_bins
from gpupack.packing.items.patterns import drop_surplus
from gpupack.packing.runtime import new_program, solve_cp_model, solve_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.items.model import PackingProblem

    Counts = tuple[tuple[int, int], ...]
    """Pairs (item type index, number of copies ≥ 1), by type index."""

SCIP_ERROR = 1e-5
"""Relative, of bounds that SCIP reports; its tolerance is 1e-6 of a number."""
MAX_EXACT_EFFORT = 1.0
"""CP-SAT's deterministic time for an exact proof, about seconds."""
_MAX_SEARCHED_ITEMS = 24
_MAX_SEARCH_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Cover:
    """Bins that hold every item, none if no cover was found, and a proven bound."""

    bins: tuple[Bin, ...]
    bound: int


def search_cover(
    problem: PackingProblem, sets: Sequence[Counts], bound: int, upper: int
) -> Cover | None:
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
            bins = drop_surplus(Counter(found), problem.counts)
            return Cover(bins, num_bins)
        if steps_left <= 0:
            return None
    return Cover((), upper)


def cover_by_program(
    problem: PackingProblem,
    sets: Sequence[Counts],
    *,
    time_limit_s: float,
    seed: int,
    most_bins: int,
) -> Cover:
    """Return the fewest bins, at most ``most_bins``, by an integer program."""
    if time_limit_s <= 0:
        return Cover((), 0)
    program = SetProgram(problem, sets, exactly=False)
    program.limit_bins(most_bins)
    program.minimize_bins()
    status = program.solve(time_limit_s, seed)
    if status not in {"OPTIMAL", "FEASIBLE"}:
        return Cover((), 0)
    used = {one_bin.counts: one_bin.multiplicity for one_bin in program.bins()}
    return Cover(drop_surplus(used, problem.counts), _safe_ceil(program.bound))


def has_no_partition(
    problem: PackingProblem,
    sets: Sequence[Counts],
    *,
    most_bins: int,
    time_limit_s: float,
) -> bool:
    """Return whether whole numbers prove that so many sets cannot hold every item once.

    SCIP says so in floating point. False says nothing: time may have been too short.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    uses = [model.new_int_var(0, most_bins, "") for _ in sets]
    model.add(sum(uses) <= most_bins)
    held: list[list[cp_model.LinearExprT]] = [[] for _ in problem.item_types]
    for use, counts in zip(uses, sets, strict=True):
        for index, copies in counts:
            held[index].append(copies * use)
    for terms, item_type in zip(held, problem.item_types, strict=True):
        model.add(sum(terms) == item_type.count)
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = MAX_EXACT_EFFORT
    solver.parameters.max_time_in_seconds = max(0.01, time_limit_s)
    solver.parameters.num_workers = 1
    return bool(solve_cp_model(solver, model) == cp_model.INFEASIBLE)


def _safe_ceil(bound: float) -> int:
    """Round a bound up that SCIP's tolerance, 1e-6 of it, may have made too high."""
    return math.ceil(bound - SCIP_ERROR * max(1.0, bound))


class SetProgram:
    """How often each listed set is used, as an integer program for SCIP.

    CP-SAT proves these slowly: its linear relaxation, which is nearly tight with all
    columns written out, is not where it is strong.

    Args:
        problem: Whose items to cover.
        sets: What one bin may hold.
        exactly: Whether an item may not be covered more often than it is there.
    """

    def __init__(
        self, problem: PackingProblem, sets: Sequence[Counts], *, exactly: bool
    ) -> None:
        # Importing OR-Tools takes half a second: only when it is really needed.
        from ortools.linear_solver import pywraplp

        self._sets = sets
        self._pywraplp = pywraplp
        self._solver = new_program()
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
        """Allow at most so many bins."""
        row = self._solver.Constraint(0, most)
        for use in self._uses:
            row.SetCoefficient(use, 1)

    def minimize_bins(self) -> None:
        """Ask for the fewest bins."""
        objective = self._solver.Objective()
        for use in self._uses:
            objective.SetCoefficient(use, 1)
        objective.SetMinimization()

    def maximize(self, worth: Sequence[float]) -> None:
        """Ask for the most worth; one number per set."""
        objective = self._solver.Objective()
        for use, each in zip(self._uses, worth, strict=True):
            objective.SetCoefficient(use, each)
        objective.SetMaximization()

    def solve(self, time_limit_s: float, seed: int) -> str:
        """Solve and return the status: OPTIMAL, FEASIBLE, INFEASIBLE or UNKNOWN."""
        self._solver.SetTimeLimit(max(1, int(1000 * time_limit_s)))
        names = {
            self._solver.OPTIMAL: "OPTIMAL",
            self._solver.FEASIBLE: "FEASIBLE",
            self._solver.INFEASIBLE: "INFEASIBLE",
        }
        parameters = self._pywraplp.MPSolverParameters()
        # OR-Tools' default takes an answer for optimal that is 0.01 % worse.
        parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, 1e-9)
        status = solve_program(
            self._solver,
            parameters,
            settings=f"randomization/randomseedshift = {seed % 2**31}\n",
        )
        return names.get(status, "UNKNOWN")

    @property
    def bound(self) -> float:
        """What the last solve proved: no solution is better.

        In floating point: ``SCIP_ERROR`` is what it may be off by. Of numbers of bins
        ``cover_by_program`` takes that off; of worth it is told as it is, and counts as
        proved to one part in a million.
        """
        return float(self._solver.Objective().BestBound())

    def bins(self) -> tuple[Bin, ...]:
        """Return the sets used by the last solution."""
        return merge_bins(
            Bin(counts, round(use.solution_value()))
            for counts, use in zip(self._sets, self._uses, strict=True)
            if use.solution_value() > 0.5
        )
