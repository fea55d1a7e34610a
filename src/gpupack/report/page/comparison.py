"""Two placements compared: which model instances moved.

GPU numbers are only labels. So the GPUs of the two placements are matched first,
those with the same models, then those that share the most memory; an instance has
moved when it is not on the GPU that matches its old one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.profile import LoadPoint


class Change(StrEnum):
    """What became of a model instance."""

    STAYS = "stays"
    MOVES = "moves"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Move:
    """One model instance before and after; None where it did not exist."""

    model_name: str
    change: Change
    gpu_before: int | None
    gpu_after: int | None
    load_point_before: LoadPoint | None
    load_point_after: LoadPoint | None

    @property
    def changes_load_point(self) -> bool:
        """Whether it runs at another load point than before."""
        return (
            self.load_point_before is not None
            and self.load_point_after is not None
            and self.load_point_before != self.load_point_after
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two placements."""

    moves: tuple[Move, ...]
    """Every model instance, by model name; those that stay as well."""
    only_before: tuple[str, ...]
    """Models that the second placement does not have."""
    only_after: tuple[str, ...]
    """Models that the first placement does not have."""
    num_matched_gpus: int

    def count(self, change: Change) -> int:
        """Return how many model instances changed so."""
        return sum(move.change == change for move in self.moves)

    @property
    def shares_models(self) -> bool:
        """Whether any model is in both placements."""
        return any(move.change in (Change.STAYS, Change.MOVES) for move in self.moves)


def compare(before: PlacementRecord, after: PlacementRecord) -> Comparison:
    """Return what became of every model instance of two placements."""
    match = _match_gpus(before, after)
    points_before = _load_points(before)
    points_after = _load_points(after)
    names_before, names_after = set(points_before), set(points_after)
    moves: list[Move] = []
    for name in sorted(names_before | names_after):
        moves += _moves_of(
            name, points_before.get(name, []), points_after.get(name, []), match
        )
    return Comparison(
        moves=tuple(moves),
        only_before=tuple(sorted(names_before - names_after)),
        only_after=tuple(sorted(names_after - names_before)),
        num_matched_gpus=len(match),
    )


def _load_points(placement: PlacementRecord) -> dict[str, list[tuple[int, LoadPoint]]]:
    found: dict[str, list[tuple[int, LoadPoint]]] = defaultdict(list)
    for gpu in placement.gpus:
        for one in gpu.assignments:
            found[one.model_name].append((gpu.gpu_index, one.load_point))
    for places in found.values():
        places.sort(key=lambda place: (place[0], place[1].sort_key))
    return found


def _moves_of(
    name: str,
    before: list[tuple[int, LoadPoint]],
    after: list[tuple[int, LoadPoint]],
    match: dict[int, int],
) -> list[Move]:
    """Pair the instances of one model: on matching GPUs first, then any."""
    rest_after = list(after)
    rest_before = []
    moves = []
    for old_gpu, old_point in before:
        same = [place for place in rest_after if place[0] == match.get(old_gpu)]
        if not same:
            rest_before.append((old_gpu, old_point))
            continue
        place = next((one for one in same if one[1] == old_point), same[0])
        rest_after.remove(place)
        moves.append(Move(name, Change.STAYS, old_gpu, place[0], old_point, place[1]))
    num_moved = min(len(rest_before), len(rest_after))
    for (old_gpu, old_point), (new_gpu, new_point) in zip(
        rest_before, rest_after, strict=False
    ):
        moves.append(Move(name, Change.MOVES, old_gpu, new_gpu, old_point, new_point))
    for old_gpu, old_point in rest_before[num_moved:]:
        moves.append(Move(name, Change.REMOVED, old_gpu, None, old_point, None))
    for new_gpu, new_point in rest_after[num_moved:]:
        moves.append(Move(name, Change.ADDED, None, new_gpu, None, new_point))
    return moves


def _match_gpus(before: PlacementRecord, after: PlacementRecord) -> dict[int, int]:
    """Return the GPU after by the GPU before; greedy, each at most once."""
    match: dict[int, int] = {}
    waiting: dict[object, list[int]] = defaultdict(list)
    for gpu in reversed(after.gpus):
        waiting[_content(gpu)].append(gpu.gpu_index)
    for gpu in before.gpus:
        same = waiting[_content(gpu)]
        if same:
            match[gpu.gpu_index] = same.pop()
    taken = set(match.values())
    free_before = [gpu for gpu in before.gpus if gpu.gpu_index not in match]
    free_after = [gpu for gpu in after.gpus if gpu.gpu_index not in taken]
    for _, old_index, new_index in sorted(_overlaps(free_before, free_after)):
        if old_index not in match and new_index not in taken:
            match[old_index] = new_index
            taken.add(new_index)
    return match


def _content(gpu: GpuPlacement) -> object:
    names = tuple(
        sorted((one.model_name, one.load_point.sort_key) for one in gpu.assignments)
    )
    return gpu.gpu_type.name, names


def _overlaps(
    before: list[GpuPlacement], after: list[GpuPlacement]
) -> list[tuple[int, int, int]]:
    """Return (−shared bytes, GPU before, GPU after) of pairs that share a model."""
    bytes_by_model: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for gpu in after:
        memory: Counter[str] = Counter()
        for one in gpu.assignments:
            memory[one.model_name] += max(1, one.memory_bytes)
        for name, num_bytes in memory.items():
            bytes_by_model[name].append((gpu.gpu_index, num_bytes))
    pairs = []
    for gpu in before:
        memory = Counter()
        for one in gpu.assignments:
            memory[one.model_name] += max(1, one.memory_bytes)
        shared: Counter[int] = Counter()
        for name, num_bytes in memory.items():
            for new_index, new_bytes in bytes_by_model.get(name, ()):
                shared[new_index] += min(num_bytes, new_bytes)
        pairs += [(-amount, gpu.gpu_index, index) for index, amount in shared.items()]
    return pairs
