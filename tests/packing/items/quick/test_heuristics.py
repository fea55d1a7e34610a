"""Packings and bounds of the cheap rungs, where items are many."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings

from gpupack.packing import Bin, ItemType, PackingProblem, solve, volume_bound
from gpupack.packing.items.model import check_packing
from gpupack.packing.items.quick import bounds, heuristics
from gpupack.packing.runtime import Deadline, OutOfTimeError
from tests.packing.strategies import problems

if TYPE_CHECKING:
    from numpy.typing import NDArray

LATE = Deadline(0.0, lambda: 1.0)
"""Has passed."""


def num_bins(packing: tuple[Bin, ...]) -> int:
    return sum(one.multiplicity for one in packing)


@pytest.mark.timeout(60)  # one by one, the copies of a single bin would take minutes
@pytest.mark.parametrize("penalize_distance", [False, True])
def test_bins_of_millions_of_copies_are_filled_in_portions(
    penalize_distance: bool,
) -> None:
    problem = PackingProblem(
        (10**8, 10**8),
        (
            ItemType((3, 1), 10**12),
            ItemType((1, 2), 10**12),
            ItemType((10**8, 10**8), 7),
            ItemType((0, 0), 10**15),
        ),
    )

    packing = heuristics.fill_bins(problem, penalize_distance=penalize_distance)

    check_packing(problem, packing)
    # Two kinds of small items side by side leave next to nothing of either dimension.
    assert num_bins(packing) <= 1.001 * volume_bound(problem)


@pytest.mark.timeout(60)  # what is used up was looked through once per bin: hours
def test_equal_items_by_the_hundred_thousand_are_handed_back_one_by_one() -> None:
    many = 300_000
    items = tuple(ItemType((1 + kind % 2, 0)) for kind in range(many))

    result = solve(PackingProblem((2, 5), items), time_limit_s=0)

    # Half of them fill a bin each, the other half go two by two.
    assert result.num_bins == result.bound == many // 2 + many // 4


def test_late_first_fit_looks_at_the_newest_bins_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No two share a bin, so every item sees all the bins there are.
    items = tuple(ItemType((6_000 + kind,)) for kind in range(3_000))
    problem = PackingProblem((10_000,), items)
    seen: list[int] = []
    copies_that_fit = heuristics._copies_that_fit

    def counting(free: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[np.int64]:
        seen.append(len(free))
        return copies_that_fit(free, size)

    monkeypatch.setattr(heuristics, "_copies_that_fit", counting)
    for deadline, most in ((heuristics.NEVER, 2_999), (LATE, heuristics.LATE_GROUPS)):
        for best_fit in (False, True):
            packing = heuristics.first_fit(
                problem, np.arange(3_000), best_fit=best_fit, deadline=deadline
            )
            check_packing(problem, packing)
            assert max(seen) == most
            seen.clear()


def test_filling_bins_by_what_suits_best_ends_at_the_deadline() -> None:
    problem = PackingProblem((10,), tuple(ItemType((size,), 9) for size in (2, 3, 4)))
    ticks = count()
    with pytest.raises(OutOfTimeError):
        heuristics.fill_bins(problem, deadline=Deadline(5, lambda: next(ticks)))
    assert next(ticks) == 6

    packings = list(heuristics.constructive_packings(problem, LATE))

    # The ones of first fit and best fit are all there, and whole.
    assert len(packings) == len(list(heuristics.constructive_packings(problem))) - 2
    for packing in packings:
        check_packing(problem, packing)


def plain_dual_feasible_bound(problem: PackingProblem) -> int:
    """Return the bound by the formulas of the two families, size by size."""
    best = 0
    for dimension, capacity in enumerate(problem.capacity):
        pairs = [(one.sizes[dimension], one.count) for one in problem.item_types]
        for least in {size for size, _ in pairs if 0 < 2 * size <= capacity}:
            total = 0
            for size, number in pairs:
                if size > capacity - least:
                    total += number * capacity
                elif size >= least:
                    total += number * size
            best = max(best, -(-total // capacity))
        for k in range(1, 21):
            parts = 0  # of which k (k + 1) are a bin
            for size, number in pairs:
                whole, rest = divmod(size * (k + 1), capacity)
                parts += number * whole * (k + 1 if rest else k)
            best = max(best, math.ceil(parts / (k * (k + 1))))
    return best


@settings(max_examples=300, derandomize=True, deadline=None)
@given(problem=problems(max_types=12, max_count=9))
def test_the_dual_feasible_bound_is_that_of_its_formulas(
    problem: PackingProblem,
) -> None:
    assert bounds.dual_feasible_bound(problem) == plain_dual_feasible_bound(problem)
