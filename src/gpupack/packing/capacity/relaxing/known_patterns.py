"""What known patterns are worth at given prices, all at once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern, Prices

FIRST_ROOM = 1_024


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


class _Numbers:
    """A growing array of numbers."""

    def __init__(self, kind: type[np.int64 | np.float64]) -> None:
        self._room: NDArray[np.int64 | np.float64] = np.empty(FIRST_ROOM, dtype=kind)
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
    def values(self) -> NDArray[np.int64 | np.float64]:
        """The numbers so far."""
        return self._room[: self._length]
