"""The exhaustive judge: the best there is, by trying every way to fill the GPUs.

Integer decisions (which instances share a GPU) are enumerated; how traffic is then
shared out is a small linear program in numbers around 1. Sums are exact fractions.

A question has no single answer where a sum lies within the tolerance of a limit, or
where the words leave two readings. So the oracle answers twice: under the *strict*
reading, which every right answer must reach, and under the *generous* one, which no
right answer may exceed.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.questions import sharing
from tests.questions.fillings import Filling, Fillings, Reading, TooLargeError
from tests.questions.traffic import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.questions.facts import Facts, Option

MAX_STEPS = 60_000
MAX_PROGRAMS = 250
MAX_BINS = 8
"""Beyond these a question is too large to be judged exhaustively."""
ENOUGH = 2e-8
"""Shortfall of a linear program's share that is rounding."""


@dataclass(frozen=True)
class Best:
    """The best there is.

    Args:
        value: GPUs, price, infer/sec or share.
        fillings: A way to it.
        price: Of that way, the cheapest of equally many GPUs; None without prices.
    """

    value: float
    fillings: tuple[Filling, ...]
    price: Fraction | None = None


def best(facts: Facts, reading: Reading, *, counts_gpus: bool = False) -> Best | None:
    """Return the best placement there is, None if there is none.

    Args:
        facts: What is asked.
        reading: Of ties and unclear words.
        counts_gpus: Whether ``max_throughput`` counts GPUs, with every model at its
            best load point.

    Raises:
        TooLargeError: If the question is too large.
    """
    if counts_gpus:
        facts = facts.at_best_points()
    search = _Search(facts, reading, as_gpus=counts_gpus)
    if counts_gpus or facts.is_in_full:
        return search.cheapest()
    return search.most()


