"""Why a placement is as it is: what binds, what proves it, what would save a GPU."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gpupack.records.gpu import Resource
from gpupack.records.record import Record


class ChangeKind(StrEnum):
    """What a change is made to."""

    HEADROOM = "headroom"
    LOAD_POINT = "load_point"
    GPU_TYPE = "gpu_type"


class BindingResource(Record):
    """The resource of one GPU that is closest to its limit."""

    gpu_index: int = Field(ge=0)
    resource: Resource
    used_ratio: float = Field(ge=0)
    """Used ÷ what the headroom allows."""


class ResourceNeed(Record):
    """What one resource alone would take."""

    resource: Resource
    value: float = Field(ge=0)
    """The placement's objective if nothing but this resource bound."""
    bound: float = Field(ge=0)
    """Proven: it cannot be less."""


class SavingChange(Record):
    """One change, all else equal, that improves the placement."""

    kind: ChangeKind
    change: str
    """In words: what to change from what to what."""
    value: float
    """The objective with the change: GPUs, or price per hour."""
    saved: float = Field(gt=0)
    """GPUs, or price per hour, less than now."""


class Explanation(Record):
    """What binds, what proves the placement, and which single changes would help."""

    summary: str
    proof: str
    """Why one GPU less, or a lower price, is impossible."""
    binding: tuple[BindingResource, ...]
    needs: tuple[ResourceNeed, ...]
    """Per binding resource, the most demanding first; empty where service counts."""
    changes: tuple[SavingChange, ...]
    notes: tuple[str, ...] = ()
    """What was not tried, and why."""

    @property
    def binding_resource(self) -> Resource | None:
        """The resource that alone takes most; None where service counts."""
        return self.needs[0].resource if self.needs else None

    def __str__(self) -> str:
        """Return the explanation in words."""
        lines = [self.summary, "", f"Proof: {self.proof}", "", "What binds:"]
        lines += [
            f"  GPU {one.gpu_index}: {one.resource.value}, {one.used_ratio:.0%} of "
            "what may be used"
            for one in self.binding
        ]
        lines += [f"  {one.resource.value} alone: {one.value:g}" for one in self.needs]
        lines += ["", "Single changes that would help:"]
        lines += [
            f"  {one.change}: {one.value:g} ({one.saved:g} less)"
            for one in self.changes
        ] or ["  none of those tried"]
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines)
