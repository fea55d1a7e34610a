"""Profiles from the summaries of GenAI-Perf and AIPerf (``profile_export_*.json``).

A summary has requests a second, request latencies and, with telemetry, what the GPUs
were doing; its configuration has the model and the load. Nothing else of it is kept:
command lines, headers and inputs hold tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.model_analyzer.model_analyzer_gpus import Baselines, gpu_use
from gpupack.importers.perf_analyzer.gaps import rate_warnings
from gpupack.importers.perf_analyzer.genai_telemetry import as_object, gpu_rows
from gpupack.importers.perf_analyzer.perf_analyzer_json import (
    MALFORMED,
    describe_malformed,
)
from gpupack.importers.tables.layout.csv_text import first_titles
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.importers.tables.units import Kind, worth
from gpupack.profile_set import ProfileSet
from gpupack.record_lines import describe_validation_error
from gpupack.records.environment import Environment
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint, ProfileRecord
from gpupack.spelling import setting

SUMMARY_PATTERNS = ("*_aiperf.json", "*_genai_perf.json")
"""Names of summaries in a folder of artifacts."""
_NO_GPU = (
    "the summary has no GPU telemetry (--gpu-telemetry, with NVIDIA's DCGM exporter); "
    "measure the model with gpupack profile"
)
_OF_ALL_GPUS = (
    *("throughput_infer_per_sec", "latency_mean_us", "latency_p50_us"),
    *("latency_p90_us", "latency_p95_us", "latency_p99_us", "power_mean_watts"),
    *("gpu_utilization_percent", "gpu_utilization_mean_percent"),
    *("memory_utilization_percent", "memory_utilization_mean_percent"),
)
_RESERVED = (
    "a server of language models reserves the GPU memory that it is told to: what was "
    "used is that, rather than what the model needs"
)


_LATENCIES = {
    "avg": "latency_mean_us",
    **{f"p{one}": f"latency_p{one}_us" for one in (50, 90, 95, 99)},
}


def is_summary(content: object) -> bool:
    """Say whether a JSON object is a summary of GenAI-Perf or AIPerf."""
    if not isinstance(content, dict):
        return False
    return any(
        isinstance(content.get(name), dict) and "unit" in content[name]
        for name in ("request_throughput", "request_latency")
    )


def refuse_other_artifacts(content: object, where: str) -> None:
    """Raise what there is to say of a file beside a summary.

    Raises:
        ProfileDataError: If it is a file of single requests, or of their inputs.
    """
    if not isinstance(content, dict):
        return
    found = ""
    if isinstance(content.get("metadata"), dict) and "metrics" in content:
        found = "AIPerf's records of single requests"
    elif isinstance(content.get("data"), list) and len(content) <= 2:
        found = "the inputs of GenAI-Perf or AIPerf"
    elif isinstance(content.get("gpu_utilization"), dict):
        found = "GPU telemetry without the requests that caused it"
    if found:
        raise ProfileDataError(
            f"{where}: these are {found}; give the summary beside it "
            f"({' or '.join(SUMMARY_PATTERNS)})"
        )


def is_summary_table(text: str) -> bool:
    """Say whether a table is a summary of GenAI-Perf or AIPerf as CSV."""
    return {"metric", "avg"} <= {title.casefold() for title in first_titles(text)}


def refuse_summary_table(where: str) -> NoReturn:
    """Raise what there is to say of a summary's CSV, which lacks model and load.

    Raises:
        ProfileDataError: Always.
    """
    raise ProfileDataError(
        f"{where}: a summary of GenAI-Perf or AIPerf as CSV, which has neither model "
        f"nor load; give the JSON beside it ({' or '.join(SUMMARY_PATTERNS)})"
    )


def parse_summary(
    content: Mapping[str, object],
    where: str,
    *,
    model_name: str | None = None,
    batch_size: int | None = None,
    gpu_type: GpuType | None = None,
) -> Reading:
    """Return the profile in a summary of GenAI-Perf or AIPerf.

    Args:
        content: The summary.
        where: Name of its file for messages.
        model_name: Taken in place of the one it names.
        batch_size: Inputs of one request; None takes what it says, or else 1.
        gpu_type: What was measured on.

    Raises:
        ProfileDataError: If it says no model or load, or of several models together.
    """
    try:
        record, notes = _record(
            content, where, model_name, batch_size, gpu_type or UNKNOWN_GPU_TYPE
        )
    except ValidationError as err:
        raise ProfileDataError(f"{where}: {describe_validation_error(err)}") from err
    except MALFORMED as err:
        raise ProfileDataError(
            f"{where}: not a whole summary of GenAI-Perf or AIPerf: "
            f"{describe_malformed(err)}"
        ) from err
    what = "a summary of GenAI-Perf or AIPerf"
    return Reading(
        ProfileSet(
            records=(record,), notes=tuple(f"{where}: {note}" for note in notes)
        ),
        (SourceReading(where, what, 1),),
    )


def _record(
    content: Mapping[str, object],
    where: str,
    model_name: str | None,
    batch_size: int | None,
    gpu_type: GpuType,
) -> tuple[ProfileRecord, list[str]]:
    config = as_object(content.get("input_config"))
    name = model_name or _model_name(config, where)
    size = batch_size or _inputs_per_request(config)
    point = _load_point(config, size, where)
    values = _request_values(content, size, where)
    missing: dict[str, str] = {}
    gpus = gpu_rows(content)
    use = gpu_use(gpus, Baselines({}, None))
    values |= use.values
    if len(use.gpu_uuids) > 1:
        reason = (
            f"it was served by {len(use.gpu_uuids)} GPUs together; what one of them "
            "gives is not known"
        )
        missing = {one: reason for one in _OF_ALL_GPUS if one in values}
        values = {one: value for one, value in values.items() if one not in missing}
    memory = values.pop("gpu_memory_used_bytes", None)
    is_cancelled = content.get("was_cancelled") is True
    errors = as_object(content.get("error_request_count")).get("avg")
    warnings = [*rate_warnings(point.requests_per_sec)]
    if is_cancelled:
        warnings.append("the run was cancelled before its end")
    if isinstance(errors, int | float) and errors > 0:
        warnings.append(f"{errors:g} requests failed")
    for reading in ("gpu_utilization_percent", "memory_utilization_percent"):
        if reading not in values and reading not in missing:
            missing[reading] = _NO_GPU if not gpus else "the telemetry does not give it"
    if memory is None:
        missing["gpu_memory_used_bytes"] = missing.get(
            "gpu_memory_used_bytes", _NO_GPU if not gpus else "not in the telemetry"
        )
    record = ProfileRecord.with_reason(
        "the summary does not give it",
        model_name=name,
        load_point=point,
        gpu_type=gpu_type,
        environment=_environment(content, where, use.gpu_uuids),
        warnings=tuple(warnings),
        missing=missing,
        gpu_memory_used_bytes=None if memory is None else round(memory),
        is_stable=False if is_cancelled else None,
        **values,
    )
    return record, [_RESERVED] if memory is not None else []


def _request_values(
    content: Mapping[str, object], batch_size: int, where: str
) -> dict[str, float]:
    values: dict[str, float] = {}
    throughput = _statistic(content, "request_throughput", "avg", Kind.RATE, where)
    if throughput:
        values["throughput_infer_per_sec"] = throughput * batch_size
    for statistic, name in _LATENCIES.items():
        value = _statistic(content, "request_latency", statistic, Kind.TIME, where)
        if value is not None:
            values[name] = value
    return values


def _statistic(
    content: Mapping[str, object], metric: str, statistic: str, kind: Kind, where: str
) -> float | None:
    """Return a metric's statistic in the record's unit.

    Raises:
        ProfileDataError: If its unit is not known.
    """
    found = as_object(content.get(metric))
    value = found.get(statistic)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    unit = str(found.get("unit", ""))
    factor = worth(kind, "requests/s" if unit == "per sec" else unit, is_decimal=True)
    if factor is None:
        raise ProfileDataError(
            f"{where}: {metric} is in {unit[:20]!r}, which is no unit of it"
        )
    if not math.isfinite(value) or value < 0:
        raise ProfileDataError(
            f"{where}: {metric} is {value}; it must be a finite number ≥ 0"
        )
    return value * factor


def _model_name(config: Mapping[str, object], where: str) -> str:
    found = _first_value(config, ("model_names", "model"), ("endpoint.model_names",))
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, Sequence) or not all(
        isinstance(one, str) for one in names
    ):
        names = []
    if not names:
        raise ProfileDataError(
            f"{where}: the summary names no model; say which it was "
            f"({setting('model_name')})"
        )
    if len(names) > 1:
        raise ProfileDataError(
            f"{where}: {' and '.join(names)} were measured together; measure each alone"
        )
    return str(names[0])


def _inputs_per_request(config: Mapping[str, object]) -> int:
    """Return how many inputs a request has: 1 but for models that take several.

    A chat's texts and images are one prompt, whatever their number.
    """
    kind = _first_value(config, ("endpoint_type",), ("endpoint.type",))
    takes_several = any(word in str(kind) for word in _TAKE_SEVERAL)
    paths = (
        *("batch_size", "input.batch_size"),
        *(_SIZES_BY_KIND if takes_several else ()),
    )
    sizes = [_first(config, (path,), (), positive=True) for path in paths]
    return int(max((size for size in sizes if size is not None), default=1))


_TAKE_SEVERAL = ("embed", "rank", "retriev")
_SIZES_BY_KIND = (
    *("batch_size_text", "batch_size_image"),
    *("input.prompt.batch_size", "input.image.batch_size"),
)


def _load_point(config: Mapping[str, object], size: int, where: str) -> LoadPoint:
    places = ("loadgen", "perf_analyzer.stimulus", "load_generator")
    rate = _first(
        config,
        ("request_rate",),
        [f"{one}.request_rate" for one in places],
        positive=True,
    )
    concurrency = _first(
        config,
        ("concurrency",),
        [f"{one}.concurrency" for one in places],
        positive=True,
    )
    if rate is not None:
        return LoadPoint(batch_size=size, requests_per_sec=float(rate))
    if concurrency is None:
        raise ProfileDataError(
            f"{where}: the summary says neither the concurrency nor the request rate "
            "that the model was driven at, so that its throughput is of no load point; "
            "measure at a constant one (--concurrency or --request-rate)"
        )
    return LoadPoint(batch_size=size, concurrency=int(concurrency))


def _first_value(
    config: Mapping[str, object], names: Sequence[str], paths: Sequence[str]
) -> object:
    for path in (*names, *paths):
        found: object = config
        for part in path.split("."):
            found = as_object(found).get(part)
        if found not in (None, "", []):
            return found
    return None


def _first(
    config: Mapping[str, object],
    names: Sequence[str],
    paths: Sequence[str],
    *,
    positive: bool,
) -> float | None:
    """Return the first of these that is a number, a single one in a list too."""
    for path in (*names, *paths):
        found = _first_value(config, (path,), ())
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        if is_number and (not positive or found > 0):  # type: ignore[operator]
            return float(found)  # type: ignore[arg-type]
    return None


def _environment(
    content: Mapping[str, object], where: str, gpu_uuids: Sequence[str]
) -> Environment:
    names = sorted(
        {
            str(name)[:80]
            for endpoint in as_object(
                as_object(content.get("telemetry_data")).get("endpoints")
            ).values()
            for gpu in as_object(as_object(endpoint).get("gpus")).values()
            if (name := as_object(gpu).get("gpu_name"))
        }
    )
    version = content.get("aiperf_version")
    return Environment(
        source=f"GenAI-Perf or AIPerf summary {where}",
        client_name="AIPerf" if "telemetry_data" in content else "GenAI-Perf or AIPerf",
        client_version=version[:40] if isinstance(version, str) else None,
        gpu_uuid=gpu_uuids[0] if len(gpu_uuids) == 1 else None,
        notes=(f"the GPU calls itself {', '.join(names)}",) if names else (),
    )


def load_json(text: str, where: str) -> object:
    """Return the content of a JSON text.

    Raises:
        ProfileDataError: If it is none; what it says is not repeated.
    """
    try:
        return json.loads(text)
    except MALFORMED as err:
        raise ProfileDataError(f"{where}: {describe_malformed(err)}") from err
