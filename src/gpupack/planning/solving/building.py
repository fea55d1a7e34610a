# Long because all that a placement says of its GPUs and models is put together here.
"""What a search hands back, and the ``Placement`` built of it.

Filled GPUs with their proof, or why there are none; what runs where, what it takes and
keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from gpupack.placement import Placement
from gpupack.planning.composing import SharedMemory
from gpupack.planning.contention import SharedGpu, alternatives_of, retentions_of
from gpupack.planning.modeling import model_bytes
from gpupack.planning.solving.expected_latency import (
    expected_latencies_s,
    latency_fields,
    requests_for_each,
)
from gpupack.planning.solving.one_more_gpu import Instance, LoadedGpu, one_more_gpu
from gpupack.records.gpu import Resource, ResourceUnit
from gpupack.records.placement import (
    Assignment,
    EqualGpus,
    GpuPlacement,
    PlacedGpus,
    ResourceUse,
    assignment_field,
)
from gpupack.report.cautions import cautions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.errors import InfeasibleError, NotFoundInTimeError
    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.records.placement import (
        ObjectiveUnit,
        OneMoreGpu,
        PlacementStatus,
        SharedModel,
    )
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """One instance of a model: its record, and the traffic it takes.

    Args:
        record: At the load point it runs with.
        served_infer_per_sec: None without a demand: it takes what the record says.
    """

    record: ProfileRecord
    served_infer_per_sec: float | None = None

    @property
    def load_ratio(self) -> float:
        """Traffic ÷ throughput as measured: what it uses of the utilizations."""
        throughput = self.record.throughput_infer_per_sec
        if self.served_infer_per_sec is None or not throughput:
            return 1.0
        return min(1.0, self.served_infer_per_sec / throughput)


@dataclass(frozen=True, slots=True)
class FilledGpu:
    """What one GPU holds, and how many GPUs hold exactly that.

    Args:
        supply: Index of its GPU type among the question's supplies.
        instances: By model name, of one GPU.
        num_gpus: At least 1.
    """

    supply: int
    instances: tuple[ModelInstance, ...]
    num_gpus: int = 1


def _count_nothing(_: Contention) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """Filled GPUs, what they are worth, and what was proved of that.

    Args:
        gpus: In the order of the placement. GPUs that hold the same are one entry.
        value: In ``unit``.
        bound: No placement is better.
        unit: What value and bound count.
        status: OPTIMAL if the value is proved.
        method: What closed the gap, or ran last.
        found_by: What found the GPUs' contents.
        proved_by: What proved the bound.
        warnings: What a reader of the placement should know.
        count_gpus: Returns how many GPUs the same promise would take if they were
            shared in another way, None if that is not counted.
    """

    gpus: tuple[FilledGpu, ...]
    value: float
    bound: float
    unit: ObjectiveUnit
    status: PlacementStatus
    method: str
    found_by: str
    proved_by: str
    warnings: tuple[str, ...] = ()
    count_gpus: Callable[[Contention], int | None] = _count_nothing

    @property
    def num_gpus(self) -> int:
        """The number of GPUs."""
        return sum(one.num_gpus for one in self.gpus)

    @property
    def first_indices(self) -> tuple[int, ...]:
        """The index of the first GPU of each entry in the placement."""
        ends = accumulate((one.num_gpus for one in self.gpus), initial=0)
        return tuple(ends)[:-1]

    def is_better_than(self, other: Found) -> bool:
        """Return whether this one is worth more, or costs less, than the other."""
        if self.unit.is_maximized:
            return self.value > other.value
        return self.value < other.value


@dataclass(frozen=True, slots=True)
class Clash:
    """No placement exists, or none was found in time.

    Args:
        error: Returns the error that says why. To find out what clashes takes up to
            six seconds, which who only tries something does not spend.
    """

    error: Callable[[], InfeasibleError | NotFoundInTimeError]


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
    fillings = found.gpus
    loads = {
        id(one): tuple([instance.load_ratio for instance in one.instances])
        for one in fillings
    }
    shared = {
        id(one): SharedGpu(
            question.supplies[one.supply].measured_on,
            tuple(instance.record for instance in one.instances),
            loads[id(one)],
            one.num_gpus,
            question.supplies[one.supply].entry.gpu_type.host_cpus_per_gpu,
        )
        for one in fillings
        if not question.supplies[one.supply].is_carried_over
    }
    kept = _kept(question, fillings, shared)
    latencies = {
        id(one): expected_latencies_s(
            question,
            request,
            one.supply,
            [instance.record for instance in one.instances],
            [instance.served_infer_per_sec for instance in one.instances],
            num_requests=requests_for_each(len(fillings)),
        )
        for one in fillings
        if question.wishes.latency_limit_ms
    }
    known = {
        id(one): gpu_placement(
            one,
            question,
            loads[id(one)],
            kept.get(id(one)) or (),
            latencies.get(id(one)) or (),
        )
        for one in fillings
    }
    contention = question.contentions[0]
    predicted_by = _predicted_by(question, fillings, kept)
    placement = Placement(
        objective=question.objective,
        objective_unit=found.unit,
        status=found.status,
        num_gpus=found.num_gpus,
        objective_value=found.value,
        bound=found.bound,
        gap=_gap(found),
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
        predicted_by=_bases(question, fillings, kept),
        min_retention=dict(question.min_retention),
        sharing_alternatives=alternatives_of(
            question.profiles,
            list(shared.values()),
            contention.sharing_mode,
            found.count_gpus,
        ),
        one_more_gpu=_one_more_gpu(question, request, found, latencies),
        gpus=PlacedGpus(
            [
                EqualGpus.of(known[id(one)], gpu_index=first, num_gpus=one.num_gpus)
                for one, first in zip(fillings, found.first_indices, strict=True)
            ]
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


def _one_more_gpu(
    question: CapacityQuestion,
    request: Request,
    found: Found,
    latencies: Mapping[int, Sequence[tuple[float, float]]],
) -> OneMoreGpu | None:
    """Return what another GPU would buy of latency."""
    if not question.wishes.latency_limit_ms:
        return None
    loaded = [
        LoadedGpu(
            first,
            one.num_gpus,
            one.supply,
            tuple(
                Instance(instance.record, instance.served_infer_per_sec)
                for instance in one.instances
            ),
            tuple(latencies.get(id(one)) or ()),
        )
        for one, first in zip(found.gpus, found.first_indices, strict=True)
    ]
    return one_more_gpu(question, request, loaded)


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


def _bases(
    question: CapacityQuestion,
    fillings: Sequence[FilledGpu],
    kept: Mapping[int, tuple[float, ...] | None],
) -> dict[str, str]:
    """Return what the predictions for each GPU type rest on, in words."""
    return {
        question.supplies[one.supply].gpu_type.name: basis
        for one in fillings
        if kept.get(id(one)) is not None
        and (basis := question.contentions[one.supply].basis)
    }


def with_bound(placement: Placement, found: Found, *, seconds: float) -> Placement:
    """Return a placement with the bound that a search has come to since."""
    return placement.model_copy(
        update={
            "bound": found.bound,
            "gap": _gap(found),
            "status": found.status,
            "method": found.method,
            "proved_by": found.proved_by,
            "seconds": seconds,
        }
    )


def _gap(found: Found) -> float:
    return abs(found.value - found.bound) / found.value if found.value else 0.0


def gpu_placement(
    filled: FilledGpu,
    question: CapacityQuestion,
    loads: Sequence[float],
    kept: Sequence[float],
    latencies: Sequence[tuple[float, float]] = (),
) -> GpuPlacement:
    """Return the record of one GPU, as number 0.

    Args:
        filled: What it holds.
        question: Says what binds, and what the server takes.
        loads: Traffic ÷ throughput of each instance.
        kept: What each instance keeps of its traffic; empty where that is unknown.
        latencies: The median of each instance, and the percentile that limits are
            about, in seconds; infinite where it has none, empty if nothing is asked.
    """
    supply = question.supplies[filled.supply]
    held = supply.server.held
    instances = filled.instances
    records = [one.record for one in instances]
    own_bytes = [model_bytes(one, Resource.MEMORY, supply.server) for one in records]
    shared: tuple[SharedModel, ...] = ()
    if any(one.helper_memory for one in records):
        shared = SharedMemory(records, own_bytes).shared_models(
            (place, 1) for place in range(len(records))
        )
    taken: dict[Resource, Sequence[float | None]] = {
        one: own_bytes
        if one is Resource.MEMORY
        else [
            _amount(instance, load, supply, one)
            for instance, load in zip(instances, loads, strict=True)
        ]
        for one in supply.capacities
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
                **(
                    latency_fields(one.record.model_name, question, latencies[place])
                    if latencies
                    else {}
                ),
                **{
                    _FIELD_BY_RESOURCE[resource]: amounts[place]
                    for resource, amounts in taken.items()
                    if resource is not Resource.MEMORY
                },
                memory_bytes=own_bytes[place],
            )
        )
    return GpuPlacement(
        gpu_index=0,
        gpu_type=supply.entry.gpu_type,
        assignments=tuple(assignments),
        baseline_memory_bytes=held.get(Resource.MEMORY, 0),
        baseline_host_memory_bytes=held.get(Resource.HOST_MEMORY, 0),
        resources=_resource_uses(
            supply, taken, question, sum(one.saved_bytes for one in shared)
        ),
        shared_models=shared,
    )


_FIELD_BY_RESOURCE = {one: assignment_field(one) for one in Resource}
"""What an assignment calls what it takes of each."""


def _amount(
    instance: ModelInstance, load: float, supply: Supply, resource: Resource
) -> float | None:
    """Return what an instance takes of a resource, in its unit; None if unknown."""
    read: float | None = getattr(instance.record, resource.reading_name)
    if read is None:
        return None
    if resource.is_held:
        return model_bytes(instance.record, resource, supply.server)
    return None if supply.is_carried_over else read * load


def _resource_uses(
    supply: Supply,
    taken: Mapping[Resource, Sequence[float | None]],
    question: CapacityQuestion,
    saved_bytes: int,
) -> tuple[ResourceUse, ...]:
    """Return the total of each resource of which every instance has the reading."""
    shares, held = question.shares, supply.server.held
    found = []
    for resource, parts in taken.items():
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            continue
        capacity = supply.capacities[resource]
        # Decimals as written add up as a person adds them: 23.1 + 56.2 = 79.3.
        digits = 9 if resource.unit is ResourceUnit.CORES else 6
        total = round(held.get(resource, 0) + math.fsum(known), digits)
        if resource is Resource.MEMORY:
            total -= saved_bytes
        found.append(
            ResourceUse(
                resource=resource,
                used=float(total),
                capacity=capacity,
                limit=round(shares[resource] * capacity, 6)
                if resource in shares
                else None,
            )
        )
    return tuple(found)
