# Long because each key of a configuration that is changed has its reasons beside it.
"""One model's configuration on one GPU: the user's own, with what was measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan.configuration import (
    KIND_AUTO,
    KIND_CPU,
    KIND_GPU,
    ModelConfig,
    configuration_text,
    is_complete,
)
from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.deploying.plan.model_folders import ModelFolder
    from gpupack.records.profile import LoadPoint, ModelVariant, ProfileRecord

_BATCHER = "dynamic_batching"


@dataclass(frozen=True)
class ServedModel:
    """A model as a server of the plan loads it.

    Attributes:
        name: As the repository names it.
        text: Its configuration, as the file that gpupack writes.
        config: The same, parsed.
        is_helper: It is loaded because another model calls it.
        backend: Backend or platform, empty where nothing says it.
        batch_size: The largest of its load points; 0 for a helper.
        memory_bytes: What was planned for it, its instances together.
        entries: What its folder holds beside ``configs``.
        other_configurations: What the user has in ``configs``.
    """

    name: str
    text: str
    config: Any
    is_helper: bool
    backend: str
    batch_size: int
    memory_bytes: int
    entries: tuple[str, ...]
    other_configurations: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a GPU's load points ask of one model's configuration.

    Attributes:
        load_points: Of its instances on this GPU; none for a helper.
        record: What was measured at the first of them; None for a helper.
        variant: The configuration that was measured, where the source tells of several.
        num_replicas: Times that the instances of its configuration are placed here.
    """

    load_points: tuple[LoadPoint, ...] = ()
    record: ProfileRecord | None = None
    variant: ModelVariant | None = None
    num_replicas: int = 1

    @property
    def batch_size(self) -> int:
        """The largest batch that is sent to it."""
        return max((one.batch_size for one in self.load_points), default=0)


def planned_configuration(
    folder: ModelFolder,
    wanted: Wanted,
    *,
    is_host: bool,
    batching_delay_us: int | None,
    notes: list[str],
) -> Any:
    """Return a model's configuration with what the load points say changed in it.

    That is the batch size, the instances, the GPUs and the dynamic batching; all else
    is the user's.

    Args:
        folder: The user's.
        wanted: What was measured and placed.
        is_host: It runs on CPUs; otherwise on the one GPU that its server sees.
        batching_delay_us: Let the server make the batches, as ``DeployOptions`` says.
        notes: What was changed beyond that, in words, is added here.

    Raises:
        InvalidInputError: If the user's configuration contradicts what was measured.
    """
    config = ModelConfig()
    config.CopyFrom(folder.config)
    _set_version(config, folder, wanted, notes)
    if folder.steps:
        return config  # an ensemble has neither instances nor batches of its own
    _set_batch_size(config, folder, wanted, notes)
    _set_batching(config, folder, wanted, batching_delay_us, notes)
    _set_instances(config, folder, wanted, is_host=is_host, notes=notes)
    return config


def served_model(
    folder: ModelFolder,
    config: Any,
    wanted: Wanted,
    *,
    gpu_name: str,
    memory_bytes: int,
) -> ServedModel:
    """Return a model with its configuration, ready to be written."""
    points = ", ".join(dict.fromkeys(map(str, wanted.load_points)))
    about = f"{folder.name} on {gpu_name}" + (f" at {points}" if points else "")
    backend = folder.backend
    if not backend and wanted.record is not None:
        backend = wanted.record.environment.backend or ""
    return ServedModel(
        name=folder.name,
        text=configuration_text(config, about=about),
        config=config,
        is_helper=not wanted.load_points,
        backend=backend,
        batch_size=wanted.batch_size,
        memory_bytes=memory_bytes,
        entries=folder.entries,
        other_configurations=folder.other_configurations,
    )


def composing_variant(variant: ModelVariant, helper: str) -> ModelVariant | None:
    """Return the variant of a model that another one calls, None if it has none.

    Model Analyzer names a variant by its model: ``encoder_config_2``, or
    ``encoder_config_default``.
    """
    pattern = re.compile(re.escape(helper) + r"(_config_(\d+|default))?")
    for one in variant.composing:
        if pattern.fullmatch(one.name):
            return one
    return None


