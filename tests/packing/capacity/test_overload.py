"""The quick proof that bins are too few: what it says holds, and when it says it."""

from dataclasses import replace

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
from gpupack.packing.capacity.overload import fits_apart, fits_together, is_overloaded
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems


@settings(max_examples=150, deadline=None)
@given(problem=capacity_problems(counted=True), demands=st.integers(1, 4))
def test_what_is_called_overloaded_no_brute_force_can_pack(problem, demands):
    jobs = tuple(
        job if job.demand is None else replace(job, demand=job.demand * demands)
        for job in problem.jobs
    )
    problem = replace(problem, jobs=jobs)
    most = sum(one.count for one in problem.bin_types)

    if is_overloaded(problem):
        assert best_value(problem, Goal.MIN_BINS, max_bins=most) is None


@settings(max_examples=50, deadline=None)
@given(problem=capacity_problems(), budget=st.integers(1, 6))
def test_what_is_called_beyond_a_budget_no_brute_force_can_pay(problem, budget):
    problem = replace(problem, budget=budget)

    if is_overloaded(problem):
        # Each bin costs 1 at least.
        free = replace(problem, budget=None)
        cost = best_value(free, Goal.MIN_COST, max_bins=min(budget, 3))
        assert cost is None or cost > budget


@settings(max_examples=150, deadline=None)
@given(problem=capacity_problems(counted=True))
def test_what_fits_apart_brute_force_can_pack(problem):
    most = sum(one.count for one in problem.bin_types)

    if fits_apart(problem):
        assert best_value(problem, Goal.MIN_BINS, max_bins=most) is not None


@settings(max_examples=150, deadline=None)
@given(problem=capacity_problems(counted=True))
def test_what_fits_together_brute_force_can_pack_into_one_bin(problem):
    if fits_together(problem):
        assert best_value(problem, Goal.MIN_BINS, max_bins=1) is not None


def whole(sizes, *, count, capacity=10, cost=1, budget=None):
    """Jobs of one copy and these sizes, in so many bins of one type."""
    return CapacityProblem(
        (BinType((capacity,), cost=cost, count=count),),
        tuple(Job() for _ in sizes),
        tuple(
            Option(job=index, bin_type=0, fixed=(size,), proportional=(0,), rate=1)
            for index, size in enumerate(sizes)
        ),
        budget=budget,
    )


def test_more_than_all_bins_hold_is_too_much() -> None:
    assert is_overloaded(whole([3, 3, 3, 2], count=1))
    assert not is_overloaded(whole([3, 3, 2, 2], count=1))
    assert not is_overloaded(whole([3, 3, 3, 2], count=None))


def test_of_jobs_over_half_a_bin_each_takes_one() -> None:
    # 18 of 30 are used, but no two of 6 share a bin of 10.
    assert is_overloaded(whole([6, 6, 6], count=2))
    assert not is_overloaded(whole([6, 6], count=2))


def test_a_budget_is_a_number_of_bins() -> None:
    assert is_overloaded(whole([6, 6], count=None, cost=3, budget=5))
    assert not is_overloaded(whole([6, 6], count=None, cost=3, budget=6))


@pytest.mark.parametrize(("demand", "is_too_much"), [(200, False), (203, True)])
def test_a_demand_takes_its_proportion_and_its_copies(demand, is_too_much):
    # 100 units of service take a whole bin of 10; two bins serve 200.
    problem = CapacityProblem(
        (BinType((10,), count=2),),
        (Job(demand=demand),),
        (Option(job=0, bin_type=0, fixed=(0,), proportional=(10,), rate=100),),
    )

    assert is_overloaded(problem) is is_too_much


def test_fixed_room_counts_once_per_copy_that_the_demand_needs() -> None:
    # 30 of service take three copies of 6, no two of which share a bin of 10.
    problem = CapacityProblem(
        (BinType((10,), count=2),),
        (Job(demand=30),),
        (Option(job=0, bin_type=0, fixed=(6,), proportional=(0,), rate=10),),
    )

    assert is_overloaded(problem)
    assert not is_overloaded(replace(problem, jobs=(Job(demand=20),)))


def test_a_bin_for_every_copy_is_enough() -> None:
    assert fits_apart(whole([6, 6], count=2))
    assert fits_apart(whole([6, 6], count=None, cost=3, budget=6))
    assert not fits_apart(whole([6, 6, 6], count=2))
    assert not fits_apart(whole([6, 6], count=None, cost=3, budget=5))
    assert not fits_apart(whole([11], count=2))


def test_one_bin_is_enough_for_what_it_holds_in_all() -> None:
    assert fits_together(whole([6, 4], count=1))
    assert fits_together(whole([0] * 9, count=1))
    assert not fits_together(whole([6, 5], count=9))
    assert not fits_together(whole([6, 4], count=None, cost=3, budget=2))


def test_optional_jobs_load_nothing() -> None:
    problem = whole([6, 6, 6], count=2)
    jobs = (Job(), Job(), Job(is_optional=True))

    assert not is_overloaded(replace(problem, jobs=jobs))


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MAX_SERVICE])
def test_a_search_ends_with_the_quick_proof(goal) -> None:
    plan = plan_capacity(whole([6] * 200, count=150), goal)

    assert plan.status is PlanStatus.INFEASIBLE
    assert plan.method == "volume"


def test_service_need_not_be_in_full_where_it_is_what_counts() -> None:
    problem = CapacityProblem(
        (BinType((10,), count=1),),
        (Job(demand=1000),),
        (Option(job=0, bin_type=0, fixed=(1,), proportional=(9,), rate=10),),
    )

    assert plan_capacity(problem, Goal.MIN_BINS).method == "volume"
    assert plan_capacity(problem, Goal.MAX_SERVICE).is_found
