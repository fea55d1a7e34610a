# Long because the rule stands beside what is shown of what it allows.
"""From wishes about shared GPUs to a rule that the packing engine can follow.

And what is predicted of a placement: what its models keep, in this way of sharing and
in others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.planning.contention.host_station import (
    HostStation,
    held_up,
    host_class,
    traffic_of,
)
from gpupack.planning.contention.latency_prediction import LatencyLimits
from gpupack.planning.contention.latency_rule import LatencyRule
from gpupack.planning.contention.latency_simulation import SIMULATED_REQUESTS
from gpupack.planning.contention.network import (
    Neighbors,
    classes_at_load,
    delays_among,
    limits_beside,
    limits_of_each,
    shares_of_traffic,
)
from gpupack.planning.contention.prediction import (
    EqualInstances,
    customer_classes,
    has_all_readings,
)
from gpupack.planning.contention.sharing import Contention, resolve_contention
from gpupack.planning.contention.turns import (
    SIMULATED_EVENTS,
    TurnTaker,
    simulate_retentions,
    turn_taker,
)
from gpupack.records.environment import SharingMode
from gpupack.records.placement import SharingAlternative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.planning.contention.delays import CustomerClass
    from gpupack.planning.contention.network import Delays
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import GpuType
    from gpupack.records.profile import ProfileRecord

Counts = tuple[tuple[int, int], ...]
"""Pairs (item, number of copies ≥ 1), by item."""

MAX_LOSS_FACTOR = 4.0
"""The most that a small predicted loss was exceeded by on an H200."""
MAX_KNOWN_SETS = 100_000
"""Predictions kept, so that none is made twice; some 100 MB at most."""
MAX_TABLED = 300
"""Of so many records the delays are kept, of every two: some 10 MB."""
SIMULATED_IN_ALL = 30 * SIMULATED_EVENTS
"""Events simulated for all GPUs of a placement: some tenths of a second."""
FEWEST_EVENTS = 20_000
"""Of one GPU; where there are too many different GPUs for that, none is simulated."""
MAX_PREDICTED_KINDS = 1_000
"""Different instances on one GPU; a prediction for so many takes half a second."""


def cautious_retention(predicted: float, margin: float) -> float:
    """Return what may be promised where so much is predicted.

    The margin less, but never a loss of more than ``MAX_LOSS_FACTOR`` times the
    predicted one: models that hardly meet have nothing to lose.
    """
    return max(predicted - margin, 1 - MAX_LOSS_FACTOR * (1 - predicted), 0.0)


@dataclass(frozen=True, slots=True)
class SharedGpu:
    """What shares one GPU, or each of several that hold the same.

    Args:
        measured_on: The GPU type that the records are of.
        records: Of each instance.
        loads: Traffic ÷ throughput of each, 0–1.
        num_gpus: How many hold the same.
        host_cores: Of the host, for each; None: they do not run out.
    """

    measured_on: GpuType
    records: tuple[ProfileRecord, ...]
    loads: tuple[float, ...]
    num_gpus: int = 1
    host_cores: float | None = None


class RetentionRule:
    """Which records may share a GPU: those predicted to keep what was asked.

    Args:
        records: Item i of the packing problem is record i.
        contention: How the GPUs are shared.
        min_retention: By model name; models not named may lose anything.
        weights: Of one infer/sec, by model name; 1 for models not named.
        loads: The most traffic that each record can be given ÷ its throughput, 0–1; 1
            if left out. What is kept is a share of the traffic then.
        latency: Which latencies are kept; None for any.

    Raises:
        MissingReadingError: If a record lacks what the prediction needs.
    """

    def __init__(
        self,
        records: Sequence[ProfileRecord],
        contention: Contention,
        min_retention: Mapping[str, float],
        weights: Mapping[str, float] | None = None,
        loads: Sequence[float] | None = None,
        latency: LatencyLimits | None = None,
    ) -> None:
        self._contention = contention
        self._records = records
        self._classes = customer_classes(records, contention.factor, contention.shape)
        self._alone = [record.requests_per_sec or 0.0 for record in records]
        self._loads = list(loads or [1.0] * len(records))
        # Most placements are of models at all the traffic they were measured at.
        self._is_driven = all(load >= 1 for load in self._loads)
        self._at_traffic: Sequence[CustomerClass | None] = (
            self._classes
            if self._is_driven
            else classes_at_load(
                self._classes,
                self._alone,
                self._loads,
                contention_factor=contention.factor,
                shape=contention.shape,
            )
        )
        self._delays = self._delays_of_all() if len(records) <= MAX_TABLED else None
        self._floors = [min_retention.get(record.model_name, 0.0) for record in records]
        self._throughputs = [
            (record.throughput_infer_per_sec or 0.0)
            * (weights or {}).get(record.model_name, 1.0)
            for record in records
        ]
        self._known: dict[Counts, tuple[float, ...]] = {}
        cores = contention.host_cores
        self._host = None if cores is None else HostStation(cores)
        self._on_host = [host_class(record) for record in records] if cores else []
        self._traffic = traffic_of(self._alone, self._loads) if cores else []
        self._latency = (
            None
            if latency is None
            else LatencyRule(
                latency,
                records,
                self._classes,
                [
                    load * rate
                    for load, rate in zip(self._loads, self._alone, strict=True)
                ],
                contention_factor=contention.factor_of_arrivals,
                shape=contention.shape_of_arrivals,
                margin=contention.latency_margin,
                host=self._host,
            )
        )

    def _delays_of_all(self) -> Delays | None:
        """Return who waits how long for whom, once for all sets; None if unknown."""
        at_traffic = [one for one in self._at_traffic if one is not None]
        if not 1 < len(at_traffic) == len(self._classes):
            return None
        return delays_among(
            at_traffic,
            contention_factor=self._contention.factor,
            shape=self._contention.shape,
            own=self._classes,
        )

    def latencies_s(
        self,
        counts: Counts,
        percentiles: Sequence[float],
        *,
        num_requests: int = SIMULATED_REQUESTS,
    ) -> list[tuple[float, ...]]:
        """Return the latency percentiles of an instance of each item, in seconds.

        Infinite of one without planned traffic, or that cannot serve it. Where they
        are simulated, it is with about so many requests.
        """
        if self._latency is None:
            raise ValueError("no latency was asked for")
        return self._latency.latencies_s(counts, percentiles, num_requests=num_requests)

    def latencies_by_rule_s(
        self, counts: Counts, percentiles: Sequence[float]
    ) -> list[tuple[float, ...]]:
        """Return what the rule goes by: latencies that every model added makes longer.

        Those of ``latencies_s`` are nearer to what is measured.
        """
        if self._latency is None:
            raise ValueError("no latency was asked for")
        return self._latency.latencies_by_rule_s(counts, percentiles)

    def retentions(self, counts: Counts) -> tuple[float, ...]:
        """Return what an instance of each of these items keeps beside the others."""
        solo_shares = self._solo_shares(counts)
        if self._is_driven:
            return solo_shares
        return shares_of_traffic(solo_shares, self._loads_of(counts))

    def retentions_of_each(self, sets: Sequence[Counts]) -> list[tuple[float, ...]]:
        """Return ``retentions`` of many sets, equal ones solved once, many together."""
        open_sets = [
            one
            for one in dict.fromkeys(sets)
            if self._host is None and not _is_alone(one)
        ]
        limits = limits_of_each(
            [
                Neighbors(
                    [self._classes[item] for item, _ in counts],
                    [self._at_traffic[item] for item, _ in counts],
                    [copies for _, copies in counts],
                )
                for counts in open_sets
            ],
            contention_factor=self._contention.factor,
            shape=self._contention.shape,
        )
        solved = {
            counts: shares_of_traffic(
                self._shares_alone(counts, found), self._loads_of(counts)
            )
            for counts, found in zip(open_sets, limits, strict=True)
        }
        return [solved.get(one) or self.retentions(one) for one in sets]

    def _loads_of(self, counts: Counts) -> list[float]:
        return [self._loads[item] for item, _ in counts]

    def _shares_alone(
        self, counts: Counts, limits: Sequence[float]
    ) -> tuple[float, ...]:
        """Return requests per second of each item ÷ its rate alone, at most 1."""
        return tuple(
            [
                min(1.0, limit / self._alone[item])
                for limit, (item, _) in zip(limits, counts, strict=True)
            ]
        )

    def expected_retentions(
        self, counts: Counts, *, num_events: int = SIMULATED_EVENTS
    ) -> tuple[float, ...]:
        """Return what an instance of each of these items is expected to keep.

        Of models that take turns on the GPU as fast as they can, beside each of which
        the probe was run, that is simulated, with about so many events, which is closer
        to what is measured than ``retentions``, by which sets are allowed.
        """
        takers = [one for item, _ in counts if (one := self._in_turns[item])]
        if (
            not self._is_driven
            or self._host is not None
            or _is_alone(counts)
            or len(takers) < len(counts)
        ):
            return self.retentions(counts)
        # In one order, so that equal sets have equal figures.
        order = sorted(range(len(counts)), key=lambda place: takers[place].rank)
        found = simulate_retentions(
            [takers[place] for place in order],
            [counts[place][1] for place in order],
            num_events=num_events,
        )
        if found is None:
            return self.retentions(counts)
        # A calibration's factor says how much longer waits are on its GPU.
        factor = self._contention.factor
        kept = dict(zip(order, found, strict=True))
        return tuple(
            1 / (1 + factor * (1 / kept[place] - 1)) if kept[place] > 0 else 0.0
            for place in range(len(counts))
        )

    @cached_property
    def _in_turns(self) -> list[TurnTaker | None]:
        """What the simulation knows of each item, which a rule does without."""
        if self._contention.shape.slices is None:
            return [None] * len(self._classes)
        return [
            turn_taker(record, one)
            for record, one in zip(self._records, self._classes, strict=True)
        ]

    def reachable_shares(self, counts: Counts) -> tuple[float, ...]:
        """Return what share of its throughput alone an instance of each could reach.

        Driven to its limit, beside the others at their traffic.
        """
        return self._solo_shares(counts)

    def is_allowed(self, counts: Counts) -> bool:
        """Return whether every model of a set keeps what was asked, with the margin.

        More than ``MAX_PREDICTED_KINDS`` different ones may not share a GPU.
        """
        return self._keeps_throughput(counts) and (
            self._latency is None or self._latency.is_kept(counts)
        )

    def _keeps_throughput(self, counts: Counts) -> bool:
        if _is_alone(counts):
            return True
        if len(counts) > MAX_PREDICTED_KINDS:
            return False
        if not any(self._floors[item] for item, _ in counts):
            return True
        margin = self._contention.margin
        cautious = [
            cautious_retention(share, margin) for share in self._solo_shares(counts)
        ]
        kept = shares_of_traffic(cautious, self._loads_of(counts))
        return all(
            share >= self._floors[item]
            for share, (item, _) in zip(kept, counts, strict=True)
        )

    def throughput(self, counts: Counts) -> float:
        """Return the predicted total throughput of a set, weighted, in infer/sec."""
        return math.fsum(
            copies * kept * self._throughputs[item]
            for kept, (item, copies) in zip(
                self.retentions(counts), counts, strict=True
            )
        )

    def _solo_shares(self, counts: Counts) -> tuple[float, ...]:
        """Return how much of its throughput alone each item could reach, 0–1."""
        if _is_alone(counts):
            return (1.0,)
        known = self._known.get(counts)
        if known is None:
            items = [item for item, _ in counts]
            limits = limits_beside(
                [self._classes[item] for item in items],
                [self._at_traffic[item] for item in items],
                contention_factor=self._contention.factor,
                shape=self._contention.shape,
                copies=[copies for _, copies in counts],
                delays=None
                if self._delays is None or len(items) == 1
                else self._delays.among(items),
            )
            if self._host is not None:
                on_host = [self._on_host[item] for item in items]
                delays_s = self._host.delays_s(
                    on_host,
                    [self._traffic[item] for item in items],
                    [copies for _, copies in counts],
                )
                limits = held_up(
                    limits,
                    on_host,
                    delays_s,
                    [self._classes[item].gpu_demand_s for item in items],
                )
            known = self._shares_alone(counts, limits)
            if len(self._known) >= MAX_KNOWN_SETS:
                self._known.clear()
            self._known[counts] = known
        return known


def retentions_of(
    gpus: Sequence[SharedGpu], contention: Contention
) -> list[tuple[float, ...] | None]:
    """Return what each instance on each GPU is expected to keep beside the others.

    None of a GPU of which that is unknown: a record lacks a reading, or more than
    ``MAX_PREDICTED_KINDS`` different instances share it.

    Args:
        gpus: Of one GPU type.
        contention: How they are shared.
    """
    kinds = EqualInstances()
    kinds_by_gpu = [
        kinds.add(gpu.records, gpu.loads) if has_all_readings(gpu.records) else []
        for gpu in gpus
    ]
    rule = RetentionRule(kinds.records, contention, {}, loads=kinds.loads)
    num_events = SIMULATED_IN_ALL // max(1, len(gpus))
    counted = [tuple(Counter(of_each).items()) for of_each in kinds_by_gpu]
    sets = [one for one in counted if 0 < len(one) <= MAX_PREDICTED_KINDS]
    shares = iter(
        rule.retentions_of_each(sets)
        if num_events < FEWEST_EVENTS
        else [
            rule.expected_retentions(one, num_events=min(num_events, SIMULATED_EVENTS))
            for one in sets
        ]
    )
    found: list[tuple[float, ...] | None] = []
    for of_each, counts in zip(kinds_by_gpu, counted, strict=True):
        if not 0 < len(counts) <= MAX_PREDICTED_KINDS:
            found.append(None)
            continue
        kept = dict(zip(dict(counts), next(shares), strict=True))
        found.append(tuple([kept[kind] for kind in of_each]))
    return found


def _is_alone(counts: Counts) -> bool:
    return len(counts) == 1 and counts[0][1] == 1


COMPARED = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Streams are left out: whether a backend can use them is not a matter of choice."""


