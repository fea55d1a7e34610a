"""What was decided: which model instance runs on which GPU, and what that yields."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from gpupack.records.calibration import Calibration
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import Fleet, GpuType, Headroom, Resource, is_same_card
from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline
from gpupack.records.record import Record
from gpupack.records.request import Objective as Objective
from gpupack.records.request import Request
from gpupack.units import InferPerSec, Microseconds, NumBytes, Ratio, Seconds


class ObjectiveUnit(StrEnum):
    """What the value and the bound of a placement count."""

    GPUS = "gpus"
    PRICE_PER_HOUR = "price_per_hour"
    INFER_PER_SEC = "infer_per_sec"
    """Weighted, where models have weights."""
    SERVED_SHARE = "served_share"
    """The smallest share of its demand that a model gets."""

    @property
    def is_maximized(self) -> bool:
        """Whether more is better, so that the bound lies above the value."""
        return self in {ObjectiveUnit.INFER_PER_SEC, ObjectiveUnit.SERVED_SHARE}

    @property
    def words(self) -> str:
        """What stands behind a number of this unit."""
        return {
            ObjectiveUnit.GPUS: "GPUs",
            ObjectiveUnit.PRICE_PER_HOUR: "per hour",
            ObjectiveUnit.INFER_PER_SEC: "infer/sec",
            ObjectiveUnit.SERVED_SHARE: "of every demand",
        }[self]

    def told(self, value: float) -> str:
        """Return a number with its unit: "1 GPU", "3.5 per hour"."""
        words = "GPU" if self is ObjectiveUnit.GPUS and value == 1 else self.words
        return f"{value:g} {words}"


class PlacementStatus(StrEnum):
    """How good a placement is known to be."""

    OPTIMAL = "OPTIMAL"
    """Proved: no placement has a better objective value.

    GPUs and prices exactly; what is served to one part in a million, with its gap."""
    FEASIBLE = "FEASIBLE"
    """Checked, but a better one may exist; the gap says by how much at most."""


class Assignment(Record):
    """One model instance on one GPU, with what it takes and gives."""

    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    throughput_infer_per_sec: InferPerSec | None = None
    """As measured alone at this load point; None where it was not measured."""
    served_infer_per_sec: InferPerSec | None = None
    """The traffic this instance takes; None without a demand. The utilizations
    below are then those of this traffic, in proportion."""
    predicted_infer_per_sec: InferPerSec | None = None
    """Expected beside its neighbours, of the traffic it takes where there is a demand;
    None where nothing was predicted."""
    predicted_latency_p50_us: Microseconds | None = None
    """Expected beside its neighbours, of requests that arrive as planned; None where
    no latency limit is asked for, or nothing was predicted."""
    predicted_latency_us: Microseconds | None = None
    """The same of the percentile that limits are about."""
    latency_limit_ms: float | None = Field(default=None, gt=0)
    memory_bytes: NumBytes
    """The model's own memory: what was measured less the server-only baseline."""
    gpu_utilization_percent: float | None = Field(default=None, ge=0)
    memory_utilization_percent: float | None = Field(default=None, ge=0)
    sm_utilization_percent: float | None = Field(default=None, ge=0)
    host_cpu_cores: float | None = Field(default=None, ge=0)
    """Of the host, at the traffic it takes; None where a GPU's share is not said."""
    host_memory_bytes: NumBytes | None = None
    """Of the host, less what the server alone holds; None likewise."""

    @property
    def retention(self) -> Ratio | None:
        """Predicted throughput ÷ throughput alone, or ÷ the traffic it takes."""
        if self.predicted_infer_per_sec is None:
            return None
        if self.served_infer_per_sec == 0:
            return 1.0
        wanted = self.served_infer_per_sec or self.throughput_infer_per_sec
        return self.predicted_infer_per_sec / wanted if wanted else None


def assignment_field(resource: Resource) -> str:
    """Return what an assignment calls the amount that it takes of a resource."""
    if resource is Resource.MEMORY:
        return "memory_bytes"
    return resource.reading_name


class ResourceUse(Record):
    """How much of one resource of one GPU is used, and how much may be."""

    resource: Resource
    used: float = Field(ge=0)
    """In the resource's unit, what the server alone holds included."""
    capacity: float = Field(gt=0)
    """All there is: bytes, 100 %, or cores."""
    limit: float | None = Field(default=None, ge=0)
    """What the headroom allows; None where the resource does not bind."""

    @property
    def left(self) -> float:
        """What may still be used; negative where nothing binds and it is over."""
        if self.limit is None:
            return self.capacity - self.used
        return max(0.0, self.limit - self.used)  # readings have a tolerance

    @property
    def fill_ratio(self) -> float:
        """Used ÷ capacity."""
        return self.used / self.capacity


