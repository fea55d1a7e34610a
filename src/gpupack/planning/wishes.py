"""What is asked of the models: demand, latency, replicas, weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from gpupack.arguments import names
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number, whole_number
from gpupack.quoting import quoted, quoted_all

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
        return replace(
            self,
            demand=_only(self.demand, model_names),
            latency_limit_ms=_only(self.latency_limit_ms, model_names),
            replicas=_only(self.replicas, model_names),
            weights=_only(self.weights, model_names),
            optional=self.optional.intersection(model_names),
            most_replicas=_only(self.most_replicas, model_names),
        )


def _only(values: Mapping[str, V], wanted: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name in wanted}


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
    percentile = whole_number(latency_percentile)
    if percentile not in PERCENTILES:
        raise InvalidInputError(
            f"latency_percentile is {quoted(latency_percentile)}; profiles have "
            f"{', '.join(map(str, PERCENTILES))}"
        )
    optional = names("optional", optional)
    _require_known("optional", optional, model_names)
    return Wishes(
        demand=_by_name("demand", demand, model_names, "infer/sec, ≥ 0", least=0.0),
        latency_limit_ms=_by_name(
            "latency_limit_ms", latency_limit_ms, model_names, "milliseconds, > 0"
        ),
        latency_percentile=percentile,
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
            f"unknown fairness {quoted(fairness)}; there are "
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
    numbers = {}
    for name, value in sorted(given.items()):
        number = real_number(value)
        if (
            number is None
            or not math.isfinite(number)
            or (number <= 0 if least is None else number < least)
        ):
            raise InvalidInputError(
                f"{argument} of {quoted(name)} is {quoted(value)}; it must be finite, "
                f"{meaning}"
            )
        numbers[name] = number
    return numbers


def _replicas(given: ReplicasLike | None, model_names: Sequence[str]) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(model_names, given)
    _require_known("replicas", given, model_names)
    counts = {}
    for name, value in sorted(given.items()):
        count = whole_number(value)
        if count is None or not 1 <= count <= MAX_REPLICAS:
            raise InvalidInputError(
                f"replicas of {quoted(name)} is {quoted(value)}; it must be a whole "
                f"number from 1 to {MAX_REPLICAS:,}"
            )
        counts[name] = count
    return counts


def _require_known(
    argument: str, given: Sequence[str] | Mapping[str, object], known: Sequence[str]
) -> None:
    unknown = sorted(set(given) - set(known), key=str)
    if unknown:
        raise UnknownNameError(
            f"{argument} names {quoted_all(unknown)}, which has no profile; there are "
            f"{quoted_all(sorted(set(known)))}"
        )
