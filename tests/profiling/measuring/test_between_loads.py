"""What several loads say of another one."""

from __future__ import annotations

import math
import random

import pytest

from gpupack.profiling.measuring.between_loads import spread_between_loads

DEEPLAB = [71.0, 78.0, 32.0, 54.0, 38.0, 59.0, 39.0, 61.0]
"""Infer/s of one network in eight loads, as they were measured."""
CI_RATIO = 0.05


def test_the_interval_holds_loads_that_differ_by_a_factor_of_two() -> None:
    found = spread_between_loads(DEEPLAB, [0.08] * len(DEEPLAB))
    assert found.do_differ
    assert found.low_infer_per_sec < min(DEEPLAB)
    assert found.high_infer_per_sec > max(DEEPLAB)
    # Their logarithms have a deviation of 0.33.
    assert found.spread_ratio == pytest.approx(0.33, abs=0.03)


def test_the_more_loads_agree_the_narrower_is_the_interval() -> None:
    widths = []
    for count in (2, 3, 5, 10):
        found = spread_between_loads([100.0] * count, [CI_RATIO] * count)
        assert not found.do_differ
        widths.append(found.high_infer_per_sec / found.low_infer_per_sec)
    assert widths == sorted(widths, reverse=True)
    # Two loads of ±5 % say little of a third, and more than nothing.
    assert 1.1 < widths[0] < 1.25


def test_two_loads_that_differ_leave_another_one_open() -> None:
    found = spread_between_loads([100.0, 150.0], [CI_RATIO] * 2)
    assert found.do_differ
    assert found.low_infer_per_sec < 100 / 1.5
    assert found.high_infer_per_sec > 150 * 1.5


def test_loads_that_differ_as_allowed_or_by_chance_are_alike() -> None:
    assert not spread_between_loads([100.0, 108.0], [0.01] * 2).do_differ  # allowed
    assert spread_between_loads([100.0, 112.0], [0.01] * 2).do_differ
    assert not spread_between_loads([100.0, 112.0], [0.2] * 2).do_differ  # chance
    assert not spread_between_loads([100.0, 130.0], [None] * 2).do_differ


def test_a_factor_changes_the_interval_by_that_factor() -> None:
    one = spread_between_loads([90.0, 110.0, 100.0], [CI_RATIO] * 3)
    other = spread_between_loads([900.0, 1100.0, 1000.0], [CI_RATIO] * 3)
    assert other.low_infer_per_sec == pytest.approx(10 * one.low_infer_per_sec)
    assert other.high_infer_per_sec == pytest.approx(10 * one.high_infer_per_sec)
    assert other.spread_ratio == pytest.approx(one.spread_ratio)


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.3])
def test_about_nineteen_of_twenty_intervals_hold_another_load(spread: float) -> None:
    chance = random.Random(1)
    num_trials, held = 200, 0
    for _ in range(num_trials):
        rates = [
            100 * math.exp(chance.gauss(0, spread) + chance.gauss(0, CI_RATIO / 1.96))
            for _ in range(8)
        ]
        another = 100 * math.exp(chance.gauss(0, spread))
        found = spread_between_loads(rates, [CI_RATIO] * 8)
        held += found.low_infer_per_sec <= another <= found.high_infer_per_sec
    # With so many loads the prior says next to nothing.
    assert held >= 0.88 * num_trials
