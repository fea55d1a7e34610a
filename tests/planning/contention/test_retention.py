"""place() with min_retention and sharing, against every partition of the models."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpupack.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingReadingError,
    UnknownNameError,
)
from gpupack.planning.contention.delays import CustomerClass
from gpupack.planning.contention.network import Neighbors, limits_of_each, rates
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    DEFAULT_RETENTION_MARGINS,
    LAWS,
    SHARING_SHAPES,
    UNPROBED_MPS_MARGIN,
    predict_retentions,
)
from gpupack.planning.contention.retention import (
    RetentionRule,
    SharedGpu,
    cautious_retention,
    retentions_of,
)
from gpupack.planning.contention.sharing import resolve_contention
from gpupack.planning.placing import place
from gpupack.profile_set import ProfileSet
from gpupack.records.calibration import Calibration
from gpupack.records.environment import SharingMode
from gpupack.records.explanation import ChangeKind
from gpupack.records.gpu import DeviceKind, GpuType
from gpupack.records.placement import PlacementStatus
from gpupack.records.profile import (
    KernelTimes,
    LoadPoint,
    ProbeReadings,
    ProfileRecord,
)
from tests.factories import ENVIRONMENT, GPU, MIB, make_profiles, make_record
from tests.planning.set_partitions import set_partitions

LIMIT_MIB = 1000
MARGINS = DEFAULT_RETENTION_MARGINS | {SharingMode.MPS: UNPROBED_MPS_MARGIN}
"""Of profiles without the kernel probe's readings."""


def profiles_of(rows: list[tuple[int, int]]) -> ProfileSet:
    return make_profiles(
        *(
            make_record(
                f"model{index}",
                gpu_memory_used_bytes=memory_mib * MIB,
                gpu_utilization_percent=float(utilization),
            )
            for index, (memory_mib, utilization) in enumerate(rows)
        )
    )


def calibration(factor: float, mode: SharingMode, gpu: str = GPU.name) -> Calibration:
    return Calibration(
        gpu_type_name=gpu,
        sharing_mode=mode,
        contention_factor=factor,
        law=LAWS[mode],
        num_sets=12,
        environment=ENVIRONMENT,
    )


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 600), st.integers(1, 90)), min_size=1, max_size=6
    ),
    share=st.sampled_from([0.6, 0.8, 0.9, 0.95, 1.0]),
    sharing=st.sampled_from(["time_slicing", "mps"]),
)
def test_the_number_of_gpus_is_the_smallest_over_all_partitions_that_keep_it(
    rows: list[tuple[int, int]], share: float, sharing: str
) -> None:
    profiles = profiles_of(rows)
    mode = SharingMode(sharing)
    factor, shape = DEFAULT_CONTENTION_FACTORS[mode], SHARING_SHAPES[mode]
    margin = MARGINS[mode]

    def keeps(group: list[int]) -> bool:
        records = [profiles.records[item] for item in group]
        memory = sum(rows[item][0] for item in group)
        kept = predict_retentions(records, contention_factor=factor, shape=shape)
        return memory <= LIMIT_MIB and (
            len(group) == 1 or cautious_retention(min(kept), margin) >= share
        )

    expected = min(
        len(partition)
        for partition in set_partitions(range(len(rows)))
        if all(keeps(group) for group in partition)
    )

    placement = place(profiles, min_retention=share, sharing=sharing)

    assert placement.num_gpus == expected
    assert placement.status is PlacementStatus.OPTIMAL
    for gpu in placement.gpus:
        for assignment in gpu.assignments:
            assert assignment.retention is not None
            assert assignment.retention >= share - 1e-12


def test_models_that_no_probe_read_are_planned_with_more_to_spare_under_mps() -> None:
    readings = ProbeReadings(
        throughput_infer_per_sec=50.0,
        full_kernel=KernelTimes(alone_us=22, beside_us=40),
        spread_kernel=KernelTimes(alone_us=22, beside_us=26),
        single_kernel=KernelTimes(alone_us=8, beside_us=9),
    )
    without = profiles_of([(10, 20), (10, 20)])
    probed = make_profiles(
        *(one.model_copy(update={"probe": readings}) for one in without.records)
    )

    known = resolve_contention(probed, GPU, "mps")
    unknown = resolve_contention(without, GPU, "mps")
    sliced = resolve_contention(without, GPU, "time_slicing")

    assert known.margin == DEFAULT_RETENTION_MARGINS[SharingMode.MPS] < unknown.margin
    assert known.warnings == sliced.warnings == ()
    (warning,) = unknown.warnings
    assert "2 models, such as model0" in warning
    assert "--sharing mps" in warning


