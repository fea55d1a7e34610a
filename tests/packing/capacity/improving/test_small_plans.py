from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.capacity.improving.small_plans import cheapest_plan
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems


def test_one_large_bin_is_taken_where_two_small_ones_cost_more():
    # 6 + 5 fit no bin of 10: two for 2 each, or one of 12 for 3.
    problem = CapacityProblem(
        (BinType((10,), cost=2), BinType((12,), cost=3)),
        (Job(), Job()),
        tuple(
            Option(job, bin_type, (size,), (0,), 1)
            for job, size in enumerate((6, 5))
            for bin_type in range(2)
        ),
    )

    uses, value = cheapest_plan(problem, Goal.MIN_COST)

    assert value == 3
    assert [(one.bin_type, count) for one, count in uses] == [(1, 1)]
    assert cheapest_plan(problem, Goal.MIN_BINS)[1] == 1
    assert cheapest_plan(problem, Goal.MIN_COST, node_limit=1) is None


def test_of_equally_many_bins_the_cheapest_are_taken():
    # One bin does, of either type; the second costs 3 instead of 5.
    problem = CapacityProblem(
        (BinType((10,), cost=5), BinType((9,), cost=3)),
        (Job(),),
        tuple(Option(0, bin_type, (6,), (0,), 1) for bin_type in range(2)),
    )

    uses, value = cheapest_plan(problem, Goal.MIN_BINS)

    assert value == 1
    assert [one.bin_type for one, _ in uses] == [1]


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MIN_COST])
@settings(max_examples=80, derandomize=True, deadline=None)
@given(problem=capacity_problems(counted=True), budget=st.integers(2, 12))
def test_the_cheapest_plan_is_that_of_brute_force(goal, problem, budget):
    jobs = tuple(replace(job, demand=None, is_optional=False) for job in problem.jobs)
    seen = set()
    options = []
    for one in problem.options:
        if (one.job, one.bin_type) not in seen:
            seen.add((one.job, one.bin_type))
            load = one.proportional[1] + one.fixed[1]
            options.append(
                replace(one, fixed=(one.fixed[0], load), proportional=(0, 0))
            )
    problem = replace(problem, jobs=jobs, options=tuple(options))
    most = sum(one.count for one in problem.bin_types)

    expected = best_value(problem, goal, max_bins=most)
    found = cheapest_plan(problem, goal)

    assert (None if found is None else found[1]) == expected
    cheapest = best_value(problem, Goal.MIN_COST, max_bins=most)
    within = cheapest_plan(replace(problem, budget=budget), Goal.MIN_COST)
    if cheapest is None or cheapest > budget:
        assert within is None
    else:
        assert within[1] == cheapest
