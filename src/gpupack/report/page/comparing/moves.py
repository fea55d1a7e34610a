"""What differs between two placements, GPU by GPU and model by model."""

from __future__ import annotations

import math
from bisect import bisect_right
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from gpupack.errors import InvalidInputError
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
    """Equal model instances before and after, each on a GPU of its own.

    What does not exist in a placement is None there.
    """

    model_name: str
    change: Change
    num_instances: int = Field(default=1, ge=1)
    """One on each of as many GPUs that follow each other, the first of them below."""
    gpu_before: int | None = None
    gpu_after: int | None = None
    """In the numbers of the placement before, of GPUs that match."""
    load_point_before: LoadPoint | None = None
    load_point_after: LoadPoint | None = None

    @property
    def gpus_before(self) -> range:
        """The numbers of all GPUs before; none where there was no instance."""
        return self._from(self.gpu_before)

    @property
    def gpus_after(self) -> range:
        """The numbers of all GPUs after, one for each of those before."""
        return self._from(self.gpu_after)

    def _from(self, first: int | None) -> range:
        return range(0) if first is None else range(first, first + self.num_instances)

    @property
    def changes_load_point(self) -> bool:
        """Whether they run at another load point than before."""
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
    """Its instances, those that stay as well; equal ones are counted."""

    def count(self, change: Change) -> int:
        """Return how many of its instances changed so."""
        return sum(one.num_instances for one in self.moves if one.change == change)

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


class RenumberedGpus(Record):
    """GPUs of the second placement that follow each other, by their new numbers."""

    gpu_index: int = Field(ge=0)
    """Of the first, in the second placement."""
    num_gpus: int = Field(default=1, ge=1)
    number: int = Field(ge=0)
    """What the first is called; those that follow have the numbers that follow."""


class ComparisonRecord(Record):
    """Two placements, their GPUs matched by what is on them."""

    kind: Literal["comparison"] = "comparison"
    schema_version: Literal[2] = 2
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
    renumbered_gpus: tuple[RenumberedGpus, ...]
    """Every GPU of the second placement, by its own number, with that of the GPU that
    it matches; one that matches none has a number that the first does not have."""
    models: tuple[ModelChange, ...]
    """By model name; those that did not change as well."""

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, value: object) -> object:
        """Read what version 1 wrote, which had an entry for every instance and GPU."""
        if not isinstance(value, dict) or value.get("schema_version") != 1:
            return value
        numbers = value.get("number_by_gpu_after")
        if not isinstance(numbers, dict):
            return value
        renumbered = [
            {"gpu_index": index, "number": numbers[index]}
            for index in sorted(numbers, key=int)
        ]
        rest = {name: value[name] for name in value if name != "number_by_gpu_after"}
        return rest | {"schema_version": 2, "renumbered_gpus": renumbered}

    @property
    def number_by_gpu_after(self) -> dict[int, int]:
        """What every GPU of the second placement is called, by its own number."""
        return {
            run.gpu_index + place: run.number + place
            for run in self.renumbered_gpus
            for place in range(run.num_gpus)
        }

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
        """Every model instance, equal ones counted; those that stay as well."""
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
        return sum(one.count(change) for one in self.models)

    def renumbered(self, after: PlacementRecord) -> PlacementRecord:
        """Return the second placement with its GPUs numbered as in the first.

        Raises:
            InvalidInputError: If it has GPUs that the compared one does not have.
        """
        firsts = [one.gpu_index for one in self.renumbered_gpus]
        found = []
        for run in after.gpus.runs:
            index, stop = run.gpu_index, run.gpu_indices.stop
            while index < stop:
                place = bisect_right(firsts, index) - 1
                one = self.renumbered_gpus[place] if place >= 0 else None
                end = min(stop, one.gpu_index + one.num_gpus) if one else index
                if one is None or end <= index:
                    raise InvalidInputError(
                        f"GPU {index} is not in the placement that was compared"
                    )
                found.append(
                    EqualGpus.of(
                        run,
                        gpu_index=one.number + index - one.gpu_index,
                        num_gpus=end - index,
                    )
                )
                index = end
        found.sort(key=lambda run: run.gpu_index)
        return after.model_copy(update={"gpus": PlacedGpus(found)})


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME)
