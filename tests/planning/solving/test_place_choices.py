"""place() with choices: load points, demand, replicas, fleets, prices, fairness."""

from typing import Any

import pytest

import gpupack
from gpupack.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingReadingError,
    UnknownNameError,
)
from gpupack.placement import Placement
from gpupack.planning.solving import building
from gpupack.planning.solving.building import gpu_placement
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import Fleet, FleetEntry, GpuType
from gpupack.records.placement import ObjectiveUnit, PlacementStatus
from gpupack.records.profile import ProfileRecord
from tests.factories import BIG, GPU, MIB, make_baseline, make_profiles, make_record
from tests.factories import make_load_point as record

MEDICAL = gpupack.load_example("medical")


def on_both(*records: ProfileRecord) -> ProfileSet:
    return ProfileSet(
        records=records, baselines=(make_baseline(), make_baseline(gpu_type=BIG))
    )


def points(placement: Placement) -> list[str]:
    return [str(a.load_point) for gpu in placement.gpus for a in gpu.assignments]


def test_min_gpus_takes_the_load_point_that_needs_least() -> None:
    # At 8x1 (600 MiB) two models need two GPUs, at 1x1 (400 MiB) they share one.
    profiles = make_profiles(
        *(record(name, "1x1", mib=400) for name in "ab"),
        *(record(name, "8x1", rate=300.0, mib=600) for name in "ab"),
    )

    placement = gpupack.place(profiles)

    assert placement.num_gpus == placement.bound == 1
    # One of the two still fits at its faster load point: 400 + 600 = 1000 MiB.
    assert sorted(points(placement)) == ["1x1", "8x1"]


def test_max_throughput_on_an_unlimited_fleet_takes_the_best_load_point() -> None:
    profiles = make_profiles(
        *(record(name, "1x1", busy=50.0) for name in "ab"),
        *(record(name, "8x1", rate=300.0, busy=80.0) for name in "ab"),
    )

    placement = gpupack.place(profiles, "max_throughput")

    assert points(placement) == ["8x1", "8x1"]
    assert placement.num_gpus == placement.bound == 2


def test_the_best_load_point_is_one_that_fits() -> None:
    profiles = make_profiles(
        record("a", "1x1", busy=50.0), record("a", "8x1", rate=300.0, busy=90.0)
    )

    placement = gpupack.place(profiles, "max_throughput", headroom=0.8)

    assert points(placement) == ["1x1"]


def test_a_limited_fleet_gets_the_most_throughput_that_fits() -> None:
    # On one GPU: 60 + 40 % at 200 + 100 beats 40 + 40 %; 60 + 60 % does not fit.
    profiles = make_profiles(
        *(record(name, "1x1", rate=100.0, busy=40.0) for name in "ab"),
        *(record(name, "8x1", rate=200.0, busy=60.0) for name in "ab"),
    )

    placement = gpupack.place(profiles, "max_throughput", gpus=1)

    assert placement.throughput_infer_per_sec == 300
    assert placement.objective_unit is ObjectiveUnit.INFER_PER_SEC
    assert placement.objective_value == placement.bound == 300


def test_weights_decide_who_gets_the_faster_load_point() -> None:
    profiles = make_profiles(
        *(record(name, "1x1", rate=100.0, busy=40.0) for name in "ab"),
        *(record(name, "8x1", rate=200.0, busy=60.0) for name in "ab"),
    )

    placement = gpupack.place(
        profiles, "max_throughput", gpus=1, weights={"b": 2.0, "a": 1.0}
    )

    assert points(placement) == ["1x1", "8x1"]
    assert placement.objective_value == 100 + 2 * 200


def test_demand_is_met_by_replicas_that_use_utilization_in_proportion() -> None:
    # 100 infer/sec cost 50 %, so 350 cost 175 %: two GPUs of two replicas each.
    profiles = make_profiles(record("a"))

    placement = gpupack.place(profiles, demand={"a": 350.0})

    assert placement.num_gpus == placement.bound == 2
    assert placement.served_infer_per_sec["a"] == pytest.approx(350)
    total = sum(gpu.gpu_utilization_percent or 0.0 for gpu in placement.gpus)
    assert total == pytest.approx(175)
    assert all(
        gpu.memory_bytes == len(gpu.models) * 100 * MIB for gpu in placement.gpus
    )


