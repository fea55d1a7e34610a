"""What a cluster was seen doing: demand by model, who was on which GPU, estimates."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from gpupack.records.gpu import GpuType
from gpupack.records.profile import ProfileRecord, ServerBaseline
from gpupack.records.record import Record
from gpupack.units import InferPerSec, Microseconds, NumBytes, Percent, Seconds

DEMAND_PERCENTILES = (50, 90, 95, 99)
"""Percentiles of the demand over time that a record has."""


class ObservationWindow(Record):
    """When was looked, and in which steps."""

    start: datetime
    end: datetime
    step_s: Seconds
    """Every number over time is a mean, or for memory a maximum, of one step."""
    times_s: tuple[float, ...]
    """When each step ended: seconds since 1970, UTC."""


class ObservedDemand(Record):
    """What was asked of one model, over all servers that have it."""

    model_name: str = Field(min_length=1)
    mean_infer_per_sec: InferPerSec | None = None
    """Over the steps that have data; None where nothing tells a rate."""
    peak_infer_per_sec: InferPerSec | None = None
    """In the busiest step."""
    peak_at: datetime | None = None
    """When the busiest step ended."""
    percentile_infer_per_sec: dict[int, InferPerSec] = Field(default_factory=dict)
    """By percentile: the lowest rate that so many percent of the steps keep within."""
    infer_per_sec: tuple[InferPerSec | None, ...] = ()
    """Of each step of the window; None where a server was not scraped."""
    mean_request_batch_size: float | None = Field(default=None, gt=0)
    """Inferences ÷ requests: what clients send at once."""
    mean_execution_batch_size: float | None = Field(default=None, gt=0)
    """Inferences ÷ executions: what the server runs at once."""
    latency_mean_us: Microseconds | None = None
    """In the server, from the arrival of a request to its answer."""
    queue_mean_us: Microseconds | None = None
    latency_p99_us: Microseconds | None = None
    """The highest that any server's summary showed; None without summaries."""

    @property
    def num_steps_without_data(self) -> int:
        """Steps in which the rate is not known."""
        return sum(rate is None for rate in self.infer_per_sec)


class ObservedGpu(Record):
    """One GPU, or MIG instance of one, with the models last seen on it."""

    gpu_index: int = Field(ge=0)
    """Within this record: GPUs in the order of host and index."""
    gpu_uuid: str | None = None
    mig_instance_id: str | None = None
    host: str | None = None
    device_index: str | None = None
    """The number of the GPU in its host."""
    gpu_type: GpuType
    models: tuple[str, ...] = ()
    """Sorted by name, of all servers on it; models without traffic included."""
    pods: tuple[str, ...] = ()
    """``namespace/pod`` of what holds it, as the exporter says."""
    other_pods: tuple[str, ...] = ()
    """Those of them of which no model is known: something else is on the GPU."""
    served_by_model: dict[str, InferPerSec] = Field(default_factory=dict)
    """Most infer/sec of each model in one step; empty where it cannot be told."""
    memory_used_bytes: NumBytes | None = None
    """Highest of the window, the server's own included."""
    gpu_utilization_mean_percent: Percent | None = None
    gpu_utilization_peak_percent: Percent | None = None
    """Highest mean of a step: share of time with at least one kernel running."""
    sm_utilization_peak_percent: Percent | None = None
    dram_bandwidth_peak_percent: Percent | None = None
    is_certain: bool = True
    """False where the models are known to be on one of several GPUs of a pod only."""

    @property
    def has_one_model(self) -> bool:
        """Whether what the GPU shows is due to one model."""
        return len(self.models) == 1 and self.is_certain and not self.other_pods

    @property
    def name(self) -> str:
        """What people find the GPU by: host and number, or else its UUID."""
        found = f"{self.host}:{self.device_index}" if self.host else self.gpu_uuid
        instance = f", MIG instance {self.mig_instance_id}"
        return (found or f"GPU {self.gpu_index}") + (
            instance if self.mig_instance_id else ""
        )


class ObservedClusterRecord(Record):
    """What ran in a window of time, as the metrics of a cluster tell.

    Demand is what the counters say. Estimates are of models that had a GPU to
    themselves, and are marked as estimated. What nobody can tell from the metrics, such
    as the shares of two models in one GPU's utilization, is named in ``unknown``.
    """

    kind: Literal["observed_cluster"] = "observed_cluster"
    schema_version: Literal[1] = 1
    source: str = Field(min_length=1)
    """Where it was read: an address without user and password, or file names."""
    window: ObservationWindow
    demands: tuple[ObservedDemand, ...] = ()
    """One for each model, sorted by name."""
    gpus: tuple[ObservedGpu, ...] = ()
    """Today's placement: every GPU that the metrics show, at the end of the window."""
    estimates: tuple[ProfileRecord, ...] = ()
    """Of models alone on their GPU, ``origin="estimated"``."""
    baselines: tuple[ServerBaseline, ...] = ()
    """Of the estimates' GPU types: 0 bytes, since an estimate includes its server."""
    unknown: tuple[str, ...] = ()
    """What the metrics do not tell, and of whom, in words."""
    warnings: tuple[str, ...] = ()

    @property
    def peak_demand(self) -> dict[str, float]:
        """Infer/sec by model in its busiest step: the ``demand`` of ``place()``."""
        return {
            one.model_name: one.peak_infer_per_sec
            for one in self.demands
            if one.peak_infer_per_sec is not None
        }

    @property
    def num_gpus_by_type(self) -> dict[str, int]:
        """How many GPUs there are of each type, busy or not."""
        counts: dict[str, int] = {}
        for gpu in self.gpus:
            counts[gpu.gpu_type.name] = counts.get(gpu.gpu_type.name, 0) + 1
        return dict(sorted(counts.items()))

    def to_json(self) -> str:
        """Return the record as JSON; ``read_observed_cluster`` reads it."""
        return self.model_dump_json(indent=2, exclude_none=False)
