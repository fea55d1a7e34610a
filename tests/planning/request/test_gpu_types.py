"""What records hold for: their own GPU type, the one named, or memory elsewhere."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import InvalidInputError
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import ProfileRecord
from tests.factories import BIG, GPU, MIB, make_baseline, make_load_point

T4 = GpuType(name="T4", memory_bytes=15360 * MIB)
TESLA_T4 = GpuType(name="Tesla T4", memory_bytes=15360 * MIB)


record = partial(
    make_load_point, rate=10.0, memory_busy=10.0, gpu_type=UNKNOWN_GPU_TYPE
)


def profiled(*records: ProfileRecord) -> ProfileSet:
    types = dict.fromkeys(one.gpu_type for one in records)
    return ProfileSet(
        records=records, baselines=tuple(make_baseline(gpu_type=one) for one in types)
    )


def two_load_points(gpu_type: GpuType) -> ProfileSet:
    return profiled(
        *(
            record(name, point, rate=rate, gpu_type=gpu_type)
            for name in ("net", "other")
            for point, rate in (("1x1", 10.0), ("8x4", 100.0))
        )
    )


def test_a_table_without_a_gpu_column_counts_its_throughput_on_the_type_named(
    tmp_path: Path,
) -> None:
    table = tmp_path / "two_load_points.csv"
    table.write_text(
        "model_name,batch_size,concurrency,throughput_infer_per_sec,"
        "gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib\n"
        ",,,,0,0,0\nnet,1,1,10,50,10,1000\nnet,8,4,100,50,10,1000\n"
        "other,1,1,10,50,10,1000\nother,8,4,100,50,10,1000\n"
    )

    placement = gpupack.place(
        gpupack.read_profiles(table), "max_throughput", gpus={"T4": 1}
    )

    # Both at 8x4: 50 % + 50 % of one GPU, 100 + 100 infer/sec.
    (gpu,) = placement.gpus
    assert placement.objective_value == placement.bound == 200
    assert {str(one.load_point) for one in gpu.assignments} == {"8x4"}
    assert gpu.gpu_utilization_percent == 100


def test_the_best_of_optional_models_is_taken_as_if_the_type_had_been_known() -> None:
    items = [(600, 10.0), (500, 30.0), (400, 25.0), (350, 50.0), (300, 35.0), (900, 9)]
    # Every model on one of two GPUs of 1000 MiB, or nowhere.
    best = max(
        sum(rate for (_, rate), place in zip(items, where, strict=True) if place)
        for where in product(range(3), repeat=len(items))
        if all(
            sum(mib for (mib, _), at in zip(items, where, strict=True) if at == gpu)
            <= 1000
            for gpu in (1, 2)
        )
    )
    profiles = profiled(
        *(
            record(f"m{index}", rate=rate, busy=1.0, mib=mib)
            for index, (mib, rate) in enumerate(items)
        )
    )

    placement = gpupack.place(
        profiles, "max_throughput", gpus={GPU: 2}, optional=profiles.model_names
    )

    assert placement.objective_value == placement.bound == best


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"objective": "min_cost", "prices": {"T4": 0.5}},
        {"objective": "max_throughput"},
        {"objective": "max_throughput", "gpus": {"T4": 1}},
        {"demand": {"net": 150.0, "other": 30.0}},
        {"replicas": {"net": 3}},
        {"optional": ["other"], "headroom": {"gpu_utilization": 0.6}},
        {"load_point": "8x4", "min_retention": 0.9},
        {"objective": "max_throughput", "gpus": {"T4": 1}, "contention": "predicted"},
    ],
)
@pytest.mark.parametrize("measured_on", [UNKNOWN_GPU_TYPE, TESLA_T4])
def test_neither_an_unknown_type_nor_another_name_of_the_card_changes_the_answer(
    wishes: dict[str, Any], measured_on: GpuType
) -> None:
    wishes = {"gpus": {"T4": None}} | wishes
    if "contention" in wishes:
        wishes["load_point"] = "8x4"

    told = gpupack.place(two_load_points(T4), **wishes)
    placement = gpupack.place(two_load_points(measured_on), **wishes)

    assert placement.gpus == told.gpus
    assert placement.objective_value == told.objective_value
    assert placement.bound == told.bound
    assert placement.warnings == told.warnings
    assert placement.explain().changes == told.explain().changes
    read = gpupack.explain(placement, two_load_points(measured_on))
    assert read.needs == gpupack.explain(told, two_load_points(T4)).needs


@pytest.mark.parametrize("measured_on", [UNKNOWN_GPU_TYPE, TESLA_T4])
def test_the_frontier_counts_what_is_measured_on_the_type_named(
    measured_on: GpuType,
) -> None:
    told = gpupack.frontier(two_load_points(T4), gpus={"T4": 4}, replicas=3)

    found = gpupack.frontier(two_load_points(measured_on), gpus={"T4": 4}, replicas=3)

    # Six instances at 8x4, of which two fill a GPU: 200 infer/sec each.
    assert [one.throughput_infer_per_sec for one in found.points] == [200, 400, 600]
    assert found.points == told.points


def test_records_of_an_unknown_type_are_of_one_of_several_types_named() -> None:
    profiles = two_load_points(UNKNOWN_GPU_TYPE)
    fleet: dict[str, int | None] = {"T4": 4, "L4": 2}

    placement = gpupack.place(profiles, gpus=fleet)

    assert placement.num_gpus == placement.bound == 1
    assert any("do not say which GPU type" in text for text in placement.warnings)
    assert all(one.throughput_infer_per_sec is None for one in _assignments(placement))
    for wishes in (
        {"objective": "max_throughput"},
        {"demand": {"net": 10.0}},
        {"headroom": {"gpu_utilization": 1.0}},
    ):
        with pytest.raises(InvalidInputError, match='column "gpu"'):
            gpupack.place(profiles, gpus=fleet, **wishes)
        with pytest.raises(InvalidInputError, match='column "gpu"'):
            gpupack.place(profiles, gpus=fleet, carry_memory_over=True, **wishes)
    with pytest.raises(InvalidInputError, match="min_retention"):
        gpupack.place(profiles, gpus=fleet, min_retention=0.9)
    with pytest.raises(InvalidInputError, match='column "gpu"'):
        gpupack.frontier(profiles, gpus=fleet)


def _assignments(placement: gpupack.Placement) -> list[Any]:
    return [one for gpu in placement.gpus for one in gpu.assignments]


def test_records_of_known_and_unknown_types_together_are_of_the_type_named() -> None:
    profiles = profiled(
        record("a", rate=10.0, gpu_type=GPU),
        record("a", rate=99.0),  # at the load point that is known already
        record("b", rate=20.0),
        record("b", rate=30.0, gpu_type=BIG),
    )

    placement = gpupack.place(profiles, "max_throughput", gpus={GPU: 1})

    assert placement.objective_unit == "gpus"
    rates = {one.model_name: one for one in _assignments(placement)}
    assert rates["a"].throughput_infer_per_sec == 10
    assert rates["b"].throughput_infer_per_sec == 20


def test_two_baselines_of_what_would_be_one_type_are_an_error() -> None:
    profiles = ProfileSet(
        records=(record("a", gpu_type=GPU), record("b")),
        baselines=(
            make_baseline(300),
            make_baseline(200, gpu_type=UNKNOWN_GPU_TYPE),
        ),
    )

    with pytest.raises(InvalidInputError, match="baseline"):
        gpupack.place(profiles, gpus=GPU)


@pytest.mark.parametrize(
    "wishes",
    [
        {"objective": "max_throughput"},
        {"demand": {"a": 10.0}},
        {"headroom": {"memory": 1.0, "gpu_utilization": 1.0}},
        {"min_retention": 0.9},
    ],
)
def test_only_memory_carries_over_from_another_known_type(
    wishes: dict[str, Any],
) -> None:
    profiles = profiled(record("a", gpu_type=GPU), record("b", gpu_type=GPU))

    with pytest.raises(InvalidInputError, match="no model was profiled on big-gpu"):
        gpupack.place(profiles, gpus=BIG)
    assert gpupack.place(profiles, gpus=BIG, carry_memory_over=True).num_gpus == 1
    with pytest.raises(InvalidInputError, match="carry over|carries over"):
        gpupack.place(profiles, gpus=BIG, carry_memory_over=True, **wishes)
