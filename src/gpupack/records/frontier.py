"""What was decided for a range of budgets: the trade-off between GPUs and yield."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

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
    """The trade-off between hardware and throughput, one step per budget.

    Of schema version 2; version 1, whose steps were called points, is read.
    """

    kind: Literal["frontier"] = "frontier"
    schema_version: Literal[2] = 2
    steps: tuple[FrontierPoint, ...]
    """In the order of the budget."""

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, value: object) -> object:
        """Read what version 1 wrote."""
        if isinstance(value, dict) and "points" in value:
            rest = {name: one for name, one in value.items() if name != "points"}
            if rest.get("schema_version", 1) == 1 and "steps" not in rest:
                return rest | {"schema_version": 2, "steps": value["points"]}
        return value

    @property
    def points(self) -> tuple[FrontierPoint, ...]:
        """The steps, as points of a chart."""
        return self.steps
