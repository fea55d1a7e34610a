"""The host's cores as a station that requests queue at, next to the GPU.

A request of model ``i`` is on the processors for the time ``T_i`` of its cycle, on
``w_i`` cores at once. Both follow from the cores that the profile says were busy: with
``u`` of them per customer ``w = max(1, u)``, and ``T = u / w`` of the cycle. Meanwhile
it shares ``m`` cores with the ``n`` that others want (processor sharing), so that it
takes as many times as long::

    s_i = E[max(1, (w_i + n) / max(m, w_i))],    n = Σ_j w_j · Binomial(customers, q_j)
    q_j = T_j s_j / (cycle_j + T_j (s_j − 1))    driven to its limit, or λ_j T_j s_j

``q_j`` is the probability that a customer of ``j`` is on the processors: the least
fixed point. It is found as if nobody waited longer at the GPU, and the waits at the GPU
as if nobody waited here: then both grow with every model that is added, which the
planner's proofs rest on. Where both are short that is pessimistic. What a model's own
customers
cost each other is in its profile; only what others add counts.

Waits for the GPU during which a process spins are processor time like any other.

References:
    Multi-server stations in mean value analysis: Reiser and Lavenberg, Journal of the
    ACM 27(2), 1980. Customers taken as independent: Schweitzer, 1979, and Bard, 1979.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.records.profile import ProfileRecord

_STEPS_PER_CORE = 4
"""Widths are rounded to quarters of a core: 1.01 cores are one and some counting."""
_MAX_ROUNDS = 200
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class HostClass:
    """One model as the processors see it, per request.

    Args:
        busy_s: Time of a request on the processors while it need not wait, ≥ 0.
        width: Cores that it then uses at once, in quarters, ≥ 1.
        cycle_s: Time of a request in all, alone, > 0.
        num_customers: Requests executed at once, ≥ 1.
    """

    busy_s: float
    width: float
    cycle_s: float
    num_customers: int = 1


def host_class(record: ProfileRecord) -> HostClass | None:
    """Return how the processors see a model; None without the readings."""
    rate = record.requests_per_sec
    if not rate or record.host_cpu_cores is None:
        return None
    num_customers = min(
        record.load_point.in_flight, max(record.num_model_instances or 1, 1)
    )
    cores = record.host_cpu_cores / num_customers
    width = max(1.0, math.floor(cores * _STEPS_PER_CORE + 0.5) / _STEPS_PER_CORE)
    cycle_s = num_customers / rate
    busy_s = min(1.0, cores / width) * cycle_s
    return HostClass(busy_s, width, cycle_s, num_customers)


class HostStation:
    """So many cores, and how much longer requests take that share them.

    Args:
        cores: ``m``, > 0.
    """

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._known: dict[HostClass, float] = {}

    def delays_s(
        self,
        classes: Sequence[HostClass | None],
        requests_per_s: Sequence[float | None],
        copies: Sequence[int] | None = None,
    ) -> list[float]:
        """Return how much longer a request of each class takes beside the others.

        Args:
            classes: None for one of which nothing is known: it takes no cores.
            requests_per_s: The traffic of one instance of each, as a neighbor; None of
                one that is driven to its limit.
            copies: Equal instances of each; one if left out.

        Returns:
            Seconds, of one instance driven to its limit beside the others at their
            traffic; 0 where no more cores are wanted than there are.
        """
        copies = copies or [1] * len(classes)
        if self._is_enough(classes, copies):
            return [0.0] * len(classes)
        stretches = self._stretches(classes, requests_per_s, copies)
        return [
            0.0 if one is None else one.busy_s * max(0.0, stretch - self._alone(one))
            for one, stretch in zip(classes, stretches, strict=True)
        ]

    def crowds(
        self,
        classes: Sequence[HostClass | None],
        requests_per_s: Sequence[float | None],
        copies: Sequence[int],
        index: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return by how much a request of one class may be delayed, and how likely.

        Returns:
            Delays in seconds, ascending, and their probabilities, of one shape.
        """
        own = classes[index]
        nothing = np.zeros(1), np.ones(1)
        if own is None or self._is_enough(classes, copies):
            return nothing
        stretches = self._stretches(classes, requests_per_s, copies)
        others = self._others(
            classes, requests_per_s, copies, stretches, index, is_driven=False
        )
        wanted = sum(one.width * number for one, number, _ in others)
        chances = _chances(others, math.ceil(wanted * _STEPS_PER_CORE))
        room = max(self._cores, own.width)
        crowd = np.arange(len(chances)) / _STEPS_PER_CORE
        delays = own.busy_s * np.maximum(0.0, (own.width + crowd) / room - 1)
        is_free = delays <= 0
        return (
            np.concatenate([[0.0], delays[~is_free]]),
            np.concatenate([[chances[is_free].sum()], chances[~is_free]]),
        )

    def _is_enough(
        self, classes: Sequence[HostClass | None], copies: Sequence[int]
    ) -> bool:
        wanted = sum(
            one.width * one.num_customers * number
            for one, number in zip(classes, copies, strict=True)
            if one is not None
        )
        return wanted <= self._cores

    def _stretches(
        self,
        classes: Sequence[HostClass | None],
        requests_per_s: Sequence[float | None],
        copies: Sequence[int],
    ) -> list[float]:
        """Return ``s`` of an instance of each class, driven beside the others."""
        stretches = [1.0] * len(classes)
        for _ in range(_MAX_ROUNDS):
            latest = [
                1.0
                if one is None
                else self._stretch(
                    one,
                    self._others(
                        classes,
                        requests_per_s,
                        copies,
                        stretches,
                        index,
                        is_driven=True,
                    ),
                )
                for index, one in enumerate(classes)
            ]
            if max(
                abs(new - old) for new, old in zip(latest, stretches, strict=True)
            ) <= _TOLERANCE * max(latest):
                return latest
            stretches = latest
        return stretches

    def _others(
        self,
        classes: Sequence[HostClass | None],
        requests_per_s: Sequence[float | None],
        copies: Sequence[int],
        stretches: Sequence[float],
        index: int,
        *,
        is_driven: bool,
    ) -> list[tuple[HostClass, int, float]]:
        """Return whom a request of a class meets: class, customers, probability.

        ``is_driven`` says whether its own instance is driven to its limit.
        """
        found = []
        for place, (one, rate, number) in enumerate(
            zip(classes, requests_per_s, copies, strict=True)
        ):
            if one is None:
                continue
            stretched_s = one.busy_s * stretches[place]
            driven = stretched_s / (one.cycle_s + stretched_s - one.busy_s)
            at_traffic = (
                driven
                if rate is None
                else min(driven, rate * stretched_s / one.num_customers)
            )
            num_equal = number - (place == index)
            found.append((one, num_equal * one.num_customers, at_traffic))
            if place == index:
                share = driven if is_driven else at_traffic
                found.append((one, one.num_customers - 1, share))
        return found

    def _alone(self, one: HostClass) -> float:
        """Return ``s`` of an instance without others: its own requests at once."""
        if one.num_customers == 1:
            return 1.0
        if one not in self._known:
            (self._known[one],) = self._stretches([one], [None], [1])
        return self._known[one]

    def _stretch(
        self, own: HostClass, others: Sequence[tuple[HostClass, int, float]]
    ) -> float:
        room = max(self._cores, own.width)
        mean = sum(one.width * number * share for one, number, share in others)
        free = room - own.width
        last = math.floor(free * _STEPS_PER_CORE + 1e-9)
        chances = _chances(others, last)
        crowd = np.arange(last + 1) / _STEPS_PER_CORE
        # What is wanted beyond the room: the mean, and what is left where it suffices.
        excess = mean - free + float((chances * (free - crowd)).sum())
        return 1.0 + max(0.0, excess) / room


