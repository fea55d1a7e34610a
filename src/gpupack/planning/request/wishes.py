"""What is asked of the models, which records that leaves, and which resources bind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.quoting import quoted
from gpupack.records.gpu import HOST_SHARES, Headroom, Resource
from gpupack.records.request import MAX_REPLICAS as MAX_REPLICAS
from gpupack.records.request import Fairness as Fairness
from gpupack.records.request import Objective
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet
    from gpupack.records.profile import LoadPoint, ProfileRecord
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
        min_traffic: Infer/sec of each of several replicas of a model with a demand.
        one_load_point: Models of which all replicas run at one load point.
        min_retention: The share of its throughput to be kept beside neighbors, (0, 1].
        load_points: The only load point to plan with.
        request: Whose wishes these are; it knows where they were said.
    """

    demand: Mapping[str, float] = field(default_factory=dict)
    latency_limit_ms: Mapping[str, float] = field(default_factory=dict)
    latency_percentile: int = 99
    replicas: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    fairness: Fairness = Fairness.SUM
    optional: frozenset[str] = frozenset()
    most_replicas: Mapping[str, int] = field(default_factory=dict)
    min_traffic: Mapping[str, float] = field(default_factory=dict)
    one_load_point: frozenset[str] = frozenset()
    min_retention: Mapping[str, float] = field(default_factory=dict)
    load_points: Mapping[str, LoadPoint] = field(default_factory=dict)
    request: Request | None = field(default=None, compare=False, repr=False)

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
            min_traffic=_only(self.min_traffic, model_names),
            one_load_point=self.one_load_point.intersection(model_names),
            load_points=_only(self.load_points, model_names),
        )


def _grown(demand: float, growth: float) -> float:
    """Return demand × growth to twelve digits: 20 × 1.1 is 22, as people multiply."""
    return demand if growth == 1 else float(f"{demand * growth:.12g}")


def _only(values: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name in names}


def wishes_of(request: Request, model_names: Sequence[str]) -> Wishes:
    """Return what a request asks of these models."""
    asked = {name: request.of_model(name) for name in sorted(model_names)}
    return Wishes(
        request=request,
        demand={
            name: _grown(demand, request.growth)
            for name, demand in _given(asked, "demand").items()
        },
        latency_limit_ms=_given(asked, "latency_limit_ms"),
        latency_percentile=request.latency_percentile,
        replicas=_given(asked, "replicas"),
        weights=_given(asked, "weight"),
        fairness=request.fairness,
        optional=frozenset([name for name, one in asked.items() if one.optional]),
        most_replicas=_given(asked, "max_replicas"),
        min_retention=_given(asked, "min_retention"),
        load_points=_given(asked, "load_point"),
        min_traffic=_given(asked, "min_traffic"),
        one_load_point=frozenset(
            [name for name, one in asked.items() if one.one_load_point]
        ),
    )


def _given(asked: Mapping[str, ModelWishes], wish: str) -> dict[str, Any]:
    """Return one wish by model name, absent where not asked."""
    return {
        name: value
        for name, one in asked.items()
        if (value := getattr(one, wish)) is not None
    }


BINDING_BY_DEFAULT: dict[Objective, tuple[Resource, ...]] = {
    Objective.MIN_GPUS: (Resource.MEMORY,),
    Objective.MIN_COST: (Resource.MEMORY,),
    Objective.MAX_THROUGHPUT: (
        Resource.MEMORY,
        Resource.GPU_UTILIZATION,
        Resource.MEMORY_UTILIZATION,
    ),
}
"""Models of ``min_gpus`` are loaded but seldom run at once, so memory alone binds;
``max_throughput`` lets no model lose throughput, so the utilizations bind too."""


def overlay_headroom(
    objective: Objective,
    overall: float | None,
    named: Mapping[str, float],
    *,
    also: Sequence[Resource] = (),
) -> float | dict[str, float]:
    """Return the headroom of a share for whatever binds, and shares by name.

    Args:
        objective: Says what binds by default.
        overall: The share of whatever binds; None if there is only ``named``.
        named: Shares by resource name, taking precedence; they bind in any case.
        also: What binds besides.
    """
    if overall is None:
        return dict(named) if named else 1.0
    if not named:
        return overall
    default = dict.fromkeys(
        (resource.value for resource in (*BINDING_BY_DEFAULT[objective], *also)),
        overall,
    )
    return default | dict(named)


