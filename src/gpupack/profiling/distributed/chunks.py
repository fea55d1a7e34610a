"""Which worker measures what: load points in chunks that one load of a model serves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gpupack.records.profile import LoadPoint, ModelVariant

MAX_DEATHS = 3
"""So many workers may die at a load point before it is given up."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Load points of one variant of a model that one load of it serves.

    Args:
        model_name: The model.
        points: In the order of measurement.
    """

    model_name: str
    points: tuple[LoadPoint, ...]

    @property
    def variant(self) -> ModelVariant | None:
        """Which variant of the model; None where there is one only."""
        return self.points[0].variant

    @property
    def loads(self) -> tuple[LoadPoint, ...]:
        """How it is driven, without the variant."""
        return tuple(one.model_copy(update={"variant": None}) for one in self.points)


class PointsLeft:
    """The load points of one GPU type that no worker has yet.

    Args:
        points: By model, those that are still to be measured.
    """

    def __init__(self, points: Mapping[str, Collection[LoadPoint]]) -> None:
        self._left = {name: set(some) for name, some in points.items() if some}
        self._deaths: Counter[tuple[str, LoadPoint]] = Counter()

    def __len__(self) -> int:
        """Return how many load points no worker has."""
        return sum(map(len, self._left.values()))

    def take(self, num_workers: int, *, last_model: str | None = None) -> Chunk | None:
        """Return what a worker shall measure next, None if nothing is left.

        A model's variant as a whole as long as there is one for each worker, since
        every chunk loads its model anew; then an even share of what is left, so that
        the workers end at about the same time. The model that the worker had last
        comes first, then the one with most left.

        Args:
            num_workers: That measure on this GPU type, this one included.
            last_model: What the worker measured before.
        """
        if not self._left:
            return None
        has_one_for_each = len(self._left) >= num_workers
        most = len(self) if has_one_for_each else -(-len(self) // num_workers)
        name = (
            last_model
            if last_model in self._left
            else max(self._left, key=lambda one: len(self._left[one]))
        )
        ordered = sorted(self._left[name], key=lambda one: one.sort_key)
        variant = ordered[0].variant
        points = [one for one in ordered if one.variant == variant][:most]
        self._left[name].difference_update(points)
        if not self._left[name]:
            del self._left[name]
        return Chunk(name, tuple(points))

    def give_back(self, name: str, points: Collection[LoadPoint]) -> None:
        """Let others measure load points that a worker could not."""
        if points:
            self._left.setdefault(name, set()).update(points)

    def count_death(self, name: str, point: LoadPoint) -> bool:
        """Count a worker's death at a load point; return whether it is given up."""
        self._deaths[name, point] += 1
        return self._deaths[name, point] >= MAX_DEATHS
