"""From readings to the integers that the packing engine works with.

Sizes round up and capacities down, once, here. Memory is counted in bytes and never
exceeded, utilizations in billionths of a percent and up to ``READING_TOLERANCE``;
decimals are taken as written (80 % of 16 GiB is what a person computes, not what binary
fractions make of it).
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import MissingReadingError
from gpupack.planning.request import is_unknown
from gpupack.quoting import listed, quoted_all
from gpupack.records.gpu import GpuType, Headroom, Resource
from gpupack.spelling import flag_of, setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord, ServerBaseline

READING_TOLERANCE = Fraction(1, 10**7)
"""By what share of its limit a sum of utilizations may exceed it, and a sum of
throughputs fall short of a demand.

Readings are decimals of limited precision: three models of 33.333333333333336 % are
three thirds of a GPU. NVML reports whole percents, so that nothing measured is lost;
and it is a tenth of the one in a million to which traffic is shared out, so that what
is served does not show it."""
_UNITS_PER_PERCENT = 10**9
"""So fine that thousands of sizes rounded up stay within the tolerance."""
READING_FIELDS = {
    Resource.MEMORY: "gpu_memory_used_bytes",
    Resource.GPU_UTILIZATION: "gpu_utilization_percent",
    Resource.MEMORY_UTILIZATION: "memory_utilization_percent",
    Resource.SM_UTILIZATION: "sm_utilization_percent",
}
"""What a record calls its reading of a resource, in bytes or percent."""


def reading(record: ProfileRecord, resource: Resource) -> float | None:
    """Return what a record measured of a resource: bytes or percent."""
    value: float | None = getattr(record, READING_FIELDS[resource])
    return value


def require_readings(records: Sequence[ProfileRecord], headroom: Headroom) -> None:
    """Check that every record has every binding resource.

    Raises:
        MissingReadingError: Naming models, field, the reason the records give, and how
            to let only what was measured bind.
    """
    for resource, _ in headroom:
        field = READING_FIELDS[resource]
        lacking = [record for record in records if getattr(record, field) is None]
        if lacking:
            names = quoted_all(list(dict.fromkeys(one.model_name for one in lacking)))
            raise MissingReadingError(
                f"{resource.value} binds, but {field} is missing for {names}: "
                f"{lacking[0].missing.get(field, 'not measured')}; "
                + _bind_what_is_known(records, headroom)
            )


def _bind_what_is_known(records: Sequence[ProfileRecord], headroom: Headroom) -> str:
    """Return how to ask that only what every record has binds."""
    known = {
        resource.value: share
        for resource, share in headroom
        if all(reading(one, resource) is not None for one in records)
    }
    if not known:
        return f"or name what binds without it in {setting('headroom')}"
    flags = [f"{name}={share:g}" for name, share in known.items()]
    way = setting("headroom", known, shell=f" {flag_of('headroom')} ".join(flags))
    return f"or let what was measured of every model bind alone: {way}"


def server_memory_bytes(profiles: ProfileSet, measured_on: GpuType) -> int | None:
    """Return what the server alone takes on this GPU type, None if not measured."""
    baseline: ServerBaseline | None = profiles.baseline(measured_on.name)
    return None if baseline is None else baseline.gpu_memory_used_bytes


def server_is_in_models(
    profiles: ProfileSet, measured_on: GpuType | None = None
) -> str:
    """Return what is assumed where the server's own memory was not measured.

    What a model was measured to take includes the server. Taken as the model's own, it
    is counted once for every model on a GPU and not once in all: never too little.

    Args:
        profiles: That lack it.
        measured_on: The GPU type of which they do; None for any.
    """
    sources = dict.fromkeys(
        one.environment.source
        for one in profiles.records
        if measured_on is None or one.gpu_type.name == measured_on.name
    )
    where = listed(list(sources)) or "the profiles"
    on = "" if measured_on is None or is_unknown(measured_on) else measured_on.name
    return (
        f"what the server takes without a model{f' on {on}' if on else ''} was not "
        f"measured (not in {where}), so every model's memory counts in full, which is "
        "safe and may take a GPU more; to plan with it, add a row with an empty model "
        "name to a table, metrics-server-only.csv beside Model Analyzer's other "
        "tables, or let gpupack profile measure it first"
    )


def model_memory_bytes(record: ProfileRecord, baseline_bytes: int) -> int:
    """Return a model's own memory: what was measured less the server's, ≥ 0."""
    return max(0, (record.gpu_memory_used_bytes or 0) - baseline_bytes)


def model_memories(records: Sequence[ProfileRecord], baseline_bytes: int) -> list[int]:
    """Return the own memory of each model."""
    return [model_memory_bytes(one, baseline_bytes) for one in records]


def item_sizes(
    records: Sequence[ProfileRecord],
    resources: Sequence[Resource],
    baseline_bytes: int,
) -> list[tuple[int, ...]]:
    """Return each record's size in every binding resource, in their integers."""
    return [
        tuple([item_size(record, resource, baseline_bytes) for resource in resources])
        for record in records
    ]