def test_streams_wait_for_busy_sms_as_under_mps_without_the_probe() -> None:
    few = profiles_of([(10, 90), (10, 90)])
    profiles = few.model_copy(
        update={
            "records": tuple(
                one.model_copy(update={"sm_utilization_percent": percent})
                for one, percent in zip(few.records, (20.0, 85.0), strict=True)
            )
        }
    )
    measured = profiles.model_copy(
        update={"calibrations": (calibration(1.7, SharingMode.STREAMS),)}
    )

    by_default = resolve_contention(profiles, GPU, "streams")
    fitted = resolve_contention(measured, GPU, "streams")

    assert by_default.warnings == fitted.warnings == ()
    assert (fitted.factor, fitted.num_sets) == (1.7, 12)
    mps = SHARING_SHAPES[SharingMode.MPS]
    assert by_default.shape == fitted.shape == replace(mps, probed=None)
    # The one with few busy SMs waits for the other, more than that waits for it.
    kept = RetentionRule(list(profiles.records), by_default, {}).retentions(
        ((0, 1), (1, 1))
    )
    assert kept[0] < kept[1] < 1


@pytest.mark.parametrize(
    ("name", "expected", "told"),
    [
        ("NVIDIA H200", 0.06, "H200 defaults"),
        ("Tesla T4", 0.09, "H200 defaults on Tesla T4: margin widened from 0.06"),
        ("our-gpu", 0.06, "H200 defaults; whether our-gpu is one"),
    ],
)
def test_defaults_of_another_card_are_told_and_have_wider_margins(
    name: str, expected: float, told: str
) -> None:
    gpu_type = GpuType(name=name, memory_bytes=1000 * MIB)
    found = resolve_contention(profiles_of([(10, 20)]), gpu_type, "time_slicing")
    home = resolve_contention(profiles_of([(10, 20)]), GPU, "time_slicing")

    assert found.margin == pytest.approx(expected)
    assert found.basis.startswith(told)
    assert found.factor == DEFAULT_CONTENTION_FACTORS[SharingMode.TIME_SLICING]
    widened = expected / 0.06
    assert found.latency_margin == pytest.approx(widened * home.latency_margin)


def test_a_placement_names_what_its_predictions_rest_on() -> None:
    profiles = profiles_of([(10, 20), (10, 20)])
    mode = SharingMode.TIME_SLICING
    own = profiles.model_copy(update={"calibrations": (calibration(0.7, mode),)})

    by_default = place(profiles, min_retention=0.5)
    calibrated = place(own, min_retention=0.5)

    assert calibrated.predicted_by == {
        GPU.name: "calibrated on this GPU type (12 sets)"
    }
    assert "predicted by: calibrated on this GPU type (12 sets)" in str(calibrated)
    assert "predicted by: H200 defaults" in str(by_default)


def test_a_calibration_of_a_former_law_is_used_with_that_law() -> None:
    profiles = profiles_of([(10, 40), (10, 40)])
    mode = SharingMode.TIME_SLICING
    former = calibration(0.75, mode).model_copy(update={"law": 1})
    own = profiles.model_copy(update={"calibrations": (former,)})

    found = resolve_contention(own, GPU, mode)

    assert found.factor == 0.75
    assert found.margin == 0.06
    assert found.basis == (
        "calibrated on this GPU type (12 sets, by a former law of time_slicing)"
    )
    (warning,) = found.warnings
    assert "`gpupack calibrate` again" in warning
    # A neighbor adds 0.75 · (4 + 1.5) ms, 0.4 of the time.
    kept = RetentionRule(list(own.records), found, {}).retentions(((0, 1), (1, 1)))
    assert kept == pytest.approx([1 / (1 + 0.4 * 0.75 * (4 + 1.5) / 10)] * 2)
    # Requests that arrive have slices that count once with the former default, 0.78.
    assert found.factor_of_arrivals == pytest.approx(0.75 * 1.28)
    today = resolve_contention(profiles, GPU, mode)
    assert today.factor_of_arrivals == pytest.approx(0.78 * 1.28, abs=0.005)


