"""place(): the published cases, the meaning of its arguments, and bad input."""

import itertools
import json
import math
from typing import Any

import pytest

import gpupack
from gpupack.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingReadingError,
    NotFoundInTimeError,
    UnknownNameError,
)
from gpupack.packing.items.model.problem import Bin, PackingProblem, PackingResult
from gpupack.placement import Placement
from gpupack.planning.solving import one_type
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import Fleet, FleetEntry, GpuType
from gpupack.records.placement import PlacementStatus
from gpupack.records.profile import LoadPoint
from tests.factories import MIB, make_profiles, make_record

MEDICAL = gpupack.load_example("medical")
BOTH_UTILIZATIONS_AT_110 = {
    "memory": 1.0,
    "gpu_utilization": 1.1,
    "memory_utilization": 1.1,
}


# The expected numbers are those of the published case studies and their variants.
@pytest.mark.parametrize(
    ("objective", "headroom", "num_gpus"),
    [
        ("min_gpus", 1.0, 4),
        ("max_throughput", 1.0, 6),
        ("max_throughput", 0.8, 8),
        ("min_gpus", {"memory": 0.9}, 4),
        ("min_gpus", {"memory": 0.8}, 6),
        ("max_throughput", BOTH_UTILIZATIONS_AT_110, 5),
    ],
)
def test_the_medical_models_need_the_published_number_of_gpus(
    objective: str, headroom: Any, num_gpus: int
) -> None:
    placement = gpupack.place(MEDICAL, objective, headroom=headroom)

    assert placement.num_gpus == num_gpus
    assert placement.bound == num_gpus
    assert placement.gap == 0
    assert placement.status is PlacementStatus.OPTIMAL


def test_totals_of_a_gpu_are_the_published_arithmetic() -> None:
    # Rows give 5035 + 1461 - 309 = 6187 MiB for chest and breast.
    pair = MEDICAL.select(["classification_chest", "classification_breast"])
    placement = gpupack.place(pair, "max_throughput")

    (gpu,) = placement.gpus
    assert gpu.models == ("classification_breast", "classification_chest")
    assert gpu.memory_bytes == 6187 * MIB
    assert gpu.memory_left_bytes == (16384 - 6187) * MIB
    assert gpu.gpu_utilization_percent == 56 + 23
    assert gpu.memory_utilization_percent == 11 + 1


def test_every_order_of_the_models_gives_the_same_placement() -> None:
    records = MEDICAL.records[:4]
    seen = {
        json.dumps([gpu.models for gpu in place_records(order).gpus])
        for order in itertools.permutations(records)
    }

    assert len(seen) == 1


def place_records(records: Any) -> Placement:
    return gpupack.place(
        ProfileSet(records=tuple(records), baselines=MEDICAL.baselines),
        "max_throughput",
    )


def test_the_same_input_and_seed_give_the_same_bytes_but_for_the_seconds() -> None:
    def text() -> str:
        value = json.loads(gpupack.place(MEDICAL, "max_throughput", seed=7).to_json())
        assert value.pop("seconds") >= 0
        return json.dumps(value)

    assert text() == text()


def test_models_go_in_name_order_where_nothing_else_decides() -> None:
    profiles = make_profiles(*(make_record(name) for name in "dcba"))

    placement = gpupack.place(profiles)

    assert [gpu.models for gpu in placement.gpus] == [("a", "b", "c", "d")]


def test_the_more_even_of_two_placements_is_taken() -> None:
    # Two GPUs in any case (memory); 30+10 beside 20+20 is more even than 30+20.
    profiles = make_profiles(
        *(
            make_record(
                name,
                gpu_memory_used_bytes=400 * MIB,
                gpu_utilization_percent=utilization,
            )
            for name, utilization in zip("abcd", (30, 20, 20, 10), strict=True)
        )
    )

    placement = gpupack.place(profiles)

    assert sorted(gpu.models for gpu in placement.gpus) == [("a", "d"), ("b", "c")]