def test_memory_of_a_partly_used_replica_counts_in_full() -> None:
    # Two replicas of 600 MiB never share a GPU of 1000 MiB, however little they do.
    profiles = make_profiles(record("a", busy=1.0, mib=600))

    assert gpupack.place(profiles, demand={"a": 101.0}).num_gpus == 2
    assert gpupack.place(profiles, demand={"a": 100.0}).num_gpus == 1


def test_replicas_may_run_at_different_load_points() -> None:
    # 1x1 gives 10 infer/sec for 10 %, 8x1 gives 100 for 90 %: 110 need both.
    profiles = make_profiles(
        record("a", "1x1", rate=10.0, busy=10.0, mib=100),
        record("a", "8x1", rate=100.0, busy=90.0, mib=900),
    )

    placement = gpupack.place(profiles, demand={"a": 110.0})

    assert placement.num_gpus == 1
    assert sorted(points(placement)) == ["1x1", "8x1"]


def test_with_a_demand_utilizations_bind_unless_headroom_says_otherwise() -> None:
    profiles = make_profiles(record("a", busy=100.0), record("b", busy=100.0))
    demand = {"a": 100.0, "b": 100.0}

    assert gpupack.place(profiles).num_gpus == 1
    assert gpupack.place(profiles, demand=demand).num_gpus == 2
    alone = gpupack.place(profiles, demand=demand, headroom={"memory": 1.0})
    assert alone.num_gpus == 1


def test_no_demand_at_all_keeps_a_model_loaded_and_idle() -> None:
    profiles = make_profiles(record("a", busy=100.0), record("b", busy=100.0))

    placement = gpupack.place(profiles, demand={"a": 100.0, "b": 0})

    (gpu,) = placement.gpus
    assert gpu.models == ("a", "b")
    assert gpu.assignments[1].served_infer_per_sec == 0
    assert gpu.assignments[1].gpu_utilization_percent == 0
    assert gpu.gpu_utilization_percent == 100


def test_replicas_without_a_demand_are_that_many_and_with_one_at_least() -> None:
    profiles = make_profiles(record("a", mib=400))

    without = gpupack.place(profiles, replicas={"a": 3})
    at_least = gpupack.place(profiles, replicas=3, demand={"a": 10.0})

    assert without.num_gpus == at_least.num_gpus == 2
    assert len(points(without)) == len(points(at_least)) == 3


def test_load_points_beyond_the_latency_limit_are_no_options() -> None:
    profiles = make_profiles(
        record("a", "1x1", latency_p99_us=9_000.0, latency_p50_us=4_000.0),
        record("a", "8x1", rate=300.0, latency_p99_us=30_000.0, latency_p50_us=8_000.0),
    )

    def best(limit_ms: float, **arguments: Any) -> list[str]:
        limits = {"a": limit_ms}
        return points(
            gpupack.place(
                profiles, "max_throughput", latency_limit_ms=limits, **arguments
            )
        )

    assert best(30.0) == ["8x1"]
    assert best(29.0) == ["1x1"]
    assert best(29.0, latency_percentile=50) == ["8x1"]
    with pytest.raises(InfeasibleError, match=r"closest is 1x1 .* 9 ms") as caught:
        best(8.0)
    assert caught.value.model_names == ("a",)


def test_load_points_without_the_percentile_are_left_out_with_a_warning() -> None:
    profiles = make_profiles(
        record("a", "1x1", latency_p99_us=9_000.0, latency_p50_us=4_000.0),
        record("a", "4x1", rate=200.0, latency_p50_us=6_000.0),
        record("a", "8x1", rate=300.0, latency_p50_us=8_000.0),
        record("b", "4x1"),
    )

    placement = gpupack.place(profiles, "max_throughput", latency_limit_ms={"a": 30.0})

    assert points(placement) == ["1x1", "4x1"]
    _, warning = placement.warnings  # first, that the two are slow together
    assert "4x1, 8x1 of 'a' are left out" in warning
    assert "p99" in warning
    assert "profile" in warning
    assert "latency_percentile" in warning
    # The median of all three is known, and nobody asks for b's.
    by_median = gpupack.place(
        profiles, "max_throughput", latency_limit_ms={"a": 30.0}, latency_percentile=50
    )
    assert points(by_median) == ["8x1", "4x1"]
    assert not any("left out" in text for text in by_median.warnings)


