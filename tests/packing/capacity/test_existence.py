from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.capacity.existence import has_plan, is_ruled_out
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems


def bins_for(*sizes, bins, budget=None):
    """Return whole jobs of these sizes, and bins as (capacity, count, cost)."""
    return CapacityProblem(
        tuple(BinType((most,), count=count, cost=cost) for most, count, cost in bins),
        tuple(Job() for _ in sizes),
        tuple(
            Option(job, bin_type, (size,), (0,), 1)
            for job, size in enumerate(sizes)
            for bin_type in range(len(bins))
        ),
        budget=budget,
    )


def test_what_fills_the_bins_to_the_brim_has_a_plan_and_one_unit_more_has_none():
    # 10 = 6 + 4 and 7 = 5 + 2; with 3 for the 2 the sum is 18 of 17.
    bins = ((10, 1, 1), (7, 1, 1))

    assert has_plan(bins_for(6, 5, 4, 2, bins=bins)) is True
    assert has_plan(bins_for(6, 5, 4, 3, bins=bins)) is False


def test_a_budget_that_buys_one_bin_of_the_two_needed_leaves_no_plan():
    # 6 + 6 need two bins of 10, at 3 each.
    bins = ((10, None, 3),)

    assert has_plan(bins_for(6, 6, bins=bins, budget=6)) is True
    assert has_plan(bins_for(6, 6, bins=bins, budget=5)) is False


def test_a_search_cut_short_and_a_demand_tell_nothing():
    problem = bins_for(6, 5, 4, 2, bins=((10, 1, 1), (7, 1, 1)))
    jobs = (replace(problem.jobs[0], demand=1), *problem.jobs[1:])

    assert has_plan(problem, node_limit=2) is None
    assert has_plan(replace(problem, jobs=jobs)) is None


@settings(max_examples=80, derandomize=True, deadline=None)
@given(problem=capacity_problems(counted=True), budget=st.integers(1, 9))
def test_whether_there_is_a_plan_agrees_with_brute_force(problem, budget):
    jobs = tuple(
        job if job.demand is None else replace(job, demand=0) for job in problem.jobs
    )
    problem = replace(problem, jobs=jobs, budget=budget)
    most = sum(one.count for one in problem.bin_types)

    expected = best_value(problem, Goal.MIN_COST, max_bins=most)

    if expected is not None and expected > budget:
        expected = None
    assert has_plan(problem) is (expected is not None)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(counted=True, has_demand=True), budget=st.integers(1, 9)
)
def test_what_is_ruled_out_has_no_plan_by_brute_force_either(problem, budget):
    problem = replace(problem, budget=budget)
    most = sum(one.count for one in problem.bin_types)

    expected = best_value(problem, Goal.MIN_COST, max_bins=most)

    has_one = expected is not None and expected <= budget
    ruled_out = is_ruled_out(problem, Goal.MIN_COST, time_limit_s=10.0)
    assert ruled_out is not has_one


def test_a_demand_of_two_bins_is_ruled_out_of_one():
    # 10 units of room for 10 of service: a demand of 11 needs a second bin.
    bin_type = BinType((10,), count=1)
    option = Option(0, 0, (0,), (10,), 10)

    def is_too_much(demand):
        problem = CapacityProblem((bin_type,), (Job(demand=demand),), (option,))
        return is_ruled_out(problem, Goal.MIN_BINS, time_limit_s=10.0)

    assert is_too_much(11) is True
    assert is_too_much(10) is False
