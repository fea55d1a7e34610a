"""Placements without a choice: one record per model, GPUs of one type."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.packing.allowed_sets import ALL_SETS, maximize_value, solve_allowed
from gpupack.packing.bounds import lower_bound
from gpupack.packing.problem import ItemType, PackingProblem
from gpupack.packing.solution import SolveStatus
from gpupack.packing.solve import solve
from gpupack.packing.tie_break import even_out
from gpupack.placement import Placement
from gpupack.planning.check import check_placement
from gpupack.planning.clash import infeasible
from gpupack.planning.contention import has_readings
from gpupack.planning.diagnosis import require_each_fits_alone
from gpupack.planning.gpu_placement import ModelInstance, gpu_placement
from gpupack.planning.retention import RetentionRule, resolve_contention
from gpupack.planning.sharing import sharing_alternatives
from gpupack.planning.shortage import shortage
from gpupack.planning.sizes import (
    capacity_for,
    evening_loads,
    item_size,
    require_readings,
)
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.packing.allowed_sets import BestPartition
    from gpupack.packing.solution import Bin, PackingResult
    from gpupack.planning.question import CapacityQuestion
    from gpupack.planning.retention import Contention
    from gpupack.records.profile import ProfileRecord

_OTHERWISE_LIMIT_S = 1.0
"""For counting the GPUs that another way of sharing would take."""


def place_on_one_type(
    question: CapacityQuestion,
    records: Sequence[ProfileRecord],
    *,
    time_limit_s: float,
    seed: int,
) -> Placement:
    """Return the placement of every record, once, on the fewest GPUs.

    Or, where the question wants the most predicted throughput, on those there are.

    Args:
        question: Of one GPU type; the fewest GPUs are also the cheapest.
        records: One of each model, sorted by name.
        time_limit_s: Wall time of the search.
        seed: For every random choice.

    Raises:
        MissingReadingError: If a binding resource was not measured.
        InfeasibleError: If a model fits on no GPU, or the supply is too small.
        NotFoundInTimeError: If none was found in time, and none is proved impossible.
    """
    started = time.perf_counter()
    (supply,) = question.supplies
    headroom, objective = question.headroom, question.objective
    min_retention = question.min_retention
    maximize_predicted = question.maximizes_predicted
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
        capacity_for(
            (size[dimension] for size in sizes), gpu_type, headroom, resource, baseline
        )
        for dimension, resource in enumerate(binding)
    )
    contention = resolve_contention(
        question.profiles, supply.measured_on, question.sharing
    )
    rule = (
        RetentionRule(records, contention, min_retention, question.wishes.weights)
        if min_retention or maximize_predicted
        else None
    )
    problem = PackingProblem(
        capacity=_at_least_one(capacity),
        item_types=tuple(ItemType(sizes=size) for size in sizes),
    )
    if available is not None and lower_bound(problem) > available:
        # Heuristics alone: how many would do need not be proved to be the fewest.
        would_do = solve(problem, time_limit_s=0).num_bins if rule is None else None
        raise infeasible(question, would_do=would_do)
    best = None
    if maximize_predicted and rule is not None and available is not None:
        best = _most_throughput(problem, rule, available, time_limit_s, seed)
    result = (
        solve(problem, time_limit_s=time_limit_s, seed=seed)
        if rule is None
        else solve_allowed(
            problem, rule.is_allowed, time_limit_s=time_limit_s, seed=seed
        )
    )
    if available is not None and result.num_bins > available:
        raise shortage(
            question,
            records,
            problem,
            None if rule is None else rule.is_allowed,
            result,
            time_limit_s=time_limit_s,
        )
    bins = (
        even_out(_expand(result), sizes, capacity, evening_loads(records, baseline))
        if best is None
        else _expand_bins(best.bins or ())
    )
    if (
        best is None
        and rule is not None
        and not all(
            rule.is_allowed(tuple((item, 1) for item in one_bin)) for one_bin in bins
        )
    ):
        bins = _expand(result)  # evener, but with less kept than was asked
    placed = [[records[item] for item in one_bin] for one_bin in bins]
    is_predicted = not supply.is_carried_over and all(
        has_readings(record) for record in records
    )
    price = (
        supply.entry.price_per_hour or 0.0 if objective is Objective.MIN_COST else 1.0
    )
    placement = Placement(
        objective=objective,
        objective_unit=_unit(objective, maximize_predicted),
        status=_status(result if best is None else best),
        num_gpus=len(bins),
        objective_value=len(bins) * price if best is None else best.value,
        bound=result.bound * price if best is None else best.bound,
        gap=(len(bins) - result.bound) / len(bins)
        if best is None
        else (best.bound - best.value) / best.value,
        method=result.method if best is None else "listed sets",
        found_by=result.found_by if best is None else ALL_SETS,
        proved_by=result.proved_by if best is None else ALL_SETS,
        seconds=time.perf_counter() - started,
        seed=seed,
        headroom=headroom,
        fleet=question.fleet,
        sharing_mode=contention.sharing_mode,
        contention_factor=contention.factor if is_predicted else None,
        num_calibration_sets=contention.num_sets if is_predicted else 0,
        min_retention=dict(min_retention),
        sharing_alternatives=sharing_alternatives(
            question.profiles,
            supply.measured_on,
            placed,
            contention,
            _gpus_otherwise(problem, records, min_retention, seed),
        )
        if is_predicted
        else (),
        gpus=tuple(
            gpu_placement(
                index,
                gpu_type,
                [
                    ModelInstance(record, is_carried_over=supply.is_carried_over)
                    for record in here
                ],
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


def _most_throughput(
    problem: PackingProblem,
    rule: RetentionRule,
    available: int,
    time_limit_s: float,
    seed: int,
) -> BestPartition | None:
    """Return the most predicted throughput, None if no GPUs hold the models.

    Raises:
        InvalidInputError: If there are too many ways to share a GPU to compare them.
    """
    best = maximize_value(
        problem,
        rule.is_allowed,
        rule.throughput,
        max_bins=available,
        time_limit_s=max(time_limit_s, 0.1),
        seed=seed,
    )
    if best is None or (best.bins is None and best.status is not SolveStatus.OPTIMAL):
        raise InvalidInputError(
            "contention='predicted' compares every set of models that fits a GPU, and "
            f"there are too many for {time_limit_s:g} s; give more time, fewer models, "
            "or min_retention=, which rules most of them out"
        )
    return best if best.bins is not None else None


def _gpus_otherwise(
    problem: PackingProblem,
    records: Sequence[ProfileRecord],
    min_retention: Mapping[str, float],
    seed: int,
) -> Callable[[Contention], int | None]:
    """Return what counts the GPUs that another way of sharing would take."""

    def count(contention: Contention) -> int | None:
        if not min_retention:
            return None
        rule = RetentionRule(records, contention, min_retention)
        return solve_allowed(
            problem, rule.is_allowed, time_limit_s=_OTHERWISE_LIMIT_S, seed=seed
        ).num_bins

    return count


def _unit(objective: Objective, maximize_predicted: bool) -> ObjectiveUnit:
    if maximize_predicted:
        return ObjectiveUnit.INFER_PER_SEC
    if objective is Objective.MIN_COST:
        return ObjectiveUnit.PRICE_PER_HOUR
    return ObjectiveUnit.GPUS


def _at_least_one(capacity: tuple[int, ...]) -> tuple[int, ...]:
    """Let a resource of which nothing is left bind no model that needs none of it."""
    return tuple(max(1, most) for most in capacity)


def _expand(result: PackingResult) -> list[list[int]]:
    """Return item indices per bin; every item type here has one copy."""
    return _expand_bins(result.bins)


def _expand_bins(bins: Sequence[Bin]) -> list[list[int]]:
    return [
        [item for item, count in one_bin.counts for _ in range(count)]
        for one_bin in bins
        for _ in range(one_bin.multiplicity)
    ]


def _status(result: PackingResult | BestPartition) -> PlacementStatus:
    if result.status is SolveStatus.OPTIMAL:
        return PlacementStatus.OPTIMAL
    return PlacementStatus.FEASIBLE
