"""Lifted bounds, against brute force and by hand."""

from hypothesis import given, settings

from gpupack.packing.items.model.problem import canonicalize
from gpupack.packing.items.quick import lifted_bounds, volume_bound
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.strategies import problems

thorough = settings(max_examples=200, derandomize=True, deadline=None)


@thorough
@given(problem=problems(max_types=6))
def test_no_lifted_bound_exceeds_the_fewest_bins(problem):
    canonical = canonicalize(problem).problem

    bounds = list(lifted_bounds(canonical, 1))

    assert max(bounds, default=0) <= fewest_bins(problem)


def test_an_item_is_lifted_by_what_nothing_beside_it_can_use():
    # Beside a 70 fit 30 of the first dimension, but the second is full: four bins waste
    # 30 each. The sizes fill 4 × 70 + 9 × 30 = 550 of 100, six bins; with 4 × 30, 670.
    problem = make_problem([[70, 100], [30, 10]], [100, 100], [4, 9])

    assert volume_bound(problem) == 6
    assert max(lifted_bounds(problem, 6)) == fewest_bins(problem) == 7


def test_items_that_compete_for_a_partner_are_lifted_together():
    # A 60 finds its partner, the one 40, by itself. Four of them fill 4 × 60 + 40 and
    # the 45s 4 × 45, together five bins; three 60s waste 40 each, which makes six.
    problem = make_problem([[60, 80], [40, 20], [45, 30]], [100, 100], [4, 1, 4])

    assert volume_bound(problem) == 5
    assert max(lifted_bounds(problem, 5)) == fewest_bins(problem) == 6


def test_sizes_too_large_for_whole_sums_are_left_alone():
    assert list(lifted_bounds(make_problem([[2**60]], [2**61], [3]), 2)) == []
