"""From a placement to servers: who runs in which process, with what configuration."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind
from gpupack.deploying.plan.host_needs import host_needs, unmeasured_notes
from gpupack.deploying.plan.model_folders import ModelRepository
from gpupack.deploying.plan.naming import dns_names
from gpupack.deploying.plan.planned_server import (
    DeploymentPlan,
    PlannedGpu,
    PlannedServer,
)
from gpupack.deploying.plan.ports import Ports
from gpupack.deploying.plan.processes import (
    helpers_first,
    server_keys,
    servers_of,
)
from gpupack.deploying.plan.served_model import (
    ServedModel,
    Wanted,
    common_variant,
    composing_variant,
    planned_configuration,
    served_model,
)
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.quoting import listed, quoted, quoted_all
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind, is_same_card
from gpupack.records.placement import PlacementRecord
from gpupack.spelling import setting
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan.processes import Served
    from gpupack.files import AnyPath
    from gpupack.records.placement import Assignment, EqualGpus, GpuPlacement
    from gpupack.records.profile import ModelVariant, ProfileRecord

_PYTHON = "python"
"""Ends the name of a server that models of Python share."""


def plan_servers(
    placement: PlacementRecord,
    model_repository: AnyPath,
    options: DeployOptions,
    *,
    on_one_host: bool,
) -> DeploymentPlan:
    """Return which servers run a placement, and every model's configuration on them.

    The servers reproduce how the models' processes shared the GPU when they were
    measured: all models in one server, or one server each, under MPS or not.

    Args:
        placement: What shall run.
        model_repository: Folder of the models.
        options: What was asked.
        on_one_host: Whether all servers share the ports of a host.

    Raises:
        InvalidInputError: If the placement lacks its records, the repository lacks a
            model or version, a configuration contradicts what was measured, servers do
            not fit onto a GPU, or ports collide.
        UnknownNameError: If an option names a GPU or model that is not placed.
        ServerError: If the server that completes configurations cannot be asked.
    """
    require_kind(
        "placement",
        placement,
        PlacementRecord,
        "what place() or gpupack.read_placement(path) returns",
    )
    _require_placed(placement, options)
    repository = ModelRepository(model_repository, server_url=options.server_url)
    notes: list[str] = []
    labels = dns_names(
        {name for gpu in placement.gpus.runs for name in gpu.models}, reserved={_PYTHON}
    )
    ports = Ports(options)
    used = [run for run in placement.gpus.runs if run.assignments]
    served = [
        _served_models(placement, run, repository, options, notes) for run in used
    ]
    keys = server_keys(placement, served, options)
    # Equal GPUs serve the same; their names, ports and UUIDs are their own.
    gpus = [
        _plan_gpu(
            placement, run.gpu(index), models, keys, options, labels, ports, notes
        )
        for run, models in zip(used, served, strict=True)
        for index in run.gpu_indices
    ]
    if on_one_host:
        ports.check()
    return DeploymentPlan(
        repository=repository.path,
        gpus=tuple(gpus),
        sharing_mode=placement.sharing_mode,
        is_host=all(_is_host(gpu) for gpu in placement.gpus.runs),
        notes=tuple(dict.fromkeys(notes)),
    )


def _require_placed(placement: PlacementRecord, options: DeployOptions) -> None:
    if not any(gpu.assignments for gpu in placement.gpus.runs):
        raise InvalidInputError("the placement has no model on any GPU to deploy")
    if len({_is_host(gpu) for gpu in placement.gpus.runs}) > 1:
        raise InvalidInputError(
            "the placement mixes GPUs and hosts without one; deploy each by itself"
        )
    indices = {index for gpu in placement.gpus.runs for index in gpu.gpu_indices}
    for option, given in (("gpu_uuids", options.gpu_uuids), ("ports", options.ports)):
        unknown = [index for index in given if index not in indices]
        if unknown:
            raise UnknownNameError(
                f"{setting(option)}: the placement has no GPU {quoted_all(unknown)}; "
                f"it has GPUs {quoted_all(sorted(indices))}"
            )
    types = set(placement.gpus_by_type)
    unknown_types = sorted(set(options.gpu_products) - types)
    if unknown_types:
        raise UnknownNameError(
            f"{setting('gpu_products')}: the placement has no GPU of type "
            f"{listed(unknown_types)}; it has {listed(sorted(types))}"
        )
    again = [uuid for uuid, n in Counter(options.gpu_uuids.values()).items() if n > 1]
    if again:
        raise InvalidInputError(
            f"two GPUs of the placement are given the UUID {quoted_all(again)}; each "
            "needs a GPU of its own"
        )
    models = {name for gpu in placement.gpus.runs for name in gpu.models}
    unknown_models = sorted(set(options.mps_shares_percent) - models)
    if unknown_models:
        raise UnknownNameError(
            f"{setting('mps_shares_percent')}: the placement has no model "
            f"{listed(unknown_models)}; it has {listed(sorted(models))}"
        )
    if options.mps_shares_percent and placement.sharing_mode is not SharingMode.MPS:
        raise InvalidInputError(
            "shares of the GPU's multiprocessors need MPS, and the placement counts on "
            f"{placement.sharing_mode or 'the host'}: place with sharing mps, or leave "
            "the shares out"
        )
    if options.gpu_uuids and any(_is_host(gpu) for gpu in placement.gpus.runs):
        raise InvalidInputError(
            "the placement is on hosts without a GPU: leave the UUIDs out"
        )


def _plan_gpu(
    placement: PlacementRecord,
    gpu: GpuPlacement,
    served: Served,
    keys: Mapping[str, str | None],
    options: DeployOptions,
    labels: Mapping[str, str],
    ports: Ports,
    notes: list[str],
) -> PlannedGpu:
    name = _name_of(gpu)
    models, helpers = served
    uses_mps = placement.sharing_mode is SharingMode.MPS
    apart = servers_of(models, helpers, keys)
    if len(apart) > 1 and options.one_server:
        apart = [(None, [model for _, some in apart for model in some])]
        notes.append(
            f"one server runs all models of a GPU, and the plan counts on "
            f"{placement.sharing_mode}: predicted throughputs are not those of this "
            "shape; check with gpupack verify"
        )
    instances = [(one, _record_of(placement, gpu, one)) for one in gpu.assignments]
    servers = []
    limits = uses_mps and options.mps_memory_limits
    for number, (key, some) in enumerate(apart):
        own = [one for one in some if not one.is_helper]
        if key is not None and len(own) > 1:
            notes.append(
                f"{quoted_all([one.name for one in own])} share composing models, "
                "which a GPU holds once, and so one server: what they cost each "
                "other was predicted for servers of their own; check with gpupack "
                "verify"
            )
        label = labels[own[0].name] if len(own) == 1 or key is not None else _PYTHON
        shares = [
            options.mps_shares_percent[one.name]
            for one in own
            if one.name in options.mps_shares_percent
        ]
        servers.append(
            PlannedServer(
                name=name if len(apart) == 1 else f"{name}-{label}",
                models=helpers_first(some, helpers),
                ports=ports.take(gpu.gpu_index),
                number=number,
                apart_model=None if options.one_server else key,
                mps_percent=shares[0] if shares else None,
                memory_limit_bytes=_memory_of(own, gpu) if limits else None,
                host_needs=host_needs(instances, own, placement),
            )
        )
    notes += unmeasured_notes(instances)
    memory_bytes = gpu.memory_bytes + (len(servers) - 1) * gpu.baseline_memory_bytes
    _check_memory(gpu, memory_bytes, len(servers), notes)
    return PlannedGpu(
        name=name,
        index=gpu.gpu_index,
        gpu_type=gpu.gpu_type,
        uuid=options.gpu_uuids.get(gpu.gpu_index),
        servers=tuple(servers),
        uses_mps=uses_mps,
        memory_bytes=memory_bytes,
        traffic=_traffic(gpu),
    )


def _name_of(gpu: GpuPlacement) -> str:
    return f"gpu-{gpu.gpu_index}"


def _memory_of(models: Iterable[ServedModel], gpu: GpuPlacement) -> int:
    """Return what a server with these models takes of a GPU's memory."""
    placed = {one.name: one.memory_bytes for one in models}
    saved = sum(
        shared.saved_bytes
        for shared in gpu.shared_models
        if placed.keys() >= set(shared.callers)
    )
    return sum(placed.values()) - saved + gpu.baseline_memory_bytes