class GpuPlacement(Record):
    """One GPU and the model instances on it."""

    gpu_index: int = Field(ge=0)
    gpu_type: GpuType
    assignments: tuple[Assignment, ...]
    baseline_memory_bytes: NumBytes
    """What the server takes with no model loaded."""
    baseline_host_memory_bytes: NumBytes = 0
    """The same of the host's memory; 0 where a GPU's share of it is not said, or it was
    not measured."""
    resources: tuple[ResourceUse, ...]
    """Totals per resource; one that a model lacks a reading of is left out."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order of the assignments."""
        return tuple(assignment.model_name for assignment in self.assignments)

    def resource(self, resource: Resource) -> ResourceUse | None:
        """Return the total of one resource, None where it is not known."""
        for use in self.resources:
            if use.resource is resource:
                return use
        return None

    def baseline_bytes_of(self, resource: Resource) -> int:
        """Return what the server alone holds of a resource, in bytes."""
        return {
            Resource.MEMORY: self.baseline_memory_bytes,
            Resource.HOST_MEMORY: self.baseline_host_memory_bytes,
        }.get(resource, 0)

    @property
    def memory_bytes(self) -> int:
        """Memory of all models and the server."""
        return self.baseline_memory_bytes + sum(
            assignment.memory_bytes for assignment in self.assignments
        )

    @property
    def memory_left_bytes(self) -> int:
        """Memory that the headroom still allows."""
        use = self.resource(Resource.MEMORY)
        if use is None:
            return self.gpu_type.known_memory_bytes() - self.memory_bytes
        return int(use.left)

    @property
    def gpu_utilization_percent(self) -> float | None:
        """Sum of the models' GPU utilization, None if one is not known."""
        use = self.resource(Resource.GPU_UTILIZATION)
        return None if use is None else use.used

    @property
    def memory_utilization_percent(self) -> float | None:
        """Sum of the models' memory utilization, None if one is not known."""
        use = self.resource(Resource.MEMORY_UTILIZATION)
        return None if use is None else use.used


class SharingAlternative(Record):
    """What the same models would keep if GPUs were shared in another way."""

    sharing_mode: SharingMode
    lowest_retention: Ratio
    """Of any model, on the GPUs as placed."""
    mean_retention: Ratio
    """Over all models, on the GPUs as placed."""
    num_gpus: int | None = Field(default=None, ge=1)
    """GPUs that the same ``min_retention`` would take; None if none was asked for."""


class OneMoreGpu(Record):
    """What one more GPU would do for the model nearest to its latency limit."""

    gpu_index: int = Field(ge=0)
    """The GPU that the new one would relieve."""
    model_name: str
    latency_percentile: int
    latency_limit_ms: float = Field(gt=0)
    latency_p50_us: Microseconds | None = None
    """As predicted now; None where it grows without end."""
    latency_us: Microseconds | None = None
    """The percentile, likewise."""
    p50_with_it_us: Microseconds
    with_it_us: Microseconds
    """As predicted with the new GPU; of two copies that of the later one."""
    moved: tuple[str, ...] = ()
    """Models of instances that would move to the new GPU."""
    copied: str | None = None
    """The model of which a copy there would take half of the traffic, instead."""