def test_a_file_that_does_not_say_the_law_is_of_the_first() -> None:
    written = calibration(0.75, SharingMode.TIME_SLICING).model_dump(mode="json")
    assert written.pop("law") == LAWS[SharingMode.TIME_SLICING] == 2
    assert Calibration.model_validate(written).law == 1


def test_a_calibration_of_a_law_that_is_not_known_is_left_aside_and_told() -> None:
    profiles = profiles_of([(10, 40), (10, 40)])
    mode = SharingMode.TIME_SLICING
    later = calibration(0.75, mode).model_copy(update={"law": 9})
    own = profiles.model_copy(update={"calibrations": (later,)})

    found = resolve_contention(own, GPU, mode)

    assert found.factor == DEFAULT_CONTENTION_FACTORS[mode]
    assert found.shape == SHARING_SHAPES[mode]
    (warning,) = found.warnings
    assert "a later gpupack" in warning
    assert GPU.name in warning


def test_a_margin_is_kept_but_where_there_is_almost_nothing_to_lose() -> None:
    assert cautious_retention(0.9, margin=0.06) == pytest.approx(0.84)
    assert cautious_retention(0.99, margin=0.06) == pytest.approx(1 - 4 * 0.01)
    assert cautious_retention(1.0, margin=0.06) == 1.0
    assert cautious_retention(0.01, margin=0.06) == 0.0


def test_one_models_wish_leaves_the_others_free() -> None:
    profiles = profiles_of([(10, 60), (10, 60), (10, 60)])
    # Two at 60 % keep 0.7; three keep less.
    picky = place(profiles, min_retention={"model1": 0.95})
    assert picky.num_gpus == 2
    assert picky.min_retention == {"model1": 0.95}
    alone = next(gpu for gpu in picky.gpus if "model1" in gpu.models)
    assert alone.models == ("model1",)


def test_every_assignment_carries_what_it_keeps_beside_its_neighbors() -> None:
    placement = place(profiles_of([(10, 40), (10, 40)]), sharing="time_slicing")
    # 4 ms and 6 ms elsewhere: two slices of 2 ms on average, the last of 1.9 ms. Half a
    # slice and a switch wait before the first, more as the other may have come back
    # meanwhile; before the second a slice and two switches, if it is back: it misses
    # 6 / 2.1 - 1/2 ends of slices.
    first_ms = 0.4 * (1 + 0.6 * 1.9 / 6) * (2 / 2 + 0.2)
    between_ms = 2 / (2 + 6 / 2.1 - 0.5) * (2 + 2 * 0.2)
    kept = 1 / (1 + (first_ms + between_ms) / 10)
    for assignment in placement.gpus[0].assignments:
        assert assignment.predicted_infer_per_sec == pytest.approx(100.0 * kept)
        assert assignment.retention == pytest.approx(kept)
    assert placement.contention_factor == 1.0
    assert placement.sharing_mode is SharingMode.TIME_SLICING


def test_the_other_way_of_sharing_is_told() -> None:
    placement = place(profiles_of([(10, 40), (10, 40)]))
    (other,) = placement.sharing_alternatives
    assert other.sharing_mode is SharingMode.MPS
    # Alike but for the SMs, of which two thirds are taken to be busy without a reading.
    factor = (2 / 3) ** (0.25 + 1.25)
    assert other.mean_retention == pytest.approx(1 / (1 + 0.4 * factor * 0.4))


def test_a_calibration_of_this_gpu_and_way_of_sharing_is_used() -> None:
    profiles = profiles_of([(10, 40), (10, 40)]).model_copy(
        update={
            "calibrations": (
                calibration(2.0, SharingMode.TIME_SLICING),
                calibration(0.5, SharingMode.MPS),
            )
        }
    )
    sliced = place(profiles)
    assert (sliced.contention_factor, sliced.num_calibration_sets) == (2.0, 12)
    assert place(profiles, sharing="mps").contention_factor == 0.5
    assert not any("calibrat" in one for one in sliced.warnings)