def test_an_error_about_a_latency_limit_says_what_could_not_be_judged() -> None:
    profiles = make_profiles(
        record("a", "1x1", latency_p99_us=9_000.0), record("a", "4x1", rate=200.0)
    )

    with pytest.raises(InfeasibleError, match="closest is 1x1") as caught:
        gpupack.place(profiles, latency_limit_ms={"a": 5.0})
    assert "4x1 of 'a' is left out" in str(caught.value)
    assert "p99" in str(caught.value)
    with pytest.raises(MissingReadingError, match="latency_p99_us") as missing:
        gpupack.place(profiles, load_point="4x1", latency_limit_ms={"a": 5.0})
    assert "4x1 of 'a' is left out" in str(missing.value)


def test_latencies_count_on_the_gpus_to_plan_for_alone() -> None:
    # On the big card a is fast enough, on the small one unknown, c too slow.
    profiles = on_both(
        record("a"),
        record("a", gpu_type=BIG, latency_p99_us=1_000.0),
        record("b", latency_p99_us=1_000.0),
        record("b", "2x1", gpu_type=BIG),
        record("c", latency_p99_us=9_000.0),
        record("c", gpu_type=BIG, latency_p99_us=1_000.0),
    )

    def place(name: str, gpu_type: GpuType) -> Placement:
        return gpupack.place(
            profiles.select(name), gpus=gpu_type, latency_limit_ms={name: 5.0}
        )

    assert place("b", GPU).warnings == ()
    with pytest.raises(MissingReadingError, match="'a'.*latency_p99_us"):
        place("a", GPU)
    with pytest.raises(InfeasibleError, match="closest is 1x1 on test-gpu with 9 ms"):
        place("c", GPU)
    assert place("a", BIG).num_gpus == place("c", BIG).num_gpus == 1


def test_an_optional_model_too_slow_everywhere_is_left_out_with_a_warning() -> None:
    profiles = make_profiles(
        record("a", latency_p99_us=1_000.0),
        record("b", latency_p99_us=9_000.0),
        record("c"),
    )

    placement = gpupack.place(profiles, latency_limit_ms=5.0, optional=["b", "c"])

    assert [gpu.models for gpu in placement.gpus] == [("a",)]
    slow, unknown = placement.warnings
    assert "optional model left out: no load point of 'b' keeps p99" in slow
    assert "optional model left out: a latency limit is given for 'c'" in unknown
    with pytest.raises(InfeasibleError, match="no load point of 'b'"):
        gpupack.place(profiles.select("b"), latency_limit_ms=5.0, optional=["b"])


def test_a_model_goes_only_where_it_was_profiled() -> None:
    # All three would fit one big GPU, but a was never measured there.
    profiles = on_both(
        record("a", mib=600),
        *(record(name, mib=600) for name in "bc"),
        *(record(name, mib=600, gpu_type=BIG) for name in "bc"),
    )

    placement = gpupack.place(profiles, gpus={GPU: None, BIG: None})

    assert [(gpu.gpu_type.name, gpu.models) for gpu in placement.gpus] == [
        ("test-gpu", ("a",)),
        ("big-gpu", ("b", "c")),
    ]


def test_min_cost_takes_the_cheaper_mix_and_min_gpus_the_fewest() -> None:
    profiles = on_both(
        *(record(name, mib=900) for name in "abc"),
        *(record(name, mib=900, gpu_type=BIG) for name in "abc"),
    )
    fleet: dict[GpuType, int | None] = {GPU: None, BIG: None}
    prices = {"test-gpu": 1.0, "big-gpu": 3.5}

    cheapest = gpupack.place(profiles, "min_cost", gpus=fleet, prices=prices)
    fewest = gpupack.place(profiles, "min_gpus", gpus=fleet, prices=prices)

    assert cheapest.objective_value == cheapest.bound == 3.0
    assert cheapest.objective_unit is ObjectiveUnit.PRICE_PER_HOUR
    assert cheapest.num_gpus == 3
    assert fewest.num_gpus == fewest.bound == 1


