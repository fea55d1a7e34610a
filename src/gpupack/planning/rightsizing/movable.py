"""What runs, sorted into what can be planned anew and what is kept as it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType, Headroom, Resource, is_same_card
from gpupack.records.profile import LoadPoint, ProfileRecord, RecordOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpupack.observed_cluster import ObservedCluster
    from gpupack.records.running.observed_cluster import ObservedGpu

_NOT_SEEN = "not to be seen in the metrics of a running cluster"


@dataclass(slots=True)
class Movable:
    """What can be planned anew: models one by one, and sets that stay together."""

    records: list[ProfileRecord] = field(default_factory=list)
    demand: dict[str, float] = field(default_factory=dict)
    """Infer/sec by model, of those that are planned one by one."""
    replicas: dict[str, int] = field(default_factory=dict)
    """Of sets that stay together, by their joint name."""
    models_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is in such a set, by its joint name."""
    gpus: list[ObservedGpu] = field(default_factory=list)
    """That would be filled anew, or are idle."""
    kept: dict[int, str] = field(default_factory=dict)
    """GPUs that are left as they are, by index, with the reason."""
    not_told_apart: set[str] = field(default_factory=set)
    """Models in sets that stay together, and without profiles."""
    estimated: set[str] = field(default_factory=set)
    """Models planned by what they were seen to do."""


def sort_out(
    cluster: ObservedCluster,
    profiles: ProfileSet,
    headroom: Headroom,
    rates: Mapping[str, float],
) -> Movable:
    """Return what can be planned anew, and what is kept as it is.

    A GPU's models are planned one by one if all have profiles on its type, or if it is
    one model alone, by its estimate. Several models without profiles stay together, as
    often as they are there today: how they share what the GPU shows is not known.

    Args:
        cluster: What was seen.
        profiles: What was measured; may be empty.
        headroom: What of a GPU may be used.
        rates: Infer/sec to plan for by model.
    """
    found = Movable()
    by_profile, by_estimate = _records_by_key(cluster, profiles)
    alone: dict[str, list[ObservedGpu]] = defaultdict(list)
    sets: dict[tuple[tuple[str, ...], str], list[ObservedGpu]] = defaultdict(list)
    for gpu in cluster.gpus:
        reason = _reason_to_keep(gpu)
        names = gpu.models
        type_name = gpu.gpu_type.name
        can_plan_each = bool(names) and all(
            name in rates and (name, type_name) in by_profile for name in names
        )
        if reason is not None:
            found.kept[gpu.gpu_index] = reason
        elif not names:
            found.gpus.append(gpu)
        elif can_plan_each or (
            len(names) == 1
            and rates.get(names[0])
            and _fits(by_estimate.get((names[0], type_name)), headroom)
        ):
            for name in names:
                alone[name].append(gpu)
            found.gpus.append(gpu)
        else:
            sets[names, type_name].append(gpu)
    for name, gpus in alone.items():
        _plan_one(found, name, gpus, rates[name], by_profile, by_estimate)
    for (names, _), gpus in sets.items():
        _plan_together(found, names, gpus, headroom)
    known = {name for name, _ in by_profile}
    found.not_told_apart -= known
    # A model that is also on other GPUs has only a part of its demand on these.
    for name, gpus in alone.items():
        num_everywhere = sum(name in gpu.models for gpu in cluster.gpus)
        if len(gpus) < num_everywhere:
            served = sum(gpu.served_by_model.get(name, 0.0) for gpu in gpus)
            found.demand[name] = min(rates[name], served)
    return found


def same_type(gpu_type: GpuType, profiles: ProfileSet) -> GpuType:
    """Return what profiles call a card, or the type itself if they do not know it."""
    return next(
        (one for one in profiles.gpu_types if is_same_card(one, gpu_type)), gpu_type
    )


def _records_by_key(
    cluster: ObservedCluster, profiles: ProfileSet
) -> tuple[
    dict[tuple[str, str], list[ProfileRecord]], dict[tuple[str, str], ProfileRecord]
]:
    """Return profiles and estimates by model and name of the GPU type as observed."""
    types = {gpu.gpu_type for gpu in cluster.gpus}
    measured: dict[tuple[str, str], list[ProfileRecord]] = defaultdict(list)
    for gpu_type in types:
        for record in profiles.records:
            if is_same_card(record.gpu_type, gpu_type):
                measured[record.model_name, gpu_type.name].append(
                    record.model_copy(update={"gpu_type": gpu_type})
                )
    estimated = {(one.model_name, one.gpu_type.name): one for one in cluster.estimates}
    return dict(measured), estimated