@pytest.mark.parametrize(
    ("of_profiles", "of_calibration", "is_used"),
    [
        ("H200", "NVIDIA H200", True),
        ("NVIDIA H200", "H200", True),
        ("A100-80GB", "NVIDIA A100-SXM4-80GB", True),
        ("NVIDIA A100-PCIE-80GB", "NVIDIA A100-SXM4-80GB", True),
        ("A100-80GB", "NVIDIA A100-SXM4-40GB", False),
        ("H100-NVL", "NVIDIA H100 80GB HBM3", False),
        ("A10", "NVIDIA A10G", False),
        ("H200", "NVIDIA H200 MIG 1g.18gb", False),
    ],
)
def test_a_calibration_is_found_under_every_name_of_the_card(
    of_profiles: str, of_calibration: str, is_used: bool
) -> None:
    card = GpuType(name=of_profiles, memory_bytes=find_memory(of_profiles))
    profiles = profiles_of([(10, 40), (10, 40)])
    profiles = profiles.model_copy(
        update={
            "records": tuple(
                one.model_copy(update={"gpu_type": card}) for one in profiles.records
            ),
            "baselines": tuple(
                one.model_copy(update={"gpu_type": card}) for one in profiles.baselines
            ),
            "calibrations": (calibration(2.0, SharingMode.MPS, of_calibration),),
        }
    )

    placement = place(profiles, sharing="mps")

    assert (placement.contention_factor == 2.0) is is_used
    assert any("are calibrated for" in one for one in placement.warnings) != is_used


def find_memory(name: str) -> int:
    sizes = {"H200": 143771, "A100": 81920, "H100": 95830, "A10": 23028}
    return next(mib for part, mib in sizes.items() if part in name) * MIB


def test_the_name_of_the_profiles_takes_precedence() -> None:
    profiles = profiles_of([(10, 40), (10, 40)])
    name = profiles.records[0].gpu_type.name
    profiles = profiles.model_copy(
        update={
            "calibrations": (
                calibration(2.0, SharingMode.MPS, name),
                calibration(3.0, SharingMode.MPS, f"NVIDIA {name}"),
            )
        }
    )

    assert place(profiles, sharing="mps").contention_factor == 2.0


def test_a_calibration_of_another_gpu_is_named_and_not_used() -> None:
    profiles = profiles_of([(10, 40), (10, 40)]).model_copy(
        update={"calibrations": (calibration(2.0, SharingMode.MPS, "NVIDIA L4"),)}
    )
    placement = place(profiles, sharing="mps")
    assert placement.contention_factor == DEFAULT_CONTENTION_FACTORS[SharingMode.MPS]
    assert any("NVIDIA L4" in warning for warning in placement.warnings)


def test_on_the_host_processes_share_fairly() -> None:
    host = GpuType(name="host", memory_bytes=1000 * MIB, kind=DeviceKind.HOST)
    records = [
        make_record(name, gpu_type=host, gpu_utilization_percent=40.0)
        for name in ("first", "second")
    ]
    baseline = make_profiles().baselines[0].model_copy(update={"gpu_type": host})
    placement = place(ProfileSet(records=tuple(records), baselines=(baseline,)))
    assert placement.sharing_mode is None
    assert placement.contention_factor == 1.0


def test_without_readings_nothing_is_predicted_and_nothing_can_be_asked_for() -> None:
    profiles = make_profiles(
        make_record("first", gpu_utilization_percent=None), make_record("second")
    )
    placement = place(profiles)
    assert placement.contention_factor is None
    with pytest.raises(MissingReadingError, match="gpu_utilization"):
        place(profiles, min_retention=0.9)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan"), True, "0.9"])
def test_a_share_that_nobody_can_keep_is_refused(share: object) -> None:
    with pytest.raises(InvalidInputError, match="min_retention is .*at most 1"):
        place(profiles_of([(10, 40)]), min_retention=share)  # type: ignore[arg-type]


