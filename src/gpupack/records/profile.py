"""What was measured: load points, profile records, baselines and failures."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.record import Record
from gpupack.units import (
    InferPerSec,
    Microseconds,
    NumBytes,
    Percent,
    PositiveInferPerSec,
    Ratio,
    Seconds,
)

_LOAD_POINT = re.compile(r"\s*0*([1-9]\d{0,8})x0*([1-9]\d{0,8})\s*", re.IGNORECASE)


class LoadPoint(Record):
    """How a model is driven: inputs per request, and requests kept in flight."""

    batch_size: int = Field(ge=1)
    concurrency: int = Field(ge=1)

    def __str__(self) -> str:
        """Return ``"2x4"`` for batch size 2 at concurrency 4."""
        return f"{self.batch_size}x{self.concurrency}"

    @classmethod
    def parse(cls, text: str) -> LoadPoint:
        """Return the load point that ``str`` wrote: ``"2x4"``.

        Raises:
            InvalidInputError: If ``text`` is not two whole numbers from 1, of at most
                nine digits, around an ``x``.
        """
        sizes = _LOAD_POINT.fullmatch(text) if isinstance(text, str) else None
        if sizes is None:
            raise InvalidInputError(
                f"a load point is BATCHxCONCURRENCY with whole numbers ≥ 1, such as "
                f"2x4, got {quoted(text)}"
            )
        return cls(batch_size=int(sizes[1]), concurrency=int(sizes[2]))

    @property
    def sort_key(self) -> tuple[int, int]:
        """Order by batch size, then concurrency."""
        return self.batch_size, self.concurrency


class MeasurementWindow(Record):
    """Raw counts of one measurement window."""

    duration_s: Seconds
    num_requests: int = Field(ge=0)
    num_errors: int = Field(default=0, ge=0)


class MissingReasons(Record):
    """Base of measured records: a reading is a number, or None with a reason."""

    missing: dict[str, str] = Field(default_factory=dict)
    """Why a reading is None, by field name."""

    @classmethod
    def readings(cls) -> tuple[str, ...]:
        """Return the names of the fields that hold a reading."""
        return tuple(
            name
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra.get("reading") is True
        )

    @classmethod
    def with_reason(cls, reason: str, /, **values: Any) -> Self:
        """Build a record whose absent readings all have the same ``reason``.

        A reason given for one reading in ``missing`` takes precedence.
        """
        given: dict[str, str] = dict(values.pop("missing", {}))
        absent = {name: reason for name in cls.readings() if values.get(name) is None}
        return cls(**values, missing=absent | given)

    @model_validator(mode="after")
    def _every_missing_reading_has_a_reason(self) -> Self:
        readings = self.readings()
        unexplained = [
            name
            for name in readings
            if getattr(self, name) is None and not self.missing.get(name)
        ]
        if unexplained:
            raise ValueError(
                f"readings without a value need a reason in 'missing': {unexplained}"
            )
        wrong = [
            name
            for name in self.missing
            if name not in readings or getattr(self, name) is not None
        ]
        if wrong:
            raise ValueError(
                f"'missing' names fields that are no readings or have a value: {wrong}"
            )
        return self


def _reading(**limits: Any) -> Any:
    """Return a field that is a measured reading: optional, never invented."""
    return Field(default=None, json_schema_extra={"reading": True}, **limits)


class GpuReadings(MissingReasons):
    """What the device said over a measurement; maxima unless the name says mean."""

    gpu_type: GpuType
    environment: Environment
    gpu_utilization_percent: Percent | None = _reading()
    """Highest share of time with at least one kernel running (NVML)."""
    memory_utilization_percent: Percent | None = _reading()
    """Highest share of time device memory was read or written (NVML)."""
    gpu_memory_used_bytes: NumBytes | None = _reading()
    """Highest used device memory, the server included."""


class ServerBaseline(GpuReadings):
    """The readings with the server up and no model loaded."""

    kind: Literal["server_baseline"] = "server_baseline"
    schema_version: Literal[1] = 1


class KernelTimes(Record):
    """How long a kernel of the probe takes, its wait included, on average."""

    alone_us: float = Field(gt=0)
    """While the model is idle."""
    beside_us: float = Field(gt=0)
    """While the model is driven at its load point."""

    @property
    def wait_us(self) -> Microseconds:
        """How long the model makes it wait."""
        return max(0.0, self.beside_us - self.alone_us)


class ProbeReadings(Record):
    """A model and a probe of short kernels beside each other."""

    throughput_infer_per_sec: PositiveInferPerSec
    """What the model reaches beside kernels that fill the GPU, one after the other."""
    full_kernel: KernelTimes
    """Of these kernels."""
    spread_kernel: KernelTimes
    """Of kernels with a few threads on every multiprocessor, one after the other."""
    single_kernel: KernelTimes
    """Of kernels of one warp, now and then."""


_LATER_READINGS = ("host_cpu_cores", "host_memory_bytes")
"""Readings that files of this schema version may lack: they came to it later."""
_NOT_READ_THEN = "the source does not say"


class ProfileRecord(GpuReadings):
    """One model, alone on one GPU type, at one load point."""

    kind: Literal["profile_record"] = "profile_record"
    schema_version: Literal[1] = 1
    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    throughput_infer_per_sec: PositiveInferPerSec | None = _reading()
    """Completed requests × batch size ÷ seconds."""
    throughput_ci_ratio: Ratio | None = _reading()
    """Half-width of the throughput's 95 % confidence interval ÷ throughput."""
    latency_mean_us: Microseconds | None = _reading()
    latency_p50_us: Microseconds | None = _reading()
    latency_p90_us: Microseconds | None = _reading()
    latency_p95_us: Microseconds | None = _reading()
    latency_p99_us: Microseconds | None = _reading()
    gpu_utilization_mean_percent: Percent | None = _reading()
    memory_utilization_mean_percent: Percent | None = _reading()
    sm_utilization_percent: Percent | None = _reading()
    """Mean share of streaming multiprocessors in use (GPM, Hopper and newer)."""
    sm_occupancy_percent: Percent | None = _reading()
    dram_bandwidth_percent: Percent | None = _reading()
    """Mean share of the peak DRAM bandwidth used (GPM, Hopper and newer)."""
    tensor_activity_percent: Percent | None = _reading()
    power_mean_watts: float | None = _reading(ge=0)
    energy_joules: float | None = _reading(ge=0)
    server_queue_us: Microseconds | None = _reading()
    """Mean time a request waited in the server's queue."""
    server_compute_input_us: Microseconds | None = _reading()
    server_compute_infer_us: Microseconds | None = _reading()
    server_compute_output_us: Microseconds | None = _reading()
    server_cpu_percent: float | None = _reading(ge=0)
    """CPU time of the server's process tree ÷ wall time; 100 is one core."""
    client_cpu_percent: float | None = _reading(ge=0)
    """CPU time of the load generator ÷ wall time; 100 is one core."""
    is_stable: bool | None = _reading()
    """Whether the stopping rule was met before the time cap."""
    is_client_limited: bool | None = _reading()
    """Whether the load generator, not the server, set the throughput."""
    num_model_instances: int | None = _reading(ge=1)
    """Copies of the model that the server ran."""
    host_cpu_cores: float | None = _reading(ge=0)
    """Mean CPU time of the server's process tree ÷ wall time: cores of the host."""
    host_memory_bytes: NumBytes | None = _reading()
    """Highest resident memory of the server's process tree, the server included."""
    model_version: int | None = Field(default=None, ge=1)
    """The version that was asked for; None where the server chose."""
    helpers: tuple[str, ...] = ()
    """Models that were loaded with it because it needs them: an ensemble's steps, what
    a model calls in its code. The readings include theirs; it runs only beside them."""
    batch_dim: int | None = Field(default=None, ge=0)
    """Which dimension of the tensors was taken for the batch, where the model declares
    none (``max_batch_size: 0``); None if it declares one, or has none."""
    probe: ProbeReadings | None = None
    """What a probe beside the model saw, where the GPU is shared through MPS."""
    windows: tuple[MeasurementWindow, ...] = ()
    """Raw counts of the measurement windows; empty if the source gives none."""
    warnings: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _readings_of_older_files_are_missing(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        missing = data.get("missing") or {}
        added = {
            name: _NOT_READ_THEN
            for name in _LATER_READINGS
            if data.get(name) is None and isinstance(missing, dict)
        }
        return data | {"missing": added | missing} if added else data

    @property
    def key(self) -> tuple[str, LoadPoint, str]:
        """What makes a record unique in a set: model, load point, GPU type."""
        return self.model_name, self.load_point, self.gpu_type.name

    @property
    def requests_per_sec(self) -> InferPerSec | None:
        """Completed requests per second: throughput ÷ batch size."""
        if self.throughput_infer_per_sec is None:
            return None
        return self.throughput_infer_per_sec / self.load_point.batch_size


class FailedLoadPoint(Record):
    """A load point that could not be measured, and what the server said."""

    kind: Literal["failed_load_point"] = "failed_load_point"
    schema_version: Literal[1] = 1
    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    gpu_type: GpuType
    stage: str = Field(min_length=1)
    """Where it failed: ``inputs``, ``load``, ``warmup``, ``measure``, ``server``."""
    message: str
    environment: Environment

    @property
    def key(self) -> tuple[str, LoadPoint, str]:
        """Model, load point and GPU type, as for a profile record."""
        return self.model_name, self.load_point, self.gpu_type.name
