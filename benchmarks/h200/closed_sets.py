"""Closed sets measured in rounds, until each member's retention is known well enough.

Every set gets a few rounds first; what is left of the time goes, visit by visit, to
the set of which least is known. So a campaign that is cut off has all sets, and what
varies slowly is averaged over.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.paired_rounds import retention_variance

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    Clock = Callable[[], float]
    Visit = Callable[[Sequence[str], int], list["Round"]]

FIRST_ROUNDS, MORE_ROUNDS = 3, 2
KNOWN = 0.015
"""Standard error of a retention that is good enough."""
_PRIOR_ROUNDS = 4
"""A model's spread in other sets counts like so many rounds of this one."""
_TYPICAL_VARIANCE = 0.05**2
"""Of one round's retention, before anything is known of a model."""


@dataclass(frozen=True)
class Round:
    """Rates of the members in one round.

    Attributes:
        alone: Of each, in the set's order.
        together: Likewise.
        at_s: When it began, in seconds since the campaign's start.
    """

    alone: tuple[float, ...]
    together: tuple[float, ...]
    at_s: float


@dataclass
class ClosedSet:
    """One set and what was measured of it."""

    members: tuple[str, ...]
    rounds: list[Round] = field(default_factory=list)
    spent_s: float = 0.0

    def variance(self, index: int) -> tuple[float, int]:
        """Return a member's variance from round to round, and degrees of freedom."""
        if len(self.rounds) < 2:
            return 0.0, 0
        alone = [one.alone[index] for one in self.rounds]
        together = [one.together[index] for one in self.rounds]
        if not sum(alone):
            return 0.0, 0
        return retention_variance(alone, together), len(self.rounds) - 1


class ClosedCampaign:
    """Decides which set is measured next.

    A set's rounds are not counted by their own spread alone: three that happen to be
    alike would end it, and its noise would be told too low. So a model's spread in all
    of its sets is taken into account.

    Args:
        sets: Members of each.
        visit: Measures that many rounds of a set, and returns those that it could.
        clock: Seconds since the campaign's start.
        deadline_s: On that clock.
        most_s: For one set.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[str]],
        visit: Visit,
        *,
        clock: Clock,
        deadline_s: float,
        most_s: float,
    ) -> None:
        self.sets = [ClosedSet(tuple(one)) for one in sets]
        self._visit = visit
        self._clock = clock
        self._deadline_s = deadline_s
        self._most_s = most_s

    def first(self) -> None:
        """Give every set a few rounds."""
        for one in self.sets:
            if not self._measure(one, FIRST_ROUNDS):
                return

    def more(self) -> None:
        """Give rounds to the set of which least is known, while there is time."""
        while True:
            errors = self.standard_errors()
            open_sets = [
                (error, index)
                for index, error in enumerate(errors)
                if KNOWN < error < math.inf and self.sets[index].spent_s < self._most_s
            ]
            if not open_sets:
                return
            _, index = max(open_sets)
            if not self._measure(self.sets[index], MORE_ROUNDS):
                return

    def standard_errors(self) -> list[float]:
        """Return those of each set's least known member; infinite without rounds."""
        seen: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for one in self.sets:
            for index, name in enumerate(one.members):
                variance, degrees = one.variance(index)
                if degrees:
                    seen[name].append((variance, degrees))
        return [
            max(
                self._standard_error(one, index, seen[name])
                for index, name in enumerate(one.members)
            )
            if one.rounds
            else math.inf
            for one in self.sets
        ]

    def _standard_error(
        self, one: ClosedSet, index: int, everywhere: list[tuple[float, int]]
    ) -> float:
        usual = _TYPICAL_VARIANCE
        if everywhere:
            variances, degrees = zip(*everywhere, strict=True)
            usual = float(np.average(variances, weights=degrees))
        own, degrees_own = one.variance(index)
        pooled = (_PRIOR_ROUNDS * usual + degrees_own * own) / (
            _PRIOR_ROUNDS + degrees_own
        )
        return math.sqrt(pooled / len(one.rounds))

    def _measure(self, one: ClosedSet, num_rounds: int) -> bool:
        """Return whether there was time for it; a failed visit ends the set alone."""
        spent = [each.spent_s / len(each.rounds) for each in self.sets if each.rounds]
        began_s = self._clock()
        likely_s = num_rounds * (
            one.spent_s / len(one.rounds) if one.rounds else max(spent, default=0.0)
        )
        if began_s + likely_s > self._deadline_s:
            return False
        found = self._visit(one.members, num_rounds)
        one.rounds += found
        one.spent_s += self._clock() - began_s
        if not found:
            one.spent_s = math.inf
        return True


def order_of_phases(
    num_members: int, num_rounds: int, chance: random.Random
) -> list[list[int | None]]:
    """Return what is measured, round by round: a member alone, or None for all.

    A drawn order, then the same backwards, so that a steady drift cancels.
    """
    found: list[list[int | None]] = []
    while len(found) < num_rounds:
        order: list[int | None] = [*range(num_members), None]
        chance.shuffle(order)
        found += [order, order[::-1]]
    return found[:num_rounds]