def held_up(
    requests_per_s: Sequence[float],
    classes: Sequence[HostClass | None],
    delays_s: Sequence[float],
    gpu_demands_s: Sequence[float],
) -> tuple[float, ...]:
    """Return rates less what waiting for the processors costs.

    Where a model's time on the processors and at the GPU are more than its cycle, the
    one passes behind the other (kernels are launched ahead, or a process spins while
    it waits), and so do, to that share, the waits: only the longer then counts.

    Args:
        requests_per_s: As the waits at the GPU leave them.
        classes: None for a model of which nothing is known.
        delays_s: For the processors, of each request.
        gpu_demands_s: GPU time of each request that has the GPU for itself.
    """
    found = []
    for rate, one, delay_s, gpu_s in zip(
        requests_per_s, classes, delays_s, gpu_demands_s, strict=True
    ):
        if one is None or delay_s <= 0 or rate <= 0:
            found.append(rate)
            continue
        at_gpu_s = max(0.0, one.num_customers / rate - one.cycle_s)
        shorter_s = min(at_gpu_s, delay_s)
        behind_s = one.busy_s + gpu_s - one.cycle_s
        hidden = min(1.0, max(0.0, behind_s / min(one.busy_s, gpu_s)))
        found.append(
            one.num_customers / (one.cycle_s + at_gpu_s + delay_s - hidden * shorter_s)
        )
    return tuple(found)


def traffic_of(
    requests_per_s: Sequence[float], loads: Sequence[float]
) -> list[float | None]:
    """Return the traffic of each model; None of one that is driven to its limit."""
    return [
        None if load >= 1 else load * rate
        for rate, load in zip(requests_per_s, loads, strict=True)
    ]


def _chances(
    others: Sequence[tuple[HostClass, int, float]], last: int
) -> NDArray[np.float64]:
    """Return the probabilities of 0 … ``last`` quarters of a core being wanted."""
    found = np.zeros(last + 1)
    found[0] = 1.0
    for one, number, share in others:
        if number <= 0 or share <= 0:
            continue
        step = round(one.width * _STEPS_PER_CORE)
        most = min(number, last // step)
        chances = np.zeros(most * step + 1)
        chances[::step] = _binomial(number, min(share, 1.0), most)
        found = np.asarray(np.convolve(found, chances)[: last + 1], dtype=np.float64)
    return found


def _binomial(number: int, share: float, most: int) -> NDArray[np.float64]:
    """Return the probabilities of 0 … ``most`` of so many, each there or not."""
    if share >= 1:
        return np.where(np.arange(most + 1) == number, 1.0, 0.0)
    counts = np.arange(most + 1)
    logarithms = np.array(
        [
            math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
            for k in counts.tolist()
        ]
    )
    found: NDArray[np.float64] = np.exp(
        logarithms + counts * math.log(share) + (number - counts) * math.log1p(-share)
    )
    return found
