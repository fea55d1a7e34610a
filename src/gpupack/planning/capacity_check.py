"""An independent check of a placement with choices: from the readings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.planning.contention import predict_retentions
from gpupack.planning.sizes import (
    READING_TOLERANCE,
    exact_limit,
    model_memory_bytes,
    reading,
)
from gpupack.records.gpu import Resource
from gpupack.records.placement import Objective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.retention import Contention
    from gpupack.planning.supply import Supply
    from gpupack.planning.wishes import Wishes
    from gpupack.records.placement import Assignment, GpuPlacement, PlacementRecord
    from gpupack.records.profile import ProfileRecord

TOLERANCE = 1e-5
"""Traffic is shared out in floating point and written in millionths of infer/sec."""
FLOAT_TOLERANCE = 1e-12
"""By what sums of readings err in floating point."""


def check_capacity_placement(
    placement: PlacementRecord, supplies: Sequence[Supply], wishes: Wishes
) -> None:
    """Check what runs against what was measured and asked for.

    Raises:
        CheckError: Naming the GPU or model that is wrong.
    """
    supply_by_name = {supply.gpu_type.name: supply for supply in supplies}
    instances: Counter[str] = Counter()
    served: Counter[str] = Counter()
    binding = [resource for resource, _ in placement.headroom]
    limits = {
        (supply.gpu_type.name, resource): float(
            exact_limit(supply.gpu_type, placement.headroom, resource)
        )
        for supply in supplies
        for resource in binding
    }
    for gpu in placement.gpus:
        supply = supply_by_name[gpu.gpu_type.name]
        totals: dict[Resource, float] = dict.fromkeys(Resource, 0.0)
        totals[Resource.MEMORY] = supply.baseline_bytes
        _check_variants(gpu)
        slack = FLOAT_TOLERANCE
        for assignment in gpu.assignments:
            record = _record_of(supply, assignment, gpu.gpu_index)
            load = _load(assignment, record)
            if assignment.model_name in wishes.demand:
                traffic = assignment.served_infer_per_sec or 0.0
                if load > 1 + TOLERANCE:
                    raise CheckError(
                        f"GPU {gpu.gpu_index}: {assignment.model_name!r} serves "
                        f"{traffic}, more than {record.throughput_infer_per_sec}"
                    )
                served[assignment.model_name] += traffic  # type: ignore[assignment]
            instances[assignment.model_name] += 1
            totals[Resource.MEMORY] += model_memory_bytes(record, supply.baseline_bytes)
            for resource in binding:
                if resource is not Resource.MEMORY:
                    totals[resource] += (reading(record, resource) or 0.0) * load
            if assignment.served_infer_per_sec is not None:
                slack = TOLERANCE
        for resource in binding:
            limit = limits[gpu.gpu_type.name, resource]
            if resource is not Resource.MEMORY:
                limit *= (1 + float(READING_TOLERANCE)) * (1 + slack)
            if totals[resource] > limit:
                raise CheckError(
                    f"GPU {gpu.gpu_index} uses {totals[resource]} of {resource.value}, "
                    f"more than {placement.headroom.share(resource)} of it"
                )
    _check_counts(placement, supplies)
    _check_models(placement, supplies, wishes, instances, served)


def check_retention(
    placement: PlacementRecord,
    supplies: Sequence[Supply],
    contentions: Sequence[Contention],
) -> None:
    """Check what models are predicted to keep against what was asked for.

    Args:
        placement: Says what was asked for.
        supplies: What the placement was chosen from.
        contentions: Of each supply.

    Raises:
        CheckError: Naming the GPU and the model that would keep less.
    """
    if not placement.min_retention:
        return
    by_name = {
        supply.gpu_type.name: (supply, contention)
        for supply, contention in zip(supplies, contentions, strict=True)
    }
    for gpu in placement.gpus:
        supply, contention = by_name[gpu.gpu_type.name]
        records = [_record_of(supply, one, gpu.gpu_index) for one in gpu.assignments]
        kept = predict_retentions(
            records,
            contention_factor=contention.factor,
            shape=contention.shape,
            loads=[_load(*pair) for pair in zip(gpu.assignments, records, strict=True)],
        )
        for record, share in zip(records, kept, strict=True):
            asked = placement.min_retention.get(record.model_name, 0.0)
            if share < asked - TOLERANCE:
                raise CheckError(
                    f"GPU {gpu.gpu_index}: {record.model_name!r} keeps {share} of its "
                    f"throughput, less than {asked}"
                )


def _load(assignment: Assignment, record: ProfileRecord) -> float:
    """Return traffic ÷ throughput as measured, 1 for what takes what it can."""
    if assignment.served_infer_per_sec is None:
        return 1.0
    return assignment.served_infer_per_sec / (record.throughput_infer_per_sec or 1.0)


def _record_of(supply: Supply, assignment: Assignment, gpu_index: int) -> ProfileRecord:
    for record in supply.records.get(assignment.model_name, ()):
        if record.load_point == assignment.load_point:
            return record
    raise CheckError(
        f"GPU {gpu_index}: {assignment.model_name!r} at {assignment.load_point} was "
        f"not to run on {supply.gpu_type.name}"
    )


def _check_variants(gpu: GpuPlacement) -> None:
    variants: dict[str, object] = {}
    for one in gpu.assignments:
        variant = one.load_point.variant
        if variants.setdefault(one.model_name, variant) != variant:
            raise CheckError(
                f"GPU {gpu.gpu_index}: {one.model_name!r} is there as "
                f"{variants[one.model_name]} and as {variant}, but a server has one "
                "configuration of a model"
            )


def _check_counts(placement: PlacementRecord, supplies: Sequence[Supply]) -> None:
    used = Counter(gpu.gpu_type.name for gpu in placement.gpus)
    for supply in supplies:
        limit = supply.entry.num_gpus
        if limit is not None and used[supply.gpu_type.name] > limit:
            raise CheckError(
                f"{used[supply.gpu_type.name]} GPUs of type {supply.gpu_type.name}, of "
                f"which there are {limit}"
            )
    if placement.num_gpus != len(placement.gpus):
        raise CheckError(f"num_gpus is {placement.num_gpus}, not {len(placement.gpus)}")


def _check_models(
    placement: PlacementRecord,
    supplies: Sequence[Supply],
    wishes: Wishes,
    instances: Counter[str],
    served: Counter[str],
) -> None:
    in_full = placement.objective is not Objective.MAX_THROUGHPUT
    for name in sorted({name for supply in supplies for name in supply.records}):
        asked = wishes.replicas.get(name, 1)
        if name in wishes.optional:
            continue
        if instances[name] < asked or (
            name not in wishes.demand and instances[name] > asked
        ):
            raise CheckError(f"{name!r} has {instances[name]} instances, not {asked}")
        demand = wishes.demand.get(name, 0.0)
        if served[name] > demand * (1 + TOLERANCE) + 1e-3:
            raise CheckError(f"{name!r} serves {served[name]}, more than {demand}")
        if in_full and served[name] < demand * (1 - TOLERANCE) - 1e-3:
            raise CheckError(f"{name!r} serves {served[name]}, less than {demand}")