def _served_models(
    placement: PlacementRecord,
    run: EqualGpus,
    repository: ModelRepository,
    options: DeployOptions,
    notes: list[str],
) -> tuple[dict[str, ServedModel], dict[str, tuple[str, ...]]]:
    """Return the models of each of some equal GPUs, and what each of them calls."""
    gpu = run.gpu(run.gpu_index)
    gpu_name = _name_of(gpu)
    by_name: dict[str, list[Assignment]] = {}
    for one in gpu.assignments:
        by_name.setdefault(one.model_name, []).append(one)
    wanted: dict[str, Wanted] = {}
    helpers: dict[str, tuple[str, ...]] = {}
    for model_name, assignments in by_name.items():
        points = tuple(one.load_point for one in assignments)
        record = _record_of(placement, gpu, assignments[0])
        wanted[model_name] = Wanted(
            load_points=points,
            record=record,
            variant=common_variant(model_name, points, gpu_name),
            num_replicas=len(assignments),
        )
        called = (*repository.model(model_name).steps, *record.helpers)
        helpers[model_name] = tuple(
            sorted(set(_with_their_own(called, repository)) - {model_name})
        )
    variants: dict[str, ModelVariant] = {}
    for model_name, called in helpers.items():
        for helper in called:
            variant = wanted[model_name].variant
            found = None if variant is None else composing_variant(variant, helper)
            if found is not None and variants.setdefault(helper, found) != found:
                raise InvalidInputError(
                    f"{gpu_name} needs model {quoted(helper)} in two configurations, "
                    f"{variants[helper]} and {found}, for the models that call it: "
                    "place them on different GPUs"
                )
    for helper in sorted({one for called in helpers.values() for one in called}):
        callers = [name for name, called in helpers.items() if helper in called]
        if helper in wanted:
            own = wanted[helper].variant
            if helper in variants and own != variants[helper]:
                raise InvalidInputError(
                    f"{gpu_name} has model {quoted(helper)} as {own or 'it is'}, and "
                    f"{listed(callers)} calls it as {variants[helper]}: place them on "
                    "different GPUs"
                )
            continue
        is_of_ensemble = any(repository.model(name).steps for name in callers)
        wanted[helper] = Wanted(
            variant=variants.get(helper),
            num_replicas=max(
                wanted[name].num_replicas if is_of_ensemble else 1 for name in callers
            ),
        )
    memory: Counter[str] = Counter()
    for one in gpu.assignments:
        memory[one.model_name] += one.memory_bytes
    models = {}
    for model_name, what in sorted(wanted.items()):
        folder = repository.model(model_name)
        if not options.in_repository:
            notes += folder.hidden_notes({f"gpu-{n}.pbtxt" for n in run.gpu_indices})
        config = planned_configuration(
            folder,
            what,
            is_host=_is_host(gpu),
            batching_delay_us=options.server_batching_delay_us,
            notes=notes,
        )
        models[model_name] = served_model(
            folder,
            config,
            what,
            gpu_name=gpu_name,
            memory_bytes=memory[model_name],
        )
    return models, helpers


