"""A whole placement: what was asked, decided and proved, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gpupack.records.calibration import Calibration
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import Fleet, GpuType, Headroom, is_same_card
from gpupack.records.placement.placed_gpus import EqualGpus, PlacedGpus
from gpupack.records.profile import ProfileRecord, ServerBaseline
from gpupack.records.record import Record
from gpupack.records.request import Objective as Objective
from gpupack.records.request import Request
from gpupack.units import Microseconds, Ratio, Seconds, in_digits


class ObjectiveUnit(StrEnum):
    """What the value and the bound of a placement count."""

    GPUS = "gpus"
    PRICE_PER_HOUR = "price_per_hour"
    INFER_PER_SEC = "infer_per_sec"
    """Weighted, where models have weights."""
    SERVED_SHARE = "served_share"
    """The smallest share of its demand that a model gets."""

    @property
    def is_maximized(self) -> bool:
        """Whether more is better, so that the bound lies above the value."""
        return self in {ObjectiveUnit.INFER_PER_SEC, ObjectiveUnit.SERVED_SHARE}

    @property
    def words(self) -> str:
        """What stands behind a number of this unit."""
        return {
            ObjectiveUnit.GPUS: "GPUs",
            ObjectiveUnit.PRICE_PER_HOUR: "per hour",
            ObjectiveUnit.INFER_PER_SEC: "infer/sec",
            ObjectiveUnit.SERVED_SHARE: "of every demand",
        }[self]

    def told(self, value: float) -> str:
        """Return a number with its unit: "1 GPU", "3.5 per hour"."""
        words = "GPU" if self is ObjectiveUnit.GPUS and value == 1 else self.words
        return f"{in_digits(value, 6)} {words}"


class PlacementStatus(StrEnum):
    """How good a placement is known to be."""

    OPTIMAL = "OPTIMAL"
    """Proved: no placement has a better objective value.

    GPUs and prices exactly; what is served to one part in a million, with its gap."""
    FEASIBLE = "FEASIBLE"
    """Checked, but a better one may exist; the gap says by how much at most."""


class SharingAlternative(Record):
    """What the same models would keep if GPUs were shared in another way."""

    sharing_mode: SharingMode
    lowest_retention: Ratio
    """Of any model, on the GPUs as placed."""
    mean_retention: Ratio
    """Over all models, on the GPUs as placed."""
    num_gpus: int | None = Field(default=None, ge=1)
    """GPUs that the same ``min_retention`` would take; None if none was asked for."""


class OneMoreGpu(Record):
    """What one more GPU would do for the model nearest to its latency limit."""

    gpu_index: int = Field(ge=0)
    """The GPU that the new one would relieve."""
    model_name: str
    latency_percentile: int
    latency_limit_ms: float = Field(gt=0)
    latency_p50_us: Microseconds | None = None
    """As predicted now; None where it grows without end."""
    latency_us: Microseconds | None = None
    """The percentile, likewise."""
    p50_with_it_us: Microseconds
    with_it_us: Microseconds
    """As predicted with the new GPU; of two copies that of the later one."""
    moved: tuple[str, ...] = ()
    """Models of instances that would move to the new GPU."""
    copied: str | None = None
    """The model of which a copy there would take half of the traffic, instead."""


class PlacementRecord(Record):
    """Which model runs where, how good that is, and what proves it."""

    kind: Literal["placement"] = "placement"
    schema_version: Literal[3] = 3
    request: Request | None = None
    """What was asked; None in a file of schema version 1, which did not keep it."""
    objective: Objective
    status: PlacementStatus
    num_gpus: int = Field(ge=0)
    objective_value: float
    """GPUs, price per hour, or infer/sec, whatever the objective counts."""
    objective_unit: ObjectiveUnit = ObjectiveUnit.GPUS
    """``max_throughput`` counts GPUs where no model loses throughput by design: on an
    unlimited fleet, or when nothing was to be chosen; otherwise what is served."""
    bound: float
    """Proven: no placement has a better objective value than this."""
    gap: float = Field(ge=0)
    """Distance between value and bound ÷ value; up to 1e-6 of what is served, the
    precision that placements are checked to, counts as proved."""
    method: str
    """What closed the gap, or the last that tried."""
    found_by: str | None = None
    """What found the placement; None in files of before this was told."""
    proved_by: str | None = None
    """What proved the bound; None in files of before this was told."""
    seconds: Seconds
    """Wall time of the decision; the one field that differs between runs."""
    seed: int
    headroom: Headroom
    fleet: Fleet
    sharing_mode: SharingMode | None = None
    """How models are taken to share a GPU; None on the host device."""
    contention_factor: float | None = Field(default=None, ge=0)
    """What the predicted throughputs rest on; None where nothing was predicted, or GPU
    types differ in it."""
    num_calibration_sets: int = Field(default=0, ge=0)
    """Measured sets that the factor was fitted to; 0 for gpupack's default."""
    predicted_by: dict[str, str] = Field(default_factory=dict)
    """By GPU type, what predictions rest on: a calibration, or defaults of which GPU;
    empty where nothing was predicted."""
    min_retention: dict[str, Ratio] = Field(default_factory=dict)
    """By model, what was asked to be kept; empty if nothing was."""
    sharing_alternatives: tuple[SharingAlternative, ...] = ()
    one_more_gpu: OneMoreGpu | None = None
    """What another GPU would buy of latency; None without limits and traffic."""
    gpus: PlacedGpus
    """Every GPU, by index. Those that hold the same are kept, and written, as one entry
    with their number; ``gpus.runs`` are these entries."""
    warnings: tuple[str, ...] = ()
    profiles: tuple[ProfileRecord, ...] = ()
    """Every profile record that was decided on, also of what was not chosen; in a file
    of schema version 1 those of the placed models. Empty if they were left out."""
    baselines: tuple[ServerBaseline, ...] = ()
    """The server-only baselines that were decided on."""
    calibrations: tuple[Calibration, ...] = ()
    """What was known of the cost of sharing."""

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, value: object) -> object:
        """Read what older versions wrote.

        Version 2 had an entry for every GPU; version 1 also lacks what was asked.
        """
        if isinstance(value, dict) and value.get("schema_version") in {1, 2}:
            return value | {"schema_version": 3}
        return value

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """Return a copy with other values, GPUs in any sequence, which is not checked.

        As pydantic's own.
        """
        if update and not isinstance(update.get("gpus", PlacedGpus()), PlacedGpus):
            update = {**update, "gpus": PlacedGpus(update["gpus"])}
        return super().model_copy(update=update, deep=deep)

    @property
    def currency(self) -> str | None:
        """Of its prices, as it was asked; None where nobody said."""
        return None if self.request is None else self.request.currency

    @property
    def groups(self) -> tuple[PlacedGpus, ...]:
        """The GPUs, those together that are of one type and hold the same.

        By the index of their first; traffic that rounding tells apart is the same.
        """
        found: dict[object, list[EqualGpus]] = {}
        for run in self.gpus.runs:
            found.setdefault(_content(run), []).append(run)
        return tuple(map(PlacedGpus, found.values()))

    @property
    def gpus_by_type(self) -> dict[str, int]:
        """The number of GPUs of each type, by its name, in their order."""
        used: dict[str, int] = {}
        for gpu in self.gpus.runs:
            name = gpu.gpu_type.name
            used[name] = used.get(name, 0) + gpu.num_gpus
        return used

    @property
    def placed_profiles(self) -> tuple[ProfileRecord, ...]:
        """The profile records of the placed models, where they are placed.

        On the GPU types that they are on; on any, of models without records there.
        """
        types_of: dict[str, list[GpuType]] = {}
        for gpu in self.gpus.runs:
            for name in gpu.models:
                types = types_of.setdefault(name, [])
                if gpu.gpu_type not in types:
                    types.append(gpu.gpu_type)
        here = {
            one.key
            for one in self.profiles
            if any(
                is_same_card(one.gpu_type, gpu_type)
                for gpu_type in types_of.get(one.model_name, ())
            )
        }
        known = {name for name, _, _ in here}
        return tuple(
            one
            for one in self.profiles
            if one.key in here
            or (one.model_name in types_of and one.model_name not in known)
        )

    @property
    def proof(self) -> str:
        """What proved the bound, in words: "the volume bound"."""
        return self.proved_by or self.method

    @property
    def served_infer_per_sec(self) -> dict[str, float]:
        """Traffic taken by model name, of models with a demand."""
        served: dict[str, float] = {}
        for gpu in self.gpus.runs:
            for assignment in gpu.assignments:
                if assignment.served_infer_per_sec is not None:
                    served[assignment.model_name] = (
                        served.get(assignment.model_name, 0.0)
                        + gpu.num_gpus * assignment.served_infer_per_sec
                    )
        return served

    @property
    def throughput_infer_per_sec(self) -> float | None:
        """Sum over instances, as measured alone; None if one is not known."""
        total = 0.0
        for gpu in self.gpus.runs:
            for assignment in gpu.assignments:
                if assignment.throughput_infer_per_sec is None:
                    return None
                total += gpu.num_gpus * assignment.throughput_infer_per_sec
        return total


def _content(gpu: EqualGpus) -> object:
    """Return what is equal of GPUs that hold the same."""
    return gpu.gpu_type.name, tuple(
        (
            one.model_name,
            one.load_point,
            *(
                rate and float(f"{rate:.6g}")
                for rate in (one.served_infer_per_sec, one.predicted_infer_per_sec)
            ),
        )
        for one in gpu.assignments
    )
