"""Profiles from perf_analyzer's raw request times (``--profile-export-file``).

Throughput is requests × batch size ÷ seconds. Of each request only its times are
looked at: what was sent, and to whom with which token, is not kept.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.agreement.repeats import joined_repeats
from gpupack.importers.perf_analyzer.gaps import (
    DEFAULT_BATCH_SIZE,
    assumptions,
    environment,
    missing_gpu_readings,
    rate_warnings,
)
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.profile_set import ProfileSet
from gpupack.record_lines import describe_validation_error
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint, MeasurementWindow, ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

MALFORMED = (
    *(ValueError, KeyError, TypeError, IndexError),
    *(AttributeError, OverflowError, RecursionError),
)
"""What a JSON text raises that is something else than was expected."""
_CONCURRENCY = "concurrency"


def describe_malformed(err: Exception) -> str:
    """Return what is wrong with a JSON text, without what stands in it."""
    if isinstance(err, json.JSONDecodeError):
        return f"not JSON, or not written to the end: {err.msg} in line {err.lineno}"
    if isinstance(err, KeyError) and err.args:
        return f"{str(err.args[0])[:40]!r} is missing"
    return f"its content is of another shape ({type(err).__name__})"


def parse_perf_analyzer_json(
    export: dict[str, Any],
    where: str,
    *,
    model_name: str,
    batch_size: int | None = None,
    gpu_type: GpuType | None = None,
) -> Reading:
    """Return the profiles in a JSON that perf_analyzer wrote: raw request times.

    Throughput counts the responses between the first and the last window boundary;
    latency percentiles are over the same requests.

    Raises:
        ProfileDataError: If it is not such a file, or has no request to count.
    """
    try:
        version = export.get("version")
        records = [
            _record(
                experiment,
                where,
                model_name=model_name,
                batch_size=batch_size,
                gpu_type=gpu_type or UNKNOWN_GPU_TYPE,
                version=version if isinstance(version, str) else None,
            )
            for experiment in export["experiments"]
        ]
    except ValidationError as err:
        raise ProfileDataError(f"{where}: {describe_validation_error(err)}") from err
    except MALFORMED as err:
        raise ProfileDataError(
            f"{where}: not a profile export of perf_analyzer: {describe_malformed(err)}"
        ) from err
    if not records:
        raise ProfileDataError(f"{where}: the export holds no experiment")
    joined, repeats = joined_repeats(
        records, where=lambda index: f"experiment {index + 1}", source=where
    )
    return Reading(
        ProfileSet(
            records=tuple(joined), notes=tuple(f"{where}: {one}" for one in repeats)
        ),
        (SourceReading(where, "perf_analyzer's request times", len(records)),),
    )


def _record(
    experiment: dict[str, Any],
    where: str,
    *,
    model_name: str,
    batch_size: int | None,
    gpu_type: GpuType,
    version: str | None,
) -> ProfileRecord:
    settings = experiment["experiment"]
    mode, told = str(settings["mode"])[:40], settings.get("value")
    spans = [
        (int(request["timestamp"]), int(request["response_timestamps"][-1]))
        for request in experiment["requests"]
        if request["response_timestamps"]
    ]
    if any(end < start for start, end in spans):
        raise ProfileDataError(
            f"{where}: a response of the experiment of mode {mode!r} is before its "
            "request; of two clocks, or was the file edited? Measure again"
        )
    boundaries = [int(edge) for edge in experiment["window_boundaries"]]
    if len(boundaries) < 2:
        raise ProfileDataError(
            f"{where}: the experiment of mode {mode!r} has no measurement windows "
            "(window_boundaries): the run was stopped before the first ended; measure "
            "again"
        )
    inside = [
        (start, end) for start, end in spans if boundaries[0] <= end <= boundaries[-1]
    ]
    if not inside:
        raise ProfileDataError(
            f"{where}: no response within the windows of the experiment of mode "
            f"{mode!r}; was the file shortened?"
        )
    seconds = (boundaries[-1] - boundaries[0]) / 1e9
    size = batch_size or DEFAULT_BATCH_SIZE
    rate = None if mode == _CONCURRENCY else _rate(told, spans, boundaries)
    latencies_us = np.array([(end - start) / 1000 for start, end in inside])
    windows = tuple(
        MeasurementWindow(
            duration_s=(right - left) / 1e9,
            num_requests=sum(left < end <= right for _, end in inside),
        )
        for left, right in itertools.pairwise(boundaries)
    )
    p50, p90, p95, p99 = (
        float(value) for value in np.percentile(latencies_us, [50, 90, 95, 99])
    )
    return ProfileRecord.with_reason(
        "perf_analyzer's export does not give it",
        model_name=model_name,
        load_point=LoadPoint(
            batch_size=size,
            concurrency=settings["value"] if rate is None else None,
            requests_per_sec=rate,
        ),
        gpu_type=gpu_type,
        environment=environment(where, version=version),
        warnings=(*assumptions(batch_size), *rate_warnings(rate)),
        missing=missing_gpu_readings({}),
        throughput_infer_per_sec=len(inside) * size / seconds,
        latency_mean_us=float(latencies_us.mean()),
        latency_p50_us=p50,
        latency_p90_us=p90,
        latency_p95_us=p95,
        latency_p99_us=p99,
        windows=windows,
    )


def _rate(
    told: object, spans: Sequence[tuple[int, int]], boundaries: Sequence[int]
) -> float:
    """Return the requests sent a second: as asked for, or else as counted."""
    if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
        return float(told)
    sent = sum(boundaries[0] <= start <= boundaries[-1] for start, _ in spans)
    return sent / ((boundaries[-1] - boundaries[0]) / 1e9)
