"""The stopping rules, on request times made here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.profiling.measuring.interval import (
    PERSISTENCE,
    confidence_ratio,
    t_quantile,
    throughput_requests_per_s,
)
from gpupack.profiling.measuring.stability import (
    ConfidenceRule,
    ThreeWindowRule,
    cut_windows,
    requests_for_percentile,
    rule_by_name,
)

MS = 1_000_000


def ends_every(milliseconds: float, count: int) -> np.ndarray:
    return (np.arange(count) * milliseconds * MS).astype(np.int64)


def random_ends(mean_ms: float, count: int, seed: int) -> np.ndarray:
    gaps = np.random.default_rng(seed).exponential(mean_ms * MS, count)
    return np.cumsum(gaps).astype(np.int64)


def test_the_floor_for_a_p99_is_mlperfs_662_and_for_a_p90_its_64() -> None:
    assert requests_for_percentile(99) == 662
    assert requests_for_percentile(90) == 64


@pytest.mark.parametrize("percentile", [50, 90, 95, 99])
def test_the_floor_is_the_least_count_that_meets_its_bound(percentile: float) -> None:
    p = percentile / 100

    def chance_of_at_most_one_above(n: int) -> float:
        return sum(math.comb(n, k) * (1 - p) ** k * p ** (n - k) for k in (0, 1))

    floor = requests_for_percentile(percentile)

    assert chance_of_at_most_one_above(floor) <= 0.01
    assert chance_of_at_most_one_above(floor - 1) > 0.01


@pytest.mark.parametrize("percentile", [0, 100, -1])
def test_a_percentile_outside_its_range_is_refused(percentile: float) -> None:
    with pytest.raises(InvalidInputError, match="above 0 and below 100"):
        requests_for_percentile(percentile)


# Two-sided 95 % quantiles from the table in NIST's e-Handbook, 1.3.6.7.2.
@pytest.mark.parametrize(
    ("degrees", "expected"), [(9, 2.262), (19, 2.093), (39, 2.023), (100, 1.984)]
)
def test_the_t_quantile_agrees_with_the_printed_table(
    degrees: int, expected: float
) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(expected, abs=0.002)


def test_requests_at_equal_distance_have_no_uncertainty() -> None:
    ends = ends_every(5, 401)

    assert throughput_requests_per_s(ends) == pytest.approx(200)
    assert confidence_ratio(ends) == pytest.approx(0, abs=1e-9)


def test_too_few_requests_have_no_interval() -> None:
    assert confidence_ratio(ends_every(5, 10)) is None
    assert throughput_requests_per_s(ends_every(5, 1)) is None


def persistent_noise(hurst: float, count: int, seed: int) -> np.ndarray:
    """Fractional Gaussian noise of variance 1, by circulant embedding."""
    lags = np.arange(count + 1, dtype=float)
    power = 2 * hurst
    covariance = (
        np.abs(lags + 1) ** power - 2 * lags**power + np.abs(lags - 1) ** power
    ) / 2
    circulant = np.concatenate([covariance, covariance[-2:0:-1]])
    eigenvalues = np.fft.fft(circulant).real.clip(min=0)
    rng = np.random.default_rng(seed)
    size = len(circulant)
    normal = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    return np.fft.fft(normal * np.sqrt(eigenvalues / size)).real[:count]


def share_of_intervals_that_hold(traces: list[np.ndarray], true_rate: float) -> float:
    held = 0
    for ends in traces:
        rate, ratio = throughput_requests_per_s(ends), confidence_ratio(ends)
        assert rate is not None
        assert ratio is not None
        held += abs(rate - true_rate) <= ratio * rate
    return held / len(traces)


def test_the_interval_holds_the_rate_of_independent_requests() -> None:
    # 1,000 Poisson arrivals at 1 per ms: the true rate is 1,000 per second.
    traces = [random_ends(1.0, 1000, seed) for seed in range(300)]

    # A binomial of 300 trials at 0.95 falls below 0.9 once in 5,000 times.
    assert share_of_intervals_that_hold(traces, 1000) >= 0.9


def test_the_interval_holds_the_rate_of_a_machine_with_a_long_memory() -> None:
    # Each request takes 5 ms ± 10 %, with the memory that the interval assumes.
    traces = [
        np.cumsum((5 + 0.5 * persistent_noise(PERSISTENCE, 640, seed)) * MS)
        for seed in range(300)
    ]

    # 0.95, give or take four standard deviations of a binomial of 300 trials.
    assert 0.9 <= share_of_intervals_that_hold(traces, 200) <= 1.0


def test_without_memory_the_interval_is_the_textbooks() -> None:
    gaps = np.random.default_rng(5).normal(5, 0.5, 16 * 40) * MS
    ends = np.concatenate([[0], np.cumsum(gaps)])
    batches = gaps.reshape(16, 40).mean(axis=1)

    ratio = confidence_ratio(ends, persistence=0.5)

    # 2.131 is the two-sided 95 % quantile of 15 degrees of freedom.
    expected = 2.131 * batches.std(ddof=1) / math.sqrt(16) / batches.mean()
    assert ratio == pytest.approx(expected, rel=1e-3)


def test_slow_drift_widens_the_interval() -> None:
    steady = random_ends(1.0, 4000, 1)
    gaps = np.diff(steady, prepend=0) * np.repeat([1.0, 1.3, 0.8, 1.1], 1000)
    drifting = np.cumsum(gaps).astype(np.int64)

    assert confidence_ratio(drifting) > 1.5 * confidence_ratio(steady)


def test_a_batching_server_with_steady_bursts_is_as_certain_as_a_steady_one() -> None:
    # Four answers at a time, every 8 ms: batches hold whole rounds of four.
    bursts = np.repeat(ends_every(8, 200), 4)

    assert confidence_ratio(bursts, concurrency=4) < 0.01


def test_the_rule_stops_when_narrow_enough_and_not_before_the_floor() -> None:
    rule = ConfidenceRule(percentile=95, min_duration_s=0.1)
    few = ends_every(5, rule.num_required)
    enough = ends_every(5, rule.num_required + 1)

    assert not rule.decide(few, few, 0.6).is_done
    verdict = rule.decide(enough, enough, 0.7)
    assert verdict.is_done
    assert verdict.is_stable


def test_an_interval_that_was_waited_for_is_not_reported_narrower_than_asked() -> None:
    rule = ConfidenceRule(half_width_ratio=0.05)
    ends = ends_every(5, 401)

    verdict = rule.decide(ends, ends, 2.0)

    assert verdict.is_done
    assert verdict.least_ci_ratio == 0.05


def test_the_rule_waits_for_its_least_duration() -> None:
    rule = ConfidenceRule(min_duration_s=2.0)
    ends = ends_every(5, 300)

    assert not rule.decide(ends, ends, 1.5).is_done
    assert rule.decide(ends, ends, 2.0).is_done


def test_a_noisy_point_ends_at_the_cap_and_is_not_stable() -> None:
    rule = ConfidenceRule(half_width_ratio=0.001, max_duration_s=3)
    ends = random_ends(5, 600, 3)

    verdict = rule.decide(ends, ends, 3.0)

    assert verdict.is_done
    assert not verdict.is_stable


def test_nothing_answered_until_the_cap_is_done_and_not_stable() -> None:
    nothing = np.zeros(0, dtype=np.int64)

    verdict = ConfidenceRule(max_duration_s=3).decide(nothing, nothing, 3.0)

    assert verdict.is_done
    assert not verdict.is_stable


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=300), st.integers(1, 30))
def test_windows_hold_every_request_and_all_the_time(
    gaps: list[int], num_windows: int
) -> None:
    ends = np.cumsum(gaps).astype(np.int64)

    windows = cut_windows(ends, num_windows)

    assert sum(window.num_requests for window in windows) == len(ends) - 1
    assert sum(window.duration_s for window in windows) == pytest.approx(
        (ends[-1] - ends[0]) / 1e9
    )
    assert len(windows) <= num_windows


def latencies_of(ends: np.ndarray) -> np.ndarray:
    return np.full(len(ends), 5 * MS, dtype=np.int64)


def test_three_equal_windows_settle_perf_analyzers_rule() -> None:
    rule = ThreeWindowRule(window_s=1.0)
    ends = ends_every(5, 602)

    assert not rule.decide(ends[:401], latencies_of(ends)[:401], 2.0).is_done
    verdict = rule.decide(ends, latencies_of(ends), 3.0)
    assert verdict.is_done
    assert verdict.is_stable
    assert verdict.begin == 0


def test_perf_analyzers_rule_counts_the_last_three_windows_only() -> None:
    # One second at half the speed, then three at full speed.
    ends = np.concatenate([ends_every(10, 100), 1000 * MS + ends_every(5, 602)])

    verdict = ThreeWindowRule(window_s=1.0).decide(ends, latencies_of(ends), 4.0)

    assert verdict.is_stable
    assert verdict.begin == 100


def test_perf_analyzers_rule_gives_up_after_ten_windows() -> None:
    # Every second window at half the speed: never three alike.
    gaps = np.tile(np.repeat([5, 10], 50), 6) * MS
    ends = np.cumsum(gaps).astype(np.int64)

    verdict = ThreeWindowRule(window_requests=50).decide(ends, latencies_of(ends), 5.0)

    assert verdict.is_done
    assert not verdict.is_stable


def test_a_rule_nobody_knows_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownNameError, match="confidence, three_windows"):
        rule_by_name("four_windows")
