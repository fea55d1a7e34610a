"""Which models of a GPU share a server: as they shared processes when measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import listed, quoted
from gpupack.records.environment import SharingMode
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan.served_model import ServedModel
    from gpupack.records.placement import PlacementRecord

    Served = tuple[Mapping[str, ServedModel], Mapping[str, tuple[str, ...]]]

_OF_PROCESSES = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Ways of sharing in which each model was measured as processes of its own."""
_PYTHON = "python"
"""The backend whose model instances are processes of their own."""


def server_keys(
    placement: PlacementRecord,
    served: Iterable[Served],
    options: DeployOptions,
) -> dict[str, str | None]:
    """Return, by model name, whose server it runs in, on any GPU: None for the common.

    Models are apart where they shared the GPU as processes. Instances of Python models
    are processes of their own in any server, so they stay together unless one has a
    share of its own. Models that share a composing model have it once only in one
    server, so they stay together, too.

    Args:
        placement: What is deployed.
        served: The models of GPUs that differ, and what they call.
        options: Say of which models the GPU's share is their own.

    Raises:
        InvalidInputError: If a model that shares its server has a share of its own.
    """
    keys: dict[str, str | None] = {}
    for models, helpers in served:
        for name, one in models.items():
            if not one.is_helper:
                is_own = has_own_server(
                    placement.sharing_mode, one, models, helpers, options
                )
                keys[name] = name if is_own else None
    groups: list[set[str]] = []
    for gpu in placement.gpus.runs:
        for shared in gpu.shared_models:
            if shared.saved_bytes:
                group = set(shared.callers)
                apart = [one for one in groups if not one & group]
                groups = [*apart, group.union(*(g for g in groups if g & group))]
    for group in groups:
        _require_no_share(group, options)
        first = min(group) if all(keys.get(name) for name in group) else None
        keys.update(dict.fromkeys(group, first))
    return keys


def _require_no_share(group: Collection[str], options: DeployOptions) -> None:
    limited = sorted(set(options.mps_shares_percent).intersection(group))
    if limited:
        others = listed(sorted({*group} - {limited[0]}))
        raise InvalidInputError(
            f"{quoted(limited[0])} shares a composing model with {others}, which the "
            "placement counts once on a GPU, and so one server, which cannot have a "
            "share of the multiprocessors for one of them: leave it out of "
            f"{setting('mps_shares_percent')}"
        )


def servers_of(
    models: Mapping[str, ServedModel],
    helpers: Mapping[str, tuple[str, ...]],
    keys: Mapping[str, str | None],
) -> list[tuple[str | None, list[ServedModel]]]:
    """Return the models of each server of a GPU, with what is to be known it by.

    The server that any models may share has no key, and comes first.
    """
    names_of: dict[str | None, list[str]] = {}
    for one in models.values():
        if not one.is_helper:
            names_of.setdefault(keys[one.name], []).append(one.name)
    servers = []
    for key in sorted(names_of, key=lambda key: (key is not None, key or "")):
        names = names_of[key]
        called = {helper for name in names for helper in helpers[name]} - set(names)
        servers.append((key, [models[name] for name in (*names, *sorted(called))]))
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
