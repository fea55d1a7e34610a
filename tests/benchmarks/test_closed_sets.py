"""Rounds go to the sets of which least is known, within the time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from benchmarks.h200.closed_sets import (
    FIRST_ROUNDS,
    KNOWN,
    ClosedCampaign,
    Round,
    order_of_phases,
)


class Bench:
    """Measures one second a round; retention is 0.8, noise as each model's is."""

    def __init__(self, noise: dict[str, float]) -> None:
        self.now_s = 0.0
        self.noise = noise
        self.draw = random.Random(1)
        self.visited: list[tuple[str, ...]] = []

    def visit(self, members: Sequence[str], num_rounds: int) -> list[Round]:
        self.visited.append(tuple(members))
        if "broken" in members:
            return []
        found = []
        for _ in range(num_rounds):
            together = tuple(
                80 + self.draw.gauss(0, 100 * self.noise[name]) for name in members
            )
            found.append(Round((100.0,) * len(members), together, self.now_s))
            self.now_s += 1.0
        return found

    def campaign(
        self, sets: Sequence[Sequence[str]], *, deadline_s: float, most_s: float = 99.0
    ) -> ClosedCampaign:
        return ClosedCampaign(
            sets,
            self.visit,
            clock=lambda: self.now_s,
            deadline_s=deadline_s,
            most_s=most_s,
        )


def test_the_noisy_set_gets_the_time_that_quiet_ones_leave() -> None:
    bench = Bench({"a": 0.005, "b": 0.005, "c": 0.06})
    campaign = bench.campaign([["a", "b"], ["a", "c"]], deadline_s=200.0)
    campaign.first()
    assert [len(one.rounds) for one in campaign.sets] == [FIRST_ROUNDS] * 2
    campaign.more()
    quiet, noisy = (len(one.rounds) for one in campaign.sets)
    assert quiet <= 2 * FIRST_ROUNDS
    assert noisy >= 9
    assert max(campaign.standard_errors()) <= KNOWN
    assert bench.now_s < 100


def test_a_model_s_spread_elsewhere_keeps_a_lucky_set_open() -> None:
    bench = Bench({"a": 0.0, "c": 0.1})
    campaign = bench.campaign([["a", "c"], ["c"]], deadline_s=3.5)
    campaign.first()
    assert not campaign.sets[1].rounds  # no time
    noisy = campaign.standard_errors()[0]
    campaign.sets[1].rounds = [Round((100.0,), (80.0,), 0.0)] * 3
    assert campaign.standard_errors()[1] > noisy / 3


def test_the_cap_and_the_deadline_hold_and_failures_end_one_set_alone() -> None:
    bench = Bench({"a": 0.3, "b": 0.3})
    campaign = bench.campaign(
        [["a"], ["broken", "a"], ["b"]], deadline_s=30.0, most_s=8.0
    )
    campaign.first()
    campaign.more()
    assert [len(one.rounds) for one in campaign.sets] == [9, 0, 9]
    assert bench.visited.count(("broken", "a")) == 1
    bench = Bench({"a": 0.3})
    campaign = bench.campaign([["a"]], deadline_s=12.5)
    campaign.first()
    campaign.more()
    assert bench.now_s <= 12.5


@pytest.mark.parametrize("num_rounds", [1, 2, 3])
def test_a_drift_cancels_in_pairs_of_rounds(num_rounds: int) -> None:
    found = order_of_phases(3, num_rounds, random.Random(2))
    assert len(found) == num_rounds
    for order in found:
        assert sorted(order, key=str) == [0, 1, 2, None]
    if num_rounds > 1:
        assert found[1] == found[0][::-1]