def common_variant(
    model_name: str, points: Sequence[LoadPoint], gpu_name: str
) -> ModelVariant | None:
    """Return the one variant of a model's instances on a GPU, None if there is none.

    Raises:
        InvalidInputError: If there are several: a server has one of each model.
    """
    found = list(dict.fromkeys(one.variant for one in points))
    if len(found) > 1:
        told = " and ".join("as it is" if one is None else str(one) for one in found)
        raise InvalidInputError(
            f"{gpu_name} has model {quoted(model_name)} in several configurations "
            f"({told}), and a server serves a model in one: place it with load points "
            "of one variant"
        )
    return found[0] if found else None


def _set_version(
    config: Any, folder: ModelFolder, wanted: Wanted, notes: list[str]
) -> None:
    version = None if wanted.record is None else wanted.record.model_version
    asked = [version] if version is not None else list(_specific_versions(config))
    for one in asked:
        if one not in folder.versions:
            raise InvalidInputError(
                f"model {quoted(folder.name)} has no version {one} in {folder.path}; "
                f"it has {', '.join(map(str, folder.versions))}"
            )
    if version is not None and asked != list(_specific_versions(config)):
        config.version_policy.Clear()
        config.version_policy.specific.versions.append(version)
        notes.append(f"{folder.name}: version {version} is served, which was measured")


def _specific_versions(config: Any) -> tuple[int, ...]:
    return tuple(config.version_policy.specific.versions)


def _set_batch_size(
    config: Any, folder: ModelFolder, wanted: Wanted, notes: list[str]
) -> None:
    batch_size, variant = wanted.batch_size, wanted.variant
    if variant is not None and variant.max_batch_size is not None:
        config.max_batch_size = variant.max_batch_size
    takes_bare_batches = (
        wanted.record is not None and wanted.record.batch_dim is not None
    )
    if batch_size <= max(1, config.max_batch_size) or takes_bare_batches:
        return
    if config.max_batch_size == 0 and not is_complete(folder.config):
        config.max_batch_size = batch_size
        notes.append(
            f"{folder.name}: max_batch_size is set to {batch_size}, the batch size of "
            "its load point, since its configuration leaves it to the server"
        )
        return
    said_by = "its config.pbtxt" if folder.is_written else "the server"
    if variant is not None and variant.max_batch_size is not None:
        said_by = f"its variant {variant.name}"
    raise InvalidInputError(
        f"model {quoted(folder.name)} was placed at batch size {batch_size}, and "
        f"{said_by} says max_batch_size {config.max_batch_size}: raise it to "
        f"{batch_size} or more and profile the model again, or place with smaller "
        "batches"
    )


def _set_batching(
    config: Any,
    folder: ModelFolder,
    wanted: Wanted,
    batching_delay_us: int | None,
    notes: list[str],
) -> None:
    variant = wanted.variant
    switched = None if variant is None else variant.has_dynamic_batching
    preferred = () if variant is None else variant.preferred_batch_sizes
    if batching_delay_us is not None and wanted.batch_size > 1:
        switched, preferred = True, (wanted.batch_size,)
    scheduling = config.WhichOneof("scheduling_choice")
    if switched and scheduling not in (None, _BATCHER):
        raise InvalidInputError(
            f"model {quoted(folder.name)} has {scheduling} in its configuration, which "
            "excludes the dynamic batching of its load point: deploy it without "
            "server batching, or take one of the two out of config.pbtxt"
        )
    if switched and config.max_batch_size == 0:
        raise InvalidInputError(
            f"model {quoted(folder.name)} has max_batch_size 0, which excludes the "
            "dynamic batching of its load point: raise max_batch_size in its "
            "config.pbtxt, and profile it again"
        )
    if switched:
        config.dynamic_batching.SetInParent()
        if preferred:
            config.dynamic_batching.preferred_batch_size[:] = sorted(preferred)
        if batching_delay_us is not None and wanted.batch_size > 1:
            config.dynamic_batching.max_queue_delay_microseconds = batching_delay_us
    elif switched is False and scheduling == _BATCHER:
        config.ClearField(_BATCHER)
        notes.append(f"{folder.name}: without dynamic batching, as it was measured")
    if config.WhichOneof("scheduling_choice") == _BATCHER and config.max_batch_size:
        sizes = config.dynamic_batching.preferred_batch_size
        kept = [size for size in sizes if size <= config.max_batch_size]
        if len(kept) != len(sizes):
            config.dynamic_batching.preferred_batch_size[:] = kept
            notes.append(
                f"{folder.name}: preferred batch sizes above its max_batch_size of "
                f"{config.max_batch_size} are left out"
            )


