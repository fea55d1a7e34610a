"""What was decided for a range of budgets: the trade-off between GPUs and yield."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpupack.records.gpu import Headroom
from gpupack.records.placement import PlacementStatus
from gpupack.records.record import Record
from gpupack.units import InferPerSec, Ratio


class FrontierPoint(Record):
    """The best placement known for one number of GPUs or one budget."""

    num_gpus: int = Field(ge=0)
    price_per_hour: float | None = Field(default=None, ge=0)
    """In the caller's currency; None without prices."""
    budget_per_hour: float | None = Field(default=None, ge=0)
    """The most it might cost; None where numbers of GPUs are the budgets."""
    throughput_infer_per_sec: InferPerSec
    bound_infer_per_sec: InferPerSec
    """Proven: no placement within this budget yields more."""
    status: PlacementStatus
    served_share: dict[str, Ratio] = Field(default_factory=dict)
    """Of its demand, or else of what its instances yield, by model name, the worst
    first; empty in files of before this was told."""
    worst_served_share: Ratio | None = None
    """Of the model that gets least."""
    headroom: Headroom | None = None
    """The headroom at which this step appears."""
    label: str | None = None
    """What to write beside the point, such as the fleet in words."""


class FrontierRecord(Record):
    """The trade-off between hardware and throughput, one point per budget."""

    kind: Literal["frontier"] = "frontier"
    schema_version: Literal[1] = 1
    points: tuple[FrontierPoint, ...]
    """In the order of the budget."""