def test_a_counted_type_is_used_up_before_the_dearer_one() -> None:
    profiles = on_both(
        *(record(name, mib=900) for name in "abc"),
        *(record(name, mib=900, gpu_type=BIG) for name in "abc"),
    )

    placement = gpupack.place(
        profiles,
        "min_cost",
        gpus={GPU: 2, BIG: None},
        prices={"test-gpu": 1.0, "big-gpu": 1.5},
    )

    # One big GPU holds all three for 1.5; two small ones would leave one out.
    assert placement.objective_value == 1.5


def test_memory_carries_over_to_an_unprofiled_type_only_on_request() -> None:
    profiles = make_profiles(*(record(name, mib=900) for name in "abc"))
    fleet: dict[GpuType, int | None] = {GPU: None, BIG: None}

    with pytest.raises(InvalidInputError, match="no model was profiled on big-gpu"):
        gpupack.place(profiles, gpus=fleet)
    placement = gpupack.place(profiles, gpus=fleet, carry_memory_over=True)
    assert placement.num_gpus == 1
    assert any("memory carries over" in text for text in placement.warnings)
    with pytest.raises(InvalidInputError, match="only memory carries over"):
        gpupack.place(profiles, "max_throughput", gpus=fleet, carry_memory_over=True)


def test_max_throughput_serves_the_weighted_most_of_a_demand_too_large() -> None:
    # One GPU: 100 % of it gives 200 infer/sec of a (50 % per 100) or 100 of b.
    profiles = make_profiles(record("a", busy=50.0), record("b", busy=100.0))
    demand = {"a": 200.0, "b": 200.0}

    most = gpupack.place(profiles, "max_throughput", gpus=1, demand=demand)
    fair = gpupack.place(
        profiles, "max_throughput", gpus=1, demand=demand, fairness="max_min"
    )

    assert most.objective_value == pytest.approx(200)
    assert most.served_infer_per_sec == pytest.approx({"a": 200, "b": 0})
    # Equal shares s: 200 s / 200 + 200 s / 100 = 1.
    assert fair.objective_value == pytest.approx(1 / 3)
    assert fair.objective_unit is ObjectiveUnit.SERVED_SHARE
    assert fair.served_infer_per_sec == pytest.approx({"a": 200 / 3, "b": 200 / 3})


def test_optional_models_are_placed_where_they_cost_nothing() -> None:
    profiles = make_profiles(
        record("a", mib=600), record("b", mib=300), record("c", mib=600)
    )

    placement = gpupack.place(profiles, optional=["b", "c"])

    (gpu,) = placement.gpus
    assert gpu.models == ("a", "b")
    assert any("left out: c" in text for text in placement.warnings)


def test_an_optional_model_that_was_profiled_on_other_gpus_is_left_out() -> None:
    profiles = on_both(record("a"), record("b", gpu_type=BIG))
    wishes: dict[str, Any] = {"demand": {"a": 10.0, "b": 10.0}, "replicas": {"b": 2}}

    for arguments in ({}, wishes):
        placement = gpupack.place(profiles, gpus=GPU, optional=["b"], **arguments)
        assert [gpu.models for gpu in placement.gpus] == [("a",)]
        (warning,) = placement.warnings
        assert "left out: 'b' was profiled on big-gpu" in warning
    (step,) = gpupack.frontier(profiles, gpus=GPU, optional=["b"]).points
    assert step.num_gpus == 1
    with pytest.raises(InvalidInputError, match="'b' was profiled on big-gpu"):
        gpupack.place(profiles, gpus=GPU, optional=["a"])


def test_medical_models_pinned_need_four_and_six_gpus_in_a_fleet_of_two_types() -> None:
    fleet = {"16GB": None, "T4": 1}

    fewest = gpupack.place(MEDICAL, gpus=fleet, carry_memory_over=True)
    best = gpupack.place(MEDICAL, "max_throughput", load_point="2x4")

    assert fewest.num_gpus == fewest.bound == 4
    assert best.num_gpus == best.bound == 6


