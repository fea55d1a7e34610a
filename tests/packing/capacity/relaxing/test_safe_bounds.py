"""Bounds on adversarial scales: prices a millionth apart, a million bins."""

import math
import random
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.completion import Clock, Completion
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import Configuration
from gpupack.packing.capacity.model.plan import Copies, FilledBin, PlanStatus
from gpupack.packing.capacity.relaxing.bin_counts import BinCounts, CountCut
from gpupack.packing.capacity.relaxing.goals import rounded_bound
from gpupack.packing.capacity.relaxing.lagrangian import Lagrangian
from gpupack.packing.capacity.relaxing.plan_master import Duals
from gpupack.packing.capacity.relaxing.whole_numbers import is_impossible
from gpupack.packing.items.model import ItemType, PackingProblem
from gpupack.packing.items.patterns.pricing import GRID, farley_bound
from gpupack.packing.items.search.set_cover import has_no_partition


def one_job_per_bin(num_bins, *, costs=(1,)):
    """A job of so many copies, each of which fills a bin of any type."""
    return CapacityProblem(
        tuple(BinType((10,), cost=cost) for cost in costs),
        (Job(copies=num_bins),),
        tuple(Option(0, bin_type, (10,), (0,), 1) for bin_type in range(len(costs))),
    )


def completed(problem, goal, bins, bound):
    completion = Completion(problem, goal, Clock(0.0, 1.0), seed=0, target_gap=0.0)
    return completion.plan(bins, bound, "test")


@pytest.mark.parametrize("num_bins", [2, 1_000, 1_000_001])
def test_one_bin_less_is_a_gap_however_many_there_are(num_bins):
    problem = one_job_per_bin(num_bins)
    bins = (FilledBin(0, (Copies(0, 1, 1.0),), num_bins),)

    plan = completed(problem, Goal.MIN_BINS, bins, num_bins - 1.0)

    assert (plan.status, plan.bound) == (PlanStatus.FEASIBLE, num_bins - 1)
    assert completed(problem, Goal.MIN_BINS, bins, num_bins).status == "OPTIMAL"


def test_prices_a_millionth_apart_are_told_apart():
    problem = one_job_per_bin(1, costs=(1_000_001, 1_000_000))
    dear = (FilledBin(0, (Copies(0, 1, 1.0),)),)

    plan = completed(problem, Goal.MIN_COST, dear, 1_000_000.0)

    assert plan.status is PlanStatus.FEASIBLE
    best = plan_capacity(problem, Goal.MIN_COST, time_limit_s=1)
    assert (best.value, best.status) == (1_000_000, PlanStatus.OPTIMAL)


def test_a_bound_is_rounded_up_no_further_than_floats_are_sure():
    # In steps of one: 10^12 and a little is no proof of 10^12 + 1.
    problem = one_job_per_bin(1, costs=(1_000_001, 1_000_000))
    assert rounded_bound(problem, Goal.MIN_COST, 1e12 + 0.1) <= 10**12
    # But 2.1 bins are 3, and rounding of the fifteenth digit is nothing.
    assert rounded_bound(problem, Goal.MIN_BINS, 2.1) == 3
    assert rounded_bound(problem, Goal.MIN_BINS, 2 + 1e-13) == 2


def test_farleys_bound_is_exact():
    # A million items, three of which fill a bin: 333,334 bins. In floating point a
    # third on the grid is a little less, and so is the bound, never more.
    third = math.floor(GRID / 3) / GRID
    demand = np.array([1_000_000])
    bound = farley_bound(np.array([third]), demand, 1.0)
    exact = Fraction(third) * 1_000_000
    assert bound == math.ceil(exact) == 333_334
    # Duals that sum to a whole number prove no bin more than that.
    assert farley_bound(np.array([0.5]), np.array([2_000_000]), 1.0) == 1_000_000
    assert farley_bound(np.array([0.5]), np.array([2_000_000]), 1.0 + 1e-7) <= 1_000_000


def test_numbers_of_bins_are_ruled_out_in_whole_numbers():
    # Each bin is worth a millionth of what is needed.
    counts = BinCounts(one_job_per_bin(1_000_000), Goal.MIN_BINS)
    counts.add(CountCut((1.0,), 1_000_000.0))

    assert not counts.is_impossible()
    assert not counts.is_impossible(1_000_000)
    assert counts.is_impossible(999_999)
    # Within what the prices of needs may be off: no proof.
    nearly = BinCounts(one_job_per_bin(1_000_000), Goal.MIN_BINS)
    nearly.add(CountCut((1.0,), 999_999.05))
    assert not nearly.is_impossible(999_999)


