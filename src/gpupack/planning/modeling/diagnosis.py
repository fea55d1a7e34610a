"""Why nothing fits, and the smallest change that would help."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.errors import InfeasibleError
from gpupack.planning.modeling.amounts import told_apart, told_up
from gpupack.planning.modeling.sizes import item_size, limit_of, to_reading_unit
from gpupack.quoting import quoted
from gpupack.records.gpu import HOST_SHARES, GpuType, Headroom, Resource
from gpupack.spelling import setting
from gpupack.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.modeling.sizes import ServerNeeds
    from gpupack.records.profile import ProfileRecord

MAX_FAULTS_SHOWN = 3
"""Faults spelled out in one message."""


def too_large_alone(
    records: Sequence[ProfileRecord],
    gpu_type: GpuType,
    headroom: Headroom,
    server: ServerNeeds,
) -> InfeasibleError | None:
    """Return the error for models that fit on no GPU, None if every one does.

    It names every such model, the resource, what the model needs, what there is, and
    the headroom or GPU that would do.

    Args:
        records: Of every model, one each.
        gpu_type: The type of the GPUs.
        headroom: What binds.
        server: What the server alone holds of a GPU.
    """
    faults = []
    too_large = []
    largest_need: dict[Resource, int] = {}
    for resource, share in headroom.binding_on(gpu_type):
        limit = limit_of(gpu_type, headroom, resource)
        taken = server.of(resource)
        for record in records:
            need = item_size(record, resource, server) + taken
            if need <= limit:
                continue
            largest_need[resource] = max(need, largest_need.get(resource, 0))
            too_large.append(record.model_name)
            need_told, limit_told = told_apart(resource, need, limit)
            faults.append(
                f"{quoted(record.model_name)} needs {need_told} of "
                f"{resource.value} (load point {record.load_point}"
                f"{', server included' if taken else ''}), but {gpu_type.name} offers "
                f"{limit_told} (headroom {share:g})"
            )
    if not faults:
        return None
    first, need = next(iter(largest_need.items()))
    suggestion = _way_out(first, need, gpu_type, headroom.share(first) or 1.0)
    return InfeasibleError(
        f"models that fit on no GPU: {_shorten(faults)}. {suggestion}",
        model_names=sorted(set(too_large)),
        resource=first.value,
        suggestion=suggestion,
    )


def _shorten(faults: Sequence[str]) -> str:
    """Join the first few; the error's ``model_names`` has them all."""
    shown = "; ".join(faults[:MAX_FAULTS_SHOWN])
    more = len(faults) - MAX_FAULTS_SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _way_out(
    resource: Resource, need: int, gpu_type: GpuType, headroom_share: float
) -> str:
    lower = "lower its batch size"
    if resource.is_of_host:
        least = told_up(resource, math.ceil(need / headroom_share))
        at = "" if headroom_share == 1 else f" (at headroom {headroom_share:g})"
        return (
            f"Raise {setting(HOST_SHARES[resource])} to at least {least}{at}, or "
            f"{lower}."
        )
    if resource is not Resource.MEMORY:
        share = _round_up(to_reading_unit(resource, need) / 100)
        return f"Raise the headroom of {resource.value} to {share:g}, or {lower}."
    share = _round_up(need / gpu_type.known_memory_bytes())
    larger = [
        (mib, name)
        for name, mib in MEMORY_MIB_BY_NAME.items()
        if mib * BYTES_PER_MIB >= need
    ]
    ways = []
    if share <= 1:
        ways.append(f"raise the headroom of memory to {share:g}")
    if larger:
        mib, name = min(larger)
        ways.append(
            f"take a GPU with at least its memory, such as {name} ({mib:,} MiB)"
        )
    ways.append(lower)
    text = ", ".join(ways[:-1]) + (", or " if len(ways) > 1 else "") + ways[-1]
    return text[0].upper() + text[1:] + "."


def _round_up(share: float) -> float:
    return math.ceil(share * 1000) / 1000
