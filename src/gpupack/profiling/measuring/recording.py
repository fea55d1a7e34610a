"""From a measurement to its record, with everything that can change the number."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

import gpupack
from gpupack.profiling.load import CLIENT_NAME
from gpupack.profiling.measuring.kept_schedule import lateness_in_words
from gpupack.profiling.measuring.percentiles import percentiles_with_intervals
from gpupack.profiling.measuring.stability import requests_for_percentile
from gpupack.records.environment import Environment
from gpupack.records.profile import (
    FailedLoadPoint,
    MeasurementWindow,
    ProfileRecord,
    ServerBaseline,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.profiling.devices import Device, DeviceReadings
    from gpupack.profiling.load import ModelLoad
    from gpupack.profiling.measuring.measurement import MeasuredLoad, Measurement
    from gpupack.records.environment import SharingMode
    from gpupack.records.profile import HelperMemory, LoadPoint

SOURCE = "gpupack profile"
_LIBRARIES = ("numpy", "tritonclient", "nvidia-ml-py")


@dataclass(frozen=True)
class Circumstances:
    """What is the same for every record of a sweep."""

    server_name: str
    server_version: str
    command: str | None = None
    seed: int | None = None
    sharing_mode: SharingMode | None = None
    measure_options: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Versions of what the models run on, by package."""

    def environment(
        self,
        device: Device,
        *,
        backend: str | None = None,
        protocol: str | None = None,
        notes: tuple[str, ...] = (),
        **more: Any,
    ) -> Environment:
        """Return the environment of something that was measured just now.

        ``more`` are further fields of ``Environment``.
        """
        libraries = {name: found for name in _LIBRARIES if (found := _version(name))}
        libraries |= self.libraries
        values: dict[str, Any] = {
            "source": SOURCE,
            "measured_at": datetime.now(UTC),
            "command": self.command,
            "gpupack_version": gpupack.__version__,
            "server_name": self.server_name,
            "server_version": self.server_version,
            "backend": backend,
            "protocol": protocol,
            "client_name": CLIENT_NAME,
            "client_version": gpupack.__version__,
            "operating_system": _operating_system(),
            "python_version": platform.python_version(),
            "libraries": libraries,
            "seed": self.seed,
            "notes": notes,
        }
        values |= device.environment_fields()
        if self.sharing_mode is not None:
            values["sharing_mode"] = self.sharing_mode
        return Environment(**values | more)


def profile_record(
    measurement: Measurement,
    index: int,
    *,
    device: Device,
    circumstances: Circumstances,
    input_data_sha256: str | None = None,
    helpers: tuple[str, ...] = (),
    helper_memory: tuple[HelperMemory, ...] = (),
    warnings: tuple[str, ...] = (),
) -> ProfileRecord:
    """Return the record of one of the models that were measured.

    A latency percentile is given only if enough requests ended for it
    (``requests_for_percentile``); otherwise it is missing, with the counts.

    Args:
        measurement: Of all of them.
        index: Of the model among its loads.
        device: That was read meanwhile.
        circumstances: For the record's environment.
        input_data_sha256: Of the file that requests were made of; None without one.
        helpers: Models that were loaded beside it because it needs them.
        helper_memory: What each of those takes by itself.
        warnings: What a reader of the record should know.
    """
    measured = measurement.loads[index]
    held_back = measurement.readings.clocks.in_words()
    signature = measured.load.signature
    values: dict[str, Any] = {
        "gpu_type": device.gpu_type,
        "environment": circumstances.environment(
            device,
            backend=signature.backend,
            protocol=measured.protocol,
            notes=(*measured.notes, *_input_notes(measured.load)),
            measure_options=dict(circumstances.measure_options),
            input_shapes=_input_shapes(measured.load),
            input_data_sha256=input_data_sha256,
        ),
        "model_name": signature.name,
        "load_point": measured.load.load_point,
        "throughput_infer_per_sec": measured.throughput_infer_per_sec,
        "throughput_ci_ratio": (
            None if measured.ci_ratio is None else min(measured.ci_ratio, 1.0)
        ),
        "server_cpu_percent": measurement.server_cpu_percent,
        "host_cpu_cores": (
            None
            if measurement.server_cpu_percent is None
            else measurement.server_cpu_percent / 100
        ),
        "host_memory_bytes": measurement.server_memory_bytes,
        "client_cpu_percent": measured.client_cpu_percent,
        "is_stable": measured.verdict.is_stable,
        "is_client_limited": measured.is_client_limited,
        "open_loop": measured.open_loop,
        "num_model_instances": signature.num_model_instances,
        "windows": tuple(
            MeasurementWindow(
                duration_s=window.duration_s, num_requests=window.num_requests
            )
            for window in measured.windows
        ),
        "probe": measurement.probe,
        "turns": measurement.turns,
        "stream": measured.stream,
        "sequence_length": (
            measured.load.sequence_length if signature.is_sequence else None
        ),
        "model_version": signature.version,
        "batch_dim": signature.batch_dim,
        "helpers": helpers,
        "helper_memory": helper_memory,
        "warnings": (
            *_warnings(measured),
            *((held_back,) if held_back else ()),
            *measurement.notes,
            *warnings,
        ),
        "missing": {},
    }
    _add_latencies(values, measured)
    _add_server_times(values, measured)
    _add_readings(values, measurement.readings, ProfileRecord.readings())
    for name in ("server_cpu_percent", "host_cpu_cores", "host_memory_bytes"):
        if values[name] is None:
            values["missing"][name] = "the server's process is not known"
    return ProfileRecord.with_reason("too few requests ended", **values)


