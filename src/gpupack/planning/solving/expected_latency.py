"""The latencies that a placement expects of its instances, beside their limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.planning.contention import (
    MAX_PREDICTED_KINDS,
    SIMULATED_REQUESTS,
    LatencyLimits,
    RetentionRule,
    has_all_readings,
)
from gpupack.records.request import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request


SIMULATED_IN_ALL = 20 * SIMULATED_REQUESTS
"""Requests simulated for all GPUs of a placement: some tenth of a second of work."""
FEWEST_SIMULATED = 20_000


def requests_for_each(num_gpus: int) -> int:
    """Return how many requests are simulated for each of so many different GPUs."""
    each = SIMULATED_IN_ALL // max(1, num_gpus)
    return max(FEWEST_SIMULATED, min(SIMULATED_REQUESTS, each))


def expected_latencies_s(
    question: CapacityQuestion,
    request: Request,
    supply_index: int,
    records: Sequence[ProfileRecord],
    served_infer_per_sec: Sequence[float | None],
    *,
    num_requests: int | None = SIMULATED_REQUESTS,
) -> list[tuple[float, float]]:
    """Return the latencies of each instance on a GPU; empty if nothing is predicted.

    Args:
        question: Says which models have limits.
        request: Says how requests arrive.
        supply_index: Of the GPU's type.
        records: Of the instances.
        served_infer_per_sec: The traffic of each; None of those without a demand.
        num_requests: Simulated, about, where they are; None for what the rule of
            latency limits goes by, which takes a fraction of the time.

    Returns:
        The median, and the percentile that limits are about, in seconds; infinite of
        an instance without traffic, or with more than it can serve.
    """
    wishes = question.wishes
    if (
        not any(one.model_name in wishes.latency_limit_ms for one in records)
        or question.supplies[supply_index].is_carried_over
        or not has_all_readings(records)
        or len(records) > MAX_PREDICTED_KINDS
    ):
        return []
    percentile = float(wishes.latency_percentile)
    loads = [
        1.0
        if served is None or not one.throughput_infer_per_sec
        else min(1.0, served / one.throughput_infer_per_sec)
        for one, served in zip(records, served_infer_per_sec, strict=True)
    ]
    rule = RetentionRule(
        records,
        question.contentions[supply_index],
        {},
        loads=loads,
        latency=LatencyLimits(
            {},
            frozenset(
                one.model_name
                for one, served in zip(records, served_infer_per_sec, strict=True)
                if served
            ),
            percentile=percentile,
            gap_cv2=Arrivals.parse(request.arrivals).gap_cv2,
            demand=wishes.demand,
        ),
    )
    counts = tuple((item, 1) for item in range(len(records)))
    percentiles = [50.0, percentile]
    if num_requests is None:
        found = rule.latencies_by_rule_s(counts, percentiles)
    else:
        found = rule.latencies_s(counts, percentiles, num_requests=num_requests)
    return [(median, high) for median, high in found]


def latency_fields(
    model_name: str, question: CapacityQuestion, latency_s: tuple[float, float]
) -> dict[str, float | None]:
    """Return the fields of an assignment that are about latency, by name."""
    limit_ms = question.wishes.latency_limit_ms.get(model_name)
    if limit_ms is None:
        return {}
    median_us, high_us = (
        1e6 * value if math.isfinite(value) else None for value in latency_s
    )
    return {
        "predicted_latency_p50_us": median_us,
        "predicted_latency_us": high_us,
        "latency_limit_ms": limit_ms,
    }
