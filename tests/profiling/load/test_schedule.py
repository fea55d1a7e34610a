"""When the requests of an open loop are due."""

from __future__ import annotations

from statistics import fmean, pvariance

import pytest

from gpupack.profiling.load.schedule import Schedule


def gaps_s(schedule: Schedule, count: int) -> list[float]:
    schedule.begin(0)
    found = []
    last_ns = 0.0
    for _ in range(count):
        found.append((schedule.next_ns - last_ns) / 1e9)
        last_ns = schedule.next_ns
        schedule.advance()
    return found


@pytest.mark.parametrize(
    ("process", "burstiness", "cv2"),
    [("poisson", None, 1.0), ("constant", None, 0.0), ("gamma", 0.25, 4.0)],
)
def test_gaps_have_the_mean_and_the_spread_asked_for(
    process: str, burstiness: float | None, cv2: float
) -> None:
    found = gaps_s(Schedule(process, 200.0, burstiness=burstiness, seed="1"), 40_000)
    # Four standard errors of the mean, and a rough look at the spread.
    assert fmean(found) == pytest.approx(0.005, rel=4 * cv2**0.5 / 200 + 1e-9)
    assert pvariance(found) / fmean(found) ** 2 == pytest.approx(cv2, rel=0.15)


def test_recorded_times_are_stretched_to_the_rate_and_repeated() -> None:
    schedule = Schedule("times", 10.0, times_s=(0.0, 1.0, 4.0))
    # Gaps of 1 and 3 s, stretched to a mean of 0.1 s, over and over.
    assert gaps_s(schedule, 5) == pytest.approx([0.05, 0.15, 0.05, 0.15, 0.05])


def test_the_same_seed_gives_the_same_times_and_another_others() -> None:
    first, same, other = (
        gaps_s(Schedule("poisson", 50.0, seed=seed), 20) for seed in ("a", "a", "b")
    )
    assert first == same != other
