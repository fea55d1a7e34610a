"""What a placement promised, and what came of it on a real GPU."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from gpupack.records.colocation import CoLocation
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LatencyPercentile, LoadPoint
from gpupack.records.record import Record
from gpupack.units import InferPerSec, NumBytes, Ratio, Seconds


class Outcome(StrEnum):
    """What became of the promises about one model instance."""

    KEPT = "kept"
    BROKEN = "broken by neighbors"
    """Beside its neighbors it does less than was promised, and they are why."""
    SLOWER_ALONE = "slower alone than profiled"
    """It does less than was promised, and most of what is missing was missing alone
    already: it is not what was profiled."""
    FAILED = "failed"
    """It did not load, or did not answer."""
    NOT_JUDGED = "not known"
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
    has_failed: bool = False
    """Whether it did not load, or did not answer."""
    retention_low: float | None = Field(default=None, ge=0)
    """Lower end of the 95 % interval of what it keeps, by rounds of alone and together;
    None where there were none."""
    retention_high: float | None = Field(default=None, ge=0)
    """Upper end."""
    together_ci_ratio: Ratio | None = None
    """Half-width of the 95 % interval of its throughput together ÷ throughput."""
    profiled_infer_per_sec: InferPerSec | None = None
    """Its throughput alone as it was profiled."""
    profiled_low_infer_per_sec: InferPerSec | None = None
    """What another load of it may have alone by its profile, at least; None where one
    load was profiled, so that nobody knows."""
    num_rounds: int | None = Field(default=None, ge=1)
    """Rounds in which it was measured together; None where it was at one go."""
    measured_s: Seconds | None = None
    """How long was measured, of all models of the GPU."""
    latency_limit_ms: float | None = Field(default=None, gt=0)
    """That was promised of it at its traffic; None if none was."""
    latency: LatencyPercentile | None = None
    """Measured beside its neighbors, of the percentile that the limit is about."""
    not_judged: str | None = None
    """Why nothing can be said about the promises; None if something can."""
    doubt_ratio: float | None = Field(default=None, ge=0)
    """Half-width of the interval in which the promise lies that is not judged: of the
    throughput ÷ throughput, or of what is kept; None if all are judged, or there is no
    interval."""

    @property
    def outcome(self) -> Outcome:
        """Kept, broken by neighbors, slower alone, failed, or not known."""
        if self.has_failed:
            return Outcome.FAILED
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
    def is_broken(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.broken)

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept: none broken, and none that is not known."""
        return not self.broken and all(one.not_judged is None for one in self.models)
