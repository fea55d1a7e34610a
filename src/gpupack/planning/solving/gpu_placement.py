"""What runs on one GPU and what it takes, as a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.planning.contention import Contention, retentions_or_none
from gpupack.planning.modeling import model_memory_bytes, reading
from gpupack.records.gpu import Resource
from gpupack.records.placement import Assignment, GpuPlacement, ResourceUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.gpu import GpuType, Headroom
    from gpupack.records.profile import ProfileRecord


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """One instance of a model: its record, and the traffic it takes.

    Args:
        record: At the load point it runs with.
        served_infer_per_sec: None without a demand: it takes what the record says.
        is_carried_over: Whether the record is of another GPU type, so that only its
            memory holds here.
    """

    record: ProfileRecord
    served_infer_per_sec: float | None = None
    is_carried_over: bool = False

    @property
    def load_ratio(self) -> float:
        """Traffic ÷ throughput as measured: what it uses of the utilizations."""
        throughput = self.record.throughput_infer_per_sec
        if self.served_infer_per_sec is None or not throughput:
            return 1.0
        return min(1.0, self.served_infer_per_sec / throughput)

    def used(self, resource: Resource) -> float | None:
        """Return what it uses of a utilization, in percent; None if not known."""
        value = None if self.is_carried_over else reading(self.record, resource)
        return None if value is None else value * self.load_ratio


def gpu_placement(
    index: int,
    gpu_type: GpuType,
    instances: Sequence[ModelInstance],
    *,
    baseline_bytes: int,
    headroom: Headroom,
    contention: Contention,
) -> GpuPlacement:
    """Return the record of one GPU.

    What neighbours cost is predicted where every instance was measured on this type.
    """
    kept = _retentions(instances, contention)
    return GpuPlacement(
        gpu_index=index,
        gpu_type=gpu_type,
        assignments=tuple(
            _assignment(instance, share, baseline_bytes)
            for instance, share in zip(instances, kept, strict=True)
        ),
        baseline_memory_bytes=baseline_bytes,
        resources=tuple(
            use
            for resource in Resource
            if (
                use := _resource_use(
                    resource, gpu_type, instances, baseline_bytes, headroom
                )
            )
        ),
    )


def _retentions(
    instances: Sequence[ModelInstance], contention: Contention
) -> Sequence[float | None]:
    """Return what each instance keeps of its traffic, None where that is unknown.

    An instance serves its traffic as long as it could reach that rate beside
    neighbors who take theirs.
    """
    unknown: Sequence[None] = [None] * len(instances)
    if any(one.is_carried_over for one in instances):
        return unknown
    kept = retentions_or_none(
        [one.record for one in instances],
        contention,
        [one.load_ratio for one in instances],
    )
    return kept or unknown


def _assignment(
    instance: ModelInstance, retention: float | None, baseline_bytes: int
) -> Assignment:
    record = instance.record
    throughput = None if instance.is_carried_over else record.throughput_infer_per_sec
    served = instance.served_infer_per_sec
    traffic = throughput if served is None else served
    return Assignment(
        model_name=record.model_name,
        load_point=record.load_point,
        throughput_infer_per_sec=throughput,
        served_infer_per_sec=served,
        predicted_infer_per_sec=(
            None if retention is None or traffic is None else retention * traffic
        ),
        memory_bytes=model_memory_bytes(record, baseline_bytes),
        gpu_utilization_percent=instance.used(Resource.GPU_UTILIZATION),
        memory_utilization_percent=instance.used(Resource.MEMORY_UTILIZATION),
        sm_utilization_percent=instance.used(Resource.SM_UTILIZATION),
    )


def _resource_use(
    resource: Resource,
    gpu_type: GpuType,
    instances: Sequence[ModelInstance],
    baseline_bytes: int,
    headroom: Headroom,
) -> ResourceUse | None:
    """Return the total over instances, None if one lacks the reading."""
    if resource is Resource.MEMORY:
        if any(one.record.gpu_memory_used_bytes is None for one in instances):
            return None
        capacity = float(gpu_type.known_memory_bytes())
        used = float(
            baseline_bytes
            + sum(model_memory_bytes(one.record, baseline_bytes) for one in instances)
        )
    else:
        capacity = 100.0
        parts = [one.used(resource) for one in instances]
        if any(part is None for part in parts):
            return None
        # Decimals as written add up as a person adds them: 23.1 + 56.2 = 79.3.
        used = round(math.fsum(part or 0.0 for part in parts), 6)
    share = headroom.share(resource)
    return ResourceUse(
        resource=resource,
        used=used,
        capacity=capacity,
        limit=None if share is None else round(share * capacity, 6),
    )
