"""Two placements compared: which model instances moved.

GPU numbers are only labels. So the GPUs of the two placements are matched first,
those with the same models, then those of a type that share the most memory; an
instance has moved when it is not on the GPU that matches its old one. The GPUs of the
second placement are then called by the numbers of those that they match.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.profile import LoadPoint


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
        gpus_before=dict(Counter(gpu.gpu_type.name for gpu in before.gpus)),
        gpus_after=dict(Counter(gpu.gpu_type.name for gpu in after.gpus)),
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
    highest = max((gpu.gpu_index for gpu in before.gpus), default=-1)
    fresh = count(highest + 1)
    for gpu in after.gpus:
        if gpu.gpu_index not in numbers:
            numbers[gpu.gpu_index] = next(fresh)
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

    rest_after = list(after)
    rest_before = []
    moves = []
    for old in before:
        same = [place for place in rest_after if place[0] == old[0]]
        if not same:
            rest_before.append(old)
            continue
        place = next((one for one in same if one[1] == old[1]), same[0])
        rest_after.remove(place)
        moves.append(move(Change.STAYS, old, place))
    num_moved = min(len(rest_before), len(rest_after))
    for old, new in zip(rest_before, rest_after, strict=False):
        moves.append(move(Change.MOVES, old, new))
    moves += [move(Change.REMOVED, old, None) for old in rest_before[num_moved:]]
    moves += [move(Change.ADDED, None, new) for new in rest_after[num_moved:]]
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
    """Return (−shared bytes, GPU before, GPU after) of pairs that share a model.

    A GPU of another type is another GPU, whatever is on it.
    """
    bytes_by_model: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for gpu in after:
        memory: Counter[str] = Counter()
        for one in gpu.assignments:
            memory[one.model_name] += max(1, one.memory_bytes)
        for name, num_bytes in memory.items():
            here = gpu.gpu_type.name, name
            bytes_by_model[here].append((gpu.gpu_index, num_bytes))
    pairs = []
    for gpu in before:
        memory = Counter()
        for one in gpu.assignments:
            memory[one.model_name] += max(1, one.memory_bytes)
        shared: Counter[int] = Counter()
        for name, num_bytes in memory.items():
            for new_index, new_bytes in bytes_by_model.get(
                (gpu.gpu_type.name, name), ()
            ):
                shared[new_index] += min(num_bytes, new_bytes)
        pairs += [(-amount, gpu.gpu_index, index) for index, amount in shared.items()]
    return pairs
