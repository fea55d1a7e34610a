"""Whether latencies agree with each other and with the throughput.

Percentiles of one measurement rise. Requests in flight are requests a second times the
mean latency (Little's law), and at most one request in a hundred takes more than a
hundred times the mean (Markov's inequality): latencies far from that are in another
unit, or of another load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.quoting import quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord

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


def doubtful_latencies(records: Sequence[ProfileRecord], source: str) -> list[str]:
    """Return what there is to say of latencies that throughput does not allow.

    Args:
        records: As they were read.
        source: Name of the file or folder, for messages.

    Raises:
        ProfileDataError: If a percentile is below a lower one.
    """
    doubtful = []
    for one in records:
        told = one.latency_p50_us, one.latency_p90_us, one.latency_p95_us
        known = [value for value in (*told, one.latency_p99_us) if value is not None]
        if known != sorted(known):
            raise _falling(one, source)
        known += [] if one.latency_mean_us is None else [one.latency_mean_us]
        if one.throughput_infer_per_sec is None or not known:
            continue
        in_flight = one.load_point.concurrency
        if in_flight is None:
            continue
        rate = one.throughput_infer_per_sec / one.load_point.batch_size
        mean_us = in_flight / rate * 1e6
        if max(known) < mean_us * _LEAST_OF_MEAN or any(
            (value := getattr(one, name)) is not None
            and value > mean_us * most * _SLACK
            for name, most in _MOST_OF_MEAN.items()
        ):
            doubtful.append(one)
    if not doubtful:
        return []
    first = doubtful[0]
    rate = (first.throughput_infer_per_sec or 0) / first.load_point.batch_size
    points = "a load point" if len(doubtful) == 1 else f"{len(doubtful)} load points"
    return [
        f"{source}: latencies of {points} do not go with the throughput: "
        f"{rate:g} requests a second of {quoted(first.model_name)} at "
        f"{first.load_point} take {1e3 * (first.load_point.concurrency or 0) / rate:g} "
        "ms on average; are they in another unit "
        f"({setting('units', {'latency': 'us'}, shell='latency=us')})?"
    ]


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
