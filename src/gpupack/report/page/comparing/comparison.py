"""Two placements compared: which model instances moved.

GPU numbers are only labels. So the GPUs of the two placements are matched first, and
an instance has moved when it is not on the GPU that matches its old one. The GPUs of
the second placement are then called by the numbers of those that they match. Equal
GPUs are matched, numbered and told together, however many they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from gpupack.cost import price_per_hour
from gpupack.report.page.comparing.matching import (
    MatchedGpus,
    Span,
    by_number,
    match_gpus,
    pair_off,
)
from gpupack.report.page.comparing.moves import (
    Change,
    ComparisonRecord,
    ModelChange,
    ModelSide,
    Move,
    RenumberedGpus,
)
from gpupack.report.page.model_table import model_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpupack.records.placement import PlacementRecord
    from gpupack.records.profile import LoadPoint

    _Pair = tuple["_Instances | None", "_Instances | None"]
    """As many before as after; None where there are none."""


class _Instances(NamedTuple):
    """An instance of one model on each of GPUs that follow each other."""

    load_point: LoadPoint
    gpus: range
    """By their numbers in the first placement."""

    def on(self, gpus: range) -> _Instances:
        """Return those on some of the GPUs."""
        return _Instances(self.load_point, gpus)


class _OfModel:
    """What became of the instances of one model."""

    def __init__(self) -> None:
        self.stay: list[tuple[_Instances, _Instances]] = []
        """On GPUs that match."""
        self.leave: list[_Instances] = []
        self.come: list[_Instances] = []

    def match(self, old: list[LoadPoint], new: list[LoadPoint], gpus: range) -> None:
        """Add what is on GPUs that match; what keeps its load point is paired first."""
        old, new = _in_order(old), _in_order(new)
        pairs: list[tuple[LoadPoint, LoadPoint]] = []
        if old == new:
            pairs += zip(old, new, strict=True)
            old, new = [], []
        elif old and new:
            both = Counter(old) & Counter(new)
            pairs += ((point, point) for point in both.elements())
            old, new = _without(old, both), _without(new, both)
            pairs += zip(old, new, strict=False)
        self.stay += [
            (_Instances(point, gpus), _Instances(other, gpus)) for point, other in pairs
        ]
        self.leave += [_Instances(point, gpus) for point in old[len(new) :]]
        self.come += [_Instances(point, gpus) for point in new[len(old) :]]


def compare_placements(
    before: PlacementRecord, after: PlacementRecord
) -> ComparisonRecord:
    """Return what became of every model instance of two placements."""
    matched = match_gpus(before.gpus.runs, after.gpus.runs)
    fresh = max((run.gpu_indices.stop for run in before.gpus.runs), default=0)
    added = _numbered(matched.only_after, fresh)
    found = _of_models(matched, added)
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
        num_matched_gpus=sum(len(old.gpus) for old, _ in matched.pairs),
        renumbered_gpus=_renumbered(
            [
                *((new.gpus, old.gpus) for old, new in matched.pairs),
                *((new.gpus, numbers) for new, numbers in added),
            ]
        ),
        models=tuple(
            ModelChange(
                model_name=name,
                before=sides_before.get(name),
                after=sides_after.get(name),
                moves=tuple(_moves_of(name, found[name])),
            )
            for name in sorted({*sides_before, *sides_after})
        ),
    )


def _numbered(gpus: Iterable[Span], first: int) -> list[tuple[Span, range]]:
    """Return GPUs with numbers that follow each other, from the first."""
    numbered = []
    for one in gpus:
        numbers = range(first, first + len(one.gpus))
        numbered.append((one, numbers))
        first = numbers.stop
    return numbered


def _renumbered(numbers: list[tuple[range, range]]) -> tuple[RenumberedGpus, ...]:
    """Return GPUs by their own numbers; where both go on, one entry goes on."""
    joined: list[tuple[range, range]] = []
    for own, new in sorted(numbers, key=lambda pair: pair[0].start):
        if joined and (joined[-1][0].stop, joined[-1][1].stop) == (
            own.start,
            new.start,
        ):
            own = range(joined[-1][0].start, own.stop)
            new = range(joined.pop()[1].start, new.stop)
        joined.append((own, new))
    return tuple(
        RenumberedGpus(gpu_index=own.start, num_gpus=len(own), number=new.start)
        for own, new in joined
    )


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


def _of_models(
    matched: MatchedGpus, added: Iterable[tuple[Span, range]]
) -> dict[str, _OfModel]:
    """Return what became of every model's instances, by name."""
    found: dict[str, _OfModel] = defaultdict(_OfModel)
    for old, new in matched.pairs:
        before, after = _load_points(old), _load_points(new)
        for name in {**before, **after}:
            points = before.get(name, []), after.get(name, [])
            found[name].match(*points, old.gpus)
    for old in matched.only_before:
        for name, here in _load_points(old).items():
            found[name].leave += [_Instances(one, old.gpus) for one in here]
    for new, numbers in added:
        for name, here in _load_points(new).items():
            found[name].come += [_Instances(one, numbers) for one in here]
    return found


