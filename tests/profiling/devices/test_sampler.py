from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from gpupack.profiling.devices.device import DeviceReadings
from gpupack.profiling.devices.sampler import (
    MAX_DUTY_RATIO,
    NOTHING_READ,
    Poll,
    PollingSampler,
    summarize,
)


def summarize_polls(*polls: Poll, not_before_s: float = 0) -> DeviceReadings:
    return summarize(polls, not_before_s=not_before_s, values={}, reasons={})


class ConstantSpan:
    def end(self) -> tuple[dict[str, float], dict[str, str]]:
        return {"energy_joules": 3.0}, {"sm_utilization_percent": "no GPM"}


class CountingSource:
    """Counts its polls and says so as used memory; each takes ``cost_s``."""

    utilization_period_s = 0.0

    def __init__(self, cost_s: float = 0.0) -> None:
        self.cost_s = cost_s
        self.num_polls = 0
        self.inside = threading.Lock()
        self.was_entered_twice = False

    def poll(self) -> Poll:
        if not self.inside.acquire(blocking=False):
            self.was_entered_twice = True
            raise AssertionError
        self.num_polls += 1
        time.sleep(self.cost_s)
        self.inside.release()
        return Poll(at_s=time.monotonic(), memory_used_bytes=self.num_polls)

    def start_span(self) -> ConstantSpan:
        return ConstantSpan()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.001)
    assert condition()


def test_readings_are_maxima_and_means() -> None:
    readings = summarize_polls(
        Poll(1, gpu_utilization_percent=10, memory_used_bytes=7, power_mean_watts=100),
        Poll(2, gpu_utilization_percent=50, memory_used_bytes=9, power_mean_watts=300),
        Poll(3, gpu_utilization_percent=30, memory_used_bytes=8, power_mean_watts=200),
    )

    assert readings.gpu_utilization_percent == 50
    assert readings.gpu_utilization_mean_percent == (10 + 50 + 30) / 3
    assert readings.memory_used_bytes == 9
    assert readings.power_mean_watts == (100 + 300 + 200) / 3


def test_a_utilization_that_reaches_back_before_the_measurement_does_not_count() -> (
    None
):
    readings = summarize_polls(
        Poll(1.1, gpu_utilization_percent=99, memory_used_bytes=5),
        Poll(1.3, gpu_utilization_percent=20, memory_used_bytes=4),
        not_before_s=1.2,
    )

    assert readings.gpu_utilization_percent == 20
    assert readings.gpu_utilization_mean_percent == 20
    # Used memory is of the moment it was read.
    assert readings.memory_used_bytes == 5


def test_a_measurement_shorter_than_the_driver_s_period_uses_what_there_is() -> None:
    readings = summarize_polls(Poll(1.1, gpu_utilization_percent=99), not_before_s=1.2)

    assert readings.gpu_utilization_percent == 99


def test_a_reading_that_failed_once_and_came_back_counts() -> None:
    readings = summarize_polls(
        Poll(1, errors={"memory_used_bytes": "busy"}), Poll(2, memory_used_bytes=8)
    )

    assert readings.memory_used_bytes == 8


def test_a_reading_that_failed_at_the_end_is_missing_whatever_came_before() -> None:
    readings = summarize_polls(
        Poll(1, memory_used_bytes=8), Poll(2, errors={"memory_used_bytes": "lost"})
    )

    assert readings.memory_used_bytes is None
    assert readings.missing["memory_used_bytes"] == "lost"


def test_a_reading_that_never_came_is_missing_and_not_zero() -> None:
    readings = summarize_polls(Poll(1))

    assert readings.gpu_utilization_percent is None
    assert readings.missing["gpu_utilization_percent"] == NOTHING_READ


def test_counters_stand_beside_polls_with_their_reasons() -> None:
    source = CountingSource()
    with PollingSampler(source, interval_s=60) as sampler:
        readings = sampler.readings()

    assert readings.energy_joules == 3
    assert readings.missing["sm_utilization_percent"] == "no GPM"


def test_a_reset_forgets_every_earlier_poll() -> None:
    source = CountingSource()
    with PollingSampler(source, interval_s=60) as sampler:
        wait_for(lambda: source.num_polls == 1)
        for expected in (2, 3, 4):
            sampler.reset()
            assert sampler.readings().memory_used_bytes == expected


def test_the_thread_polls_by_itself_and_ends_with_the_block() -> None:
    source = CountingSource()
    with PollingSampler(source, interval_s=0.001):
        wait_for(lambda: source.num_polls >= 5)
    assert not any(one.name == "gpupack-sampler" for one in threading.enumerate())


def test_the_source_is_never_entered_by_two_threads() -> None:
    source = CountingSource(cost_s=0.001)
    with PollingSampler(source, interval_s=0.0001) as sampler:
        for _ in range(20):
            sampler.readings()

    assert not source.was_entered_twice


def test_a_slow_driver_is_asked_less_often() -> None:
    source = CountingSource(cost_s=0.01)
    started_s = time.monotonic()
    with PollingSampler(source, interval_s=0.001):
        wait_for(lambda: source.num_polls >= 4)
    elapsed_s = time.monotonic() - started_s

    # Three pauses between four polls, each 1 / MAX_DUTY_RATIO times a poll's cost.
    assert elapsed_s >= 3 * source.cost_s / MAX_DUTY_RATIO


@pytest.mark.parametrize("interval_s", [0, -1, float("nan")])
def test_an_interval_of_nothing_is_refused(interval_s: float) -> None:
    with pytest.raises(ValueError, match="interval_s"):
        PollingSampler(CountingSource(), interval_s=interval_s)
