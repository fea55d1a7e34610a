"""Today's placement: every GPU with the models last seen on it, and how busy it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.importers.prometheus.quantities import Quantity
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType, is_same_card
from gpupack.records.running.observed_cluster import ObservedGpu
from gpupack.units import bytes_from_mib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gpupack.importers.prometheus.join import Joined, SeenGpu

_LAST_STEPS = 3
"""A server that was not scraped in the last step or two still runs."""
_SAME_MEMORY = 0.03
"""By how much what is used and free may fall short of the catalogue's total: the
exporter leaves out what the driver keeps for itself."""


def observe_gpus(joined: Joined, num_steps: int) -> tuple[ObservedGpu, ...]:
    """Return every GPU, in the order of host and number."""
    return tuple(
        _observe(gpu, index, num_steps) for index, gpu in enumerate(joined.gpus)
    )


def gpu_type_of(gpu: SeenGpu, num_steps: int) -> GpuType:
    """Return the kind of a GPU: the driver's name for it, and its memory.

    The memory is the catalogue's where that knows the card, or else the most that was
    seen used and free together.
    """
    name = gpu.labels.get("modelName", "").strip()
    if not name:
        return UNKNOWN_GPU_TYPE
    profile = gpu.labels.get("GPU_I_PROFILE", "")
    both = gpu.reading(Quantity.MEMORY_USED, num_steps) + gpu.reading(
        Quantity.MEMORY_FREE, num_steps
    )
    seen = None if np.all(np.isnan(both)) else round(float(np.nanmax(both)))
    if gpu.key[1]:
        return GpuType(name=f"{name} MIG {profile}".rstrip(), memory_bytes=seen)
    for known, mib in MEMORY_MIB_BY_NAME.items():
        total = bytes_from_mib(mib)
        here = GpuType(name=name, memory_bytes=total)
        is_near = seen is None or abs(seen - total) <= total * _SAME_MEMORY
        if is_near and is_same_card(GpuType(name=known, memory_bytes=total), here):
            return here
    return GpuType(name=name, memory_bytes=seen)


def busy_percent(gpu: SeenGpu, num_steps: int) -> NDArray[np.float64]:
    """Return the share of time with a kernel running; of a MIG instance, its engine."""
    found = gpu.reading(Quantity.GPU_UTILIZATION, num_steps)
    if gpu.key[1] or np.all(np.isnan(found)):
        found = gpu.reading(Quantity.ENGINE_ACTIVE, num_steps)
    return np.minimum(found, 100.0)


def last_models(gpu: SeenGpu, num_steps: int) -> tuple[str, ...]:
    """Return the models that were on a GPU when it was last seen to have any."""
    for step in range(num_steps - 1, max(-1, num_steps - 1 - _LAST_STEPS), -1):
        there = [name for name, rates in gpu.rates.items() if not np.isnan(rates[step])]
        if there:
            return tuple(sorted(there))
    # A single text has counters, and so models, but no rates.
    return tuple(sorted(gpu.rates)) if num_steps == 1 else ()


def highest(values: NDArray[np.float64]) -> float | None:
    """Return the highest value of all steps, None without any."""
    return None if np.all(np.isnan(values)) else float(np.nanmax(values))


def _observe(gpu: SeenGpu, index: int, num_steps: int) -> ObservedGpu:
    memory = highest(gpu.reading(Quantity.MEMORY_USED, num_steps))
    busy = busy_percent(gpu, num_steps)
    models = last_models(gpu, num_steps)
    pods = _pods(gpu)
    return ObservedGpu(
        gpu_index=index,
        gpu_uuid=gpu.labels.get("UUID") or None,
        mig_instance_id=gpu.key[1] or None,
        host=gpu.labels.get("Hostname") or None,
        device_index=gpu.labels.get("gpu") or None,
        gpu_type=gpu_type_of(gpu, num_steps),
        models=models,
        pods=pods,
        other_pods=tuple(pod for pod in pods if pod not in gpu.pods),
        served_by_model=_served(gpu, models) if gpu.is_certain else {},
        memory_used_bytes=None if memory is None else round(memory),
        gpu_utilization_mean_percent=(
            None if np.all(np.isnan(busy)) else float(np.nanmean(busy))
        ),
        gpu_utilization_peak_percent=highest(busy),
        sm_utilization_peak_percent=_percent(gpu, Quantity.SM_ACTIVE, num_steps),
        dram_bandwidth_peak_percent=_percent(gpu, Quantity.DRAM_ACTIVE, num_steps),
        is_certain=gpu.is_certain,
    )


def _percent(gpu: SeenGpu, quantity: Quantity, num_steps: int) -> float | None:
    found = highest(gpu.reading(quantity, num_steps))
    return None if found is None else min(found, 100.0)


def _pods(gpu: SeenGpu) -> tuple[str, ...]:
    """Return the pods that were there when anything of the GPU was last read."""
    last = [pod for pod, on in gpu.holders.items() if on[-_LAST_STEPS:].any()]
    return tuple(sorted(last or (pod for pod in gpu.pods if pod)))


def _served(gpu: SeenGpu, models: Iterable[str]) -> dict[str, float]:
    rates = {name: highest(gpu.rates[name]) for name in models}
    return {name: rate for name, rate in rates.items() if rate is not None}
