"""Two measurements of the same models made one, as if there had been a pause."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gpupack.profiling import Measurement
    from gpupack.profiling.devices import DeviceReadings
    from gpupack.profiling.measuring import MeasuredLoad
    from gpupack.profiling.server import ModelStatistics

_HIGHEST = (
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "memory_used_bytes",
)


def joined(first: Measurement, second: Measurement) -> Measurement:
    """Return both as one: counts and latencies of both, means by their lengths.

    The kernel probe is the first one's that has any.
    """
    weights = (first.duration_s, second.duration_s)
    return replace(
        first,
        loads=tuple(
            _joined_load(one, other, weights)
            for one, other in zip(first.loads, second.loads, strict=True)
        ),
        duration_s=sum(weights),
        readings=_joined_readings(first.readings, second.readings, weights),
        server_cpu_percent=_mean(
            first.server_cpu_percent, second.server_cpu_percent, weights
        ),
        server_memory_bytes=max(
            (
                one
                for one in (first.server_memory_bytes, second.server_memory_bytes)
                if one is not None
            ),
            default=None,
        ),
        probe=first.probe or second.probe,
        turns=first.turns or second.turns,
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _joined_load(
    first: MeasuredLoad, second: MeasuredLoad, weights: tuple[float, float]
) -> MeasuredLoad:
    rates = (first.throughput_infer_per_sec, second.throughput_infer_per_sec)
    rate = _mean(*rates, weights)
    ratios = [one for one in (first.ci_ratio, second.ci_ratio) if one is not None]
    ratio = None
    if rate and ratios and all(rates):
        # Within each, and how far the two are apart.
        apart = abs((rates[0] or rate) - (rates[1] or rate)) / 2 / rate
        ratio = max(apart, float(np.hypot.reduce(ratios)) / len(ratios))
    return replace(
        first,
        throughput_infer_per_sec=rate,
        ci_ratio=ratio,
        latencies_us=np.concatenate([first.latencies_us, second.latencies_us]),
        windows=(*first.windows, *second.windows),
        verdict=first.verdict if not first.verdict.is_stable else second.verdict,
        statistics=_summed(first.statistics, second.statistics),
        client_cpu_percent=_mean(
            first.client_cpu_percent, second.client_cpu_percent, weights
        ),
        is_client_limited=first.is_client_limited or second.is_client_limited,
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _summed(first: ModelStatistics, second: ModelStatistics) -> ModelStatistics:
    return replace(
        first,
        **{
            field.name: getattr(first, field.name) + getattr(second, field.name)
            for field in fields(first)
        },
    )


def _joined_readings(
    first: DeviceReadings, second: DeviceReadings, weights: tuple[float, float]
) -> DeviceReadings:
    found: dict[str, Any] = {}
    for field in fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "clocks" or isinstance(one, dict):
            continue
        if field.name == "energy_joules" and None not in (one, other):
            found[field.name] = one + other
        elif field.name in _HIGHEST and None not in (one, other):
            found[field.name] = max(one, other)
        else:
            found[field.name] = _mean(one, other, weights)
    return replace(second, **found, missing=first.missing | second.missing)


def _mean(
    first: float | None, second: float | None, weights: tuple[float, float]
) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return (weights[0] * first + weights[1] * second) / sum(weights)
