"""Noise of measurements, told apart from errors of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measuring_noise import drawn_again, percentile_beyond_noise


def test_errors_that_are_noise_alone_leave_their_mean() -> None:
    draw = np.random.default_rng(1)
    noise = np.abs(draw.normal(0, 5, 4000))
    errors = 2 + 0.99 * draw.normal(0, 5, 4000)

    left = percentile_beyond_noise([(errors, noise)], 95)

    assert left == pytest.approx(2, abs=1.5)


def test_what_is_no_noise_is_found_again() -> None:
    draw = np.random.default_rng(2)
    groups = [
        (draw.normal(0, 4, 4000) + draw.normal(0, size, 4000), seen)
        for size in (2.0, 6.0)
        for seen in [np.abs(draw.normal(0, size, 4000))]
    ]

    left = percentile_beyond_noise(groups, 95)

    assert left == pytest.approx(1.96 * 4, rel=0.08)


def test_without_noise_all_of_the_error_is_left() -> None:
    errors = np.random.default_rng(3).normal(1, 4, 4000)

    left = percentile_beyond_noise([(errors, np.zeros(10))], 95)

    assert left == pytest.approx(float(np.percentile(np.abs(errors), 95)), rel=0.02)


def test_draws_spread_as_repeated_measurements_do() -> None:
    draw = np.random.default_rng(4)
    repeated = [np.percentile(draw.exponential(1, 1000), 99) for _ in range(400)]

    drawn = drawn_again(draw.exponential(1, 1000), 99, seed=0)

    assert np.std(drawn) == pytest.approx(np.std(repeated), rel=0.4)
