"""Decide which model goes where: ``place()``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.best_load_points import best_records
from gpupack.planning.fleet import (
    GpusLike,
    require_prices,
    resolve_fleet,
    with_prices,
)
from gpupack.planning.headroom import HeadroomLike, resolve_headroom, resolve_objective
from gpupack.planning.latency import within_latency_limits
from gpupack.planning.load_points import LoadPointLike, allowed_records
from gpupack.planning.one_type import place_on_one_type
from gpupack.planning.retention import MinRetentionLike, resolve_min_retention
from gpupack.planning.supply import Supply, supplies_of
from gpupack.planning.wishes import (
    Fairness,
    LatencyLimitLike,
    ReplicasLike,
    Wishes,
    resolve_wishes,
)
from gpupack.records.environment import SharingMode
from gpupack.records.placement import Objective

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet, Headroom
    from gpupack.records.profile import ProfileRecord


def place(
    profiles: ProfileSet,
    objective: Objective | str = Objective.MIN_GPUS,
    *,
    gpus: GpusLike | None = None,
    prices: Mapping[str, float] | None = None,
    headroom: HeadroomLike = 1.0,
    load_point: LoadPointLike | None = None,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    replicas: ReplicasLike | None = None,
    weights: Mapping[str, float] | None = None,
    fairness: Fairness | str | None = None,
    optional: Sequence[str] = (),
    carry_memory_over: bool = False,
    min_retention: MinRetentionLike | None = None,
    sharing: SharingMode | str | None = None,
    time_limit_s: float = 10.0,
    seed: int = 0,
    allow_unstable: bool = False,
) -> Placement:
    """Return the best placement of every model, with what proves it.

    Args:
        profiles: What was measured. A model goes only on GPU types it was profiled on.
        objective: ``"min_gpus"``: the fewest GPUs (the cheapest of equally many);
            memory binds, and the utilizations too if there is a demand.
            ``"min_cost"``: the lowest price per hour; the same binds.
            ``"max_throughput"``: no model loses throughput, on the fewest GPUs; on a
            limited fleet with choices, the most weighted throughput. Memory and both
            utilizations bind.
        gpus: The supply: a catalogue name (``"16GB"``, ``"T4"``) or ``GpuType``, or
            types with counts, None for as many as needed
            (``{"L4": 8, "A100-80GB": None}``). Left out, as many as needed of the
            type that the profiles were measured on.
        prices: Per GPU and hour by GPU type, in your currency; gpupack ships none.
        headroom: The share that may be used of whatever binds (``0.8`` is 80 %), or
            a mapping that names exactly what binds: ``{"memory": 0.9,
            "gpu_utilization": 1.1}``. Memory never exceeds 1.
        load_point: Pins the load point (``"2x4"``: batch size × concurrency) of
            every model, or of some by name. Otherwise every record is an option.
        demand: Infer/sec to be served by model name, by as many replicas as needed.
            A replica takes its memory in full, its utilizations in proportion to the
            traffic it serves. 0 keeps a model loaded and idle.
        latency_limit_ms: Load points that exceed it, measured alone, are no options.
        latency_percentile: Of the limit: 50, 90, 95 or 99.
        replicas: Instances of every model, or by name: exactly so many of a model
            without a demand (default 1), at least so many of one with.
        weights: Of one infer/sec of a model in ``max_throughput``; default 1.
        fairness: ``"sum"``, or ``"max_min"``: make the smallest served share of
            demand as large as possible first.
        optional: Models that may be left out; all others are served at least once.
        carry_memory_over: Let models go on a GPU type without records, by the memory
            measured on another, where nothing but memory binds.
        min_retention: The share of its solo throughput that every model is
            predicted to keep beside its neighbours (``0.9``), or one by model name;
            models not named may lose anything. Left out, prediction decides nothing.
        sharing: How models share a GPU: ``"time_slicing"`` (what separate processes
            do by default), ``"mps"`` or ``"streams"``. The prediction depends on it.
        time_limit_s: When it runs out, the best placement so far is returned,
            with ``status`` FEASIBLE. 0 gives the best heuristic answer.
        seed: The same input and seed give the same placement.
        allow_unstable: Use measurements that never settled.

    Returns:
        The placement. Equally good ones are told apart by more throughput, lower
        highest utilization, then by model name.

    Raises:
        InvalidInputError: If an argument cannot be used; subclasses say more.
        MissingReadingError: If a binding resource, or what ``min_retention`` or a
            demand needs, was not measured.
        InfeasibleError: If a model fits on no GPU, no load point keeps a latency
            limit, or the supply is too small.
    """
    started = time.perf_counter()
    goal = resolve_objective(objective)
    _require_valid_search(time_limit_s, seed)
    wishes = resolve_wishes(
        profiles.model_names,
        demand=demand,
        latency_limit_ms=latency_limit_ms,
        latency_percentile=latency_percentile,
        replicas=replicas,
        weights=weights,
        fairness=fairness,
        optional=optional,
    )
    _require_sense(goal, wishes)
    # A demand says that models run at the same time: what they use then binds.
    shares = resolve_headroom(
        Objective.MAX_THROUGHPUT if wishes.demand else goal, headroom
    )
    fleet = with_prices(resolve_fleet(gpus, profiles), prices)
    if goal is Objective.MIN_COST:
        require_prices(fleet)
    records = within_latency_limits(
        allowed_records(profiles, load_point, allow_unstable=allow_unstable), wishes
    )
    needs_throughput = goal is Objective.MAX_THROUGHPUT or bool(wishes.demand)
    supplies, warnings = supplies_of(
        fleet,
        profiles,
        records,
        shares,
        carry_memory_over=carry_memory_over,
        promises_traffic=needs_throughput,
    )
    if goal is Objective.MAX_THROUGHPUT:
        _require_throughput(supplies, wishes)
    warnings += _doubts(supplies)
    floors = resolve_min_retention(min_retention, profiles.model_names)
    chosen = _without_choice(goal, supplies, wishes, shares)
    if chosen is not None:
        placement = place_on_one_type(
            profiles,
            goal,
            supplies[0],
            chosen,
            fleet=fleet,
            headroom=shares,
            min_retention=floors,
            sharing=sharing,
            warnings=warnings,
            time_limit_s=time_limit_s,
            seed=seed,
        )
    else:
        placement = _place_with_choices(
            profiles,
            goal,
            supplies,
            fleet,
            shares,
            wishes,
            sharing,
            warnings,
            floors,
            time_limit_s=time_limit_s,
            seed=seed,
        )
    return placement.model_copy(update={"seconds": time.perf_counter() - started})


def _place_with_choices(
    profiles: ProfileSet,
    goal: Objective,
    supplies: tuple[Supply, ...],
    fleet: Fleet,
    headroom: Headroom,
    wishes: Wishes,
    sharing: SharingMode | str | None,
    warnings: tuple[str, ...],
    floors: Mapping[str, float],
    *,
    time_limit_s: float,
    seed: int,
) -> Placement:
    from gpupack.planning.capacity import CapacityQuestion, place_with_choices

    if floors:
        raise InvalidInputError(
            "min_retention needs one load point per model on one GPU type, without "
            "demand, replicas or optional models: pin the load points with "
            "load_point=, or leave min_retention out"
        )
    question = CapacityQuestion(
        profiles=profiles,
        model_names=profiles.model_names,
        objective=goal,
        supplies=supplies,
        fleet=fleet,
        headroom=headroom,
        wishes=wishes,
        sharing=sharing,
        warnings=warnings,
    )
    return place_with_choices(question, time_limit_s=time_limit_s, seed=seed)


def _without_choice(
    goal: Objective, supplies: Sequence[Supply], wishes: Wishes, headroom: Headroom
) -> tuple[ProfileRecord, ...] | None:
    """Return the one record of each model if nothing is to be chosen, or else None."""
    if len(supplies) > 1 or not wishes.is_plain or wishes.fairness is not Fairness.SUM:
        return None
    (supply,) = supplies
    by_name = supply.records
    if any(len(records) > 1 for records in by_name.values()):
        if goal is not Objective.MAX_THROUGHPUT or supply.entry.num_gpus is not None:
            return None
        by_name = best_records(supply, headroom)
    return tuple(by_name[name][0] for name in sorted(by_name))


def _require_valid_search(time_limit_s: float, seed: int) -> None:
    if not math.isfinite(time_limit_s) or time_limit_s < 0:
        raise InvalidInputError(
            f"time_limit_s is {time_limit_s}; it must be finite and ≥ 0 seconds"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise InvalidInputError(
            f"seed is {seed!r}; it must be a whole number from 0 to {2**31 - 1}"
        )


def _require_sense(goal: Objective, wishes: Wishes) -> None:
    """Check that weights and fairness have something to decide.

    Raises:
        InvalidInputError: If they are given where throughput is not the objective, or
            max-min fairness without a demand.
    """
    if goal is not Objective.MAX_THROUGHPUT:
        for argument, is_given in (
            ("weights", bool(wishes.weights)),
            ("fairness", wishes.fairness is not Fairness.SUM),
        ):
            if is_given:
                raise InvalidInputError(
                    f"{argument} decides between models when throughput is short, but "
                    f'the objective is {goal.value}; use objective="max_throughput"'
                )
    if wishes.fairness is Fairness.MAX_MIN and not any(
        value > 0 and name not in wishes.optional
        for name, value in wishes.demand.items()
    ):
        raise InvalidInputError(
            'fairness="max_min" shares out demand, but there is none; give '
            "demand={model: infer/sec}"
        )


def _require_throughput(supplies: Sequence[Supply], wishes: Wishes) -> None:
    lacking = [
        one
        for one in _records(supplies)
        if one.throughput_infer_per_sec is None and one.model_name not in wishes.demand
    ]
    if lacking:
        names = ", ".join(dict.fromkeys(repr(record.model_name) for record in lacking))
        raise MissingReadingError(
            "max_throughput needs throughput_infer_per_sec, which is missing for "
            f"{names}: {lacking[0].missing['throughput_infer_per_sec']}"
        )


def _doubts(supplies: Sequence[Supply]) -> tuple[str, ...]:
    """Return warnings about measurements that are used all the same."""
    below = [
        f"{record.model_name!r} used less memory than the server alone; its own need "
        "is taken as 0"
        for supply in supplies
        for record in _records([supply])
        if record.gpu_memory_used_bytes is not None
        and record.gpu_memory_used_bytes < supply.baseline_bytes
    ]
    unstable = [
        f"the measurement of {record.model_name!r} at {record.load_point} never settled"
        for record in _records(supplies)
        if record.is_stable is False
    ]
    return tuple(dict.fromkeys(below + unstable))


def _records(supplies: Iterable[Supply]) -> list[ProfileRecord]:
    return [
        record
        for supply in supplies
        for of_model in supply.records.values()
        for record in of_model
    ]
