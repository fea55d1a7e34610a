"""What arrives at one of several replicas."""

from __future__ import annotations

import numpy as np
import pytest

from gpupack.profiling.load.schedule import Schedule
from gpupack.records.request.arrivals import POISSON, Arrivals


def gaps_of(arrivals: Arrivals, number: int) -> np.ndarray:
    """The gaps that a client makes of them, of mean 1."""
    schedule = Schedule(
        arrivals.process.value, 1e9, burstiness=arrivals.burstiness, seed="part"
    )
    schedule.begin(0)
    times = []
    for _ in range(number):
        times.append(schedule.next_ns)
        schedule.advance()
    return np.diff(times)


@pytest.mark.parametrize("name", ["constant", "gamma:0.25", "gamma:4", "poisson"])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_part_is_as_uneven_as_requests_drawn_by_chance(
    name: str, share: float
) -> None:
    whole = Arrivals.parse(name)
    times = np.cumsum(gaps_of(whole, 100_000))
    drawn = np.diff(times[np.random.default_rng(3).random(len(times)) < share])
    cv2 = float((drawn.std() / drawn.mean()) ** 2)
    assert whole.part(share).gap_cv2 == pytest.approx(cv2, rel=0.05)
    made = gaps_of(whole.part(share), 100_000)
    assert (made.std() / made.mean()) ** 2 == pytest.approx(cv2, rel=0.08)


def test_all_of_it_poisson_and_recorded_times_stay_what_they_are() -> None:
    bursts = Arrivals.parse("gamma:0.25")
    assert bursts.part(1.0) is bursts
    assert POISSON.part(0.3) is POISSON
    recorded = Arrivals.model_validate({"process": "times", "times_s": (0.0, 1.0)})
    assert recorded.part(0.5) is recorded
    assert str(bursts.part(0.5)) == "gamma:0.4"
