"""Placements built by hand, so that the report is tested without the planner."""

from __future__ import annotations

from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom, Resource
from gpupack.records.placement import (
    Assignment,
    GpuPlacement,
    Objective,
    PlacementRecord,
    PlacementStatus,
    ResourceUse,
)
from gpupack.records.profile import LoadPoint, ProfileRecord
from tests.factories import ENVIRONMENT, GPU, MIB

BASELINE_MIB = 50
HOSTILE_NAME = "<script>alert(1)</script>"


def make_assignment(
    model_name: str,
    *,
    memory_mib: int = 100,
    gpu_utilization_percent: float = 10.0,
    load_point: str = "1x1",
    predicted_infer_per_sec: float | None = None,
    served_infer_per_sec: float | None = None,
) -> Assignment:
    """A model that does 100 infer/s alone."""
    return Assignment(
        model_name=model_name,
        load_point=LoadPoint.parse(load_point),
        throughput_infer_per_sec=100.0,
        predicted_infer_per_sec=predicted_infer_per_sec,
        served_infer_per_sec=served_infer_per_sec,
        memory_bytes=memory_mib * MIB,
        gpu_utilization_percent=gpu_utilization_percent,
        memory_utilization_percent=5.0,
    )


def make_placement(
    *gpus: tuple[Assignment, ...],
    headroom: float = 1.0,
    profiles: tuple[ProfileRecord, ...] = (),
    warnings: tuple[str, ...] = (),
    gpu_type: GpuType = GPU,
) -> PlacementRecord:
    """A proved placement of these models, GPU by GPU; memory alone binds."""
    memory = gpu_type.known_memory_bytes()
    return PlacementRecord(
        objective=Objective.MIN_GPUS,
        status=PlacementStatus.OPTIMAL,
        num_gpus=len(gpus),
        objective_value=len(gpus),
        bound=len(gpus),
        gap=0.0,
        method="test",
        seconds=0.5,
        seed=0,
        headroom=Headroom(memory=headroom),
        fleet=Fleet(entries=(FleetEntry(gpu_type=gpu_type),)),
        gpus=tuple(
            GpuPlacement(
                gpu_index=index,
                gpu_type=gpu_type,
                assignments=assignments,
                baseline_memory_bytes=BASELINE_MIB * MIB,
                resources=(
                    ResourceUse(
                        resource=Resource.MEMORY,
                        used=BASELINE_MIB * MIB
                        + sum(one.memory_bytes for one in assignments),
                        capacity=memory,
                        limit=headroom * memory,
                    ),
                    ResourceUse(
                        resource=Resource.GPU_UTILIZATION,
                        used=sum(
                            one.gpu_utilization_percent or 0 for one in assignments
                        ),
                        capacity=100,
                    ),
                ),
            )
            for index, assignments in enumerate(gpus)
        ),
        profiles=profiles,
        warnings=warnings,
    )


def make_sweep(model_name: str) -> tuple[ProfileRecord, ...]:
    """Batch sizes 1 and 4 at concurrency 1, 2 and 4; 4x4 never settled."""
    return tuple(
        ProfileRecord.with_reason(
            "not measured in this test",
            model_name=model_name,
            load_point=LoadPoint(batch_size=batch_size, concurrency=concurrency),
            gpu_type=GPU,
            environment=ENVIRONMENT,
            throughput_infer_per_sec=50.0 * batch_size * concurrency,
            latency_p99_us=20_000.0 * concurrency,
            gpu_memory_used_bytes=(100 + batch_size) * MIB,
            is_stable=(batch_size, concurrency) != (4, 4),
        )
        for batch_size in (1, 4)
        for concurrency in (1, 2, 4)
    )


def make_fleet(num_gpus: int, models_per_gpu: int, num_models: int) -> PlacementRecord:
    """A placement of many GPUs, the models dealt out in turn."""
    return make_placement(
        *(
            tuple(
                make_assignment(
                    f"model_{(gpu * models_per_gpu + place) % num_models:04d}",
                    predicted_infer_per_sec=90.0,
                )
                for place in range(models_per_gpu)
            )
            for gpu in range(num_gpus)
        )
    )
