"""From filled GPUs to a ``Placement``: what runs where, what it takes and keeps."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from gpupack.placement import Placement
from gpupack.planning.contention import SharedGpu, alternatives_of, retentions_of
from gpupack.planning.modeling import READING_FIELDS, model_memories
from gpupack.records.gpu import Resource
from gpupack.records.placement import Assignment, GpuPlacement, ResourceUse
from gpupack.report.cautions import cautions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.planning.solving.found import FilledGpu, Found, ModelInstance
    from gpupack.records.request import Request

UTILIZATIONS = tuple(one for one in Resource if one is not Resource.MEMORY)


def build_placement(
    found: Found, question: CapacityQuestion, request: Request, *, seconds: float = 0.0
) -> Placement:
    """Return the placement that a search found, with all that it was decided on.

    Args:
        found: What each GPU holds, and what was proved.
        question: What was asked, resolved.
        request: What was asked.
        seconds: Wall time of the decision.
    """
    # Of thousands of GPUs most hold the same; what they keep is predicted once.
    copies = Counter(map(id, found.gpus))
    fillings = list({id(one): one for one in found.gpus}.values())
    loads = {
        id(one): tuple([instance.load_ratio for instance in one.instances])
        for one in fillings
    }
    shared = {
        id(one): SharedGpu(
            question.supplies[one.supply].measured_on,
            tuple(instance.record for instance in one.instances),
            loads[id(one)],
            copies[id(one)],
        )
        for one in fillings
        if not question.supplies[one.supply].is_carried_over
    }
    kept = _kept(question, fillings, shared)
    known = {
        id(one): gpu_placement(one, question, loads[id(one)], kept.get(id(one)) or ())
        for one in fillings
    }
    contention = question.contentions[0]
    predicted_by = _predicted_by(question, fillings, kept)
    placement = Placement(
        objective=question.objective,
        objective_unit=found.unit,
        status=found.status,
        num_gpus=len(found.gpus),
        objective_value=found.value,
        bound=found.bound,
        gap=abs(found.value - found.bound) / found.value if found.value else 0.0,
        method=found.method,
        found_by=found.found_by,
        proved_by=found.proved_by,
        seconds=seconds,
        seed=request.seed,
        headroom=question.headroom,
        fleet=question.fleet,
        sharing_mode=contention.sharing_mode,
        contention_factor=None if predicted_by is None else predicted_by.factor,
        num_calibration_sets=0 if predicted_by is None else predicted_by.num_sets,
        min_retention=dict(question.min_retention),
        sharing_alternatives=alternatives_of(
            question.profiles,
            list(shared.values()),
            contention.sharing_mode,
            found.count_gpus,
        ),
        gpus=tuple(
            known[id(one)].model_copy(update={"gpu_index": index})
            for index, one in enumerate(found.gpus)
        ),
        warnings=question.warnings + found.warnings,
        request=request,
        profiles=question.profiles.records,
        baselines=question.profiles.baselines,
        calibrations=question.profiles.calibrations,
    )
    # What must be known before all else comes first.
    warnings = dict.fromkeys((*cautions_of(placement), *placement.warnings))
    return placement.model_copy(update={"warnings": tuple(warnings)})


def _kept(
    question: CapacityQuestion,
    fillings: Sequence[FilledGpu],
    shared: Mapping[int, SharedGpu],
) -> dict[int, tuple[float, ...] | None]:
    """Return what each instance keeps of its traffic, None where that is unknown.

    An instance serves its traffic as long as it could reach that rate beside
    neighbors who take theirs.
    """
    kept: dict[int, tuple[float, ...] | None] = {}
    for index, contention in enumerate(question.contentions):
        here = [
            id(one) for one in fillings if one.supply == index and id(one) in shared
        ]
        found = retentions_of([shared[one] for one in here], contention)
        kept.update(zip(here, found, strict=True))
    return kept


def _predicted_by(
    question: CapacityQuestion,
    fillings: Sequence[FilledGpu],
    kept: Mapping[int, tuple[float, ...] | None],
) -> Contention | None:
    """Return what the predictions rest on; None where GPU types differ in that."""
    used = {
        (contention.factor, contention.num_sets): contention
        for one in fillings
        if kept.get(id(one)) is not None
        for contention in (question.contentions[one.supply],)
    }
    return next(iter(used.values())) if len(used) == 1 else None


def gpu_placement(
    filled: FilledGpu,
    question: CapacityQuestion,
    loads: Sequence[float],
    kept: Sequence[float],
) -> GpuPlacement:
    """Return the record of one GPU, as number 0.

    Args:
        filled: What it holds.
        question: Says what binds, and what the server takes.
        loads: Traffic ÷ throughput of each instance.
        kept: What each instance keeps of its traffic; empty where that is unknown.
    """
    supply = question.supplies[filled.supply]
    instances = filled.instances
    own_bytes = model_memories([one.record for one in instances], supply.baseline_bytes)
    used: dict[Resource, list[float | None]] = {
        one: _utilizations(instances, loads, supply, one) for one in UTILIZATIONS
    }
    assignments = []
    for place, one in enumerate(instances):
        throughput = (
            None if supply.is_carried_over else one.record.throughput_infer_per_sec
        )
        served = one.served_infer_per_sec
        traffic = throughput if served is None else served
        assignments.append(
            Assignment(
                model_name=one.record.model_name,
                load_point=one.record.load_point,
                throughput_infer_per_sec=throughput,
                served_infer_per_sec=served,
                predicted_infer_per_sec=kept[place] * traffic
                if kept and traffic is not None
                else None,
                memory_bytes=own_bytes[place],
                gpu_utilization_percent=used[Resource.GPU_UTILIZATION][place],
                memory_utilization_percent=used[Resource.MEMORY_UTILIZATION][place],
                sm_utilization_percent=used[Resource.SM_UTILIZATION][place],
            )
        )
    return GpuPlacement(
        gpu_index=0,
        gpu_type=supply.gpu_type,
        assignments=tuple(assignments),
        baseline_memory_bytes=supply.baseline_bytes,
        resources=_resource_uses(instances, supply, own_bytes, used, question),
    )


def _utilizations(
    instances: Sequence[ModelInstance],
    loads: Sequence[float],
    supply: Supply,
    resource: Resource,
) -> list[float | None]:
    """Return what each instance uses of a utilization, in percent; None if unknown."""
    if supply.is_carried_over:
        return [None] * len(instances)
    field = READING_FIELDS[resource]
    return [
        None if (percent := getattr(one.record, field)) is None else percent * load
        for one, load in zip(instances, loads, strict=True)
    ]


def _resource_uses(
    instances: Sequence[ModelInstance],
    supply: Supply,
    own_bytes: Sequence[int],
    used: Mapping[Resource, Sequence[float | None]],
    question: CapacityQuestion,
) -> tuple[ResourceUse, ...]:
    """Return the total of each resource of which every instance has the reading."""
    totals: dict[Resource, tuple[float, float]] = {}
    if all(one.record.gpu_memory_used_bytes is not None for one in instances):
        totals[Resource.MEMORY] = (
            float(supply.baseline_bytes + sum(own_bytes)),
            float(supply.gpu_type.known_memory_bytes()),
        )
    for resource, parts in used.items():
        known = [part for part in parts if part is not None]
        if len(known) == len(parts):
            # Decimals as written add up as a person adds them: 23.1 + 56.2 = 79.3.
            totals[resource] = round(math.fsum(known), 6), 100.0
    shares = dict(question.headroom)
    return tuple(
        ResourceUse(
            resource=resource,
            used=total,
            capacity=capacity,
            limit=round(shares[resource] * capacity, 6) if resource in shares else None,
        )
        for resource, (total, capacity) in totals.items()
    )
