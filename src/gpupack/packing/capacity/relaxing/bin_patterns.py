# Long because what patterns are, earn and are found by belongs together.
"""Patterns: a filled bin with the service it gives; found greedily here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from operator import gt
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from gpupack.packing.capacity.model import (
    Configuration,
    Knapsack,
    fixed_room_left,
    shapes_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem

ROUNDING = 1e-9
"""Relative, of sums of floats."""
MAX_FILLED_IN = 2_000
"""Copies of an option in one greedy pattern: those that take no room have no end."""
MAX_RANKED = 60
LEAST_ROOM = LEAST_OPEN = 1e-9
"""Share of a bin that an option counts as taking; of a need, below which it is met."""
LEAST_WORTH = FITTING = 1e-12
LEAST_LOAD = 1e-9
"""Share of a copy's rate below which a load is rounding."""
FIRST_ROOM = 1_024
"""Numbers in an array before it grows."""
Number = TypeVar("Number", np.int64, np.float64)


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


class KnownPatterns:
    """Patterns in flat arrays, which a relaxation of thousands of them adds up quickly.

    Args:
        problem: Whose patterns.
    """

    def __init__(self, problem: CapacityProblem) -> None:
        self._problem = problem
        self._num_patterns = 0
        self._bin_type = _Numbers(np.int64)
        # One entry per option of each pattern.
        self._start = _Numbers(np.int64)
        self._option = _Numbers(np.int64)
        self._load = _Numbers(np.float64)
        self._count = _Numbers(np.float64)
        # One entry per job of each pattern.
        self._start_of_jobs = _Numbers(np.int64)
        self._job = _Numbers(np.int64)
        self._wanted = _Numbers(np.float64)

    def add(self, patterns: Collection[Pattern]) -> None:
        """Add those that are new.

        Args:
            patterns: In an order in which those of earlier calls come first.
        """
        for pattern in islice(patterns, self._num_patterns, None):
            self._add(pattern)
        self._num_patterns = max(self._num_patterns, len(patterns))

    def _add(self, pattern: Pattern) -> None:
        problem = self._problem
        counts = pattern.configuration.counts
        held: dict[int, int] = {}
        for option, count in counts:
            job = problem.options[option].job
            held[job] = held.get(job, 0) + count
        self._bin_type.extend([pattern.configuration.bin_type])
        self._start.extend([len(self._option)])
        self._option.extend([option for option, _ in counts])
        self._count.extend([count for _, count in counts])
        self._load.extend(pattern.loads)
        self._start_of_jobs.extend([len(self._job)])
        self._job.extend(held)
        self._wanted.extend(
            [min(count, problem.jobs[job].copies) for job, count in held.items()]
        )

    def most_valuable(self, prices: Prices) -> list[float]:
        """Return, per bin type, what its best pattern is worth; ``-inf`` without any.

        As ``Prices.value`` says, but for rounding.
        """
        best = np.full(len(self._problem.bin_types), -np.inf)
        if not self._num_patterns:
            return list(best)
        option = self._option.values
        earned = np.asarray(prices.per_load)[option] * self._load.values
        earned += np.asarray(prices.per_copy)[option] * self._count.values
        wanted = np.asarray(prices.per_wanted)[self._job.values] * self._wanted.values
        worth = np.add.reduceat(earned, self._start.values)
        worth += np.add.reduceat(wanted, self._start_of_jobs.values)
        np.maximum.at(best, self._bin_type.values, worth)
        return [float(one) for one in best]


class _Numbers(Generic[Number]):
    """A growing array of numbers."""

    def __init__(self, kind: type[Number]) -> None:
        self._room: NDArray[Number] = np.empty(FIRST_ROOM, dtype=kind)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, numbers: Collection[float]) -> None:
        """Append numbers."""
        length = self._length + len(numbers)
        if length > len(self._room):
            self._room = np.resize(self._room, 2 * length)
        self._room[self._length : length] = list(numbers)
        self._length = length

    @property
    def values(self) -> NDArray[Number]:
        """The numbers so far."""
        return self._room[: self._length]


class _Row(NamedTuple):
    """What filling a bin greedily looks up of an option, again and again.

    Args:
        job: Its job's index.
        is_whole: Whether that runs in whole copies.
        share: Of a whole job's copies that one is.
        wanted: Copies that the job must have.
        most: Copies of any use in one bin.
        most_load: Copies at full rate that serve the whole demand.
        fixed: Taken in full by a copy, per dimension, as a share of the bin.
        loaded: The same, taken by a copy at its full rate.
        least: Room at which a copy counts as fitting, but for rounding.
    """

    job: int
    is_whole: bool
    share: float
    wanted: int
    most: int
    most_load: float
    fixed: tuple[float, ...]
    loaded: tuple[float, ...]
    least: tuple[float, ...]


