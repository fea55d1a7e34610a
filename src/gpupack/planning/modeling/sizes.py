"""From readings to the integers that the packing engine works with.

Sizes round up and capacities down, once, here. Memory is counted in bytes and never
exceeded, utilizations and cores in billionths and up to ``READING_TOLERANCE``; decimals
are taken as written (80 % of 16 GiB is what a person computes, not what binary
fractions make of it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import MissingReadingError
from gpupack.planning.composing import SharedMemory, SharedRoom
from gpupack.planning.request import is_unknown
from gpupack.quoting import listed, quoted_all
from gpupack.records.gpu import HOST_SHARES, Resource, ResourceUnit
from gpupack.spelling import flag_of, setting

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import GpuType, Headroom
    from gpupack.records.profile import ProfileRecord, ServerBaseline

READING_TOLERANCE = Fraction(1, 10**7)
"""By what share of its limit a sum of utilizations may exceed it, and a sum of
throughputs fall short of a demand.

Readings are decimals of limited precision: three models of 33.333333333333336 % are
three thirds of a GPU. NVML reports whole percents, so that nothing measured is lost;
and it is a tenth of the one in a million to which traffic is shared out, so that what
is served does not show it."""
_PARTS = 10**9
"""Of a percent, or of a core, that sizes are counted in: so fine that thousands of them
rounded up stay within the tolerance."""


@dataclass(frozen=True)
class ServerNeeds:
    """What a GPU's server holds with no model loaded.

    Args:
        held: Bytes by resource; nothing of those that are not there.
    """

    held: Mapping[Resource, int] = field(default_factory=dict)

    def of(self, resource: Resource) -> int:
        """Return what it holds of a resource, in bytes; 0 of what nobody holds."""
        return self.held.get(resource, 0)


def reading(record: ProfileRecord, resource: Resource) -> float | None:
    """Return what a record measured of a resource, in the resource's unit."""
    value: float | None = getattr(record, resource.reading_name)
    return value


def require_readings(records: Sequence[ProfileRecord], headroom: Headroom) -> None:
    """Check that every record has every binding resource.

    Raises:
        MissingReadingError: Naming models, field, the reason the records give, and how
            to let only what was measured bind.
    """
    for resource, _ in headroom:
        name = resource.reading_name
        lacking = [record for record in records if getattr(record, name) is None]
        if lacking:
            names = quoted_all(list(dict.fromkeys(one.model_name for one in lacking)))
            way_out = (
                "measure it with `gpupack profile`, give it as a column of the table, "
                f"or leave {setting(HOST_SHARES[resource])} out"
                if resource.is_of_host
                else _bind_what_is_known(records, headroom)
            )
            raise MissingReadingError(
                f"{resource.value} binds, but {name} is missing for {names}: "
                f"{lacking[0].missing.get(name, 'not measured')}; {way_out}"
            )