def test_a_clash_names_the_smallest_set_of_models_and_limits() -> None:
    # a and b (600 MiB each) do not fit one GPU of 1000; c has nothing to do with it.
    profiles = make_profiles(
        record("a", mib=600), record("b", mib=600), record("c", mib=100)
    )

    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles, gpus=1, replicas=1)

    assert caught.value.model_names == ("a", "b")
    assert caught.value.resource == "memory"
    assert caught.value.limits == ("headroom of memory 1", "1 test-gpu GPU")
    assert "2 test-gpu GPUs would do" in str(caught.value)


def test_a_demand_beyond_a_limited_fleet_is_named() -> None:
    profiles = make_profiles(record("a"), record("b"))

    with pytest.raises(InfeasibleError, match=r"demand of 'a' 900 infer/sec") as caught:
        gpupack.place(profiles, gpus=2, demand={"a": 900.0, "b": 1.0})

    assert caught.value.model_names == ("a",)
    assert "headroom of gpu_utilization 1" in caught.value.limits


def test_more_replicas_than_a_limited_fleet_holds_are_named() -> None:
    # One a (600 of 1000 MiB) fits each GPU: one a would fit, three do not.
    profiles = make_profiles(record("a", mib=600), record("b", mib=100))

    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles, gpus=2, replicas={"a": 3, "b": 2})

    assert caught.value.model_names == ("a",)
    assert caught.value.limits == (
        "headroom of memory 1",
        "2 test-gpu GPUs",
        "replicas of 'a' 3",
    )
    assert "3 test-gpu GPUs would do" in str(caught.value)