def test_unknown_models_and_ways_of_sharing_are_named() -> None:
    with pytest.raises(UnknownNameError, match="'nobody'"):
        place(profiles_of([(10, 40)]), min_retention={"nobody": 0.9})
    with pytest.raises(UnknownNameError, match="time_slicing, mps, streams"):
        place(profiles_of([(10, 40)]), sharing="exclusive")


@settings(max_examples=30, deadline=None)
@example(  # two partitions within 0.006 % of each other
    rows=[(1, 1), (1, 42), (1, 42), (1, 1), (1, 40)],
    num_gpus=3,
    weight=1.0,
    time_limit_s=10.0,
)
@example(  # just fits, which first fit misses: 550 + 450, 400 + 350 + 250
    rows=[(550, 1), (450, 1), (400, 1), (350, 1), (250, 1)],
    num_gpus=2,
    weight=1.0,
    time_limit_s=0.0,
)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 400), st.integers(1, 90)), min_size=1, max_size=6
    ),
    num_gpus=st.integers(1, 3),
    weight=st.sampled_from([0.1, 1.0, 7.0]),
    time_limit_s=st.sampled_from([0.0, 10.0]),
)
def test_the_most_predicted_throughput_is_that_of_the_best_partition(
    rows: list[tuple[int, int]], num_gpus: int, weight: float, time_limit_s: float
) -> None:
    profiles = profiles_of(rows)
    factor = DEFAULT_CONTENTION_FACTORS[SharingMode.TIME_SLICING]
    shape = SHARING_SHAPES[SharingMode.TIME_SLICING]

    def throughput(group: list[int]) -> float:
        records = [profiles.records[item] for item in group]
        kept = predict_retentions(records, contention_factor=factor, shape=shape)
        return 100.0 * sum(
            share * (weight if item == 0 else 1.0)
            for item, share in zip(group, kept, strict=True)
        )

    totals = [
        sum(throughput(group) for group in partition)
        for partition in set_partitions(range(len(rows)))
        if len(partition) <= num_gpus
        and all(sum(rows[i][0] for i in group) <= LIMIT_MIB for group in partition)
    ]
    try:
        placement = place(
            profiles,
            "max_throughput",
            gpus=(GPU, num_gpus),
            contention="predicted",
            weights={"model0": weight},
            time_limit_s=time_limit_s,
        )
    except InfeasibleError:
        assert not totals
        return
    assert placement.objective_value == pytest.approx(max(totals))
    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.num_gpus <= num_gpus


def test_too_few_gpus_for_what_shall_be_kept_name_a_set_that_cannot_be_smaller() -> (
    None
):
    profiles = profiles_of([(10, 60), (10, 60), (10, 60), (10, 1)])

    with pytest.raises(InfeasibleError) as caught:
        place(profiles, gpus=(GPU, 2), min_retention=0.8)

    # Each of the busy ones needs a GPU of its own; any two of them have one.
    assert caught.value.model_names == ("model0", "model1", "model2")
    assert caught.value.limits == ("min_retention 0.8", f"2 {GPU.name} GPUs")
    assert place(profiles, gpus=(GPU, 3), min_retention=0.8).num_gpus == 3


def test_a_model_that_may_lose_anything_can_be_part_of_a_clash() -> None:
    profiles = profiles_of([(10, 60), (10, 60)])

    with pytest.raises(InfeasibleError) as caught:
        place(profiles, gpus=(GPU, 1), min_retention={"model0": 0.8})

    assert caught.value.model_names == ("model0", "model1")
    assert caught.value.limits == ("min_retention 0.8", f"1 {GPU.name} GPU")


def test_what_takes_part_of_its_traffic_keeps_it_and_costs_its_neighbours_less() -> (
    None
):
    profiles = profiles_of([(10, 60), (10, 60)])

    def kept(demand: float) -> dict[str, float | None]:
        placement = place(
            profiles,
            gpus=(GPU, 1),
            demand={"model0": demand},
            headroom={"memory": 1.0},
        )
        (gpu,) = placement.gpus
        return {one.model_name: one.retention for one in gpu.assignments}

    idle, little, full = kept(0.0), kept(20.0), kept(100.0)

    assert idle == {"model0": 1.0, "model1": 1.0}
    assert little["model0"] == 1.0
    assert full["model1"] < little["model1"] < 1.0
    alone = place(profiles, gpus=(GPU, 1)).gpus[0].assignments
    assert full == {one.model_name: one.retention for one in alone}