def server_baseline(
    readings: DeviceReadings,
    *,
    device: Device,
    circumstances: Circumstances,
    host_memory_bytes: int | None = None,
) -> ServerBaseline:
    """Return the record of the server with no model loaded."""
    values: dict[str, Any] = {
        "gpu_type": device.gpu_type,
        "environment": circumstances.environment(device),
        "host_memory_bytes": host_memory_bytes,
        "missing": {},
    }
    if host_memory_bytes is None:
        values["missing"]["host_memory_bytes"] = "the server's process is not known"
    _add_readings(values, readings, ServerBaseline.readings())
    return ServerBaseline.with_reason("not read", **values)


def failed_load_point(
    model_name: str,
    load_point: LoadPoint,
    *,
    stage: str,
    message: str,
    device: Device,
    circumstances: Circumstances,
) -> FailedLoadPoint:
    """Return the record of a load point that could not be measured."""
    return FailedLoadPoint(
        model_name=model_name,
        load_point=load_point,
        gpu_type=device.gpu_type,
        stage=stage,
        message=message,
        environment=circumstances.environment(device),
    )


def _warnings(measured: MeasuredLoad) -> tuple[str, ...]:
    warnings = []
    if not measured.verdict.is_stable:
        warnings.append(f"not stable: {measured.verdict.why}")
    if measured.is_client_limited and measured.open_loop is None:
        warnings.append(
            "the client was the limit: its process was busy, or waiting for a CPU, all "
            "the time; the server can do more"
        )
    if measured.open_loop is not None:
        late = lateness_in_words(measured.open_loop)
        warnings += [] if late is None else [late]
    if measured.load.signature.is_batch_dim_found:
        warnings.append(
            "its inputs' first dimension was taken for the batch, which the model does "
            "not declare: --batch-dim says another, or none"
        )
    num_hits = measured.statistics.num_cache_hits
    if num_hits > 0:
        warnings.append(
            f"the server answered {num_hits} requests from its response cache, though "
            "their inputs differ as far as they can: the model itself does less"
        )
    return tuple(warnings)


def _add_latencies(values: dict[str, Any], measured: MeasuredLoad) -> None:
    count = len(measured.latencies_us)
    open_loop = measured.open_loop
    if open_loop is not None and not measured.verdict.is_stable:
        # Latencies that grow as long as one measures are of the measurement alone.
        for name in ("mean", "p50", "p90", "p95", "p99"):
            values["missing"][f"latency_{name}_us"] = measured.verdict.why
        return
    values["latency_percentiles"] = percentiles_with_intervals(measured.latencies_us)
    if count:
        values["latency_mean_us"] = float(measured.latencies_us.mean())
    for percentile in (50, 90, 95, 99):
        name = f"latency_p{percentile}_us"
        wanted = requests_for_percentile(percentile)
        if count >= wanted:
            values[name] = float(np.percentile(measured.latencies_us, percentile))
        else:
            values["missing"][name] = (
                f"{count} requests ended, a p{percentile} needs {wanted}"
            )


def _add_server_times(values: dict[str, Any], measured: MeasuredLoad) -> None:
    counted = measured.statistics
    for name, total_ns in (
        ("server_queue_us", counted.queue_ns),
        ("server_compute_input_us", counted.compute_input_ns),
        ("server_compute_infer_us", counted.compute_infer_ns),
        ("server_compute_output_us", counted.compute_output_ns),
    ):
        if counted.num_requests > 0:
            values[name] = max(0, total_ns) / counted.num_requests / 1e3


def _add_readings(
    values: dict[str, Any], readings: DeviceReadings, wanted: tuple[str, ...]
) -> None:
    for own in (
        "gpu_utilization_percent",
        "gpu_utilization_mean_percent",
        "memory_utilization_percent",
        "memory_utilization_mean_percent",
        "memory_used_bytes",
        "sm_utilization_percent",
        "sm_occupancy_percent",
        "dram_bandwidth_percent",
        "tensor_activity_percent",
        "power_mean_watts",
        "energy_joules",
    ):
        name = "gpu_memory_used_bytes" if own == "memory_used_bytes" else own
        if name not in wanted:
            continue
        value = getattr(readings, own)
        if value is None:
            values["missing"][name] = readings.missing.get(own) or "not read"
        else:
            values[name] = value


def _input_shapes(load: ModelLoad) -> dict[str, tuple[int, ...]]:
    """Return the sizes of the inputs, the batch dimension left out."""
    signature = load.signature
    shapes = {}
    for spec in signature.inputs:
        if spec.name in load.inputs:
            sizes = list(load.inputs[spec.name].shape)
            axis = signature.batch_axis(spec)
            if axis is not None:
                del sizes[axis]
            shapes[spec.name] = tuple(sizes)
    return shapes


def _input_notes(load: ModelLoad) -> tuple[str, ...]:
    """Return what was done about optional inputs."""
    optional = [spec.name for spec in load.signature.inputs if spec.is_optional]
    left_out = [name for name in optional if name not in load.inputs]
    filled = [name for name in optional if name in load.inputs]
    notes = []
    if left_out:
        notes.append(f"optional inputs left out: {', '.join(left_out)}")
    if filled:
        notes.append(f"optional inputs filled: {', '.join(filled)}")
    return tuple(notes)


@cache
def _operating_system() -> str:
    """Return system, kernel version without a local build's suffix, machine, libc."""
    kernel = platform.release().partition("-")[0]
    libc = "".join(platform.libc_ver())
    return f"{platform.system()}-{kernel}-{platform.machine()}-with-{libc}"


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
