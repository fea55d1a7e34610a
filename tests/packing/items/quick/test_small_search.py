"""One depth-first search for copies, against every way to place them."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.items.quick.small_search import place_copies

CAPACITIES = ((6, 5), (9, 4))
SIZES = st.tuples(st.integers(0, 7), st.integers(0, 5))
CHOICES = st.lists(
    st.tuples(st.integers(0, 1), SIZES), min_size=1, max_size=3, unique=True
).map(lambda found: tuple(sorted(found)))
COUNTS = st.tuples(st.integers(0, 2), st.integers(0, 2))
PRICES = st.tuples(st.integers(1, 5), st.integers(1, 5))
Copies = list[tuple[tuple[int, tuple[int, int]], ...]]


def lowest_price(
    copies: Copies,
    counts: tuple[int, int],
    prices: tuple[int, int],
    costs: tuple[int, int],
    budget: int,
) -> int | None:
    """The price of the cheapest bins, of all ways to put copies into them."""
    bins = [kind for kind, count in enumerate(counts) for _ in range(count)]
    ways = [
        [
            (number, sizes)
            for number, kind in enumerate(bins)
            for at, sizes in one
            if at == kind
        ]
        for one in copies
    ]
    lowest = None
    for way in product(*ways):
        rooms = [list(CAPACITIES[kind]) for kind in bins]
        for number, sizes in way:
            rooms[number] = [a - b for a, b in zip(rooms[number], sizes, strict=True)]
        used = [bins[number] for number in {number for number, _ in way}]
        if min((min(room) for room in rooms), default=0) < 0:
            continue
        if sum(costs[kind] for kind in used) > budget:
            continue
        price = sum(prices[kind] for kind in used)
        lowest = price if lowest is None else min(lowest, price)
    return lowest


@settings(max_examples=150, deadline=None)
@given(
    distinct=st.lists(CHOICES, min_size=1, max_size=3),
    doubled=st.booleans(),
    counts=COUNTS,
    prices=PRICES,
    costs=PRICES,
    budget=st.integers(0, 12),
)
def test_the_cheapest_bins_are_found_and_any_bins_if_there_are_some(
    distinct: Copies,
    doubled: bool,
    counts: tuple[int, int],
    prices: tuple[int, int],
    costs: tuple[int, int],
    budget: int,
) -> None:
    # Equal copies stand beside each other, as the cut for their order wants it.
    copies = sorted(distinct * (2 if doubled else 1))
    lowest = lowest_price(copies, counts, prices, costs, budget)
    limits = {"costs": costs, "budget": budget, "node_limit": 100_000}

    cheapest, is_complete = place_copies(
        copies, CAPACITIES, counts, prices=prices, **limits
    )
    assert is_complete
    assert (None if cheapest is None else cheapest.price) == lowest

    some, is_complete = place_copies(copies, CAPACITIES, counts, **limits)
    assert is_complete
    assert (some is None) == (lowest is None)
    for placed in (cheapest, some):
        if placed is None:
            continue
        rooms = [list(CAPACITIES[kind]) for kind in placed.kinds]
        for choices, number, choice in zip(
            copies, placed.bins, placed.choices, strict=True
        ):
            kind, sizes = choices[choice]
            assert kind == placed.kinds[number]
            rooms[number] = [a - b for a, b in zip(rooms[number], sizes, strict=True)]
        assert min(min(room) for room in rooms) >= 0
        assert all(placed.kinds.count(kind) <= counts[kind] for kind in (0, 1))


def test_a_search_that_is_cut_short_proves_nothing() -> None:
    # Three of 4 in two bins of 6: as much as there is room, but not one beside another.
    copies = [((0, (4, 0)),)] * 3
    assert place_copies(copies, CAPACITIES[:1], [2], node_limit=1) == (None, False)
    assert place_copies(copies, CAPACITIES[:1], [2], node_limit=9) == (None, True)
