"""What differs between two placements, GPU by GPU and model by model."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal

from pydantic import Field

from gpupack.records.placement import EqualGpus, PlacedGpus, PlacementRecord
from gpupack.records.profile import LoadPoint
from gpupack.records.record import Record
from gpupack.units import InferPerSec, Ratio

_SAME = 1e-9
"""Rates closer than this share of themselves are the same: sums are rounded."""


class Change(StrEnum):
    """What became of a model instance."""

    STAYS = "stays"
    MOVES = "moves"
    ADDED = "added"
    REMOVED = "removed"


class Move(Record):
    """One model instance before and after; None where it did not exist."""

    model_name: str
    change: Change
    gpu_before: int | None = None
    gpu_after: int | None = None
    """In the numbers of the placement before, of GPUs that match."""
    load_point_before: LoadPoint | None = None
    load_point_after: LoadPoint | None = None

    @property
    def changes_load_point(self) -> bool:
        """Whether it runs at another load point than before."""
        return (
            self.load_point_before is not None
            and self.load_point_after is not None
            and self.load_point_before != self.load_point_after
        )


class ModelSide(Record):
    """All instances of one model in one placement."""

    num_instances: int = Field(ge=1)
    served_infer_per_sec: InferPerSec | None = None
    """Traffic taken by all of them; None without a demand."""
    predicted_infer_per_sec: InferPerSec | None = None
    """Of all of them together; None where one was not predicted."""
    lowest_retention: Ratio | None = None
    """Of the instance that loses most to its neighbours."""


class ModelChange(Record):
    """One model in both placements; None on the side that lacks it."""

    model_name: str
    before: ModelSide | None = None
    after: ModelSide | None = None
    moves: tuple[Move, ...]
    """Its instances, those that stay as well."""

    @property
    def is_changed(self) -> bool:
        """Whether it runs elsewhere, otherwise, or with other traffic."""
        if self.before is None or self.after is None:
            return True
        return (
            any(
                move.change is not Change.STAYS or move.changes_load_point
                for move in self.moves
            )
            or not _is_same(
                self.before.served_infer_per_sec, self.after.served_infer_per_sec
            )
            or not _is_same(
                self.before.predicted_infer_per_sec, self.after.predicted_infer_per_sec
            )
        )


class ComparisonRecord(Record):
    """Two placements, their GPUs matched by what is on them."""

    kind: Literal["comparison"] = "comparison"
    schema_version: Literal[1] = 1
    num_gpus_before: int = Field(ge=0)
    num_gpus_after: int = Field(ge=0)
    gpus_before: dict[str, int]
    """GPUs by the name of their type."""
    gpus_after: dict[str, int]
    price_per_hour_before: float | None = Field(default=None, ge=0)
    price_per_hour_after: float | None = Field(default=None, ge=0)
    currency_before: str | None = None
    currency_after: str | None = None
    num_matched_gpus: int = Field(ge=0)
    """GPUs of the same type that share a model, each at most once."""
    number_by_gpu_after: dict[int, int]
    """By the GPU's own number in the second placement, that of the GPU that it
    matches; of one that matches none, a number that the first does not have."""
    models: tuple[ModelChange, ...]
    """By model name; those that did not change as well."""

    @property
    def is_equal(self) -> bool:
        """Whether both run the same models in the same way at the same price."""
        return (
            self.gpus_before == self.gpus_after
            and _is_same(self.price_per_hour_before, self.price_per_hour_after)
            and not self.has_two_currencies
            and not self.changed_models
        )

    @property
    def has_two_currencies(self) -> bool:
        """Whether the prices are in different currencies, and not to be compared."""
        old, new = self.currency_before, self.currency_after
        return old is not None and new is not None and old.casefold() != new.casefold()

    @property
    def changed_models(self) -> tuple[ModelChange, ...]:
        """The models that changed, by name."""
        return tuple(one for one in self.models if one.is_changed)

    @property
    def moves(self) -> tuple[Move, ...]:
        """Every model instance, by model name; those that stay as well."""
        return tuple(move for one in self.models for move in one.moves)

    @property
    def only_before(self) -> tuple[str, ...]:
        """Models that the second placement does not have."""
        return tuple(one.model_name for one in self.models if one.after is None)

    @property
    def only_after(self) -> tuple[str, ...]:
        """Models that the first placement does not have."""
        return tuple(one.model_name for one in self.models if one.before is None)

    @property
    def shares_models(self) -> bool:
        """Whether any model is in both placements."""
        return any(one.before and one.after for one in self.models)

    def count(self, change: Change) -> int:
        """Return how many model instances changed so."""
        return sum(move.change == change for move in self.moves)

    def renumbered(self, after: PlacementRecord) -> PlacementRecord:
        """Return the second placement with its GPUs numbered as in the first."""
        gpus = sorted(
            (
                EqualGpus.of(run, gpu_index=self.number_by_gpu_after[index], num_gpus=1)
                for run in after.gpus.runs
                for index in run.gpu_indices
            ),
            key=lambda gpu: gpu.gpu_index,
        )
        return after.model_copy(update={"gpus": PlacedGpus(gpus)})


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME)
