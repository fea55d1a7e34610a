"""A tiny exact search for a handful of copies, without any library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gpupack.packing.items.model import Bin, merge_bins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.items.model import PackingProblem

    Sizes = tuple[int, ...]
    Choices = tuple[tuple[int, Sizes], ...]

Size = TypeVar("Size", int, float)

MAX_SMALL_ITEMS = 24
"""More items than this are left to the other rungs."""
ROUNDING = 1e-9
"""Of a price in smallest steps, computed in floating point."""


class _NodeLimitError(Exception):
    """The search was cut short: nothing is proved."""


@dataclass(frozen=True, slots=True)
class PlacedCopies:
    """Bins that hold every copy.

    Args:
        kinds: Type of each bin, in the order in which they were opened.
        bins: Per copy the number of its bin.
        choices: Per copy which of its choices it runs by.
        price: Of all bins; 0 where price was no matter.
    """

    kinds: tuple[int, ...]
    bins: tuple[int, ...]
    choices: tuple[int, ...]
    price: int


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
    contents: list[dict[int, int]] = [{} for _ in placed.kinds]
    for index, number in zip(items, placed.bins, strict=True):
        contents[number][index] = contents[number].get(index, 0) + 1
    return merge_bins(Bin(tuple(sorted(counts.items()))) for counts in contents), True


def place_copies(
    copies: Sequence[Choices],
    capacities: Sequence[Sizes],
    counts: Sequence[int],
    *,
    prices: Sequence[int] | None = None,
    costs: Sequence[int] | None = None,
    budget: int | None = None,
    node_limit: int,
) -> tuple[PlacedCopies | None, bool]:
    """Look for bins that hold every copy, any or the cheapest, by depth-first search.

    Copies go in in the order given, each into any open bin or a new one of any type
    that it may go to. Equal bins, and the order of equal neighbors among the copies,
    are broken as symmetries. A branch is cut where the room that is not wasted is less
    than what the rest takes at least, and where the bins would cost as much as the
    cheapest so far.

    Args:
        copies: Per copy the bin types that it may go to, with what it takes there; a
            type may stand there twice.
        capacities: Per bin type.
        counts: How many bins of each type there are.
        prices: Of one bin of each type, of which the sum shall be least; any bins do
            if left out.
        costs: Of one bin of each type, for the budget.
        budget: What the bins may cost together.
        node_limit: Give up after so many steps.

    Returns:
        The bins or None, and whether the search was complete: (None, True) proves that
        there are none.
    """
    search = _Search(copies, capacities, counts, prices, costs, budget, node_limit)
    try:
        search.place(0, 0, 0)
    except _NodeLimitError:
        return None, False
    return search.best, True


class _Search:
    def __init__(
        self,
        copies: Sequence[Choices],
        capacities: Sequence[Sizes],
        counts: Sequence[int],
        prices: Sequence[int] | None,
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
        self.best: PlacedCopies | None = None
        self.kinds: list[int] = []
        self.rooms: list[list[int]] = []
        self.bins = [0] * len(copies)
        self.choices = [0] * len(copies)
        self.dimensions = range(len(capacities[0]) if capacities else 0)
        self.unopened = [
            sum(
                count * capacity[d]
                for count, capacity in zip(counts, capacities, strict=True)
            )
            for d in self.dimensions
        ]
        least = [
            [min((s[d] for _, s in choices), default=0) for d in self.dimensions]
            for choices in copies
        ]
        # Of the copies from each position on: room below the least one is waste.
        self.smallest = [
            [min(sizes[d] for sizes in least[position:]) for d in self.dimensions]
            for position in range(len(copies))
        ]
        self.rest = _sums_from(least, self.dimensions, 0)
        self.prices = prices
        if prices is not None:
            self._set_prices(prices)

    def _set_prices(self, prices: Sequence[int]) -> None:
        self.step = math.gcd(*prices) or 1
        # A bin costs its price, so room its part of it, in any dimension.
        self.per_room = [
            [price / most if most else 0.0 for most in capacity]
            for price, capacity in zip(prices, self.capacities, strict=True)
        ]
        cheapest = [
            [
                min((self.per_room[kind][d] * s[d] for kind, s in choices), default=0.0)
                for d in self.dimensions
            ]
            for choices in self.copies
        ]
        self.rest_price = _sums_from(cheapest, self.dimensions, 0.0)

    def place(self, position: int, price: int, cost: int) -> bool:
        """Place the copies from ``position`` on; True if no more need be looked for."""
        if self.best is not None and self._lowest(position, price) >= self.best.price:
            return False
        if position == len(self.copies):
            self.best = PlacedCopies(
                tuple(self.kinds), tuple(self.bins), tuple(self.choices), price
            )
            return self.prices is None
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _NodeLimitError
        if self._is_wasted(position):
            return False
        choices = self.copies[position]
        first_choice = first_bin = 0
        if position and self.copies[position - 1] == choices:
            first_choice = self.choices[position - 1]
            first_bin = self.bins[position - 1]
        dimensions, rooms, kinds = self.dimensions, self.rooms, self.kinds
        for choice in range(first_choice, len(choices)):
            bin_type, sizes = choices[choice]
            self.choices[position] = choice
            tried: set[Sizes] = set()
            for number in range(first_bin, len(rooms)):
                room = rooms[number]
                if kinds[number] != bin_type:
                    continue
                if not _holds(room, sizes):
                    continue
                state = tuple(room)
                if state in tried:
                    continue
                tried.add(state)
                for d in dimensions:
                    room[d] -= sizes[d]
                self.bins[position] = number
                if self.place(position + 1, price, cost):
                    return True
                for d in dimensions:
                    room[d] += sizes[d]
            if self._place_in_new(position, bin_type, sizes, price, cost):
                return True
            first_bin = 0
        return False

    def _place_in_new(
        self, position: int, bin_type: int, sizes: Sizes, price: int, cost: int
    ) -> bool:
        cost += self.costs[bin_type]
        capacity = self.capacities[bin_type]
        if (
            self.closed[bin_type] == 0
            or (self.budget is not None and cost > self.budget)
            or not _holds(capacity, sizes)
        ):
            return False
        if self.prices is not None:
            price += self.prices[bin_type]
        self.closed[bin_type] -= 1
        self.bins[position] = len(self.rooms)
        self.rooms.append([capacity[d] - sizes[d] for d in self.dimensions])
        self.kinds.append(bin_type)
        for d in self.dimensions:
            self.unopened[d] -= capacity[d]
        if self.place(position + 1, price, cost):
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
        usable = [room for room in self.rooms if _holds(room, smallest)]
        for d in self.dimensions:
            if sum([room[d] for room in usable]) + self.unopened[d] < rest[d]:
                return True
        return False

    def _lowest(self, position: int, price: int) -> int:
        """Return what all bins cost at least, with the copies yet to come."""
        parts = [self.per_room[kind] for kind in self.kinds]
        more = 0.0
        for d in self.dimensions:
            free = sum(
                [
                    part[d] * room[d]
                    for part, room in zip(parts, self.rooms, strict=True)
                ]
            )
            more = max(more, self.rest_price[position][d] - free)
        return math.ceil((price + more) / self.step - ROUNDING) * self.step


def _holds(room: Sequence[int], sizes: Sequence[int]) -> bool:
    for have, size in zip(room, sizes):  # noqa: B905, SIM110 (asked a million times)
        if have < size:
            return False
    return True


def _sums_from(
    columns: Sequence[Sequence[Size]], dimensions: range, nothing: Size
) -> list[list[Size]]:
    """Return per position the sums of the columns from there on."""
    sums = [[nothing for _ in dimensions]]
    for column in reversed(columns):
        sums.append([sums[-1][d] + column[d] for d in dimensions])
    sums.reverse()
    return sums
