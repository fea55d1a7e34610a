"""Which resources bind, and how much of each may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.gpu import Headroom, Resource
from gpupack.records.request import Objective
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.records.request import Request

BINDING_BY_DEFAULT: dict[Objective, tuple[Resource, ...]] = {
    Objective.MIN_GPUS: (Resource.MEMORY,),
    Objective.MIN_COST: (Resource.MEMORY,),
    Objective.MAX_THROUGHPUT: (
        Resource.MEMORY,
        Resource.GPU_UTILIZATION,
        Resource.MEMORY_UTILIZATION,
    ),
}
"""Models of ``min_gpus`` are loaded but seldom run at once, so memory alone binds;
``max_throughput`` lets no model lose throughput, so the utilizations bind too."""


LOW_HEADROOM = 0.5
"""Who lets less than half of a GPU be used may have meant to leave so much free."""


def overlay_headroom(
    objective: Objective, overall: float | None, named: Mapping[str, float]
) -> float | dict[str, float]:
    """Return the headroom of a share for whatever binds, and shares by name.

    Args:
        objective: Says what binds by default.
        overall: The share of whatever binds; None if there is only ``named``.
        named: Shares by resource name, taking precedence; they bind in any case.
    """
    if overall is None:
        return dict(named) if named else 1.0
    if not named:
        return overall
    default = dict.fromkeys(
        (resource.value for resource in BINDING_BY_DEFAULT[objective]), overall
    )
    return default | dict(named)


def headroom_doubts(request: Request) -> list[str]:
    """Return in words where a share to be used looks like a share to be left free."""
    asked = request.headroom
    shares = (
        [asked]
        if isinstance(asked, float)
        else [share for resource, share in asked if resource is Resource.MEMORY]
    )
    return [
        f"headroom {share:g} is the share that may be used, {100 * share:g} %; "
        f"if {100 * share:g} % are to stay free, give "
        f"{setting('headroom', round(1 - share, 6))}"
        for share in shares
        if share < LOW_HEADROOM
    ]


def resolve_headroom(objective: Objective, headroom: float | Headroom) -> Headroom:
    """Return the share of each binding resource.

    Args:
        objective: Says what binds when ``headroom`` is a number.
        headroom: A number scales whatever binds by default; a record names exactly
            what binds.
    """
    if isinstance(headroom, Headroom):
        return headroom
    return Headroom(**{one.value: headroom for one in BINDING_BY_DEFAULT[objective]})