def test_a_latency_limit_that_leaves_too_little_is_named() -> None:
    # At 1x1 one replica serves 100/s; 400/s on one GPU take the slower load point.
    profiles = make_profiles(
        record("a", rate=100.0, busy=100.0, latency_p99_us=1000.0),
        record("a", "8x1", rate=500.0, busy=100.0, latency_p99_us=9000.0),
    )
    arguments = {"gpus": 1, "demand": {"a": 400.0}}

    assert gpupack.place(profiles, **arguments).num_gpus == 1
    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles, **arguments, latency_limit_ms={"a": 5.0})

    assert "latency limit of 'a' 5 ms" in caught.value.limits


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"demand": {"x": 1.0}}, UnknownNameError, "'x'"),
        ({"demand": {"a": -1.0}}, InvalidInputError, "-1"),
        ({"demand": {"a": float("nan")}}, InvalidInputError, "nan"),
        ({"demand": {"a": float("inf")}}, InvalidInputError, "inf"),
        ({"demand": {"a": 1e12}}, InvalidInputError, "any replica count.*100 infer"),
        ({"latency_limit_ms": {"a": 0}}, InvalidInputError, "> 0"),
        ({"latency_limit_ms": {"a": 5}}, MissingReadingError, "latency_p99_us"),
        (
            {"latency_limit_ms": {"a": 5}, "latency_percentile": 42},
            InvalidInputError,
            "42.*99",
        ),
        ({"replicas": {"a": 0}}, InvalidInputError, "replicas of 'a' is 0"),
        ({"replicas": {"a": 1.5}}, InvalidInputError, "1.5"),
        ({"optional": ["x"]}, UnknownNameError, "'x'"),
        ({"objective": "min_cost"}, InvalidInputError, "price per hour of test-gpu"),
        (
            {"objective": "min_cost", "prices": {"T4": 1.0}},
            UnknownNameError,
            "'T4'.*test-gpu",
        ),
        (
            {"objective": "min_cost", "prices": {"test-gpu": -1.0}},
            InvalidInputError,
            "-1.0",
        ),
        (
            {"objective": "min_cost", "prices": {"test-gpu": 0}},
            InvalidInputError,
            "price of test-gpu is 0;.* > 0.*such as 0.01",
        ),
        (
            {"objective": "min_cost", "prices": {"test-gpu": 1e-7}},
            InvalidInputError,
            "1e-07 per GPU and hour; from 0.000001 to 1,000,000,000",
        ),
        (
            {"objective": "min_cost", "prices": {"test-gpu": 1e300}},
            InvalidInputError,
            "1e.300 per GPU and hour; .* wrong unit",
        ),
        (
            {
                "objective": "min_cost",
                "gpus": Fleet(entries=(FleetEntry(gpu_type=GPU, price_per_hour=0),)),
            },
            InvalidInputError,
            "price of test-gpu is 0.0;",
        ),
        ({"weights": {"a": 2.0}}, InvalidInputError, "max_throughput"),
        ({"fairness": "max_min"}, InvalidInputError, "max_throughput"),
        (
            {"fairness": "max_min", "objective": "max_throughput"},
            InvalidInputError,
            "none is above 0",
        ),
        (
            {"fairness": "equal", "objective": "max_throughput"},
            UnknownNameError,
            "max_min",
        ),
        ({"gpus": {"T4": 1, "L4": 1}}, InvalidInputError, "profiled on T4"),
    ],
)
def test_a_wish_that_cannot_be_met_is_named(
    arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gpupack.place(make_profiles(record("a")), **arguments)


def test_a_demand_asks_for_a_missing_throughput_by_name() -> None:
    profiles = make_profiles(make_record("a", throughput_infer_per_sec=None))

    with pytest.raises(MissingReadingError, match="throughput_infer_per_sec.*'a'"):
        gpupack.place(profiles, demand={"a": 1.0})


@pytest.mark.parametrize("tiny", [1e-6, 1e-4, 1e-3, 1.0])
@pytest.mark.parametrize("wishes", [{}, {"objective": "max_throughput", "gpus": 90}])
def test_a_tiny_demand_is_served_beside_a_huge_one(
    tiny: float, wishes: dict[str, Any]
) -> None:
    # Of b, a replica serves 20 for 40 % of a GPU and 600 of 1000 MiB: one on each.
    profiles = make_profiles(
        record("a", rate=2000.0, busy=20.0, mib=100),
        record("b", rate=20.0, busy=40.0, mib=600),
    )

    for demand in ({"a": tiny}, {"a": tiny, "b": 1600.0}):
        placement = gpupack.place(profiles, demand=demand, **wishes)

        assert placement.num_gpus == (80 if "b" in demand else 1)
        for name, wanted in demand.items():
            served = placement.served_infer_per_sec[name]
            assert served == pytest.approx(wanted, rel=2e-6)


def test_large_demands_are_planned_by_counts() -> None:
    # 1000 infer/sec take 10 GPUs of 100 each at 100 %; times 100, 1,000 GPUs.
    profiles = make_profiles(record("a", busy=100.0, rate=100.0))

    placement = gpupack.place(profiles, demand={"a": 100_000.0})

    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.num_gpus == 1_000


def test_what_equal_gpus_keep_is_predicted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profiles = make_profiles(record("a", busy=100.0, rate=100.0))
    asked: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(1)
        return gpu_placement(*arguments, **options)

    monkeypatch.setattr(building, "gpu_placement", counting)
    placement = gpupack.place(profiles, demand={"a": 100_000.0})

    assert [gpu.gpu_index for gpu in placement.gpus] == list(range(1_000))
    assert len(asked) <= 2


def test_choices_give_the_same_bytes_for_the_same_seed() -> None:
    profiles = make_profiles(
        *(record(name, "1x1", mib=300) for name in "abc"),
        *(record(name, "8x1", rate=300.0, busy=80.0, mib=500) for name in "abc"),
    )

    def text() -> str:
        placement = gpupack.place(profiles, demand=dict.fromkeys("abc", 250.0), seed=3)
        return placement.model_copy(update={"seconds": 0.0}).to_json()

    assert text() == text()


def test_gpus_that_hold_the_same_are_written_alike_but_for_their_index() -> None:
    # Three of 300 MiB share a GPU of 1000: ten replicas fill three GPUs and a third.
    placement = gpupack.place(make_profiles(record("a", mib=300)), replicas=10)

    assert [gpu.gpu_index for gpu in placement.gpus] == [0, 1, 2, 3]
    by_models = {gpu.models: gpu for gpu in placement.gpus}
    assert len(by_models) < 4
    for gpu in placement.gpus:
        like = by_models[gpu.models].model_copy(update={"gpu_index": gpu.gpu_index})
        assert gpu == like
