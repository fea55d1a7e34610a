"""One GPU and resource as a stacked bar: what every drawing of a placement shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.quoting import printable_name
from gpupack.records.gpu import Resource, ResourceUnit
from gpupack.records.placement import assignment_field
from gpupack.report.text import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.placement import Assignment, GpuPlacement, PlacementRecord

RESOURCE_NAMES = {one: one.words[:1].upper() + one.words[1:] for one in Resource}
"""What resources are called where a text begins with them."""
UNIT_SYMBOLS = {
    ResourceUnit.BYTES: "MiB",
    ResourceUnit.CORES: "cores",
    ResourceUnit.PERCENT: "%",
}
_MAX_SCALE = 1000.0
"""Nobody reads more off a bar than this many times its capacity."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one model instance, or the server, takes of a resource."""

    model_name: str | None
    """None: the server with no model loaded."""
    amount: float
    """In the resource's unit."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One resource of one GPU."""

    gpu_index: int
    gpu_numbers: str
    """Of all the GPUs that hold the same, in few words."""
    resource: Resource
    segments: tuple[Segment, ...]
    used: float
    capacity: float
    limit: float | None
    """What the headroom allows; None where the resource does not bind."""

    @property
    def fill_ratio(self) -> float:
        """Used ÷ capacity; above 1 where the resource does not bind."""
        return self.used / self.capacity

    @property
    def text(self) -> str:
        """What is used, of what: ``"15,143 of 16,384 MiB"``, ``"92 %"``."""
        if self.resource.unit is ResourceUnit.PERCENT:
            return format_amount(self.resource, self.used)
        used, _, _ = format_amount(self.resource, self.used).rpartition(" ")
        return f"{used} of {format_amount(self.resource, self.capacity)}"

    @property
    def short_description(self) -> str:
        """The bar's total and limit in words."""
        limit = (
            "does not bind"
            if self.limit is None
            else f"limit {format_amount(self.resource, self.limit)}"
        )
        name = self.resource.words
        return f"GPU {self.gpu_numbers}, {name}: {self.text}, {limit}"

    @property
    def description(self) -> str:
        """The whole bar in words, for those who cannot see it."""
        parts = ", ".join(
            f"{'server' if one.model_name is None else printable_name(one.model_name)} "
            f"{format_amount(self.resource, one.amount)}"
            for one in self.segments
        )
        return f"{self.short_description}. {parts}"


def format_amount(resource: Resource, amount: float) -> str:
    """Return an amount with its unit: MiB for memory, cores, else percent."""
    return f"{number_of(resource, amount)} {UNIT_SYMBOLS[resource.unit]}"


def amount_of(assignment: Assignment, resource: Resource) -> float | None:
    """Return what a model instance takes, None where it was not measured."""
    value: float | None = getattr(assignment, assignment_field(resource))
    return value


def bar_of(gpu: GpuPlacement, resource: Resource, *, numbers: str = "") -> Bar | None:
    """Return the bar of a resource, None where a model lacks the reading.

    Args:
        gpu: The GPU.
        resource: What the bar is of.
        numbers: Of all GPUs that hold the same, where it stands for several.
    """
    use = gpu.resource(resource)
    if use is None:
        return None
    segments = [
        Segment(model_name=one.model_name, amount=amount_of(one, resource) or 0.0)
        for one in gpu.assignments
    ]
    if resource is Resource.MEMORY:
        segments = _without_shared(segments, gpu)
    if resource.is_held:
        segments.insert(
            0, Segment(model_name=None, amount=gpu.baseline_bytes_of(resource))
        )
    return Bar(
        gpu_index=gpu.gpu_index,
        gpu_numbers=numbers or str(gpu.gpu_index),
        resource=resource,
        segments=tuple(segments),
        used=use.used,
        capacity=use.capacity,
        limit=use.limit,
    )


def _without_shared(segments: list[Segment], gpu: GpuPlacement) -> list[Segment]:
    """Return segments of memory that add up to it: what models share, in parts."""
    amounts = [one.amount for one in segments]
    for shared in gpu.shared_models:
        callers = [
            index
            for index, one in enumerate(segments)
            if one.model_name in shared.callers
        ]
        total = sum(amounts[index] for index in callers)
        for index in callers if total else ():
            amounts[index] *= 1 - shared.saved_bytes / total
    return [
        replace(one, amount=amount)
        for one, amount in zip(segments, amounts, strict=True)
    ]


def shown_resources(placements: Sequence[PlacementRecord]) -> tuple[Resource, ...]:
    """Return the resources that some GPU has a total of, or that bind."""
    return tuple(
        resource
        for resource in Resource
        if any(
            placement.headroom.share(resource) is not None
            or any(gpu.resource(resource) for gpu in placement.gpus.runs)
            for placement in placements
        )
    )


def full_scale(placements: Sequence[PlacementRecord], resource: Resource) -> float:
    """Return the share of the capacity at which a bar's axis ends, at least 1.

    The same for every GPU, so that bars compare; in steps of 5 %, and no more than
    a thousand times the capacity.
    """
    most = 1.0
    for placement in placements:
        for gpu in placement.gpus.runs:
            use = gpu.resource(resource)
            if use is not None:
                limit = use.used if use.limit is None else max(use.used, use.limit)
                most = max(most, limit / use.capacity)
    return math.ceil(round(min(most, _MAX_SCALE) * 20, 6)) / 20