def item_size(record: ProfileRecord, resource: Resource, baseline_bytes: int) -> int:
    """Return a record's size in a binding resource, in the resource's integers."""
    if resource is Resource.MEMORY:
        return model_memory_bytes(record, baseline_bytes)
    return percent_to_units_up(reading(record, resource) or 0.0)


def evening_loads(
    records: Sequence[ProfileRecord], baseline_bytes: int
) -> list[tuple[int, ...]]:
    """Return what shall be evened out: known utilizations, or else memory."""
    known: list[Resource] = [
        resource
        for resource in Resource
        if resource is not Resource.MEMORY
        and all(reading(record, resource) is not None for record in records)
    ] or [Resource.MEMORY]
    return [
        tuple(item_size(record, resource, baseline_bytes) for resource in known)
        for record in records
    ]


def percent_to_units_up(percent: float) -> int:
    """Return a percentage in billionths of a percent, rounded up."""
    return math.ceil(Decimal(repr(percent)) * _UNITS_PER_PERCENT)


def limit_of(gpu_type: GpuType, headroom: Headroom, resource: Resource) -> int:
    """Return what a whole GPU may be used up to, in the resource's integers.

    That is what the headroom allows and, of utilizations, the tolerance of readings.
    """
    limit = exact_limit(gpu_type, headroom, resource)
    if resource is not Resource.MEMORY:
        limit *= (1 + READING_TOLERANCE) * _UNITS_PER_PERCENT
    return math.floor(limit)


def exact_limit(gpu_type: GpuType, headroom: Headroom, resource: Resource) -> Fraction:
    """Return what the headroom allows of a whole GPU: bytes or percent."""
    share = headroom.share(resource)
    if share is None:
        raise ValueError(f"{resource} does not bind")
    whole = gpu_type.known_memory_bytes() if resource is Resource.MEMORY else 100
    return Fraction(repr(share)) * whole


def capacity_for(
    sizes: Iterable[int],
    gpu_type: GpuType,
    headroom: Headroom,
    resource: Resource,
    baseline_bytes: int,
) -> int:
    """Return what a GPU offers to items of these sizes, in the resource's integers.

    The tolerance of readings is in it only where some sum of the sizes might need it:
    whole percents are planned with as they are.

    Args:
        sizes: In the resource's integers.
        gpu_type: The type of the GPU.
        headroom: Says what may be used of it.
        resource: One that binds.
        baseline_bytes: What the server alone takes of its memory.

    Returns:
        At least 0.
    """
    limit = limit_of(gpu_type, headroom, resource)
    if resource is Resource.MEMORY:
        return max(0, limit - baseline_bytes)
    exact = exact_limit(gpu_type, headroom, resource)
    exact_units = math.floor(exact * _UNITS_PER_PERCENT)
    step = math.gcd(*sizes)
    is_needed = step > 0 and limit // step * step > exact_units
    return limit if is_needed else exact_units


def to_reading_unit(resource: Resource, units: int) -> float:
    """Return an integer of the packing engine as bytes or percent."""
    return units if resource is Resource.MEMORY else units / _UNITS_PER_PERCENT
