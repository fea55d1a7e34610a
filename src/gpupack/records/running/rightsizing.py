"""How many GPUs would do for what runs, and which could be given back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from gpupack.records.gpu import Headroom
from gpupack.records.placement import PlacementRecord
from gpupack.records.record import Record
from gpupack.units import InferPerSec


class TypeNeed(Record):
    """GPUs of one type: how many there are, and how many would do."""

    gpu_type_name: str
    num_today: int = Field(ge=0)
    num_needed: int = Field(ge=0)
    """Those that are kept as they are included."""
    price_per_hour: float | None = Field(default=None, ge=0)
    """Of one, in the caller's currency."""


class RightsizedGpu(Record):
    """One of today's GPUs, and what would be on it."""

    name: str
    """As in the observed cluster: host and number, or the UUID."""
    gpu_uuid: str | None = None
    gpu_type_name: str
    models_today: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """What would be on it; nothing on one that could be given back."""
    kept_because: str | None = None
    """Why it is left as it is; None for one that was planned."""

    @property
    def is_spare(self) -> bool:
        """Whether it could be given back."""
        return not self.models and self.kept_because is None


class OpenQuestion(Record):
    """Something that what runs does not tell, and the commands that find it out."""

    question: str
    commands: tuple[str, ...] = ()


class RightsizingRecord(Record):
    """How many GPUs would do at the measured demand with this headroom."""

    kind: Literal["rightsizing"] = "rightsizing"
    schema_version: Literal[1] = 1
    source: str
    start: datetime
    """Of the window in which the demand was measured."""
    end: datetime
    percentile: int | None = None
    """Of the demand over time that is planned for; None for its peak."""
    headroom: Headroom
    demand_infer_per_sec: dict[str, InferPerSec] = Field(default_factory=dict)
    """That was planned for, of models that could be planned one by one."""
    types: tuple[TypeNeed, ...]
    gpus: tuple[RightsizedGpu, ...]
    """Every GPU of today."""
    placement: PlacementRecord | None = None
    """The plan of what is not kept as it is; None if all of it is. ``a + b (as
    today)`` stands for models that are not to be told apart, and so stay together."""
    open_questions: tuple[OpenQuestion, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def num_gpus_today(self) -> int:
        """All GPUs of today."""
        return sum(one.num_today for one in self.types)

    @property
    def num_gpus_needed(self) -> int:
        """GPUs that would do, those kept as they are included."""
        return sum(one.num_needed for one in self.types)

    @property
    def spare(self) -> tuple[str, ...]:
        """Names of GPUs that could be given back."""
        return tuple(gpu.name for gpu in self.gpus if gpu.is_spare)

    @property
    def price_today_per_hour(self) -> float | None:
        """Of all GPUs of today; None where a price is not known."""
        return _total([(one.num_today, one.price_per_hour) for one in self.types])

    @property
    def price_needed_per_hour(self) -> float | None:
        """Of the GPUs that would do; None where a price is not known."""
        return _total([(one.num_needed, one.price_per_hour) for one in self.types])


def _total(counts: list[tuple[int, float | None]]) -> float | None:
    total = 0.0
    for number, price in counts:
        if number and price is None:
            return None
        total += number * (price or 0.0)
    return total
