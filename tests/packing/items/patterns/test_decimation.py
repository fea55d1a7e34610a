"""Decimation and exact cover, against brute force and planted packings."""

import itertools
import math
import random

import numpy as np
from hypothesis import given, settings

from gpupack.packing.items.model.problem import canonicalize, check_packing
from gpupack.packing.items.patterns.decimation import (
    Covering,
    Decimation,
    log_packings,
)
from gpupack.packing.items.quick import heuristics
from gpupack.packing.kernels.items import exact_cover as kernels
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


def covering_of(problem, num_bins):
    sizes = np.repeat(problem.sizes, problem.counts, axis=0)
    if num_bins < 1 or (num_bins * problem.capacities < sizes.sum(axis=0)).any():
        return None
    return Covering.of(sizes, problem.capacities, num_bins, math.inf)


def exact_cover(problem, num_bins):
    covering = covering_of(problem, num_bins)
    nothing = np.zeros(0, dtype=np.int64)
    return covering and covering.complete(nothing, math.inf)


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


def test_on_a_tree_the_odds_are_the_shares_of_all_covers():
    # Three covers: {01, 2}, {0, 12} and {0, 1, 2}; of one column that wastes nothing.
    fillings = [(0, 1), (1, 2), (0,), (1,), (2,)]
    members = np.array([(*held, 0)[:2] for held in fillings])
    lengths = np.array([len(held) for held in fillings])
    odds = np.zeros(len(fillings))

    kernels.propagate(
        members,
        lengths,
        np.zeros((len(fillings), 1), dtype=np.int64),
        3,
        np.array([0]),
        400,
        np.full(members.shape, 0.5),
        np.ones(1),
        odds,
        np.zeros(1, dtype=np.int8),
    )

    shares = odds / (1 + odds)
    assert np.allclose(shares, [1 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3], atol=1e-6)


def test_the_same_seed_chooses_the_same_fillings():
    covering = covering_of(full_bins(30, capacity=400, seed=5), 30)

    def choices(seed):
        state = np.array([seed], dtype=np.uint64)
        return [covering.choose(state, math.inf).tolist() for _ in range(2)]

    assert choices(7) == choices(7)


def test_more_bins_and_less_spread_leave_more_packings_to_expect():
    problem = full_bins(20, capacity=1000, seed=3)
    sizes = np.repeat(problem.sizes, problem.counts, axis=0)
    capacities = problem.capacities

    assert log_packings(sizes, capacities, 19) == -math.inf
    assert log_packings(sizes, capacities + 1, 20) > log_packings(sizes, capacities, 20)
    halved = (sizes + sizes.mean(axis=0).astype(np.int64)) // 2
    assert log_packings(halved, capacities, 20) > log_packings(sizes, capacities, 20)


def test_likely_fillings_leave_last_bins_that_a_search_completes():
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
    search = Decimation(ladder)
    assert search.is_promising

    attempts = 0
    while search.is_promising and not search.attempt():
        attempts += 1
        assert attempts < 10

    assert ladder.num_bins == 24
    check_packing(problem, ladder.bins)
