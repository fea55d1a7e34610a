"""Profiles from perf_analyzer: its CSV (``-f``) and JSON (``--profile-export-file``).

Neither names the model; the CSV does not have the batch size either. Both can be
given by the caller. Throughput is in inferences per second in the CSV, so that the
batch size is only a label there; from the JSON it is requests × batch size ÷ seconds.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.table import TableRow, parse_rows
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.environment import Environment
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint, MeasurementWindow, ProfileRecord
from gpupack.store import describe_validation_error

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_BATCH_SIZE = 1
"""perf_analyzer's own default (its option ``-b``)."""

_MALFORMED = (
    *(ValueError, KeyError, TypeError, IndexError),
    *(AttributeError, OverflowError, RecursionError),
)
_NO_GPU = (
    "perf_analyzer's export has no GPU readings; measure the model with gpupack profile"
)
_AVERAGE_ONLY = (
    "perf_analyzer reports the average GPU utilization, not the highest; measure the "
    "model with gpupack profile"
)
_NO_MEMORY_UTILIZATION = (
    "perf_analyzer does not report memory utilization; measure the model with gpupack "
    "profile"
)


def is_perf_analyzer_table(titles: Iterable[str]) -> bool:
    """Say whether these column titles are perf_analyzer's."""
    return "Inferences/Second" in set(titles)


def _assumptions(batch_size: int | None) -> tuple[str, ...]:
    if batch_size is not None:
        return ()
    return (
        "perf_analyzer's export does not give the batch size; its default of "
        f"{DEFAULT_BATCH_SIZE} was assumed (batch_size= says otherwise)",
    )


def parse_perf_analyzer_csv(
    text: str,
    where: str,
    *,
    model_name: str,
    batch_size: int | None = None,
    gpu_type: GpuType | None = None,
) -> ProfileSet:
    """Return the profiles in a CSV that perf_analyzer wrote.

    Raises:
        ProfileDataError: Naming row, column and value of what cannot be used.
    """
    titles, rows = parse_rows(text, where)
    if "Concurrency" not in titles:
        raise ProfileDataError(
            f"{where}: missing column Concurrency; gpupack reads measurements at "
            "constant concurrency (perf_analyzer --concurrency-range)"
        )
    if not rows:
        raise ProfileDataError(f"{where}: the table has no rows")
    records = []
    for row in rows:
        memory = _per_gpu(row, "Max GPU Memory Usage")
        utilization = _per_gpu(row, "Avg GPU Utilization")
        try:
            records.append(
                ProfileRecord.with_reason(
                    "perf_analyzer's export does not give it",
                    model_name=model_name,
                    load_point=LoadPoint(
                        batch_size=batch_size or DEFAULT_BATCH_SIZE,
                        concurrency=row.whole_number("Concurrency"),
                    ),
                    gpu_type=gpu_type or UNKNOWN_GPU_TYPE,
                    environment=_environment(),
                    warnings=_assumptions(batch_size),
                    missing=_missing_gpu_readings(memory, utilization),
                    throughput_infer_per_sec=row.number("Inferences/Second"),
                    latency_p50_us=row.number("p50 latency"),
                    latency_p90_us=row.number("p90 latency"),
                    latency_p95_us=row.number("p95 latency"),
                    latency_p99_us=row.number("p99 latency"),
                    server_queue_us=row.number("Server Queue"),
                    server_compute_input_us=row.number("Server Compute Input"),
                    server_compute_infer_us=row.number("Server Compute Infer"),
                    server_compute_output_us=row.number("Server Compute Output"),
                    gpu_memory_used_bytes=None if memory is None else round(memory),
                    gpu_utilization_mean_percent=(
                        None if utilization is None else utilization * 100
                    ),
                    power_mean_watts=_per_gpu(row, "Avg GPU Power Usage"),
                )
            )
        except ValidationError as err:
            raise ProfileDataError(
                f"{row.where}: {describe_validation_error(err)}"
            ) from err
    return ProfileSet(records=tuple(records))


def _environment(version: str | None = None) -> Environment:
    return Environment(
        source="perf_analyzer export",
        client_name="perf_analyzer",
        client_version=version,
    )


