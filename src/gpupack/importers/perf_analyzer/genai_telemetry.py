"""What GenAI-Perf's and AIPerf's telemetry says of each GPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gpupack.importers.model_analyzer.model_analyzer_rows import MeasuredRow
from gpupack.importers.tables.units import Kind, worth


@dataclass(frozen=True, slots=True)
class _Metric:
    """One metric of the GPUs: where its statistics go, and what they measure."""

    kind: Kind
    highest: str | None
    mean: str | None


_TELEMETRY = {
    "gpu_utilization": _Metric(
        Kind.SHARE, "gpu_utilization_percent", "gpu_utilization_mean_percent"
    ),
    "memory_copy_utilization": _Metric(
        Kind.SHARE, "memory_utilization_percent", "memory_utilization_mean_percent"
    ),
    "gpu_memory_used": _Metric(Kind.MEMORY, "gpu_memory_used_bytes", None),
    "gpu_power_usage": _Metric(Kind.POWER, None, "power_mean_watts"),
    "sm_utilization": _Metric(Kind.SHARE, None, "sm_utilization_percent"),
}


def gpu_rows(content: Mapping[str, object]) -> list[MeasuredRow]:
    """Return the readings of each GPU that the telemetry has."""
    rows = []
    endpoints = as_object(as_object(content.get("telemetry_data")).get("endpoints"))
    for endpoint in endpoints.values():
        for name, gpu in as_object(as_object(endpoint).get("gpus")).items():
            told = as_object(gpu)
            metrics = as_object(told.get("metrics"))
            values: dict[str, float] = {}
            for metric, statistics in metrics.items():
                values |= _gpu_values(metric, as_object(statistics), None)
            uuid = told.get("gpu_uuid")
            rows.append(_gpu_row(uuid if isinstance(uuid, str) else str(name), values))
    statistics_by_metric = as_object(content.get("telemetry_stats"))
    names = {
        name
        for statistics in statistics_by_metric.values()
        for name, value in as_object(statistics).items()
        if isinstance(value, dict) and name.startswith("gpu")
    } | {
        name
        for statistics in statistics_by_metric.values()
        for name in as_object(as_object(statistics).get("avg"))
    }
    for name in sorted(names):
        values = {}
        for metric, statistics in statistics_by_metric.items():
            values |= _gpu_values(metric, as_object(statistics), name)
        rows.append(_gpu_row(name, values))
    return [row for row in rows if row.values]


def _gpu_row(uuid: str, values: Mapping[str, float]) -> MeasuredRow:
    return MeasuredRow("", "", gpu_uuid=uuid[:80], values=values)


def _gpu_values(
    metric: str, statistics: Mapping[str, object], gpu: str | None
) -> dict[str, float]:
    """Return one metric's readings of one GPU; both ways of nesting are in use."""
    told = _TELEMETRY.get(metric)
    if told is None:
        return {}
    factor = worth(told.kind, str(statistics.get("unit", "")), is_decimal=True)
    if factor is None:
        return {}
    values = {}
    for statistic, name in (("max", told.highest), ("avg", told.mean)):
        value = statistics.get(statistic)
        if gpu is not None:
            own = as_object(statistics.get(gpu))
            value = own.get(statistic) if own else as_object(value).get(gpu)
        if (
            name is None
            or not isinstance(value, int | float)
            or isinstance(value, bool)
        ):
            continue
        if math.isfinite(value) and value >= 0:
            values[name] = value * factor
    return values


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object, an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