class PatternFinder:
    """Finds valuable patterns of one bin type.

    Args:
        problem: What is planned.
        bin_type: Index of the bin type.
    """

    def __init__(self, problem: CapacityProblem, bin_type: int) -> None:
        self._problem = problem
        self._bin_type = bin_type
        self._shapes = shapes = shapes_of(problem, bin_type)
        shape = len(shapes.options), problem.num_dimensions
        self._fixed, self._loaded = (
            np.array([sizes[index] for index in shapes.options]).reshape(shape)
            for sizes in (shapes.fixed, shapes.loaded)
        )
        self._sizes = self._fixed + self._loaded
        self._options = np.array(shapes.options, dtype=np.int64)
        self._jobs = np.array(
            [problem.options[index].job for index in shapes.options], dtype=np.int64
        )
        self._most, self._most_load = (
            np.array([most[index] for index in shapes.options], dtype=np.float64)
            for most in (shapes.most, shapes.most_load)
        )
        useful = np.minimum(self._most, self._most_load)
        self._knapsack = Knapsack(self._sizes, np.where(useful > 0, useful, self._most))
        self._rows: dict[int, _Row] = {}
        for index in shapes.options:
            job = problem.options[index].job
            one = problem.jobs[job]
            self._rows[index] = _Row(
                job,
                one.is_whole,
                1 / one.copies,
                one.copies,
                min(shapes.most[index], MAX_FILLED_IN),
                shapes.most_load[index],
                shapes.fixed[index],
                shapes.loaded[index],
                tuple(size - FITTING for size in shapes.fixed[index]),
            )

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
        options = self._shapes.options
        of_load, of_copy = self._worth(prices)
        worth = of_load + of_copy
        density = worth / np.maximum(self._sizes @ np.asarray(weights), LEAST_ROOM)
        order = np.argsort(-density, kind="stable")  # of equal ones the first
        ranked = [options[at] for at in order.tolist() if worth[at] > 0]
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
        of_load, of_copy = self._worth(prices)
        return self._knapsack.room_prices(
            np.maximum(of_load + of_copy, 0.0), deadline=deadline
        )

    def bound(self, prices: Prices, weights: Sequence[float]) -> float:
        """Return a value that no pattern exceeds, from what room is worth.

        Any weights ≥ 0 give one: room for the weights buys the whole bin, and each
        option adds at most what it earns beyond the room that it takes.
        """
        of_load, of_copy = self._worth(prices)
        of_copy = of_copy - self._fixed @ np.asarray(weights)
        of_load = of_load - self._loaded @ np.asarray(weights)
        most_load = np.minimum(self._most, self._most_load)
        earned = np.where(
            of_copy > 0,
            of_copy * self._most + np.maximum(0.0, of_load) * most_load,
            np.maximum(0.0, of_copy + of_load) * most_load,
        )
        return (math.fsum(weights) + float(earned.sum())) * (1 + ROUNDING)

    def _worth(self, prices: Prices) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what options earn by serving, and what their first copies do."""
        per_load = np.asarray(prices.per_load)[self._options]
        per_copy = np.asarray(prices.per_copy)[self._options]
        return per_load, per_copy + np.asarray(prices.per_wanted)[self._jobs]

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
        for place, index in enumerate((start, *ranked)):
            row = self._rows[index]
            if any(map(gt, row.least, left)):
                continue
            # The share of the job's demand (or of its copies) still open.
            open_share = wanted.get(row.job, open_shares[row.job])
            most = min(row.most, 1) if not place else row.most - counts.get(index, 0)
            while most > 0 and open_share > LEAST_OPEN:
                most -= 1
                if any(map(gt, row.least, left)) or not self._may_join(counts, index):
                    break
                load = 1.0
                if row.is_whole:
                    open_share -= row.share
                else:
                    load = min(load, open_share * row.most_load)
                    for size, f, have in zip(row.loaded, row.fixed, left, strict=True):
                        if size > 0:
                            load = min(load, max(0.0, (have - f) / size))
                    worth = prices.per_load[index] * load + prices.per_copy[index]
                    if held.get(row.job, 0) < row.wanted:
                        worth += prices.per_wanted[row.job]
                    if worth <= LEAST_WORTH:
                        break
                    open_share -= load / row.most_load if row.most_load else 1
                counts[index] = counts.get(index, 0) + 1
                held[row.job] = held.get(row.job, 0) + 1
                loads[index] = loads.get(index, 0.0) + load
                wanted[row.job] = open_share
                for dimension, (f, size) in enumerate(
                    zip(row.fixed, row.loaded, strict=True)
                ):
                    left[dimension] -= f + size * load
                if load < 1.0:
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
