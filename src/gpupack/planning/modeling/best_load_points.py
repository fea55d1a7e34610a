"""The load points at which a model yields most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.planning.modeling.diagnosis import too_large_alone
from gpupack.planning.modeling.sizes import item_size, limit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.errors import InfeasibleError
    from gpupack.planning.modeling.supply import Supply
    from gpupack.records.gpu import Headroom
    from gpupack.records.profile import ProfileRecord


def best_records(
    supply: Supply, headroom: Headroom, *, by_sizes: bool = True
) -> dict[str, tuple[ProfileRecord, ...]] | InfeasibleError:
    """Return, by model name, the records with the most throughput that fit a GPU.

    They are the load points of ``max_throughput`` on an unlimited fleet. Which of
    equally fast ones leads to the fewest GPUs depends on the other models.

    Args:
        supply: GPUs of one type, with records that have every binding resource.
        headroom: What binds.
        by_sizes: Whether what records take of the binding resources is all that
            matters: one that takes no less than another of them is then left out, and
            of those that take the same only the first load point stays.

    Returns:
        By load point, at least one of each model; or the error that says which model
        has no record that fits.
    """
    headroom = headroom.binding_on(supply.gpu_type)
    chosen: dict[str, tuple[ProfileRecord, ...]] = {}
    for name, records in supply.records.items():
        fitting = [record for record in records if _fits(record, supply, headroom)]
        if not fitting:
            error = too_large_alone(records, supply.gpu_type, headroom, supply.server)
            if error is not None:
                return error
        most = max(one.throughput_infer_per_sec or 0.0 for one in fitting)
        fastest = sorted(
            (one for one in fitting if (one.throughput_infer_per_sec or 0.0) == most),
            key=lambda record: record.load_point.sort_key,
        )
        chosen[name] = tuple(
            _undominated(fastest, supply, headroom) if by_sizes else fastest
        )
    return chosen


def _undominated(
    records: Sequence[ProfileRecord], supply: Supply, headroom: Headroom
) -> list[ProfileRecord]:
    """Return records without those that take no less than another of everything."""
    sizes = [_sizes(record, supply, headroom) for record in records]

    def is_beaten_by(index: int, other: int) -> bool:
        return (
            all(a <= b for a, b in zip(sizes[other], sizes[index], strict=True))
            and other != index
            and (sizes[other] != sizes[index] or other < index)
        )

    every = range(len(records))
    return [
        record
        for index, record in enumerate(records)
        if not any(is_beaten_by(index, other) for other in every)
    ]


def _sizes(
    record: ProfileRecord, supply: Supply, headroom: Headroom
) -> tuple[int, ...]:
    return tuple(item_size(record, resource, supply.server) for resource, _ in headroom)


def _fits(record: ProfileRecord, supply: Supply, headroom: Headroom) -> bool:
    limits = [
        limit_of(supply.gpu_type, headroom, resource) - supply.server.of(resource)
        for resource, _ in headroom
    ]
    return all(
        size <= limit
        for size, limit in zip(_sizes(record, supply, headroom), limits, strict=True)
    )