@dataclass
class _Search:
    facts: Facts
    reading: Reading
    as_gpus: bool
    steps: int = 0
    programs: int = 0
    known: dict[tuple[Filling, ...], float | None] = field(default_factory=dict)
    predicted: dict[Filling, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        facts = self.facts
        self.in_full = self.as_gpus or facts.is_in_full
        self.needed = {
            name: 0 if name in facts.optional else facts.replicas[name]
            for name in facts.models
        }
        self.gpus = Fillings(facts, self.reading, in_full=self.in_full)
        self.ceiling = {
            name: facts.replicas[name]
            * max((one.rate for one in facts.of_model(name)), default=Fraction(0))
            for name in facts.models
        }

    # What costs least.

    def cheapest(self) -> Best | None:
        is_cost = self.facts.objective == "min_cost" and not self.as_gpus
        for value, price, numbers in self._numbers_of_gpus(is_cost):
            found = self._served_in_full(numbers)
            if found is not None:
                return Best(float(value), found, price)
        return None

    def _numbers_of_gpus(
        self, is_cost: bool
    ) -> Iterator[tuple[Fraction, Fraction | None, tuple[int, ...]]]:
        """Yield numbers of GPUs per type, the best first."""
        kinds = self.facts.kinds
        if any(
            count and not any(one.model_name == name for one in self._fitting())
            for name, count in self.needed.items()
        ):
            return
        most = []
        for index, kind in enumerate(kinds):
            useful = sum(
                self.gpus.most_copies[name]
                for name in self.needed
                if any(
                    one.type_index == index and one.model_name == name
                    for one in self._fitting()
                )
            )
            most.append(useful if kind.count is None else min(kind.count, useful))
        prices = [kind.price for kind in kinds]
        total = 1
        for one in most:
            total *= one + 1
        if total > 20_000:
            raise TooLargeError("numbers of GPUs")
        ranked = []
        for numbers in itertools.product(*(range(one + 1) for one in most)):
            price = (
                None
                if any(one is None for one in prices)
                else sum(
                    (p * n for p, n in zip(prices, numbers, strict=True) if p),
                    Fraction(0),
                )
            )
            value = price if is_cost else Fraction(sum(numbers))
            assert value is not None
            ranked.append((value, price or Fraction(0), numbers))
        has_prices = all(one is not None for one in prices)
        for value, price, numbers in sorted(ranked):
            if sum(numbers) > MAX_BINS:
                raise TooLargeError("GPUs")
            yield value, price if has_prices else None, numbers

    def _fitting(self) -> list[Option]:
        return [
            self.gpus.options[index]
            for fillings in self.gpus.of_kind
            for one in fillings
            for index, _ in one.counts
        ]

    def _served_in_full(self, numbers: tuple[int, ...]) -> tuple[Filling, ...] | None:
        nothing = (0,) * len(numbers)
        for chosen in self._ways(numbers, self._can_serve):
            if not self._can_serve(chosen, nothing):
                continue
            if self.facts.demand and not self.as_gpus:
                share = self._program(chosen, "share")
                if share is None or share < 1 - self._tolerance():
                    continue
            return chosen
        return None

    def _tolerance(self) -> float:
        return ENOUGH if self.reading is Reading.STRICT else 3e-6

    # What serves most.

    def most(self) -> Best | None:
        facts = self.facts
        numbers = tuple(
            sum(self.gpus.most_copies.values())
            if kind.count is None
            else min(kind.count, sum(self.gpus.most_copies.values()))
            for kind in facts.kinds
        )
        found: Best | None = None
        nothing = (0,) * len(numbers)

        def is_of_use(chosen: tuple[Filling, ...], left: tuple[int, ...]) -> bool:
            if found is None:
                return True
            return self._reach(chosen, left) > found.value * (1 + 1e-9)

        for chosen in self._ways(numbers, is_of_use):
            if not is_of_use(chosen, nothing):
                continue
            value = self._worth(chosen)
            if value is not None and (found is None or value > found.value):
                found = Best(value, chosen)
        return found

    def _reach(self, chosen: tuple[Filling, ...], left: tuple[int, ...]) -> float:
        """Return what these fillings, and so many more GPUs, serve at most."""
        facts = self.facts
        if facts.is_predicted:
            return float("inf")
        total = Fraction(0)
        smallest = Fraction(1)
        for name in facts.models:
            rate = sum((self.gpus.rate_in(one, name) for one in chosen), Fraction(0))
            wanted = facts.demand.get(name)
            ceiling = self.ceiling[name] if wanted is None else wanted
            for kind, number in enumerate(left):
                if number and rate < ceiling:
                    rate += number * self.gpus.best_rate[kind, name]
            rate = min(rate, ceiling)
            total += facts.weights[name] * rate
            if wanted and name not in facts.optional:
                smallest = min(smallest, rate / wanted)
        return float(smallest if facts.is_max_min else total)

    def _worth(self, chosen: tuple[Filling, ...]) -> float | None:
        facts = self.facts
        if facts.is_predicted:
            return sum(self._predicted(one) for one in chosen)
        if self.reading is Reading.STRICT and not self._is_all_or_nothing(chosen):
            return None
        if facts.is_max_min:
            return self._program(chosen, "share")
        value = Fraction(0)
        for filling in chosen:
            for index, number in filling.counts:
                option = self.gpus.options[index]
                if option.model_name not in facts.demand:
                    value += facts.weights[option.model_name] * option.rate * number
        if not facts.demand:
            return float(value)
        served = self._program(chosen, "sum")
        return None if served is None else float(value) + served

    def _is_all_or_nothing(self, chosen: tuple[Filling, ...]) -> bool:
        """Return whether optional models without a demand have all replicas, or none.

        The docstring says "exactly so many" and "may be left out", not whether a part
        of them may be; the generous reading lets it.
        """
        copies = sum((self.gpus.held[one] for one in chosen), Counter[str]())
        return all(
            copies[name] in (0, self.facts.replicas[name])
            for name in self.facts.optional
            if name not in self.facts.demand
        )

    def _predicted(self, filling: Filling) -> float:
        if filling not in self.predicted:
            options = [
                self.gpus.options[i] for i, n in filling.counts for _ in range(n)
            ]
            try:
                shares = sharing.solo_shares(
                    [one.record for one in options],
                    [1.0] * len(options),
                    self.facts.sharing,
                    self.facts.kinds[filling.kind].host_cpus,
                )
            except sharing.TooManyCustomersError as err:
                raise TooLargeError("customers") from err
            self.predicted[filling] = sum(
                share * float(one.rate * self.facts.weights[one.model_name])
                for one, share in zip(options, shares, strict=True)
            )
        return self.predicted[filling]

    # Every way to fill so many GPUs.

    def _ways(
        self,
        numbers: tuple[int, ...],
        is_of_use: Callable[[tuple[Filling, ...], tuple[int, ...]], bool],
    ) -> Iterator[tuple[Filling, ...]]:
        """Yield sets of fillings that hold what must be there, in so many GPUs.

        Args:
            numbers: Of GPUs, per type.
            is_of_use: Whether these fillings, with so many GPUs more, could matter.
        """
        wants_more = not self.as_gpus and (
            bool(self.facts.demand) or (bool(self.facts.optional) and not self.in_full)
        )
        rank = {
            one: (kind, place)
            for kind, fillings in enumerate(self.gpus.of_kind)
            for place, one in enumerate(fillings)
        }
        every = list(rank)
        holding = {
            name: [one for one in every if self.gpus.held[one][name]]
            for name in self.facts.models
        }
        is_whole = [one for one in self.facts.models if one not in self.facts.demand]

        def extend(
            chosen: tuple[Filling, ...],
            left: tuple[int, ...],
            copies: Counter[str],
            least: tuple[int, int],
        ) -> Iterator[tuple[Filling, ...]]:
            if not is_of_use(chosen, left):
                return
            if len(chosen) > MAX_BINS:
                raise TooLargeError("GPUs")
            lacking = next(
                (name for name, n in self.needed.items() if copies[name] < n), None
            )
            if lacking is None:
                yield tuple(sorted(chosen, key=rank.__getitem__))
                if not wants_more:
                    return
            for one in every if lacking is None else holding[lacking]:
                self.steps += 1
                if self.steps > MAX_STEPS:
                    raise TooLargeError("steps")
                if not left[one.kind] or (lacking is None and rank[one] < least):
                    continue
                held = copies + self.gpus.held[one]
                if any(held[name] > self.gpus.most_copies[name] for name in is_whole):
                    continue
                yield from extend(
                    (*chosen, one),
                    tuple(n - (i == one.kind) for i, n in enumerate(left)),
                    held,
                    rank[one] if lacking is None else (-1, -1),
                )

        yield from extend((), numbers, Counter(), (-1, -1))

    def _can_serve(self, chosen: tuple[Filling, ...], left: tuple[int, ...]) -> bool:
        """Return whether the rates of what is there, and could be, might be enough."""
        if self.as_gpus:
            return True
        for name, demand in self.facts.demand.items():
            if name in self.facts.optional or not demand:
                continue
            reach = sum((self.gpus.rate_in(one, name) for one in chosen), Fraction(0))
            for kind, number in enumerate(left):
                if number and reach < demand:
                    reach += number * self.gpus.best_rate[kind, name]
            if reach < demand * (1 - Fraction(4, 10**6)):
                return False
        return True

    # How traffic is shared out.

    def _program(self, chosen: tuple[Filling, ...], what: str) -> float | None:
        if chosen not in self.known:
            self.programs += 1
            if self.programs > MAX_PROGRAMS:
                raise TooLargeError("programs")
            self.known[chosen] = served(
                self.facts,
                self.gpus.options,
                self.gpus.limits,
                chosen,
                what,
                no_room=self.reading.no_room,
            )
        return self.known[chosen]
