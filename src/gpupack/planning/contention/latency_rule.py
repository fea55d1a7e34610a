"""Which models may share a GPU, by the latency that is predicted of each.

A record of a closed loop of one request per instance tells service times as they are:
its latencies. One of an open loop, sent λ requests a second, holds waits in them, and
its throughput is what was sent, not what the model can do. With the latency ``T``, the
service ``S`` of n instances and the wait ``W``::

    E[T] = O + E[S] + E[W],    Var[T] = Var[S] + Var[W]

``E[S]`` is what the server counted for its requests, where it says that; ``O`` is then
what is left of the latency. Else O is taken for 0, and ``E[S]`` is the one for which
the queue has the mean latency that was measured. The variance of S is the one for which
it has the variance that was measured. The wait is that of a GI/G/n queue: of one server
that is n times as fast, exact for Poisson arrivals and gamma-distributed services (its
mean Pollaczek and Khinchine's, its variance Takács's), scaled to others as Allen and
Cunneen do. Levels of S are those of the latencies, drawn together to mean and variance.

References:
    As for ``latency_prediction``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gpupack.planning.contention.host_station import host_class
from gpupack.planning.contention.latency_prediction import (
    MAX_BUSY_SHARE,
    LatencyLimits,
    ServiceTimes,
    arriving_service_times,
    erlang_c,
    predict_percentiles,
    service_times,
)
from gpupack.planning.contention.latency_simulation import (
    SIMULATED_REQUESTS,
    SimulatedModel,
    simulate_percentiles,
    simulated_model,
)
from gpupack.planning.contention.turns import turns_of_record
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass, SharingShape
    from gpupack.planning.contention.host_station import HostStation
    from gpupack.records.profile import ProfileRecord

AHEAD_MARGIN, BURST_MARGIN = 2.0, 0.25
"""Of the margin of requests in turns: what launches ahead waits for the host, which
nobody predicts, and needs 0.8; what does not, 0.1."""
SATURATION_MARGIN = 0.625
"""Of the same margin, for each ``U / (1 - U)`` of a GPU in turns that is planned to be
at work for the share U of the time: waits go with 1 / (1 - U), so an error of the
capacity weighs the more the less is left of it."""
MOST_PLANNED = 0.95
"""For U: beyond, rounds are longer than any margin."""
MAX_KNOWN_ANSWERS = 100_000
"""Answers kept, so that none is found twice."""
MAX_SERVICE_CV2 = 4.0
"""Services that vary by more are not told from a queue."""
_NUM_HALVINGS = 30
_LEAST_LEVEL = 0.1
"""Of the mean service: none is taken for shorter."""


def _share_of_margin(record: ProfileRecord, one: CustomerClass) -> float:
    """Return which part of the margin a model needs, by what the probe read of it."""
    turns = turns_of_record(record, one)
    if turns is None:
        return 1.0
    return AHEAD_MARGIN if turns.is_ahead else BURST_MARGIN


class LatencyRule:
    """Predicts the latencies of sets of items, and says whether limits are kept.

    Args:
        limits: What is to be kept.
        records: Item i is record i.
        classes: How the contention network sees each.
        requests_per_s: The traffic of each, where its model's traffic is planned.
        contention_factor: Of the GPU type and sharing mode.
        shape: Of the sharing mode.
        margin: By this share of itself a predicted latency is to be below its limit,
            where nothing is known of the kind of a model; in turns on an idle GPU.
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
        self._services = [
            open_loop_service_times(record)
            if is_of_arrivals(record)
            else arriving_service_times(record)
            for record in records
        ]
        self._records = records
        self._traffic = [
            limits.traffic_of(record.model_name, rate, record.load_point.batch_size)
            for record, rate in zip(records, requests_per_s, strict=True)
        ]
        self._host = host
        self._on_host = [host_class(record) for record in records]
        self._factor = contention_factor
        self._shape = shape
        self._planned = [
            one.gpu_demand_s * (sent.requests_per_s or one.most_requests_per_s)
            for one, sent in zip(classes, self._traffic, strict=True)
        ]
        self._margin = margin
        self._margins = [
            margin * _share_of_margin(record, one)
            for record, one in zip(records, classes, strict=True)
        ]
        self._known: dict[tuple[tuple[int, int], ...], bool] = {}

    @property
    def is_in_turns(self) -> bool:
        """Whether processes take turns on the GPU."""
        return self._shape.is_round_robin

    @cached_property
    def _simulated(self) -> list[SimulatedModel | None]:
        """What the simulation knows of each item, which a rule does without."""
        if not self.is_in_turns:
            return [None] * len(self._records)
        return [
            open_loop_model(record, one, service)
            if is_of_arrivals(record)
            else simulated_model(record, one)
            for record, one, service in zip(
                self._records, self._classes, self._services, strict=True
            )
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

    def margins(self, counts: Sequence[tuple[int, int]]) -> list[float]:
        """Return by which share of itself each predicted latency is to be shorter.

        In turns it is the more the less of the GPU is left, so it only grows with every
        model that is added.
        """
        more = 0.0
        if self.is_in_turns:
            planned = sum(number * self._planned[item] for item, number in counts)
            planned = min(planned, MOST_PLANNED)
            more = SATURATION_MARGIN * self._margin * planned / (1 - planned)
        return [self._margins[item] + more for item, _ in counts]

    def is_kept(self, counts: tuple[tuple[int, int], ...]) -> bool:
        """Return whether every model of a set keeps its limit, with the margin."""
        limits_s = self._limits.limits_s
        if not any(self._names[item] in limits_s for item, _ in counts):
            return True
        known = self._known.get(counts)
        if known is None:
            found = self.latencies_by_rule_s(counts, [self._limits.percentile])
            known = all(
                latency_s * (1 + margin) <= limits_s.get(self._names[item], math.inf)
                for (latency_s,), (item, _), margin in zip(
                    found, counts, self.margins(counts), strict=True
                )
            )
            if len(self._known) >= MAX_KNOWN_ANSWERS:
                self._known.clear()
            self._known[counts] = known
        return known


def is_of_arrivals(record: ProfileRecord) -> bool:
    """Whether a record's throughput is what was sent, and its latencies hold waits.

    A server that did not keep up shows what it can do, and latencies of nothing.
    """
    told = record.open_loop
    return record.load_point.requests_per_sec is not None and (
        told is None or (told.is_kept_up and told.is_sent)
    )


def open_loop_service_times(record: ProfileRecord) -> ServiceTimes | None:
    """Return the service times behind latencies of requests that arrived.

    None without a throughput, or without latencies: then nothing is known.
    """
    latencies = _latency_levels(record)
    rate = record.requests_per_sec
    if latencies is None or not rate:
        return None
    num = max(record.num_model_instances or 1, 1)
    queue = _Queue(rate, num, _gap_cv2(record))
    mean_s, variance = float(latencies.mean()), float(latencies.var())
    counted_s = _counted_service_s(record)
    overhead_s = 0.0
    if counted_s is not None:
        waited_s = (record.server_queue_us or 0.0) / 1e6
        overhead_s = max(0.0, mean_s - counted_s - waited_s)

    def service_s(cv2: float) -> float:
        """Return the mean service, if services vary by so much."""
        if counted_s is not None:
            return min(counted_s, queue.most_s)
        return _root(
            lambda one: one + queue.wait(one, cv2)[0] - mean_s,
            0.0,
            min(mean_s, queue.most_s),
        )

    def excess(cv2: float) -> float:
        """Return by how much latencies would vary more than they do."""
        one = service_s(cv2)
        return cv2 * one**2 + queue.wait(one, cv2)[1] - variance

    cv2 = 0.0 if excess(0.0) >= 0 else _root(excess, 0.0, MAX_SERVICE_CV2)
    found_s = service_s(cv2)
    share = min(1.0, (cv2 / variance) ** 0.5 * found_s) if variance > 0 else 0.0
    levels = found_s + share * (latencies - mean_s)
    levels = np.maximum(levels, _LEAST_LEVEL * found_s)
    levels *= found_s / float(levels.mean())
    return ServiceTimes(levels, overhead_s, num)


def open_loop_model(
    record: ProfileRecord, one: CustomerClass, service: ServiceTimes | None
) -> SimulatedModel | None:
    """Return what the simulation knows of a record of arrivals, None if nothing.

    Nor of several instances, and of the host, which it does not simulate.
    """
    if (
        service is None
        or service.num_instances > 1
        or record.gpu_type.kind is not DeviceKind.GPU
    ):
        return None
    gpu_s = one.gpu_demand_s
    host_s = np.maximum(service.levels_s - gpu_s, 0.0)
    return SimulatedModel(host_s, gpu_s, service.overhead_s, wake_s=0.0)


def _latency_levels(record: ProfileRecord) -> NDArray[np.float64] | None:
    """Return equally likely latencies, as they were measured, in seconds."""
    # Of a closed loop of one, of which the server says nothing, they are all service.
    as_closed = record.model_copy(
        update={
            "open_loop": None,
            "load_point": LoadPoint(batch_size=1, concurrency=1),
            "server_compute_infer_us": None,
        }
    )
    if record.latency_mean_us is None and record.latency_p50_us is None:
        return None
    found = service_times(as_closed)
    return None if found is None else found.levels_s


def _counted_service_s(record: ProfileRecord) -> float | None:
    """Return the mean time for which requests had an instance, as the server says."""
    parts = (
        record.server_compute_input_us,
        record.server_compute_infer_us,
        record.server_compute_output_us,
    )
    known = [part for part in parts if part is not None]
    total_s = sum(known) / 1e6
    return total_s if len(known) == len(parts) and total_s > 0 else None


def _gap_cv2(record: ProfileRecord) -> float:
    """Return how uneven arrivals were; those of a file, and unknown ones, as chance."""
    told = record.open_loop
    named = None if told is None else Arrivals.by_name(told.arrivals)
    return 1.0 if named is None else named.gap_cv2


@dataclass(frozen=True, slots=True)
class _Queue:
    """Arrivals at instances that serve one request at a time, each."""

    rate: float
    num: int
    gap_cv2: float

    @property
    def most_s(self) -> float:
        """The longest mean service that it keeps up with."""
        return MAX_BUSY_SHARE * self.num / self.rate

    def wait(self, service_s: float, service_cv2: float) -> tuple[float, float]:
        """Return mean and variance of the wait, for services of this mean and cv²."""
        busy = self.rate * service_s / self.num
        if busy <= 0:
            return 0.0, 0.0
        one_s = service_s / self.num
        mean_s = busy * one_s * (1 + service_cv2) / (2 * (1 - busy))
        cubed = one_s**3 * (1 + service_cv2) * (1 + 2 * service_cv2)
        second = 2 * mean_s**2 + self.rate * cubed / (3 * (1 - busy))
        uneven = (self.gap_cv2 + service_cv2) / (1 + service_cv2)
        waits = erlang_c(self.num, busy) / busy
        mean_s *= waits * uneven
        return mean_s, max(0.0, waits * uneven**2 * second - mean_s**2)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is 0, or the end that is nearest to it."""
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        if excess(middle) > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
