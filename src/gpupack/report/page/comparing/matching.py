"""Which GPU of one placement is which of another, equal ones matched together."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from gpupack.records.placement import EqualGpus

    _Model = tuple[str, str]
    """A model on a GPU type: the name of the type, then the model's."""

_MOST_PAIRS = 1_000_000
"""Pairs of different contents whose shared memory is computed: some seconds. Beyond it,
GPUs that share nothing but the most common models are matched by their numbers."""


class Counted(Protocol):
    """What is the same on GPUs that follow each other."""

    @property
    def gpus(self) -> range:
        """Their numbers."""

    def on(self, gpus: range) -> Self:
        """Return the same on some of them."""


C = TypeVar("C", bound=Counted)


class Span(NamedTuple):
    """Some of the equal GPUs of a placement, which follow each other."""

    run: EqualGpus
    gpus: range
    """By their numbers in their placement."""

    def on(self, gpus: range) -> Span:
        """Return some of them."""
        return Span(self.run, gpus)


class MatchedGpus(NamedTuple):
    """The GPUs of two placements, each in one of these."""

    pairs: list[tuple[Span, Span]]
    """As many before as after, of one type."""
    only_before: list[Span]
    only_after: list[Span]


@dataclass(slots=True, eq=False)
class _Alike:
    """GPUs of one placement that wait, with as much of the same models on each."""

    memory: dict[_Model, int]
    """Of each model on one of them; bytes."""
    spans: deque[Span] = field(default_factory=deque)
    """By number."""


def match_gpus(before: Iterable[EqualGpus], after: Iterable[EqualGpus]) -> MatchedGpus:
    """Match GPUs greedily, each at most once.

    Those with equal contents first, then those of a type that share the most memory;
    of equally close ones those with the lowest numbers.
    """
    pairs: list[tuple[Span, Span]] = []
    same_before, same_after = _by_content(before), _by_content(after)
    for content, old in same_before.items():
        pairs += pair_off(old, same_after[content])
    like_before = _alike(chain.from_iterable(same_before.values()))
    like_after = _alike(chain.from_iterable(same_after.values()))
    old_with, new_with = _by_model(like_before), _by_model(like_after)
    num_pairs = {
        model: len(old_with[model]) * len(new_with[model])
        for model in old_with.keys() & new_with.keys()
    }
    models = sorted(num_pairs, key=lambda model: (num_pairs[model], model))
    num_rare = bisect_right(
        list(accumulate(num_pairs[model] for model in models)), _MOST_PAIRS
    )
    rare, common = models[:num_rare], models[num_rare:]
    for level in _overlaps(old_with, new_with, rare, common):
        pairs += _equally_close(level)
    for model in common:
        pairs += _with_one_model(old_with[model], new_with[model])
    return MatchedGpus(pairs, _rest(like_before), _rest(like_after))


def pair_off(before: deque[C], after: deque[C]) -> Iterator[tuple[C, C]]:
    """Yield pairs on as many GPUs, taken from the left of both until one is empty."""
    while before and after:
        yield _first_pair(before, after)


def by_number(spans: Iterable[C]) -> list[C]:
    """Return what there is by the number of its first GPU."""
    return sorted(spans, key=lambda one: one.gpus.start)


def _first_pair(before: deque[C], after: deque[C]) -> tuple[C, C]:
    old, new = before.popleft(), after.popleft()
    number = min(len(old.gpus), len(new.gpus))
    for waiting, one in ((before, old), (after, new)):
        if len(one.gpus) > number:
            waiting.appendleft(one.on(one.gpus[number:]))
    return old.on(old.gpus[:number]), new.on(new.gpus[:number])


def _by_content(runs: Iterable[EqualGpus]) -> dict[object, deque[Span]]:
    """Return GPUs by type, models and load points."""
    found: dict[object, deque[Span]] = defaultdict(deque)
    for one in by_number(Span(run, run.gpu_indices) for run in runs):
        models = sorted(
            (one.model_name, one.load_point.sort_key) for one in one.run.assignments
        )
        found[one.run.gpu_type.name, tuple(models)].append(one)
    return found


def _alike(spans: Iterable[Span]) -> list[_Alike]:
    found: dict[object, _Alike] = {}
    for span in by_number(spans):
        memory: Counter[_Model] = Counter()
        for one in span.run.assignments:
            memory[span.run.gpu_type.name, one.model_name] += max(1, one.memory_bytes)
        key = span.run.gpu_type.name, frozenset(memory.items())
        found.setdefault(key, _Alike(memory)).spans.append(span)
    return list(found.values())


def _by_model(alike: Iterable[_Alike]) -> dict[_Model, list[_Alike]]:
    found: dict[_Model, list[_Alike]] = defaultdict(list)
    for one in alike:
        for model in one.memory:
            found[model].append(one)
    return found


def _rest(alike: Iterable[_Alike]) -> list[Span]:
    return by_number(span for one in alike for span in one.spans)


def _overlaps(
    old_with: dict[_Model, list[_Alike]],
    new_with: dict[_Model, list[_Alike]],
    models: Iterable[_Model],
    others: Iterable[_Model],
) -> list[list[tuple[_Alike, _Alike]]]:
    """Return pairs that share one of the models; those that share most come first.

    A GPU of another type is another GPU, whatever is on it. Pairs that share as much
    memory, of the other models too, are together.
    """
    shared: dict[_Alike, dict[_Alike, int]] = defaultdict(dict)
    for model in models:
        new_sizes = [(new, new.memory[model]) for new in new_with[model]]
        for old in old_with[model]:
            close, old_size = shared[old], old.memory[model]
            for new, size in new_sizes:
                close[new] = close.get(new, 0) + min(old_size, size)
    for model in others:
        for old in old_with[model]:
            close = shared.get(old, {})
            for new in close:
                close[new] += min(old.memory[model], new.memory.get(model, 0))
    levels: dict[int, list[tuple[_Alike, _Alike]]] = defaultdict(list)
    for old, close in shared.items():
        for new, amount in close.items():
            levels[amount].append((old, new))
    return [levels[amount] for amount in sorted(levels, reverse=True)]


def _equally_close(
    level: Iterable[tuple[_Alike, _Alike]],
) -> Iterator[tuple[Span, Span]]:
    """Match GPUs of pairs that share as much memory, by their numbers."""
    partners: dict[_Alike, list[_Alike]] = defaultdict(list)
    for old, new in level:
        if old.spans and new.spans:
            partners[old].append(new)
    waiting = [(span, old) for old in partners for span in old.spans]
    waiting.sort(key=lambda entry: entry[0].gpus.start)
    for old in partners:
        old.spans = deque()
    for span, old in waiting:
        rest = deque([span])
        while rest and (free := [new for new in partners[old] if new.spans]):
            yield _first_pair(rest, min(free, key=_first_number).spans)
        old.spans += rest


def _first_number(alike: _Alike) -> int:
    return alike.spans[0].gpus.start


def _with_one_model(
    before: list[_Alike], after: list[_Alike]
) -> Iterator[tuple[Span, Span]]:
    """Match any GPUs of two placements, by their numbers."""
    old, new = deque(_rest(before)), deque(_rest(after))
    owners = [
        {span.run.gpu_index: one for one in alike for span in one.spans}
        for alike in (before, after)
    ]
    for one in (*before, *after):
        one.spans = deque()
    yield from pair_off(old, new)
    for rest, owner in zip((old, new), owners, strict=True):
        for span in rest:
            owner[span.run.gpu_index].spans.append(span)
