import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.errors import CheckError
from gpupack.packing.capacity import capacity_ladder as solve
from gpupack.packing.capacity import plan_programs
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.completion import Clock, Completion
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import Copies, FilledBin, PlanStatus
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.packing.capacity.relaxing import pricing_rounds
from gpupack.packing.runtime.warm_up import kernels_are_ready
from tests.packing.capacity.brute_force import best_value
from tests.packing.capacity.strategies import capacity_problems

exhaustive = settings(max_examples=60, derandomize=True, deadline=None)


# Four times sixty random problems against every multiset of bin fillings.
@exhaustive
@given(problem=capacity_problems(counted=True))
def test_service_from_counted_bins_is_that_of_brute_force(problem):
    assert_as_good_as_brute_force(problem, Goal.MAX_SERVICE)


@exhaustive
@given(problem=capacity_problems(counted=True, has_demand=True))
def test_the_smallest_share_is_that_of_brute_force(problem):
    assert_as_good_as_brute_force(problem, Goal.MAX_MIN_SHARE)


@exhaustive
@given(problem=capacity_problems(counted=True))
def test_the_cost_is_that_of_brute_force(problem):
    assert_as_good_as_brute_force(problem, Goal.MIN_COST)


@exhaustive
@given(problem=capacity_problems(counted=True))
def test_the_number_of_bins_is_that_of_brute_force(problem):
    assert_as_good_as_brute_force(problem, Goal.MIN_BINS)


def assert_as_good_as_brute_force(problem, goal):
    plan = plan_capacity(problem, goal)

    best = best_value(
        problem, goal, max_bins=sum(one.count for one in problem.bin_types)
    )
    if best is None:
        assert plan.status is PlanStatus.INFEASIBLE
    else:
        assert plan.status is PlanStatus.OPTIMAL
        assert plan.value == pytest.approx(best, rel=1e-5, abs=1e-6)


def quiet_neighbours(noises):
    """Copies may share a bin whose noise adds up to at most 5; one is always fine."""

    def rule(bin_type, counts):
        num_copies = sum(count for _, count in counts)
        noise = sum(noises[index % len(noises)] * count for index, count in counts)
        return num_copies == 1 or noise <= 5 + bin_type

    return rule


