"""Profiles on GPU types that nobody measured, scaled from one that was measured.

By what makers publish of both cards. Of every second that a model was measured it
spent the share ``u`` of its GPU utilization on the GPU, which a card ``r`` times as
fast turns into ``u / r``; the rest is spent elsewhere and stays as it is::

    stretch = (1 − u) + u / r
    throughput' = throughput / stretch        GPU utilization' = (u / r) / stretch

``r`` is the least of the ratios of memory bandwidth and of FLOPS: what binds a model is
not known. The share of time in which memory is read is scaled by the bandwidth alone;
what a model takes of memory stays as it is. Latencies, and whether a measurement
settled, are not known of an estimate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.catalogue import FIGURES_BY_NAME, CardFigures
from gpupack.errors import InvalidInputError
from gpupack.quoting import listed
from gpupack.records.gpu import find_gpu_type, is_same_card
from gpupack.records.profile import ProfileRecord, RecordOrigin, ServerBaseline
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet, GpuType


def with_estimates(profiles: ProfileSet, fleet: Fleet) -> ProfileSet:
    """Return the profiles, and estimates on the types of the fleet without any.

    Only a type of which nothing was measured gets estimates: on one GPU type they never
    stand beside measurements.

    Args:
        profiles: What was measured.
        fleet: The GPUs to plan for.

    Raises:
        InvalidInputError: If the catalogue has no figures of such a type, or of any
            that was measured.
    """
    measured = profiles.gpu_types
    lacking = [
        entry.gpu_type
        for entry in fleet.entries
        if not any(is_same_card(entry.gpu_type, one) for one in measured)
    ]
    if not lacking:
        return profiles
    known = [one for one in measured_types(profiles) if figures_of(one) is not None]
    without = [one.name for one in lacking if figures_of(one) is None]
    if without or not known:
        named = listed(without or [one.name for one in measured])
        raise InvalidInputError(
            f"{setting('estimate_unmeasured', True)} needs published figures of "
            f"{named}, and the catalogue has none; it has those of "
            f"{listed(FIGURES_BY_NAME)}. Profile there, or leave it out of "
            f"{setting('gpus')}"
        )
    records, baselines = list(profiles.records), list(profiles.baselines)
    for gpu_type in lacking:
        source = _closest(known, gpu_type)
        records += [
            _scaled(record, gpu_type)
            for record in profiles.records
            if record.gpu_type.name == source.name
        ]
        baselines += [
            _of_other_type(one, gpu_type)
            for one in profiles.baselines
            if one.gpu_type.name == source.name
        ]
    return profiles.model_copy(
        update={"records": tuple(records), "baselines": tuple(baselines)}
    )


def measured_types(profiles: ProfileSet) -> list[GpuType]:
    """Return the GPU types of which something was measured, not only estimated."""
    estimated = set(estimated_types(profiles.records))
    return [one for one in profiles.gpu_types if one.name not in estimated]


def estimated_types(records: Iterable[ProfileRecord]) -> list[str]:
    """Return the names of the GPU types of which records are such estimates."""
    return sorted(
        {one.gpu_type.name for one in records if one.origin is RecordOrigin.SCALED}
    )


def figures_of(gpu_type: GpuType) -> CardFigures | None:
    """Return what the maker publishes of a card, None if the catalogue lacks it."""
    for name, figures in FIGURES_BY_NAME.items():
        if is_same_card(gpu_type, find_gpu_type(name)):
            return figures
    return None


def _closest(measured: Iterable[GpuType], gpu_type: GpuType) -> GpuType:
    """Return the measured type that differs least in speed."""

    def factor(one: GpuType) -> float:
        ratio = speed_ratio(one, gpu_type)
        return max(ratio, 1 / ratio)

    return min(measured, key=lambda one: (factor(one), one.name))


def speed_ratio(source: GpuType, target: GpuType) -> float:
    """Return how many times as fast a card surely is, by the least of its figures."""
    old, new = figures_of(source), figures_of(target)
    if old is None or new is None:
        raise ValueError("the speed of a card that is not in the catalogue")
    return min(
        new.bandwidth_gb_per_sec / old.bandwidth_gb_per_sec,
        new.half_tflops / old.half_tflops,
        new.single_tflops / old.single_tflops,
    )


def _scaled(record: ProfileRecord, gpu_type: GpuType) -> ProfileRecord:
    """Return the estimate of a record on another GPU type."""
    ratio = speed_ratio(record.gpu_type, gpu_type)
    old, new = figures_of(record.gpu_type), figures_of(gpu_type)
    bandwidth = (
        old.bandwidth_gb_per_sec / new.bandwidth_gb_per_sec if old and new else 1.0
    )
    busy = record.gpu_utilization_mean_percent or record.gpu_utilization_percent
    stretch = _stretch(1.0 if busy is None else busy / 100, ratio)
    throughput = record.throughput_infer_per_sec
    values: dict[str, object] = {
        "throughput_infer_per_sec": None if throughput is None else throughput / stretch
    }
    for field, factor in (
        ("gpu_utilization_percent", 1 / ratio),
        ("gpu_utilization_mean_percent", 1 / ratio),
        ("memory_utilization_percent", bandwidth),
        ("memory_utilization_mean_percent", bandwidth),
    ):
        percent = getattr(record, field)
        values[field] = (
            None if percent is None else min(100.0, percent * factor / stretch)
        )
    # A request takes the host as long as it did; the requests are fewer, or more.
    cores = record.host_cpu_cores
    values["host_cpu_cores"] = None if cores is None else cores / stretch
    why = f"estimated from {record.gpu_type.name} by published figures, not measured"
    return ProfileRecord.with_reason(
        why,
        **values,
        missing={
            name: reason
            for name, reason in record.missing.items()
            if name in (*values, "gpu_memory_used_bytes", "host_memory_bytes")
        },
        model_name=record.model_name,
        load_point=record.load_point,
        gpu_type=gpu_type,
        environment=record.environment,
        gpu_memory_used_bytes=record.gpu_memory_used_bytes,
        host_memory_bytes=record.host_memory_bytes,
        num_model_instances=record.num_model_instances,
        origin=RecordOrigin.SCALED,
        scaled_from=record.gpu_type.name,
        helpers=record.helpers,
        helper_memory=record.helper_memory,
    )


def _stretch(busy: float, ratio: float) -> float:
    """Return how many times as long a request takes, of which ``busy`` on the GPU."""
    busy = min(1.0, busy)
    return (1 - busy) + busy / ratio


def _of_other_type(baseline: ServerBaseline, gpu_type: GpuType) -> ServerBaseline:
    """Return the baseline with the memory that the server takes on another type."""
    return ServerBaseline.with_reason(
        f"not measured; the memory is what {baseline.gpu_type.name} had",
        gpu_type=gpu_type,
        environment=baseline.environment,
        gpu_memory_used_bytes=baseline.gpu_memory_used_bytes,
        host_memory_bytes=baseline.host_memory_bytes,
    )
