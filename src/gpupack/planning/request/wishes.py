"""What is asked of the models: demand, latency, replicas, weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from gpupack.records.request import MAX_REPLICAS as MAX_REPLICAS
from gpupack.records.request import Fairness as Fairness

if TYPE_CHECKING:
    from gpupack.records.request import ModelWishes, Request

V = TypeVar("V")


@dataclass(frozen=True)
class Wishes:
    """What is asked of each model, checked; by model name, absent where not asked.

    Args:
        demand: Infer/sec, ≥ 0.
        latency_limit_ms: Of the percentile, > 0.
        latency_percentile: 50, 90, 95 or 99.
        replicas: Instances, ≥ 1: exactly so many without a demand, at least with one.
        weights: Of one infer/sec in ``max_throughput``, > 0.
        fairness: What ``max_throughput`` makes large.
        optional: Models that may be left out.
        most_replicas: Instances at most, of models with a demand.
    """

    demand: Mapping[str, float] = field(default_factory=dict)
    latency_limit_ms: Mapping[str, float] = field(default_factory=dict)
    latency_percentile: int = 99
    replicas: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    fairness: Fairness = Fairness.SUM
    optional: frozenset[str] = frozenset()
    most_replicas: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether every model just wants one instance, somewhere."""
        return not (self.demand or self.replicas or self.optional)

    def of(self, model_names: Collection[str]) -> Wishes:
        """Return what is asked of these models alone."""
        model_names = frozenset(model_names)
        return replace(
            self,
            demand=_only(self.demand, model_names),
            latency_limit_ms=_only(self.latency_limit_ms, model_names),
            replicas=_only(self.replicas, model_names),
            weights=_only(self.weights, model_names),
            optional=self.optional.intersection(model_names),
            most_replicas=_only(self.most_replicas, model_names),
        )


def _grown(demand: float, growth: float) -> float:
    """Return demand × growth to twelve digits: 20 × 1.1 is 22, as people multiply."""
    return demand if growth == 1 else float(f"{demand * growth:.12g}")


def _only(values: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name in names}


def wishes_of(request: Request, model_names: Sequence[str]) -> Wishes:
    """Return what a request asks of these models."""

    def by_model(wish: Callable[[ModelWishes], V | None]) -> dict[str, V]:
        return asked_by_model(request, model_names, wish)

    return Wishes(
        demand={
            name: _grown(demand, request.growth)
            for name, demand in by_model(lambda one: one.demand).items()
        },
        latency_limit_ms=by_model(lambda one: one.latency_limit_ms),
        latency_percentile=request.latency_percentile,
        replicas=by_model(lambda one: one.replicas),
        weights=by_model(lambda one: one.weight),
        fairness=request.fairness,
        optional=frozenset(by_model(lambda one: one.optional or None)),
        most_replicas=by_model(lambda one: one.max_replicas),
    )


def asked_by_model(
    request: Request,
    model_names: Sequence[str],
    wish: Callable[[ModelWishes], V | None],
) -> dict[str, V]:
    """Return one wish of a request by sorted model name, absent where not asked."""
    return {
        name: value
        for name in sorted(model_names)
        if (value := wish(request.of_model(name))) is not None
    }
