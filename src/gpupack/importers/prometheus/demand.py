"""What was asked of each model over time: mean, peak and percentiles."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from gpupack.importers.prometheus.quantities import Quantity
from gpupack.importers.prometheus.readings import added
from gpupack.importers.prometheus.window import moment
from gpupack.records.running.observed_cluster import DEMAND_PERCENTILES, ObservedDemand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.importers.prometheus.join import Joined
    from gpupack.importers.prometheus.readings import Readings, Series, Steps


def observe_demands(readings: Readings, joined: Joined) -> tuple[ObservedDemand, ...]:
    """Return the demand of each model, sorted by name.

    A server that was there before and after a step, but was not read in it, leaves the
    demand of its models in that step unknown, not lower. So does a step in which no
    server at all was read.
    """
    rates = readings.of(Quantity.INFERENCES)
    is_blank = np.ones(len(readings.steps), dtype=bool)
    for series in rates:
        is_blank &= np.isnan(series.values)
    by_model: dict[str, list[Series]] = defaultdict(list)
    for series in rates:
        by_model[joined.called(series)].append(series)
    totals = {
        quantity: _sums(readings, joined, quantity)
        for quantity in (
            Quantity.INFERENCES,
            Quantity.REQUESTS,
            Quantity.EXECUTIONS,
            Quantity.REQUEST_US,
            Quantity.QUEUE_US,
        )
    }
    slowest: dict[str, float] = {}
    for series in readings.of(Quantity.LATENCY_P99_US):
        if not np.all(np.isnan(series.values)):
            name = joined.called(series)
            slowest[name] = max(slowest.get(name, 0.0), float(np.nanmax(series.values)))
    return tuple(
        _of_model(
            name,
            _total(by_model[name], is_blank),
            readings.steps,
            {quantity: sums[name] for quantity, sums in totals.items() if name in sums},
            slowest.get(name),
        )
        for name in sorted(by_model)
    )


def _total(series: list[Series], is_blank: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sum over servers, NaN where one of them was there but not read."""
    total = np.zeros(len(is_blank))
    unknown = is_blank.copy()
    for one in series:
        there = ~np.isnan(one.values)
        if not there.any():
            if len(there) == 1:
                unknown[:] = True  # a single text: counters, but no rates
            continue
        first, last = int(np.argmax(there)), int(len(there) - np.argmax(there[::-1]))
        unknown[first:last] |= ~there[first:last]
        total += np.nan_to_num(one.values)
    total[unknown] = np.nan
    return total


def _sums(readings: Readings, joined: Joined, quantity: Quantity) -> dict[str, float]:
    """Return by model how much a counter rose in all."""
    risen: dict[str, NDArray[np.float64]] = {}
    for series in readings.of(quantity):
        name = joined.called(series)
        before = risen.get(name)
        risen[name] = series.values if before is None else added(before, series.values)
    steps = readings.coarse_steps if quantity.is_coarse else readings.steps
    # All sums over the same time, since they are divided by each other.
    lengths = np.where(
        steps.ends_s > readings.coarse_steps.edges_s[0], steps.lengths_s, 0.0
    )
    return {name: float(np.nansum(one * lengths)) for name, one in risen.items()}


def _of_model(
    name: str,
    rates: NDArray[np.float64],
    steps: Steps,
    sums: dict[Quantity, float],
    slowest_us: float | None,
) -> ObservedDemand:
    known = ~np.isnan(rates)
    told: dict[str, object] = {
        "model_name": name,
        "infer_per_sec": tuple(
            float(rate) if is_known else None
            for rate, is_known in zip(rates, known, strict=True)
        ),
        "latency_p99_us": slowest_us,
    }
    if known.any():
        lengths, found = steps.lengths_s[known], rates[known]
        peak = int(np.nanargmax(rates))
        told |= {
            "mean_infer_per_sec": float(np.average(found, weights=lengths)),
            "peak_infer_per_sec": float(rates[peak]),
            "peak_at": moment(float(steps.ends_s[peak])),
            "percentile_infer_per_sec": dict(
                zip(
                    DEMAND_PERCENTILES,
                    map(
                        float,
                        np.percentile(found, DEMAND_PERCENTILES, method="inverted_cdf"),
                    ),
                    strict=True,
                )
            ),
        }
    return ObservedDemand.model_validate(told | _means(sums))


def _means(sums: dict[Quantity, float]) -> dict[str, float]:
    """Return what the sums of counters tell of a mean request."""
    means = {}
    inferences = sums.get(Quantity.INFERENCES, 0.0)
    requests = sums.get(Quantity.REQUESTS, 0.0)
    executions = sums.get(Quantity.EXECUTIONS, 0.0)
    if requests > 0:
        for quantity, field in (
            (Quantity.REQUEST_US, "latency_mean_us"),
            (Quantity.QUEUE_US, "queue_mean_us"),
        ):
            if quantity in sums:
                means[field] = sums[quantity] / requests
    if inferences > 0 and requests > 0:
        means["mean_request_batch_size"] = inferences / requests
    if inferences > 0 and executions > 0:
        means["mean_execution_batch_size"] = inferences / executions
    return means
