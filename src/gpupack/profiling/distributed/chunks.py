"""Which worker measures what: load points in chunks that one load of a model serves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from gpupack.records.profile import LoadPoint

MAX_DEATHS = 3
"""So many workers may die at a load point before it is given up."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Load points of one model that one call of ``profile`` measures.

    Args:
        model_name: The model.
        points: Every batch size at every load, in the order of measurement.
    """

    model_name: str
    points: tuple[LoadPoint, ...]

    @property
    def batch_sizes(self) -> list[int]:
        """Inputs per request."""
        return sorted({one.batch_size for one in self.points})

    @property
    def concurrency(self) -> list[int] | None:
        """Requests kept in flight; None where all are sent at rates."""
        return (
            sorted({one.concurrency for one in self.points if one.concurrency}) or None
        )

    @property
    def request_rates(self) -> list[float] | None:
        """Requests sent a second; None where all are kept in flight."""
        rates = {one.requests_per_sec for one in self.points if one.requests_per_sec}
        return sorted(rates) or None


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

        A whole model as long as there is one for each worker, since every chunk loads
        its model anew; then an even share of what is left, so that the workers end at
        about the same time. The model that the worker had last comes first, then the
        one with most left.

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
        rows: dict[int, list[LoadPoint]] = {}
        for point in sorted(self._left[name], key=lambda one: one.sort_key):
            rows.setdefault(point.batch_size, []).append(point)
        first = next(iter(rows.values()))
        points = first[:most]
        if len(first) < most:
            alike = [row for row in rows.values() if _loads(row) == _loads(first)]
            points = [one for row in alike[: most // len(first)] for one in row]
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


def _loads(row: Sequence[LoadPoint]) -> list[tuple[int | None, float | None]]:
    return [(one.concurrency, one.requests_per_sec) for one in row]
