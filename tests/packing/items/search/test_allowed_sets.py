"""Packing under a rule on sets, against brute force."""

import itertools
import math
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.items.model.problem import (
    ItemType,
    PackingProblem,
    SolveStatus,
    check_packing,
)
from gpupack.packing.items.search import best_partition
from gpupack.packing.items.search.allowed_sets import (
    MAX_LATE_REFUSALS,
    first_fit,
    items_apart,
    list_allowed,
    solve_allowed,
)
from gpupack.packing.items.search.best_partition import (
    LEAST_ASKED,
    LEAST_EVALUATIONS,
    maximize_value,
)
from gpupack.packing.runtime.deadline import Deadline
from gpupack.packing.runtime.thresholds import most_true

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


@pytest.mark.parametrize("time_limit_s", [0.0, 10.0])
@given(ITEMS, st.integers(1, 40))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_the_fewest_bins_agree_with_every_partition_tried(
    time_limit_s: float, items: list[tuple[int, int]], limit: int
) -> None:
    problem = make_problem([size for size, _ in items])
    rule = weights_stay_under([weight for _, weight in items], limit)
    result = solve_allowed(problem, rule, time_limit_s=time_limit_s, num_workers=1)
    expected = min(
        len(partition)
        for partition in partitions(list(range(len(items))))
        if all(fits(problem, rule, group) for group in partition)
    )
    assert result.num_bins == expected
    assert result.status is SolveStatus.OPTIMAL
    assert all(rule(one_bin.counts) for one_bin in result.bins)


@pytest.mark.parametrize("max_subset_items", [0, 9])
@given(ITEMS, st.integers(1, 40), st.integers(1, 4))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_the_most_value_agrees_with_every_partition_tried(
    max_subset_items: int, items: list[tuple[int, int]], limit: int, max_bins: int
) -> None:
    """By the integer program, and by subsets."""
    problem = make_problem([size for size, _ in items])
    rule = weights_stay_under([weight for _, weight in items], limit)

    def value(counts: Counts) -> float:
        return sum(items[index][1] for index, _ in counts) / len(counts)

    with mock.patch.object(best_partition, "MAX_SUBSET_ITEMS", max_subset_items):
        best = maximize_value(problem, rule, value, max_bins=max_bins)
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


class Counted:
    """A rule that counts how often it is asked, on a clock that each question moves."""

    def __init__(self, rule, seconds_each: float = 0.0) -> None:  # type: ignore[no-untyped-def]
        self.rule = rule
        self.seconds_each = seconds_each
        self.num_asked = 0

    def __call__(self, counts: Counts) -> bool:
        self.num_asked += 1
        return bool(self.rule(counts))

    def clock(self) -> float:
        return self.num_asked * self.seconds_each


def at_most(copies: int) -> Callable[[Counts], bool]:
    return lambda counts: sum(number for _, number in counts) <= copies


@pytest.mark.parametrize("num_items", [10, 100, 400])
def test_without_time_the_rule_is_asked_a_few_times_per_item_and_bin(
    num_items: int,
) -> None:
    problem = make_problem([1 + index % 3 for index in range(num_items)], capacity=30)
    rule = Counted(at_most(2))
    result = solve_allowed(problem, rule, time_limit_s=0, num_workers=1)
    check_packing(problem, result.bins)
    # Any two may share: as many bins as pairs.
    assert result.num_bins == num_items // 2
    without_rule = num_items  # at most a bin per item
    assert rule.num_asked <= (
        without_rule + num_items + MAX_LATE_REFUSALS * result.num_bins
    )


def test_a_rule_that_takes_its_time_is_not_asked_much_beyond_the_limit() -> None:
    problem = make_problem([1] * 60, capacity=60)
    rule = Counted(at_most(3), seconds_each=0.01)
    result = solve_allowed(
        problem, rule, time_limit_s=2.0, num_workers=1, clock=rule.clock
    )
    assert result.num_bins == 20
    # 200 questions within the limit; not the 36,050 sets there are.
    assert rule.num_asked <= 200 + 60 + MAX_LATE_REFUSALS * 20


@given(ITEMS, st.integers(1, 40))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_no_packing_has_fewer_bins_than_items_that_share_with_none_of_each_other(
    items: list[tuple[int, int]], limit: int
) -> None:
    problem = make_problem([size for size, _ in items])
    rule = weights_stay_under([weight for _, weight in items], limit)
    fewest = min(
        len(partition)
        for partition in partitions(list(range(len(items))))
        if all(fits(problem, rule, group) for group in partition)
    )
    never = Deadline.after(math.inf, lambda: 0.0)
    bins = first_fit(problem, rule, never)
    apart = items_apart(problem, rule, bins, never)
    assert 1 <= len(apart) <= fewest
    for one, other in itertools.combinations(apart, 2):
        assert not fits(problem, rule, [one, other])