def _bind_what_is_known(records: Sequence[ProfileRecord], headroom: Headroom) -> str:
    """Return how to ask that only what every record has binds."""
    known = {
        resource.value: share
        for resource, share in headroom
        if not resource.is_of_host
        and all(reading(one, resource) is not None for one in records)
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


def host_memory_of_server(profiles: ProfileSet, measured_on: GpuType) -> int | None:
    """Return what the server alone holds of the host's memory; None if unknown."""
    baseline: ServerBaseline | None = profiles.baseline(measured_on.name)
    return None if baseline is None else baseline.host_memory_bytes


def model_bytes(record: ProfileRecord, resource: Resource, server: ServerNeeds) -> int:
    """Return what a model holds itself: what was measured less the server's, ≥ 0."""
    return max(0, int(reading(record, resource) or 0) - server.of(resource))


def item_sizes(
    records: Sequence[ProfileRecord],
    resources: Sequence[Resource],
    server: ServerNeeds,
) -> list[tuple[int, ...]]:
    """Return each record's size in every binding resource, in their integers."""
    return [
        tuple([item_size(record, resource, server) for resource in resources])
        for record in records
    ]


def packed_sizes(
    records: Sequence[ProfileRecord],
    headroom: Headroom,
    gpu_type: GpuType,
    server: ServerNeeds,
    *,
    in_part: Container[str] = (),
    counts_shared_once: bool = True,
) -> tuple[list[tuple[int, ...]], SharedRoom | None]:
    """Return the sizes to pack records by, and how they share memory.

    Args:
        records: That may be on one GPU.
        headroom: What binds.
        gpu_type: The type of the GPU.
        server: What it holds with no model loaded.
        in_part: Names of models that may take less of their utilizations.
        counts_shared_once: Whether they share composing models at all.

    Returns:
        Each record's size in every binding resource, as ``item_sizes``. Where models
        share composing models, memory is what each adds at least to any GPU; that a set
        fits is then to be asked of the second, which is None where none share.
    """
    binding = [resource for resource, _ in headroom]
    sizes = item_sizes(records, binding, server)
    may_share = counts_shared_once and Resource.MEMORY in binding
    if not may_share or not any(one.helper_memory for one in records):
        return sizes, None
    memory = SharedMemory(
        records, [model_bytes(one, Resource.MEMORY, server) for one in records]
    )
    if not memory.is_shared:
        return sizes, None
    place = binding.index(Resource.MEMORY)
    others = [
        index
        for index, resource in enumerate(binding)
        if not resource.is_held and not resource.is_of_host
    ]
    room_bytes = _room_of(gpu_type, headroom, Resource.MEMORY, server)
    least = memory.least_bytes(
        room_bytes,
        [
            tuple(0 if record.model_name in in_part else row[index] for index in others)
            for record, row in zip(records, sizes, strict=True)
        ],
        [limit_of(gpu_type, headroom, binding[index]) for index in others],
    )
    return [
        (*row[:place], size, *row[place + 1 :])
        for row, size in zip(sizes, least, strict=True)
    ], SharedRoom(memory, room_bytes)


def _room_of(
    gpu_type: GpuType, headroom: Headroom, resource: Resource, server: ServerNeeds
) -> int:
    """Return what a GPU offers of memory beside the server, in bytes, ≥ 0."""
    return max(0, limit_of(gpu_type, headroom, resource) - server.of(resource))


def item_size(record: ProfileRecord, resource: Resource, server: ServerNeeds) -> int:
    """Return a record's size in a binding resource, in the resource's integers."""
    if resource.is_held:
        return model_bytes(record, resource, server)
    return to_parts_up(reading(record, resource) or 0.0)


def evening_loads(
    records: Sequence[ProfileRecord], server: ServerNeeds
) -> list[tuple[int, ...]]:
    """Return what shall be evened out: known utilizations, or else memory."""
    known: list[Resource] = [
        resource
        for resource in Resource
        if resource.unit is ResourceUnit.PERCENT
        and all(reading(record, resource) is not None for record in records)
    ] or [Resource.MEMORY]
    return [
        tuple(item_size(record, resource, server) for resource in known)
        for record in records
    ]


def to_parts_up(amount: float) -> int:
    """Return a number of percent, or of cores, in billionths, rounded up."""
    return math.ceil(Decimal(repr(amount)) * _PARTS)


def limit_of(gpu_type: GpuType, headroom: Headroom, resource: Resource) -> int:
    """Return what a whole GPU may be used up to, in the resource's integers.

    That is what the headroom allows and, of what models take a share of the time of,
    the tolerance of readings.
    """
    limit = exact_limit(gpu_type, headroom, resource)
    if not resource.is_held:
        limit *= (1 + READING_TOLERANCE) * _PARTS
    return math.floor(limit)


def exact_limit(gpu_type: GpuType, headroom: Headroom, resource: Resource) -> Fraction:
    """Return what the headroom allows of a whole GPU, in the resource's unit."""
    share, whole = headroom.share(resource), gpu_type.capacity_of(resource)
    if share is None or whole is None:
        raise ValueError(f"{resource} does not bind")
    return Fraction(repr(share)) * Fraction(repr(whole))


def capacity_for(
    sizes: Iterable[int],
    gpu_type: GpuType,
    headroom: Headroom,
    resource: Resource,
    server: ServerNeeds,
) -> int:
    """Return what a GPU offers to items of these sizes, in the resource's integers.

    The tolerance of readings is in it only where some sum of the sizes might need it:
    whole percents are planned with as they are.

    Args:
        sizes: In the resource's integers.
        gpu_type: The type of the GPU.
        headroom: Says what may be used of it.
        resource: One that binds.
        server: What the server alone holds.

    Returns:
        At least 0.
    """
    if resource.is_held:
        return _room_of(gpu_type, headroom, resource, server)
    limit = limit_of(gpu_type, headroom, resource)
    exact = exact_limit(gpu_type, headroom, resource)
    exact_parts = math.floor(exact * _PARTS)
    step = math.gcd(*sizes)
    is_needed = step > 0 and limit // step * step > exact_parts
    return limit if is_needed else exact_parts


def to_reading_unit(resource: Resource, amount: int) -> float:
    """Return an integer of the packing engine in the resource's unit."""
    return amount if resource.is_held else amount / _PARTS
