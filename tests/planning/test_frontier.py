"""frontier(): what every number of GPUs, or every budget, yields."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gpupack
from gpupack.errors import InfeasibleError, InvalidInputError
from gpupack.records.gpu import GpuType
from gpupack.records.placement import PlacementStatus
from tests.factories import GPU, make_profiles
from tests.planning.solving.test_place_choices import BIG, on_both, record

MEDICAL = gpupack.load_example("medical")


def test_the_medical_frontier_leads_from_case_study_1_to_case_study_2() -> None:
    frontier = gpupack.frontier(MEDICAL)

    total = sum(one.throughput_infer_per_sec or 0.0 for one in MEDICAL.records)
    assert [point.num_gpus for point in frontier.points] == [4, 5, 6]
    assert frontier.points[-1].throughput_infer_per_sec == pytest.approx(total)
    assert all(one.status is PlacementStatus.OPTIMAL for one in frontier.points)
    throughputs = [point.throughput_infer_per_sec for point in frontier.points]
    assert throughputs == sorted(throughputs)
    assert throughputs[0] < throughputs[-1]


def test_a_step_appears_at_the_headroom_that_place_needs_for_it() -> None:
    frontier = gpupack.frontier(MEDICAL)

    for point in frontier.points[:-1]:
        assert point.headroom is not None
        share = point.headroom.gpu_utilization
        assert share is not None

        def num_gpus(share: float) -> int:
            shares = {"gpu_utilization": share, "memory_utilization": share}
            return gpupack.place(
                MEDICAL, "max_throughput", headroom={"memory": 1.0} | shares
            ).num_gpus

        assert num_gpus(share) <= point.num_gpus
        assert num_gpus(round(share - 0.01, 2)) > point.num_gpus


def test_the_frontier_over_budgets_ends_where_every_demand_is_met() -> None:
    # a costs 50 % of a small GPU per 100 infer/sec, a fifth of that of a big one.
    profiles = on_both(
        record("a", busy=50.0), record("a", busy=10.0, rate=100.0, gpu_type=BIG)
    )
    fleet: dict[GpuType, int | None] = {GPU: None, BIG: None}
    arguments: dict[str, Any] = {
        "gpus": fleet,
        "prices": {"test-gpu": 1.0, "big-gpu": 4.0},
        "demand": {"a": 1000.0},
    }

    frontier = gpupack.frontier(profiles, by="price", max_points=4, **arguments)

    # One big GPU for 4 serves 1000; small ones would take five.
    last = frontier.points[-1]
    assert (last.price_per_hour, last.throughput_infer_per_sec) == (4.0, 1000.0)
    assert frontier.points[0].price_per_hour == 1.0
    assert frontier.points[0].throughput_infer_per_sec == pytest.approx(200)
    cheapest = gpupack.place(profiles, "min_cost", **arguments)
    assert cheapest.objective_value == 4.0


def test_given_budgets_are_the_steps() -> None:
    profiles = make_profiles(record("a", busy=100.0))

    frontier = gpupack.frontier(profiles, budgets=[3, 1], demand={"a": 1000.0})

    assert [
        (point.num_gpus, point.throughput_infer_per_sec) for point in frontier.points
    ] == [(1, 100.0), (3, 300.0)]
    assert "30.0%" in str(frontier)


def test_a_budget_beyond_need_has_the_headroom_of_the_gpus_it_uses() -> None:
    profiles = make_profiles(record("a", busy=100.0))
    arguments: dict[str, Any] = {"demand": {"a": 300.0}, "prices": {"test-gpu": 1 / 3}}

    by_gpus = gpupack.frontier(profiles, budgets=[9], **arguments)
    by_price = gpupack.frontier(profiles, by="price", budgets=[5.0], **arguments)

    # Three GPUs at 100 % serve 300; nine would do so at a third.
    for frontier in (by_gpus, by_price):
        (point,) = frontier.points
        assert point.num_gpus == 3
        assert point.headroom is not None
        assert point.headroom.gpu_utilization == 1.0


def test_the_frontier_goes_on_until_optional_models_are_served_too() -> None:
    profiles = make_profiles(
        record("a", busy=100.0), record("b", busy=100.0), record("c", mib=2000)
    )

    frontier = gpupack.frontier(profiles, optional=["b", "c"])

    # One GPU is enough for a, two for a and b; no GPU holds c.
    assert [point.num_gpus for point in frontier.points] == [1, 2]
    assert frontier.points[-1].throughput_infer_per_sec == pytest.approx(200)
    assert frontier.wanted_infer_per_sec == pytest.approx(300)
    assert all(point.headroom is None for point in frontier.points)


def test_models_left_out_for_want_of_profiles_are_not_wanted() -> None:
    profiles = on_both(
        record("a", busy=100.0, latency_p99_us=1_000.0),
        record("b", gpu_type=BIG),
        record("slow", latency_p99_us=9_000.0),
    )

    frontier = gpupack.frontier(
        profiles,
        gpus=GPU,
        demand={"a": 200.0, "b": 700.0, "slow": 50.0},
        latency_limit_ms={"slow": 5.0},
        replicas={"b": 2},
        weights={"b": 3.0},
        optional=["b", "slow"],
    )

    # Of a, 100 infer/sec keep a GPU busy.
    assert [point.num_gpus for point in frontier.points] == [1, 2]
    assert frontier.wanted_infer_per_sec == 200.0
    assert "100.0%" in str(frontier).split("\n\n")[0].splitlines()[-1]
    told = " ".join(frontier.placements[-1].warnings)
    assert "'b' was profiled on big-gpu" in told
    assert "no load point of 'slow' keeps p99" in told


def test_steps_go_on_where_nothing_could_ever_serve_everything() -> None:
    # A replica may use 1 % of its GPU, that is 2 of 100 infer/sec: a GPU each.
    profiles = make_profiles(*(record(name, busy=50.0, mib=50) for name in "abc"))

    frontier = gpupack.frontier(
        profiles, headroom={"memory": 1.0, "gpu_utilization": 0.01}
    )

    assert [point.num_gpus for point in frontier.points] == [1, 2, 3]
    served = [point.throughput_infer_per_sec for point in frontier.points]
    assert served == pytest.approx([2.0, 4.0, 6.0])


def test_small_prices_are_steps_of_their_own_and_shown() -> None:
    profiles = make_profiles(record("a", busy=100.0))

    frontier = gpupack.frontier(
        profiles,
        by="price",
        prices={"test-gpu": 1e-5},
        demand={"a": 300.0},
        max_points=3,
    )

    assert [point.num_gpus for point in frontier.points] == [1, 2, 3]
    rows = str(frontier).split("\n\n")[0].splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["1e-05", "2e-05", "3e-05"]


def test_the_table_has_no_empty_column_and_fits_80_columns() -> None:
    plain = gpupack.frontier(MEDICAL, find_headroom=False)
    priced = gpupack.frontier(MEDICAL, by="price", prices={"16GB": 0.5})

    assert str(plain).split("\n")[0].split() == [
        *("GPUs", "infer/s", "bound", "served", "status"),
    ]
    assert str(priced).split("\n")[0].split() == [
        *("budget", "GPUs", "price/h", "infer/s", "bound"),
        *("served", "headroom", "status"),
    ]
    table = str(priced).split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_no_gpus_at_all_have_a_price_only_where_gpus_have_one() -> None:
    profiles = make_profiles(record("a"))

    without = gpupack.frontier(profiles, optional=["a"]).points[0]
    priced = gpupack.frontier(
        profiles, optional=["a"], prices={"test-gpu": 2.0}
    ).points[0]

    assert (without.num_gpus, without.price_per_hour) == (0, None)
    assert (priced.num_gpus, priced.price_per_hour) == (0, 0.0)


def test_no_gpu_is_left_empty_while_models_that_share_one_get_too_little() -> None:
    # At their best load points the 13 models take 929 % of a GPU in all.
    profiles = gpupack.load_example("h200")

    frontier = gpupack.frontier(
        profiles, budgets=[7], find_headroom=False, time_limit_s=4.0
    )

    (placement,) = frontier.placements
    assert placement.objective_value < frontier.wanted_infer_per_sec * 0.999
    assert placement.num_gpus == 7


def test_as_many_gpus_as_serve_everything_do() -> None:
    # At its best load point each of the 13 models takes less than a GPU.
    profiles = gpupack.load_example("h200")

    frontier = gpupack.frontier(
        profiles, budgets=[13], find_headroom=False, time_limit_s=4.0
    )

    (point,) = frontier.points
    assert point.throughput_infer_per_sec == pytest.approx(
        frontier.wanted_infer_per_sec
    )


def test_less_than_all_served_needs_a_headroom_above_one() -> None:
    profiles = make_profiles(record("a", busy=100.0), record("b", busy=100.0))

    first, last = gpupack.frontier(profiles, optional=["b"]).points

    assert (first.num_gpus, last.num_gpus) == (1, 2)
    assert first.headroom is not None
    assert last.headroom is not None
    assert first.headroom.gpu_utilization == 2.0
    assert last.headroom.gpu_utilization == 1.0


def test_less_than_all_is_never_called_all_of_it() -> None:
    profiles = make_profiles(record("a", busy=100.0))

    short = gpupack.frontier(profiles, budgets=[100], demand={"a": 10_003.0})
    whole = gpupack.frontier(profiles, budgets=[100], demand={"a": 10_000.0})

    assert ">99.9%" in str(short)
    assert "100.0%" not in str(short)
    assert "100.0%" in str(whole)


@pytest.mark.parametrize(
    ("by", "line"),
    [
        ("gpus", "no placement found for 1, 2 GPUs"),
        ("price", "no placement found for 1, 2 per hour"),
    ],
)
def test_budgets_too_small_for_the_models_are_told(by: str, line: str) -> None:
    profiles = make_profiles(*(record(name, mib=600) for name in "abc"))

    frontier = gpupack.frontier(
        profiles, by=by, budgets=[1, 2, 3], prices={"test-gpu": 1.0}
    )

    assert [point.num_gpus for point in frontier.points] == [3]
    assert frontier.budgets_not_placed == (1, 2)
    assert str(frontier).splitlines()[-1] == line
    assert line in frontier._repr_html_()


def test_models_that_do_not_even_fit_idle_are_named() -> None:
    profiles = make_profiles(record("a", mib=600), record("b", mib=600))

    with pytest.raises(InfeasibleError) as caught:
        gpupack.frontier(profiles, gpus=1)
    assert caught.value.model_names == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "budget", "way_out"),
    [
        ({"budgets": [1]}, "budget of 1 GPU", "2 test-gpu GPUs would do."),
        (
            {"by": "price", "prices": {"test-gpu": 1.5}, "budgets": [2, 2.5]},
            "budget of 2.5 per hour",
            "2 test-gpu GPUs would do for 3 per hour.",
        ),
    ],
)
def test_a_budget_too_small_for_the_idle_models_is_named(
    arguments: Any, budget: str, way_out: str
) -> None:
    profiles = make_profiles(record("a", mib=600), record("b", mib=600))

    with pytest.raises(InfeasibleError) as caught:
        gpupack.frontier(profiles, gpus=GPU, **arguments)

    assert caught.value.model_names == ("a", "b")
    assert caught.value.limits == ("headroom of memory 1", budget)
    assert str(caught.value).endswith(way_out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "watts"}, "by is 'watts'"),
        ({"by": "price"}, "price per hour of test-gpu"),
        ({"max_points": 1}, "max_points is 1"),
        ({"budgets": [0]}, "budget of 0"),
        ({"budgets": [4, 4.5]}, "budget of 4.5 is no whole number of GPUs"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        gpupack.frontier(make_profiles(record("a")), **arguments)


# Each of these models fills a GPU, so that n of them need n GPUs.
SIX = make_profiles(*(record(name, busy=100.0) for name in "abcdef"))


@pytest.mark.parametrize(
    ("budget", "price"),
    [
        (6 * 0.35, 0.35),  # 2.0999999999999996
        (sum([0.1] * 6), 0.1),  # 0.6 is 0.6
        (np.float64(2.1), np.float64(0.35)),
        (np.float32(2.1), np.float32(0.35)),
        (np.int64(6), np.int64(1)),
        (Decimal("2.1"), Decimal("0.35")),
        (Fraction(4), Fraction(2, 3)),
        (4, 2 / 3),  # no whole number of millionths
        (6 * (700 / 730), 700 / 730),  # a price per month in hours
        (6 * 1e-6, 1e-6),
        (6 * 123456789.01, 123456789.01),
    ],
)
def test_n_times_the_price_buys_n_gpus(budget: float, price: float) -> None:
    found = gpupack.frontier(
        SIX,
        by="price",
        budgets=[budget],
        prices={"test-gpu": price},
        optional=SIX.model_names,
    )

    assert [point.num_gpus for point in found.points] == [6]


@pytest.mark.parametrize("price", [0.35, 2 / 3])
def test_a_little_less_than_n_times_the_price_does_not(price: float) -> None:
    found = gpupack.frontier(
        SIX,
        by="price",
        budgets=[6 * price * (1 - 1e-8)],  # beyond the tolerance of 1e-9
        prices={"test-gpu": price},
        optional=SIX.model_names,
    )

    assert [point.num_gpus for point in found.points] == [5]


def test_prices_of_two_types_add_up_to_the_budget() -> None:
    # A third and a seventh are whole numbers of no unit; together they pay for both.
    profiles = on_both(record("a", busy=90.0), record("b", busy=90.0, gpu_type=BIG))
    fleet: dict[GpuType, int | None] = {GPU: None, BIG: None}

    found = gpupack.frontier(
        profiles,
        by="price",
        budgets=[1 / 3 + 1 / 7],
        gpus=fleet,
        prices={"test-gpu": 1 / 3, "big-gpu": 1 / 7},
    )

    assert [point.num_gpus for point in found.points] == [2]


@pytest.mark.parametrize("by", ["gpus", "price"])
@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        ([], "budgets is empty"),
        (np.array([]), "budgets is empty"),
        (3, "budgets is 3; give several"),
        ("12", "budgets is '12'; give several"),
        (["3"], "a budget of '3' is no number"),
        ([True], "a budget of True is no number"),
        ([None], "a budget of None is no number"),
        ([0], "a budget of 0 is no number"),
        ([np.float64("nan")], "a budget of .* is no number"),
        ([10**400], "a budget of 1000.*0000 is no number"),
        ([np.array([1, 2])], "a budget of array.* is no number"),
    ],
)
def test_budgets_that_cannot_be_meant_are_told(
    by: str, budgets: Any, told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        gpupack.frontier(SIX, by=by, budgets=budgets, prices={"test-gpu": 1})


def test_numbers_of_gpus_may_come_from_numpy() -> None:
    found = gpupack.frontier(
        SIX, budgets=np.arange(4, 7), optional=SIX.model_names, max_points=np.int64(5)
    )

    assert [point.num_gpus for point in found.points] == [4, 5, 6]
