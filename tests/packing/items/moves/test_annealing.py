"""Simulated annealing over bins that may overflow, and its turns with ejection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from gpupack.packing.items.model import Bin, canonicalize, check_packing
from gpupack.packing.items.moves.annealing import SLICE_MOVES, AnnealingSearch
from gpupack.packing.items.moves.bin_saving import BinSaving
from gpupack.packing.items.quick import heuristics
from gpupack.packing.kernels.items import moves as kernels
from gpupack.packing.runtime import new_flag
from tests.packing.brute_force import make_problem
from tests.packing.strategies import problems

# 96 items of three dimensions, about eight of which fill a bin: the fullest dimension
# leaves 0.6 % of twelve bins.
TIGHT_BINS = 12


def tight_problem(scale=1):
    rng = np.random.default_rng(5)
    sizes = rng.integers(50, 200, size=(96, 3))
    capacity = int(sizes.sum(axis=0).max() * 1.006 / TIGHT_BINS)
    return canonicalize(
        make_problem((sizes * scale).tolist(), [capacity * scale] * 3)
    ).problem


def best_constructed(problem):
    return min(
        heuristics.constructive_packings(problem),
        key=lambda bins: sum(one_bin.multiplicity for one_bin in bins),
    )


def number(bins):
    return sum(one_bin.multiplicity for one_bin in bins)


def anneal(problem, slices=40):
    bins = best_constructed(problem)
    search = AnnealingSearch(problem, bins, seed=1)
    for _ in range(slices):
        if search.run(100_000, new_flag()):
            bins = search.packing()
            check_packing(problem, bins)
            if number(bins) == TIGHT_BINS:
                break
            search.restart(bins)
    return bins


# Capacities as they are, and beyond what 32 bits hold, where sizes are rounded up.
@pytest.mark.parametrize("scale", [1, 2**40 + 1])
def test_many_items_a_bin_that_leave_hardly_any_room_are_packed(scale):
    problem = tight_problem(scale)

    assert number(best_constructed(problem)) > TIGHT_BINS
    assert number(anneal(problem)) == TIGHT_BINS


def test_the_same_seed_gives_the_same_packing():
    problem = tight_problem()

    assert anneal(problem) == anneal(problem)


@given(problems())
@settings(max_examples=30, derandomize=True, deadline=None)
def test_what_it_calls_a_packing_is_one(problem):
    problem = canonicalize(problem).problem
    bins = tuple(
        Bin(((kind, 1),), count) for kind, count in enumerate(problem.counts.tolist())
    )
    search = AnnealingSearch(problem, bins, seed=1)
    while search.run(5_000, new_flag()):
        found = search.packing()
        check_packing(problem, found)
        search.restart(found)

    assert search.num_bins < number(bins)


def test_nothing_is_below_one_bin():
    problem = canonicalize(make_problem([[1], [1]], [2])).problem
    search = AnnealingSearch(problem, best_constructed(problem), seed=1)

    assert not search.run(SLICE_MOVES, new_flag())


def test_the_kernel_returns_what_is_in_excess():
    # Three items of six in two bins of ten: one overflows by two, wherever they are.
    bin_of = np.array([0, 0, 1])
    excess = kernels.anneal(
        np.array([[6], [6], [6]]),
        np.array([10]),
        bin_of,
        np.array([1], dtype=np.uint64),
        2,
        1_000,
        1.0,
        0.01,
        new_flag(),
    )

    assert excess == 2
    assert sorted(np.bincount(bin_of, minlength=2).tolist()) == [1, 2]


def test_local_search_takes_turns_and_saves_what_annealing_finds():
    problem = tight_problem()
    bins = best_constructed(problem)
    search = BinSaving(problem, bins, seed=1)
    for _ in range(40):
        if search.run(new_flag()):
            bins = search.packing()
            if number(bins) == TIGHT_BINS:
                break
            search.restart(bins)

    check_packing(problem, bins)
    assert number(bins) == TIGHT_BINS