def test_maximizing_what_is_predicted_needs_a_counted_fleet() -> None:
    with pytest.raises(InvalidInputError, match="counted"):
        place(profiles_of([(10, 40)]), "max_throughput", contention="predicted")
    with pytest.raises(InvalidInputError, match="max_throughput"):
        place(profiles_of([(10, 40)]), contention="predicted")
    with pytest.raises(UnknownNameError, match="plain, predicted"):
        place(profiles_of([(10, 40)]), contention="guessed")


def test_explain_says_what_mps_would_save() -> None:
    placement = place(profiles_of([(10, 10)] * 3), min_retention=0.972)
    # 0.972 and a loss that stays below 0.028 four times over must be predicted. Two at
    # 10 %, 1 ms, taking turns wait (1 + 0.9 · 1 / 9) · (1 / 2 + 0.2) · 0.1 ms and keep
    # 0.992, which is too little. Through MPS, with a factor of (2 / 3) ** 1.5 = 0.544,
    # it is 1 / (1 + 0.1 · 0.544 · 0.1) = 0.9946: enough for two, not for three, which
    # wait twice as long.
    assert placement.num_gpus == 3
    (note,) = [one for one in placement.explain().notes if "mps" in one]
    assert "would take 2 GPUs, not 3" in note


def test_explain_says_what_mps_would_save_where_there_is_a_demand() -> None:
    profiles = profiles_of([(10, 50), (10, 50)])
    placement = place(
        profiles, demand={"model0": 85.0, "model1": 85.0}, min_retention=0.9
    )
    # A neighbor asked for 85/s has 0.425 requests at the GPU, 5 ms in three slices, the
    # last of 0.8 ms, and is elsewhere for 6.76 ms. Taking turns the other waits
    # 0.425 · (1 + 0.575 · 0.8 / 6.76) · (1.67 / 2 + 0.2) ms and
    # 2 · 3 / (3 + 6.76 / 2.1 - 0.5) · (1.67 + 0.4) ms, 2.64 in all, and reaches 79/s,
    # less the margin 73: less than 0.9 of 85. Through MPS it is
    # 1 / (10 + 0.544 · 5 · 0.425) = 89.6/s, less 11.3, which is enough.
    assert placement.num_gpus == 2
    (change,) = [
        one for one in placement.explain().changes if one.kind is ChangeKind.SHARING
    ]
    assert change.change == "GPUs shared through mps"
    assert change.value == 1


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 600), st.integers(5, 45), st.integers(5, 90)),
        min_size=2,
        max_size=4,
    ),
    share=st.sampled_from([0.7, 0.85, 0.95]),
)
def test_with_load_points_to_choose_the_fewest_gpus_keep_what_was_asked(
    rows: list[tuple[int, int, int]], share: float
) -> None:
    choices = [
        [
            make_record(
                f"model{index}",
                load_point=LoadPoint.parse(point),
                gpu_memory_used_bytes=memory_mib * MIB,
                gpu_utilization_percent=float(busy),
            )
            for point, busy in (("1x1", light), ("8x1", heavy))
        ]
        for index, (memory_mib, light, heavy) in enumerate(rows)
    ]
    profiles = make_profiles(*(one for of_model in choices for one in of_model))
    mode = SharingMode.TIME_SLICING
    factor, shape = DEFAULT_CONTENTION_FACTORS[mode], SHARING_SHAPES[mode]
    margin = MARGINS[mode]

    def keeps(group: list[int], chosen: tuple[ProfileRecord, ...]) -> bool:
        records = [chosen[item] for item in group]
        kept = predict_retentions(records, contention_factor=factor, shape=shape)
        memory = sum(rows[item][0] for item in group)
        return memory <= LIMIT_MIB and cautious_retention(min(kept), margin) >= share

    fewest = min(
        len(partition)
        for chosen in product(*choices)
        for partition in set_partitions(range(len(rows)))
        if all(keeps(group, chosen) for group in partition)
    )

    placement = place(profiles, min_retention=share)

    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.num_gpus == fewest
    assert placement.min_retention == {f"model{i}": share for i in range(len(rows))}