def test_filling_a_gpu_to_the_last_byte_is_allowed_and_one_more_is_not() -> None:
    def pair(extra_bytes: int) -> ProfileSet:
        return make_profiles(
            make_record("a", gpu_memory_used_bytes=550 * MIB),
            make_record("b", gpu_memory_used_bytes=550 * MIB + extra_bytes),
            baseline_mib=100,
        )

    assert gpupack.place(pair(0)).num_gpus == 1
    assert gpupack.place(pair(1)).num_gpus == 2


def test_decimals_add_up_as_written() -> None:
    # In binary 0.1 + 0.2 > 0.3; a person's 10 % + 20 % is 30 %.
    profiles = make_profiles(
        make_record("a", gpu_utilization_percent=70.1),
        make_record("b", gpu_utilization_percent=9.9),
    )

    placement = gpupack.place(profiles, headroom={"gpu_utilization": 0.8})

    assert placement.num_gpus == 1


def test_the_idle_servers_utilization_is_not_counted() -> None:
    profiles = make_profiles(
        make_record("a", gpu_utilization_percent=100, memory_utilization_percent=100)
    )

    assert gpupack.place(profiles, "max_throughput").num_gpus == 1


@pytest.mark.parametrize(
    ("gpus", "type_name", "count"),
    [
        (None, "16GB", None),
        ("16GB", "16GB", None),
        (5, "16GB", 5),
        ({"16GB": 4}, "16GB", 4),
        (("16GB", 4), "16GB", 4),
        ("t4", "T4", None),
        ("mine:20000", "mine", None),
        (GpuType(name="mine", memory_bytes=20000 * MIB), "mine", None),
        ({GpuType(name="mine", memory_bytes=20000 * MIB): 9}, "mine", 9),
    ],
)
def test_the_supply_can_be_named_in_many_ways(
    gpus: Any, type_name: str, count: int | None
) -> None:
    placement = gpupack.place(MEDICAL, gpus=gpus, carry_memory_over=True)

    (entry,) = placement.fleet.entries
    assert (entry.gpu_type.name, entry.num_gpus) == (type_name, count)


