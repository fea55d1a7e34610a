"""Which models of a GPU share a server: as they shared processes when measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.environment import SharingMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan.served_model import ServedModel

_OF_PROCESSES = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Ways of sharing in which each model was measured as processes of its own."""
_PYTHON = "python"
"""The backend whose model instances are processes of their own."""


def servers_of(
    sharing_mode: SharingMode | None,
    models: Mapping[str, ServedModel],
    helpers: Mapping[str, tuple[str, ...]],
    options: DeployOptions,
) -> list[list[ServedModel]]:
    """Return the models of each server: apart where they shared the GPU as processes.

    Instances of Python models are processes of their own in any server, so they stay
    together unless one has a share of its own.
    """
    placed = [one for one in models.values() if not one.is_helper]
    apart = [
        one.name
        for one in placed
        if has_own_server(sharing_mode, one, models, helpers, options)
    ]
    shared = [one.name for one in placed if one.name not in apart]
    together = ([shared] if shared else []) + [[name] for name in apart]
    servers = []
    for names in together:
        called = {helper for name in names for helper in helpers[name]} - set(names)
        servers.append([models[name] for name in (*names, *sorted(called))])
    return servers


def has_own_server(
    sharing_mode: SharingMode | None,
    model: ServedModel,
    models: Mapping[str, ServedModel],
    helpers: Mapping[str, tuple[str, ...]],
    options: DeployOptions,
) -> bool:
    """Whether a model shares no server with others, on this GPU or any."""
    if model.is_helper or sharing_mode not in _OF_PROCESSES:
        return False
    return model.name in options.mps_shares_percent or not _is_of_python(
        model, models, helpers
    )


def _is_of_python(
    model: ServedModel,
    models: Mapping[str, ServedModel],
    helpers: Mapping[str, tuple[str, ...]],
) -> bool:
    backends = {models[name].backend for name in helpers[model.name]}
    if model.backend != "ensemble":
        backends.add(model.backend)
    return backends == {_PYTHON}


def helpers_first(
    models: Sequence[ServedModel], helpers: Mapping[str, tuple[str, ...]]
) -> tuple[ServedModel, ...]:
    """Return models in the order that they are loaded: what others call comes first."""
    called = {helper for one in models for helper in helpers.get(one.name, ())}
    return tuple(sorted(models, key=lambda one: (one.name not in called, one.name)))
