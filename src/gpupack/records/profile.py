# Long because every reading of a record says what it is.
"""What was measured: load points, profile records, baselines and failures."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
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

RATE_IN_FLIGHT = 1024
"""Requests in flight at most while they are sent at a rate: further ones wait."""
MOST_AT_ONCE = 999_999_999
"""Batch size, requests in flight and instances beyond it are taken for an error."""
_LOAD_POINT = re.compile(
    r"\s*(?:(?P<variant>.*\S)\s*:)?\s*0*(?P<batch>[1-9]\d{0,8})"
    r"(?:x0*(?P<concurrency>[1-9]\d{0,8})|@(?P<rate>\d{1,12}(?:\.\d{1,20})?)/s)\s*",
    re.IGNORECASE | re.DOTALL,
)


class ModelVariant(Record):
    """One of several configurations of a model; a placement picks one of them."""

    name: str = Field(min_length=1)
    """What the measuring tool called it, such as ``seg_config_2``."""
    num_gpu_instances: int | None = Field(default=None, ge=0, le=MOST_AT_ONCE)
    """Copies that the server runs on each GPU (Triton's ``instance_group``)."""
    num_cpu_instances: int | None = Field(default=None, ge=0, le=MOST_AT_ONCE)
    """Copies that the server runs on the host's CPUs."""
    max_batch_size: int | None = Field(default=None, ge=0, le=MOST_AT_ONCE)
    """0: the model takes no batches, or has them in its tensors' shapes."""
    has_dynamic_batching: bool | None = None
    preferred_batch_sizes: tuple[int, ...] = ()
    """Of the dynamic batcher; empty if none were set, or the source does not say."""
    execution_provider: str | None = None
    """What computes, for a model file: ``cpu``, ``cuda``, ``tensorrt``."""
    precision: str | None = None
    """Of a model file's weights as they were run: ``fp32``, ``fp16``, ``int8``."""
    composing: tuple[ModelVariant, ...] = ()
    """The variants of the models that an ensemble or BLS model calls."""

    def __hash__(self) -> int:
        """Return a hash of what nearly always tells variants apart."""
        return hash((self.name, self.composing))

    def __str__(self) -> str:
        """Return the name, those of what it calls in brackets behind it."""
        if not self.composing:
            return self.name
        return f"{self.name}[{'+'.join(map(str, self.composing))}]"


class LoadPoint(Record):
    """How a model is set up and driven.

    Inputs per request, and either how many requests are kept in flight or how many
    are sent a second; with several configurations of the model measured, which one.
    """

    batch_size: int = Field(ge=1, le=MOST_AT_ONCE)
    concurrency: int | None = Field(default=None, ge=1, le=MOST_AT_ONCE)
    """Requests kept in flight; None where they are sent at a rate."""
    requests_per_sec: float | None = Field(default=None, gt=0)
    """Requests sent a second, answered or not; None where they are kept in flight."""
    variant: ModelVariant | None = None
    """The model's configuration; None where the source tells of one only."""

    @model_validator(mode="after")
    def _is_driven_in_one_way(self) -> Self:
        if (self.concurrency is None) == (self.requests_per_sec is None):
            raise ValueError(
                "a load point has either a concurrency or requests_per_sec"
            )
        return self

    def __hash__(self) -> int:
        """Return a hash; records are looked up by load point all the time."""
        return hash(
            (self.batch_size, self.concurrency, self.requests_per_sec, self.variant)
        )

    def __str__(self) -> str:
        """Return how a model is driven, its variant first.

        ``"2x4"`` is batch size 2 at concurrency 4, ``"2@16/s"`` 16 requests of batch
        size 2 a second, ``"seg_config_2:2x4"`` the same of one variant.
        """
        load = (
            f"{self.batch_size}x{self.concurrency}"
            if self.requests_per_sec is None
            else f"{self.batch_size}@{_written_out(self.requests_per_sec)}/s"
        )
        return load if self.variant is None else f"{self.variant}:{load}"

    @classmethod
    def parse(cls, text: str) -> LoadPoint:
        """Return the load point that ``str`` wrote: ``"2x4"``.

        Raises:
            InvalidInputError: If ``text`` is not two whole numbers from 1, of at most
                nine digits, around an ``x``, or one of them before ``@`` and a rate.
        """
        found = _LOAD_POINT.fullmatch(text) if isinstance(text, str) else None
        if found is None or (found["rate"] and not float(found["rate"])):
            raise InvalidInputError(
                "a load point is BATCHxCONCURRENCY with whole numbers ≥ 1, such as 2x4 "
                "(VARIANT:2x4 for one variant of a model, 2@16/s for 16 requests a "
                f"second), got {quoted(text)}"
            )
        concurrency, rate, variant = (
            found["concurrency"],
            found["rate"],
            found["variant"],
        )
        return cls(
            batch_size=int(found["batch"]),
            concurrency=int(concurrency) if concurrency else None,
            requests_per_sec=float(rate) if rate else None,
            variant=ModelVariant(name=variant) if variant else None,
        )

    def is_one_of(self, wanted: LoadPoint) -> bool:
        """Return whether ``wanted``, which may leave the variant open, names this."""
        if (self.batch_size, self.concurrency, self.requests_per_sec) != (
            wanted.batch_size,
            wanted.concurrency,
            wanted.requests_per_sec,
        ):
            return False
        if wanted.variant is None or wanted.variant == self.variant:
            return True
        # A variant in words, as ``parse`` returns it, has a name and no more.
        return (
            self.variant is not None
            and wanted.variant == ModelVariant(name=wanted.variant.name)
            and wanted.variant.name in (self.variant.name, str(self.variant))
        )

    @property
    def in_flight(self) -> int:
        """Requests in flight at the same time, at most."""
        return RATE_IN_FLIGHT if self.concurrency is None else self.concurrency

    @property
    def offered_infer_per_sec(self) -> float | None:
        """Inferences sent a second; None where requests are kept in flight."""
        if self.requests_per_sec is None:
            return None
        return self.requests_per_sec * self.batch_size

    @property
    def sort_key(self) -> tuple[int, bool, float, str]:
        """Order by batch size, then concurrency, rates last, then variant."""
        return (
            self.batch_size,
            self.concurrency is None,
            self.concurrency or self.requests_per_sec or 0.0,
            "" if self.variant is None else str(self.variant),
        )


def _written_out(rate: float) -> str:
    """Return a rate without an exponent, which names of load points do not have."""
    return f"{Decimal(repr(rate)):f}".removesuffix(".0")


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
        return _reading_names(cls)

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
        values, missing = self.__dict__, self.missing
        of_missing, of_others = _readings_apart(type(self), tuple(missing))
        if (
            of_missing is not None
            and of_others is not None
            and of_missing(values).count(None) == len(missing)
            and None not in of_others(values)
            and all(missing.values())
        ):
            return self  # as nearly all are; a hundred thousand take their time
        absent = [name for name in self.readings() if values[name] is None]
        unexplained = [name for name in absent if not missing.get(name)]
        if unexplained:
            raise ValueError(
                f"readings without a value need a reason in 'missing': {unexplained}"
            )
        wrong = [name for name in missing if name not in absent]
        if wrong:
            raise ValueError(
                f"'missing' names fields that are no readings or have a value: {wrong}"
            )
        return self


@functools.lru_cache(maxsize=1000)
def _readings_apart(
    record_class: type[MissingReasons], missing: tuple[str, ...]
) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    """Return what gets the readings of these names, and all others, as tuples.

    None for fewer than two names, and for names that are no readings.
    """
    readings = record_class.readings()
    others = [name for name in readings if name not in missing]
    if len(missing) < 2 or len(others) < 2 or not set(missing) <= set(readings):
        return None, None
    return operator.itemgetter(*missing), operator.itemgetter(*others)


@functools.cache
def _reading_names(record_class: type[MissingReasons]) -> tuple[str, ...]:
    return tuple(
        name
        for name, field in record_class.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
        and field.json_schema_extra.get("reading") is True
    )


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


def _with_later_readings(data: Any, names: tuple[str, ...]) -> Any:
    """Return what a file holds, with a reason for readings that it is too old for."""
    if not isinstance(data, dict):
        return data
    missing = data.get("missing") or {}
    added = {
        name: _NOT_READ_THEN
        for name in names
        if data.get(name) is None and isinstance(missing, dict)
    }
    return data | {"missing": added | missing} if added else data


_NOT_READ_THEN = "the source does not say"


class ServerBaseline(GpuReadings):
    """The readings with the server up and no model loaded."""

    kind: Literal["server_baseline"] = "server_baseline"
    schema_version: Literal[1] = 1
    host_memory_bytes: NumBytes | None = _reading()
    """Highest resident memory of the server's process tree."""

    @model_validator(mode="before")
    @classmethod
    def _readings_of_older_files_are_missing(cls, data: Any) -> Any:
        return _with_later_readings(data, ("host_memory_bytes",))


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

    throughput_alone_infer_per_sec: PositiveInferPerSec | None = None
    """What the model reaches between the runs that the next is of; None of older
    files, where it is what the record says."""
    throughput_infer_per_sec: PositiveInferPerSec
    """What the model reaches beside kernels that fill the GPU, one after the other."""
    full_kernel: KernelTimes
    """Of these kernels."""
    spread_kernel: KernelTimes
    """Of kernels with a few threads on every multiprocessor, one after the other."""
    single_kernel: KernelTimes
    """Of kernels of one warp, now and then."""


class TurnReadings(Record):
    """A model and a process that takes turns with it on the GPU (time slicing)."""

    kernel_alone_us: float = Field(gt=0)
    """How long a kernel of a few microseconds takes, from launch to done, while the
    model is idle: the median."""
    kernel_low_us: float = Field(gt=0)
    """While the model is driven: the 10th percentile. What it is longer is the time in
    which the GPU goes from one process to the other."""
    kernel_mean_us: float = Field(gt=0)
    """Likewise, the mean."""
    kernel_high_us: float = Field(gt=0)
    """Likewise, the 98th percentile: what it is longer than the low one is how long the
    model keeps the GPU when it is its turn."""
    throughput_alone_infer_per_sec: PositiveInferPerSec
    """What the model reaches between the runs that the next is of."""
    throughput_infer_per_sec: PositiveInferPerSec
    """What it reaches beside a process that always has work for the GPU."""


class LatencyPercentile(Record):
    """A percentile of the latencies and how well it is known."""

    percentile: float = Field(gt=0, lt=100)
    value_us: Microseconds
    low_us: Microseconds
    """Lower end of its 95 % confidence interval."""
    high_us: Microseconds | None = None
    """Upper end; None where the sample has too few requests above it."""
    num_requests: int = Field(ge=1)


class OpenLoop(Record):
    """How requests were sent that are due whether or not others were answered.

    Latencies are then measured from when a request was due.
    """

    arrivals: str = Field(min_length=1)
    """``poisson``, ``constant``, ``gamma:BURSTINESS``, or the file of the times."""
    asked_requests_per_sec: float = Field(gt=0)
    offered_requests_per_sec: float = Field(ge=0)
    """Due in the measurement, as chance or the file had it."""
    sent_requests_per_sec: float = Field(ge=0)
    held_back_requests_per_sec: float = Field(default=0.0, ge=0)
    """Due, and not sent because all connections waited for the server."""
    late_share: Ratio
    """Share of the requests that the client itself sent late: by more than 1 ms, or a
    tenth of the 95th percentile of the latencies where that is more."""
    late_p99_us: Microseconds | None = None
    """By how much the client was late, at most in 99 of 100 requests."""
    is_sent: bool
    """Whether the client sent as many as were due, but for those held back."""
    is_kept_up: bool
    """Whether the server answered as many as were due."""

    @property
    def is_on_schedule(self) -> bool:
        """Whether the client sent what was due, when it was due."""
        return self.is_sent and self.late_share <= MAX_LATE_SHARE


MAX_LATE_SHARE = 0.01
"""A client that is late more often has no percentile to tell."""


class FreshLoad(Record):
    """What one load of a model reached, in a server process of its own."""

    throughput_infer_per_sec: PositiveInferPerSec | None = None
    throughput_ci_ratio: Ratio | None = None
    """Half-width of the 95 % interval within this load ÷ throughput."""
    latency_mean_us: Microseconds | None = None
    latency_p95_us: Microseconds | None = None
    is_stable: bool | None = None
    measured_at: datetime | None = None
    windows: tuple[MeasurementWindow, ...] = ()
    """Raw counts of its measurement windows."""


class BetweenLoads(Record):
    """What the loads of a model say of another one."""

    spread_ratio: float = Field(ge=0)
    """Estimated standard deviation from load to load, of the logarithm."""
    low_infer_per_sec: InferPerSec
    """Lower end of the 95 % interval that holds the throughput of another load."""
    high_infer_per_sec: InferPerSec
    """Upper end."""
    do_differ: bool
    """Whether the loads differ by more than chance, and than twice the precision that
    was asked for."""


class StreamReadings(Record):
    """How the responses of a request came, where it may have several of them.

    A percentile is None where too few were counted for it.
    """

    responses_per_request: float = Field(ge=0)
    first_response_mean_us: Microseconds | None = None
    """From the request to its first response with an output."""
    first_response_p50_us: Microseconds | None = None
    first_response_p95_us: Microseconds | None = None
    between_responses_mean_us: Microseconds | None = None
    """From one response to the next of the same request."""
    between_responses_p50_us: Microseconds | None = None
    between_responses_p95_us: Microseconds | None = None


class RecordOrigin(StrEnum):
    """How the numbers of a record came about."""

    MEASURED = "measured"
    """The model was driven at the load point."""
    ESTIMATED = "estimated"
    """Derived from what was seen in production, where nobody set the load."""
    SCALED = "scaled"
    """Scaled from what was measured on another GPU type, by published figures."""


class HelperMemory(Record):
    """What a model takes of a GPU's memory that others need: a composing model."""

    model_name: str = Field(min_length=1)
    memory_bytes: NumBytes
    """By how much the memory in use rose when it was loaded, before any request."""
    versions: tuple[int, ...] = ()
    """That the server had ready; empty where it did not say."""


_LATER_READINGS = ("host_cpu_cores", "host_memory_bytes")
"""Readings that files of this schema version may lack: they came to it later."""


class ProfileRecord(GpuReadings):
    """One model, alone on one GPU type, at one load point."""

    kind: Literal["profile_record"] = "profile_record"
    schema_version: Literal[1] = 1
    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    origin: RecordOrigin = RecordOrigin.MEASURED
    """Estimates say so; files of before hold none."""
    scaled_from: str | None = None
    """The GPU type that was measured, of an estimate that is scaled from it."""
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
    open_loop: OpenLoop | None = None
    """How requests were sent at a rate; None where they were kept in flight, or the
    source does not say."""
    latency_percentiles: tuple[LatencyPercentile, ...] = ()
    """The percentiles above with their intervals; empty if the source gives none."""
    num_model_instances: int | None = _reading(ge=1, le=MOST_AT_ONCE)
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
    helper_memory: tuple[HelperMemory, ...] = ()
    """Of helpers, what each takes by itself: a GPU holds one that several models need
    only once. Those of which it was not read are left out, and count with each."""
    batch_dim: int | None = Field(default=None, ge=0)
    """Which dimension of the tensors was taken for the batch, where the model declares
    none (``max_batch_size: 0``); None if it declares one, or has none."""
    probe: ProbeReadings | None = None
    """What a probe beside the model saw, where the GPU is shared through MPS."""
    turns: TurnReadings | None = None
    """What it saw where processes take turns on the GPU."""
    stream: StreamReadings | None = None
    """How responses came, where the model is decoupled; a latency is then the time to
    the last of them."""
    sequence_length: int | None = Field(default=None, ge=1)
    """Requests of each sequence, where the model is stateful."""
    windows: tuple[MeasurementWindow, ...] = ()
    """Raw counts of the measurement windows, of all loads one after the other; empty if
    the source gives none."""
    loads: tuple[FreshLoad, ...] = ()
    """What each load reached, where the model was loaded several times; the readings
    are then of all of them: means of means, and of maxima and percentiles the highest.
    ``throughput_ci_ratio`` is that of ``between_loads``."""
    between_loads: BetweenLoads | None = None
    """What another load may reach; None where there was one, so that nobody knows."""
    warnings: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _readings_of_older_files_are_missing(cls, data: Any) -> Any:
        return _with_later_readings(data, _LATER_READINGS)

    @property
    def key(self) -> tuple[str, LoadPoint, str]:
        """What makes a record unique in a set: model, load point, GPU type."""
        return self.model_name, self.load_point, self.gpu_type.name

    @property
    def num_loads(self) -> int:
        """How many loads of the model were measured."""
        return max(1, len(self.loads))

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
