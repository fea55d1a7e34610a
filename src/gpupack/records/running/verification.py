"""What a placement promised, and what came of it on a real GPU."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from gpupack.records.colocation import CoLocation
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LatencyPercentile, LoadPoint
from gpupack.records.record import Record
from gpupack.units import InferPerSec, NumBytes, Ratio


class Outcome(StrEnum):
    """What became of the promises about one model instance."""

    KEPT = "kept"
    BROKEN = "broken"
    """Beside its neighbors it does less than was promised."""
    SLOWER_ALONE = "slower alone"
    """It does less than was promised, and did so alone already: the neighbors take no
    more than was predicted, but it is not what was profiled."""
    NOT_JUDGED = "not judged"
    """What was measured is too uncertain to tell."""


class ModelVerdict(Record):
    """One model instance beside its neighbors: promised against measured."""

    model_name: str = Field(min_length=1)
    load_point: LoadPoint
    promised_infer_per_sec: InferPerSec | None = None
    """The traffic planned for it; without a demand what was predicted together, or
    its throughput alone where nothing was predicted."""
    alone_infer_per_sec: InferPerSec | None = None
    """Measured now, with the neighbors loaded but idle; at most the planned traffic."""
    together_infer_per_sec: InferPerSec | None = None
    """Measured now, beside its neighbors."""
    predicted_retention: Ratio | None = None
    min_retention: Ratio | None = None
    """What was asked to be kept; None if nothing was."""
    is_client_limited: bool | None = None
    """Whether the load generator, not the server, set the throughput."""
    broken: str | None = None
    """Which promise was broken, in words; None if none was."""
    is_slower_alone: bool = False
    """Whether it was broken alone already: slower than profiled, not for neighbors."""
    latency_limit_ms: float | None = Field(default=None, gt=0)
    """That was promised of it at its traffic; None if none was."""
    latency: LatencyPercentile | None = None
    """Measured beside its neighbors, of the percentile that the limit is about."""
    not_judged: str | None = None
    """Why nothing can be said about the promises; None if something can."""

    @property
    def outcome(self) -> Outcome:
        """Kept, broken, slower alone than profiled, or not judged."""
        if self.broken is not None:
            return Outcome.SLOWER_ALONE if self.is_slower_alone else Outcome.BROKEN
        return Outcome.KEPT if self.not_judged is None else Outcome.NOT_JUDGED

    @property
    def retention(self) -> float | None:
        """Measured together ÷ measured alone."""
        if self.together_infer_per_sec is None or not self.alone_infer_per_sec:
            return None
        return self.together_infer_per_sec / self.alone_infer_per_sec


class GpuVerification(Record):
    """One GPU of a placement, run."""

    kind: Literal["gpu_verification"] = "gpu_verification"
    schema_version: Literal[1] = 1
    placed: str
    """A digest of what was run, on which device and server and how, so that a run can
    be resumed."""
    gpu_index: int = Field(ge=0)
    sharing_mode: SharingMode | None = None
    models: tuple[ModelVerdict, ...]
    memory_predicted_bytes: NumBytes
    memory_measured_bytes: NumBytes | None = None
    """Highest used memory, the server included; None where it cannot be read."""
    broken: tuple[str, ...] = ()
    """Every broken promise of this GPU, in words."""
    warnings: tuple[str, ...] = ()
    measurements: tuple[CoLocation, ...] = ()
    """The models alone, then together: what a calibration is fitted to."""

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken
