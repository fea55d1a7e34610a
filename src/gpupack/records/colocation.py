"""What was measured of models that run at the same time on one GPU."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.config import JsonDict

from gpupack.records.profile import (
    GpuReadings,
    LatencyPercentile,
    LoadPoint,
    OpenLoop,
    ProbeReadings,
)
from gpupack.records.record import Record
from gpupack.units import (
    InferPerSec,
    Microseconds,
    Percent,
    PositiveInferPerSec,
    Ratio,
    Seconds,
)

_READING: JsonDict = {"reading": True}


class RoundReading(Record):
    """What a model reached in one of several rounds of a measurement."""

    round_index: int = Field(ge=0)
    """Readings of one index, alone and together, were taken right after each other."""
    throughput_infer_per_sec: InferPerSec
    duration_s: Seconds
    num_requests: int = Field(ge=0)


class CoLocatedModel(Record):
    """One model's share of a co-located measurement; None where nothing ended."""

    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    offered_infer_per_sec: PositiveInferPerSec | None = None
    """The rate at which it was sent requests; None: as fast as it answered."""
    throughput_infer_per_sec: PositiveInferPerSec | None = None
    throughput_ci_ratio: Ratio | None = None
    """Half-width of the throughput's 95 % confidence interval ÷ throughput."""
    latency_p95_us: Microseconds | None = None
    latency_mean_us: Microseconds | None = None
    latency_percentiles: tuple[LatencyPercentile, ...] = ()
    """With their intervals; those that there were requests enough for."""
    open_loop: OpenLoop | None = None
    """How it was sent requests at a rate; None if as fast as it answered."""
    is_stable: bool
    """Whether the stopping rule was met before the time cap."""
    is_client_limited: bool | None = None
    """Whether the load generator, not the server, set the throughput."""
    client_cpu_percent: float | None = Field(default=None, ge=0)
    num_model_instances: int = Field(default=1, ge=1)
    rounds: tuple[RoundReading, ...] = ()
    """What the above is the mean of; empty where it was measured at one go."""

    @property
    def key(self) -> tuple[str, str]:
        """Model and load point, as a measurement alone has them too."""
        return self.model_name, str(self.load_point)


class CoLocation(GpuReadings):
    """Models driven at the same time over one window; one model is a solo reading."""

    kind: Literal["colocation"] = "colocation"
    schema_version: Literal[1] = 1
    label: str = ""
    """What the measurement was for, such as ``alone`` or ``together``."""
    models: tuple[CoLocatedModel, ...] = Field(min_length=1)
    duration_s: Seconds | None = None
    """None where the source does not say."""
    gpu_utilization_mean_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    memory_utilization_mean_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    sm_utilization_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    sm_occupancy_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    dram_bandwidth_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    tensor_activity_percent: Percent | None = Field(
        default=None, json_schema_extra=_READING
    )
    power_mean_watts: float | None = Field(
        default=None, ge=0, json_schema_extra=_READING
    )
    server_cpu_percent: float | None = Field(
        default=None, ge=0, json_schema_extra=_READING
    )
    """CPU time of the server's process tree ÷ wall time; 100 is one core."""
    probe: ProbeReadings | None = None
    """Of a solo reading under MPS: what a probe beside the model saw."""
