"""A tiny exact search for problems of a handful of items, without any library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, merge_bins

if TYPE_CHECKING:
    from gpupack.packing.items.model import PackingProblem

MAX_SMALL_ITEMS = 24
"""More items than this are left to the other rungs."""


class _NodeLimitError(Exception):
    """The search was cut short: nothing is proved."""


def pack_into(
    problem: PackingProblem, num_bins: int, *, node_limit: int
) -> tuple[tuple[Bin, ...] | None, bool]:
    """Look for a packing into at most ``num_bins`` bins by depth-first search.

    Items go in by decreasing size; equal bins and the order of equal items are
    broken as symmetries, and a dimension whose wasted room exceeds the total
    slack is cut.

    Returns:
        The packing or None, and whether the search was complete: (None, True)
        proves that ``num_bins`` are not enough.
    """
    items = [
        (index, item_type.sizes)
        for index, item_type in enumerate(problem.item_types)
        for _ in range(item_type.count)
    ]
    search = _Search(problem.capacity, items, num_bins, node_limit)
    try:
        found = search.place(0, 0)
    except _NodeLimitError:
        return None, False
    if not found:
        return None, True
    return search.packing(), True


class _Search:
    def __init__(
        self,
        capacity: tuple[int, ...],
        items: list[tuple[int, tuple[int, ...]]],
        num_bins: int,
        node_limit: int,
    ) -> None:
        self.items = items
        self.num_bins = num_bins
        self.nodes_left = node_limit
        self.capacity = capacity
        self.free = [list(capacity) for _ in range(num_bins)]
        self.chosen = [0] * len(items)
        self.dimensions = range(len(capacity))
        # Least size among the items from each position on: room below it is waste.
        self.smallest: list[list[int]] = []
        self.rest: list[list[int]] = []
        for position in range(len(items)):
            tail = [sizes for _, sizes in items[position:]]
            self.smallest.append([min(s[d] for s in tail) for d in self.dimensions])
            self.rest.append([sum(s[d] for s in tail) for d in self.dimensions])

    def place(self, position: int, num_used: int) -> bool:
        """Place the items from ``position`` on; True if all found room."""
        if position == len(self.items):
            return True
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _NodeLimitError
        if self._wasted(position):
            return False
        index, sizes = self.items[position]
        first = 0
        if position and self.items[position - 1][0] == index:
            first = self.chosen[position - 1]
        tried: set[tuple[int, ...]] = set()
        for candidate in range(first, min(num_used + 1, self.num_bins)):
            free = self.free[candidate]
            if any(free[d] < sizes[d] for d in self.dimensions):
                continue
            state = tuple(free)
            if state in tried:
                continue
            tried.add(state)
            for d in self.dimensions:
                free[d] -= sizes[d]
            self.chosen[position] = candidate
            if self.place(position + 1, max(num_used, candidate + 1)):
                return True
            for d in self.dimensions:
                free[d] += sizes[d]
        return False

    def _wasted(self, position: int) -> bool:
        """Return whether the room still usable is less than the rest needs."""
        smallest, rest = self.smallest[position], self.rest[position]
        usable = [
            free
            for free in self.free
            if all(free[d] >= smallest[d] for d in self.dimensions)
        ]
        return any(sum(free[d] for free in usable) < rest[d] for d in self.dimensions)

    def packing(self) -> tuple[Bin, ...]:
        contents: list[dict[int, int]] = [{} for _ in range(self.num_bins)]
        for (index, _), candidate in zip(self.items, self.chosen, strict=True):
            contents[candidate][index] = contents[candidate].get(index, 0) + 1
        return merge_bins(
            Bin(tuple(sorted(counts.items()))) for counts in contents if counts
        )
