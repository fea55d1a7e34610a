"""What is no packing problem is refused; what is one is packed, whatever its size."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gpupack.errors import InvalidInputError
from gpupack.packing import ItemType, PackingProblem, SolveStatus, solve

FAR = 2**62
MILLIONS = 5_000_000


def _problem(capacity: object, *types: tuple[object, object]) -> PackingProblem:
    return PackingProblem(
        capacity=capacity,  # type: ignore[arg-type]
        item_types=tuple(
            ItemType(sizes=sizes, count=count)  # type: ignore[arg-type]
            for sizes, count in types
        ),
    )


@pytest.mark.parametrize("wrong", [2.5, 2.0, math.nan, "3", None, Fraction(5, 2), True])
def test_numbers_that_are_not_whole_are_refused_by_name(wrong: object) -> None:
    for capacity, types, name in (
        ((10, wrong), ((3, 3), 1), "the capacity"),
        ((10, 10), ((3, wrong), 1), "a size of item type 0"),
        ((10, 10), ((3, 3), wrong), "the count of item type 0"),
    ):
        with pytest.raises(InvalidInputError, match=f"{name} is .*whole number"):
            _problem(capacity, types)


def test_whole_numbers_of_numpy_are_counted_exactly() -> None:
    size, count = np.int32(2**30), np.int32(7)  # their product is beyond 32 bits

    problem = _problem((np.int64(2**31),), ((size,), count))

    assert problem == _problem((2**31,), ((2**30,), 7))
    assert solve(problem, time_limit_s=0).num_bins == 4


@pytest.mark.parametrize("limit_s", [0.0, 0.5])
@pytest.mark.parametrize(
    ("capacity", "types", "num_bins"),
    [
        ((10,), [((0,), 10**7)], 1),
        ((10,), [((0,), FAR)], 1),
        ((10, 10), [((0, 0), 10**9), ((3, 0), 5), ((0, 7), 5)], 5),
        ((10,), [((3,), MILLIONS)], -(-MILLIONS // 3)),
        ((10,), [((3,), 10**12)], -(-(10**12) // 3)),
        ((1,), [((1,), 3_000_000)], 3_000_000),
        # Each of the first two beside one of the other, the last by themselves.
        ((1, 1), [((1, 0), 10**6), ((0, 1), 10**6 + 7), ((1, 1), 5)], 10**6 + 12),
        ((FAR,), [((FAR // 2,), 1), ((FAR // 2 - 1,), 1)], 1),
        ((FAR // 4,), [((FAR // 8,), 5), ((1,), 3)], 3),
    ],
)
def test_sizes_and_counts_at_the_ends_of_their_range(
    capacity: tuple[int, ...],
    types: list[tuple[tuple[int, ...], int]],
    num_bins: int,
    limit_s: float,
) -> None:
    result = solve(_problem(capacity, *types), time_limit_s=limit_s)

    assert result.num_bins == result.bound == num_bins
    assert result.status is SolveStatus.OPTIMAL
    assert len(result.bins) <= 4  # bins that hold the same are one entry


def test_more_items_than_memory_holds_have_a_packing_and_a_bound() -> None:
    each = 10**17
    problem = _problem((10,), ((3,), each), ((4,), each))

    result = solve(problem, time_limit_s=1, num_workers=1)

    # 4 + 3 + 3 takes half as many bins as there are of 3; the rest of 4 go two by two.
    best = each // 2 + each // 4
    assert result.num_bins == best
    assert best * (1 - 1e-5) <= result.bound <= best


@pytest.mark.parametrize("num_types", [20, 1_000])
def test_millions_of_copies_of_many_types_are_packed_without_one_entry_each(
    num_types: int,
) -> None:
    types = [((1_000 + kind, 3_000 - kind), 10**6) for kind in range(num_types)]

    result = solve(_problem((10_000, 10_000), *types), time_limit_s=1)

    assert result.bound <= result.num_bins <= 1.15 * result.bound
    assert len(result.bins) <= 20 * num_types


@pytest.mark.parametrize(
    ("capacity", "sizes", "count"),
    [
        ((FAR,), (FAR,), 2),
        ((10,), (0,), 2**64),
        ((FAR + 1,), (1,), 1),
        ((1,), (1,), FAR + 1),
    ],
)
def test_what_would_overflow_is_refused(
    capacity: tuple[int, ...], sizes: tuple[int, ...], count: int
) -> None:
    with pytest.raises(InvalidInputError, match=str(FAR)):
        _problem(capacity, (sizes, count))
