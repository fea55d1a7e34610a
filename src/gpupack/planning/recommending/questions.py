"""The questions behind a recommendation, each as a request to ``place()``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, InvalidInputError
from gpupack.planning.modeling import best_records, reading
from gpupack.planning.recommending.reserve import KEPT_BASE, NO_RESERVE
from gpupack.planning.request import (
    measured_types,
    named_setting,
    resolve_fleet,
)
from gpupack.quoting import listed
from gpupack.records.gpu import HOST_SHARES, Headroom, Resource, is_same_card
from gpupack.records.request import (
    ContentionRule,
    ModelWishes,
    Objective,
    Request,
)
from gpupack.spelling import in_words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.recommending.reserve import Reserve
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import LoadPoint
    from gpupack.records.request import GpuSupply

MOST_KEPT = 0.9
"""Above it the prediction's margin would put most models on a GPU of their own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the plan to buy is asked.

    Args:
        request: To ``place()``.
        has_demands: Whether demands were given, of 0 at least.
        idle: Models with a demand of 0: loaded, with no traffic to meet.
        without_demand: Models that have none where others do.
        min_kept_ratio: What every model shall keep, where there are no demands.
        is_kept_share_asked: Whether somebody asked for that.
    """

    request: Request
    has_demands: bool
    idle: tuple[str, ...] = ()
    without_demand: tuple[str, ...] = ()
    min_kept_ratio: float | None = None
    is_kept_share_asked: bool = False


def for_what_is_busy(
    request: Request, question: CapacityQuestion, reserve: Reserve
) -> Wanted:
    """Return the question of which the answer is to be bought."""
    demands = question.wishes.demand
    goal = {"objective": _objective(question)}
    if demands:
        asked = request.model_copy(
            update=goal
            | {
                "demand_met": ContentionRule.PREDICTED,
                "growth": float(f"{request.growth * (1 + reserve.ratio):.12g}"),
            }
        )
        return Wanted(
            asked,
            has_demands=True,
            idle=tuple(name for name, demand in demands.items() if not demand),
            without_demand=tuple(
                name for name in question.model_names if name not in demands
            ),
        )
    asked_to_keep = dict(question.min_retention)
    kept = min(MOST_KEPT, round(KEPT_BASE + reserve.ratio, 6))
    points = _best_load_points(question)

    def busy(name: str, wishes: ModelWishes) -> ModelWishes:
        return wishes.model_copy(
            update={
                "min_retention": asked_to_keep.get(name, kept),
                "load_point": points.get(name, wishes.load_point),
            }
        )

    return Wanted(
        _with_models(request, question, busy).model_copy(update=goal),
        has_demands=False,
        min_kept_ratio=min(asked_to_keep.values(), default=kept),
        is_kept_share_asked=len(asked_to_keep) == len(question.model_names),
    )


def without_trade_offs(
    request: Request, model_names: Sequence[str]
) -> tuple[Request, tuple[str, ...]]:
    """Return the request without what says who gets less, and a warning for each.

    What is to be bought serves every model in full.
    """
    weighted = [name for name in model_names if request.of_model(name).weight]
    plain = Request()
    asked = [
        (name, named_setting(request, name))
        for name in ("fairness", "contention", "max_gpus", "max_price_per_hour")
        if getattr(request, name) != getattr(plain, name)
    ]
    named = [place for _, place in asked]
    update: dict[str, object] = {name: getattr(plain, name) for name, _ in asked}
    if weighted:
        named.append(named_setting(request, "weights", model_names=weighted))
        nothing = {"weight": None}
        update["defaults"] = request.defaults.model_copy(update=nothing)
        update["models"] = {
            name: wishes.model_copy(update=nothing)
            for name, wishes in request.models.items()
        }
    notes = tuple(
        f"{one} does not count here: what is to be bought serves every model in full"
        for one in named
    )
    return (request.model_copy(update=update), notes) if named else (request, ())


def without_reserve(request: Request, question: CapacityQuestion) -> Request:
    """Return what is asked where the reserve alone is given up.

    Demands, or what models shall keep beside each other, are kept as predicted.
    """
    return for_what_is_busy(request, question, NO_RESERVE).request


def with_slow_downs(
    profiles: ProfileSet, request: Request, busy: Wanted, *, keeps_reserve: bool = False
) -> Request:
    """Return what is asked where slow-downs are fine: plain sums decide.

    Of what was read for every model: what was not read can bind nothing.

    Args:
        profiles: To plan for.
        request: What is asked, without a reserve.
        busy: What is asked of the plan to buy.
        keeps_reserve: Whether demands are planned for with the reserve all the same.
    """
    if busy.has_demands:
        growth = busy.request.growth if keeps_reserve else request.growth
        return busy.request.model_copy(
            update={"growth": growth, "demand_met": ContentionRule.PLAIN}
        )
    models = {
        name: wishes.model_copy(update={"min_retention": None})
        for name, wishes in busy.request.models.items()
    }
    shares = {
        one.value: 1.0
        for one in _UTILIZATIONS
        if all(reading(record, one) is not None for record in profiles.records)
    }
    shares["memory"] = _memory_share(request)
    shares |= _host_shares(request)
    return busy.request.model_copy(
        update={
            "models": models,
            "defaults": busy.request.defaults.model_copy(
                update={"min_retention": None}
            ),
            "headroom": Headroom(**shares),
        }
    )


def on_measured_types(profiles: ProfileSet, request: Request) -> Request:
    """Return the request without the GPU types of which there are estimates alone.

    What is to be bought is promised, and estimates promise nothing.

    Raises:
        InvalidInputError: If no type was measured.
    """
    entries = resolve_fleet(request, profiles).entries
    known = measured_types(profiles)
    if not request.estimate_unmeasured and len(known) == len(profiles.gpu_types):
        return request  # a type without profiles is refused where it is asked for
    lacking = {
        one.gpu_type.name
        for one in entries
        if not any(is_same_card(one.gpu_type, other) for other in known)
    }
    if not lacking:
        return request
    gpus = request.gpus
    if not isinstance(gpus, dict) or len(lacking) == len(entries):
        raise InvalidInputError(
            f"nothing was measured on {listed(sorted(lacking))}, and what is to be "
            "bought is no matter of estimates; profile there, name a type that was "
            "measured beside it, or ask "
            f"{in_words_of(python='place()', shell='gpupack place')} for an estimate"
        )
    kept = {
        name: supply
        for name, supply in gpus.items()
        if name.partition(":")[0].casefold() not in {one.casefold() for one in lacking}
    }
    return request.model_copy(update={"gpus": kept, "estimate_unmeasured": False})


def by_estimates(profiles: ProfileSet, request: Request, busy: Wanted) -> Request:
    """Return what is asked of all GPU types, of which estimates promise nothing."""
    return with_slow_downs(profiles, request, busy).model_copy(
        update={
            "gpus": request.gpus,
            "estimate_unmeasured": True,
            "growth": busy.request.growth,
        }
    )


def for_memory_alone(request: Request, busy: Wanted) -> Request:
    """Return what is asked where models are busy one at a time: room in memory."""

    def loaded(wishes: ModelWishes) -> ModelWishes:
        return wishes.model_copy(
            update={
                "demand": None,
                "min_retention": None,
                "max_replicas": None,
                "min_traffic": None,
                "replicas": None,
            }
        )

    return busy.request.model_copy(
        update={
            "models": {
                name: loaded(wishes) for name, wishes in busy.request.models.items()
            },
            "defaults": loaded(busy.request.defaults),
            "headroom": Headroom(
                memory=_memory_share(request),
                host_memory=_host_shares(request).get(Resource.HOST_MEMORY.value),
            ),
            # The host's cores, like the GPU, are one model's at a time.
            "gpus": _without_cores(request.gpus),
            "demand_met": ContentionRule.PLAIN,
            "growth": 1.0,
        }
    )


_UTILIZATIONS = (Resource.GPU_UTILIZATION, Resource.MEMORY_UTILIZATION)


def _objective(question: CapacityQuestion) -> Objective:
    """Return the lowest price where prices are known, else the fewest GPUs."""
    if all(one.price_per_hour is not None for one in question.fleet.entries):
        return Objective.MIN_COST
    return Objective.MIN_GPUS


def _memory_share(request: Request) -> float:
    if isinstance(request.headroom, Headroom):
        return request.headroom.memory or 1.0
    return request.headroom


def _host_shares(request: Request) -> dict[str, float]:
    """Return the share of what is said of the host that may be used, by resource."""
    gpus = request.gpus.values() if isinstance(request.gpus, dict) else ()
    asked = request.headroom
    return {
        resource.value: (asked.share(resource) or 1.0)
        if isinstance(asked, Headroom)
        else asked
        for resource, name in HOST_SHARES.items()
        if any(getattr(one, name) is not None for one in gpus)
    }


def _without_cores(
    gpus: int | dict[str, GpuSupply] | None,
) -> int | dict[str, GpuSupply] | None:
    if not isinstance(gpus, dict):
        return gpus
    cores = HOST_SHARES[Resource.HOST_CPU]
    return {name: one.model_copy(update={cores: None}) for name, one in gpus.items()}


def _best_load_points(question: CapacityQuestion) -> dict[str, LoadPoint]:
    """Return the load point with the most throughput of models with several."""
    best: dict[str, tuple[float, LoadPoint]] = {}
    for supply in question.supplies:
        shares = question.headroom
        fastest = best_records(
            supply,
            Headroom(
                memory=shares.memory or 1.0,
                host_cpu=shares.host_cpu,
                host_memory=shares.host_memory,
            ),
        )
        if isinstance(fastest, InfeasibleError):
            raise fastest
        for name, (record, *_) in fastest.items():
            rate = record.throughput_infer_per_sec or 0.0
            if name not in best or rate > best[name][0]:
                best[name] = rate, record.load_point
    several = {
        name
        for supply in question.supplies
        for name, records in supply.records.items()
        if len(records) > 1
    }
    return {name: point for name, (_, point) in best.items() if name in several}


def _with_models(
    request: Request,
    question: CapacityQuestion,
    changed: Callable[[str, ModelWishes], ModelWishes],
) -> Request:
    """Return the request with the wishes about every model changed."""
    models = dict(request.models) | {
        name: changed(name, request.of_model(name)) for name in question.model_names
    }
    return request.model_copy(update={"models": models})
