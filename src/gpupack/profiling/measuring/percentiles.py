"""How well is a latency percentile known? Intervals for requests that queue up."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from gpupack.profiling.measuring.interval import CONFIDENCE, NUM_BATCHES, t_quantile
from gpupack.profiling.measuring.stability import requests_for_percentile
from gpupack.records.profile import LatencyPercentile

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
"""Those of records."""


def percentile_with_interval(
    latencies_us: npt.NDArray[np.float64], percentile: float
) -> LatencyPercentile | None:
    """Return a percentile with its 95 % confidence interval; None of too few requests.

    Requests that queue behind each other are late together, so that n of them say less
    than n independent ones. Which share of the requests is faster than the estimate is
    counted in 16 batches, one after the other; the spread of these shares says how well
    the share is known (at least as ill as of independent requests), and its interval is
    read back through the sample. None where ``requests_for_percentile`` asks for more.

    References:
        Heidelberger and Lewis, "Quantile Estimation in Dependent Sequences", Operations
        Research 32(1), 1984.
    """
    count = len(latencies_us)
    if count < requests_for_percentile(percentile):
        return None
    p = percentile / 100
    value = float(np.percentile(latencies_us, percentile))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(p * (1 - p) / count)
    size = count // NUM_BATCHES
    if size >= 2:
        faster = (latencies_us[-size * NUM_BATCHES :] <= value).reshape(
            NUM_BATCHES, size
        )
        spread = float(faster.mean(axis=1).std(ddof=1)) / math.sqrt(NUM_BATCHES)
        half = max(half, t_quantile((1 + CONFIDENCE) / 2, NUM_BATCHES - 1) * spread)
    low = float(np.percentile(latencies_us, 100 * max(0.0, p - half)))
    high = (
        float(np.percentile(latencies_us, 100 * (p + half))) if p + half < 1 else None
    )
    return LatencyPercentile(
        percentile=percentile,
        value_us=value,
        low_us=low,
        high_us=high,
        num_requests=count,
    )


def percentiles_with_intervals(
    latencies_us: npt.NDArray[np.float64], percentiles: Iterable[float] = PERCENTILES
) -> tuple[LatencyPercentile, ...]:
    """Return those of the percentiles that there are enough requests for."""
    found = (percentile_with_interval(latencies_us, one) for one in percentiles)
    return tuple(one for one in found if one is not None)
