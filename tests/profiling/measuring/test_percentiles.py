"""How well percentiles are known."""

from __future__ import annotations

import numpy as np
import pytest

from gpupack.profiling.measuring.percentiles import (
    percentile_with_interval,
    percentiles_with_intervals,
)


def test_intervals_of_independent_latencies_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = -np.log(0.05)  # of an exponential distribution
    held = 0
    for _ in range(200):
        found = percentile_with_interval(rng.exponential(size=2000), 95)
        assert found is not None
        assert found.high_us is not None
        held += found.low_us <= truth <= found.high_us
    assert held >= 188  # 95 % of 200, less what chance takes


def test_intervals_are_wider_where_requests_are_late_together() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=4000)
    mixed = percentile_with_interval(values, 95)
    in_a_row = percentile_with_interval(np.sort(values), 95)
    assert mixed is not None
    assert in_a_row is not None
    assert in_a_row.value_us == mixed.value_us
    assert in_a_row.low_us < mixed.low_us


def test_a_percentile_that_the_sample_cannot_carry_is_left_out() -> None:
    latencies = np.arange(100, dtype=np.float64)
    # 64 requests for a p90, 130 for a p95, 662 for a p99.
    found = percentiles_with_intervals(latencies)
    assert [one.percentile for one in found] == [50.0, 90.0]
    assert found[1].num_requests == 100
    assert found[1].value_us == pytest.approx(89.1)
