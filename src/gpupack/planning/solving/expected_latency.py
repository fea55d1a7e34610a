"""The latencies that a placement expects of its instances, beside their limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.planning.contention import (
    MAX_PREDICTED_KINDS,
    LatencyLimits,
    RetentionRule,
    has_all_readings,
)
from gpupack.records.request import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.solving.found import FilledGpu, ModelInstance
    from gpupack.records.request import Request


def expected_latencies_s(
    filled: FilledGpu,
    question: CapacityQuestion,
    request: Request,
    loads: Sequence[float],
) -> list[tuple[float, float]]:
    """Return the latencies of each instance; none where nothing can be predicted."""
    wishes = question.wishes
    records = [one.record for one in filled.instances]
    supply = question.supplies[filled.supply]
    if (
        not any(one.model_name in wishes.latency_limit_ms for one in records)
        or supply.is_carried_over
        or not has_all_readings(records)
        or len(records) > MAX_PREDICTED_KINDS
    ):
        return []
    percentile = float(wishes.latency_percentile)
    rule = RetentionRule(
        records,
        question.contentions[filled.supply],
        {},
        loads=list(loads),
        latency=LatencyLimits(
            {},
            frozenset(
                one.record.model_name
                for one in filled.instances
                if one.served_infer_per_sec
            ),
            percentile=percentile,
            gap_cv2=Arrivals.parse(request.arrivals).gap_cv2,
        ),
    )
    found = rule.latencies_s(
        tuple((item, 1) for item in range(len(records))), [50.0, percentile]
    )
    return [(median, high) for median, high in found]


def latency_fields(
    one: ModelInstance, question: CapacityQuestion, latency_s: tuple[float, float]
) -> dict[str, float | None]:
    """Return the fields of an assignment that are about latency, by name."""
    limit_ms = question.wishes.latency_limit_ms.get(one.record.model_name)
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
