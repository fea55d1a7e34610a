"""A tiny exact search for a handful of copies, without any library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, merge_bins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.items.model import PackingProblem

    Sizes = tuple[int, ...]
    Choices = tuple[tuple[int, Sizes], ...]

MAX_SMALL_ITEMS = 24
"""More items than this are left to the other rungs."""


class _NodeLimitError(Exception):
    """The search was cut short: nothing is proved."""


def pack_into(
    problem: PackingProblem, num_bins: int, *, node_limit: int
) -> tuple[tuple[Bin, ...] | None, bool]:
    """Look for a packing into at most ``num_bins`` bins by depth-first search.

    Items go in by decreasing size.

    Returns:
        The packing or None, and whether the search was complete: (None, True)
        proves that ``num_bins`` are not enough.
    """
    items = [
        index
        for index, item_type in enumerate(problem.item_types)
        for _ in range(item_type.count)
    ]
    copies = [((0, problem.item_types[index].sizes),) for index in items]
    placed, is_complete = place_copies(
        copies, [problem.capacity], [num_bins], node_limit=node_limit
    )
    if placed is None:
        return None, is_complete
    contents: list[dict[int, int]] = [{} for _ in range(num_bins)]
    for index, number in zip(items, placed, strict=True):
        contents[number][index] = contents[number].get(index, 0) + 1
    return merge_bins(
        Bin(tuple(sorted(counts.items()))) for counts in contents if counts
    ), True


def place_copies(
    copies: Sequence[Choices],
    capacities: Sequence[Sizes],
    counts: Sequence[int],
    *,
    costs: Sequence[int] | None = None,
    budget: int | None = None,
    node_limit: int,
) -> tuple[list[int] | None, bool]:
    """Look for bins that hold every copy, by depth-first search.

    Copies go in in the order given, each into any open bin or a new one of any type
    that it may go to. Equal bins and the order of equal neighbors among the copies are
    broken as symmetries, and a branch is cut where the room that is not wasted is less
    than what the rest takes at least.

    Args:
        copies: Per copy the bin types that it may go to, with what it takes there; a
            type may stand there twice.
        capacities: Per bin type.
        counts: How many bins of each type there are.
        costs: Of one bin of each type; nothing if left out.
        budget: What the bins may cost together.
        node_limit: Give up after so many steps.

    Returns:
        The number of the bin of each copy, bins counted as they were opened, or None;
        and whether the search was complete: (None, True) proves that there is no way.
    """
    search = _Search(copies, capacities, counts, costs, budget, node_limit)
    try:
        found = search.place(0, 0)
    except _NodeLimitError:
        return None, False
    return (search.chosen if found else None), True


class _Search:
    def __init__(
        self,
        copies: Sequence[Choices],
        capacities: Sequence[Sizes],
        counts: Sequence[int],
        costs: Sequence[int] | None,
        budget: int | None,
        node_limit: int,
    ) -> None:
        self.copies = copies
        self.capacities = capacities
        self.closed = list(counts)
        self.costs = [0] * len(counts) if costs is None else costs
        self.budget = budget
        self.nodes_left = node_limit
        self.chosen = [0] * len(copies)
        self.rooms: list[list[int]] = []
        self.kinds: list[int] = []
        self.dimensions = range(len(capacities[0]) if capacities else 0)
        self.unopened = [
            sum(
                count * capacity[d]
                for count, capacity in zip(counts, capacities, strict=True)
            )
            for d in self.dimensions
        ]
        # Least that the copies from each position on take, of one and of all: room
        # below the first is waste.
        self.smallest: list[list[int]] = []
        self.rest: list[list[int]] = []
        least = [
            [min((s[d] for _, s in choices), default=0) for d in self.dimensions]
            for choices in copies
        ]
        for position in range(len(copies)):
            tail = least[position:]
            self.smallest.append([min(s[d] for s in tail) for d in self.dimensions])
            self.rest.append([sum(s[d] for s in tail) for d in self.dimensions])

    def place(self, position: int, cost: int) -> bool:
        """Place the copies from ``position`` on; True if all found room."""
        if position == len(self.copies):
            return True
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _NodeLimitError
        if self._is_wasted(position):
            return False
        choices = self.copies[position]
        first = 0
        if position and self.copies[position - 1] == choices:
            first = self.chosen[position - 1]
        dimensions, rooms, kinds = self.dimensions, self.rooms, self.kinds
        for bin_type, sizes in choices:
            tried: set[Sizes] = set()
            for number in range(first, len(rooms)):
                room = rooms[number]
                if kinds[number] != bin_type:
                    continue
                if any([room[d] < sizes[d] for d in dimensions]):
                    continue
                state = tuple(room)
                if state in tried:
                    continue
                tried.add(state)
                for d in dimensions:
                    room[d] -= sizes[d]
                self.chosen[position] = number
                if self.place(position + 1, cost):
                    return True
                for d in dimensions:
                    room[d] += sizes[d]
            if self._place_in_new(position, bin_type, sizes, cost):
                return True
        return False

    def _place_in_new(
        self, position: int, bin_type: int, sizes: Sizes, cost: int
    ) -> bool:
        more = cost + self.costs[bin_type]
        capacity = self.capacities[bin_type]
        if (
            self.closed[bin_type] == 0
            or (self.budget is not None and more > self.budget)
            or any([capacity[d] < sizes[d] for d in self.dimensions])
        ):
            return False
        self.closed[bin_type] -= 1
        self.chosen[position] = len(self.rooms)
        self.rooms.append([capacity[d] - sizes[d] for d in self.dimensions])
        self.kinds.append(bin_type)
        for d in self.dimensions:
            self.unopened[d] -= capacity[d]
        if self.place(position + 1, more):
            return True
        for d in self.dimensions:
            self.unopened[d] += capacity[d]
        self.kinds.pop()
        self.rooms.pop()
        self.closed[bin_type] += 1
        return False

    def _is_wasted(self, position: int) -> bool:
        """Return whether the room still usable is less than the rest needs."""
        smallest, rest = self.smallest[position], self.rest[position]
        usable = [
            room
            for room in self.rooms
            if not any([room[d] < smallest[d] for d in self.dimensions])
        ]
        return any(
            [
                sum([room[d] for room in usable]) + self.unopened[d] < rest[d]
                for d in self.dimensions
            ]
        )
