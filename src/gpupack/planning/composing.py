# Long because what models share, and all that follows of it, stands in one place.
"""Memory of models that share composing models: a GPU holds each of those once.

An ensemble, or a model that calls others in its code, is measured with its composing
models. Its memory has two parts: its own, and that of each composing model, as its
record says (``helper_memory``). On one GPU

- own parts add up;
- a composing model is there as often as the model that needs most of it has copies:
  once for two ensembles that call it, twice for two replicas of one of them, which
  were measured with one each;
- where the composing model is placed on the GPU itself, its callers use that one.

A configuration or version of its own makes it another composing model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from gpupack.packing import Overlap
from gpupack.quoting import quoted, quoted_all
from gpupack.records.placement import SharedModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpupack.packing import Rule
    from gpupack.records.profile import ModelVariant, ProfileRecord

    Counts = Iterable[tuple[int, int]]


class ComposingModel(NamedTuple):
    """What makes a composing model another one."""

    name: str
    versions: tuple[int, ...]
    variant: str


@dataclass(frozen=True, slots=True)
class _Calls:
    """What one record takes, in bytes.

    Args:
        model_name: Of the record.
        own: All that it takes.
        rest: Without any composing model.
        parts: Of each composing model that some other model may share.
    """

    model_name: str
    own: int
    rest: int
    parts: Mapping[ComposingModel, int]

    @property
    def base(self) -> int:
        """What it takes whoever is beside it."""
        return self.own - sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class _Sharing:
    """One composing model on one GPU."""

    model: ComposingModel
    callers: tuple[str, ...]
    memory_bytes: int
    saved_bytes: int


class SharedMemory:
    """The memory of sets of models, of which some may call the same ones.

    What a set takes depends on that set alone, not on which records there are besides.

    Args:
        records: Of models on GPUs of one type.
        own_bytes: Of each record, what it takes beside the server, its composing
            models included.
    """

    def __init__(
        self, records: Sequence[ProfileRecord], own_bytes: Sequence[int]
    ) -> None:
        every = [_parts(*one) for one in zip(records, own_bytes, strict=True)]
        callers: dict[ComposingModel, set[str]] = {}
        for record, parts in zip(records, every, strict=True):
            for model in parts:
                callers.setdefault(model, set()).add(record.model_name)
        of_name: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            of_name.setdefault(record.model_name, []).append(index)
        served_by = {
            model: frozenset(
                index
                for index in of_name.get(model.name, ())
                if _is_as(records[index], model)
            )
            for model in callers
        }
        shared = {
            model
            for model, names in callers.items()
            if len(names) > 1 or served_by[model]
        }
        self._served_by = {model: served_by[model] for model in sorted(shared)}
        self._calls = [
            _Calls(
                record.model_name,
                own,
                own - sum(parts.values()),
                {model: size for model, size in parts.items() if model in shared},
            )
            for record, own, parts in zip(records, own_bytes, every, strict=True)
        ]

    @property
    def is_shared(self) -> bool:
        """Whether some set of the records takes less than their sum."""
        return any(size for one in self._calls for size in one.parts.values())

    def total_bytes(self, counts: Counts) -> int:
        """Return what copies on one GPU take beside the server.

        Never less with a copy more, and never more than the sum.

        Args:
            counts: Pairs (index of the record, copies).
        """
        counts = tuple(counts)
        saved = sum(one.saved_bytes for one in self._sharing(counts))
        return self.most_bytes(counts) - saved

    def most_bytes(self, counts: Counts) -> int:
        """Return what copies would take if they shared nothing."""
        return sum(self._calls[index].own * copies for index, copies in counts)

    def shared_models(self, counts: Counts) -> tuple[SharedModel, ...]:
        """Return the composing models that several models on one GPU call."""
        return tuple(
            SharedModel(
                model_name=one.model.name,
                callers=one.callers,
                memory_bytes=one.memory_bytes,
                saved_bytes=one.saved_bytes,
            )
            for one in self._sharing(tuple(counts))
        )

    def _sharing(self, counts: tuple[tuple[int, int], ...]) -> list[_Sharing]:
        needed: dict[ComposingModel, dict[str, list[tuple[int, int]]]] = {}
        for index, copies in counts:
            one = self._calls[index]
            for model, size in one.parts.items():
                of_caller = needed.setdefault(model, {})
                of_caller.setdefault(one.model_name, []).append((size, copies))
        found = []
        placed: set[str] = set()
        for model in sorted(needed):
            of_caller = needed[model]
            # A model that is placed is one of those that are called by its name.
            there = [
                (self._calls[index].rest, copies)
                for index, copies in counts
                if index in self._served_by[model] and model.name not in placed
            ]
            callers = sorted({*of_caller, model.name} if there else of_caller)
            if len(callers) == 1:
                continue
            if there:
                placed.add(model.name)
            totals = [
                sum(size * copies for size, copies in some)
                for some in of_caller.values()
            ]
            most = max(
                total
                - sum(
                    min(rest, *(size for size, _ in some)) * copies
                    for rest, copies in there
                )
                for total, some in zip(totals, of_caller.values(), strict=True)
            )
            size = max(size for some in of_caller.values() for size, _ in some)
            saved = sum(totals) - max(0, most)
            found.append(_Sharing(model, tuple(callers), size, saved))
        return found

    @property
    def own_bytes(self) -> list[int]:
        """What a copy of each record takes whoever is beside it."""
        return [one.base for one in self._calls]

    @property
    def needs(self) -> list[list[list[tuple[int, int]]]]:
        """Of each composing model, what copies of each caller need of it.

        Pairs (index of the record, bytes); less than 0 where the record is the
        composing model itself. On a GPU it takes at least what the neediest needs.
        """
        found = []
        for model, served_by in self._served_by.items():
            of_caller: dict[str, list[tuple[int, int]]] = {}
            for index, one in enumerate(self._calls):
                if model in one.parts:
                    part = index, one.parts[model]
                    of_caller.setdefault(one.model_name, []).append(part)
            for parts in of_caller.values():
                most = max(size for _, size in parts)
                parts += [
                    (index, -min(self._calls[index].rest, most))
                    for index in sorted(served_by)
                ]
            found.append(list(of_caller.values()))
        return found

    def least_bytes(
        self,
        room_bytes: int,
        others: Sequence[Sequence[int]] = (),
        offers: Sequence[int] = (),
    ) -> list[int]:
        """Return sizes whose sum over any one GPU is at most what is taken there.

        Of a composing model that k models at most call on one GPU, the k-th part counts
        with each of them. A record that fits on no GPU counts as it is.

        Args:
            room_bytes: What a GPU offers beside the server.
            others: Of each record, what every copy takes of other resources.
            offers: What a GPU offers of those.
        """
        sizes = [one.base for one in self._calls]
        serves = Counter(index for some in self._served_by.values() for index in some)
        for model, served_by in self._served_by.items():
            if any(serves[index] > 1 for index in served_by):
                continue  # which of them it serves depends on who is there
            callers = [i for i, one in enumerate(self._calls) if model in one.parts]
            parts = {index: self._calls[index].parts[model] for index in callers}
            least = min(parts.values())
            if served_by:
                least = min(least, *(self._calls[index].rest for index in served_by))
                parts = dict.fromkeys((*callers, *served_by), least)
            taken = {
                index: (
                    self._calls[index].base - (least if index in served_by else 0),
                    *(others[index] if others else ()),
                )
                for index in parts
            }
            most = self._most_callers(taken, (room_bytes - least, *offers))
            for index, part in parts.items():
                sizes[index] += part // most - (part if index in served_by else 0)
        return [
            size if one.own <= room_bytes else one.own
            for size, one in zip(sizes, self._calls, strict=True)
        ]

    def _most_callers(
        self, taken: Mapping[int, tuple[int, ...]], room: Sequence[int]
    ) -> int:
        """Return how many different models at most are on one GPU, at least 1."""
        least: dict[str, tuple[int, ...]] = {}
        for index, row in taken.items():
            name = self._calls[index].model_name
            known = least.get(name, row)
            least[name] = tuple(map(min, known, row))
        most = len(least)
        for column, offered in zip(
            zip(*least.values(), strict=True), room, strict=True
        ):
            together = sum(total <= offered for total in accumulate(sorted(column)))
            most = min(most, together)
        return max(1, most)


@dataclass(frozen=True, slots=True)
class SharedRoom:
    """What models on one GPU take of its memory, and how much of it they may take.

    Args:
        memory: Of the records.
        room_bytes: What the GPU offers beside the server.
    """

    memory: SharedMemory
    room_bytes: int

    def holds(self, counts: Counts) -> bool:
        """Return whether copies of records fit, what they share counted once.

        What fits does so without some of it.
        """
        counts = tuple(counts)
        memory, room = self.memory, self.room_bytes
        if memory.most_bytes(counts) <= room:
            return True
        return memory.total_bytes(counts) <= room


def memory_rule(
    rooms: Sequence[SharedRoom | None], places: Sequence[int]
) -> Rule | None:
    """Return the rule that models fit with what they share; None where none share.

    Args:
        rooms: Of each bin type.
        places: Of each option, the place of its record among those of its bin type.
    """
    if not any(rooms):
        return None

    def is_allowed(bin_type: int, counts: tuple[tuple[int, int], ...]) -> bool:
        room = rooms[bin_type]
        return room is None or room.holds(
            [(places[option], copies) for option, copies in counts]
        )

    return is_allowed


def overlaps(
    rooms: Sequence[SharedRoom | None],
    places: Sequence[int],
    bin_types: Sequence[int],
    *,
    dimension: int,
) -> tuple[Overlap, ...]:
    """Return what ``memory_rule`` says as rows that bounds can use.

    Args:
        rooms: Of each bin type.
        places: Of each option, as for ``memory_rule``.
        bin_types: Of each option.
        dimension: That memory is.
    """
    found = []
    for bin_type, room in enumerate(rooms):
        if room is None:
            continue
        options_of: dict[int, list[int]] = {}
        for index, place in enumerate(places):
            if bin_types[index] == bin_type:
                options_of.setdefault(place, []).append(index)

        def of_options(
            sizes: Iterable[tuple[int, int]], known: dict[int, list[int]] = options_of
        ) -> tuple[tuple[int, int], ...]:
            return tuple(
                (index, size) for place, size in sizes for index in known.get(place, ())
            )

        found.append(
            Overlap(
                bin_type,
                dimension,
                of_options(enumerate(room.memory.own_bytes)),
                tuple(tuple(map(of_options, needs)) for needs in room.memory.needs),
            )
        )
    return tuple(found)


def unmeasured_sharing(records: Sequence[ProfileRecord]) -> tuple[str, ...]:
    """Return which composing models count more than once because nobody measured them.

    Args:
        records: Of every model that may be placed, on one GPU type.
    """
    callers: dict[str, dict[str, bool]] = {}
    for record in records:
        known = {one.model_name for one in record.helper_memory}
        for name in record.helpers:
            of_helper = callers.setdefault(name, {})
            is_known = of_helper.get(record.model_name, True) and name in known
            of_helper[record.model_name] = is_known
    placed = {record.model_name for record in records}
    warnings = []
    for name, of_helper in sorted(callers.items()):
        sharing = sorted({*of_helper, *({name} & placed)})
        if len(sharing) > 1 and not all(of_helper.values()):
            warnings.append(
                f"{quoted_all(sharing)} share the composing model {quoted(name)}, "
                "whose own memory was not measured: it counts with each of them; "
                "gpupack profile measures it"
            )
    return tuple(warnings)


def _parts(record: ProfileRecord, own_bytes: int) -> dict[ComposingModel, int]:
    """Return the memory of composing models, in all at most that of the record."""
    left = own_bytes
    found: dict[ComposingModel, int] = {}
    variant = record.load_point.variant
    composing = () if variant is None else variant.composing
    for one in record.helper_memory:
        size = min(left, one.memory_bytes)
        left -= size
        model = ComposingModel(
            one.model_name, one.versions, _variant_of(one.model_name, composing)
        )
        found[model] = found.get(model, 0) + size
    return found


def _is_as(record: ProfileRecord, model: ComposingModel) -> bool:
    """Return whether a placed model is a composing model, as others call it."""
    variant = record.load_point.variant
    return (
        not model.variant or (variant is not None and variant.name == model.variant)
    ) and (
        not model.versions
        or record.model_version is None
        or record.model_version in model.versions
    )


def _variant_of(helper: str, composing: Sequence[ModelVariant]) -> str:
    """Return the name of a composing model's configuration; empty if it has one only.

    Model Analyzer names it by the model: ``encoder_config_2``.
    """
    for one in composing:
        rest = one.name.removeprefix(helper)
        if rest != one.name and (not rest or rest.startswith("_config_")):
            return one.name
    return ""