def test_items_that_share_with_none_of_each_other_prove_a_packing() -> None:
    # Twenty that bear nobody like them, in copies, and ten that bear any: listing would
    # have to go through 2 to the 10 sets for each.
    problem = make_problem([1] * 30, capacity=30, counts=[2] * 20 + [1] * 10)

    def rule(counts: Counts) -> bool:
        return sum(copies for index, copies in counts if index < 20) <= 1

    result = solve_allowed(problem, rule, num_workers=1, max_sets=10)
    assert result.num_bins == result.bound == 40
    assert result.status is SolveStatus.OPTIMAL


def test_copies_that_go_alike_take_a_logarithm_of_questions() -> None:
    problem = make_problem([1], capacity=5000, counts=[100_000])
    rule = Counted(at_most(700))
    result = solve_allowed(problem, rule, time_limit_s=0, num_workers=1)
    assert result.num_bins == -(-100_000 // 700)
    check_packing(problem, result.bins)
    assert rule.num_asked <= 25 * result.num_bins


def test_sets_of_a_thousand_items_are_listed_as_well() -> None:
    # Deeper than Python's stack.
    problem = make_problem([1] * 1500, capacity=1500)
    assert list_allowed(problem, at_most(10**6), max_sets=20_000) is None
    chain = make_problem([1], capacity=1500, counts=[1500])
    listed = list_allowed(chain, at_most(10**6))
    assert listed is not None
    assert sorted(listed) == [((0, copies),) for copies in range(1, 1501)]


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_largest_number_of_which_something_holds_is_found(
    largest: int, most: int
) -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number <= largest

    assert most_true(holds, most) == min(largest, most)
    assert len(asked) <= 2 * max(1, most).bit_length()


def mean_weight(weights: list[float]) -> Callable[[Counts], float]:
    """What a set is worth: all its weights, less for every neighbor."""

    def value(counts: Counts) -> float:
        number = sum(copies for _, copies in counts)
        total = sum(weights[index] * copies for index, copies in counts)
        return total / (1 + 0.1 * (number - 1))

    return value


def test_more_sets_than_are_listed_leave_a_good_partition_and_a_valid_bound() -> None:
    weights = [1.0 + index % 5 for index in range(9)]
    problem = make_problem([1] * 9, capacity=9)
    value = mean_weight(weights)
    exact = maximize_value(problem, at_most(9), value, max_bins=4)
    assert exact.status is SolveStatus.OPTIMAL

    cut = maximize_value(problem, at_most(9), value, max_bins=4, max_sets=30)

    assert cut.bins is not None
    check_packing(problem, cut.bins)
    assert sum(one.multiplicity for one in cut.bins) <= 4
    assert cut.status is SolveStatus.FEASIBLE
    assert cut.bound == pytest.approx(sum(weights))
    # No move or swap improves it: worse than all four bins alike by a little at most.
    assert 0.95 * exact.value <= cut.value <= exact.value + 1e-9


@pytest.mark.parametrize("num_items", [9, 40, 120])
def test_without_time_values_are_asked_for_a_limited_number_of_times(
    num_items: int,
) -> None:
    problem = make_problem([1] * num_items, capacity=num_items)
    rule, value = Counted(at_most(num_items)), Counted(lambda counts: True)
    best = maximize_value(
        problem,
        rule,
        lambda counts: 1.0 + 0.0 * value(counts),
        max_bins=3,
        time_limit_s=0,
    )
    assert best.bins is not None
    assert (best.status is SolveStatus.OPTIMAL) == (num_items == 9)
    most = LEAST_ASKED + LEAST_EVALUATIONS + 2 * num_items + 10
    assert rule.num_asked <= most
    assert value.num_asked <= most


def test_copies_of_one_type_are_shared_out_by_subsets_as_well() -> None:
    # Two kinds of three copies each, two in a bin; a mixed pair is worth 1.5, an equal
    # pair 1, and what is alone 1: three mixed pairs are the best in three bins.
    problem = make_problem([1, 1], capacity=2, counts=[3, 3])

    def value(counts: Counts) -> float:
        return 1.5 if len(counts) == 2 else 1.0

    best = maximize_value(problem, at_most(2), value, max_bins=3, time_limit_s=0)
    assert best.status is SolveStatus.OPTIMAL
    assert best.value == best.bound == pytest.approx(4.5)
    assert maximize_value(problem, at_most(2), value, max_bins=2).bins is None
