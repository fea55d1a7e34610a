"""What profiles lack for each objective, before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.planning.modeling.sizes import reading, server_is_in_models
from gpupack.planning.request import BINDING_BY_DEFAULT
from gpupack.quoting import quoted_all
from gpupack.records.gpu import HOST_SHARES, Resource

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord

_PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Readiness:
    """One thing to plan for, and what stands in its way.

    Args:
        goal: In words: an objective, a demand, a latency limit.
        lacking: What is missing, of which models and why; empty if nothing is.
    """

    goal: str
    lacking: tuple[str, ...]


def readiness(profiles: ProfileSet) -> tuple[Readiness, ...]:
    """Return what the profiles can be planned for, and what they lack."""
    records = profiles.records
    throughput = _without(records, "throughput_infer_per_sec")
    goals = []
    for objective, binding in BINDING_BY_DEFAULT.items():
        lacking = _lacking(records, _binding(records, binding))
        if Resource.GPU_UTILIZATION in binding:
            lacking += throughput
        goals.append(Readiness(objective.value, lacking))
    never_busy = tuple(
        one
        for one in records
        if one.gpu_utilization_percent is None
        and one.gpu_utilization_mean_percent is None
    )
    demand = _lacking(records, (Resource.MEMORY,)) + throughput
    demand += _told(never_busy, "gpu_utilization_percent")
    return (
        *goals,
        Readiness("a demand", demand),
        Readiness("a latency limit", _latencies(records)),
        *(
            Readiness(name, _lacking(records, (resource,)))
            for resource, name in HOST_SHARES.items()
        ),
    )


def assumed(profiles: ProfileSet) -> tuple[str, ...]:
    """Return in words what is taken for granted where nothing was measured."""
    if not profiles.records or any(
        one.gpu_memory_used_bytes is not None for one in profiles.baselines
    ):
        return ()
    return (server_is_in_models(profiles),)


def _binding(
    records: tuple[ProfileRecord, ...], resources: tuple[Resource, ...]
) -> tuple[Resource, ...]:
    """Return what binds by default, less a memory utilization that nobody measured."""
    one = Resource.MEMORY_UTILIZATION
    is_known = any(reading(record, one) is not None for record in records)
    return tuple(other for other in resources if other is not one or is_known)


def _lacking(
    records: tuple[ProfileRecord, ...], resources: tuple[Resource, ...]
) -> tuple[str, ...]:
    return tuple(
        text
        for resource in resources
        for text in _told(
            tuple(one for one in records if reading(one, resource) is None),
            resource.reading_name,
        )
    )


def _without(records: tuple[ProfileRecord, ...], field: str) -> tuple[str, ...]:
    return _told(tuple(one for one in records if getattr(one, field) is None), field)


def _told(records: tuple[ProfileRecord, ...], field: str) -> tuple[str, ...]:
    """Return a field with the models that lack it and the first reason; or nothing."""
    if not records:
        return ()
    names = quoted_all(list(dict.fromkeys(one.model_name for one in records)))
    reason = records[0].missing.get(field, "not measured")
    return (f"{field} of {names}: {reason}",)


def _latencies(records: tuple[ProfileRecord, ...]) -> tuple[str, ...]:
    known = [
        percentile
        for percentile in _PERCENTILES
        if all(getattr(one, f"latency_p{percentile}_us") is not None for one in records)
    ]
    if known:
        return ()
    return _without(records, "latency_p99_us")
