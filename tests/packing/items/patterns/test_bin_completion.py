"""Bin completion against brute force, and where column generation's dives end."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings

from benchmarks.problem_sets import gpu_like_problem
from gpupack.packing.items.model.problem import canonicalize, check_packing
from gpupack.packing.items.patterns.bin_completion import CompletionSearch
from gpupack.packing.items.patterns.frugal_fillings import list_frugal
from gpupack.packing.items.patterns.pattern_pool import drop_surplus
from gpupack.packing.items.quick import heuristics
from gpupack.packing.items.search.packing_solve import solve
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.strategies import problems

thorough = settings(max_examples=100, derandomize=True, deadline=None)


def packing_of(problem, patterns):
    """The bins of the fillings, once the checker has passed them."""
    bins = drop_surplus(patterns, problem.counts)
    check_packing(problem, bins)
    return bins


@thorough
@given(problem=problems(max_types=5))
def test_few_items_are_completed_exactly_if_brute_force_can(problem):
    search = CompletionSearch(problem, seed=0)
    best = fewest_bins(problem)

    patterns = search.attempt(problem.counts, best)

    assert sum(b.multiplicity for b in packing_of(problem, patterns)) <= best
    if best > 1:
        assert search.attempt(problem.counts, best - 1) is None


@thorough
@given(problem=problems(max_types=5))
def test_duals_that_value_no_filling_above_one_rule_nothing_out(problem):
    # Sizes in one dimension, relative to its capacity, are such duals.
    duals = problem.sizes[:, 0] / problem.capacities[0]
    best = fewest_bins(problem)

    patterns = CompletionSearch(problem, seed=0).attempt(problem.counts, best, duals)

    packing_of(problem, patterns)


@thorough
@given(problem=problems(max_types=5))
def test_exaggerated_duals_can_cost_a_packing_but_not_spoil_one(problem):
    duals = np.full(problem.num_types, 3.0)
    best = fewest_bins(problem)

    patterns = CompletionSearch(problem, seed=0).attempt(problem.counts, best, duals)

    if patterns is not None:
        packing_of(problem, patterns)


def planted_problem(num_bins, seed):
    """Bins of two dimensions cut into four items each, five parts of 1000 lost."""
    rng = random.Random(seed)
    sizes = []
    for _ in range(num_bins):
        cuts = [sorted(rng.sample(range(100, 900), 3)) for _ in range(2)]
        parts = [[a, b - a, c - b, 995 - c] for a, b, c in cuts]
        sizes.extend(zip(*parts, strict=True))
    return make_problem(sizes=sizes, capacity=[1000, 1000])


def test_bins_almost_full_are_completed_where_heuristics_need_more():
    # 40 bins hold 39.8 bins' worth of items, so 40 is the optimum.
    problem = planted_problem(40, seed=3)
    search = CompletionSearch(problem, seed=0)
    simple = min(
        sum(b.multiplicity for b in bins)
        for bins in heuristics.constructive_packings(problem)
    )

    tries = (search.attempt(problem.counts, 40) for _ in range(50))
    patterns = next(found for found in tries if found is not None)

    assert simple > 40
    assert sum(b.multiplicity for b in packing_of(problem, patterns)) == 40


def test_completion_repeats_itself_for_a_seed():
    problem = planted_problem(30, seed=1)

    first, second = (
        [CompletionSearch(problem, seed=7).attempt(problem.counts, k) for k in (31, 32)]
        for _ in range(2)
    )

    assert first == second


def test_what_is_left_of_a_demand_can_be_completed():
    problem = make_problem([[4], [6], [3]], [10], [3, 3, 2])

    patterns = CompletionSearch(problem, seed=0).attempt(np.array([2, 2, 0]), 2)

    assert patterns == {((0, 1), (1, 1)): 2}


def test_more_than_the_bins_can_hold_is_not_tried():
    problem = make_problem([[6]], [10], [3])

    assert CompletionSearch(problem, seed=0).attempt(problem.counts, 1) is None


def test_nothing_left_needs_no_bins():
    problem = make_problem([[6]], [10], [3])

    assert CompletionSearch(problem, seed=0).attempt(0 * problem.counts, 1) == {}


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_ladder_proves_bins_that_are_almost_full(num_workers):
    problem = canonicalize(planted_problem(40, seed=3)).problem

    result = solve(problem, time_limit_s=60, num_workers=num_workers)

    assert result.num_bins == result.bound == 40


@thorough
@given(problem=problems(max_types=5))
def test_the_frugal_fillings_are_those_of_plain_enumeration(problem):
    num_bins = fewest_bins(problem)
    waste = num_bins * problem.capacities - problem.counts @ problem.sizes
    ranges = [range(count + 1) for count in problem.counts.tolist()]
    expected = set()
    for counts in itertools.product(*ranges):
        free = problem.capacities - np.array(counts) @ problem.sizes
        if any(counts) and (free >= 0).all() and (free <= waste).all():
            expected.add(tuple((i, c) for i, c in enumerate(counts) if c))

    found = list_frugal(problem, num_bins, max_patterns=10_000, deadline=math.inf)

    assert len(found) == len(set(found))
    assert set(found) == expected


def test_too_many_frugal_fillings_are_not_listed():
    problem = make_problem([[1]], [10], [20])

    assert list_frugal(problem, 3, max_patterns=5, deadline=math.inf) is None


def test_fewer_bins_than_the_items_fill_have_no_fillings():
    problem = make_problem([[6]], [10], [3])

    assert list_frugal(problem, 1, max_patterns=5, deadline=math.inf) == []


def test_triplets_that_fill_every_bin_are_found_by_listing():
    rng = random.Random(2)
    sizes = []
    for _ in range(40):
        first, second = ([rng.randint(26, 49) for _ in range(4)] for _ in range(2))
        third = [100 - a - b for a, b in zip(first, second, strict=True)]
        sizes += [first, second, third]
    problem = canonicalize(make_problem(sizes=sizes, capacity=[100] * 4)).problem

    result = solve(problem, time_limit_s=60, num_workers=1)

    assert result.num_bins == result.bound == 40


@pytest.mark.parametrize("seed", [8, 9])
def test_items_large_where_there_is_room_are_not_left_to_the_end(seed):
    # Computing fills all bins but a fraction of one, memory seven of eight: a large
    # model that computes little finds no room once the small ones are placed.
    problem = canonicalize(gpu_like_problem(500, 500, seed=seed)).problem
    fewest = math.ceil(float(problem.counts @ problem.sizes[:, 0]) / 800)

    patterns = CompletionSearch(problem, seed=0).attempt(problem.counts, fewest)

    assert patterns is not None
    assert sum(b.multiplicity for b in packing_of(problem, patterns)) == fewest
