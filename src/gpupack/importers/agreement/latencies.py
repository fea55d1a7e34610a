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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.records.profile import ProfileRecord

_MOST_OF_MEAN = {
    "latency_p50_us": 2.0,
    "latency_p90_us": 10.0,
    "latency_p95_us": 20.0,
    "latency_p99_us": 100.0,
}
"""How many times the mean a percentile can be at most: 1 ÷ the share above it."""
_SLACK = 5.0
"""What rounding, warm-up and requests cut off by the window are allowed."""
_LEAST_OF_MEAN = 0.01
"""Clients that pause between requests see lower latencies than that law says; a
hundredth of it is a unit rather than a pause."""


def doubtful_latencies(
    records: Sequence[ProfileRecord], *, where: Callable[[int], str], source: str
) -> list[str]:
    """Return what there is to say of latencies that throughput does not allow.

    Args:
        records: As they were read.
        where: Names a record's row, by its index.
        source: The file, for messages.

    Raises:
        ProfileDataError: If a percentile is below a lower one.
    """
    doubtful = []
    for index, one in enumerate(records):
        told = one.latency_p50_us, one.latency_p90_us, one.latency_p95_us
        known = [value for value in (*told, one.latency_p99_us) if value is not None]
        if known != sorted(known):
            raise _falling(one, f"{source}, {where(index)}")
        if one.throughput_infer_per_sec is None or not known:
            continue
        in_flight = one.load_point.concurrency
        if in_flight is None:
            continue
        rate = one.throughput_infer_per_sec / one.load_point.batch_size
        mean_us = in_flight / rate * 1e6
        if known[-1] < mean_us * _LEAST_OF_MEAN or any(
            (value := getattr(one, name)) is not None
            and value > mean_us * most * _SLACK
            for name, most in _MOST_OF_MEAN.items()
        ):
            doubtful.append(index)
    if not doubtful:
        return []
    first = records[doubtful[0]]
    rate = (first.throughput_infer_per_sec or 0) / first.load_point.batch_size
    rows = "in a row" if len(doubtful) == 1 else f"in {len(doubtful)} rows"
    return [
        f"latencies {rows} do not go with the throughput, the first in "
        f"{where(doubtful[0])}: {rate:g} requests a second at "
        f"{first.load_point} take {1e3 * (first.load_point.concurrency or 0) / rate:g} "
        "ms on average; are they in another unit (--unit latency=us, units= in Python)?"
    ]


def _falling(record: ProfileRecord, where: str) -> ProfileDataError:
    told = ", ".join(
        f"{name.removeprefix('latency_').removesuffix('_us')} {value / 1000:g} ms"
        for name in _MOST_OF_MEAN
        if (value := getattr(record, name)) is not None
    )
    return ProfileDataError(
        f"{where}: {quoted(record.model_name)} has percentiles that fall ({told}); are "
        "two columns swapped, or in different units?"
    )