def _record_of(
    placement: PlacementRecord, gpu: GpuPlacement, assignment: Assignment
) -> ProfileRecord:
    """Return what an instance was placed by.

    Raises:
        InvalidInputError: If the placement was written without it.
    """
    of_model = [
        one for one in placement.profiles if one.model_name == assignment.model_name
    ]
    exact = [one for one in of_model if one.load_point == assignment.load_point]
    here = [one for one in exact if is_same_card(one.gpu_type, gpu.gpu_type)]
    found = here or exact
    if not found:
        raise InvalidInputError(
            f"the placement was written without the profile record of model "
            f"{quoted(assignment.model_name)} at {assignment.load_point}, which says "
            "how it was served: place again, and write the placement with its profiles"
        )
    return found[0]


def _with_their_own(names: Iterable[str], repository: ModelRepository) -> list[str]:
    """Return models and the steps of those that are ensembles, each once."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += repository.model(name).steps
    return list(found)


def _check_memory(
    gpu: GpuPlacement, memory_bytes: int, num_servers: int, notes: list[str]
) -> None:
    if num_servers == 1:
        return
    there = gpu.gpu_type.memory_bytes
    baseline = mib_from_bytes(gpu.baseline_memory_bytes)
    if there is not None and memory_bytes > there:
        raise InvalidInputError(
            f"GPU {gpu.gpu_index} runs {num_servers} servers, as its models were "
            f"measured, each with {baseline:,.0f} MiB of its own: together "
            f"{mib_from_bytes(memory_bytes):,.0f} MiB of "
            f"{mib_from_bytes(there):,.0f} MiB. Place with less memory headroom, or "
            f"deploy one server per GPU ({setting('one_server', True)})"
        )
    if gpu.baseline_memory_bytes:
        notes.append(
            "each server of a GPU beyond its first takes the memory of an idle server, "
            f"{baseline:,.0f} MiB, which the placement counts once per GPU; it fits"
        )


def _traffic(gpu: GpuPlacement) -> dict[str, float]:
    """Return what each model's clients are to send to this GPU, in proportion."""
    found: dict[str, float] = {}
    unknown = set()
    for one in gpu.assignments:
        rates = (
            one.served_infer_per_sec,
            one.predicted_infer_per_sec,
            one.throughput_infer_per_sec,
        )
        rate = next((rate for rate in rates if rate is not None), None)
        if rate is None:
            unknown.add(one.model_name)
        else:
            found[one.model_name] = found.get(one.model_name, 0.0) + rate
    return {name: rate for name, rate in sorted(found.items()) if name not in unknown}


def _is_host(gpu: GpuPlacement) -> bool:
    return gpu.gpu_type.kind is DeviceKind.HOST
