import random

import pytest
from hypothesis import given, settings

from gpupack.errors import CheckError, InvalidInputError, ItemTooLargeError
from gpupack.packing.items.model.problem import (
    Bin,
    ItemType,
    PackingProblem,
    PackingResult,
    SolveStatus,
    canonicalize,
    check_packing,
    check_result,
)
from gpupack.packing.items.quick import bounds, heuristics, small_search
from gpupack.packing.items.search.packing_solve import solve
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.strategies import problems

exhaustive = settings(max_examples=200, derandomize=True, deadline=None)
quick = settings(max_examples=60, derandomize=True, deadline=None)


@exhaustive
@given(problem=problems(max_types=5))
def test_the_number_of_bins_is_that_of_brute_force(problem):
    result = solve(problem, num_workers=1)

    assert result.status is SolveStatus.OPTIMAL
    assert result.num_bins == result.bound == fewest_bins(problem)


@exhaustive
@given(problem=problems(max_types=5))
def test_no_bound_exceeds_the_brute_force_optimum(problem):
    best = fewest_bins(problem)

    assert bounds.volume_bound(problem) <= best
    assert bounds.dual_feasible_bound(problem) <= best
    assert bounds.conflict_clique_bound(problem) <= best


@quick
@given(problem=problems(max_types=12, max_count=40))
def test_every_heuristic_packing_passes_the_checker(problem):
    for bins in heuristics.constructive_packings(problem):
        check_packing(problem, bins)


@quick
@given(problem=problems(max_types=8, max_count=3))
def test_item_order_does_not_change_the_packing(problem):
    shuffled_types = list(problem.item_types)
    random.Random(0).shuffle(shuffled_types)
    shuffled = PackingProblem(problem.capacity, tuple(shuffled_types))

    assert contents(problem, solve(problem, num_workers=1)) == contents(
        shuffled, solve(shuffled, num_workers=1)
    )


def contents(problem, result):
    """What the bins hold, in sizes instead of indices."""
    return sorted(
        sorted(
            problem.item_types[index].sizes
            for index, count in one_bin.counts
            for _ in range(count)
        )
        for one_bin in result.bins
        for _ in range(one_bin.multiplicity)
    )


@quick
@given(problem=problems(max_types=10, max_count=30))
def test_restoring_the_canonical_form_packs_every_original_item(problem):
    canonical = canonicalize(problem)
    packing = next(heuristics.constructive_packings(canonical.problem))

    restored = canonical.restore(packing)

    check_packing(problem, restored)
    assert sum(b.multiplicity for b in restored) == sum(b.multiplicity for b in packing)


def test_two_items_over_half_a_bin_never_share_it():
    problem = make_problem(sizes=[[6], [6]], capacity=[10])

    packing = solve(problem, num_workers=1, seed=0)

    assert packing.status is SolveStatus.OPTIMAL
    assert packing.num_bins == 2


def test_no_items_need_no_bins():
    result = solve(PackingProblem((10,), ()))

    assert (result.num_bins, result.bound, result.status) == (
        0,
        0,
        SolveStatus.OPTIMAL,
    )


def test_items_without_size_fill_one_bin():
    result = solve(make_problem(sizes=[[0, 0]], capacity=[1, 1], counts=[1000]))

    assert result.num_bins == result.bound == 1


def test_a_thousand_copies_are_packed_as_one_type():
    # Three of 33 fit into 100; 1000 copies need 334 bins.
    result = solve(make_problem(sizes=[[33]], capacity=[100], counts=[1000]))

    assert result.num_bins == result.bound == 334
    assert len(result.bins) == 2


def test_sizes_near_the_64_bit_limit_are_packed_exactly():
    half = 2**60
    problem = make_problem(sizes=[[half], [half + 1]], capacity=[2 * half])

    assert solve(problem).num_bins == 2


