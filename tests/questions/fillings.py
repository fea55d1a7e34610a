"""Every way to fill one GPU, under one of two readings of the question."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.questions import sharing
from tests.questions.composing import memory_together

if TYPE_CHECKING:
    from tests.questions.facts import Facts, Option

MAX_FILLINGS = 400
"""Beyond it a question is too large to be judged exhaustively."""
NEAR = 1e-6
"""Retentions this near to what was asked count either way."""


class TooLargeError(Exception):
    """The question cannot be judged exhaustively."""


class Reading(Enum):
    """How ties between a sum and its limit, and unclear words, are read."""

    STRICT = Fraction(1, 10**9)
    GENEROUS = Fraction(2, 10**6)

    @property
    def slack(self) -> Fraction:
        """Relative, of what utilizations may sum to."""
        value: Fraction = self.value
        return value

    @property
    def no_room(self) -> Fraction:
        """What a reading may be off by: of a GPU with no more left, nothing is asked.

        Readings that fill a GPU to 99.9999999 % fill it.
        """
        return Fraction(1, 10**7) if self is Reading.STRICT else Fraction(0)


@dataclass(frozen=True)
class Filling:
    """What one GPU holds: pairs (index of the option, copies)."""

    kind: int
    counts: tuple[tuple[int, int], ...]


class Fillings:
    """What a GPU of each type can hold, and what that serves.

    Args:
        facts: What is asked.
        reading: Of ties and unclear words.
        in_full: Whether every demand must be met.
    """

    def __init__(self, facts: Facts, reading: Reading, *, in_full: bool) -> None:
        self.facts = facts
        self.reading = reading
        self.limits = [limit * (1 + reading.slack) for limit in facts.limits]
        self.options = list(facts.options)
        self.most_copies = {name: self._useful_copies(name) for name in facts.models}
        if in_full:
            for name in facts.optional:
                self.most_copies[name] = 0  # never needed, and only in the way
        self._rates: dict[tuple[Filling, str], Fraction] = {}
        self.of_kind = [self._of_kind(index) for index in range(len(facts.kinds))]
        self.held = {
            one: Counter(
                self._name(index) for index, number in one.counts for _ in range(number)
            )
            for fillings in self.of_kind
            for one in fillings
        }
        self.best_rate = {
            (kind, name): max(
                (self.rate_in(one, name) for one in fillings), default=Fraction(0)
            )
            for kind, fillings in enumerate(self.of_kind)
            for name in facts.models
        }

    def _name(self, index: int) -> str:
        return self.options[index].model_name

    def rate_in(self, filling: Filling, name: str) -> Fraction:
        key = filling, name
        if key not in self._rates:
            self._rates[key] = sum(
                (
                    self._alone(self.options[index]) * number
                    for index, number in filling.counts
                    if self._name(index) == name
                ),
                Fraction(0),
            )
        return self._rates[key]

    def _alone(self, option: Option) -> Fraction:
        return self.facts.rate_alone(option, self.reading.slack)

    def _useful_copies(self, name: str) -> int:
        facts = self.facts
        most = facts.replicas[name]
        demand = facts.demand.get(name)
        if demand:
            rates = [
                rate for one in facts.of_model(name) if (rate := self._alone(one)) > 0
            ]
            if rates:
                copies = -(-demand // min(rates))
                most = max(most, int(copies))
        return most

    def _most_of(self, option: Option) -> int:
        """Return how many copies of one option of a demand are of use on one GPU.

        Copies at several load points may share a GPU: only each has a limit.
        """
        name = option.model_name
        rate = self._alone(option)
        if not (self.most_copies[name] and self.facts.demand[name] and rate):
            return self.most_copies[name]
        return max(self.facts.replicas[name], int(-(-self.facts.demand[name] // rate)))

    def _of_kind(self, kind: int) -> list[Filling]:
        gpu = self.facts.kinds[kind]
        rooms = gpu.memory_room, gpu.host_room
        here = [i for i, one in enumerate(self.options) if one.type_index == kind]
        found: list[Filling] = []

        def extend(
            start: int,
            counts: tuple[tuple[int, int], ...],
            loads: tuple[Fraction, ...],
            copies: Counter[str],
        ) -> None:
            for position in range(start, len(here)):
                index = here[position]
                option = self.options[index]
                name = option.model_name
                is_whole = name not in self.facts.demand
                grown, taken, held = counts, loads, Counter(copies)
                most = self._most_of(option) if not is_whole else None
                for number in itertools.count(1):
                    used = (
                        self._memory((*counts, (index, number))),
                        sum(self.options[i].host_bytes * n for i, n in counts)
                        + option.host_bytes * number,
                    )
                    held[name] += 1
                    if is_whole:
                        taken = tuple(
                            a + b for a, b in zip(taken, option.loads, strict=True)
                        )
                    grown = (*counts, (index, number))
                    if (
                        (held[name] if most is None else number)
                        > (self.most_copies[name] if most is None else most)
                        or any(
                            room is not None and taken_bytes > room
                            for taken_bytes, room in zip(used, rooms, strict=True)
                        )
                        or any(a > b for a, b in zip(taken, self.limits, strict=True))
                        or not self._may_share(grown)
                    ):
                        break
                    found.append(Filling(kind, grown))
                    if len(found) > MAX_FILLINGS:
                        raise TooLargeError(f"{len(found)} fillings")
                    extend(position + 1, grown, taken, held)

        if any(room is not None and room < 0 for room in rooms):
            return []
        extend(0, (), (Fraction(0),) * len(self.limits), Counter())
        return self._undominated(found)

    def _memory(self, counts: tuple[tuple[int, int], ...]) -> int:
        return memory_together(
            [self.options[index] for index, number in counts for _ in range(number)]
        )

    def _undominated(self, found: list[Filling]) -> list[Filling]:
        """Drop fillings that another one only adds idle copies of a demand to."""
        known = {one.counts for one in found}
        kept = []
        for one in found:
            counts = dict(one.counts)
            for index, option in enumerate(self.options):
                if option.type_index != one.kind:
                    continue
                if option.model_name not in self.facts.demand:
                    continue
                grown = counts | {index: counts.get(index, 0) + 1}
                if tuple(sorted(grown.items())) in known:
                    break
            else:
                kept.append(one)
        return kept

    def _may_share(self, counts: tuple[tuple[int, int], ...]) -> bool:
        facts = self.facts
        if not facts.floors:
            return True
        options = [self.options[i] for i, number in counts for _ in range(number)]
        loads = [self._planned_load(one) for one in options]
        try:
            shares = sharing.solo_shares(
                [one.record for one in options],
                loads,
                facts.sharing,
                facts.kinds[options[0].type_index].host_cpus,
            )
        except sharing.TooManyCustomersError as err:
            raise TooLargeError("customers") from err
        slack = -NEAR if self.reading is Reading.GENEROUS else NEAR
        return len(options) == 1 or all(
            sharing.kept(sharing.promised(share, facts.sharing), load)
            >= facts.floors.get(one.model_name, -1.0) + slack
            for one, share, load in zip(options, shares, loads, strict=True)
        )

    def _planned_load(self, option: Option) -> float:
        """Return the traffic a replica counts with: all it can take, or asked for.

        The docstring says "busy at its load point"; the guide, "busy with all that its
        model is asked for". The latter is the generous reading.
        """
        demand = self.facts.demand.get(option.model_name)
        if demand is None or self.reading is Reading.STRICT or not option.rate:
            return 1.0
        return float(min(Fraction(1), demand / option.rate))
