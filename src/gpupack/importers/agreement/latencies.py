"""Whether latencies agree with each other and with the throughput.

Percentiles of one measurement rise. Requests in flight are requests a second times the
mean latency (Little's law), and at most one request in a hundred takes more than a
hundred times the mean (Markov's inequality): latencies far from that are in another
unit, or of another load.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.quoting import quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import LoadPoint, ProfileRecord

_MOST_OF_MEAN = {
    "latency_mean_us": 1.0,
    "latency_p50_us": 2.0,
    "latency_p90_us": 10.0,
    "latency_p95_us": 20.0,
    "latency_p99_us": 100.0,
}
"""How many times the mean a latency can be at most: 1 ÷ the share above it."""
_SLACK = 5.0
"""What rounding, warm-up and requests cut off by the window are allowed."""
_LEAST_OF_MEAN = 0.01
"""Clients that pause between requests see lower latencies than that law says; a
hundredth of it is a unit rather than a pause."""
_LATENCIES_AND_LOAD = attrgetter(
    *_MOST_OF_MEAN, "throughput_infer_per_sec", "load_point"
)


def doubtful_latencies(records: Sequence[ProfileRecord], source: str) -> list[str]:
    """Return what there is to say of latencies that throughput does not allow.

    Args:
        records: As they were read.
        source: Name of the file or folder, for messages.

    Raises:
        ProfileDataError: If a percentile is below a lower one.
    """
    doubtful = []
    # One look at each of what may be a hundred thousand.
    for one, told in zip(records, map(_LATENCIES_AND_LOAD, records), strict=True):
        mean, p50, p90, p95, p99, throughput, load_point = told
        last = 0.0
        highest = mean
        for value in (p50, p90, p95, p99):
            if value is not None:
                if value < last:
                    raise _falling(one, source)
                last = value
                if highest is None or value > highest:
                    highest = value
        if throughput is None or highest is None or load_point.concurrency is None:
            continue
        mean_us = _mean_us(load_point, throughput)
        if highest < mean_us * _LEAST_OF_MEAN or (
            highest > mean_us * _SLACK
            and any(
                value is not None and value > mean_us * most * _SLACK
                for value, most in zip(told, _MOST_OF_MEAN.values(), strict=False)
            )
        ):
            doubtful.append(one)
    if not doubtful:
        return []
    first = doubtful[0]
    mean_us = _mean_us(first.load_point, first.throughput_infer_per_sec or 0.0)
    points = "a load point" if len(doubtful) == 1 else f"{len(doubtful)} load points"
    return [
        f"{source}: latencies of {points} do not go with the throughput: "
        f"{first.requests_per_sec:g} requests a second of {quoted(first.model_name)} "
        f"at {first.load_point} take {mean_us / 1e3:g} ms on average; are they in "
        "another unit "
        f"({setting('units', {'latency': 'us'}, shell='latency=us')})?"
    ]


def _mean_us(load_point: LoadPoint, infer_per_sec: float) -> float:
    """Return what a request takes on average, in microseconds, by Little's law."""
    in_flight = load_point.concurrency or 0
    return in_flight * load_point.batch_size / infer_per_sec * 1e6


def _falling(record: ProfileRecord, source: str) -> ProfileDataError:
    told = ", ".join(
        f"{name.removeprefix('latency_').removesuffix('_us')} {value / 1000:g} ms"
        for name in _MOST_OF_MEAN
        if name != "latency_mean_us" and (value := getattr(record, name)) is not None
    )
    return ProfileDataError(
        f"{source}: {quoted(record.model_name)} at {record.load_point} has percentiles "
        f"that fall ({told}); are two columns swapped, or in different units?"
    )
