"""Fewer copies at no cost: against every plan there is, on small problems."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations_with_replacement

import pytest

from gpupack.packing import (
    BinType,
    CapacityPlan,
    CapacityProblem,
    FilledBin,
    Goal,
    Job,
    Option,
    PlanStatus,
    plan_capacity,
    with_fewer_copies,
)
from gpupack.packing.capacity import fewer_copies
from gpupack.packing.capacity.model.plan import Copies
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


def rank(problem: CapacityProblem, bins) -> tuple[int, int]:
    """Return copies, and those beside another of their job.

    Args:
        bins: Of each the pairs of option and number of copies.
    """
    copies = beside = 0
    for counts in bins:
        of_job = Counter()
        for option, number in counts:
            of_job[problem.options[option].job] += number
        copies += sum(of_job.values())
        beside += sum(number - 1 for number in of_job.values())
    return copies, beside


def rank_of(problem: CapacityProblem, plan: CapacityPlan) -> tuple[int, int]:
    return rank(
        problem, [one.counts for one in plan.bins for _ in range(one.multiplicity)]
    )


def lowest_rank(
    problem: CapacityProblem, num_bins: int, cost: int
) -> tuple[int, int] | None:
    """Return the lowest rank of any plan of so many bins and at most this cost."""
    fillings = [
        (bin_type, filling)
        for bin_type in range(len(problem.bin_types))
        for filling in _fillings(problem, bin_type)
    ]
    best = None
    for bins in combinations_with_replacement(fillings, num_bins):
        found = rank(problem, [filling for _, filling in bins])
        if best is not None and found >= best:
            continue
        if sum(problem.bin_types[one].cost for one, _ in bins) > cost:
            continue
        if (
            _within_limits(problem, bins)
            and _has_copies(problem, bins)
            and _serve(problem, bins, Goal.MIN_BINS) is not None
        ):
            best = found
    return best


@pytest.mark.parametrize("seed", range(60))
def test_no_plan_of_that_cost_has_fewer_copies_or_fewer_side_by_side(
    seed: int,
) -> None:
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
    assert rank_of(problem, fewer) == lowest_rank(problem, plan.num_bins, cost)


@pytest.mark.parametrize("seed", [0, 2])
def test_work_and_not_the_clock_ends_the_search_among_plans_of_equal_value(
    seed: int,
) -> None:
    """Of plain models that are solved in seconds, which is more than they get."""
    rng = random.Random(seed)
    jobs = tuple(Job(demand=rng.randint(20, 60)) for _ in range(7))
    options = tuple(
        Option(
            job=index // 2,
            bin_type=0,
            fixed=(rng.randint(20, 35), 0),
            proportional=(0, rng.randint(30, 70)),
            rate=rng.randint(8, 14),
        )
        for index in range(2 * len(jobs))
    )
    problem = CapacityProblem((BinType((100, 100)),), jobs, options)
    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=5, num_workers=1)

    found = [
        with_fewer_copies(
            problem, Goal.MIN_BINS, plan, time_limit_s=limit_s, num_workers=1
        )
        for limit_s in (3600, 20)
    ]

    assert num_copies(found[0].bins) <= num_copies(plan.bins)
    assert found[0].bins == found[1].bins


def test_copies_of_a_large_plan_are_moved_apart_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the plain model is too large: here it is not asked."""
    monkeypatch.setattr(fewer_copies, "is_worth_it", lambda *_: False)
    a, b = (
        Option(job=job, bin_type=0, fixed=(2, 0), proportional=(0, 6), rate=6)
        for job in (0, 1)
    )
    problem = CapacityProblem(
        (BinType((6, 12)),), (Job(demand=7), Job(demand=7)), (a, b)
    )
    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=5, num_workers=1)
    crowded = replace(plan, bins=tuple(_crowded(problem)))

    fewer = with_fewer_copies(
        problem, Goal.MIN_BINS, crowded, time_limit_s=10, num_workers=1
    )

    check_plan(problem, fewer.bins, in_full=True)
    assert rank_of(problem, crowded) == (4, 2)
    assert rank_of(problem, fewer) == (4, 0)


def _crowded(problem: CapacityProblem) -> list[FilledBin]:
    """Two bins, each with both copies of one job."""
    return [
        FilledBin(0, (Copies(option, 2, 7.0),))
        for option in range(len(problem.options))
    ]


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


def test_plans_of_very_many_fillings_are_not_asked_one_copy_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = CapacityProblem(
        (BinType((10, 10)),),
        (Job(demand=10),),
        (Option(job=0, bin_type=0, fixed=(1, 0), proportional=(0, 10), rate=10),),
    )
    spread = CapacityPlan(
        bins=(
            FilledBin(0, (Copies(0, 2, 6.0),)),
            FilledBin(0, (Copies(0, 1, 4.0),)),
        ),
        value=2.0,
        bound=2.0,
        status=PlanStatus.OPTIMAL,
        method="",
        seconds=0.0,
    )

    fewer = with_fewer_copies(problem, Goal.MIN_BINS, spread, time_limit_s=0.0)
    monkeypatch.setattr(fewer_copies, "MOST_FILLINGS", 1)
    same = with_fewer_copies(problem, Goal.MIN_BINS, spread, time_limit_s=0.0)

    assert num_copies(fewer.bins) < num_copies(spread.bins)
    assert same is spread
