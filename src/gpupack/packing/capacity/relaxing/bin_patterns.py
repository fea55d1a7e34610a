"""Patterns: a filled bin with the service it gives; found greedily here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, fixed_room_left, shapes_of
from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.packing.capacity.model import CapacityProblem

ROUNDING = 1e-9
"""Relative, of sums of floats."""
MAX_FILLED_IN = 2_000
"""Copies of an option in one greedy pattern: those that take no room have no end."""
MAX_RANKED = 60
LEAST_LOAD = 1e-9
"""Share of a copy's rate below which a load is rounding."""


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
        problem: Whose patterns.
        per_load: Per option: of serving at the full rate of one copy.
        per_copy: Per option: of one copy being there.
        per_wanted: Per job, ≥ 0: of a copy, for as many as the job must have. A bin
            that has them all does enough for that need, so further ones earn nothing.
    """

    problem: CapacityProblem
    per_load: Sequence[float]
    per_copy: Sequence[float]
    per_wanted: Sequence[float]

    def value(self, pattern: Pattern) -> float:
        """Return what a pattern is worth."""
        earned = []
        held: dict[int, int] = {}
        for (option, count), load in zip(
            pattern.configuration.counts, pattern.loads, strict=True
        ):
            earned.append(self.per_load[option] * load + self.per_copy[option] * count)
            job = self.problem.options[option].job
            held[job] = held.get(job, 0) + count
        for job, count in held.items():
            wanted = min(count, self.problem.jobs[job].copies)
            earned.append(self.per_wanted[job] * wanted)
        return math.fsum(earned)

    def of_first_copy(self, option: int) -> float:
        """Return what the first copy of a job earns by being there, as this option."""
        return self.per_copy[option] + self.per_wanted[self.problem.options[option].job]


class PatternFinder:
    """Finds valuable patterns of one bin type.

    Args:
        problem: What is planned.
        bin_type: Index of the bin type.
    """

    def __init__(self, problem: CapacityProblem, bin_type: int) -> None:
        self._problem = problem
        self._bin_type = bin_type
        self._shapes = shapes_of(problem, bin_type)

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
        for index in self._shapes.options:
            worth = prices.per_load[index] + prices.of_first_copy(index)
            if worth <= 0:
                continue
            room = sum(
                weight * (fixed + loaded)
                for weight, fixed, loaded in zip(
                    weights,
                    self._shapes.fixed[index],
                    self._shapes.loaded[index],
                    strict=True,
                )
            )
            density[index] = worth / max(room, 1e-9)
        ranked = sorted(density, key=lambda index: (-density[index], index))
        starts: dict[int, int] = {}
        for index in ranked:
            starts.setdefault(self._problem.options[index].job, index)
        first = list(starts.values())[:max_starts]
        # Beyond the best few dozen no option ever gets a turn.
        ranked = ranked[:MAX_RANKED]
        open_shares = open_shares or [1.0] * len(self._problem.jobs)
        patterns = [self._fill(start, ranked, prices, open_shares) for start in first]
        return [pattern for pattern in patterns if pattern is not None]

    def weights(self, prices: Prices, *, deadline: float = math.inf) -> list[float]:
        """Return what room in each dimension is worth: the knapsack's dual values.

        Of its linear relaxation, in which copies, too, may be fractions.

        Args:
            prices: Of loads and copies.
            deadline: On the clock of ``time.perf_counter``.
        """
        from ortools.linear_solver import pywraplp

        lp = pywraplp.Solver.CreateSolver("GLOP")
        rows = [
            lp.RowConstraint(-lp.infinity(), 1.0, "")
            for _ in range(self._problem.num_dimensions)
        ]
        objective = lp.Objective()
        objective.SetMaximization()
        for index in self._shapes.options:
            worth = prices.per_load[index] + prices.of_first_copy(index)
            if worth <= 0:
                continue
            most = min(float(self._shapes.most[index]), self._shapes.most_load[index])
            copies = lp.NumVar(0, most if most > 0 else self._shapes.most[index], "")
            objective.SetCoefficient(copies, worth)
            for row, fixed, loaded in zip(
                rows, self._shapes.fixed[index], self._shapes.loaded[index], strict=True
            ):
                row.SetCoefficient(copies, fixed + loaded)
        if not solve_linear(lp, deadline=deadline):
            return [1.0] * len(rows)  # weights steer a search; any will do
        return [max(0.0, row.dual_value()) for row in rows]

    def bound(self, prices: Prices, weights: Sequence[float]) -> float:
        """Return a value that no pattern exceeds, from what room is worth.

        Any weights ≥ 0 give one: room for the weights buys the whole bin, and each
        option adds at most what it earns beyond the room that it takes.
        """
        earned = [math.fsum(weights)]
        for index in self._shapes.options:
            fixed, loaded = self._shapes.fixed[index], self._shapes.loaded[index]
            of_copy = prices.of_first_copy(index) - sum(map(mul, weights, fixed))
            of_load = prices.per_load[index] - sum(map(mul, weights, loaded))
            most = float(self._shapes.most[index])
            most_load = min(most, self._shapes.most_load[index])
            if of_copy > 0:
                earned.append(of_copy * most + max(0.0, of_load) * most_load)
            elif of_copy + of_load > 0:
                earned.append((of_copy + of_load) * most_load)
        return math.fsum(earned) * (1 + ROUNDING)

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
        held: dict[int, int] = {}
        for index in (start, *ranked):
            job = self._problem.options[index].job
            is_whole = self._problem.jobs[job].is_whole
            # The share of the job's demand (or of its copies) still open.
            open_share = wanted.get(job, open_shares[job])
            once = index == start and index not in counts
            most = min(self._shapes.most[index], MAX_FILLED_IN)
            while counts.get(index, 0) < most and open_share > 1e-9:
                fixed, loaded = self._shapes.fixed[index], self._shapes.loaded[index]
                if not self._may_join(counts, index):
                    break
                if any(f > have + 1e-12 for f, have in zip(fixed, left, strict=True)):
                    break
                if is_whole:
                    load, used = 1.0, 1 / self._problem.jobs[job].copies
                else:
                    load = 1.0
                    if math.isfinite(self._shapes.most_load[index]):
                        load = min(load, open_share * self._shapes.most_load[index])
                    for size, f, have in zip(loaded, fixed, left, strict=True):
                        if size > 0:
                            load = min(load, max(0.0, (have - f) / size))
                    used = (
                        load / self._shapes.most_load[index]
                        if self._shapes.most_load[index]
                        else 1
                    )
                    worth = prices.per_load[index] * load + prices.per_copy[index]
                    if held.get(job, 0) < self._problem.jobs[job].copies:
                        worth += prices.per_wanted[job]
                    if worth <= 1e-12:
                        break
                counts[index] = counts.get(index, 0) + 1
                held[job] = held.get(job, 0) + 1
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

    def _may_join(self, counts: Mapping[int, int], option: int) -> bool:
        if self._problem.rule is None or not counts:
            return True
        joined = dict(counts)
        joined[option] = joined.get(option, 0) + 1
        return self._problem.is_allowed(self._bin_type, tuple(sorted(joined.items())))


def made_to_fit(
    problem: CapacityProblem, configuration: Configuration, wanted: Mapping[int, float]
) -> Pattern:
    """Return the pattern with the loads wanted, scaled down until they fit exactly.

    Args:
        problem: What is planned.
        configuration: The copies.
        wanted: Load by option, in full copies; those of whole jobs are full.
    """
    capacity = problem.bin_types[configuration.bin_type].capacity
    left = list(fixed_room_left(problem, configuration))
    used = [0.0] * len(capacity)
    loads = []
    for index, count in configuration.counts:
        option = problem.options[index]
        demand = problem.jobs[option.job].demand
        if demand is None:
            loads.append(float(count))
            continue
        load = min(wanted.get(index, 0.0), float(count), demand / option.rate)
        if load < LEAST_LOAD:
            load = 0.0  # or rounding, where no room is left, would take away the others
        loads.append(load)
        for dimension, size in enumerate(option.proportional):
            used[dimension] += size * load
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
            load if problem.jobs[problem.options[index].job].is_whole else load * factor
            for (index, _), load in zip(configuration.counts, loads, strict=True)
        ),
    )


def weightings(weights: list[float]) -> list[list[float]]:
    """Return what room is worth, and variations: each dimension more, each less."""
    total = sum(weights)
    if len(weights) == 1 or total <= 0:
        return [[1.0] * len(weights)]
    floor = 0.02 * total
    base = [max(weight, floor) for weight in weights]
    varied = [base]
    for dimension in range(len(base)):
        for factor in (0.5, 2.0):
            other = list(base)
            other[dimension] *= factor
            varied.append(other)
    return varied
