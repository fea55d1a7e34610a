# Long because service, wait and what delays them make one distribution.
"""Latency percentiles of requests that arrive, predicted from solo profiles.

Each model instance on a GPU is a queue of its own: requests arrive, wait until those
before them are served (``W``), and are served (``S``); what does not occupy the
instance (HTTP, the client's side; ``O``) is added::

    T = O + W + S,    S = S_alone + Σ_j c · w_ij · B_j

``S_alone`` is the distribution that the profile recorded, by its percentiles. A
request finds neighbor ``j`` at the GPU with probability ``q_j`` (``B_j`` is 1 then, 0
otherwise) and is delayed as the contention network says (``delays``). ``q`` is the
least fixed point of ``R_i = D_i + c Σ w_ij q_j`` and ``q_i = λ_i R_i``, at most the
instances there are. Where a neighbor comes and goes several times within one service,
its delay is split into as many parts, each there or not.

The wait is that of a GI/G/m queue: ``P(W > x) = min(p, C · exp(−η x))`` with the decay
rate ``η`` at which ``E[exp(η S / m)] · E[exp(−η A)] = 1``; ``A`` are the gaps between
arrivals, ``p`` the probability to wait. For Poisson arrivals and one instance ``C`` is
Cramér and Lundberg's, ``(1 − ρ) / (λ E[S exp(η S)] − 1)``, and the tail exact; else
``C = η E[W]``, with Allen and Cunneen's mean (Pollaczek and Khinchine's generalized).

A request that finds its instance idle wakes it up first, which takes ``wake_s``: half
of that occupies the instance, half is added to ``O``. How often that is follows from
the model's own traffic.

More neighbors, and more traffic of theirs, make every one of these larger and no
latency shorter.

References:
    Asmussen, "Applied Probability and Queues", 2003, chapters VIII and XIII. Kingman,
    "The single server queue in heavy traffic", 1961. Allen and Cunneen's approximation
    of GI/G/m. Erlang's C for the probability to wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.planning.contention.delays import SLICE_S, SharingShape
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.delays import CustomerClass
    from gpupack.records.profile import ProfileRecord

UNMEASURED_LATENCY_MARGIN = 0.47
DEFAULT_LATENCY_MARGINS = {
    SharingMode.TIME_SLICING: 0.4,
    SharingMode.MPS: 0.45,
    SharingMode.STREAMS: UNMEASURED_LATENCY_MARGIN,
}
"""By this share of itself a predicted latency is to be below its limit, in turns more
the busier the GPU is (``LatencyRule.margins``). Over networks that keep an H200 busy 95
of 100 and more then keep even the tightest limits that are promised, see the
documentation. Streams, and the host, were not measured: they have the margin that time
slicing had by the first recordings."""

ROUND_ROBIN = SharingShape(slice_s=SLICE_S, is_round_robin=True)
"""Whom a request that arrives waits for under time slicing."""
ARRIVALS_SHARES = {
    SharingMode.TIME_SLICING: 1.0,
    SharingMode.MPS: 0.83,
    SharingMode.STREAMS: 0.8,
}
"""Of the contention factor, which is fitted to closed loops, for requests that arrive.
Under time slicing the default factor then counts once: slices follow each other. Fitted
to the busy networks of the fitting half on an H200; streams were not measured."""
FORMER_ARRIVALS_SHARES = {(SharingMode.TIME_SLICING, 1): 1.28}
"""Of factors that were fitted with a former law of closed loops, by its number."""
WAKE_S, WAKE_SHARE = 0.0003, 0.7
"""A request that arrives finds a process asleep and caches cold, as one of a closed
loop seldom does: then it takes longer by so much, and by this share of how far a slow
answer of the closed loop (its p99) is from a usual one (its p50), for the share of the
time in which the host is at work. Fitted to the same networks, and alike for both ways
of sharing; on the host the profile's own latencies are taken as they are."""
WAKE_BUSY_SHARE = 0.5
"""Of that, what occupies the instance, so that requests behind it wait for it, too; it
is only there where the one before has been answered."""
NUM_LEVELS = 100
"""Points that stand for a distribution, equally likely."""
MAX_PARTS = 4
"""Into so many parts at most the delay by one neighbor is split."""
MAX_BUSY_SHARE = 0.98
"""An instance that is busier has no latency to promise: it grows for minutes."""
_USUAL, _SLOW = 49, 98
"""Of the levels: p50 and p99."""
_LEVELS = (np.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS
_MAX_ROUNDS = 200
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """How long a request of a model occupies its instance while it is alone.

    Args:
        levels_s: Equally likely service times, ascending, of shape (NUM_LEVELS,).
        overhead_s: What a client waits besides: ``O``.
        num_instances: Requests served at once.
        wake_s: What is added where the instance has been idle.
    """

    levels_s: NDArray[np.float64]
    overhead_s: float
    num_instances: int
    wake_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LatencyLimits:
    """Which latency models are to keep beside each other.

    Args:
        limits_s: By model name.
        arriving: Models whose traffic is planned, of requests that arrive; others are
            driven as fast as they answer.
        percentile: Of the latencies, in percent.
        gap_cv2: Squared coefficient of variation of the gaps between arrivals.
        demand: In infer/sec, of all replicas of a model together; of models that are
            not there each replica has arrivals of its own.
    """

    limits_s: Mapping[str, float]
    arriving: frozenset[str]
    percentile: float = 99.0
    gap_cv2: float = 1.0
    demand: Mapping[str, float] = field(default_factory=dict)

    def traffic_of(
        self, model_name: str, requests_per_s: float, batch_size: int
    ) -> ArrivingTraffic:
        """Return what a replica is sent that is to answer so many requests.

        Requests go to replicas by chance: gaps are sums of a geometric number of those
        of all arrivals, so that bursts are thinned out, and even arrivals are uneven.
        """
        whole = self.demand.get(model_name)
        share = min(1.0, requests_per_s * batch_size / whole) if whole else 1.0
        return ArrivingTraffic(
            requests_per_s if model_name in self.arriving else None,
            1 + share * (self.gap_cv2 - 1),
        )


@dataclass(frozen=True, slots=True)
class ArrivingTraffic:
    """What one model instance is sent.

    Args:
        requests_per_s: λ; None of a closed loop, which sends as it is answered.
        gap_cv2: Squared coefficient of variation of the gaps: 1 is Poisson.
    """

    requests_per_s: float | None
    gap_cv2: float = 1.0


def service_times(record: ProfileRecord) -> ServiceTimes | None:
    """Return the service times that a record tells of; None without a throughput.

    A record's latencies are taken as a distribution by its percentiles. What of them
    did not occupy the instance is told by the server's own times, where there are any.
    Of several requests in flight per instance they hold a wait; their mean is then
    taken to be what the throughput says.
    """
    rate = record.requests_per_sec
    if not rate:
        return None
    num_instances = min(
        record.load_point.in_flight, max(record.num_model_instances or 1, 1)
    )
    busy_s = num_instances / rate
    levels = _latency_levels(record)
    if levels is None:
        return ServiceTimes(np.full(NUM_LEVELS, busy_s), 0.0, num_instances)
    mean_s = float(levels.mean())
    if record.open_loop is not None or record.load_point.in_flight > num_instances:
        return ServiceTimes(levels * (busy_s / mean_s), 0.0, num_instances)
    parts = (
        record.server_compute_input_us,
        record.server_compute_infer_us,
        record.server_compute_output_us,
    )
    overhead_s = 0.0
    if all(part is not None for part in parts):
        occupied_s = sum(part or 0.0 for part in parts) / 1e6
        if occupied_s > 0:
            overhead_s = max(0.0, mean_s - occupied_s)
    overhead_s = min(overhead_s, 0.9 * float(levels[0]))
    return ServiceTimes(levels - overhead_s, overhead_s, num_instances)


def arriving_service_times(record: ProfileRecord) -> ServiceTimes | None:
    """Return the service times of requests that arrive, one by one.

    A record of a closed loop on a GPU does not tell how long a request takes that finds
    nothing running; a record of an open loop does.
    """
    found = service_times(record)
    if (
        found is None
        or record.open_loop is not None
        or record.gpu_type.kind is not DeviceKind.GPU
    ):
        return found
    at_work = min(1.0, 1.0 if record.host_cpu_cores is None else record.host_cpu_cores)
    slow_s = float(found.levels_s[_SLOW] - found.levels_s[_USUAL])
    return replace(found, wake_s=WAKE_S + WAKE_SHARE * at_work * slow_s)


def _latency_levels(record: ProfileRecord) -> NDArray[np.float64] | None:
    """Return equally likely latencies, from the percentiles that there are, in s."""
    known = [
        (share, value)
        for share, value in (
            (0.5, record.latency_p50_us),
            (0.9, record.latency_p90_us),
            (0.95, record.latency_p95_us),
            (0.99, record.latency_p99_us),
        )
        if value is not None and value > 0
    ]
    if not known:
        mean = record.latency_mean_us
        return None if not mean else np.full(NUM_LEVELS, mean / 1e6)
    shares = [share for share, _ in known]
    values = list(np.maximum.accumulate([value for _, value in known]))
    if len(values) > 1:
        slope = (values[-1] - values[-2]) / (shares[-1] - shares[-2])
        values.append(values[-1] + 0.5 * slope * (1 - shares[-1]))
    else:
        values.append(values[-1])
    low = 0.9 * values[0]
    if record.latency_mean_us:
        # The rest of the mean is below the lowest percentile.
        above = np.interp(_LEVELS[shares[0] < _LEVELS], [*shares, 1.0], values).sum()
        below = NUM_LEVELS * record.latency_mean_us - above
        count = int((shares[0] >= _LEVELS).sum())
        low = min(max(2 * below / count - values[0], 0.3 * values[0]), values[0])
    found: NDArray[np.float64] = np.interp(_LEVELS, [0.0, *shares, 1.0], [low, *values])
    return found / 1e6


def predict_percentiles(
    classes: Sequence[CustomerClass],
    services: Sequence[ServiceTimes],
    traffic: Sequence[ArrivingTraffic],
    percentiles: Sequence[float],
    *,
    contention_factor: float,
    shape: SharingShape,
    copies: Sequence[int] | None = None,
    host_delays: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
    | None = None,
) -> list[tuple[float, ...]]:
    """Return the latency percentiles of each model that shares a GPU with the others.

    Args:
        classes: How the contention network sees each model.
        services: Of each, alone.
        traffic: What an instance of each is sent.
        percentiles: In percent, such as 50 and 99.
        contention_factor: Of the GPU type and sharing mode.
        shape: Of the sharing mode.
        copies: Equal instances of each, each with its own traffic; one if left out.
        host_delays: What waiting for the host's cores adds to a request of each, and
            with which probability; nothing if left out.

    Returns:
        Seconds, by model and percentile; infinite where an instance would be busy for
        more than ``MAX_BUSY_SHARE`` of the time, or a model has no traffic planned.
    """
    numbers = np.array(copies or [1] * len(classes), dtype=np.float64)
    delays = contention_factor * np.asarray(shape.delay_table(classes))
    at_gpu = _requests_at_gpu(classes, traffic, delays, numbers)
    found = []
    for index, (one, service, sent) in enumerate(
        zip(classes, services, traffic, strict=True)
    ):
        rate = sent.requests_per_s
        if rate is None:
            found.append((math.inf,) * len(percentiles))
            continue
        levels, service = _woken(service, rate)
        for other, neighbor in enumerate(classes):
            number = numbers[other] - (other == index)
            if number > 0 and at_gpu[other] > 0:
                pace = traffic[other].requests_per_s or 1 / (
                    neighbor.elsewhere_s + neighbor.gpu_demand_s
                )
                levels = _delayed(
                    levels,
                    at_gpu[other] * number / numbers[other],
                    delays[index, other],
                    1 + pace * number * one.gpu_demand_s,
                )
        if host_delays is not None:
            levels = _mixed(levels, *host_delays[index])
        found.append(_sojourns(levels, service, rate, sent.gap_cv2, percentiles))
    return found


def _woken(
    service: ServiceTimes, rate: float
) -> tuple[NDArray[np.float64], ServiceTimes]:
    """Return service times with those of a request that wakes its instance up.

    How often that is follows from the traffic and the model alone: with neighbors it
    is less often, which is left out, so that they only make latency longer.
    """
    if not service.wake_s:
        return service.levels_s, service
    busy = rate * float(service.levels_s.mean()) / service.num_instances
    idle = min(1.0, max(0.0, 1 - busy))
    occupied_s = WAKE_BUSY_SHARE * service.wake_s
    levels = _mixed(
        service.levels_s, np.array([0.0, occupied_s]), np.array([1 - idle, idle])
    )
    overhead_s = service.overhead_s + service.wake_s - occupied_s
    return levels, replace(service, overhead_s=overhead_s)


def _requests_at_gpu(
    classes: Sequence[CustomerClass],
    traffic: Sequence[ArrivingTraffic],
    delays: NDArray[np.float64],
    numbers: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how many requests of all copies of each model are at the GPU: ``q``."""
    demand_s = np.array([one.gpu_demand_s for one in classes])
    elsewhere_s = np.array([one.elsewhere_s for one in classes])
    most = numbers * np.array([one.num_customers for one in classes])
    closed = np.array([one.requests_per_s is None for one in traffic])
    rates = numbers * np.array([one.requests_per_s or 0.0 for one in traffic])
    found = np.zeros(len(classes))
    for _ in range(_MAX_ROUNDS):
        # A request does not wait for itself.
        others = found[None, :] - np.diag(found / np.maximum(most, 1.0))
        at_gpu_s = demand_s + (delays * others).sum(axis=1)
        latest = np.where(
            closed,
            most * at_gpu_s / (elsewhere_s + at_gpu_s),
            np.minimum(most, rates * at_gpu_s),
        )
        if np.abs(latest - found).max() <= _TOLERANCE * most.max():
            return np.asarray(latest)
        found = latest
    return found


def _delayed(
    levels: NDArray[np.float64], found: float, delay_s: float, renewals: float
) -> NDArray[np.float64]:
    """Return service times with the delay by a neighbor that may be there or not.

    Args:
        levels: Without it.
        found: Requests of the neighbor at the GPU, on average.
        delay_s: By each.
        renewals: How many times it comes and goes within a service, and 1.
    """
    num_parts = min(MAX_PARTS, max(1, round(renewals)))
    whole = math.floor(found)
    levels = levels + whole * delay_s
    share = found - whole
    for _ in range(num_parts):
        if share <= 0:
            break
        values = np.concatenate([levels, levels + delay_s / num_parts])
        weights = np.repeat([1 - share, share], NUM_LEVELS) / NUM_LEVELS
        order = np.argsort(values, kind="stable")
        summed = np.cumsum(weights[order])
        places = np.searchsorted(summed, _LEVELS)
        levels = values[order][np.minimum(places, len(order) - 1)]
    return levels


def _mixed(
    levels: NDArray[np.float64],
    delays_s: NDArray[np.float64],
    chances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return service times with one of several delays, each with its probability."""
    if len(delays_s) == 1:
        later: NDArray[np.float64] = levels + delays_s[0]
        return later
    values = (levels[:, None] + delays_s).ravel()
    weights = np.tile(chances / chances.sum(), len(levels)) / len(levels)
    order = np.argsort(values, kind="stable")
    places = np.searchsorted(np.cumsum(weights[order]), _LEVELS)
    return np.asarray(values[order][np.minimum(places, len(order) - 1)])


def _sojourns(
    levels: NDArray[np.float64],
    service: ServiceTimes,
    rate: float,
    gap_cv2: float,
    percentiles: Sequence[float],
) -> tuple[float, ...]:
    """Return percentiles of waiting, service and the rest together."""
    if rate <= 0:  # a first request finds nobody in front of it
        return tuple(
            service.overhead_s + float(np.percentile(levels, one))
            for one in percentiles
        )
    num = service.num_instances
    mean_s = float(levels.mean())
    busy = rate * mean_s / num
    if busy >= MAX_BUSY_SHARE:
        return (math.inf,) * len(percentiles)
    waits = erlang_c(num, busy)
    spread = float(levels.var()) / mean_s**2
    mean_wait_s = (gap_cv2 + spread) / 2 * waits * mean_s / (num * (1 - busy))
    decay = _decay_rate(levels / num, rate, gap_cv2)
    factor = decay * mean_wait_s
    if num == 1 and gap_cv2 == 1.0:
        grown = rate * float((levels * np.exp(decay * levels)).mean())
        factor = (1 - busy) / (grown - 1) if grown > 1 else factor
    factor = min(1.0, factor)
    most = max(waits, min(1.0, waits * max(gap_cv2, 1.0) ** 0.5))
    found = []
    for percentile in percentiles:
        late = 1 - percentile / 100
        low, high = 0.0, float(levels[-1]) + 1 / decay
        while _tail(levels, high, most, factor, decay) > late:
            high *= 2
        for _ in range(50):
            middle = (low + high) / 2
            if _tail(levels, middle, most, factor, decay) > late:
                low = middle
            else:
                high = middle
        found.append(service.overhead_s + high)
    return tuple(found)


def _tail(
    levels: NDArray[np.float64], time_s: float, most: float, factor: float, decay: float
) -> float:
    """Return the probability that waiting and service take longer than so long."""
    left_s = time_s - levels
    waiting = np.minimum(most, factor * np.exp(-decay * np.maximum(left_s, 0.0)))
    return float(np.where(left_s < 0, 1.0, waiting).mean())


def erlang_c(num_servers: int, busy: float) -> float:
    """Return the probability that a request waits, for Poisson arrivals."""
    if num_servers == 1:
        return busy
    load = num_servers * busy
    blocked = 1.0
    for number in range(1, num_servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - busy * (1 - blocked))


def _decay_rate(levels: NDArray[np.float64], rate: float, gap_cv2: float) -> float:
    """Return η, by bisection; > 0 because the queue is stable."""
    top = float(levels.max())

    def excess(decay: float) -> float:
        """Return the logarithm of what is to be 1; it rises through 0 once."""
        grown = decay * top + math.log(float(np.exp(decay * (levels - top)).mean()))
        return grown + _log_gap_transform(decay, rate, gap_cv2)

    high = 1 / top
    for _ in range(60):
        if excess(high) > 0:
            break
        high *= 2
    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        if excess(middle) > 0:
            high = middle
        else:
            low = middle
    return high


def _log_gap_transform(decay: float, rate: float, gap_cv2: float) -> float:
    """Return ``log E[exp(−η A)]`` of gamma-distributed gaps, or of constant ones."""
    if gap_cv2 <= 1e-6:
        return -decay / rate
    return -math.log1p(decay * gap_cv2 / rate) / gap_cv2
