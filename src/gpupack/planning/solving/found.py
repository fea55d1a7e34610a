"""What a search hands back: filled GPUs with their proof, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.errors import InfeasibleError, NotFoundInTimeError
    from gpupack.planning.contention import Contention
    from gpupack.records.placement import ObjectiveUnit, PlacementStatus
    from gpupack.records.profile import ProfileRecord


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """One instance of a model: its record, and the traffic it takes.

    Args:
        record: At the load point it runs with.
        served_infer_per_sec: None without a demand: it takes what the record says.
    """

    record: ProfileRecord
    served_infer_per_sec: float | None = None

    @property
    def load_ratio(self) -> float:
        """Traffic ÷ throughput as measured: what it uses of the utilizations."""
        throughput = self.record.throughput_infer_per_sec
        if self.served_infer_per_sec is None or not throughput:
            return 1.0
        return min(1.0, self.served_infer_per_sec / throughput)


@dataclass(frozen=True, slots=True)
class FilledGpu:
    """What one GPU holds.

    Args:
        supply: Index of its GPU type among the question's supplies.
        instances: By model name.
    """

    supply: int
    instances: tuple[ModelInstance, ...]


def _count_nothing(_: Contention) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """Filled GPUs, what they are worth, and what was proved of that.

    Args:
        gpus: In the order of the placement. GPUs that hold the same are one object.
        value: In ``unit``.
        bound: No placement is better.
        unit: What value and bound count.
        status: OPTIMAL if the value is proved.
        method: What closed the gap, or ran last.
        found_by: What found the GPUs' contents.
        proved_by: What proved the bound.
        warnings: What a reader of the placement should know.
        count_gpus: Returns how many GPUs the same promise would take if they were
            shared in another way, None if that is not counted.
    """

    gpus: tuple[FilledGpu, ...]
    value: float
    bound: float
    unit: ObjectiveUnit
    status: PlacementStatus
    method: str
    found_by: str
    proved_by: str
    warnings: tuple[str, ...] = ()
    count_gpus: Callable[[Contention], int | None] = _count_nothing

    def is_better_than(self, other: Found) -> bool:
        """Return whether this one is worth more, or costs less, than the other."""
        if self.unit.is_maximized:
            return self.value > other.value
        return self.value < other.value


@dataclass(frozen=True, slots=True)
class Clash:
    """No placement exists, or none was found in time.

    Args:
        error: Returns the error that says why. To find out what clashes takes up to
            six seconds, which who only tries something does not spend.
    """

    error: Callable[[], InfeasibleError | NotFoundInTimeError]
