"""Why a placement is as it is: what binds, what proves it, what would save a GPU."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gpupack.records.gpu import Resource
from gpupack.records.placement import ObjectiveUnit
from gpupack.records.record import Record
from gpupack.records.request import Request
from gpupack.spelling import setting


class ChangeKind(StrEnum):
    """What a change is made to."""

    HEADROOM = "headroom"
    LOAD_POINT = "load_point"
    GPU_TYPE = "gpu_type"
    NUM_GPUS = "num_gpus"
    HOST = "host"
    MIN_RETENTION = "min_retention"
    SHARING = "sharing"


class BindingResource(Record):
    """The resource of GPUs that hold the same that is closest to its limit."""

    gpu_index: int = Field(ge=0)
    """Of the first of them."""
    num_gpus: int = Field(default=1, ge=1)
    """From that index on."""
    resource: Resource
    used_ratio: float = Field(ge=0)
    """Used ÷ what the headroom allows."""

    @property
    def where(self) -> str:
        """The GPUs in words: ``"GPU 3"``, ``"GPUs 4–10"``."""
        if self.num_gpus == 1:
            return f"GPU {self.gpu_index}"
        return f"GPUs {self.gpu_index}–{self.gpu_index + self.num_gpus - 1}"


class ResourceNeed(Record):
    """What one resource alone would take, or let be served."""

    resource: Resource
    value: float = Field(ge=0)
    """The placement's objective if nothing but this resource bound."""
    bound: float = Field(ge=0)
    """Proven: nothing is better."""


class SavingChange(Record):
    """One change, all else equal, that improves the placement."""

    kind: ChangeKind
    change: str
    """In words: what to change from what to what."""
    value: float
    """The objective with the change: GPUs, price per hour, or what is served."""
    saved: float = Field(gt=0)
    """GPUs, or price per hour, less than now; or what is served, more than now."""
    is_more: bool = False
    """Whether the change serves more, and does not take less."""
    unit: ObjectiveUnit | None = None
    """What the value counts, where that is not what the placement's value counts."""
    trade_off: str = ""
    """What is given in return, in words; empty if nothing is."""
    request: Request | None = None
    """``place(profiles, request=...)`` asks with the change; None in placements of
    before requests were kept."""

    def __str__(self) -> str:
        """Return the change in words."""
        direction = "more" if self.is_more else "less"
        value = self.unit.told(self.value) if self.unit else f"{self.value:g}"
        but = f"; {self.trade_off}" if self.trade_off else ""
        return f"{self.change}: {value} ({self.saved:g} {direction}){but}"


class Explanation(Record):
    """What binds, what proves the placement, and which single changes would help."""

    summary: str
    proof: str
    """Why one GPU less, a lower price, or more service is impossible."""
    binding: tuple[BindingResource, ...]
    is_bound_by_retention: bool = False
    """Whether ``min_retention`` takes, or costs, more than all resources together."""
    needs: tuple[ResourceNeed, ...]
    """Per binding resource, the tightest first; empty where prediction counts."""
    changes: tuple[SavingChange, ...]
    notes: tuple[str, ...] = ()
    """What was not tried, and why."""

    @property
    def binding_resource(self) -> Resource | None:
        """The resource that alone takes most; None where ``min_retention`` does."""
        if self.is_bound_by_retention or not self.needs:
            return None
        return self.needs[0].resource

    def __str__(self) -> str:
        """Return the explanation in words."""
        lines = [self.summary, "", f"Proof: {self.proof}", "", "What binds:"]
        lines += [
            f"  {one.where}: {one.resource.value}, {one.used_ratio:.0%} of what may be "
            "used"
            for one in self.binding
        ]
        if self.is_bound_by_retention:
            lines.append(f"  {setting('min_retention')}, overall")
        lines += [f"  {one.resource.value} alone: {one.value:g}" for one in self.needs]
        lines += ["", "Single changes that would help:"]
        lines += [f"  {one}" for one in self.changes] or ["  none of those tried"]
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines)
