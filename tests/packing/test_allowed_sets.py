"""Packing under a rule on sets, against brute force."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.allowed_sets import (
    list_allowed,
    maximize_value,
    solve_allowed,
)
from gpupack.packing.check import check_packing
from gpupack.packing.problem import ItemType, PackingProblem
from gpupack.packing.solution import SolveStatus

Counts = tuple[tuple[int, int], ...]


def make_problem(
    sizes: list[int], capacity: int = 10, counts: list[int] | None = None
) -> PackingProblem:
    return PackingProblem(
        capacity=(capacity,),
        item_types=tuple(
            ItemType((size,), count)
            for size, count in zip(sizes, counts or [1] * len(sizes), strict=True)
        ),
    )


def weights_stay_under(weights: list[int], limit: int):  # type: ignore[no-untyped-def]
    """A rule that is closed downwards and that no capacity expresses: products."""

    def is_allowed(counts: Counts) -> bool:
        product = 1
        for index, copies in counts:
            product *= weights[index] ** copies
        return product <= limit or sum(copies for _, copies in counts) == 1

    return is_allowed


def partitions(items: list[int]) -> list[list[list[int]]]:
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    found = []
    for partition in partitions(rest):
        found.append([[first], *partition])
        for index in range(len(partition)):
            grown = [[first, *partition[index]]]
            found.append(partition[:index] + grown + partition[index + 1 :])
    return found


def fits(problem: PackingProblem, rule, group: list[int]) -> bool:  # type: ignore[no-untyped-def]
    size = sum(problem.item_types[item].sizes[0] for item in group)
    return size <= problem.capacity[0] and rule(tuple((i, 1) for i in sorted(group)))


ITEMS = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 5)), min_size=1, max_size=6
)


@given(ITEMS, st.integers(1, 40))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_the_fewest_bins_agree_with_every_partition_tried(
    items: list[tuple[int, int]], limit: int
) -> None:
    problem = make_problem([size for size, _ in items])
    rule = weights_stay_under([weight for _, weight in items], limit)
    result = solve_allowed(problem, rule, num_workers=1)
    expected = min(
        len(partition)
        for partition in partitions(list(range(len(items))))
        if all(fits(problem, rule, group) for group in partition)
    )
    assert result.num_bins == expected
    assert result.status is SolveStatus.OPTIMAL
    assert all(rule(one_bin.counts) for one_bin in result.bins)


@given(ITEMS, st.integers(1, 40), st.integers(1, 4))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_the_most_value_agrees_with_every_partition_tried(
    items: list[tuple[int, int]], limit: int, max_bins: int
) -> None:
    problem = make_problem([size for size, _ in items])
    rule = weights_stay_under([weight for _, weight in items], limit)

    def value(counts: Counts) -> float:
        return sum(items[index][1] for index, _ in counts) / len(counts)

    best = maximize_value(problem, rule, value, max_bins=max_bins)
    assert best is not None
    totals = [
        sum(value(tuple((i, 1) for i in sorted(group))) for group in partition)
        for partition in partitions(list(range(len(items))))
        if len(partition) <= max_bins
        and all(fits(problem, rule, group) for group in partition)
    ]
    if not totals:
        assert best.bins is None
        return
    assert best.value == pytest.approx(max(totals), abs=0.01)
    assert best.bound >= best.value


def test_copies_of_one_type_share_what_the_rule_lets_them() -> None:
    problem = make_problem([1], counts=[7])
    # At most two in a bin: ⌈7 / 2⌉ bins, though all seven would fit.
    result = solve_allowed(problem, lambda counts: counts[0][1] <= 2, num_workers=1)
    assert result.num_bins == 4
    check_packing(problem, result.bins)


def test_listing_gives_every_allowed_set_once() -> None:
    problem = make_problem([1, 2, 3], capacity=4)
    listed = list_allowed(problem, lambda counts: True)
    expected = {
        tuple((item, 1) for item in group)
        for size in (1, 2, 3)
        for group in itertools.combinations(range(3), size)
        if sum(problem.item_types[item].sizes[0] for item in group) <= 4
    }
    assert listed is not None
    assert len(listed) == len(set(listed))
    assert set(listed) == expected


def test_too_many_sets_leave_an_allowed_packing_and_a_valid_bound() -> None:
    problem = make_problem([1] * 12, capacity=12)
    result = solve_allowed(
        problem,
        lambda counts: sum(copies for _, copies in counts) <= 5,
        max_sets=10,
        num_workers=1,
    )
    assert result.num_bins == 3
    assert result.bound <= 3
    assert all(sum(copies for _, copies in one.counts) <= 5 for one in result.bins)