@pytest.mark.parametrize(
    ("capacity", "types", "error"),
    [
        ((), (), InvalidInputError),
        ((0,), (), InvalidInputError),
        ((-5,), (), InvalidInputError),
        ((10,), (ItemType((-1,)),), InvalidInputError),
        ((10,), (ItemType((1,), 0),), InvalidInputError),
        ((10,), (ItemType((1, 2)),), InvalidInputError),
        ((10,), (ItemType((11,)),), ItemTooLargeError),
        ((2**62,), (ItemType((2**61,), 3),), InvalidInputError),
    ],
)
def test_impossible_problems_are_refused(capacity, types, error):
    with pytest.raises(error):
        PackingProblem(capacity, types)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_limit_s": -1},
        {"time_limit_s": float("nan")},
        {"num_workers": 0},
        {"max_bins": 0},
    ],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        solve(make_problem(sizes=[[1]], capacity=[2]), **wrong)


def hard_problem(num_items=60):
    rng = random.Random(5)
    sizes = [[rng.randint(10, 60) for _ in range(3)] for _ in range(num_items)]
    return make_problem(sizes=sizes, capacity=[100, 100, 100])


def test_a_time_limit_of_zero_gives_a_checked_packing_with_its_bound():
    problem = hard_problem()

    result = solve(problem, time_limit_s=0)

    check_result(problem, result)
    assert 0 < result.bound <= result.num_bins


def test_a_handful_of_items_is_packed_best_at_any_time_limit():
    # First fit decreasing puts the fours together: 4+4, 3+3+3, 3.
    problem = make_problem(sizes=[[4], [4], [3], [3], [3], [3]], capacity=[10])

    result = solve(problem, time_limit_s=0)

    assert (result.num_bins, result.bound) == (2, 2)


def test_an_interrupt_returns_the_best_packing_so_far(monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "gpupack.packing.items.search.packing_solve.kernels_are_ready", interrupted
    )
    problem = hard_problem()

    check_result(problem, solve(problem, num_workers=1))


def test_a_hint_is_kept_when_nothing_better_is_found():
    problem = hard_problem()
    best = solve(problem, time_limit_s=5, num_workers=1)

    again = solve(problem, time_limit_s=0, hint=best.bins)

    assert again.num_bins == best.num_bins


def test_a_hint_of_another_problem_is_ignored():
    problem = make_problem(sizes=[[6], [6]], capacity=[10])

    assert solve(problem, hint=[Bin(((0, 2),))]).num_bins == 2


def test_max_bins_stops_once_it_is_known_to_be_impossible():
    problem = make_problem(sizes=[[6]], capacity=[10], counts=[5])

    assert solve(problem, max_bins=3).bound > 3


def test_small_search_proves_what_volume_cannot():
    # 5 × 4 fills 2 bins of 10 by volume, but only two of them fit into each.
    problem = make_problem(sizes=[[4]], capacity=[10], counts=[5])

    assert bounds.volume_bound(problem) == 2
    assert small_search.pack_into(problem, 2, node_limit=1000) == (None, True)
    assert small_search.pack_into(problem, 3, node_limit=1000)[0] is not None


def test_the_checker_catches_a_wrong_bound():
    problem = make_problem(sizes=[[6], [6]], capacity=[10])
    planted = PackingResult(
        bins=(Bin(((0, 1),)), Bin(((1, 1),))), bound=3, seconds=0, method="planted"
    )

    with pytest.raises(CheckError, match="bound"):
        check_result(problem, planted)


@pytest.mark.parametrize(
    "bins",
    [
        (Bin(((0, 1),)),),
        (Bin(((0, 1), (1, 1))),),
        (Bin(((0, 1),), 2), Bin(((1, 1),))),
        (Bin(()), Bin(((0, 1),)), Bin(((1, 1),))),
        (Bin(((0, 1),)), Bin(((2, 1),))),
    ],
)
def test_the_checker_catches_wrong_packings(bins):
    with pytest.raises(CheckError):
        check_packing(make_problem(sizes=[[6], [6]], capacity=[10]), bins)
