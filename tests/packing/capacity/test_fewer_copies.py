"""Fewer copies at no cost: against every plan there is, on small problems."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations_with_replacement

import pytest

from gpupack.packing import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
    plan_capacity,
    with_fewer_copies,
)
from gpupack.packing.capacity.model.plan_check import check_plan
from tests.packing.capacity.brute_force import (
    _fillings,
    _has_copies,
    _serve,
    _within_limits,
)


def random_problem(rng: random.Random) -> CapacityProblem:
    """Two or three demands on one or two types of bins, of few copies each."""
    num_types = rng.choice([1, 1, 2])
    bin_types = tuple(
        BinType((rng.randint(8, 12), 12), cost=rng.randint(1, 3))
        for _ in range(num_types)
    )
    jobs, options = [], []
    for index in range(rng.randint(2, 3)):
        jobs.append(Job(demand=rng.randint(2, 14)))
        options += [
            Option(
                job=index,
                bin_type=bin_type,
                fixed=(rng.randint(3, 5), 0),
                proportional=(0, rng.randint(3, 11)),
                rate=rng.randint(4, 9),
            )
            for bin_type in range(num_types)
        ]
    return CapacityProblem(bin_types, tuple(jobs), tuple(options))


def num_copies(bins) -> int:
    return sum(
        group.num_copies * one.multiplicity for one in bins for group in one.copies
    )


def fewest_copies(problem: CapacityProblem, num_bins: int, cost: int) -> int | None:
    """Return the fewest copies of any plan of so many bins and at most this cost."""
    fillings = [
        (bin_type, filling)
        for bin_type in range(len(problem.bin_types))
        for filling in _fillings(problem, bin_type)
    ]
    best = None
    for bins in combinations_with_replacement(fillings, num_bins):
        copies = sum(count for _, filling in bins for _, count in filling)
        if best is not None and copies >= best:
            continue
        if sum(problem.bin_types[one].cost for one, _ in bins) > cost:
            continue
        if (
            _within_limits(problem, bins)
            and _has_copies(problem, bins)
            and _serve(problem, bins, Goal.MIN_BINS) is not None
        ):
            best = copies
    return best


@pytest.mark.parametrize("seed", range(60))
def test_no_plan_of_the_same_bins_and_cost_has_fewer_copies(seed: int) -> None:
    problem = random_problem(random.Random(seed))
    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=5, num_workers=1)
    if not plan.is_found or plan.num_bins > 3:
        pytest.skip("more bins than there is time to try every filling of")

    fewer = with_fewer_copies(
        problem, Goal.MIN_BINS, plan, time_limit_s=10, num_workers=1
    )

    cost = sum(
        problem.bin_types[one.bin_type].cost * one.multiplicity for one in plan.bins
    )
    check_plan(problem, fewer.bins, in_full=True)
    assert fewer.num_bins == plan.num_bins
    assert fewer.value == plan.value
    assert num_copies(fewer.bins) <= num_copies(plan.bins)
    assert num_copies(fewer.bins) == fewest_copies(problem, plan.num_bins, cost)


@pytest.mark.parametrize("seed", range(15))
def test_what_may_not_share_a_bin_still_does_not(seed: int) -> None:
    problem = random_problem(random.Random(seed))

    def rule(bin_type: int, counts: tuple[tuple[int, int], ...]) -> bool:
        jobs = {problem.options[index].job for index, _ in counts}
        return not {0, 1} <= jobs

    ruled = replace(problem, rule=rule)
    plan = plan_capacity(ruled, Goal.MIN_BINS, time_limit_s=2, num_workers=1)
    if not plan.is_found:
        pytest.skip("no plan")

    fewer = with_fewer_copies(ruled, Goal.MIN_BINS, plan, time_limit_s=5, num_workers=1)

    check_plan(ruled, fewer.bins, in_full=True)  # the rule included
    assert (fewer.value, fewer.num_bins) == (plan.value, plan.num_bins)
    assert num_copies(fewer.bins) <= num_copies(plan.bins)
