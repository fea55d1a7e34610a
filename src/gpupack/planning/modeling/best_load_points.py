"""The load point at which a model yields most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.planning.modeling.diagnosis import too_large_alone
from gpupack.planning.modeling.sizes import item_size, limit_of
from gpupack.records.gpu import Resource

if TYPE_CHECKING:
    from gpupack.errors import InfeasibleError
    from gpupack.planning.modeling.supply import Supply
    from gpupack.records.gpu import Headroom
    from gpupack.records.profile import ProfileRecord


def best_records(
    supply: Supply, headroom: Headroom
) -> dict[str, tuple[ProfileRecord, ...]] | InfeasibleError:
    """Return, by model name, the one record with the most throughput that fits a GPU.

    Or the error that says which model has no record that does.

    Among equal ones the first by what it takes of each binding resource, then by load
    point. It is the load point of ``max_throughput`` on an unlimited fleet.

    Args:
        supply: With records that have every binding resource.
        headroom: Says what binds.
    """
    chosen: dict[str, tuple[ProfileRecord, ...]] = {}
    for name, records in supply.records.items():
        fitting = [record for record in records if _fits(record, supply, headroom)]
        if not fitting:
            error = too_large_alone(
                records, supply.gpu_type, headroom, supply.baseline_bytes
            )
            if error is not None:
                return error
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
