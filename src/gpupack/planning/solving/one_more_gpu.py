"""What one more GPU would buy of latency: the GPU nearest to a limit, on two.

The instances of that GPU are divided over it and a new one so that the model that then
is nearest to its limit is as far from it as possible; or a copy of the model on the new
one takes half of its traffic. A few instances are divided in every way, more by moving
one after the other. Ways are compared by what the rule of latency limits goes by; the
best one's latencies are those that a placement tells.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from gpupack.planning.contention import SIMULATED_REQUESTS
from gpupack.planning.solving.expected_latency import expected_latencies_s
from gpupack.records.placement import OneMoreGpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request

MAX_DIVIDED_IN_EVERY_WAY = 6
MAX_INSTANCES = 40
"""On one GPU; of more nothing is said."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A model instance with its traffic.

    Args:
        record: At the load point it runs with.
        served_infer_per_sec: None without a demand.
    """

    record: ProfileRecord
    served_infer_per_sec: float | None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.model_name


@dataclass(frozen=True, slots=True)
class LoadedGpu:
    """Equal GPUs of the placement with the latencies that are expected on each.

    Args:
        gpu_index: Of the first in the placement.
        num_gpus: How many there are.
        supply: Index of its GPU type among the question's supplies.
        instances: What it holds.
        latencies: Median and percentile of each instance, in seconds; empty where
            nothing is predicted.
    """

    gpu_index: int
    num_gpus: int
    supply: int
    instances: tuple[Instance, ...]
    latencies: tuple[tuple[float, float], ...]


def one_more_gpu(
    question: CapacityQuestion, request: Request, gpus: Sequence[LoadedGpu]
) -> OneMoreGpu | None:
    """Return what one more GPU would do for the model nearest to its limit.

    None where no model with traffic has a limit, or nothing is predicted.
    """
    return _OneMore(question, request).found(gpus)


class _OneMore:
    def __init__(self, question: CapacityQuestion, request: Request) -> None:
        self._question = question
        self._request = request
        self._limits_s = {
            name: limit / 1000
            for name, limit in question.wishes.latency_limit_ms.items()
        }

    def found(self, gpus: Sequence[LoadedGpu]) -> OneMoreGpu | None:
        nearest: tuple[float, LoadedGpu, int] | None = None
        for gpu in gpus:
            if len(gpu.instances) > MAX_INSTANCES:
                continue
            for place, share in enumerate(self._shares(gpu.instances, gpu.latencies)):
                if share > 0 and (nearest is None or share > nearest[0]):
                    nearest = share, gpu, place
        if nearest is None:
            return None
        _, gpu, place = nearest
        model = gpu.instances[place]
        best = min(
            self._ways(gpu, place, gpus), key=lambda way: way.highest, default=None
        )
        by_rule = self._expected(gpu, gpu.instances)
        now = max(self._shares(gpu.instances, by_rule), default=0.0)
        if best is None or best.highest >= now:
            return None
        best = self._told(best, gpu, place, gpus)
        if best is None or best.highest >= nearest[0]:
            return None
        median_s, high_s = gpu.latencies[place]
        return OneMoreGpu(
            gpu_index=gpu.gpu_index,
            model_name=model.name,
            latency_percentile=self._question.wishes.latency_percentile,
            latency_limit_ms=1000 * self._limits_s[model.name],
            latency_p50_us=_in_us(median_s),
            latency_us=_in_us(high_s),
            p50_with_it_us=1e6 * best.of_model[0],
            with_it_us=1e6 * best.of_model[1],
            moved=best.moved,
            copied=best.copied,
        )

    def _shares(
        self,
        instances: Sequence[Instance],
        latencies: Sequence[tuple[float, float]],
    ) -> list[float]:
        """Return what each takes of its limit; 0 of one without limit or traffic."""
        return [
            high / self._limits_s[one.name]
            if one.name in self._limits_s and one.served_infer_per_sec
            else 0.0
            for one, (_, high) in zip(instances, latencies, strict=False)
        ]

    def _told(
        self, way: _Way, gpu: LoadedGpu, place: int, gpus: Sequence[LoadedGpu]
    ) -> _Way | None:
        """Return a way with the latencies that a placement tells."""
        found = (
            self._divided(gpu, place, way.places, num_requests=SIMULATED_REQUESTS)
            if way.copied is None
            else self._copied(gpu, place, gpus, num_requests=SIMULATED_REQUESTS)
        )
        return next(found, None)

    def _expected(
        self,
        gpu: LoadedGpu,
        instances: Sequence[Instance],
        *,
        num_requests: int | None = None,
    ) -> list[tuple[float, float]]:
        return expected_latencies_s(
            self._question,
            self._request,
            gpu.supply,
            [one.record for one in instances],
            [one.served_infer_per_sec for one in instances],
            num_requests=num_requests,
        )

    def _ways(
        self, gpu: LoadedGpu, place: int, gpus: Sequence[LoadedGpu]
    ) -> Iterator[_Way]:
        """Yield the ways to use another GPU that leave no latency without an end."""
        every = range(len(gpu.instances))
        if len(every) <= MAX_DIVIDED_IN_EVERY_WAY:
            for size in range(1, len(every)):
                for moved in combinations(every, size):
                    yield from self._divided(gpu, place, moved)
        else:
            moved = ()
            now = math.inf
            while True:
                steps = [
                    way
                    for one in every
                    if one not in moved
                    for way in self._divided(gpu, place, (*moved, one))
                ]
                best = min(steps, key=lambda way: way.highest, default=None)
                if best is None or best.highest >= now:
                    break
                now, moved = best.highest, best.places
                yield best
        yield from self._copied(gpu, place, gpus)

    def _divided(
        self,
        gpu: LoadedGpu,
        place: int,
        moved: tuple[int, ...],
        *,
        num_requests: int | None = None,
    ) -> Iterator[_Way]:
        kept = [one for one in range(len(gpu.instances)) if one not in moved]
        if not kept:
            return
        highest = 0.0
        own: tuple[float, float] | None = None
        for part in (kept, list(moved)):
            instances = [gpu.instances[one] for one in part]
            latencies = self._expected(gpu, instances, num_requests=num_requests)
            highest = max([highest, *self._shares(instances, latencies)])
            if place in part and latencies:
                own = latencies[part.index(place)]
        names = tuple(gpu.instances[one].name for one in moved)
        if own is not None and math.isfinite(highest) and math.isfinite(own[0]):
            yield _Way(highest, own, names, None, moved)

    def _copied(
        self,
        gpu: LoadedGpu,
        place: int,
        gpus: Sequence[LoadedGpu],
        *,
        num_requests: int | None = None,
    ) -> Iterator[_Way]:
        """Yield the way in which a copy on the new GPU takes half of the traffic."""
        model = gpu.instances[place]
        copies: Counter[str] = Counter()
        for other in gpus:
            for one in other.instances:
                copies[one.name] += other.num_gpus
        most = self._question.wishes.most_replicas.get(model.name)
        if most is not None and copies[model.name] >= most:
            return
        half = Instance(model.record, (model.served_infer_per_sec or 0.0) / 2)
        instances = list(gpu.instances)
        instances[place] = half
        beside = self._expected(gpu, instances, num_requests=num_requests)
        alone = self._expected(gpu, [half], num_requests=num_requests)
        if not beside or not alone:
            return
        highest = max(
            *self._shares(instances, beside), *self._shares([half], alone), 0.0
        )
        own = max(beside[place], alone[0], key=lambda pair: pair[1])
        if math.isfinite(highest) and math.isfinite(own[0]):
            yield _Way(highest, own, (), model.name, ())


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to use another GPU: what the nearest to its limit then takes of it."""

    highest: float
    of_model: tuple[float, float]
    moved: tuple[str, ...]
    copied: str | None
    places: tuple[int, ...]


def _in_us(seconds: float) -> float | None:
    return 1e6 * seconds if math.isfinite(seconds) else None
