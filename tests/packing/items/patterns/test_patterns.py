"""Column generation and its parts against brute force and plain enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.packing.items.model.ladder import Ladder
from gpupack.packing.items.model.problem import (
    Bin,
    PackingResult,
    canonicalize,
    check_packing,
    check_result,
    max_copies,
)
from gpupack.packing.items.moves.ejection import EjectionSearch
from gpupack.packing.items.patterns import (
    diving,
    pattern_ladder,
    pattern_program,
    simplex,
)
from gpupack.packing.items.patterns.column_generation import ColumnGeneration
from gpupack.packing.items.patterns.pattern_ladder import climb_patterns
from gpupack.packing.items.patterns.pattern_pool import drop_surplus
from gpupack.packing.items.patterns.pricing import Pricer, farley_bound, round_to_grid
from gpupack.packing.items.patterns.simplex import PatternMaster
from gpupack.packing.items.quick import heuristics
from gpupack.packing.runtime import new_flag
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.strategies import problems

quick = settings(max_examples=30, derandomize=True, deadline=None)
thorough = settings(max_examples=100, derandomize=True, deadline=None)


def make_ladder(problem, time_limit_s=10.0):
    import time

    return Ladder(
        problem,
        deadline=time.perf_counter() + time_limit_s,
        time_limit_s=time_limit_s,
        max_bins=None,
        seed=0,
        num_workers=1,
    )


def all_fillings(problem):
    """Every filling of one bin, by trying all counts."""
    ranges = [range(int(most) + 1) for most in max_copies(problem)]
    for counts in itertools.product(*ranges):
        load = np.array(counts) @ problem.sizes
        if (load <= problem.capacities).all():
            yield counts


@thorough
@given(problem=problems(max_types=5, max_count=3), data=st.data())
def test_pricing_finds_the_most_valuable_filling(problem, data):
    values = data.draw(
        st.lists(
            st.floats(0, 1), min_size=problem.num_types, max_size=problem.num_types
        )
    )
    duals = round_to_grid(np.array(values))
    best = max(float(np.dot(counts, duals)) for counts in all_fillings(problem))

    result = Pricer(problem.sizes, problem.capacities).price(
        duals, problem.counts, threshold=0.0, node_limit=10**7
    )

    assert result.best_value == pytest.approx(best, abs=1e-8)
    assert best <= result.upper_bound


@thorough
@given(problem=problems(max_types=5, max_count=3), data=st.data())
def test_enumeration_lists_every_maximal_filling_above_the_threshold(problem, data):
    values = data.draw(
        st.lists(
            st.floats(0, 1), min_size=problem.num_types, max_size=problem.num_types
        )
    )
    duals = round_to_grid(np.array(values))
    threshold = data.draw(st.floats(0, 1))
    fillings = set(all_fillings(problem))
    expected = set()
    for counts in fillings:
        larger = [
            (*counts[:item], counts[item] + 1, *counts[item + 1 :])
            for item in range(len(counts))
        ]
        if not any(one in fillings for one in larger):
            value = float(np.dot(counts, duals))
            if value > threshold + 1e-6:
                expected.add(tuple((i, c) for i, c in enumerate(counts) if c))

    found = Pricer(problem.sizes, problem.capacities).enumerate_maximal(
        duals,
        problem.counts,
        threshold=threshold,
        node_limit=10**7,
        max_patterns=10_000,
    )

    assert expected <= set(found)


@thorough
@given(problem=problems(max_types=5))
def test_column_generation_never_proves_more_than_brute_force(problem):
    canonical = canonicalize(problem).problem
    ladder = make_ladder(canonical)
    ladder.offer(next(heuristics.constructive_packings(canonical)))
    generation = ColumnGeneration(ladder)
    generation.learn(ladder.bins)

    generation.raise_bound()

    assert ladder.bound <= fewest_bins(problem) <= ladder.num_bins


@quick
@given(problem=problems(max_types=5))
def test_the_rungs_on_patterns_alone_reach_the_brute_force_optimum(problem):
    canonical = canonicalize(problem).problem
    ladder = make_ladder(canonical)
    ladder.offer(next(heuristics.constructive_packings(canonical)))

    climb_patterns(ladder)

    assert ladder.num_bins == ladder.bound == fewest_bins(problem)


@quick
@given(problem=problems(max_types=5))
def test_all_useful_patterns_contain_a_packing_exactly_if_there_is_one(problem):
    canonical = canonicalize(problem).problem
    best = fewest_bins(problem)
    ladder = make_ladder(canonical)
    ladder.offer(next(heuristics.constructive_packings(canonical)))
    generation = ColumnGeneration(ladder)
    generation.raise_bound()
    for num_bins, answer in ((best, "FOUND"), (best - 1, "NONE")):
        if num_bins < ladder.bound:
            continue
        useful = pattern_program.enumerate_useful(generation, num_bins)

        assert (
            pattern_program.solve_patterns(generation, useful, num_bins, effort=10)
            == answer
        )


@quick
@given(problem=problems(max_types=6, max_count=6))
def test_diving_offers_only_checked_packings_and_restores_the_demand(problem):
    canonical = canonicalize(problem).problem
    ladder = make_ladder(canonical)
    ladder.offer(next(heuristics.constructive_packings(canonical)))
    generation = ColumnGeneration(ladder)
    generation.learn(ladder.bins)
    generation.raise_bound()
    value = generation.master.value

    diving.dive(generation, randomize=True)
    generation.master.optimize()

    check_packing(canonical, ladder.bins)
    assert generation.master.value <= value + 1e-6


def test_the_covering_program_of_halves_needs_half_the_items():
    # Two of each pair fit: the optimum is 3 bins for 6 items, duals 1/2 each.
    master = PatternMaster(
        np.ones(6, dtype=np.int64),
        np.ones(6, dtype=np.int64),
        np.random.default_rng(0),
    )
    master.add(((a, 1), (b, 1)) for a, b in itertools.combinations(range(6), 2))

    assert master.optimize()
    assert master.value == pytest.approx(3.0, abs=1e-6)
    assert master.duals == pytest.approx([0.5] * 6, abs=1e-6)


def test_a_changed_demand_is_solved_from_the_last_basis():
    master = PatternMaster(np.array([4, 4]), np.array([2, 2]), np.random.default_rng(0))
    master.add([((0, 1), (1, 1))])
    master.optimize()
    assert master.value == pytest.approx(4.0, abs=1e-5)

    master.set_demand(np.array([2, 0]))
    master.optimize()

    assert master.value == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_rows_without_demand_that_are_perturbed_leave_the_optimum(seed, monkeypatch):
    """They are where pivots went round, late in a dive."""
    values = []
    for pivots_per_row in (simplex.PRIMAL_PIVOTS_PER_ROW, 0):
        monkeypatch.setattr(simplex, "PRIMAL_PIVOTS_PER_ROW", pivots_per_row)
        rng = np.random.default_rng(seed)
        master = PatternMaster(np.full(20, 3), np.full(20, 2), rng)
        master._pivots_per_look = 1
        master.optimize()
        master.set_demand(np.where(np.arange(20) < 6, 2, 0))
        master.add(
            tuple((int(item), 1) for item in sorted(rng.permutation(20)[:4]))
            for _ in range(80)
        )
        assert master.optimize()
        assert bool(master._idle) is (pivots_per_row == 0)
        values.append(master.value)
        used = [value for _, value in master.solution()]
        assert sum(used) == pytest.approx(master.value, abs=1e-4)
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_farleys_bound_is_void_when_pricing_was_cut():
    duals = np.ones(3)

    assert farley_bound(duals, np.ones(3, dtype=np.int64), math.inf) == 0
    assert farley_bound(duals, np.ones(3, dtype=np.int64), 1.5) == pytest.approx(2)


def test_surplus_copies_are_dropped():
    bins = drop_surplus({((0, 2),): 2, ((0, 1), (1, 1)): 1}, np.array([3, 1]))

    check_packing(make_problem([[1], [1]], [3], [3, 1]), bins)


@quick
@given(problem=problems(max_types=12, max_count=4))
def test_every_bin_saved_by_local_search_leaves_a_packing(problem):
    bins = next(heuristics.constructive_packings(problem))
    num_bins = sum(one_bin.multiplicity for one_bin in bins)
    if num_bins < 2:
        return
    search = EjectionSearch(problem, bins, seed=1)

    if search.run(500, new_flag()):
        check_packing(problem, search.packing())
        assert search.num_bins == num_bins - 1


def test_a_planted_wrong_bound_is_caught():
    problem = make_problem([[1]], [3], [3])
    ladder = make_ladder(problem)
    ladder.offer(next(heuristics.constructive_packings(problem)))
    ladder.raise_bound(2)
    planted = PackingResult(ladder.bins, ladder.bound, 0.0, "planted")

    with pytest.raises(Exception, match="the bound is wrong"):
        check_result(problem, planted)


def test_a_dive_that_aims_low_saves_more_than_one_bin():
    rng = np.random.default_rng(5)
    problem = canonicalize(
        make_problem(rng.integers(100, 500, size=(60, 3)).tolist(), [1000] * 3)
    ).problem
    saved = {}
    for aims_low in (False, True):
        ladder = make_ladder(problem, time_limit_s=60.0)
        # One bin each, so that a bin fewer is a modest aim.
        ladder.offer(tuple(Bin(((item, 1),)) for item in range(60)))
        generation = ColumnGeneration(ladder)
        generation.raise_bound()
        before = ladder.num_bins
        assert diving.dive(generation, randomize=False, aims_low=aims_low)
        saved[aims_low] = before - ladder.num_bins
    least = math.ceil(generation.master.value - 1e-6)
    assert saved[False] < saved[True]
    assert ladder.num_bins <= least + 1


def test_dives_beside_offer_their_packing_and_end_when_told():
    rng = np.random.default_rng(5)
    problem = canonicalize(
        make_problem(rng.integers(100, 500, size=(60, 3)).tolist(), [1000] * 3)
    ).problem
    ladder = make_ladder(problem, time_limit_s=60.0)
    # One bin each: any dive is better.
    ladder.offer(tuple(Bin(((item, 1),)) for item in range(60)))
    generation = ColumnGeneration(ladder)
    dives = diving.BackgroundDives(generation, number=1)
    ladder.backgrounds = (dives.source,)

    with dives:
        while ladder.num_bins == 60 and ladder.remaining_s > 0:
            ladder.collect()

    assert ladder.num_bins < 60
    assert ladder.found_by == "diving"
    check_packing(problem, ladder.bins)


@pytest.mark.parametrize(
    ("num_types", "workers", "searches"),
    [(50, 1, 0), (50, 2, 1), (500, 8, 1), (1000, 8, 7)],
)
def test_one_local_search_goes_on_beside_column_generation_and_all_without_it(
    num_types, workers, searches
):
    sizes = [[item] for item in range(1, num_types + 1)]
    ladder = Ladder(
        make_problem(sizes, [num_types]),
        deadline=0.0,
        time_limit_s=0.0,
        max_bins=None,
        seed=0,
        num_workers=workers,
    )

    assert pattern_ladder._count_local_searches(ladder) == searches
