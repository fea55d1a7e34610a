"""Smaller problems have the plans of the larger ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import PlanStatus
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.packing.capacity.model.reduction import reduced
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems


def test_options_that_another_beats_are_left_out():
    # The second takes more and gives less; the third gives more for more.
    problem = CapacityProblem(
        (BinType((10,)),),
        (Job(),),
        (
            Option(0, 0, (4,), (0,), 5),
            Option(0, 0, (5,), (0,), 4),
            Option(0, 0, (6,), (0,), 9),
        ),
    )

    smaller = reduced(problem, Goal.MAX_SERVICE)

    assert smaller is not None
    assert [one.rate for one in smaller.problem.options] == [5, 9]


def test_of_bin_types_that_are_alike_one_stands_for_all():
    # Three types of one bin each, all the same: three jobs of 6 in bins of 10.
    problem = CapacityProblem(
        tuple(BinType((10,), count=1) for _ in range(3)),
        tuple(Job() for _ in range(3)),
        tuple(
            Option(job, bin_type, (6,), (0,), 1)
            for bin_type in range(3)
            for job in range(3)
        ),
    )

    smaller = reduced(problem, Goal.MIN_BINS)
    plan = plan_capacity(problem, Goal.MIN_BINS)

    assert smaller is not None
    assert [one.count for one in smaller.problem.bin_types] == [3]
    assert sorted(one.bin_type for one in plan.bins) == [0, 1, 2]
    check_plan(problem, plan.bins, in_full=True)


@pytest.mark.parametrize(("count", "num_left"), [(None, 1), (1, 2)])
def test_a_bin_type_is_left_out_where_a_better_one_is_there_in_any_number(
    count, num_left
):
    # The second has more room for less money, and the job takes less of it.
    problem = CapacityProblem(
        (BinType((10,), cost=3), BinType((12,), cost=2, count=count)),
        (Job(copies=4),),
        (Option(0, 0, (5,), (0,), 1), Option(0, 1, (4,), (0,), 1)),
    )

    smaller = reduced(problem, Goal.MIN_COST)

    assert len((smaller.problem if smaller else problem).bin_types) == num_left


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(counted=True, has_demand=True, has_copies=True),
    goal=st.sampled_from(list(Goal)),
)
def test_plans_with_copies_of_optional_jobs_are_those_of_brute_force(problem, goal):
    plan = plan_capacity(problem, goal)

    best = best_value(
        problem, goal, max_bins=sum(one.count for one in problem.bin_types)
    )
    if best is None:
        assert plan.status is PlanStatus.INFEASIBLE
    else:
        assert plan.status is PlanStatus.OPTIMAL
        assert plan.value == pytest.approx(best, rel=1e-5, abs=1e-6)


def test_a_thousand_load_points_are_as_easy_as_the_ten_smallest():
    # Memory alone, more of it for more rate: ten jobs of which each takes 30 at least,
    # three to a bin of 100. None of the thousand options beats another.
    problem = CapacityProblem(
        (BinType((100_000,)),),
        tuple(Job() for _ in range(10)),
        tuple(
            Option(job, 0, (30_000 + 10 * step,), (0,), 100 + step)
            for job in range(10)
            for step in range(100)
        ),
    )

    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=5)

    assert plan.status is PlanStatus.OPTIMAL
    assert plan.num_bins == 4
    # A bin of three has room for all of them at their fastest: 3 · 30,990 = 92,970.
    rates = [problem.options[c.option].rate for b in plan.bins for c in b.copies]
    assert rates == [199] * 10


def test_a_thousand_options_that_none_beats_are_no_recursion():
    problem = CapacityProblem(
        (BinType((100_000,), count=2),),
        tuple(Job() for _ in range(10)),
        tuple(
            Option(job, 0, (10_000 + 100 * step,), (0,), 100 + step)
            for job in range(10)
            for step in range(100)
        ),
    )

    plan = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=1)

    assert plan.is_found
    # Two bins of 200,000 in all: 100,000 more than the smallest take, at 100 per rate.
    assert 10 * 100 < plan.value <= plan.bound
    assert plan.bound >= 10 * 100 + 1_000 - 10