def _load_points(gpus: Span) -> dict[str, list[LoadPoint]]:
    """Return the load points of each model on one of these GPUs, by name."""
    found: dict[str, list[LoadPoint]] = defaultdict(list)
    for one in gpus.run.assignments:
        found[one.model_name].append(one.load_point)
    return found


def _in_order(points: list[LoadPoint]) -> list[LoadPoint]:
    return sorted(points, key=lambda point: point.sort_key) if points[1:] else points


def _without(points: list[LoadPoint], taken: Counter[LoadPoint]) -> list[LoadPoint]:
    return _in_order(list((Counter(points) - taken).elements()))


def _moves_of(name: str, found: _OfModel) -> Iterator[Move]:
    """Yield the instances of one model: those on GPUs that match first, then any."""
    moved, leave, come = _moved(found.leave, found.come)
    changes: tuple[tuple[Change, Iterable[_Pair]], ...] = (
        (Change.STAYS, found.stay),
        (Change.MOVES, moved),
        (Change.REMOVED, [(one, None) for one in leave]),
        (Change.ADDED, [(None, one) for one in come]),
    )
    for change, pairs in changes:
        yield from _joined([_move(name, change, *pair) for pair in pairs])


def _move(
    name: str, change: Change, old: _Instances | None, new: _Instances | None
) -> Move:
    return Move(
        model_name=name,
        change=change,
        num_instances=len(next(one.gpus for one in (old, new) if one)),
        gpu_before=None if old is None else old.gpus.start,
        gpu_after=None if new is None else new.gpus.start,
        load_point_before=None if old is None else old.load_point,
        load_point_after=None if new is None else new.load_point,
    )


def _moved(
    leave: Iterable[_Instances], come: Iterable[_Instances]
) -> tuple[list[tuple[_Instances, _Instances]], list[_Instances], list[_Instances]]:
    """Pair what leaves with what comes, at equal load points first.

    Returns:
        The pairs, what only leaves, and what only comes.
    """
    leaving, coming = _by_load_point(leave), _by_load_point(come)
    pairs = [
        pair for point, old in leaving.items() for pair in pair_off(old, coming[point])
    ]
    rest_before, rest_after = (
        deque(by_number(chain.from_iterable(found.values())))
        for found in (leaving, coming)
    )
    pairs += pair_off(rest_before, rest_after)
    return pairs, list(rest_before), list(rest_after)


def _by_load_point(
    instances: Iterable[_Instances],
) -> dict[LoadPoint, deque[_Instances]]:
    found: dict[LoadPoint, deque[_Instances]] = defaultdict(deque)
    for one in by_number(instances):
        found[one.load_point].append(one)
    return found


def _joined(moves: list[Move]) -> list[Move]:
    """Return moves by GPU; one that goes on where an equal one ends is one with it.

    A GPU may hold several equal ones, so as many may end there.
    """
    joined: list[Move] = []
    ends: dict[object, list[int]] = defaultdict(list)
    for one in sorted(moves, key=_first_gpu):
        points = one.load_point_before, one.load_point_after
        here = ends[points, one.gpu_before, one.gpu_after]
        if here:
            place = here.pop()
            number = joined[place].num_instances + one.num_instances
            joined[place] = joined[place].model_copy(update={"num_instances": number})
        else:
            place = len(joined)
            joined.append(one)
        following = (
            None if first is None else first + one.num_instances
            for first in (one.gpu_before, one.gpu_after)
        )
        ends[points, *following].append(place)
    return joined


def _first_gpu(move: Move) -> int:
    first = move.gpu_after if move.gpu_before is None else move.gpu_before
    assert first is not None  # it was there before, or is there after
    return first
