"""Patterns: a filled bin with the service it gives; found greedily or exactly."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.configurations import Configuration, useful_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortools.sat.python import cp_model

    from gpupack.packing.capacity.problem import CapacityProblem, Counts

GRID = 10_000
"""Steps of service in exact pricing; rounding is outward, for the bound."""
MAX_RANKED = 60
SIZE_STEPS = 10_000_000
PRICING_GAP = 1e-4
"""Relative, at which exact pricing stops; its bound counts, not its pattern."""
VALUE_STEPS = 10_000_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A configuration, and the share of full copies that each option serves with.

    Args:
        configuration: The copies.
        loads: Per pair of the configuration: service ÷ rate, at most the copies;
            equal to the copies for whole jobs.
    """

    configuration: Configuration
    loads: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a pattern earns.

    Args:
        per_load: Per option: of serving at the full rate of one copy.
        per_copy: Per option: of one copy being there.
    """

    per_load: Sequence[float]
    per_copy: Sequence[float]

    def value(self, pattern: Pattern) -> float:
        """Return what a pattern is worth."""
        return math.fsum(
            self.per_load[option] * load + self.per_copy[option] * count
            for (option, count), load in zip(
                pattern.configuration.counts, pattern.loads, strict=True
            )
        )


class PatternFinder:
    """Finds valuable patterns of one bin type.

    Args:
        problem: What is planned.
        bin_type: Index of the bin type.
        seed: For the exact search.
    """

    def __init__(self, problem: CapacityProblem, bin_type: int, *, seed: int) -> None:
        self._problem = problem
        self._bin_type = bin_type
        self._seed = seed
        self.options = useful_options(problem, bin_type)
        capacity = problem.bin_types[bin_type].capacity
        self._fixed: dict[int, tuple[float, ...]] = {}
        self._loaded: dict[int, tuple[float, ...]] = {}
        self._most: dict[int, int] = {}
        self._most_load: dict[int, float] = {}
        for index in self.options:
            option = problem.options[index]
            self._fixed[index] = tuple(
                size / most if most else 0.0
                for size, most in zip(option.fixed, capacity, strict=True)
            )
            self._loaded[index] = tuple(
                size / most if most else 0.0
                for size, most in zip(option.proportional, capacity, strict=True)
            )
            self._most[index] = problem.most_copies(index)
            demand = problem.jobs[option.job].demand
            self._most_load[index] = (
                math.inf if demand is None else demand / option.rate
            )

        self._implied = self._find_implied()
        self._crowds: list[Counts] = []

    def _find_implied(self) -> frozenset[int]:
        """Return dimensions that hold whenever another does: they need no row."""
        implied: set[int] = set()
        every = range(self._problem.num_dimensions)
        for dimension in every:
            for other in every:
                if other == dimension or other in implied:
                    continue
                if all(
                    self._fixed[index][dimension] <= self._fixed[index][other]
                    and self._loaded[index][dimension] <= self._loaded[index][other]
                    for index in self.options
                ):
                    implied.add(dimension)
                    break
        return frozenset(implied)

    def greedy(
        self,
        prices: Prices,
        weights: Sequence[float],
        *,
        max_starts: int,
        open_shares: Sequence[float] | None = None,
    ) -> list[Pattern]:
        """Return patterns filled by value per weighted room.

        Args:
            prices: Of loads and copies.
            weights: Of each dimension, ≥ 0: what room in it is worth.
            max_starts: Patterns at most; each starts with another job.
            open_shares: Share of each job's demand, or copies, that is still open;
                all of it if left out.
        """
        density = {}
        for index in self.options:
            worth = prices.per_load[index] + prices.per_copy[index]
            if worth <= 0:
                continue
            room = sum(
                weight * (fixed + loaded)
                for weight, fixed, loaded in zip(
                    weights, self._fixed[index], self._loaded[index], strict=True
                )
            )
            density[index] = worth / max(room, 1e-9)
        ranked = sorted(density, key=lambda index: (-density[index], index))
        starts = {self._problem.options[index].job: index for index in reversed(ranked)}
        first = sorted(starts.values(), key=ranked.index)[:max_starts]
        # Beyond the best few dozen no option ever gets a turn.
        ranked = ranked[:MAX_RANKED]
        open_shares = open_shares or [1.0] * len(self._problem.jobs)
        patterns = [self._fill(start, ranked, prices, open_shares) for start in first]
        return [pattern for pattern in patterns if pattern is not None]

    def weights(self, prices: Prices) -> list[float]:
        """Return what room in each dimension is worth: the knapsack's dual values.

        Of its linear relaxation, in which copies, too, may be fractions.
        """
        from ortools.linear_solver import pywraplp

        lp = pywraplp.Solver.CreateSolver("GLOP")
        rows = [
            lp.RowConstraint(-lp.infinity(), 1.0, "")
            for _ in range(self._problem.num_dimensions)
        ]
        objective = lp.Objective()
        objective.SetMaximization()
        for index in self.options:
            worth = prices.per_load[index] + prices.per_copy[index]
            if worth <= 0:
                continue
            most = min(float(self._most[index]), self._most_load[index])
            copies = lp.NumVar(0, most if most > 0 else self._most[index], "")
            objective.SetCoefficient(copies, worth)
            for row, fixed, loaded in zip(
                rows, self._fixed[index], self._loaded[index], strict=True
            ):
                row.SetCoefficient(copies, fixed + loaded)
        lp.Solve()
        return [max(0.0, row.dual_value()) for row in rows]

    def _fill(
        self,
        start: int,
        ranked: Sequence[int],
        prices: Prices,
        open_shares: Sequence[float],
    ) -> Pattern | None:
        left = [1.0] * self._problem.num_dimensions
        loads: dict[int, float] = {}
        counts: dict[int, int] = {}
        wanted: dict[int, float] = {}
        for index in (start, *ranked):
            job = self._problem.options[index].job
            is_whole = self._problem.jobs[job].is_whole
            # The share of the job's demand (or of its copies) still open.
            open_share = wanted.get(job, open_shares[job])
            once = index == start and index not in counts
            while counts.get(index, 0) < self._most[index] and open_share > 1e-9:
                fixed, loaded = self._fixed[index], self._loaded[index]
                if not self._may_join(counts, index):
                    break
                if any(f > have + 1e-12 for f, have in zip(fixed, left, strict=True)):
                    break
                if is_whole:
                    load, used = 1.0, 1 / self._problem.jobs[job].copies
                else:
                    load = 1.0
                    if math.isfinite(self._most_load[index]):
                        load = min(load, open_share * self._most_load[index])
                    for size, f, have in zip(loaded, fixed, left, strict=True):
                        if size > 0:
                            load = min(load, max(0.0, (have - f) / size))
                    used = (
                        load / self._most_load[index] if self._most_load[index] else 1
                    )
                    worth = prices.per_load[index] * load + prices.per_copy[index]
                    if worth <= 1e-12:
                        break
                counts[index] = counts.get(index, 0) + 1
                loads[index] = loads.get(index, 0.0) + load
                open_share -= used
                wanted[job] = open_share
                for dimension, (f, size) in enumerate(zip(fixed, loaded, strict=True)):
                    left[dimension] -= f + size * load
                if once or load < 1.0:
                    break
        if not counts:
            return None
        pairs = tuple(sorted(counts.items()))
        return Pattern(
            Configuration(self._bin_type, pairs),
            tuple(loads[option] for option, _ in pairs),
        )

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
            for index in self.options
            if prices.per_load[index] > 1e-12 or prices.per_copy[index] > 1e-12
        ]
        if not options:
            return None, 0.0
        top = max(
            max(prices.per_load[index], prices.per_copy[index]) for index in options
        )
        model = cp_model.CpModel()
        copies = {i: model.new_int_var(0, self._most[i], "") for i in options}
        full = {i: min(1.0, self._most_load[i]) for i in options}
        load: dict[int, cp_model.IntVar] = {}
        rounded_up: dict[int, cp_model.IntVar] = {}
        terms = []
        for index in options:
            if abs(prices.per_copy[index]) > 1e-12:
                worth = math.ceil(prices.per_copy[index] / top * VALUE_STEPS)
                terms.append(worth * GRID * copies[index])
            if prices.per_load[index] > 1e-12 and full[index] > 0:
                most = min(self._most_load[index], self._most[index]) / full[index]
                load[index] = model.new_int_var(0, math.ceil(most * GRID), "")
                model.add(load[index] <= GRID * copies[index])
                worth = math.ceil(
                    prices.per_load[index] * full[index] / top * VALUE_STEPS
                )
                terms.append(worth * load[index])
                needed = math.ceil(self._most_load[index])
                if 1 < self._most_load[index] <= self._most[index]:
                    rounded_up[index] = model.new_bool_var("")
                    model.add(copies[index] >= needed * rounded_up[index])
        capacity = self._problem.bin_types[self._bin_type].capacity
        loaded_dimensions = sum(
            any(self._loaded[index][dimension] for index in load)
            for dimension in range(len(capacity))
            if dimension not in self._implied
        )
        for dimension, room in enumerate(capacity):
            if dimension in self._implied:
                continue
            sizes = {
                index: math.floor(
                    self._loaded[index][dimension] * full[index] * SIZE_STEPS
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
                math.floor(self._fixed[index][dimension] * SIZE_STEPS)
                * GRID
                * copies[index]
                for index in options
                if self._fixed[index][dimension]
            ]
            spare = loaded_dimensions * max(sizes.values())
            model.add(
                sum(total)
                <= SIZE_STEPS * GRID
                + spare
                + sum(sizes[index] * used for index, used in rounded_up.items())
            )
        model.maximize(sum(terms))
        for crowd in self._crowds:
            _forbid(model, copies, crowd)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = self._seed
        solver.parameters.max_time_in_seconds = max(time_limit_s, 0.01)
        solver.parameters.relative_gap_limit = PRICING_GAP
        deadline = time.perf_counter() + time_limit_s
        status = solver.solve(model)
        while status in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
            too_many = self._crowd(
                {index: int(solver.value(count)) for index, count in copies.items()}
            )
            left = deadline - time.perf_counter()
            if too_many is None or left <= 0:
                break
            self._crowds.append(too_many)
            _forbid(model, copies, too_many)
            solver.parameters.max_time_in_seconds = left
            status = solver.solve(model)
        scale = top / VALUE_STEPS / GRID
        most_worth = math.fsum(
            max(0.0, prices.per_copy[index]) * self._most[index]
            + prices.per_load[index]
            * min(self._most_load[index], float(self._most[index]))
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
            if prices.per_copy[index] > 1e-12
            else (index, min(count, math.ceil(wanted.get(index, 0.0) - 1e-9)))
            for index, count in pairs
        )
        pairs = tuple((index, count) for index, count in busy if count > 0)
        if not self._problem.is_allowed(self._bin_type, pairs):
            return None, bound
        configuration = Configuration(self._bin_type, pairs)
        return self._made_to_fit(configuration, wanted), bound

    def _may_join(self, counts: Mapping[int, int], option: int) -> bool:
        if self._problem.rule is None or not counts:
            return True
        joined = dict(counts)
        joined[option] = joined.get(option, 0) + 1
        return self._problem.is_allowed(self._bin_type, tuple(sorted(joined.items())))

    def _crowd(self, counts: Mapping[int, int]) -> Counts | None:
        """Return a smallest part of the copies that may not share a bin, if any."""

        def of(counts: Mapping[int, int]) -> Counts:
            return tuple(sorted((index, n) for index, n in counts.items() if n))

        if self._problem.is_allowed(self._bin_type, of(counts)):
            return None
        crowd = dict(counts)
        for index, count in counts.items():
            for _ in range(count):
                without = {**crowd, index: crowd[index] - 1}
                if self._problem.is_allowed(self._bin_type, of(without)):
                    break
                crowd = without
        return of(crowd)

    def _made_to_fit(
        self, configuration: Configuration, wanted: dict[int, float]
    ) -> Pattern:
        """Scale the loads of a rounded pattern down until they fit exactly."""
        left = [1.0] * self._problem.num_dimensions
        used = [0.0] * self._problem.num_dimensions
        loads = []
        for index, count in configuration.counts:
            is_whole = self._problem.jobs[self._problem.options[index].job].is_whole
            most = min(float(count), self._most_load[index])
            load = float(count) if is_whole else min(wanted.get(index, 0.0), most)
            loads.append(load)
            for dimension in range(len(left)):
                left[dimension] -= self._fixed[index][dimension] * count
                used[dimension] += self._loaded[index][dimension] * load
        factor = min(
            (
                max(0.0, have) / take
                for have, take in zip(left, used, strict=True)
                if take > max(0.0, have)
            ),
            default=1.0,
        )
        return Pattern(
            configuration,
            tuple(
                load
                if self._problem.jobs[self._problem.options[index].job].is_whole
                else load * factor
                for (index, _), load in zip(configuration.counts, loads, strict=True)
            ),
        )


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
