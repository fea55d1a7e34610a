"""Pricing on CP-SAT: for bins whose copies must follow a rule.

Slower than the compiled search by far, but it can ask the rule; and what a bin is
worth when compiled code is not ready yet.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, shapes_of
from gpupack.packing.capacity.relaxing.bin_patterns import made_to_fit
from gpupack.packing.runtime import most_true, solve_cp_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.model import CapacityProblem, Counts, Overlap
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern, Prices

    Needs = Sequence[tuple[int, int]]

GRID = 10_000
"""Steps of service; rounding is outward, for the bound."""
SIZE_STEPS = 10_000_000
PRICING_GAP = 1e-4
"""Relative, at which pricing stops; its bound counts, not its pattern."""
VALUE_STEPS = 10_000_000
MAX_CROWDS = 2_000
"""Sets known to be forbidden. With so many no more are looked for: patterns that the
rule forbids are then not returned, and the bound may be that of one."""


class ModelPricer:
    """Finds the most valuable pattern of one bin type.

    Args:
        problem: What is planned.
        bin_type: Index of the bin type.
        seed: For the search.
    """

    def __init__(self, problem: CapacityProblem, bin_type: int, *, seed: int) -> None:
        self._problem = problem
        self._bin_type = bin_type
        self._seed = seed
        self._shapes = shapes_of(problem, bin_type)
        self._crowds: list[Counts] = []

    def best(
        self, prices: Prices, *, time_limit_s: float
    ) -> tuple[Pattern | None, float]:
        """Return a most valuable pattern, and what no pattern can exceed.

        Service is counted in steps, ``GRID`` of them in a full copy, or in all the
        service that is wanted if that is less. Sizes are rounded down, values up.
        For given copies some best loads are a vertex: all but one load per dimension
        is zero, full, or all that is wanted. So each dimension has room for as many
        loads to be rounded up by one step, and one more for a load of several copies
        that meets its whole demand; the bound then holds for continuous service.
        """
        from ortools.sat.python import cp_model

        options = [
            index
            for index in self._shapes.options
            if prices.per_load[index] > 1e-12 or prices.of_first_copy(index) > 1e-12
        ]
        if not options:
            return None, 0.0
        top = max(
            max(prices.per_load[index], prices.of_first_copy(index))
            for index in options
        )
        model = cp_model.CpModel()
        copies = {i: model.new_int_var(0, self._shapes.most[i], "") for i in options}
        full = {i: min(1.0, self._shapes.most_load[i]) for i in options}
        load: dict[int, cp_model.IntVar] = {}
        rounded_up: dict[int, cp_model.IntVar] = {}
        terms = []
        for index in options:
            if abs(prices.per_copy[index]) > 1e-12:
                worth = math.ceil(prices.per_copy[index] / top * VALUE_STEPS)
                terms.append(worth * GRID * copies[index])
            if prices.per_load[index] > 1e-12 and full[index] > 0:
                most = (
                    min(self._shapes.most_load[index], self._shapes.most[index])
                    / full[index]
                )
                load[index] = model.new_int_var(0, math.ceil(most * GRID), "")
                model.add(load[index] <= GRID * copies[index])
                worth = math.ceil(
                    prices.per_load[index] * full[index] / top * VALUE_STEPS
                )
                terms.append(worth * load[index])
                needed = math.ceil(self._shapes.most_load[index])
                if 1 < self._shapes.most_load[index] <= self._shapes.most[index]:
                    rounded_up[index] = model.new_bool_var("")
                    model.add(copies[index] >= needed * rounded_up[index])
        for job in {self._problem.options[index].job for index in options}:
            if prices.per_wanted[job] > 1e-12:
                # Copies that the job must have earn, further ones do not.
                credited = model.new_int_var(0, self._problem.jobs[job].copies, "")
                model.add(
                    credited
                    <= sum(
                        copies[index]
                        for index in options
                        if self._problem.options[index].job == job
                    )
                )
                worth = math.ceil(prices.per_wanted[job] / top * VALUE_STEPS)
                terms.append(worth * GRID * credited)
        capacity = self._problem.bin_types[self._bin_type].capacity
        loaded_dimensions = sum(
            any(self._shapes.loaded[index][dimension] for index in load)
            for dimension in range(len(capacity))
            if dimension not in self._shapes.implied
        )
        for dimension, room in enumerate(capacity):
            if dimension in self._shapes.implied:
                continue
            sizes = {
                index: math.floor(
                    self._shapes.loaded[index][dimension] * full[index] * SIZE_STEPS
                )
                for index in load
            }
            if not any(sizes.values()):
                # Nothing in proportion here: exact integers.
                model.add(
                    sum(
                        self._problem.options[index].fixed[dimension] * copies[index]
                        for index in options
                        if self._problem.options[index].fixed[dimension]
                    )
                    <= room
                )
                continue
            total = [sizes[index] * load[index] for index in load if sizes[index]]
            total += [
                math.floor(self._shapes.fixed[index][dimension] * SIZE_STEPS)
                * GRID
                * copies[index]
                for index in options
                if self._shapes.fixed[index][dimension]
            ]
            spare = loaded_dimensions * max(sizes.values())
            model.add(
                sum(total)
                <= SIZE_STEPS * GRID
                + spare
                + sum(sizes[index] * used for index, used in rounded_up.items())
            )
        for overlap in self._problem.overlaps:
            if overlap.bin_type == self._bin_type:
                keep_within(model, copies, overlap, capacity[overlap.dimension])
        model.maximize(sum(terms))
        for crowd in self._crowds:
            _forbid(model, copies, crowd)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = self._seed
        solver.parameters.max_time_in_seconds = max(time_limit_s, 0.01)
        solver.parameters.relative_gap_limit = PRICING_GAP
        deadline = time.perf_counter() + time_limit_s
        status = solve_cp_model(solver, model)
        while status in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
            too_many = self._crowd(
                {index: int(solver.value(count)) for index, count in copies.items()}
            )
            left = deadline - time.perf_counter()
            if too_many is None or left <= 0 or len(self._crowds) >= MAX_CROWDS:
                break
            self._crowds.append(too_many)
            _forbid(model, copies, too_many)
            solver.parameters.max_time_in_seconds = left
            status = solve_cp_model(solver, model)
        scale = top / VALUE_STEPS / GRID
        most_worth = math.fsum(
            max(0.0, prices.of_first_copy(index)) * self._shapes.most[index]
            + prices.per_load[index]
            * min(self._shapes.most_load[index], float(self._shapes.most[index]))
            for index in options
        )
        # CP-SAT's bound is exact up to rounding of its float; one step covers it.
        bound = (solver.best_objective_bound * (1 + 1e-9) + 1) * scale
        if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
            # A search that was cut short before its first solution may have no bound.
            return None, most_worth if status == cp_model.UNKNOWN else 0.0
        pairs = tuple(
            sorted(
                (index, int(solver.value(count)))
                for index, count in copies.items()
                if solver.value(count)
            )
        )
        if not pairs:
            return None, bound
        wanted = {
            index: solver.value(steps) / GRID * full[index]
            for index, steps in load.items()
        }
        busy = tuple(
            (index, count)
            if prices.of_first_copy(index) > 1e-12
            else (index, min(count, math.ceil(wanted.get(index, 0.0) - 1e-9)))
            for index, count in pairs
        )
        pairs = tuple((index, count) for index, count in busy if count > 0)
        if not self._problem.is_allowed(self._bin_type, pairs):
            return None, bound
        configuration = Configuration(self._bin_type, pairs)
        return made_to_fit(self._problem, configuration, wanted), bound

    def _crowd(self, counts: Mapping[int, int]) -> Counts | None:
        """Return a smallest part of the copies that may not share a bin, if any."""

        def of(counts: Mapping[int, int]) -> Counts:
            return tuple(sorted((index, n) for index, n in counts.items() if n))

        if self._problem.is_allowed(self._bin_type, of(counts)):
            return None
        crowd = {index: n for index, n in counts.items() if n}
        for index in list(crowd):
            # As few copies as are too many beside the others.
            others = {one: n for one, n in crowd.items() if one != index}
            if not self._problem.is_allowed(self._bin_type, of(others)):
                crowd = others
                continue

            def may_share(
                copies: int, index: int = index, others: Mapping[int, int] = others
            ) -> bool:
                return self._problem.is_allowed(
                    self._bin_type, of({**others, index: copies})
                )

            crowd[index] = most_true(may_share, crowd[index]) + 1
        return of(crowd)


def keep_within(
    model: cp_model.CpModel,
    copies: Mapping[int, cp_model.IntVar],
    overlap: Overlap,
    room: int,
    *,
    most: Mapping[int, int] | None = None,
) -> None:
    """Let copies take no more room than there is, what they have in common once.

    Packing items that overlap is known as pagination: pages of symbols, virtual
    machines that share pages of memory.

    Args:
        model: To which rows are added.
        copies: Of each option that may be in the bin.
        overlap: What they have in common.
        room: Of the bin.
        most: Copies of each option at most, if known: rows of yes or no, which are
            searched faster, say the same of single copies.

    References:
        Sindelar, Sitaraman and Shenoy, "Sharing-aware algorithms for virtual machine
        colocation", SPAA 2011.
    """
    total: list[cp_model.LinearExprT] = [
        size * copies[index] for index, size in overlap.own if index in copies
    ]
    for part in overlap.parts:
        needs = [[one for one in job if one[0] in copies] for job in part]
        if most is not None and all(_is_single(one, most) for one in needs):
            total += _levels(model, copies, [one for job in needs for one in job])
            continue
        taken = model.new_int_var(0, room, "")
        for job in needs:
            model.add(taken >= sum(size * copies[index] for index, size in job))
        total.append(taken)
    model.add(sum(total) <= room)


def _is_single(needs: Needs, most: Mapping[int, int]) -> bool:
    """Return whether a job takes nothing, or what one copy of one option needs."""
    return not needs or (
        len(needs) == 1 and most[needs[0][0]] == 1 and needs[0][1] >= 0
    )


def _levels(
    model: cp_model.CpModel, copies: Mapping[int, cp_model.IntVar], needs: Needs
) -> list[cp_model.LinearExprT]:
    """Return what single copies take together, the most that one of them needs.

    In levels: one for each need, reached where a copy is there that needs as much.
    """
    found: list[cp_model.LinearExprT] = []
    below, lower = 0, None
    for level in sorted({size for _, size in needs if size}):
        is_reached = model.new_bool_var("")
        for index, size in needs:
            if size == level:
                model.add(copies[index] <= is_reached)
        if lower is not None:
            model.add_implication(is_reached, lower)
        found.append((level - below) * is_reached)
        below, lower = level, is_reached
    return found


def _forbid(
    model: cp_model.CpModel, copies: Mapping[int, cp_model.IntVar], crowd: Counts
) -> None:
    """Rule out these copies together, and whatever has them and more."""
    if any(index not in copies for index, _ in crowd):
        return
    fewer = []
    for index, count in crowd:
        is_fewer = model.new_bool_var("")
        model.add(copies[index] <= count - 1).only_enforce_if(is_fewer)
        fewer.append(is_fewer)
    model.add_bool_or(fewer)
