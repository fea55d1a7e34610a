"""Two placements compared: which model instances moved.

GPU numbers are only labels. So the GPUs of the two placements are matched first,
those with the same models, then those of a type that share the most memory; an
instance has moved when it is not on the GPU that matches its old one. The GPUs of the
second placement are then called by the numbers of those that they match.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from itertools import count
from typing import TYPE_CHECKING

from gpupack.cost import price_per_hour
from gpupack.report.page.model_table import model_rows
from gpupack.report.page.moves import (
    Change,
    ComparisonRecord,
    ModelChange,
    ModelSide,
    Move,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.profile import LoadPoint

    _Memory = tuple[str, tuple[tuple[str, int], ...]]
    """The name of a GPU type, and the memory of each model on a GPU, by name."""


def compare_placements(
    before: PlacementRecord, after: PlacementRecord
) -> ComparisonRecord:
    """Return what became of every model instance of two placements."""
    match = _match_gpus(before, after)
    numbers = _numbers(before, after, match)
    points_before = _load_points(before)
    points_after = {
        name: [(numbers[index], point) for index, point in places]
        for name, places in _load_points(after).items()
    }
    sides_before, sides_after = _sides(before), _sides(after)
    return ComparisonRecord(
        num_gpus_before=before.num_gpus,
        num_gpus_after=after.num_gpus,
        gpus_before=before.gpus_by_type,
        gpus_after=after.gpus_by_type,
        price_per_hour_before=price_per_hour(before),
        price_per_hour_after=price_per_hour(after),
        currency_before=before.currency,
        currency_after=after.currency,
        num_matched_gpus=len(match),
        number_by_gpu_after=numbers,
        models=tuple(
            ModelChange(
                model_name=name,
                before=sides_before.get(name),
                after=sides_after.get(name),
                moves=tuple(
                    _moves_of(
                        name, points_before.get(name, []), points_after.get(name, [])
                    )
                ),
            )
            for name in sorted({*sides_before, *sides_after})
        ),
    )


def _numbers(
    before: PlacementRecord, after: PlacementRecord, match: dict[int, int]
) -> dict[int, int]:
    """Return what each GPU of the second placement is called, by its own number."""
    numbers = {new: old for old, new in match.items()}
    highest = max((gpu.gpu_indices[-1] for gpu in before.gpus.runs), default=-1)
    fresh = count(highest + 1)
    for gpu in after.gpus.runs:
        for index in gpu.gpu_indices:
            if index not in numbers:
                numbers[index] = next(fresh)
    return numbers


def _sides(placement: PlacementRecord) -> dict[str, ModelSide]:
    """Return what each model does in a placement, by name."""
    rows = defaultdict(list)
    for row in model_rows(placement):
        rows[row.model_name].append(row)

    def total(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    def lowest(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return min(1.0, *known) if len(known) == len(values) else None

    return {
        name: ModelSide(
            num_instances=sum(row.num_instances for row in of_model),
            served_infer_per_sec=total([row.served_infer_per_sec for row in of_model]),
            predicted_infer_per_sec=total(
                [row.predicted_infer_per_sec for row in of_model]
            ),
            lowest_retention=lowest([row.lowest_retention for row in of_model]),
        )
        for name, of_model in rows.items()
    }


def _load_points(placement: PlacementRecord) -> dict[str, list[tuple[int, LoadPoint]]]:
    found: dict[str, list[tuple[int, LoadPoint]]] = defaultdict(list)
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            found[one.model_name] += [
                (index, one.load_point) for index in gpu.gpu_indices
            ]
    for places in found.values():
        places.sort(key=lambda place: (place[0], place[1].sort_key))
    return found


def _moves_of(
    name: str,
    before: list[tuple[int, LoadPoint]],
    after: list[tuple[int, LoadPoint]],
) -> list[Move]:
    """Pair the instances of one model: on matching GPUs first, then any."""

    def move(
        change: Change,
        old: tuple[int, LoadPoint] | None,
        new: tuple[int, LoadPoint] | None,
    ) -> Move:
        return Move(
            model_name=name,
            change=change,
            gpu_before=None if old is None else old[0],
            gpu_after=None if new is None else new[0],
            load_point_before=None if old is None else old[1],
            load_point_after=None if new is None else new[1],
        )

    unmatched: dict[int, list[tuple[int, LoadPoint]]] = defaultdict(list)
    for place in after:
        unmatched[place[0]].append(place)
    rest_before = []
    moves = []
    for old in before:
        same = unmatched.get(old[0])
        if not same:
            rest_before.append(old)
            continue
        place = next((one for one in same if one[1] == old[1]), same[0])
        same.remove(place)
        moves.append(move(Change.STAYS, old, place))
    rest_after = [place for places in unmatched.values() for place in places]
    num_moved = min(len(rest_before), len(rest_after))
    for old, new in zip(rest_before, rest_after, strict=False):
        moves.append(move(Change.MOVES, old, new))
    moves += [move(Change.REMOVED, old, None) for old in rest_before[num_moved:]]
    moves += [move(Change.ADDED, None, new) for new in rest_after[num_moved:]]
    return moves


def _match_gpus(before: PlacementRecord, after: PlacementRecord) -> dict[int, int]:
    """Return the GPU after by the GPU before; greedy, each at most once.

    Those with equal contents first, then those of a type that share the most memory.
    """
    match: dict[int, int] = {}
    waiting: dict[object, deque[int]] = defaultdict(deque)
    for gpu in after.gpus.runs:
        waiting[_content(gpu)].extend(gpu.gpu_indices)
    free_before: dict[_Memory, deque[int]] = defaultdict(deque)
    for gpu in before.gpus.runs:
        same = waiting[_content(gpu)]
        for index in gpu.gpu_indices:
            if same:
                match[index] = same.popleft()
            else:
                free_before[_memory(gpu)].append(index)
    taken = set(match.values())
    free_after: dict[_Memory, deque[int]] = defaultdict(deque)
    for gpu in after.gpus.runs:
        free = [index for index in gpu.gpu_indices if index not in taken]
        if free:
            free_after[_memory(gpu)].extend(free)
    for level in _overlaps(free_before, free_after):
        _match_equally_close(level, free_before, free_after, match)
    return match


def _match_equally_close(
    pairs: list[tuple[_Memory, _Memory]],
    free_before: Mapping[_Memory, deque[int]],
    free_after: Mapping[_Memory, deque[int]],
    match: dict[int, int],
) -> None:
    """Match GPUs of pairs of contents that share as much memory, by their numbers."""
    partners: dict[_Memory, list[_Memory]] = defaultdict(list)
    for old, new in pairs:
        partners[old].append(new)
    in_order = sorted((index, old) for old in partners for index in free_before[old])
    for index, old in in_order:
        free = [new for new in partners[old] if free_after[new]]
        if not free:
            continue
        best = min(free, key=lambda new: free_after[new][0])
        match[index] = free_after[best].popleft()
        free_before[old].remove(index)  # the first, or near it


def _content(gpu: GpuPlacement) -> object:
    names = tuple(
        sorted((one.model_name, one.load_point.sort_key) for one in gpu.assignments)
    )
    return gpu.gpu_type.name, names


def _memory(gpu: GpuPlacement) -> _Memory:
    """Return a GPU's type, and the memory of each model on it."""
    memory: Counter[str] = Counter()
    for one in gpu.assignments:
        memory[one.model_name] += max(1, one.memory_bytes)
    return gpu.gpu_type.name, tuple(sorted(memory.items()))


def _overlaps(
    before: Iterable[_Memory], after: Iterable[_Memory]
) -> list[list[tuple[_Memory, _Memory]]]:
    """Return pairs of contents that share a model; those that share most come first.

    A GPU of another type is another GPU, whatever is on it.
    """
    of_model: dict[tuple[str, str], list[tuple[_Memory, int]]] = defaultdict(list)
    for new in after:
        for name, num_bytes in new[1]:
            of_model[new[0], name].append((new, num_bytes))
    levels: dict[int, list[tuple[_Memory, _Memory]]] = defaultdict(list)
    for old in before:
        shared: Counter[_Memory] = Counter()
        for name, num_bytes in old[1]:
            for new, new_bytes in of_model.get((old[0], name), ()):
                shared[new] += min(num_bytes, new_bytes)
        for new, amount in shared.items():
            levels[amount].append((old, new))
    return [levels[amount] for amount in sorted(levels, reverse=True)]
