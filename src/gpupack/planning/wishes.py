"""What is asked of the models: demand, latency, replicas, weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from gpupack.errors import InvalidInputError, UnknownNameError

V = TypeVar("V", int, float)

PERCENTILES = (50, 90, 95, 99)
"""Latency percentiles that records have."""
MAX_REPLICAS = 1_000_000
"""More replicas of one model are taken for a wrong unit."""

LatencyLimitLike = float | Mapping[str, float]
"""Milliseconds for every model, or by model name."""
ReplicasLike = int | Mapping[str, int]
"""Instances of every model, or by model name."""


class Fairness(StrEnum):
    """What ``max_throughput`` makes large on a limited fleet."""

    SUM = "sum"
    """The weighted sum of what is served."""
    MAX_MIN = "max_min"
    """The share of its demand that every model gets, and then the sum."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of each model, checked; by model name, absent where not asked.

    Args:
        demand: Infer/sec, ≥ 0.
        latency_limit_ms: Of the percentile, > 0.
        latency_percentile: One of ``PERCENTILES``.
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


def _only(values: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name in names}


def resolve_wishes(
    model_names: Sequence[str],
    *,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    replicas: ReplicasLike | None = None,
    weights: Mapping[str, float] | None = None,
    fairness: Fairness | str | None = None,
    optional: Sequence[str] = (),
) -> Wishes:
    """Return the wishes, checked.

    Raises:
        UnknownNameError: If a model has no profile, or there is no such fairness.
        InvalidInputError: If a value is out of range.
    """
    if latency_percentile not in PERCENTILES:
        raise InvalidInputError(
            f"latency_percentile is {latency_percentile!r}; profiles have "
            f"{', '.join(map(str, PERCENTILES))}"
        )
    optional = [optional] if isinstance(optional, str) else list(optional)
    _require_known("optional", optional, model_names)
    return Wishes(
        demand=_by_name("demand", demand, model_names, "infer/sec, ≥ 0", least=0.0),
        latency_limit_ms=_by_name(
            "latency_limit_ms", latency_limit_ms, model_names, "milliseconds, > 0"
        ),
        latency_percentile=latency_percentile,
        replicas=_replicas(replicas, model_names),
        weights=_by_name("weights", weights, model_names, "a number > 0"),
        fairness=_fairness(fairness),
        optional=frozenset(optional),
    )


def _fairness(fairness: Fairness | str | None) -> Fairness:
    if fairness is None:
        return Fairness.SUM
    try:
        return Fairness(fairness)
    except ValueError as err:
        raise UnknownNameError(
            f"unknown fairness {fairness!r}; there are "
            f"{', '.join(one.value for one in Fairness)}"
        ) from err


def _by_name(
    argument: str,
    given: float | Mapping[str, float] | None,
    model_names: Sequence[str],
    meaning: str,
    *,
    least: float | None = None,
) -> dict[str, float]:
    """Return checked numbers by model name; more than 0 unless ``least`` says so."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(model_names, given)
    _require_known(argument, given, model_names)
    for name, value in given.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or (value <= 0 if least is None else value < least)
        ):
            raise InvalidInputError(
                f"{argument} of {name!r} is {value!r}; it must be finite, {meaning}"
            )
    return {name: float(value) for name, value in sorted(given.items())}


def _replicas(given: ReplicasLike | None, model_names: Sequence[str]) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(model_names, given)
    _require_known("replicas", given, model_names)
    for name, count in given.items():
        is_count = isinstance(count, int) and not isinstance(count, bool)
        if not is_count or not 1 <= count <= MAX_REPLICAS:
            raise InvalidInputError(
                f"replicas of {name!r} is {count!r}; it must be a whole number from 1 "
                f"to {MAX_REPLICAS:,}"
            )
    return dict(sorted(given.items()))


def _require_known(
    argument: str, names: Sequence[str] | Mapping[str, object], known: Sequence[str]
) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UnknownNameError(
            f"{argument} names {', '.join(map(repr, unknown))}, which has no profile; "
            f"there are {', '.join(map(repr, sorted(set(known))))}"
        )