@pytest.mark.parametrize("off", [0, 1, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_budget_is_kept_to_the_last_unit(seed, off):
    # Prices without a common divisor, in thousand-millionths; a budget that is just
    # enough for six bins, or a few units less: a billionth of it is more than that.
    rng = random.Random(seed)
    costs = [rng.randrange(10**9, 4 * 10**9) | 1 for _ in range(3)]
    six = min(
        sum(cost * n for cost, n in zip(costs, numbers, strict=True))
        for numbers in product(range(5), repeat=3)
        if sum(numbers) == 6
    )
    problem = CapacityProblem(
        tuple(BinType((10,), cost=cost, count=4) for cost in costs),
        (Job(demand=10**9),),
        tuple(Option(0, bin_type, (10,), (0,), 10**6) for bin_type in range(3)),
        budget=six - off,
    )

    plan = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=20)

    assert plan.status is PlanStatus.OPTIMAL
    assert plan.value == (5 if off else 6) * 10**6


def test_what_floats_call_impossible_must_be_so_in_whole_numbers():
    # A bin serves a third: three bins serve all but a ten-millionth of the demand,
    # which counts as all of it; two do not.
    problem = CapacityProblem(
        (BinType((10,), count=3),),
        (Job(demand=30_000_003),),
        (Option(0, 0, (4,), (6,), 10_000_000),),
    )
    configurations = [Configuration(0, ((0, 1),))]

    def impossible(problem):
        return is_impossible(problem, configurations, in_full=True, time_limit_s=5)

    assert not impossible(problem)
    assert impossible(replace(problem, bin_types=(BinType((10,), count=2),)))
    # Neither do three of which room is left for half a copy's load.
    assert impossible(replace(problem, bin_types=(BinType((7,), count=3),)))


@pytest.mark.parametrize("num_bins", [6, 10**6])
def test_one_bin_too_few_of_a_million_is_proved_to_be(num_bins):
    problem = one_job_per_bin(num_bins)
    configurations = [Configuration(0, ((0, 1),))]

    def impossible(count):
        bins = (BinType((10,), count=count),)
        return is_impossible(
            replace(problem, bin_types=bins),
            configurations,
            in_full=True,
            time_limit_s=5,
        )

    assert impossible(num_bins - 1)
    assert not impossible(num_bins)


def test_a_budget_a_unit_too_small_is_proved_to_be():
    # Two of three bins at prices a millionth apart.
    problem = CapacityProblem(
        (BinType((10,), cost=1_000_001, count=1), BinType((10,), cost=1_000_000)),
        (Job(copies=2), Job()),
        tuple(Option(job, kind, (10,), (0,), 1) for job in (0, 1) for kind in (0, 1)),
    )
    configurations = [
        Configuration(one.bin_type, ((index, 1),))
        for index, one in enumerate(problem.options)
    ]

    def impossible(budget):
        return is_impossible(
            replace(problem, budget=budget),
            configurations,
            in_full=True,
            time_limit_s=5,
        )

    assert impossible(2_999_999)
    assert not impossible(3_000_000)


def test_the_lowest_value_is_told_in_whole_numbers():
    # A million bins at prices a millionth apart, nine tenths of a millionth too few of
    # the cheap ones: floats cannot tell a dear one from a cheap one.
    bin_types = (
        BinType((10,), cost=1_000_000, count=999_999),
        BinType((10,), cost=1_000_001, count=10),
    )
    problem = replace(one_job_per_bin(10**6, costs=(1, 1)), bin_types=bin_types)
    counts = BinCounts(problem, Goal.MIN_COST)
    counts.add(CountCut((1.0, 1.0), 1e6))

    # SAFETY, a ten-millionth, takes a tenth of a bin off what is needed.
    assert counts.lowest_value() == 999_999 * 1_000_000 + 1_000_001


def test_a_sum_of_many_jobs_is_rounded_once():
    # Ten thousand jobs at a price of 0.1 each, which is a little more than a tenth.
    num_jobs = 10_000
    problem = CapacityProblem(
        (BinType((10,), count=num_jobs),),
        tuple(Job(demand=1) for _ in range(num_jobs)),
        tuple(Option(job, 0, (10,), (0,), 1) for job in range(num_jobs)),
    )
    zeros = [0.0] * num_jobs
    duals = Duals([0.1] * num_jobs, zeros, zeros, zeros, [0.0])

    told = Lagrangian(problem, Goal.MIN_BINS).of_jobs(duals, 1.0)

    exact = Fraction(0.1) * num_jobs
    assert Fraction(told) <= exact
    # 2^-40 of all terms: these, and what a demand could earn, 1 each.
    assert Fraction(told) >= exact * (1 - Fraction(1, 2**36))


def test_bins_that_cost_more_than_all_there_are_are_none():
    problem = one_job_per_bin(10**6)
    problem = replace(problem, bin_types=(BinType((10,), count=10**6 - 1),))

    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=2)

    assert plan.status is PlanStatus.INFEASIBLE


def test_no_partition_is_proved_in_whole_numbers():
    # Five items, any two of which may share a bin: three bins do, two do not.
    problem = PackingProblem((2,), tuple(ItemType((1,)) for _ in range(5)))
    alone = [((index, 1),) for index in range(5)]
    pairs = [((a, 1), (b, 1)) for a in range(5) for b in range(a + 1, 5)]

    def has_none(most_bins):
        return has_no_partition(
            problem, alone + pairs, most_bins=most_bins, time_limit_s=5
        )

    assert has_none(2)
    assert not has_none(3)
