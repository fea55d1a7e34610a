"""The plain model, bin by bin, on OR-Tools' CP-SAT solver: for plans of few bins.

Copies and loads of every option in every bin. Loads are counted in steps, rounded
outward, so that its bound holds for continuous service; what it finds is a choice of
configurations, and how they share out service is left to the program over them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, useful_options
from gpupack.packing.capacity.relaxing import keep_within
from gpupack.packing.runtime import solve_cp_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.model import CapacityProblem, FilledBin, Goal

STEPS = 1000
"""Of a copy's load."""
SIZE_STEPS = 1_000_000
MAX_VARIABLES = 6_000
"""Options × bins beyond which the model is not worth building."""


@dataclass(frozen=True)
class AssignmentResult:
    """What the plain model found.

    Args:
        bound: No plan costs less; infinite if there is none below the cap.
        uses: Configurations and numbers of bins, None if none was found.
    """

    bound: float
    uses: tuple[tuple[Configuration, int], ...] | None


class AssignmentModel:
    """Copies and loads of every option in every bin, for goals that serve in full.

    Of a rule it knows what copies have in common (``problem.overlaps``), in place of
    the sizes in that dimension. Its bound holds where there is more to know, but what
    it finds may then break the rule, or overflow.

    Args:
        problem: What is planned.
        goal: Counts bins or cost.
        max_value: Only plans of at most this value.
        lower_bound: Proven before.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        *,
        max_value: int,
        lower_bound: int,
    ) -> None:
        from ortools.sat.python import cp_model

        self._problem = problem
        self._model = cp_model.CpModel()
        self._bins: list[tuple[int, cp_model.IntVar, dict[int, cp_model.IntVar]]] = []
        copies: list[list[cp_model.IntVar]] = [[] for _ in problem.jobs]
        service: list[list[cp_model.LinearExprT]] = [[] for _ in problem.jobs]
        prices = problem.prices(goal)
        for bin_type, price in enumerate(prices):
            options = useful_options(problem, bin_type)
            previous: cp_model.IntVar | None = None
            for _ in range(_most_bins(problem, bin_type, price, max_value)):
                used = self._model.new_bool_var("")
                counts = self._add_bin(bin_type, options, used, copies, service)
                if previous is not None:
                    self._model.add_implication(used, previous)
                previous = used
                self._bins.append((bin_type, used, counts))
        self._add_jobs(copies, service)
        value = sum(prices[bin_type] * used for bin_type, used, _ in self._bins)
        self._model.add(value <= max_value)
        self._model.add(value >= lower_bound)
        if problem.budget is not None:
            cost = sum(
                problem.bin_types[bin_type].cost * used
                for bin_type, used, _ in self._bins
            )
            self._model.add(cost <= problem.budget)
        self._copies = copies
        self._model.minimize(value)

    def ask_for_fewest_copies(self, bins: Sequence[FilledBin]) -> None:
        """Ask for the fewest copies of jobs with a demand, in place of the goal.

        Of those plans for one with the fewest copies beside another of their job.

        Args:
            bins: A plan that what is found must not be worse than: in the number of
                bins, their cost, or what jobs of whole copies yield.
        """
        problem, model = self._problem, self._model
        model.add(
            sum(used for _, used, _ in self._bins)
            <= sum(one.multiplicity for one in bins)
        )
        model.add(
            sum(problem.bin_types[kind].cost * used for kind, used, _ in self._bins)
            <= sum(
                problem.bin_types[one.bin_type].cost * one.multiplicity for one in bins
            )
        )
        is_whole = [problem.jobs[one.job].is_whole for one in problem.options]
        model.add(
            sum(
                problem.options[index].rate * count
                for _, _, counts in self._bins
                for index, count in counts.items()
                if is_whole[index]
            )
            >= sum(
                problem.options[group.option].rate * group.num_copies * one.multiplicity
                for one in bins
                for group in one.copies
                if is_whole[group.option]
            )
        )
        there = {
            problem.options[group.option].job for one in bins for group in one.copies
        }
        for index, of_job in enumerate(self._copies):
            if problem.jobs[index].is_optional:
                model.add(sum(of_job) >= (1 if index in there else 0))
        num_copies = [
            count
            for job, of_job in zip(problem.jobs, self._copies, strict=True)
            for count in of_job
            if not job.is_whole
        ]
        beside, most = self._add_copies_beside_others()
        terms: list[cp_model.LinearExprT] = [(most + 1) * one for one in num_copies]
        model.minimize(sum([*terms, *beside]))

    def _add_copies_beside_others(self) -> tuple[list[cp_model.IntVar], int]:
        """Return the copies in a bin with another of their job, and how many may be."""
        problem, model = self._problem, self._model
        total: list[cp_model.IntVar] = []
        most = 0
        for _, _, counts in self._bins:
            of_job: dict[int, list[int]] = {}
            for index in counts:
                job = problem.options[index].job
                if not problem.jobs[job].is_whole:
                    of_job.setdefault(job, []).append(index)
            for indices in of_job.values():
                highest = sum(problem.most_copies(index) for index in indices) - 1
                if highest <= 0:
                    continue
                more = model.new_int_var(0, highest, "")
                model.add(more >= sum(counts[index] for index in indices) - 1)
                total.append(more)
                most += highest
        return total, most

    def _add_bin(
        self,
        bin_type: int,
        options: tuple[int, ...],
        used: cp_model.IntVar,
        copies: list[list[cp_model.IntVar]],
        service: list[list[cp_model.LinearExprT]],
    ) -> dict[int, cp_model.IntVar]:
        problem, model = self._problem, self._model
        capacity = problem.bin_types[bin_type].capacity
        counts: dict[int, cp_model.IntVar] = {}
        loads: dict[int, cp_model.IntVar] = {}
        for index in options:
            option = problem.options[index]
            demand = problem.jobs[option.job].demand
            most = problem.most_copies(index)
            counts[index] = model.new_int_var(0, most, "")
            copies[option.job].append(counts[index])
            if demand:
                highest = math.ceil(min(most, demand / option.rate) * STEPS)
                loads[index] = model.new_int_var(0, highest, "")
                model.add(loads[index] <= STEPS * counts[index])
                share = math.ceil(option.rate / demand * SIZE_STEPS)
                service[option.job].append(share * loads[index])
        overlaps = [one for one in problem.overlaps if one.bin_type == bin_type]
        for overlap in overlaps:
            most_of = {index: problem.most_copies(index) for index in options}
            room = capacity[overlap.dimension]
            keep_within(model, counts, overlap, room, most=most_of)
        said = {one.dimension for one in overlaps}
        for dimension, room in enumerate(capacity):
            if dimension in said:
                # Sizes are what copies take at least; a second row of much the same
                # takes CP-SAT up to four times as long.
                continue
            fixed = [
                (problem.options[index].fixed[dimension], index) for index in options
            ]
            loaded = {
                index: problem.options[index].proportional[dimension]
                for index in loads
                if problem.options[index].proportional[dimension]
            }
            if not loaded:
                terms = [size * counts[index] for size, index in fixed if size]
                if terms:
                    model.add(sum(terms) <= room * used)
                continue
            total: list[cp_model.LinearExprT] = []
            for size, index in fixed:
                if size:
                    steps = size * SIZE_STEPS // room
                    total.append(steps * STEPS * counts[index])
            for index, size in loaded.items():
                steps = size * SIZE_STEPS // room
                # A load rounded up to a step may be one step too much per option.
                busy = model.new_bool_var("")
                model.add(loads[index] <= STEPS * problem.most_copies(index) * busy)
                total.append(steps * loads[index] - steps * busy)
            model.add(sum(total) <= SIZE_STEPS * STEPS * used)
        for count in counts.values():
            model.add(count == 0).only_enforce_if(~used)
        return counts

    def _add_jobs(
        self,
        copies: list[list[cp_model.IntVar]],
        service: list[list[cp_model.LinearExprT]],
    ) -> None:
        for job, of_job, served in zip(
            self._problem.jobs, copies, service, strict=True
        ):
            if job.is_whole:
                self._model.add(sum(of_job) <= job.copies)
            if job.max_copies is not None:
                self._model.add(sum(of_job) <= job.max_copies)
            if job.is_optional:
                continue
            self._model.add(sum(of_job) >= job.copies)
            if job.demand:
                self._model.add(sum(served) >= SIZE_STEPS * STEPS)

    def solve(
        self,
        *,
        time_limit_s: float,
        seed: int,
        num_workers: int,
        effort: float = math.inf,
    ) -> AssignmentResult:
        """Return what was found within the time limit.

        Args:
            time_limit_s: Wall time.
            seed: For every random choice.
            num_workers: Threads.
            effort: CP-SAT's deterministic time, about seconds: with one worker the same
                is found wherever this ends the search, and not the clock.
        """
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = time_limit_s
        solver.parameters.max_deterministic_time = effort
        solver.parameters.random_seed = seed
        solver.parameters.num_workers = num_workers
        status = solve_cp_model(solver, self._model)
        if status == cp_model.INFEASIBLE:
            return AssignmentResult(math.inf, None)
        bound = solver.best_objective_bound
        if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
            return AssignmentResult(bound, None)
        uses: dict[Configuration, int] = {}
        for bin_type, used, counts in self._bins:
            pairs = tuple(
                (index, int(solver.value(count)))
                for index, count in sorted(counts.items())
                if solver.value(count)
            )
            if solver.value(used) and pairs:
                one = Configuration(bin_type, pairs)
                uses[one] = uses.get(one, 0) + 1
        return AssignmentResult(bound, tuple(sorted(uses.items())))

    @property
    def num_bins(self) -> int:
        """Bins in the model, used or not."""
        return len(self._bins)


def is_worth_it(problem: CapacityProblem, goal: Goal, max_value: int) -> bool:
    """Return whether the plain model would be small enough to help.

    It does not under a rule of which it knows nothing.
    """
    prices = problem.prices(goal)
    is_unknown = problem.rule is not None and not problem.overlaps
    if is_unknown or any(price <= 0 for price in prices):
        return False
    total = sum(
        len(useful_options(problem, bin_type))
        * _most_bins(problem, bin_type, price, max_value)
        for bin_type, price in enumerate(prices)
    )
    return total <= MAX_VARIABLES


def _most_bins(
    problem: CapacityProblem, bin_type: int, price: int, max_value: int
) -> int:
    affordable = max_value // max(1, price)
    count = problem.bin_types[bin_type].count
    return affordable if count is None else min(count, affordable)