def _missing_gpu_readings(
    memory: float | None, utilization: float | None
) -> dict[str, str]:
    missing = {"memory_utilization_percent": _NO_MEMORY_UTILIZATION}
    missing["gpu_utilization_percent"] = (
        _NO_GPU if utilization is None else _AVERAGE_ONLY
    )
    if memory is None:
        missing["gpu_memory_used_bytes"] = _NO_GPU
    return missing


def _per_gpu(row: TableRow, column: str) -> float | None:
    """Return the highest of ``uuid:value;uuid:value;``, None if there is none."""
    values = []
    for entry in row.text(column).split(";"):
        text = entry.rpartition(":")[2]
        if text.strip():
            values.append(TableRow(row.where, {column: text}).number(column))
    return max((value for value in values if value is not None), default=None)


def parse_perf_analyzer_json(
    text: str,
    where: str,
    *,
    model_name: str,
    batch_size: int | None = None,
    gpu_type: GpuType | None = None,
) -> ProfileSet:
    """Return the profiles in a JSON that perf_analyzer wrote: raw request times.

    Throughput counts the responses between the first and the last window boundary;
    latency percentiles are over the same requests.

    Raises:
        ProfileDataError: If it is not such a file, or has no request to count.
    """
    try:
        export: dict[str, Any] = json.loads(text)
        experiments = export["experiments"]
        records = [
            _record_of_experiment(
                experiment,
                where,
                model_name=model_name,
                batch_size=batch_size,
                gpu_type=gpu_type or UNKNOWN_GPU_TYPE,
                version=export.get("version"),
            )
            for experiment in experiments
        ]
    except ValidationError as err:
        raise ProfileDataError(f"{where}: {describe_validation_error(err)}") from err
    except _MALFORMED as err:
        raise ProfileDataError(
            f"{where}: not a profile export of perf_analyzer: {quoted(err)}"
        ) from err
    if not records:
        raise ProfileDataError(f"{where}: the export holds no experiment")
    return ProfileSet(records=tuple(records))


def _record_of_experiment(
    experiment: dict[str, Any],
    where: str,
    *,
    model_name: str,
    batch_size: int | None,
    gpu_type: GpuType,
    version: str | None,
) -> ProfileRecord:
    settings = experiment["experiment"]
    if settings["mode"] != "concurrency":
        raise ProfileDataError(
            f"{where}: an experiment in mode {quoted(settings['mode'])}; gpupack reads "
            "those at constant concurrency"
        )
    spans = [
        (int(request["timestamp"]), int(request["response_timestamps"][-1]))
        for request in experiment["requests"]
        if request["response_timestamps"]
    ]
    boundaries = [int(edge) for edge in experiment["window_boundaries"]]
    inside = [
        (start, end) for start, end in spans if boundaries[0] <= end <= boundaries[-1]
    ]
    if not inside:
        raise ProfileDataError(
            f"{where}: no response within the windows at concurrency "
            f"{settings['value']}; was the file shortened?"
        )
    latencies_us = np.array([(end - start) / 1000 for start, end in inside])
    windows = tuple(
        MeasurementWindow(
            duration_s=(right - left) / 1e9,
            num_requests=sum(left < end <= right for _, end in inside),
        )
        for left, right in itertools.pairwise(boundaries)
    )
    seconds = (boundaries[-1] - boundaries[0]) / 1e9
    size = batch_size or DEFAULT_BATCH_SIZE
    p50, p90, p95, p99 = (
        float(value) for value in np.percentile(latencies_us, [50, 90, 95, 99])
    )
    return ProfileRecord.with_reason(
        "perf_analyzer's export does not give it",
        model_name=model_name,
        load_point=LoadPoint(batch_size=size, concurrency=settings["value"]),
        gpu_type=gpu_type,
        environment=_environment(version),
        warnings=_assumptions(batch_size),
        missing=_missing_gpu_readings(None, None),
        throughput_infer_per_sec=len(inside) * size / seconds,
        latency_mean_us=float(latencies_us.mean()),
        latency_p50_us=p50,
        latency_p90_us=p90,
        latency_p95_us=p95,
        latency_p99_us=p99,
        windows=windows,
    )
