"""Which models may share a GPU, by the latency that is predicted of each."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.planning.contention.host_station import host_class
from gpupack.planning.contention.latency_prediction import (
    ArrivingTraffic,
    LatencyLimits,
    arriving_service_times,
    predict_percentiles,
)
from gpupack.planning.contention.latency_simulation import (
    SIMULATED_REQUESTS,
    SimulatedModel,
    simulate_percentiles,
    simulated_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass, SharingShape
    from gpupack.planning.contention.host_station import HostStation
    from gpupack.records.profile import ProfileRecord

MAX_KNOWN_ANSWERS = 100_000
"""Answers kept, so that none is found twice."""


class LatencyRule:
    """Predicts the latencies of sets of items, and says whether limits are kept.

    Args:
        limits: What is to be kept.
        records: Item i is record i.
        classes: How the contention network sees each.
        requests_per_s: The traffic of each, where its model's traffic is planned.
        contention_factor: Of the GPU type and sharing mode.
        shape: Of the sharing mode.
        margin: By this share of itself a predicted latency is to be below its limit.
        host: The host's cores; None where they do not run out.
    """

    def __init__(
        self,
        limits: LatencyLimits,
        records: Sequence[ProfileRecord],
        classes: Sequence[CustomerClass],
        requests_per_s: Sequence[float],
        *,
        contention_factor: float,
        shape: SharingShape,
        margin: float,
        host: HostStation | None = None,
    ) -> None:
        self._limits = limits
        self._classes = classes
        self._names = [record.model_name for record in records]
        self._services = [arriving_service_times(record) for record in records]
        self._records = records
        self._traffic = [
            ArrivingTraffic(rate if name in limits.arriving else None, limits.gap_cv2)
            for name, rate in zip(self._names, requests_per_s, strict=True)
        ]
        self._host = host
        self._on_host = [host_class(record) for record in records]
        self._factor = contention_factor
        self._shape = shape
        self._margin = margin
        self._known: dict[tuple[tuple[int, int], ...], bool] = {}

    @cached_property
    def _simulated(self) -> list[SimulatedModel | None]:
        """What the simulation knows of each item, which a rule does without."""
        return [
            simulated_model(record, one) if self._shape.is_round_robin else None
            for record, one in zip(self._records, self._classes, strict=True)
        ]

    def latencies_s(
        self,
        counts: Sequence[tuple[int, int]],
        percentiles: Sequence[float],
        *,
        num_requests: int = SIMULATED_REQUESTS,
    ) -> list[tuple[float, ...]]:
        """Return the latency percentiles of an instance of each item, in seconds.

        Where GPUs are shared in turns these are simulated, with about so many
        requests, which is closer to what is measured than what the rule goes by.
        """
        items = [item for item, _ in counts]
        copies = [number for _, number in counts]
        models = [one for item in items if (one := self._simulated[item]) is not None]
        if len(models) == len(items):
            found = simulate_percentiles(
                models,
                [self._traffic[item] for item in items],
                percentiles,
                copies=copies,
                host_delays=self._crowds(counts),
                num_requests=num_requests,
            )
            if found is not None:
                return found
        return self.latencies_by_rule_s(counts, percentiles)

    def latencies_by_rule_s(
        self, counts: Sequence[tuple[int, int]], percentiles: Sequence[float]
    ) -> list[tuple[float, ...]]:
        """Return what the rule goes by: longer with every model added."""
        items = [item for item, _ in counts]
        services = [one for item in items if (one := self._services[item]) is not None]
        if len(services) < len(items):
            return [(math.inf,) * len(percentiles)] * len(items)
        return predict_percentiles(
            [self._classes[item] for item in items],
            services,
            [self._traffic[item] for item in items],
            percentiles,
            contention_factor=self._factor,
            shape=self._shape,
            copies=[number for _, number in counts],
            host_delays=self._crowds(counts),
        )

    def _crowds(
        self, counts: Sequence[tuple[int, int]]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]] | None:
        """Return what waiting for the host's cores adds to a request of each item."""
        if self._host is None:
            return None
        on_host = [self._on_host[item] for item, _ in counts]
        rates = [self._traffic[item].requests_per_s for item, _ in counts]
        copies = [number for _, number in counts]
        return [
            self._host.crowds(on_host, rates, copies, index)
            for index in range(len(counts))
        ]

    def is_kept(self, counts: tuple[tuple[int, int], ...]) -> bool:
        """Return whether every model of a set keeps its limit, with the margin."""
        limits_s = self._limits.limits_s
        if not any(self._names[item] in limits_s for item, _ in counts):
            return True
        known = self._known.get(counts)
        if known is None:
            found = self.latencies_by_rule_s(counts, [self._limits.percentile])
            known = all(
                latency_s * (1 + self._margin)
                <= limits_s.get(self._names[item], math.inf)
                for (latency_s,), (item, _) in zip(found, counts, strict=True)
            )
            if len(self._known) >= MAX_KNOWN_ANSWERS:
                self._known.clear()
            self._known[counts] = known
        return known
