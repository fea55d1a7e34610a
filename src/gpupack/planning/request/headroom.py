"""Which resources bind, and how much of each may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.gpu import Headroom, Resource
from gpupack.records.request import Objective

if TYPE_CHECKING:
    from collections.abc import Mapping

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
