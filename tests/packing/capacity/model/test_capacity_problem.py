"""What is no capacity problem is refused; numbers at the ends of the range are not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gpupack.errors import InvalidInputError
from gpupack.packing import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
    PlanStatus,
    plan_capacity,
)

FAR = 2**62
BIN = BinType(capacity=(100, 100), cost=3)
SERVED, WHOLE = Job(demand=50), Job(copies=3)
OF_SERVED, OF_WHOLE = (
    Option(0, 0, (10, 0), (0, 30), 7),
    Option(1, 0, (20, 10), (0, 0), 5),
)


def _problem(
    bin_type: BinType = BIN,
    served: Job = SERVED,
    whole: Job = WHOLE,
    of_served: Option = OF_SERVED,
    of_whole: Option = OF_WHOLE,
    budget: int | None = None,
) -> CapacityProblem:
    return CapacityProblem(
        (bin_type,), (served, whole), (of_served, of_whole), budget=budget
    )


@pytest.mark.parametrize("wrong", [2.5, 100.0, math.nan, "3", None, True, -1])
def test_numbers_that_are_not_whole_or_below_zero_are_refused_by_name(
    wrong: object,
) -> None:
    for name, arguments in (
        ("a capacity of bin type 0", {"bin_type": replace(BIN, capacity=(100, wrong))}),
        ("the cost of bin type 0", {"bin_type": replace(BIN, cost=wrong)}),
        ("a size of option 0", {"of_served": replace(OF_SERVED, fixed=(wrong, 0))}),
        ("the rate of option 1", {"of_whole": replace(OF_WHOLE, rate=wrong)}),
        ("the number of copies of job 1", {"whole": replace(WHOLE, copies=wrong)}),
    ):
        with pytest.raises(InvalidInputError, match=f"{name} is"):
            _problem(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bin_type": replace(BIN, capacity=(2 * FAR, 1))}, "a capacity"),
        ({"bin_type": replace(BIN, cost=2 * FAR)}, "the cost"),
        ({"bin_type": replace(BIN, count=-1)}, "the count"),
        ({"budget": -1}, "the budget"),
        ({"whole": Job(copies=10**18)}, "the number of copies"),
        ({"served": Job(demand=10**18)}, "copies of its fastest option"),
        ({"served": Job(demand=10**30)}, "the demand of job 0"),
        ({"served": Job(demand=50, weight=math.nan)}, "the weight"),
        ({"served": Job(demand=50, copies=5, max_copies=2)}, "needs 5 copies"),
    ],
)
def test_what_would_overflow_or_contradicts_itself_is_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        _problem(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit_s", [0.0, 0.5])
@pytest.mark.parametrize(
    ("arguments", "num_bins"),
    [
        # Nothing takes any room: one bin holds it all.
        (
            {
                "of_served": replace(OF_SERVED, fixed=(0, 0), proportional=(0, 0)),
                "of_whole": replace(OF_WHOLE, fixed=(0, 0)),
            },
            1,
        ),
        # 8 copies serve 50, 3 more are wanted, and each takes all of a bin.
        (
            {
                "bin_type": replace(BIN, capacity=(1, 1)),
                "of_served": replace(OF_SERVED, fixed=(1, 0), proportional=(0, 1)),
                "of_whole": replace(OF_WHOLE, fixed=(1, 0)),
            },
            11,
        ),
        # Two copies of the first share a bin, three of the second another.
        (
            {
                "bin_type": replace(BIN, capacity=(FAR, FAR)),
                "of_served": replace(
                    OF_SERVED, fixed=(FAR // 2, 0), proportional=(0, FAR // 4)
                ),
                "of_whole": replace(OF_WHOLE, fixed=(FAR // 4 + 1, 3)),
            },
            5,
        ),
    ],
)
def test_plans_at_the_ends_of_the_range_are_proved(
    arguments: dict[str, object], num_bins: int, limit_s: float
) -> None:
    problem = _problem(**arguments)  # type: ignore[arg-type]

    plan = plan_capacity(problem, Goal.MIN_BINS, time_limit_s=limit_s)

    assert plan.status is PlanStatus.OPTIMAL
    assert plan.num_bins == plan.bound == num_bins


@pytest.mark.parametrize("copies", [10**6, 10**9, 10**12])
def test_bins_beyond_any_list_are_counted(copies: int) -> None:
    plan = plan_capacity(_problem(whole=Job(copies=copies)), Goal.MIN_BINS)

    # Five copies of 20 take a bin of 100.
    assert plan.bound <= plan.num_bins <= copies // 5 + 8
    assert plan.bound >= copies // 5 * (1 - 1e-5)
    assert len(plan.bins) < 10


@pytest.mark.parametrize("goal", [Goal.MAX_SERVICE, Goal.MAX_MIN_SHARE])
def test_a_counted_fleet_of_a_million_bins_serves_what_it_can(goal: Goal) -> None:
    problem = _problem(replace(BIN, count=10**6), Job(demand=10**9), Job(copies=1))

    plan = plan_capacity(problem, goal, time_limit_s=2)

    # A bin serves 7 × 100 / 30 at its full room in proportion: 23.3 each.
    most = 10**6 * 7 * 100 / 30
    served = plan.value if goal is Goal.MAX_SERVICE else plan.value * 10**9
    assert 0.99 * most <= served <= most * (1 + 1e-5) + 5
    assert len(plan.bins) < 10