@exhaustive
@given(
    problem=capacity_problems(counted=True, has_demand=True),
    noises=st.lists(st.integers(0, 5), min_size=2, max_size=4),
    goal=st.sampled_from(list(Goal)),
)
def test_a_rule_of_who_may_share_is_kept_as_brute_force_keeps_it(problem, noises, goal):
    problem = replace(problem, rule=quiet_neighbours(noises))

    assert_as_good_as_brute_force(problem, goal)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(),
    noises=st.lists(st.integers(0, 5), min_size=2, max_size=4),
)
def test_generated_plans_keep_the_rule_and_bound_it(problem, noises):
    problem = replace(problem, rule=quiet_neighbours(noises))
    exact = plan_capacity(problem, Goal.MIN_BINS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        generated = plan_capacity(problem, Goal.MIN_BINS)
    free = plan_capacity(replace(problem, rule=None), Goal.MIN_BINS)

    if exact.is_found:
        assert generated.bound <= exact.value
    if generated.is_found:
        # Who may share without a rule may do so better, or just as well.
        assert generated.bound >= free.value
    if free.is_found and all(
        problem.rule(one.bin_type, one.counts) for one in free.bins
    ):
        assert generated.status is PlanStatus.OPTIMAL
    for one in generated.bins:
        assert problem.rule(one.bin_type, one.counts)


def test_copies_that_may_not_share_a_bin_are_found_by_the_check():
    options = tuple(
        Option(job=job, bin_type=0, fixed=(1,), proportional=(0,), rate=1)
        for job in range(2)
    )
    problem = CapacityProblem(
        (BinType(capacity=(2,), cost=1, count=None),), (Job(), Job()), options
    )
    together = FilledBin(0, (Copies(0, 1, 1.0), Copies(1, 1, 1.0)))

    check_plan(problem, [together], in_full=True)

    apart = replace(problem, rule=lambda bin_type, counts: len(counts) == 1)
    with pytest.raises(CheckError, match="job 0, job 1 may not share a bin"):
        check_plan(apart, [together], in_full=True)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(), goal=st.sampled_from([Goal.MIN_COST, Goal.MIN_BINS])
)
def test_column_generation_bounds_and_fills_as_enumeration_does(problem, goal):
    exact = plan_capacity(problem, goal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        generated = plan_capacity(problem, goal)

    if exact.status is PlanStatus.INFEASIBLE:
        assert not generated.is_found
        return
    assert generated.bound <= exact.value
    if generated.is_found:
        check_plan(problem, generated.bins, in_full=True)
        assert generated.value >= exact.value


@settings(max_examples=25, derandomize=True, deadline=None)
@given(problem=capacity_problems(counted=True, has_demand=True))
def test_generated_bounds_on_service_are_never_below_what_can_be_served(problem):
    exact = plan_capacity(problem, Goal.MAX_SERVICE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        generated = plan_capacity(problem, Goal.MAX_SERVICE)

    if exact.is_found and generated.is_found:
        assert generated.bound >= exact.value * (1 - 1e-6)
        assert generated.value <= exact.value * (1 + 1e-6)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    problem=capacity_problems(counted=True, has_demand=True),
    budget=st.one_of(st.none(), st.integers(1, 12)),
)
def test_generated_shares_and_their_bounds_enclose_the_largest_share(problem, budget):
    assert kernels_are_ready(wait_s=120)
    problem = replace(problem, budget=budget)
    exact = plan_capacity(problem, Goal.MAX_MIN_SHARE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        generated = plan_capacity(problem, Goal.MAX_MIN_SHARE, time_limit_s=1)

    if exact.status is PlanStatus.INFEASIBLE:
        assert not generated.is_found
    elif generated.is_found:
        assert generated.bound >= exact.value * (1 - 1e-6)
        assert generated.value <= exact.value * (1 + 1e-6)


def test_a_share_that_memory_limits_is_found_and_bounded_closely():
    # 12 jobs, two small copies to a bin or one large and fast one: six bins for all
    # leave no choice but small copies, of which each serves 2 of its demand of 5.
    problem = CapacityProblem(
        (BinType((10, 100), count=6),),
        tuple(Job(demand=5_000) for _ in range(12)),
        tuple(
            Option(job, 0, (size, 0), (0, busy), rate)
            for job in range(12)
            for size, busy, rate in ((5, 40, 2_000), (6, 40, 5_000), (4, 60, 1_000))
        ),
    )
    assert kernels_are_ready(wait_s=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        plan = plan_capacity(problem, Goal.MAX_MIN_SHARE, time_limit_s=3)

    # A bin has room for a large copy beside a small one of the last kind: 5 and 1
    # of 5; or for two of the first: 2 and 2.
    assert plan.value == pytest.approx(2 / 5, rel=1e-3)
    assert plan.bound <= 2 / 5 * 1.3


def test_without_time_for_a_bound_all_that_is_asked_for_is_the_bound():
    problem = CapacityProblem(
        (BinType((10, 100), count=2),),
        tuple(Job(demand=50) for _ in range(3)),
        tuple(Option(job, 0, (5, 0), (0, 60), 30) for job in range(3)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        patch.setattr(solve, "SERVICE_SHARE", 0.0)
        plan = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=3)

    # Two bins of 100 hold 100 / 60 · 30 = 50 each.
    assert 0 < plan.value <= 100 * (1 + 1e-9)
    assert 100 <= plan.bound <= 3 * 50


def test_many_jobs_with_large_demands_are_within_one_percent_of_the_bound():
    # 12 jobs with 4 options on 2 types: too many configurations to list.
    jobs, options = [], []
    for job in range(12):
        jobs.append(Job(demand=1000 * (job + 3)))
        for bin_type in range(2):
            for step in range(1, 5):
                options.append(
                    Option(
                        job=job,
                        bin_type=bin_type,
                        fixed=(7 + job + 3 * step, 0),
                        proportional=(0, 20 + 5 * ((job + step) % 4) + 10 * step),
                        rate=(10 + job % 5) * step * (bin_type + 1),
                    )
                )
    problem = CapacityProblem(
        (BinType((100, 100), cost=10), BinType((160, 100), cost=23)),
        tuple(jobs),
        tuple(options),
    )

    plan = plan_capacity(problem, Goal.MIN_COST, time_limit_s=10, target_gap=0.01)

    assert plan.num_bins > 100
    assert (plan.value - plan.bound) / plan.value <= 0.01


def test_no_copy_is_left_that_neither_service_nor_evenness_needs():
    # Jobs 0 and 1 fill a bin each to 95 %; job 2 adds nothing to either. A copy of it
    # in both bins would be as even as a copy in one.
    problem = CapacityProblem(
        (BinType((10, 100), count=2),),
        (Job(demand=100), Job(demand=30), Job(demand=30)),
        (
            Option(0, 0, (4, 0), (0, 95), 100),
            Option(1, 0, (8, 0), (0, 95), 30),
            Option(2, 0, (2, 0), (0, 0), 30),
        ),
    )

    plan = plan_capacity(problem, Goal.MIN_BINS)

    assert plan.num_bins == 2
    assert sum(g.num_copies for one in plan.bins for g in one.copies) == 3


def test_a_budget_that_buys_no_bin_ends_without_a_plan():
    problem = CapacityProblem(
        (BinType((10, 100), cost=5),),
        (Job(demand=100),),
        (Option(0, 0, (4, 0), (0, 95), 100),),
        budget=4,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
        patch.setattr(plan_programs, "MAX_ENUMERATED", -1)
        plan = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=1)

    assert not plan.is_found


def test_a_plan_a_rounding_below_its_bound_is_proved_with_the_gap_it_has():
    # One bin runs one copy's worth of load: each job gets half, 0.5 exactly. What
    # serves 0.49999994 of each is as good as a plan is checked to be, no better.
    problem = CapacityProblem(
        (BinType((2, 10), count=1),),
        (Job(demand=10**9), Job(demand=10**9)),
        tuple(Option(job, 0, (1, 0), (0, 10), 10**9) for job in range(2)),
    )
    goal = Goal.MAX_MIN_SHARE
    clock = Clock(time.perf_counter(), 1.0)
    completion = Completion(problem, goal, clock, seed=0, target_gap=0.0)
    bins = (FilledBin(0, tuple(Copies(job, 1, 499_999_940.0) for job in range(2))),)

    plan = completion.plan(bins, 0.5, "by hand")

    assert plan.value == pytest.approx(0.49999994, abs=1e-12)
    assert plan.bound == 0.5
    assert plan.status is PlanStatus.OPTIMAL


def test_without_compiled_code_jobs_of_one_copy_each_still_get_a_bin_each(monkeypatch):
    # Each of five jobs wants all the time of a bin; by what they take in full all fit
    # into one.
    monkeypatch.setattr(solve, "MAX_ENUMERATION_STEPS", 0)
    for module in (solve, pricing_rounds):
        monkeypatch.setattr(module, "kernels_are_ready", lambda wait_s: False)
    num_jobs = 5
    problem = CapacityProblem(
        (BinType(capacity=(num_jobs, 10), cost=1, count=num_jobs),),
        tuple(Job(demand=10, max_copies=1) for _ in range(num_jobs)),
        tuple(
            Option(job=job, bin_type=0, fixed=(1, 0), proportional=(0, 10), rate=10)
            for job in range(num_jobs)
        ),
        budget=num_jobs - 1,
    )

    plan = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=3.0)

    # There is one bin less than jobs: two share one.
    assert plan.value == pytest.approx(10 * (num_jobs - 1))