def _set_instances(
    config: Any,
    folder: ModelFolder,
    wanted: Wanted,
    *,
    is_host: bool,
    notes: list[str],
) -> None:
    counts = _measured_counts(wanted, is_host=is_host)
    own = list(config.instance_group)
    groups = (
        _groups_of_variant(own, counts)
        if counts
        else _groups_of_configuration(own, folder, is_host=is_host, notes=notes)
    )
    if not counts:
        _set_measured_number(groups, folder, wanted, notes)
    for group in groups:
        group.count = max(1, group.count) * wanted.num_replicas
    del config.instance_group[:]
    config.instance_group.extend(groups)


def _measured_counts(wanted: Wanted, *, is_host: bool) -> dict[int, int]:
    """Return the instances of the measured variant by kind; none if it says none."""
    variant = wanted.variant
    if variant is None:
        return {}
    on_gpu, on_cpu = variant.num_gpu_instances or 0, variant.num_cpu_instances or 0
    if is_host:
        on_gpu, on_cpu = 0, on_cpu or on_gpu
    return {
        kind: count for kind, count in ((KIND_GPU, on_gpu), (KIND_CPU, on_cpu)) if count
    }


def _groups_of_variant(own: Sequence[Any], counts: dict[int, int]) -> list[Any]:
    """Return a group per kind, with what the user's group of that kind says beside."""
    groups = []
    for kind, count in counts.items():
        group = _new_group()
        alike = [one for one in own if one.kind in (kind, KIND_AUTO)]
        if alike:
            group.CopyFrom(alike[0])
        group.kind, group.count = kind, count
        group.gpus[:] = [0] if kind == KIND_GPU else []
        groups.append(group)
    return groups


def _groups_of_configuration(
    own: Sequence[Any], folder: ModelFolder, *, is_host: bool, notes: list[str]
) -> list[Any]:
    """Return the user's groups on the one device that the server sees."""
    groups: list[Any] = []
    for one in own or [_new_group()]:
        group = _new_group()
        group.CopyFrom(one)
        if group.kind in (KIND_AUTO, KIND_GPU):
            group.kind = KIND_CPU if is_host else KIND_GPU
        if group.kind == KIND_GPU:
            if list(group.gpus) not in ([], [0]):
                notes.append(
                    f"{folder.name}: its instances on GPUs "
                    f"{', '.join(map(str, group.gpus))} are on the one GPU that each "
                    "server sees"
                )
            group.gpus[:] = [0]
        else:
            group.gpus[:] = []
        if group not in groups:  # groups that differ in their GPUs alone
            groups.append(group)
    return groups


def _set_measured_number(
    groups: Sequence[Any], folder: ModelFolder, wanted: Wanted, notes: list[str]
) -> None:
    measured = None if wanted.record is None else wanted.record.num_model_instances
    if measured is None:
        return
    there = sum(max(1, group.count) for group in groups)
    if measured == there:
        return
    if len(groups) > 1:
        raise InvalidInputError(
            f"model {quoted(folder.name)} was measured with {measured} instances, and "
            f"its configuration now has {there} in several groups: profile it again"
        )
    groups[0].count = measured
    if folder.config.instance_group:
        notes.append(
            f"{folder.name}: {measured} instances, as it was measured; its "
            f"configuration says {there}"
        )


def _new_group() -> Any:
    return ModelConfig().instance_group.add()