def _reason_to_keep(gpu: ObservedGpu) -> str | None:
    """Return why a GPU cannot be planned, None if it can."""
    if gpu.other_pods:
        return f"holds {', '.join(gpu.other_pods)}, of which no metrics were read"
    if not gpu.is_certain:
        return "its pod has several GPUs, and which model is on which is not known"
    if gpu.gpu_utilization_peak_percent is None:
        return "there is no utilization of it: run the DCGM exporter there"
    if gpu.models and gpu.memory_used_bytes is None:
        return "there is no memory reading of it: run the DCGM exporter there"
    if not gpu.models and gpu.gpu_utilization_peak_percent > 0:
        return "was busy with something that is no model of a Triton that was read"
    if gpu.gpu_type.memory_bytes is None:
        return (
            "how much memory it has is not known: let the DCGM exporter publish "
            "DCGM_FI_DEV_FB_FREE"
        )
    return None


def _fits(record: ProfileRecord | None, headroom: Headroom) -> bool:
    """Return whether an estimate's memory is within the headroom of its GPU."""
    if record is None or record.gpu_type.memory_bytes is None:
        return False
    share = headroom.memory or 1.0
    return (record.gpu_memory_used_bytes or 0) <= share * record.gpu_type.memory_bytes


def _plan_one(
    found: Movable,
    name: str,
    gpus: list[ObservedGpu],
    rate: float,
    by_profile: Mapping[tuple[str, str], list[ProfileRecord]],
    by_estimate: Mapping[tuple[str, str], ProfileRecord],
) -> None:
    found.demand[name] = rate
    types = dict.fromkeys(gpu.gpu_type.name for gpu in gpus)
    # Profiles of a model count on every type of the cluster that they are of.
    measured = [
        record
        for (of_model, _), records in by_profile.items()
        for record in records
        if of_model == name
    ]
    found.records += measured
    measured_types = {record.gpu_type.name for record in measured}
    for type_name in types:
        estimate = by_estimate.get((name, type_name))
        if type_name not in measured_types and estimate is not None:
            found.records.append(estimate)
            found.estimated.add(name)


def _plan_together(
    found: Movable,
    names: tuple[str, ...],
    gpus: list[ObservedGpu],
    headroom: Headroom,
) -> None:
    """Plan sets that stay together, those apart that fill their GPU already."""
    if len(names) > 1:
        found.not_told_apart |= set(names)
    small = []
    for gpu in gpus:
        over = _over(gpu, headroom)
        if over is None:
            small.append(gpu)
        else:
            found.kept[gpu.gpu_index] = over
    if not small:
        return
    joint = f"{' + '.join(names)} (as today)"
    found.models_of[joint] = names
    found.gpus += small
    found.replicas[joint] = found.replicas.get(joint, 0) + len(small)

    def highest(reading: Callable[[ObservedGpu], float | None]) -> float | None:
        values = [reading(gpu) for gpu in small]
        known = [value for value in values if value is not None]
        return max(known) if len(known) == len(values) else None

    memory = highest(lambda gpu: gpu.memory_used_bytes)
    served = max(sum(gpu.served_by_model.values()) for gpu in small)
    found.records.append(
        ProfileRecord.with_reason(
            _NOT_SEEN,
            model_name=joint,
            gpu_type=small[0].gpu_type,
            load_point=LoadPoint(batch_size=1, concurrency=1),
            origin=RecordOrigin.ESTIMATED,
            environment=Environment(source="Prometheus"),
            throughput_infer_per_sec=served or None,
            gpu_memory_used_bytes=None if memory is None else round(memory),
            gpu_utilization_percent=highest(
                lambda gpu: gpu.gpu_utilization_peak_percent
            ),
            sm_utilization_percent=highest(lambda gpu: gpu.sm_utilization_peak_percent),
        )
    )


def _over(gpu: ObservedGpu, headroom: Headroom) -> str | None:
    """Return what of a GPU exceeds the headroom already, None if nothing does."""
    memory_bytes = gpu.gpu_type.memory_bytes or 1
    used = {
        Resource.MEMORY: 100 * (gpu.memory_used_bytes or 0) / memory_bytes,
        Resource.GPU_UTILIZATION: gpu.gpu_utilization_peak_percent or 0.0,
        Resource.SM_UTILIZATION: gpu.sm_utilization_peak_percent or 0.0,
    }
    for resource, share in headroom:
        if used.get(resource, 0.0) > 100 * share:
            words = resource.value.replace("_", " ")
            return (
                f"its {words} of {used[resource]:.0f} % exceeds the headroom of "
                f"{100 * share:.0f} % as it is"
            )
    return None
