"""Prices of room prove bounds that no plan goes below."""

import pytest
from hypothesis import given, settings

from gpupack.packing.capacity.many_jobs import OptionArrays, RoomPricing
from gpupack.packing.capacity.model import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
    plan_volume_bound,
)
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems


def bound_of(problem, goal):
    return RoomPricing(problem, goal, OptionArrays.of(problem)).best().bound


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MIN_COST])
@settings(max_examples=60)
@given(problem=capacity_problems(has_copies=True))
def test_no_plan_is_better_than_the_bound(goal, problem):
    best = best_value(problem, goal, max_bins=4)
    if best is not None:
        assert bound_of(problem, goal) <= best * (1 + 1e-9)


def test_bin_types_are_each_priced_by_what_they_lack():
    # Ten jobs of half a bin's memory, ten of half a bin's load on another type: five
    # bins of each. A mixture that is the same for both types sees five.
    jobs = (*10 * (Job(copies=1),), *10 * (Job(demand=10),))
    options = [Option(job, 0, (5, 0), (0, 0), 1) for job in range(10)]
    options += [Option(job, 1, (0, 0), (0, 50), 10) for job in range(10, 20)]
    problem = CapacityProblem(
        (BinType((10, 100)), BinType((10, 100))), jobs, tuple(options)
    )
    assert bound_of(problem, Goal.MIN_BINS) == pytest.approx(10, rel=1e-4)
    assert plan_volume_bound(problem, Goal.MIN_BINS) == pytest.approx(5, rel=1e-4)


def test_the_last_copy_is_paid_in_full():
    # 25 of service by copies of 10: three take 4 each of memory, though 2.5 would do.
    problem = CapacityProblem(
        (BinType((10,)),),
        (Job(demand=25),) * 10,
        tuple(Option(job, 0, (4,), (0,), 10) for job in range(10)),
    )
    assert bound_of(problem, Goal.MIN_BINS) == pytest.approx(12, rel=1e-4)


def test_counted_bins_that_are_cheap_do_not_serve_beyond_their_count():
    # Each of ten jobs takes half a bin. One cheap bin holds two, the others cost 10.
    jobs = 10 * (Job(demand=10),)
    options = [
        Option(job, bin_type, (0,), (50,), 10)
        for job in range(10)
        for bin_type in range(2)
    ]
    problem = CapacityProblem(
        (BinType((100,), cost=1, count=1), BinType((100,), cost=10)),
        jobs,
        tuple(options),
    )
    assert bound_of(problem, Goal.MIN_COST) == pytest.approx(1 + 4 * 10, rel=1e-3)
