import time
from itertools import product

import pytest

from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.relaxing import bin_counts
from gpupack.packing.capacity.relaxing.bin_counts import (
    LEAST_SOLVE_S,
    MAX_SOLVE_S,
    BinCounts,
    CountCut,
)

CUTS = (CountCut((3.0, 8.0), 40.0), CountCut((5.0, 6.0), 41.0))


def counts_of(*, costs=(4, 9), budget=None):
    problem = CapacityProblem(
        tuple(BinType((1,), cost=cost, count=20) for cost in costs),
        (Job(demand=100),),
        tuple(Option(0, bin_type, (1,), (0,), 1) for bin_type in range(2)),
        budget=budget,
    )
    counts = BinCounts(problem, Goal.MIN_COST)
    for cut in CUTS:
        counts.add(cut)
    return counts


def allowed():
    return [
        numbers
        for numbers in product(range(21), repeat=2)
        if all(
            sum(v * n for v, n in zip(cut.values, numbers, strict=True)) >= cut.needed
            for cut in CUTS
        )
    ]


def test_the_lowest_value_is_that_of_the_cheapest_whole_numbers():
    cheapest = min(4 * a + 9 * b for a, b in allowed())

    assert counts_of().lowest_value() == pytest.approx(cheapest)


def test_the_roomiest_numbers_have_the_most_headroom_for_their_value():
    value = min(4 * a + 9 * b for a, b in allowed()) + 3
    counts = counts_of()

    numbers, most = counts.roomiest(value, (1.0, 1.0))

    best = max(
        counts.headroom(one) for one in allowed() if 4 * one[0] + 9 * one[1] <= value
    )
    assert most == pytest.approx(best, abs=1e-6)
    assert counts.headroom(numbers) >= best - 0.02


def test_below_the_lowest_value_no_numbers_have_headroom():
    counts = counts_of()

    numbers, most = counts.roomiest(round(counts.lowest_value()) - 1, (1.0, 1.0))

    assert numbers is None
    assert most < 0


def test_a_budget_that_is_too_small_leaves_no_numbers():
    assert counts_of(budget=5).lowest_value() == float("inf")


def test_no_program_gets_more_time_than_is_left_until_the_deadline(monkeypatch):
    given = []

    def solve(solver, model):
        given.append(solver.parameters.max_time_in_seconds)
        return solver.solve(model)

    monkeypatch.setattr(bin_counts, "solve_cp_model", solve)
    problem = counts_of()._problem
    now = time.perf_counter()
    for left_s in (1000.0, 0.5, -1.0):
        counts = BinCounts(problem, Goal.MIN_COST, deadline=now + left_s)
        counts.lowest_value()
        counts.is_impossible(1)

    assert given[:2] == [MAX_SOLVE_S] * 2
    assert all(LEAST_SOLVE_S <= one <= 0.5 for one in given[2:4])
    assert given[4:] == [LEAST_SOLVE_S] * 2
