"""The assignment model, on OR-Tools' CP-SAT solver."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, conflict_matrix, max_copies, merge_bins
from gpupack.packing.runtime import solve_cp_model

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from gpupack.packing.items.model import Ladder, PackingProblem

MAX_VARIABLES = 200_000
"""Item types × bins beyond which the model would not fit into the time limit."""


def improve_by_assignment(ladder: Ladder, *, time_limit_s: float = math.inf) -> None:
    """Look for fewer bins, or a proof that there are none, until the time is up.

    Variables count the copies of each item type in each bin; bins are ordered
    by use and by first load, mutually conflicting items are fixed to bins, and
    the best packing known is the hint.
    """
    problem = ladder.problem
    num_bins = ladder.num_bins - 1
    if problem.num_types * num_bins > MAX_VARIABLES or ladder.remaining_s < 0.05:
        return
    model = ItemAssignmentModel(problem, num_bins, ladder.bound)
    model.add_hint(ladder.bins)
    status = model.solve(
        time_limit_s=min(time_limit_s, ladder.remaining_s),
        seed=ladder.seed,
        num_workers=ladder.num_workers,
    )
    if status == "INFEASIBLE":
        ladder.raise_bound(ladder.num_bins)
        return
    ladder.raise_bound(min(model.bound(), ladder.num_bins))
    if status in {"OPTIMAL", "FEASIBLE"}:
        ladder.offer(model.packing())


class ItemAssignmentModel:
    """Counts of each item type in each of ``num_bins`` ordered bins."""

    def __init__(self, problem: PackingProblem, num_bins: int, bound: int) -> None:
        # Importing OR-Tools takes half a second: only when it is really needed.
        from ortools.sat.python import cp_model

        self._problem = problem
        self._num_bins = num_bins
        self._bound = bound
        self._model = cp_model.CpModel()
        self._solver = cp_model.CpSolver()
        copies = max_copies(problem).tolist()
        self._x: list[list[cp_model.IntVar]] = [
            [
                self._model.new_int_var(0, copies[item], f"x{item}_{one_bin}")
                for one_bin in range(num_bins)
            ]
            for item in range(problem.num_types)
        ]
        self._used = [
            self._model.new_bool_var(f"used{one_bin}") for one_bin in range(num_bins)
        ]
        self._add_constraints()

    def _add_constraints(self) -> None:
        model, problem, bins = self._model, self._problem, range(self._num_bins)
        for item, item_type in enumerate(problem.item_types):
            model.add(sum(self._x[item]) == item_type.count)
        for dimension, capacity in enumerate(problem.capacity):
            sizes = [item_type.sizes[dimension] for item_type in problem.item_types]
            for one_bin in bins:
                load = sum(
                    size * self._x[item][one_bin]
                    for item, size in enumerate(sizes)
                    if size
                )
                model.add(load <= capacity * self._used[one_bin])
        for one_bin in bins[1:]:
            model.add_implication(self._used[one_bin], self._used[one_bin - 1])
        for one_bin in bins[: self._bound]:
            model.add(self._used[one_bin] == 1)
        self._separate_conflicting_items()
        model.minimize(sum(self._used))

    def _separate_conflicting_items(self) -> None:
        """Fix the items of a conflict clique to bins 0, 1, ...: all are alike."""
        conflicts = conflict_matrix(self._problem)
        copies = max_copies(self._problem)
        clique: list[int] = []
        for item in range(self._problem.num_types):
            if all(conflicts[item, other] for other in clique):
                clique.append(item)
        next_bin = 0
        for item in clique:
            if copies[item] > 1:
                continue
            for _ in range(self._problem.item_types[item].count):
                if next_bin < self._num_bins:
                    self._model.add(self._x[item][next_bin] >= 1)
                next_bin += 1

    def add_hint(self, bins: tuple[Bin, ...]) -> None:
        """Start from a packing; bins beyond the model's are left out."""
        contents = [
            dict(one_bin.counts)
            for one_bin in bins
            for _ in range(one_bin.multiplicity)
        ]
        for one_bin, counts in enumerate(contents[: self._num_bins]):
            for item in range(self._problem.num_types):
                self._model.add_hint(self._x[item][one_bin], counts.get(item, 0))

    def solve(self, *, time_limit_s: float, seed: int, num_workers: int) -> str:
        """Solve and return CP-SAT's status name.

        Raises:
            KeyboardInterrupt: If the solve was interrupted.
        """
        parameters = self._solver.parameters
        parameters.max_time_in_seconds = time_limit_s
        parameters.random_seed = seed
        parameters.num_workers = num_workers
        return str(self._solver.status_name(solve_cp_model(self._solver, self._model)))

    def bound(self) -> int:
        """Return the bound that the last solve proved."""
        return max(self._bound, round(self._solver.best_objective_bound))

    def packing(self) -> tuple[Bin, ...]:
        """Return the packing of the last solve."""
        bins = []
        for one_bin in range(self._num_bins):
            counts = tuple(
                (item, int(self._solver.value(variables[one_bin])))
                for item, variables in enumerate(self._x)
                if self._solver.value(variables[one_bin])
            )
            if counts:
                bins.append(Bin(counts))
        return merge_bins(bins)
