"""Which worker measures what: load points in chunks that one load of a model serves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.records.profile import LoadPoint

MAX_DEATHS = 3
"""So many workers may die at a load point before it is given up."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Load points of one model: every batch size at every concurrency."""

    model_name: str
    batch_sizes: tuple[int, ...]
    concurrency: tuple[int, ...]

    @property
    def keys(self) -> tuple[tuple[int, int], ...]:
        """Batch size and concurrency of each, in the order of measurement."""
        return tuple(
            (size, in_flight)
            for size in self.batch_sizes
            for in_flight in self.concurrency
        )


class PointsLeft:
    """The load points of one GPU type that no worker has yet.

    Args:
        points: By model, those that are still to be measured.
    """

    def __init__(self, points: dict[str, list[LoadPoint]]) -> None:
        self._left: dict[str, set[tuple[int, int]]] = {
            name: {(one.batch_size, one.concurrency or 1) for one in of_model}
            for name, of_model in points.items()
            if of_model
        }
        self._deaths: Counter[tuple[str, tuple[int, int]]] = Counter()

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
        left = self._left[name]
        rows: dict[int, tuple[int, ...]] = {}
        for size, in_flight in sorted(left):
            rows[size] = (*rows.get(size, ()), in_flight)
        first = next(iter(rows))
        if len(rows[first]) >= most:
            chunk = Chunk(name, (first,), rows[first][:most])
        else:
            alike = [size for size, row in rows.items() if row == rows[first]]
            chunk = Chunk(name, tuple(alike[: most // len(rows[first])]), rows[first])
        left -= set(chunk.keys)
        if not left:
            del self._left[name]
        return chunk

    def give_back(self, name: str, keys: Iterable[tuple[int, int]]) -> None:
        """Let others measure load points that a worker could not."""
        self._left.setdefault(name, set()).update(keys)
        if not self._left[name]:
            del self._left[name]

    def count_death(self, name: str, key: tuple[int, int]) -> bool:
        """Count a worker's death at a load point; return whether it is given up."""
        self._deaths[name, key] += 1
        return self._deaths[name, key] >= MAX_DEATHS
