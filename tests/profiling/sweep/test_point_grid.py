"""Load points from batch sizes, concurrencies, rates and recorded times."""

from __future__ import annotations

import pytest

from gpupack.errors import InvalidInputError
from gpupack.profiling.sweep.point_grid import load_points
from gpupack.records.request.arrivals import ArrivalProcess, Arrivals


def recorded(*times_s: float) -> Arrivals:
    return Arrivals(process=ArrivalProcess.TIMES, times_s=times_s, source="times.txt")


def test_recorded_times_name_a_rate_that_can_be_read() -> None:
    # As clocks have it: seconds since 1970 are known to a quarter of a microsecond.
    times_s = [1.7e9 + 0.01 * index for index in range(100)]

    (point,) = load_points([1], None, None, recorded(*times_s))

    assert str(point) == "1@100/s"


@pytest.mark.parametrize("last_s", [1e-9, 1e-300, 5e-324])
def test_recorded_times_of_a_rate_that_nobody_sends_are_refused(last_s: float) -> None:
    with pytest.raises(InvalidInputError, match=r"'times.txt' are .* in seconds\?"):
        load_points([1], None, None, recorded(0.0, last_s))


def test_such_times_can_be_stretched_to_a_rate() -> None:
    (point,) = load_points([1], None, [50], recorded(0.0, 1e-9))

    assert point.requests_per_sec == 50
