from __future__ import annotations

from collections.abc import Callable

import pytest

from gpupack.profiling.measuring.settling import (
    QUIET_S,
    SettledMemory,
    wait_until_settled,
)
from gpupack.units import BYTES_PER_MIB

MIB = BYTES_PER_MIB


class SimulatedTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def settle(
    used_at: Callable[[float], int | None],
    *,
    at_most_bytes: int | None = None,
    timeout_s: float = 15.0,
) -> SettledMemory:
    clock = SimulatedTime()
    return wait_until_settled(
        lambda: used_at(clock.now_s),
        at_most_bytes=at_most_bytes,
        timeout_s=timeout_s,
        now=clock.now,
        sleep=clock.sleep,
    )


def used_while_unloading(now_s: float) -> int:
    return 3000 * MIB if now_s < 1.3 else 400 * MIB


def test_a_model_that_lives_on_after_its_unload_is_waited_for() -> None:
    settled = settle(used_while_unloading)

    assert settled.memory_used_bytes == 400 * MIB
    assert settled.is_settled
    assert settled.waited_s == pytest.approx(1.3 + QUIET_S, abs=0.11)


def test_a_known_baseline_ends_the_wait_at_once() -> None:
    settled = settle(used_while_unloading, at_most_bytes=400 * MIB)

    assert settled.is_settled
    assert settled.waited_s == pytest.approx(1.3, abs=0.06)


def test_less_than_a_granule_more_than_the_baseline_is_the_baseline() -> None:
    assert settle(lambda now_s: 401 * MIB, at_most_bytes=400 * MIB).waited_s == 0


def test_memory_that_creeps_is_not_settled() -> None:
    settled = settle(lambda now_s: round(now_s * 10 * MIB), timeout_s=5)

    assert not settled.is_settled
    assert settled.waited_s == pytest.approx(5, abs=0.06)


def test_memory_that_cannot_be_read_ends_the_wait() -> None:
    assert settle(lambda now_s: None) == SettledMemory(None, False, 0.0)
