"""Which of a machine's GPUs a model ran on, and what it took there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.model_analyzer.model_analyzer_rows import MeasuredRow

_LEAST_NEED = 1_000_000.0
"""Bytes beyond the server alone that say that a model is on a GPU."""
_LEAST_SHARE = 0.01
"""Of what it takes on its main GPU: less is the driver's own."""
_MEMORY = "gpu_memory_used_bytes"
_BUSY = ("gpu_utilization_mean_percent", "gpu_utilization_percent")


@dataclass(frozen=True, slots=True)
class Baselines:
    """What the server alone takes, by GPU.

    Args:
        by_uuid: In bytes.
        reference_bytes: What records are brought to: the most of any GPU; None if it
            was not measured.
    """

    by_uuid: Mapping[str, float]
    reference_bytes: float | None

    @classmethod
    def of(cls, rows: Sequence[MeasuredRow]) -> Baselines:
        """Return the baselines in rows of the server alone."""
        by_uuid = {
            row.gpu_uuid: row.values[_MEMORY] for row in rows if _MEMORY in row.values
        }
        return cls(by_uuid, max(by_uuid.values(), default=None))

    def of_gpu(self, uuid: str) -> float | None:
        """Return what the server takes on a GPU, as far as that is known."""
        if uuid in self.by_uuid:
            return self.by_uuid[uuid]
        return next(iter(self.by_uuid.values())) if len(self.by_uuid) == 1 else None


class GpuUse(NamedTuple):
    """What a model took of its GPU.

    Args:
        values: By the record's field, memory as on a GPU with the reference baseline.
        gpu_uuids: That served it; several share the throughput in a way not known.
        is_adjusted: Whether the memory was brought to the reference baseline.
    """

    values: Mapping[str, float]
    gpu_uuids: tuple[str, ...]
    is_adjusted: bool = False


def gpu_use(rows: Sequence[MeasuredRow], baselines: Baselines) -> GpuUse:
    """Return what a model took, from one row for each GPU of the machine.

    Where the server alone was measured, the GPUs whose memory grew served the model;
    otherwise those that were busy, and all of them if nothing says.
    """
    if len(rows) == 1:
        base = baselines.of_gpu(rows[0].gpu_uuid)
        if base is None or base == baselines.reference_bytes:
            return GpuUse(rows[0].values, (rows[0].gpu_uuid,))
    used = _serving(rows, baselines)
    values: dict[str, float] = {}
    for name in {name for row in used for name in row.values}:
        if name != _MEMORY:
            values[name] = max(row.values[name] for row in used if name in row.values)
    memories = [
        (row.values[_MEMORY], baselines.of_gpu(row.gpu_uuid))
        for row in used
        if _MEMORY in row.values
    ]
    is_adjusted = False
    reference = baselines.reference_bytes
    if memories:
        brought = [
            memory
            if base is None or reference is None
            else max(0.0, memory - base) + reference
            for memory, base in memories
        ]
        is_adjusted = any(
            base is not None and base != reference for _, base in memories
        )
        values[_MEMORY] = (
            max(brought) if is_adjusted else max(one for one, _ in memories)
        )
    return GpuUse(values, tuple(row.gpu_uuid for row in used), is_adjusted)


def _serving(
    rows: Sequence[MeasuredRow], baselines: Baselines
) -> Sequence[MeasuredRow]:
    if len(rows) <= 1:
        return rows
    needs = [
        None
        if (base := baselines.of_gpu(row.gpu_uuid)) is None or _MEMORY not in row.values
        else row.values[_MEMORY] - base
        for row in rows
    ]
    known = [need for need in needs if need is not None]
    if len(known) == len(rows):
        least = max(_LEAST_NEED, _LEAST_SHARE * max(known))
        grown = [row for row, need in zip(rows, known, strict=True) if need > least]
        if grown:
            return grown
    busy = [row for row in rows if any(row.values.get(name, 0) > 0 for name in _BUSY)]
    return busy or rows