def resolve_headroom(objective: Objective, headroom: float | Headroom) -> Headroom:
    """Return the share of each binding resource.

    Args:
        objective: Says what binds when ``headroom`` is a number.
        headroom: A number scales whatever binds by default; a record names exactly
            what binds.
    """
    if isinstance(headroom, Headroom):
        return headroom
    return Headroom(**{one.value: headroom for one in BINDING_BY_DEFAULT[objective]})


def allowed_records(
    profiles: ProfileSet,
    pinned: Mapping[str, LoadPoint],
    *,
    allow_unstable: bool = False,
    place_of: Callable[[str], str | None] = lambda _: None,
) -> dict[str, tuple[ProfileRecord, ...]]:
    """Return the records that each model may be planned with, by sorted model name.

    Args:
        profiles: Of one or several GPU types.
        pinned: The only load point allowed, by model name; one that names no variant
            allows every variant with it.
        allow_unstable: Whether a record that never settled may be used.
        place_of: Returns where the load point of a model was asked, by its name.

    Raises:
        MissingReadingError: If a model has no record at the chosen load point, or
            only ones that never settled.
        InvalidInputError: If there is no profile at all.
    """
    if not profiles.records:
        raise InvalidInputError("there are no profiles: nothing to place")
    by_name: dict[str, list[ProfileRecord]] = {}
    for record in profiles.records:
        by_name.setdefault(record.model_name, []).append(record)
    allowed = {}
    for model_name in sorted(by_name):
        records = by_name[model_name]
        point = pinned.get(model_name)
        if point is not None:
            measured = ", ".join(
                dict.fromkeys(str(record.load_point) for record in records)
            )
            records = [one for one in records if one.load_point.is_one_of(point)]
            if not records:
                place = place_of(model_name)
                raise MissingReadingError(
                    (f"{place}: " if place else "")
                    + f"model {quoted(model_name)} was not measured at load point "
                    f"{point}; it was at {measured}"
                )
        if not allow_unstable:
            settled = [one for one in records if one.is_stable is not False]
            if not settled:
                raise MissingReadingError(
                    f"the measurement of model {quoted(model_name)} at "
                    f"{', '.join(str(record.load_point) for record in records)} never "
                    "settled; measure it again, or use it all the same with "
                    f"{setting('allow_unstable', True)}"
                )
            records = settled
        if len(records) > 1:
            records = sorted(
                records, key=lambda one: (one.gpu_type.name, one.load_point.sort_key)
            )
        allowed[model_name] = tuple(records)
    return allowed


def growth_doubts(request: Request) -> list[str]:
    """Return in words where a factor on demands looks like what is added to them."""
    growth = request.growth
    if growth >= 1:
        return []
    return [
        f"growth {growth:g} multiplies every demand, which leaves {growth:.0%} of it; "
        f"if {growth:.0%} more is meant, give {setting('growth', round(1 + growth, 6))}"
    ]


def with_host(headroom: Headroom, asked: float | Headroom, fleet: Fleet) -> Headroom:
    """Return the headroom with a share of what is said of the host, where it is.

    Args:
        headroom: Of the GPUs themselves.
        asked: A number is the share of whatever binds; one that names other resources
            alone leaves all of the host's to be used.
        fleet: Says what GPUs have of their hosts.

    Raises:
        InvalidInputError: If a resource of the host is named, and no GPU's share of it
            is said.
    """
    said: dict[str, float] = {}
    for resource, name in HOST_SHARES.items():
        if any(getattr(one.gpu_type, name) is not None for one in fleet.entries):
            named = (
                asked.share(resource) or 1.0 if isinstance(asked, Headroom) else asked
            )
            said[resource.value] = named
        elif getattr(headroom, resource.value) is not None:
            raise InvalidInputError(
                f"headroom names {resource.value}, but not how much of it each GPU "
                f"has; give {setting(name)}, or leave it out of "
                f"{setting('headroom')}"
            )
    return Headroom(**(headroom.model_dump() | said)) if said else headroom


LOW_HEADROOM = 0.5
"""Who lets less than half of a GPU be used may have meant to leave so much free."""


def headroom_doubts(request: Request) -> list[str]:
    """Return in words where a share to be used looks like a share to be left free."""
    asked = request.headroom
    shares = (
        [asked]
        if isinstance(asked, float)
        else [share for resource, share in asked if resource is Resource.MEMORY]
    )
    return [
        f"headroom {share:g} is the share that may be used, {100 * share:g} %; "
        f"if {100 * share:g} % are to stay free, give "
        f"{setting('headroom', round(1 - share, 6))}"
        for share in shares
        if share < LOW_HEADROOM
    ]