def test_replicas_that_meet_a_demand_keep_what_was_asked_at_their_load_point() -> None:
    # Two replicas of 60 % each fit a GPU's time only in part, but beside each other
    # they would lose: each gets a GPU of its own.
    profiles = make_profiles(
        make_record(
            "a",
            throughput_infer_per_sec=100.0,
            gpu_utilization_percent=60.0,
            memory_utilization_percent=0.0,
        )
    )

    together = place(profiles, demand={"a": 160.0})
    apart = place(profiles, demand={"a": 160.0}, min_retention=0.95)

    assert (together.num_gpus, apart.num_gpus) == (1, 2)


def test_a_demand_is_kept_beside_neighbors_who_take_no_more_than_theirs() -> None:
    profiles = profiles_of([(10, 60), (10, 60)])

    def num_gpus(demand: float) -> int:
        return place(
            profiles,
            demand={"model0": demand, "model1": demand},
            headroom={"memory": 1.0},
            min_retention=0.9,
        ).num_gpus

    # Of 100 requests/s, each 6 ms at the GPU and 4 ms elsewhere. A neighbor asked for
    # 20/s has 0.12 requests there: beside it the other reaches, if driven,
    # 1 / (4 + 6 + 0.78 · 7.5 · 0.12) = 93 /s, far more than the 20 it is asked for. One
    # asked for 95/s has 0.57: 75 /s, and that less the margin is not 0.9 · 95.
    assert num_gpus(20.0) == 1
    assert num_gpus(95.0) == 2
    assert place(profiles, headroom={"memory": 1.0}, min_retention=0.9).num_gpus == 2


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 600),
            st.integers(5, 90),
            st.integers(0, 100),
            st.sampled_from(["1x1", "1x3"]),
        ),
        min_size=1,
        max_size=5,
    ),
    share=st.sampled_from([0.8, 0.95, 1.0]),
    sharing=st.sampled_from(["time_slicing", "mps"]),
)
def test_demands_are_kept_on_the_fewest_gpus_over_all_partitions(
    rows: list[tuple[int, int, int, str]], share: float, sharing: str
) -> None:
    profiles = make_profiles(
        *(
            make_record(
                f"model{index}",
                load_point=LoadPoint.parse(point),
                num_model_instances=3,
                gpu_memory_used_bytes=memory_mib * MIB,
                gpu_utilization_percent=float(busy),
                throughput_infer_per_sec=100.0,
            )
            for index, (memory_mib, busy, _, point) in enumerate(rows)
        )
    )
    mode = SharingMode(sharing)
    network = {
        "contention_factor": DEFAULT_CONTENTION_FACTORS[mode],
        "shape": SHARING_SHAPES[mode],
    }

    def as_neighbor(item: int) -> ProfileRecord:
        # As if measured at its traffic: every request takes what it took.
        traffic, record = rows[item][2], profiles.records[item]
        return record.model_copy(
            update={
                "throughput_infer_per_sec": float(traffic),
                "gpu_utilization_percent": rows[item][1] * traffic / 100,
                "gpu_utilization_mean_percent": None,
            }
        )

    def keeps(group: list[int]) -> bool:
        if sum(rows[item][0] for item in group) > LIMIT_MIB:
            return False
        for item in group if len(group) > 1 else []:
            others = [as_neighbor(j) for j in group if j != item and rows[j][2] > 0]
            limit = predict_retentions([profiles.records[item], *others], **network)[0]
            traffic = rows[item][2] / 100
            sure = cautious_retention(limit, MARGINS[mode])
            if traffic and min(1.0, sure / traffic) < share:
                return False
        return True

    expected = min(
        len(partition)
        for partition in set_partitions(range(len(rows)))
        if all(keeps(group) for group in partition)
    )

    placement = place(
        profiles,
        demand={f"model{i}": float(row[2]) for i, row in enumerate(rows)},
        headroom={"memory": 1.0},
        min_retention=share,
        sharing=sharing,
    )

    assert placement.num_gpus == expected
    assert placement.status is PlacementStatus.OPTIMAL


