"""Bins that are being filled, by type, with the room that is left in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model.plan import Copies, FilledBin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem, Counts

    Array = NDArray[np.float64]

WINDOW = 1_000
"""Bins of a type that are looked at, the last opened: earlier ones are full."""
ROUNDING = 1e-9
"""Share of a capacity by which a sum of service in floating point may be off."""

Content = dict[int, list[float]]
"""Copies and load, in full copies, by option."""


class OpenBins:
    """Bins of every type, the counts and the budget that limit them.

    Args:
        problem: Whose bins.
    """

    def __init__(self, problem: CapacityProblem) -> None:
        self._problem = problem
        num_dimensions = problem.num_dimensions
        self.capacity = np.array(
            [one.capacity for one in problem.bin_types], dtype=float
        ).reshape(-1, num_dimensions)
        shape = len(problem.options), num_dimensions
        self.fixed = np.array(
            [one.fixed for one in problem.options], dtype=float
        ).reshape(shape)
        self.loaded = np.array(
            [one.proportional for one in problem.options], dtype=float
        ).reshape(shape)
        self._is_shared_out = self.loaded.any(axis=0)
        self._rooms = [np.empty((16, num_dimensions)) for _ in problem.bin_types]
        self.contents: list[list[Content]] = [[] for _ in problem.bin_types]
        self._closed: list[tuple[int, Content, int]] = []
        self._left: list[float] = [
            float("inf") if one.count is None else one.count
            for one in problem.bin_types
        ]
        self._budget = float("inf") if problem.budget is None else problem.budget
        self.is_closed = False
        """Whether no further bins may be opened."""

    def num_available(self, bin_type: int) -> float:
        """Return how many more bins of a type can be opened."""
        if self.is_closed:
            return 0
        cost = self._problem.bin_types[bin_type].cost
        left = self._left[bin_type]
        return min(left, self._budget // cost) if cost else left

    def open(self, bin_type: int) -> int:
        """Open a bin; return its index. The caller knows that one is available."""
        contents = self.contents[bin_type]
        index = len(contents)
        rooms = self._rooms[bin_type]
        if index == len(rooms):
            self._rooms[bin_type] = rooms = np.concatenate(
                [rooms, np.empty_like(rooms)]
            )
        rooms[index] = self.capacity[bin_type]
        contents.append({})
        self._take(bin_type, 1)
        return index

    def add_closed(self, bin_type: int, content: Content, number: int) -> None:
        """Add bins that all hold the same and are not filled any further."""
        self._closed.append((bin_type, content, number))
        self._take(bin_type, number)

    def _take(self, bin_type: int, number: int) -> None:
        self._left[bin_type] -= number
        self._budget -= self._problem.bin_types[bin_type].cost * number

    def room(self, bin_type: int, index: int) -> Array:
        """Return the room in one bin."""
        row: Array = self._rooms[bin_type][index]
        return row

    def rooms(self, bin_type: int) -> tuple[int, Array]:
        """Return the room in the last opened bins, and the index of the first."""
        num = len(self.contents[bin_type])
        first = max(0, num - WINDOW)
        return first, self._rooms[bin_type][first:num]

    def slack(self, bin_type: int) -> Array:
        """Return by how much what fits may exceed the room, for rounding of service."""
        slack: Array = self.capacity[bin_type] * ROUNDING * self._is_shared_out
        return slack

    def loads(self, bin_type: int, rooms: Array, option: int, most: float) -> Array:
        """Return the load that a copy can have in each bin; below 0 where none fits."""
        fixed, loaded = self.fixed[option], self.loaded[option]
        left = rooms - fixed
        fits = (left + self.slack(bin_type) >= 0).all(axis=1)
        load = np.full(len(rooms), most)
        for dimension in np.flatnonzero(loaded):
            load = np.minimum(load, left[:, dimension] / loaded[dimension])
        return np.where(fits, load, -1.0)

    def add(
        self, bin_type: int, index: int, option: int, copies: int, load: float
    ) -> None:
        """Put copies into a bin, or take them out if the numbers are below 0."""
        held = self.contents[bin_type][index].setdefault(option, [0, 0.0])
        held[0] += copies
        held[1] += load
        if not held[0]:
            del self.contents[bin_type][index][option]
        room = self._rooms[bin_type][index]
        room -= self.fixed[option] * copies + self.loaded[option] * load
        if self._is_shared_out.any():
            np.maximum(room, 0.0, out=room, where=self._is_shared_out)

    def is_allowed(self, bin_type: int, content: Content, option: int) -> bool:
        """Return whether the rule lets one copy more join what a bin holds."""
        if self._problem.rule is None or not content:
            return True
        counts = {index: int(copies) for index, (copies, _) in content.items()}
        counts[option] = counts.get(option, 0) + 1
        joined: Counts = tuple(sorted(counts.items()))
        return self._problem.is_allowed(bin_type, joined)

    def filled(self) -> tuple[FilledBin, ...]:
        """Return what all bins hold, equal ones merged."""
        merged: dict[tuple[int, tuple[Copies, ...]], int] = {}
        every = [
            (bin_type, content, 1)
            for bin_type, contents in enumerate(self.contents)
            for content in contents
        ]
        for bin_type, content, number in every + self._closed:
            if content:
                key = bin_type, self.copies(content)
                merged[key] = merged.get(key, 0) + number
        return tuple(
            FilledBin(bin_type, copies, number)
            for (bin_type, copies), number in merged.items()
        )

    def copies(self, content: Content) -> tuple[Copies, ...]:
        """Return what a bin holds, by option, with the service it gives."""
        options, jobs = self._problem.options, self._problem.jobs
        return tuple(
            Copies(
                option,
                int(copies),
                float(
                    (copies if jobs[options[option].job].is_whole else load)
                    * options[option].rate
                ),
            )
            for option, (copies, load) in sorted(content.items())
        )


def copied(content: Content) -> Content:
    """Return what a bin holds, apart from it."""
    return {option: list(held) for option, held in content.items()}
