"""The load point at which a model yields most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.planning.modeling.diagnosis import require_each_fits_alone
from gpupack.planning.modeling.sizes import item_size, limit_of, require_readings
from gpupack.records.gpu import Resource

if TYPE_CHECKING:
    from gpupack.planning.modeling.supply import Supply
    from gpupack.records.gpu import Headroom
    from gpupack.records.profile import ProfileRecord


def best_records(
    supply: Supply, headroom: Headroom
) -> dict[str, tuple[ProfileRecord, ...]]:
    """Return, by model name, the one record with the most throughput that fits a GPU.

    Among equal ones the first by what it takes of each binding resource, then by load
    point. It is the load point of ``max_throughput`` on an unlimited fleet.

    Raises:
        InfeasibleError: If none of a model's records fits on a GPU of its own.
        MissingReadingError: If a binding resource was not measured.
    """
    chosen: dict[str, tuple[ProfileRecord, ...]] = {}
    binding = [resource for resource, _ in headroom]
    for name, records in supply.records.items():
        require_readings(records, binding)
        fitting = [record for record in records if _fits(record, supply, headroom)]
        if not fitting:
            require_each_fits_alone(
                records, supply.gpu_type, headroom, supply.baseline_bytes
            )
        chosen[name] = (
            min(
                fitting,
                key=lambda record: (
                    -(record.throughput_infer_per_sec or 0.0),
                    _sizes(record, supply, headroom),
                    record.load_point.sort_key,
                ),
            ),
        )
    return chosen


def _sizes(
    record: ProfileRecord, supply: Supply, headroom: Headroom
) -> tuple[int, ...]:
    return tuple(
        item_size(record, resource, supply.baseline_bytes) for resource, _ in headroom
    )


def _fits(record: ProfileRecord, supply: Supply, headroom: Headroom) -> bool:
    limits = [
        limit_of(supply.gpu_type, headroom, resource)
        - (supply.baseline_bytes if resource is Resource.MEMORY else 0)
        for resource, _ in headroom
    ]
    return all(
        size <= limit
        for size, limit in zip(_sizes(record, supply, headroom), limits, strict=True)
    )
