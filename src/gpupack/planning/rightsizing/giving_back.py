"""Which of today's GPUs carry a plan, so that most models stay where they are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.planning.rightsizing.movable import Movable
    from gpupack.records.placement import GpuPlacement
    from gpupack.records.running.observed_cluster import ObservedGpu


def settle(
    planned: Iterable[GpuPlacement], movable: Movable
) -> dict[int, tuple[str, ...]]:
    """Return the models that each of today's GPUs would have, by ``gpu_index``.

    Equal GPUs are interchangeable; each planned one takes, fullest first, the GPU of
    its type that has most of its models already, of those the one that uses the most
    memory. What no planned GPU takes is spare, and not returned. Planned GPUs beyond
    today's are left out.
    """
    left: dict[str, list[ObservedGpu]] = {}
    for gpu in movable.gpus:
        left.setdefault(gpu.gpu_type.name, []).append(gpu)
    settled: dict[int, tuple[str, ...]] = {}
    for one in sorted(
        planned, key=lambda one: (-len(one.assignments), -one.memory_bytes, one.models)
    ):
        free = left.get(one.gpu_type.name)
        if not free:
            continue
        models = _models_on(one, movable)
        best = max(free, key=lambda gpu: _closeness(models, gpu))
        free.remove(best)
        settled[best.gpu_index] = models
    return settled


def _closeness(models: Iterable[str], gpu: ObservedGpu) -> tuple[int, int, int]:
    common = (Counter(models) & Counter(gpu.models)).total()
    return common, gpu.memory_used_bytes or 0, -gpu.gpu_index


def _models_on(gpu: GpuPlacement, movable: Movable) -> tuple[str, ...]:
    """Return the models on a planned GPU, those that stay together one by one."""
    names: list[str] = []
    for planned in gpu.models:
        names += movable.models_of.get(planned, (planned,))
    return tuple(sorted(names))
