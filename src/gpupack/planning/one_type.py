"""Placements without a choice: one record per model, GPUs of one type."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpupack.packing.allowed_sets import solve_allowed
from gpupack.packing.problem import ItemType, PackingProblem
from gpupack.packing.solution import SolveStatus
from gpupack.packing.solve import solve
from gpupack.packing.tie_break import even_out
from gpupack.placement import Placement
from gpupack.planning.check import check_placement
from gpupack.planning.contention import has_readings
from gpupack.planning.diagnosis import require_each_fits_alone, too_few_gpus
from gpupack.planning.gpu_placement import ModelInstance, gpu_placement
from gpupack.planning.retention import RetentionRule, resolve_contention
from gpupack.planning.sharing import sharing_alternatives
from gpupack.planning.sizes import (
    evening_loads,
    item_size,
    limit_of,
    require_readings,
)
from gpupack.records.gpu import Resource
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.packing.solution import PackingResult
    from gpupack.planning.question import CapacityQuestion
    from gpupack.records.profile import ProfileRecord


def place_on_one_type(
    question: CapacityQuestion,
    records: Sequence[ProfileRecord],
    *,
    min_retention: Mapping[str, float],
    time_limit_s: float,
    seed: int,
) -> Placement:
    """Return the placement of every record, once, on the fewest GPUs.

    Args:
        question: Of one GPU type; the fewest GPUs are also the cheapest.
        records: One of each model, sorted by name.
        min_retention: What models shall keep, by name.
        time_limit_s: Wall time of the search.
        seed: For every random choice.

    Raises:
        MissingReadingError: If a binding resource was not measured.
        InfeasibleError: If a model fits on no GPU, or the supply is too small.
    """
    started = time.perf_counter()
    (supply,) = question.supplies
    headroom, objective = question.headroom, question.objective
    gpu_type, available = supply.gpu_type, supply.entry.num_gpus
    baseline = supply.baseline_bytes
    binding = [resource for resource, _ in headroom]
    require_readings(records, binding)
    require_each_fits_alone(records, gpu_type, headroom, baseline)
    sizes = [
        tuple(item_size(record, resource, baseline) for resource in binding)
        for record in records
    ]
    capacity = tuple(
        limit_of(gpu_type, headroom, resource)
        - (baseline if resource is Resource.MEMORY else 0)
        for resource in binding
    )
    contention = resolve_contention(
        question.profiles, supply.measured_on, question.sharing
    )
    rule = RetentionRule(records, contention, min_retention) if min_retention else None
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
    bins = even_out(_expand(result), sizes, capacity, evening_loads(records, baseline))
    if rule is not None and not all(
        rule.is_allowed(tuple((item, 1) for item in one_bin)) for one_bin in bins
    ):
        bins = _expand(result)  # evener, but with less kept than was asked
    placed = [[records[item] for item in one_bin] for one_bin in bins]
    is_predicted = all(has_readings(record) for record in records)
    price = (
        supply.entry.price_per_hour or 0.0 if objective is Objective.MIN_COST else 1.0
    )
    placement = Placement(
        objective=objective,
        objective_unit=ObjectiveUnit.PRICE_PER_HOUR
        if objective is Objective.MIN_COST
        else ObjectiveUnit.GPUS,
        status=_status(result),
        num_gpus=len(bins),
        objective_value=len(bins) * price,
        bound=result.bound * price,
        gap=(len(bins) - result.bound) / len(bins),
        method=result.method,
        seconds=time.perf_counter() - started,
        seed=seed,
        headroom=headroom,
        fleet=question.fleet,
        sharing_mode=contention.sharing_mode,
        contention_factor=contention.factor if is_predicted else None,
        num_calibration_sets=contention.num_sets if is_predicted else 0,
        min_retention=dict(min_retention),
        sharing_alternatives=sharing_alternatives(
            question.profiles, supply.measured_on, placed, contention
        )
        if is_predicted
        else (),
        gpus=tuple(
            gpu_placement(
                index,
                gpu_type,
                [ModelInstance(record) for record in here],
                baseline_bytes=baseline,
                headroom=headroom,
                contention=contention,
            )
            for index, here in enumerate(placed)
        ),
        warnings=question.warnings + contention.warnings,
        profiles=question.profiles.select(
            [record.model_name for record in records],
            gpu_type=supply.measured_on.name,
        ).records,
    )
    check_placement(placement, records, baseline)
    return placement


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


def _status(result: PackingResult) -> PlacementStatus:
    if result.status is SolveStatus.OPTIMAL:
        return PlacementStatus.OPTIMAL
    return PlacementStatus.FEASIBLE