def alternatives_of(
    profiles: ProfileSet,
    gpus: Sequence[SharedGpu],
    sharing: SharingMode | None,
    count_gpus: Callable[[Contention], int | None],
) -> tuple[SharingAlternative, ...]:
    """Return what the placed models would keep if GPUs were shared otherwise.

    Args:
        profiles: May hold calibrations of the other ways.
        gpus: What is placed, those of one type together; those of which nothing can be
            predicted do not count.
        sharing: How the GPUs are shared; that way itself is left out. None on a host.
        count_gpus: Returns how many GPUs the same promise would take another way.
    """
    if sharing is None or not gpus:
        return ()
    found = []
    for mode in COMPARED:
        if mode is sharing:
            continue
        shares: list[float] = []
        counts: list[float] = []
        others = []
        for (gpu_type, host_cores), group in groupby(
            gpus, lambda one: (one.measured_on, one.host_cores)
        ):
            others.append(
                resolve_contention(profiles, gpu_type, mode, host_cores=host_cores)
            )
            alike = list(group)
            for gpu, kept in zip(alike, retentions_of(alike, others[-1]), strict=True):
                shares += kept or ()
                counts += [gpu.num_gpus] * len(kept or ())
        if shares:
            found.append(
                SharingAlternative(
                    sharing_mode=mode,
                    lowest_retention=min(shares),
                    mean_retention=min(1.0, fmean(shares, counts)),
                    num_gpus=count_gpus(others[0]),
                )
            )
    return tuple(found)