class PlacementRecord(Record):
    """Which model runs where, how good that is, and what proves it."""

    kind: Literal["placement"] = "placement"
    schema_version: Literal[2] = 2
    request: Request | None = None
    """What was asked; None in a file of schema version 1, which did not keep it."""
    objective: Objective
    status: PlacementStatus
    num_gpus: int = Field(ge=0)
    objective_value: float
    """GPUs, price per hour, or infer/sec, whatever the objective counts."""
    objective_unit: ObjectiveUnit = ObjectiveUnit.GPUS
    """``max_throughput`` counts GPUs where no model loses throughput by design: on an
    unlimited fleet, or when nothing was to be chosen; otherwise what is served."""
    bound: float
    """Proven: no placement has a better objective value than this."""
    gap: float = Field(ge=0)
    """Distance between value and bound ÷ value; up to 1e-6 of what is served, the
    precision that placements are checked to, counts as proved."""
    method: str
    """What closed the gap, or the last that tried."""
    found_by: str | None = None
    """What found the placement; None in files of before this was told."""
    proved_by: str | None = None
    """What proved the bound; None in files of before this was told."""
    seconds: Seconds
    """Wall time of the decision; the one field that differs between runs."""
    seed: int
    headroom: Headroom
    fleet: Fleet
    sharing_mode: SharingMode | None = None
    """How models are taken to share a GPU; None on the host device."""
    contention_factor: float | None = Field(default=None, ge=0)
    """What the predicted throughputs rest on; None where nothing was predicted, or GPU
    types differ in it."""
    num_calibration_sets: int = Field(default=0, ge=0)
    """Measured sets that the factor was fitted to; 0 for gpupack's default."""
    min_retention: dict[str, Ratio] = Field(default_factory=dict)
    """By model, what was asked to be kept; empty if nothing was."""
    sharing_alternatives: tuple[SharingAlternative, ...] = ()
    one_more_gpu: OneMoreGpu | None = None
    """What another GPU would buy of latency; None without limits and traffic."""
    gpus: tuple[GpuPlacement, ...]
    warnings: tuple[str, ...] = ()
    profiles: tuple[ProfileRecord, ...] = ()
    """Every profile record that was decided on, also of what was not chosen; in a file
    of schema version 1 those of the placed models. Empty if they were left out."""
    baselines: tuple[ServerBaseline, ...] = ()
    """The server-only baselines that were decided on."""
    calibrations: tuple[Calibration, ...] = ()
    """What was known of the cost of sharing."""

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, value: object) -> object:
        """Read what version 1 wrote: as now, but without what was asked."""
        if isinstance(value, dict) and value.get("schema_version") == 1:
            return value | {"schema_version": 2}
        return value

    @property
    def currency(self) -> str | None:
        """Of its prices, as it was asked; None where nobody said."""
        return None if self.request is None else self.request.currency

    @property
    def groups(self) -> tuple[tuple[GpuPlacement, ...], ...]:
        """The GPUs, those together that are of one type and hold the same.

        By the index of their first; traffic that rounding tells apart is the same.
        """
        found: dict[object, list[GpuPlacement]] = {}
        for gpu in self.gpus:
            found.setdefault(_content(gpu), []).append(gpu)
        return tuple(map(tuple, found.values()))

    @property
    def placed_profiles(self) -> tuple[ProfileRecord, ...]:
        """The profile records of the placed models, where they are placed.

        On the GPU types that they are on; on any, of models without records there.
        """
        types_of: dict[str, list[GpuType]] = {}
        for gpu in self.gpus:
            for name in gpu.models:
                types = types_of.setdefault(name, [])
                if gpu.gpu_type not in types:
                    types.append(gpu.gpu_type)
        here = {
            one.key
            for one in self.profiles
            if any(
                is_same_card(one.gpu_type, gpu_type)
                for gpu_type in types_of.get(one.model_name, ())
            )
        }
        known = {name for name, _, _ in here}
        return tuple(
            one
            for one in self.profiles
            if one.key in here
            or (one.model_name in types_of and one.model_name not in known)
        )

    @property
    def proof(self) -> str:
        """What proved the bound, in words: "the volume bound"."""
        return self.proved_by or self.method

    @property
    def served_infer_per_sec(self) -> dict[str, float]:
        """Traffic taken by model name, of models with a demand."""
        served: dict[str, float] = {}
        for gpu in self.gpus:
            for assignment in gpu.assignments:
                if assignment.served_infer_per_sec is not None:
                    served[assignment.model_name] = (
                        served.get(assignment.model_name, 0.0)
                        + assignment.served_infer_per_sec
                    )
        return served

    @property
    def throughput_infer_per_sec(self) -> float | None:
        """Sum over instances, as measured alone; None if one is not known."""
        total = 0.0
        for gpu in self.gpus:
            for assignment in gpu.assignments:
                if assignment.throughput_infer_per_sec is None:
                    return None
                total += assignment.throughput_infer_per_sec
        return total


def _content(gpu: GpuPlacement) -> object:
    """Return what is equal of GPUs that hold the same."""
    return gpu.gpu_type.name, tuple(
        (
            one.model_name,
            one.load_point,
            *(
                rate and float(f"{rate:.6g}")
                for rate in (one.served_infer_per_sec, one.predicted_infer_per_sec)
            ),
        )
        for one in gpu.assignments
    )