def test_a_clash_names_what_models_shall_keep() -> None:
    profiles = make_profiles(
        *(
            make_record(
                name,
                load_point=LoadPoint.parse(point),
                gpu_utilization_percent=60.0,
                gpu_memory_used_bytes=100 * MIB,
            )
            for name in ("a", "b")
            for point in ("1x1", "2x1")
        )
    )

    with pytest.raises(InfeasibleError) as caught:
        place(profiles, gpus={GPU.name: 1}, min_retention={"a": 0.99})

    assert caught.value.model_names == ("a", "b")
    assert "min_retention of 'a' 0.99" in caught.value.limits


def test_a_crowd_of_replicas_is_predicted_as_one_class() -> None:
    record = make_record(gpu_memory_used_bytes=1 * MIB, gpu_utilization_percent=0.01)
    contention = resolve_contention(make_profiles(record), GPU, None)
    asked: list[int] = []

    def counting(classes: Sequence[CustomerClass], **network: Any) -> tuple[float, ...]:
        asked.append(len(classes))
        return rates(classes, **network)

    with mock.patch("gpupack.planning.contention.network.rates", counting):
        (kept,) = retentions_of(
            [SharedGpu(GPU, (record,) * 1600, (1.0,) * 1600)], contention
        )

    assert asked == [1]
    assert kept is not None
    assert len(kept) == 1600
    assert len(set(kept)) == 1
    # At 0.01 % each, 1,600 of them take 16 % of the GPU's time; each is delayed by a
    # queue of about 0.16 / (1 - 0.16) at most, for 0.01 % of its time, and a slice.
    assert 0.99 < kept[0] < 1.0


def test_equal_gpus_are_predicted_once() -> None:
    record = make_record(gpu_memory_used_bytes=400 * MIB, gpu_utilization_percent=5.0)
    contended: list[int] = []

    def counting(records: Sequence[ProfileRecord], **given: Any) -> tuple[float, ...]:
        contended.append(len(records))
        return predict_retentions(records, **given)

    with mock.patch("gpupack.planning.solving.check.predict_retentions", counting):
        placement = place(make_profiles(record), replicas=60, min_retention=0.5)

    assert placement.num_gpus == 30
    assert contended == [2]


@pytest.mark.parametrize("mode", [SharingMode.TIME_SLICING, SharingMode.MPS])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_many_sets_keep_what_each_keeps_by_itself(mode: SharingMode, seed: int) -> None:
    rng = random.Random(seed)
    records = [
        make_record(
            f"model{index}",
            load_point=LoadPoint(batch_size=1, concurrency=rng.choice([1, 1, 4])),
            num_model_instances=rng.choice([1, 2]),
            throughput_infer_per_sec=rng.uniform(10, 500),
            gpu_utilization_percent=rng.uniform(1, 100),
        )
        for index in range(8)
    ]
    loads = [rng.choice([0.0, 1.0, rng.random()]) for _ in records]
    contention = resolve_contention(ProfileSet(records=tuple(records)), GPU, mode)
    sets = [
        tuple(
            (item, rng.choice([1, 1, 2]))
            for item in sorted(rng.sample(range(8), rng.choice([1, 2, 3, 5])))
        )
        for _ in range(60)
    ]

    together = RetentionRule(records, contention, {}, loads=loads)
    alone = RetentionRule(records, contention, {}, loads=loads)

    for found, counts in zip(together.retentions_of_each(sets), sets, strict=True):
        assert found == pytest.approx(alone.retentions(counts), rel=1e-12)


def test_equal_gpus_of_thousands_are_solved_once_and_together() -> None:
    pair = tuple(make_record(name, gpu_utilization_percent=60.0) for name in ("a", "b"))
    contention = resolve_contention(
        ProfileSet(records=pair), GPU, SharingMode.TIME_SLICING
    )
    gpus = [SharedGpu(GPU, pair, (1.0, 1 / (1 + n % 3))) for n in range(3000)]
    asked: list[int] = []

    def counting(gpus: Sequence[Neighbors], **given: Any) -> list[tuple[float, ...]]:
        asked.append(len(gpus))
        return limits_of_each(gpus, **given)

    with mock.patch("gpupack.planning.contention.retention.limits_of_each", counting):
        found = retentions_of(gpus, contention)

    assert asked == [3]
    assert found[:3] * 1000 == found
    assert len(set(found)) == 3
