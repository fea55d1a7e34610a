"""The first plan: what it comes to, and that nothing that follows loses it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.errors import CheckError
from gpupack.packing.capacity import capacity_ladder as solve
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.construction import first_plan
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import PlanStatus
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.packing.capacity.model.volume import plan_volume_bound
from gpupack.packing.capacity.relaxing.goals import measured_value
from gpupack.packing.capacity.relaxing.plan_master import UnsolvedError
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems

many = settings(max_examples=150, derandomize=True, deadline=None)


@many
@given(
    problem=capacity_problems(has_demand=True, has_copies=True),
    goal=st.sampled_from(list(Goal)),
    seed=st.integers(0, 3),
)
def test_a_first_plan_keeps_every_limit(problem, goal, seed):
    bins = first_plan(problem, goal, seed=seed)

    if bins:
        check_plan(problem, bins, in_full=goal.is_in_full)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(counted=True, max_jobs=2, has_copies=True),
    goal=st.sampled_from([Goal.MIN_BINS, Goal.MIN_COST]),
)
def test_no_plan_is_cheaper_than_the_bound_of_room_alone(problem, goal):
    best = best_value(
        problem, goal, max_bins=sum(one.count for one in problem.bin_types)
    )

    if best is not None:
        assert plan_volume_bound(problem, goal) <= best


def test_room_alone_bounds_the_cost_by_the_cheapest_way_to_take_it():
    # Six copies of 4 in bins of 10 for 30, or of 3 in bins of 12 for 24: a copy takes
    # 4/10 of 30 = 12, or 3/12 of 24 = 6.
    problem = CapacityProblem(
        (BinType((10,), cost=30), BinType((12,), cost=24)),
        (Job(copies=6),),
        (Option(0, 0, (4,), (0,), 1), Option(0, 1, (3,), (0,), 1)),
    )

    assert plan_volume_bound(problem, Goal.MIN_COST) == pytest.approx(6 * 6, rel=1e-5)


def test_a_job_with_a_million_copies_takes_no_step_for_each():
    # Ten copies of 10 fill a bin of 100.
    problem = CapacityProblem(
        (BinType((100,)),), (Job(copies=1_000_000),), (Option(0, 0, (10,), (0,), 1),)
    )

    bins = first_plan(problem, Goal.MIN_BINS, seed=0)

    assert measured_value(problem, Goal.MIN_BINS, bins) == 100_000
    assert len(bins) == 1


def first_and_later():
    """Six jobs of half a bin and six of more: twelve bins are enough in any order."""
    return CapacityProblem(
        (BinType((10, 100), count=12),),
        tuple(Job(demand=50) for _ in range(6)) + tuple(Job() for _ in range(6)),
        tuple(Option(job, 0, (5, 0), (0, 60), 50) for job in range(6))
        + tuple(Option(job, 0, (6, 0), (0, 0), 1) for job in range(6, 12)),
    )


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("error", [UnsolvedError(), CheckError("rounding")])
def test_what_later_rungs_come_to_loses_no_plan(monkeypatch, goal, error):
    def fail(self):
        raise error

    monkeypatch.setattr(solve._Search, "_searched", fail)
    problem = first_and_later()

    plan = plan_capacity(problem, goal, time_limit_s=1)

    assert plan.is_found
    check_plan(problem, plan.bins, in_full=goal.is_in_full)


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MAX_SERVICE])
@pytest.mark.parametrize("status", [PlanStatus.UNKNOWN, PlanStatus.INFEASIBLE])
def test_a_rung_that_finds_nothing_leaves_the_plan_that_was(monkeypatch, goal, status):
    def find_nothing(self):
        return self._completion.without_plan(status, "nothing")

    monkeypatch.setattr(solve._Search, "_searched", find_nothing)
    problem = first_and_later()
    first = first_plan(problem, goal, seed=0)

    plan = plan_capacity(problem, goal, time_limit_s=1)

    assert plan.is_found
    value = measured_value(problem, goal, first)
    if goal.is_in_full:
        assert plan.value <= value
    else:
        assert plan.value >= value


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MAX_SERVICE])
def test_a_worse_plan_of_a_later_rung_is_not_taken(monkeypatch, goal):
    def find_worse(self):
        value = math.inf if goal.is_in_full else 0.0
        return replace(self._best, value=value, method="worse")

    monkeypatch.setattr(solve._Search, "_searched", find_worse)
    problem = first_and_later()
    first = measured_value(problem, goal, first_plan(problem, goal, seed=0))

    plan = plan_capacity(problem, goal, time_limit_s=1)

    check_plan(problem, plan.bins, in_full=goal.is_in_full)
    assert plan.value <= first if goal.is_in_full else plan.value >= first


def test_the_first_plan_is_the_same_at_every_limit(monkeypatch):
    found = []

    def note(self):
        found.append(self._best)
        return self._best

    monkeypatch.setattr(solve._Search, "_searched", note)
    problem = first_and_later()
    for limit_s in (0, 0.05, 2, 30):
        plan_capacity(problem, Goal.MIN_BINS, time_limit_s=limit_s)

    assert len({one.bins for one in found}) == 1