def test_profiles_of_another_gpu_type_are_used_on_request_with_a_warning() -> None:
    with pytest.raises(InvalidInputError, match="no model was profiled on T4"):
        gpupack.place(MEDICAL, gpus="T4")
    placement = gpupack.place(MEDICAL, gpus="T4", carry_memory_over=True)

    assert any("measured on 16GB, not on T4" in text for text in placement.warnings)
    # What holds there of a record is its memory alone.
    for gpu in placement.gpus:
        assert gpu.gpu_utilization_percent is None
        for one in gpu.assignments:
            assert one.throughput_infer_per_sec is None
            assert one.predicted_infer_per_sec is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objective": "fastest"}, UnknownNameError, "there are min_gpus"),
        ({"gpus": "Z80"}, UnknownNameError, "'Z80'.*T4"),
        ({"gpus": "mine:lots"}, InvalidInputError, "MiB"),
        ({"gpus": {"T4": 0}}, InvalidInputError, "number of T4 GPUs is 0"),
        ({"gpus": {"T4": -1}}, InvalidInputError, "-1"),
        ({"gpus": {"T4": 1.5}}, InvalidInputError, "1.5"),
        ({"gpus": {}}, InvalidInputError, "no GPU type"),
        ({"headroom": 0}, InvalidInputError, "> 0"),
        ({"headroom": -0.5}, InvalidInputError, "> 0"),
        ({"headroom": float("nan")}, InvalidInputError, "nan"),
        ({"headroom": float("inf")}, InvalidInputError, "inf"),
        ({"headroom": 1.1}, InvalidInputError, "memory is 1.1"),
        ({"headroom": {"memory": 1.5}}, InvalidInputError, "memory is 1.5"),
        ({"headroom": {"ram": 0.5}}, UnknownNameError, "'ram'.*gpu_utilization"),
        ({"headroom": {}}, InvalidInputError, "nothing would bind"),
        ({"headroom": "0.8"}, InvalidInputError, "'0.8'"),
        ({"load_point": "2"}, InvalidInputError, "BATCHxCONCURRENCY"),
        ({"load_point": "1x1"}, MissingReadingError, "1x1.*2x4"),
        ({"load_point": {"other": "2x4"}}, UnknownNameError, "'other'"),
        ({"time_limit_s": -1}, InvalidInputError, "time_limit_s is -1"),
        ({"time_limit_s": float("nan")}, InvalidInputError, "nan"),
        ({"seed": -1}, InvalidInputError, "seed is -1"),
        ({"seed": 0.5}, InvalidInputError, "0.5"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(
    arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gpupack.place(MEDICAL, **arguments)


def test_a_model_larger_than_the_gpu_is_named_with_the_way_out() -> None:
    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(MEDICAL, gpus="small:10000", carry_memory_over=True)

    error = caught.value
    assert error.model_names == ("segmentation_liver",)
    assert error.resource == "memory"
    # Liver needs 11,051 MiB, server included; the smallest card above that is a T4.
    for part in ("'segmentation_liver'", "11,051 MiB", "10,000 MiB", "T4"):
        assert part in str(error)


def test_the_headroom_that_would_do_is_named() -> None:
    profiles = make_profiles(make_record("big", gpu_memory_used_bytes=901 * MIB))

    with pytest.raises(InfeasibleError, match=r"headroom of memory to 0\.901"):
        gpupack.place(profiles, headroom=0.5)
    assert gpupack.place(profiles, headroom=0.901).num_gpus == 1


def test_a_model_over_the_utilization_limit_is_named() -> None:
    with pytest.raises(InfeasibleError, match=r"79 %.*gpu_utilization.*0\.79"):
        gpupack.place(MEDICAL, "max_throughput", headroom=0.75)


def test_a_supply_too_small_says_how_many_would_do() -> None:
    with pytest.raises(InfeasibleError, match="6 16GB GPUs would do") as caught:
        gpupack.place(MEDICAL, "max_throughput", gpus={"16GB": 5})

    assert caught.value.suggestion == "6 16GB GPUs would do."
    assert "5 16GB GPUs" in caught.value.limits
    # Any one of the models that clash may be left out, and the others fit.
    for name in caught.value.model_names:
        others = [one for one in caught.value.model_names if one != name]
        gpupack.place(MEDICAL.select(others), "max_throughput", gpus={"16GB": 5})
    assert gpupack.place(MEDICAL, "max_throughput", gpus={"16GB": 6}).num_gpus == 6


def test_a_reading_that_binds_and_is_missing_is_asked_for_by_name() -> None:
    profiles = make_profiles(
        make_record("a", memory_utilization_percent=None), make_record("b")
    )

    assert gpupack.place(profiles).num_gpus == 1
    with pytest.raises(
        MissingReadingError, match="memory_utilization_percent.*'a'"
    ) as told:
        gpupack.place(profiles, "max_throughput")
    # What it says to ask instead answers.
    way_out = '{"memory": 1.0, "gpu_utilization": 1.0}'.replace('"', "'")
    assert f"headroom={way_out}" in str(told.value)
    known = {"memory": 1.0, "gpu_utilization": 1.0}
    assert gpupack.place(profiles, "max_throughput", headroom=known).num_gpus == 1


def test_a_memory_utilization_that_nobody_read_does_not_bind() -> None:
    # 60 % and 50 % of GPU utilization do not go together; memory is busy no longer
    # than the GPU.
    profiles = make_profiles(
        *(
            make_record(
                name, gpu_utilization_percent=busy, memory_utilization_percent=None
            )
            for name, busy in (("a", 60.0), ("b", 50.0), ("c", 40.0))
        )
    )

    placed = gpupack.place(profiles, "max_throughput")
    steps = gpupack.frontier(profiles, time_limit_s=1)

    assert placed.num_gpus == 2
    assert any("memory utilization does not bind" in one for one in placed.warnings)
    assert [one.num_gpus for one in steps.steps] == [1, 2]
    # What is asked for by name binds, and is asked for.
    with pytest.raises(MissingReadingError, match="memory_utilization"):
        gpupack.place(profiles, headroom={"memory": 1.0, "memory_utilization": 1.0})


def test_without_the_servers_memory_every_models_counts_in_full() -> None:
    # A GPU has 1,000 MiB; the server takes 100 of what each model was measured at.
    records = tuple(
        make_record(name, gpu_memory_used_bytes=400 * MIB) for name in "abc"
    )
    known = make_profiles(*records, baseline_mib=100)
    bare = ProfileSet(records=records)

    assert gpupack.place(known).num_gpus == math.ceil(3 * 300 / (1000 - 100))
    placed = gpupack.place(bare)
    assert placed.num_gpus == math.ceil(3 * 400 / 1000)
    assert any("counts in full" in one for one in placed.warnings)
    for again in (
        gpupack.place(bare, "max_throughput"),
        gpupack.frontier(bare, time_limit_s=1).placements[-1],
        gpupack.recommend(bare, time_limit_s=1).placement,
    ):
        assert again.num_gpus >= 2
        assert any("counts in full" in one for one in again.warnings)
    # Where memory does not bind nothing has to be assumed.
    busy_alone = gpupack.place(bare, headroom={"gpu_utilization": 1.0})
    assert not any("counts in full" in one for one in busy_alone.warnings)


def test_no_profiles_at_all_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        gpupack.place(ProfileSet())


def test_a_measurement_that_never_settled_is_used_only_on_request() -> None:
    profiles = make_profiles(make_record("shaky", is_stable=False))

    with pytest.raises(MissingReadingError, match="'shaky'.*never settled"):
        gpupack.place(profiles)
    placement = gpupack.place(profiles, allow_unstable=True)
    assert any("never settled" in text for text in placement.warnings)


def test_a_pinned_load_point_is_the_one_planned_with() -> None:
    def record(batch_size: int, memory_mib: int) -> Any:
        return make_record(
            "resnet",
            load_point=LoadPoint(batch_size=batch_size, concurrency=1),
            gpu_memory_used_bytes=memory_mib * MIB,
        )

    profiles = make_profiles(record(1, 100), record(8, 800))

    placement = gpupack.place(profiles, load_point="8x1")

    assert placement.gpus[0].memory_bytes == 800 * MIB
    assert placement.gpus[0].assignments[0].load_point == LoadPoint.parse("8x1")


def test_a_time_limit_of_zero_still_gives_a_checked_placement() -> None:
    placement = gpupack.place(MEDICAL, time_limit_s=0)

    assert placement.num_gpus >= placement.bound


def test_a_fleet_can_be_given_whole() -> None:
    fleet = Fleet(entries=(FleetEntry(gpu_type=MEDICAL.gpu_types[0], num_gpus=4),))

    assert gpupack.place(MEDICAL, gpus=fleet).fleet == fleet


def test_a_shortage_that_is_not_proved_names_the_limits_that_were_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_no_time(problem: PackingProblem, **_: object) -> PackingResult:
        lonely = tuple(Bin(((item, 1),)) for item in range(len(problem.item_types)))
        return PackingResult(lonely, bound=4, seconds=0.0, method="first fit")

    monkeypatch.setattr(one_type, "solve", in_no_time)
    with pytest.raises(NotFoundInTimeError) as caught:
        gpupack.place(MEDICAL, gpus=4, time_limit_s=0.5)

    error = caught.value
    (gpu_type,) = {one.gpu_type.name for one in MEDICAL.records}
    assert "at least 4 are needed (proved), 9 would do" in str(error)
    assert error.limits == ("memory 1", f"4 {gpu_type} GPUs", "time_limit_s 0.5")
    assert not isinstance(error, InfeasibleError)
