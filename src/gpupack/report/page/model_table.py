"""The placed models, one row per model and load point."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from gpupack.units import counted_sum_if_known

if TYPE_CHECKING:
    from gpupack.records.placement import Assignment, EqualGpus, PlacementRecord
    from gpupack.records.profile import LoadPoint

_MOST_PLACES = 12
"""GPU numbers written out per row before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """All instances of one model at one load point."""

    model_name: str
    load_point: LoadPoint
    num_instances: int
    num_gpus: int
    first_gpu_indices: tuple[int, ...]
    """As many as are written out."""
    memory_bytes: int
    """Of one instance."""
    gpu_utilization_percent: float | None
    memory_utilization_percent: float | None
    alone_infer_per_sec: float | None
    """Sum over the instances, as measured alone."""
    served_infer_per_sec: float | None
    predicted_infer_per_sec: float | None
    lowest_retention: float | None
    """Of the instance that loses most to its neighbours."""

    @property
    def places(self) -> str:
        """The GPUs in words: ``"0, 3, 7 and 40 more"``."""
        shown = ", ".join(map(str, self.first_gpu_indices))
        more = self.num_gpus - len(self.first_gpu_indices)
        return f"{shown} and {more:,} more" if more > 0 else shown


def model_rows(placement: PlacementRecord) -> tuple[ModelRow, ...]:
    """Return one row per model and load point, by name."""
    groups: dict[tuple[str, object], list[tuple[EqualGpus, Assignment]]]
    groups = defaultdict(list)
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            key = (one.model_name, one.load_point.sort_key)
            groups[key].append((gpu, one))
    return tuple(_row(groups[key]) for key in sorted(groups))


def _row(group: list[tuple[EqualGpus, Assignment]]) -> ModelRow:
    runs = sorted({gpu.gpu_index: gpu for gpu, _ in group}.items())
    indices = chain.from_iterable(gpu.gpu_indices for _, gpu in runs)
    assignments = [one for _, one in group]
    retentions = [one.retention for one in assignments]
    known = [one for one in retentions if one is not None]
    return ModelRow(
        model_name=assignments[0].model_name,
        load_point=assignments[0].load_point,
        num_instances=sum(gpu.num_gpus for gpu, _ in group),
        num_gpus=sum(gpu.num_gpus for _, gpu in runs),
        first_gpu_indices=tuple(islice(indices, _MOST_PLACES)),
        memory_bytes=max(one.memory_bytes for one in assignments),
        gpu_utilization_percent=_highest(
            [one.gpu_utilization_percent for one in assignments]
        ),
        memory_utilization_percent=_highest(
            [one.memory_utilization_percent for one in assignments]
        ),
        alone_infer_per_sec=counted_sum_if_known(
            [(gpu.num_gpus, one.throughput_infer_per_sec) for gpu, one in group]
        ),
        served_infer_per_sec=counted_sum_if_known(
            [(gpu.num_gpus, one.served_infer_per_sec) for gpu, one in group]
        ),
        predicted_infer_per_sec=counted_sum_if_known(
            [(gpu.num_gpus, one.predicted_infer_per_sec) for gpu, one in group]
        ),
        lowest_retention=min(known) if len(known) == len(retentions) else None,
    )


def _highest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
