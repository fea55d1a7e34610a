"""Profiles of which nobody measured the server's own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.planning.request import resolve_fleet
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, is_same_card
from gpupack.records.profile import ServerBaseline

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.request import Request

_WHY = "not measured: every model's memory counts in full instead"


def with_server_memory(profiles: ProfileSet, request: Request) -> ProfileSet | None:
    """Return the profiles with a server that takes nothing where none was measured.

    What a model was measured to take includes the server. Taken as the model's own, it
    is counted once for every model on a GPU and not once in all: never too little.

    Returns:
        None if nothing is missing.
    """
    planned = [entry.gpu_type for entry in resolve_fleet(request, profiles).entries]
    lacking = [
        one
        for one in profiles.gpu_types
        if (profiles.baseline(one.name) is None)
        and (
            one.name == UNKNOWN_GPU_TYPE.name
            or any(is_same_card(one, other) for other in planned)
        )
    ]
    if not lacking:
        return None
    environment = profiles.records[0].environment
    assumed = tuple(
        ServerBaseline.with_reason(
            _WHY, gpu_type=one, environment=environment, gpu_memory_used_bytes=0
        )
        for one in lacking
    )
    return profiles.model_copy(update={"baselines": (*profiles.baselines, *assumed)})
