"""One GPU of a placement, and the model instances on it."""

from __future__ import annotations

from pydantic import Field

from gpupack.records.gpu import GpuType, Resource
from gpupack.records.profile import LoadPoint
from gpupack.records.record import Record
from gpupack.units import InferPerSec, Microseconds, NumBytes, Ratio


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
    """The model's own memory: what was measured less the server-only baseline. With
    that of all its composing models, also of those that others on the GPU share."""
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


class SharedModel(Record):
    """A composing model that several models on one GPU call, and that is there once."""

    model_name: str = Field(min_length=1)
    callers: tuple[str, ...] = Field(min_length=2)
    """The models that call it, by name; with itself, where it is placed, too."""
    memory_bytes: NumBytes
    """What one of it takes, the most of any caller's measurement."""
    saved_bytes: NumBytes
    """By how much the GPU holds less than its models take alone."""


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
    shared_models: tuple[SharedModel, ...] = ()
    """Composing models that several of the models call."""

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
        """Memory of all models and the server, shared composing models once."""
        return (
            self.baseline_memory_bytes
            + sum(assignment.memory_bytes for assignment in self.assignments)
            - sum(shared.saved_bytes for shared in self.shared_models)
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
