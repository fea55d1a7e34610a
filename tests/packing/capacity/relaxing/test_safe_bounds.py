"""Bounds on adversarial scales: prices a millionth apart, a million bins."""

import math
from fractions import Fraction

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
from gpupack.packing.capacity.model.plan import Copies, FilledBin, PlanStatus
from gpupack.packing.capacity.relaxing.bin_counts import BinCounts, CountCut
from gpupack.packing.capacity.relaxing.goals import rounded_bound
from gpupack.packing.items.patterns.pricing import GRID, farley_bound


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
