"""Decide which model goes where: ``place()``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.packing.allowed_sets import solve_allowed
from gpupack.packing.problem import ItemType, PackingProblem
from gpupack.packing.solution import SolveStatus
from gpupack.packing.solve import solve
from gpupack.packing.tie_break import even_out
from gpupack.placement import Placement
from gpupack.planning.check import check_placement
from gpupack.planning.contention import has_readings
from gpupack.planning.diagnosis import require_each_fits_alone, too_few_gpus
from gpupack.planning.fleet import GpusLike, resolve_fleet
from gpupack.planning.headroom import HeadroomLike, resolve_headroom, resolve_objective
from gpupack.planning.load_points import LoadPointLike, choose_records
from gpupack.planning.retention import (
    Contention,
    MinRetentionLike,
    RetentionRule,
    resolve_contention,
    resolve_min_retention,
    retentions_or_none,
)
from gpupack.planning.sharing import sharing_alternatives
from gpupack.planning.sizes import (
    baseline_memory_bytes,
    item_size,
    limit_of,
    model_memory_bytes,
    reading,
    require_readings,
)
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import Fleet, GpuType, Headroom, Resource
from gpupack.records.placement import (
    Assignment,
    GpuPlacement,
    Objective,
    PlacementStatus,
    ResourceUse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.solution import PackingResult
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord

_UTILIZATIONS = (
    Resource.GPU_UTILIZATION,
    Resource.MEMORY_UTILIZATION,
    Resource.SM_UTILIZATION,
)


def place(
    profiles: ProfileSet,
    objective: Objective | str = Objective.MIN_GPUS,
    *,
    gpus: GpusLike | None = None,
    headroom: HeadroomLike = 1.0,
    load_point: LoadPointLike | None = None,
    min_retention: MinRetentionLike | None = None,
    sharing: SharingMode | str | None = None,
    time_limit_s: float = 10.0,
    seed: int = 0,
    allow_unstable: bool = False,
) -> Placement:
    """Return the best placement of every model, with what proves it.

    Args:
        profiles: What was measured, one GPU type.
        objective: ``"min_gpus"``: the fewest GPUs; memory binds. Or
            ``"max_throughput"``: the fewest GPUs on which no model loses
            throughput; memory and both utilizations bind.
        gpus: The supply: a catalogue name (``"16GB"``, ``"T4"``) or ``GpuType``, or
            either with a count (``{"T4": 4}``). Left out, as many as needed of the
            type that the profiles were measured on.
        headroom: The share that may be used of whatever binds (``0.8`` is 80 %), or
            a mapping that names exactly what binds: ``{"memory": 0.9,
            "gpu_utilization": 1.1}``. Memory never exceeds 1.
        load_point: Which load point to plan with where a model has several:
            ``"2x4"`` (batch size × concurrency), or one by model name.
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
        The placement. Equally good ones are told apart by lower highest
        utilization, then by model name.

    Raises:
        InvalidInputError: If an argument cannot be used; subclasses say more.
        MissingReadingError: If a binding resource, or what ``min_retention``
            needs, was not measured.
        InfeasibleError: If a model fits on no GPU, or the supply is too small.
    """
    started = time.perf_counter()
    goal = resolve_objective(objective)
    _require_valid_search(time_limit_s, seed)
    shares = resolve_headroom(goal, headroom)
    fleet = resolve_fleet(gpus, profiles)
    gpu_type, available = _only_type(fleet)
    measured_on, warnings = _measured_on(profiles, gpu_type)
    usable = profiles.select(gpu_type=measured_on.name)
    records = choose_records(usable, load_point, allow_unstable=allow_unstable)

    binding = [resource for resource, _ in shares]
    require_readings(records, binding)
    if goal is Objective.MAX_THROUGHPUT:
        _require_throughput(records)
    baseline = baseline_memory_bytes(
        usable, measured_on, needed=Resource.MEMORY in binding
    )
    warnings += _memory_below_baseline(records, baseline)
    require_each_fits_alone(records, gpu_type, shares, baseline)

    sizes = [
        tuple(item_size(record, resource, baseline) for resource in binding)
        for record in records
    ]
    capacity = tuple(
        limit_of(gpu_type, shares, resource)
        - (baseline if resource is Resource.MEMORY else 0)
        for resource in binding
    )
    contention = resolve_contention(profiles, measured_on, sharing)
    floors = resolve_min_retention(min_retention, profiles.model_names)
    rule = RetentionRule(records, contention, floors) if floors else None
    problem = PackingProblem(
        capacity=_at_least_one(capacity),
        item_types=tuple(ItemType(sizes=size) for size in sizes),
    )
    result = (
        solve(problem, time_limit_s=time_limit_s, seed=seed)
        if rule is None
        else solve_allowed(
            problem, rule.is_allowed, time_limit_s=time_limit_s, seed=seed
        )
    )
    if available is not None and result.num_bins > available:
        raise too_few_gpus(
            gpu_type,
            available,
            bound=result.bound,
            found=result.num_bins,
            time_limit_s=time_limit_s,
        )
    bins = even_out(_expand(result), sizes, capacity, _loads(records, baseline))
    if rule is not None and not all(
        rule.is_allowed(tuple((item, 1) for item in one_bin)) for one_bin in bins
    ):
        bins = _expand(result)  # evener, but with less kept than was asked
    gpus_placed = tuple(
        _gpu_placement(
            index,
            gpu_type,
            [records[item] for item in one_bin],
            baseline,
            shares,
            contention,
        )
        for index, one_bin in enumerate(bins)
    )
    is_predicted = all(has_readings(record) for record in records)
    placement = Placement(
        objective=goal,
        status=_status(result),
        num_gpus=len(bins),
        objective_value=len(bins),
        bound=result.bound,
        gap=(len(bins) - result.bound) / len(bins),
        method=result.method,
        seconds=time.perf_counter() - started,
        seed=seed,
        headroom=shares,
        fleet=fleet,
        sharing_mode=contention.sharing_mode,
        contention_factor=contention.factor if is_predicted else None,
        num_calibration_sets=contention.num_sets if is_predicted else 0,
        min_retention=floors,
        sharing_alternatives=sharing_alternatives(
            profiles,
            measured_on,
            [[records[item] for item in one_bin] for one_bin in bins],
            contention,
        )
        if is_predicted
        else (),
        gpus=gpus_placed,
        warnings=warnings + contention.warnings + _instability(records),
        profiles=usable.select([record.model_name for record in records]).records,
    )
    check_placement(placement, records, baseline)
    return placement


def _require_valid_search(time_limit_s: float, seed: int) -> None:
    if not math.isfinite(time_limit_s) or time_limit_s < 0:
        raise InvalidInputError(
            f"time_limit_s is {time_limit_s}; it must be finite and ≥ 0 seconds"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise InvalidInputError(
            f"seed is {seed!r}; it must be a whole number from 0 to {2**31 - 1}"
        )


def _only_type(fleet: Fleet) -> tuple[GpuType, int | None]:
    if len(fleet.entries) > 1:
        names = ", ".join(entry.gpu_type.name for entry in fleet.entries)
        raise InvalidInputError(
            f"gpus names several types ({names}); place() plans for one type at a time"
        )
    entry = fleet.entries[0]
    entry.gpu_type.known_memory_bytes()
    return entry.gpu_type, entry.num_gpus


def _measured_on(
    profiles: ProfileSet, gpu_type: GpuType
) -> tuple[GpuType, tuple[str, ...]]:
    """Return the GPU type whose records are used, with a warning if it differs."""
    types = {one.name: one for one in profiles.gpu_types}
    if gpu_type.name in types or not types:
        return types.get(gpu_type.name, gpu_type), ()
    if len(types) > 1:
        raise InvalidInputError(
            f"no profile was measured on {gpu_type.name}, and several other GPU types "
            f"were ({', '.join(types)}); select one with profiles.select(gpu_type=...)"
        )
    (measured_on,) = types.values()
    if measured_on.memory_bytes is None:
        return measured_on, ()
    return measured_on, (
        f"the profiles were measured on {measured_on.name}, not on {gpu_type.name}: "
        "memory carries over, utilizations and throughput may not",
    )


def _require_throughput(records: Sequence[ProfileRecord]) -> None:
    lacking = [one for one in records if one.throughput_infer_per_sec is None]
    if lacking:
        names = ", ".join(repr(record.model_name) for record in lacking)
        raise MissingReadingError(
            "max_throughput needs throughput_infer_per_sec, which is missing for "
            f"{names}: {lacking[0].missing['throughput_infer_per_sec']}"
        )


def _memory_below_baseline(
    records: Sequence[ProfileRecord], baseline: int
) -> tuple[str, ...]:
    return tuple(
        f"{record.model_name!r} used less memory than the server alone; its own need "
        "is taken as 0"
        for record in records
        if record.gpu_memory_used_bytes is not None
        and record.gpu_memory_used_bytes < baseline
    )


def _instability(records: Sequence[ProfileRecord]) -> tuple[str, ...]:
    return tuple(
        f"the measurement of {record.model_name!r} at {record.load_point} never settled"
        for record in records
        if record.is_stable is False
    )


def _at_least_one(capacity: tuple[int, ...]) -> tuple[int, ...]:
    """Let a resource of which nothing is left bind no model that needs none of it."""
    return tuple(max(1, most) for most in capacity)


def _expand(result: PackingResult) -> list[list[int]]:
    """Return item indices per bin; every item type here has one copy."""
    return [
        [item for item, count in one_bin.counts for _ in range(count)]
        for one_bin in result.bins
        for _ in range(one_bin.multiplicity)
    ]


def _loads(records: Sequence[ProfileRecord], baseline: int) -> list[tuple[int, ...]]:
    """Return what shall be evened out: known utilizations, or else memory."""
    known = [
        resource
        for resource in _UTILIZATIONS
        if all(reading(record, resource) is not None for record in records)
    ] or [Resource.MEMORY]
    return [
        tuple(item_size(record, resource, baseline) for resource in known)
        for record in records
    ]


def _status(result: PackingResult) -> PlacementStatus:
    if result.status is SolveStatus.OPTIMAL:
        return PlacementStatus.OPTIMAL
    return PlacementStatus.FEASIBLE


def _gpu_placement(
    index: int,
    gpu_type: GpuType,
    records: Sequence[ProfileRecord],
    baseline: int,
    headroom: Headroom,
    contention: Contention,
) -> GpuPlacement:
    kept = retentions_or_none(records, contention) or [None] * len(records)
    assignments = tuple(
        Assignment(
            model_name=record.model_name,
            load_point=record.load_point,
            throughput_infer_per_sec=record.throughput_infer_per_sec,
            predicted_infer_per_sec=(
                None
                if share is None or record.throughput_infer_per_sec is None
                else share * record.throughput_infer_per_sec
            ),
            memory_bytes=model_memory_bytes(record, baseline),
            gpu_utilization_percent=record.gpu_utilization_percent,
            memory_utilization_percent=record.memory_utilization_percent,
            sm_utilization_percent=record.sm_utilization_percent,
        )
        for record, share in zip(records, kept, strict=True)
    )
    return GpuPlacement(
        gpu_index=index,
        gpu_type=gpu_type,
        assignments=assignments,
        baseline_memory_bytes=baseline,
        resources=tuple(
            use
            for resource in Resource
            if (use := _resource_use(resource, gpu_type, records, baseline, headroom))
        ),
    )


def _resource_use(
    resource: Resource,
    gpu_type: GpuType,
    records: Sequence[ProfileRecord],
    baseline: int,
    headroom: Headroom,
) -> ResourceUse | None:
    """Return the total over models, None if one lacks the reading."""
    if any(reading(record, resource) is None for record in records):
        return None
    is_memory = resource is Resource.MEMORY
    capacity = float(gpu_type.known_memory_bytes()) if is_memory else 100.0
    used = (
        float(baseline + sum(model_memory_bytes(one, baseline) for one in records))
        if is_memory
        # Decimals as written add up as a person adds them: 23.1 + 56.2 = 79.3.
        else round(math.fsum(reading(record, resource) or 0.0 for record in records), 6)
    )
    share = headroom.share(resource)
    return ResourceUse(
        resource=resource,
        used=used,
        capacity=capacity,
        limit=None if share is None else round(share * capacity, 6),
    )
