"""An independent check of a placement: from the records, in exact fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.planning.sizes import READING_TOLERANCE
from gpupack.records.gpu import Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.gpu import GpuType
    from gpupack.records.placement import PlacementRecord
    from gpupack.records.profile import ProfileRecord


def check_placement(
    placement: PlacementRecord, records: Sequence[ProfileRecord], baseline_bytes: int
) -> None:
    """Check that every record is placed once and no binding resource is exceeded.

    Written apart from the planner: it starts from the readings, not from the
    integers that were packed.

    Raises:
        CheckError: Naming the GPU or model that is wrong.
    """
    placed = Counter(name for gpu in placement.gpus for name in gpu.models)
    expected = Counter(record.model_name for record in records)
    if placed != expected:
        raise CheckError(f"placed {dict(placed)}, expected {dict(expected)}")
    if placement.num_gpus != len(placement.gpus):
        raise CheckError(f"num_gpus is {placement.num_gpus}, not {len(placement.gpus)}")
    gain = placement.objective_value - placement.bound
    if gain > 0 if placement.objective_unit.is_maximized else gain < 0:
        raise CheckError(
            f"the value {placement.objective_value} beats the bound {placement.bound}"
        )
    record_by_name = {record.model_name: record for record in records}
    for gpu in placement.gpus:
        here = [record_by_name[name] for name in gpu.models]
        for resource, share in placement.headroom:
            total = _total(here, resource, baseline_bytes)
            limit = Fraction(repr(share)) * _capacity(gpu.gpu_type, resource)
            if resource is not Resource.MEMORY:
                limit *= 1 + READING_TOLERANCE
            if total > limit:
                raise CheckError(
                    f"GPU {gpu.gpu_index} uses {float(total)} of {resource.value}, "
                    f"more than {float(limit)}"
                )


def _total(
    records: Sequence[ProfileRecord], resource: Resource, baseline_bytes: int
) -> Fraction:
    if resource is Resource.MEMORY:
        own = (record.gpu_memory_used_bytes or 0 for record in records)
        return Fraction(
            baseline_bytes + sum(max(0, used - baseline_bytes) for used in own)
        )
    readings = {
        Resource.GPU_UTILIZATION: [one.gpu_utilization_percent for one in records],
        Resource.MEMORY_UTILIZATION: [
            one.memory_utilization_percent for one in records
        ],
        Resource.SM_UTILIZATION: [one.sm_utilization_percent for one in records],
    }[resource]
    return sum((Fraction(repr(value)) for value in readings), Fraction(0))


def _capacity(gpu_type: GpuType, resource: Resource) -> Fraction:
    if resource is Resource.MEMORY:
        return Fraction(gpu_type.known_memory_bytes())
    return Fraction(100)
