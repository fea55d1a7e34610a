"""Which resources bind, and how much of each may be used."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number
from gpupack.quoting import quoted
from gpupack.records.gpu import Headroom, Resource
from gpupack.records.placement import Objective

HeadroomLike = float | Mapping[str, float] | Headroom
"""A share of whatever binds by default, or the share of each that shall bind."""

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


def resolve_objective(objective: Objective | str) -> Objective:
    """Return the objective of that name.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    try:
        return Objective(objective)
    except ValueError as err:
        known = ", ".join(one.value for one in Objective)
        raise UnknownNameError(
            f"unknown objective {quoted(objective)}; there are {known}"
        ) from err


def overlay_headroom(
    objective: Objective, overall: float | None, named: Mapping[str, float]
) -> HeadroomLike:
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


def resolve_headroom(objective: Objective, headroom: HeadroomLike) -> Headroom:
    """Return the share of each binding resource.

    Args:
        objective: Says what binds when ``headroom`` is a number.
        headroom: A number scales whatever binds by default; a mapping from
            resource name to share names exactly what binds.

    Raises:
        UnknownNameError: If the mapping names no known resource.
        InvalidInputError: If a share is not finite and > 0, or memory's is > 1.
    """
    if isinstance(headroom, Headroom):
        if not list(headroom):
            raise InvalidInputError("headroom names no resource: nothing would bind")
        return headroom
    if isinstance(headroom, Mapping):
        if not headroom:
            raise InvalidInputError("headroom names no resource: nothing would bind")
        shares = {_resource(name): _share(name, s) for name, s in headroom.items()}
    else:
        share = _share("headroom", headroom)
        shares = dict.fromkeys(BINDING_BY_DEFAULT[objective], share)
    memory = shares.get(Resource.MEMORY)
    if memory is not None and memory > 1:
        raise InvalidInputError(
            f"headroom of memory is {memory:g}, that is {memory:.0%}, but a GPU cannot "
            "hold more than it has; name the resources that may exceed 1, for example "
            '{"memory": 1.0, "gpu_utilization": 1.1, "memory_utilization": 1.1}'
        )
    return Headroom(**{resource.value: share for resource, share in shares.items()})


def _resource(name: str) -> Resource:
    try:
        return Resource(name)
    except ValueError as err:
        raise UnknownNameError(
            f"unknown resource {quoted(name)} in headroom; there are "
            f"{', '.join(resource.value for resource in Resource)}"
        ) from err


def _share(name: str, value: object) -> float:
    share = real_number(value)
    if share is None:
        raise InvalidInputError(
            f"{name}: the share that may be used is a number, got {quoted(value)}"
        )
    if not math.isfinite(share) or share <= 0:
        raise InvalidInputError(
            f"{name}: the share that may be used is {quoted(value)}; it must be finite "
            "and > 0 (0.8 is 80 %)"
        )
    return share
