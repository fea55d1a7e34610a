"""Intervals of what models keep, by rounds."""

from __future__ import annotations

import random

import pytest

from gpupack.records.colocation import CoLocatedModel, RoundReading
from gpupack.records.profile import LoadPoint
from gpupack.verifying.paired import (
    Interval,
    mean_interval,
    ratio_interval,
    retention_interval,
)

NUM_ROUNDS, NUM_TRIALS = 12, 400


def test_the_interval_of_a_mean_is_students() -> None:
    # 1, 2, 3: mean 2, deviation 1, t(2) = 4.3027 at 97.5 %.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found is not None
    assert found.value == 2.0
    assert found.half_width == pytest.approx(4.30265 / 3**0.5, rel=1e-4)
    assert mean_interval([1.0]) is None


def test_a_rate_that_varies_is_still_a_rate() -> None:
    # Student's half-width is more than the mean; e**-1.28 of the mean is left.
    found = mean_interval([8000.0, 9800.0])
    assert found is not None
    assert found.high == pytest.approx(20335, rel=1e-3)
    assert found.low == pytest.approx(2465, rel=1e-2)
    assert mean_interval([0.0, 0.0]) == Interval(0.0, 0.0, 0.0)


def test_what_moves_both_alike_is_not_in_the_interval_of_their_ratio() -> None:
    host = [1.0, 0.5, 0.8, 0.6]  # a host that is slow for a while
    found = ratio_interval([(80 * one, 100 * one) for one in host])
    assert found is not None
    assert found.value == pytest.approx(0.8)
    assert found.half_width == pytest.approx(0.0, abs=1e-9)


def test_nothing_alone_has_no_ratio() -> None:
    assert ratio_interval([(1.0, 0.0), (1.0, 0.0)]) is None


def test_few_requests_are_never_known_exactly() -> None:
    found = ratio_interval([(1.0, 1.0)] * 3, num_requests=40)
    assert found is not None
    assert found.half_width == pytest.approx(2 / 40)


def test_nineteen_of_twenty_intervals_hold_the_retention() -> None:
    # Windows as those of real pipelines: 12 % within, and a host that varies by 20 %.
    chance = random.Random(1)
    held = 0
    for _ in range(NUM_TRIALS):
        pairs = []
        for _ in range(NUM_ROUNDS):
            host = chance.lognormvariate(0, 0.2)
            pairs.append(
                (
                    70 * host * chance.lognormvariate(0, 0.12),
                    100 * host * chance.lognormvariate(0, 0.12),
                )
            )
        found = ratio_interval(pairs)
        assert found is not None
        held += found.low <= 0.7 <= found.high
    # Binomial: 380 expected of 400, with a deviation of 4.4.
    assert held >= 0.95 * NUM_TRIALS - 4 * 4.4


def readings(rates: dict[int, float], **more: object) -> CoLocatedModel:
    return CoLocatedModel(
        model_name="m",
        load_point=LoadPoint(batch_size=1, concurrency=1),
        throughput_infer_per_sec=sum(rates.values()) / len(rates),
        is_stable=True,
        rounds=tuple(
            RoundReading(
                round_index=index,
                throughput_infer_per_sec=rate,
                duration_s=1.0,
                num_requests=1_000_000,
            )
            for index, rate in rates.items()
        ),
        **more,  # type: ignore[arg-type]
    )


def test_readings_are_paired_by_their_round() -> None:
    alone = readings({0: 100.0, 1: 50.0, 2: 80.0})
    beside = readings({2: 64.0, 0: 80.0, 1: 40.0, 3: 999.0})
    found = retention_interval(alone, beside)
    assert found is not None
    assert found.value == pytest.approx(0.8)
    assert found.half_width == pytest.approx(0.0, abs=1e-5)


def test_readings_of_different_rounds_say_less() -> None:
    # 80 ± 2·4.30 of 100 ± 2·4.30, whose rounds are not the same.
    alone = readings({0: 98.0, 1: 100.0, 2: 102.0})
    beside = readings({3: 78.0, 4: 80.0, 5: 82.0})
    found = retention_interval(alone, beside)
    assert found is not None
    assert found.value == pytest.approx(0.8)
    half = 4.30265 * 2 / 3**0.5
    assert found.half_width == pytest.approx(
        (half**2 + (0.8 * half) ** 2) ** 0.5 / 100, rel=1e-3
    )


def test_of_traffic_the_share_that_is_answered_is_what_is_kept() -> None:
    alone = readings({0: 20.0}, offered_infer_per_sec=20.0)
    beside = readings({0: 20.0, 1: 18.0, 2: 19.0}, offered_infer_per_sec=20.0)
    found = retention_interval(alone, beside)
    assert found is not None
    assert found.value == pytest.approx(0.95)
