"""Set packing and exact cover, against brute force and planted packings."""

import itertools
import math
import random

import numpy as np
from hypothesis import given, settings

from gpupack.packing.items.model.problem import canonicalize, check_packing
from gpupack.packing.items.patterns import set_packing
from gpupack.packing.items.patterns.frugal_fillings import list_short
from gpupack.packing.items.patterns.set_packing import SetPackingSearch, log_packings
from gpupack.packing.items.quick import heuristics
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.items.patterns.test_patterns import make_ladder
from tests.packing.strategies import problems

thorough = settings(max_examples=100, derandomize=True, deadline=None)


def full_bins(num_bins, *, capacity, seed):
    """Items of four sizes in two dimensions that fill so many bins entirely."""
    rng = random.Random(seed)

    def four_parts():
        least = capacity // 5
        cuts = sorted(rng.randrange(capacity - 4 * least) for _ in range(3))
        ends = [0, *cuts, capacity - 4 * least]
        return [least + high - low for low, high in itertools.pairwise(ends)]

    bins = [list(zip(four_parts(), four_parts(), strict=True)) for _ in range(num_bins)]
    return make_problem([item for one_bin in bins for item in one_bin], [capacity] * 2)


def exact_cover(problem, num_bins):
    sizes = np.repeat(problem.sizes, problem.counts, axis=0)
    budget = num_bins * problem.capacities - sizes.sum(axis=0)
    if (budget < 0).any():
        return None
    return set_packing._cover(sizes, problem.capacities, budget, num_bins, math.inf)


@thorough
@given(problem=problems(max_types=5))
def test_the_last_bins_are_covered_exactly_if_brute_force_can(problem):
    canonical = canonicalize(problem).problem
    best = fewest_bins(problem)

    chosen = exact_cover(canonical, best)

    assert len(chosen) <= best
    assert sorted(np.concatenate(chosen).tolist()) == list(range(problem.num_items))
    assert exact_cover(canonical, best - 1) is None


def test_items_beyond_one_word_are_covered():
    # 25 bins of four items make 100, more than the 64 bits of a word.
    problem = full_bins(25, capacity=10**6, seed=1)

    chosen = exact_cover(problem, 25)

    assert sorted(np.concatenate(chosen).tolist()) == list(range(100))


def test_short_fillings_are_all_listed():
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, 9, size=(12, 2))
    capacities, limit = np.array([16, 14]), np.array([2, 3])

    listed = list_short(sizes, capacities, limit, 3, math.inf)

    expected = set()
    for mask in range(1, 2**12):
        members = [item for item in range(12) if mask >> item & 1]
        waste = capacities - sizes[members].sum(axis=0)
        if 2 <= len(members) <= 3 and (waste >= 0).all() and (waste <= limit).all():
            expected.add(tuple(members))
    assert expected
    assert {tuple(sorted(members.tolist())) for members in listed} == expected
    assert len(listed) == len(expected)


def test_more_bins_and_less_spread_leave_more_packings_to_expect():
    problem = full_bins(20, capacity=1000, seed=3)
    sizes = np.repeat(problem.sizes, problem.counts, axis=0)
    capacities = problem.capacities

    assert log_packings(sizes, capacities, 19) == -math.inf
    assert log_packings(sizes, capacities + 1, 20) > log_packings(sizes, capacities, 20)
    halved = (sizes + sizes.mean(axis=0).astype(np.int64)) // 2
    assert log_packings(halved, capacities, 20) > log_packings(sizes, capacities, 20)


def test_most_bins_are_filled_frugally_and_the_last_ones_exactly():
    # Four items with a slack of 1 of 1000 in each bin: many packings of 24 bins.
    full = full_bins(24, capacity=999, seed=4)
    problem = canonicalize(
        make_problem(
            [list(item.sizes) for item in full.item_types],
            [1000, 1000],
            [item.count for item in full.item_types],
        )
    ).problem
    ladder = make_ladder(problem, time_limit_s=120)
    ladder.offer(next(heuristics.constructive_packings(problem)))
    ladder.num_bins = 25
    ladder.raise_bound(24)
    search = SetPackingSearch(ladder)
    assert search.is_promising

    attempts = 0
    while search.is_promising and not search.attempt():
        attempts += 1
        assert attempts < 10

    assert ladder.num_bins == 24
    check_packing(problem, ladder.bins)
