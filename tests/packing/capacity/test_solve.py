import pytest
from hypothesis import given, settings

from gpupack.packing.capacity.plan import PlanStatus
from gpupack.packing.capacity.problem import Goal
from gpupack.packing.capacity.solve import plan_capacity
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems

exhaustive = settings(max_examples=60, derandomize=True, deadline=None)


@pytest.mark.parametrize("goal", [Goal.MAX_SERVICE, Goal.MAX_MIN_SHARE])
@exhaustive
@given(problem=capacity_problems(counted=True))
def test_service_from_counted_bins_is_that_of_brute_force(goal, problem):
    if goal is Goal.MAX_MIN_SHARE and not any(
        job.demand and not job.is_optional for job in problem.jobs
    ):
        return
    num_bins = sum(one.count for one in problem.bin_types)
    if num_bins > 3:
        return
    plan = plan_capacity(problem, goal)

    best = best_value(problem, goal, max_bins=num_bins)
    if best is None:
        assert plan.status is PlanStatus.INFEASIBLE
    else:
        assert plan.status is PlanStatus.OPTIMAL
        assert plan.value == pytest.approx(best, rel=1e-5, abs=1e-6)


@exhaustive
@given(problem=capacity_problems())
def test_the_cost_is_that_of_brute_force(problem):
    plan = plan_capacity(problem, Goal.MIN_COST)

    if plan.num_bins > 3:
        return
    best = best_value(problem, Goal.MIN_COST, max_bins=3)
    if plan.status is PlanStatus.INFEASIBLE:
        assert best is None
    else:
        assert plan.status is PlanStatus.OPTIMAL
        assert plan.value == plan.bound
        if best is not None:
            assert plan.value <= best
        if plan.value <= 3 * min(one.cost for one in problem.bin_types):
            assert plan.value == best
