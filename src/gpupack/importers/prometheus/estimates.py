"""Profile records of models that had a GPU to themselves: estimates, and so marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.importers.prometheus.gpus import busy_percent, gpu_type_of
from gpupack.importers.prometheus.quantities import Quantity
from gpupack.importers.prometheus.window import moment
from gpupack.records.environment import Environment
from gpupack.records.profile import (
    LoadPoint,
    ProfileRecord,
    RecordOrigin,
    ServerBaseline,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gpupack.importers.prometheus.join import Joined, SeenGpu
    from gpupack.importers.prometheus.readings import Readings
    from gpupack.records.gpu import GpuType
    from gpupack.records.running.observed_cluster import ObservedDemand

_NOT_SEEN = "not to be seen in the metrics of a running cluster"
WARNING = (
    "estimated from what ran: the throughput is the most that one GPU was seen to "
    "serve, not the most it can, at the load that came, not one that was set"
)


@dataclass(frozen=True, slots=True)
class _Busiest:
    """A model alone on a GPU, in the step in which it served the most."""

    gpu: SeenGpu
    step: int
    rate: float
    memory_bytes: int


def estimate_profiles(
    readings: Readings, joined: Joined, demands: Iterable[ObservedDemand]
) -> tuple[ProfileRecord, ...]:
    """Return a record for each model and GPU type that it had to itself, in some step.

    Of all such steps on all such GPUs the one in which most was served, with the GPU's
    utilization in it; and the most memory that any of these GPUs used in such steps,
    the server's own included.
    """
    num_steps = len(readings.steps)
    best: dict[tuple[str, str], _Busiest] = {}
    for gpu in joined.gpus:
        for name, is_alone in alone(gpu, num_steps).items():
            found = _busiest(gpu, name, is_alone, num_steps)
            if found is None:
                continue
            key = name, gpu_type_of(gpu, num_steps).name
            best[key] = _better(best.get(key), found)
    demand_of = {one.model_name: one for one in demands}
    return tuple(
        _record(name, found, readings, demand_of.get(name))
        for (name, _), found in sorted(best.items(), key=lambda item: item[0])
    )


def estimated_baselines(
    estimates: Iterable[ProfileRecord],
) -> tuple[ServerBaseline, ...]:
    """Return the baselines to plan estimates with: an estimate includes its server."""
    types: dict[str, GpuType] = {one.gpu_type.name: one.gpu_type for one in estimates}
    return tuple(
        ServerBaseline.with_reason(
            _NOT_SEEN,
            gpu_type=gpu_type,
            environment=Environment(
                source="Prometheus",
                notes=("0: the server's memory is part of every estimate",),
            ),
            gpu_memory_used_bytes=0,
        )
        for _, gpu_type in sorted(types.items())
    )


def alone(gpu: SeenGpu, num_steps: int) -> dict[str, NDArray[np.bool_]]:
    """Return by model the steps in which nothing else was on a GPU.

    Models without traffic are on it, too, and so are pods that no model is known of.
    """
    if not gpu.is_certain:
        return {}
    there = {name: ~np.isnan(rates) for name, rates in gpu.rates.items()}
    number = sum((on.astype(int) for on in there.values()), np.zeros(num_steps, int))
    others = np.zeros(num_steps, dtype=bool)
    for on in gpu.foreign_pods.values():
        others |= on
    return {name: on & (number == 1) & ~others for name, on in there.items()}


def _busiest(
    gpu: SeenGpu, name: str, is_alone: NDArray[np.bool_], num_steps: int
) -> _Busiest | None:
    memory = gpu.reading(Quantity.MEMORY_USED, num_steps)
    usable = is_alone & ~np.isnan(memory) & ~np.isnan(busy_percent(gpu, num_steps))
    usable &= np.nan_to_num(gpu.rates[name]) > 0
    if not usable.any():
        return None
    rates = np.where(usable, gpu.rates[name], -1.0)
    step = int(np.argmax(rates))
    return _Busiest(
        gpu,
        step,
        float(rates[step]),
        round(float(memory[is_alone & ~np.isnan(memory)].max())),
    )


def _better(before: _Busiest | None, found: _Busiest) -> _Busiest:
    if before is None:
        return found
    first = found if found.rate > before.rate else before
    memory = max(before.memory_bytes, found.memory_bytes)
    return _Busiest(first.gpu, first.step, first.rate, memory)


def _record(
    name: str, found: _Busiest, readings: Readings, demand: ObservedDemand | None
) -> ProfileRecord:
    gpu, step, num_steps = found.gpu, found.step, len(readings.steps)
    busy = float(busy_percent(gpu, num_steps)[step])
    latency_us = demand.latency_mean_us if demand else None
    batch = (demand.mean_request_batch_size if demand else None) or 1.0
    in_flight = found.rate / batch * (latency_us or 0.0) / 1e6  # Little's law
    return ProfileRecord.with_reason(
        _NOT_SEEN,
        model_name=name,
        gpu_type=gpu_type_of(gpu, num_steps),
        load_point=LoadPoint(
            batch_size=max(1, round(batch)), concurrency=max(1, round(in_flight))
        ),
        origin=RecordOrigin.ESTIMATED,
        environment=Environment(
            source="Prometheus",
            measured_at=moment(float(readings.steps.ends_s[step])),
            gpu_uuid=gpu.labels.get("UUID") or None,
            notes=(
                f"the mean of {readings.steps.lengths_s[step]:g} s, read from "
                f"{readings.source}",
            ),
        ),
        throughput_infer_per_sec=found.rate,
        latency_mean_us=latency_us,
        server_queue_us=demand.queue_mean_us if demand else None,
        gpu_utilization_percent=busy,
        gpu_utilization_mean_percent=busy,
        sm_utilization_percent=_at(gpu, Quantity.SM_ACTIVE, step, num_steps),
        dram_bandwidth_percent=_at(gpu, Quantity.DRAM_ACTIVE, step, num_steps),
        gpu_memory_used_bytes=found.memory_bytes,
        warnings=(WARNING,),
    )


def _at(gpu: SeenGpu, quantity: Quantity, step: int, num_steps: int) -> float | None:
    value = float(gpu.reading(quantity, num_steps)[step])
    return None if np.isnan(value) else min(value, 100.0)
