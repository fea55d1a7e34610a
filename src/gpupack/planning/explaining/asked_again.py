"""A changed question as a request, so that it can be asked in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.gpu import HOST_SHARES
from gpupack.records.request import GpuSupply, ModelWishes

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.gpu import FleetEntry
    from gpupack.records.profile import LoadPoint
    from gpupack.records.request import Request


def asked_again(
    request: Request,
    before: CapacityQuestion,
    after: CapacityQuestion,
    *,
    load_points: dict[str, LoadPoint] | None = None,
) -> Request:
    """Return the request that asks a changed question.

    Args:
        request: What was asked.
        before: What it was resolved to.
        after: The same with a headroom, promise, way of sharing or supply changed.
        load_points: By model, those that the change pins.
    """
    changed: dict[str, object] = {}
    models = dict(request.models)
    if after.headroom != before.headroom:
        changed["headroom"] = after.headroom
    if after.sharing != before.sharing:
        changed["sharing"] = after.sharing
    if after.min_retention != before.min_retention:
        changed["defaults"] = request.defaults.model_copy(
            update={"min_retention": None}
        )
        for name, share in after.min_retention.items():
            _ask(models, name, min_retention=share)
    for name, load_point in (load_points or {}).items():
        _ask(models, name, load_point=load_point)
    if after.fleet != before.fleet:
        changed["gpus"] = {
            supply.gpu_type.name: _supply(request, supply.gpu_type.name, supply.entry)
            for supply in after.supplies
        }
        if any(supply.is_carried_over for supply in after.supplies):
            changed["carry_memory_over"] = True
    return request.model_copy(update={"models": models, **changed})


def _ask(models: dict[str, ModelWishes], name: str, **wish: object) -> None:
    models[name] = models.get(name, ModelWishes()).model_copy(update=wish)


def _supply(request: Request, name: str, entry: FleetEntry) -> GpuSupply:
    asked = request.gpus.get(name) if isinstance(request.gpus, dict) else None
    of_host = {one: getattr(entry.gpu_type, one) for one in HOST_SHARES.values()}
    return (asked or GpuSupply()).model_copy(
        update={"count": entry.num_gpus, **of_host}
    )
