"""Placements without a choice: one record per model, GPUs of one type."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError
from gpupack.packing import (
    ALONE,
    Deadline,
    ItemType,
    PackingProblem,
    SolveStatus,
    even_out,
    lower_bound,
    maximize_value,
    solve,
    solve_allowed,
)
from gpupack.placement import Placement
from gpupack.planning.contention import (
    RetentionRule,
    has_readings,
    resolve_contention,
    sharing_alternatives,
)
from gpupack.planning.infeasible import infeasible, shortage
from gpupack.planning.modeling import (
    capacity_for,
    evening_loads,
    item_size,
    require_each_fits_alone,
    require_readings,
)
from gpupack.planning.solving.check import check_placement
from gpupack.planning.solving.gpu_placement import ModelInstance, gpu_placement
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.packing import BestPartition, Bin, PackingResult
    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import ProfileRecord

_OTHERWISE_LIMIT_S = 1.0
"""For counting the GPUs that another way of sharing would take."""


def place_on_one_type(
    question: CapacityQuestion,
    records: Sequence[ProfileRecord],
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool = False,
) -> Placement:
    """Return the placement of every record, once, on the fewest GPUs.

    Or, where the question wants the most predicted throughput, on those there are.

    Args:
        question: Of one GPU type; the fewest GPUs are also the cheapest.
        records: One of each model, sorted by name.
        time_limit_s: Wall time of the search.
        seed: For every random choice.
        is_trial: Whether only value and bound are wanted: no other ways of sharing are
            compared then, and no error says what clashes.

    Raises:
        MissingReadingError: If a binding resource was not measured.
        InfeasibleError: If a model fits on no GPU, or the supply is too small.
        NotFoundInTimeError: If none was found in time, and none is proved impossible.
    """
    started = time.perf_counter()
    deadline = Deadline.after(time_limit_s)
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
        if is_trial:
            raise InfeasibleError("no placement exists")
        raise infeasible(question, would_do=would_do)
    found = None
    is_proved_impossible = False
    if maximize_predicted and rule is not None and available is not None:
        best = maximize_value(
            problem,
            rule.is_allowed,
            rule.throughput,
            max_bins=available,
            time_limit_s=deadline.remaining_s,
            seed=seed,
            num_workers=question.num_workers,
        )
        found = _most_throughput(best)
        is_proved_impossible = found is None and best.status is SolveStatus.OPTIMAL
    if found is None:
        result = (
            solve(
                problem,
                time_limit_s=deadline.remaining_s,
                seed=seed,
                num_workers=question.num_workers,
            )
            if rule is None
            else solve_allowed(
                problem,
                rule.is_allowed,
                time_limit_s=deadline.remaining_s,
                seed=seed,
                num_workers=question.num_workers,
            )
        )
        if available is not None and result.num_bins > available:
            if is_proved_impossible:
                result = replace(result, bound=max(result.bound, available + 1))
            if is_trial and result.bound > available:
                raise InfeasibleError("no placement exists")
            raise shortage(
                question,
                records,
                problem,
                rule.is_allowed if rule is not None and min_retention else None,
                result,
                time_limit_s=time_limit_s,
            )
        if maximize_predicted and rule is not None:
            # Found late, by looking for the fewest GPUs.
            found = _valued(problem, rule, result)
    if found is None:
        bins = even_out(
            _expand(result.bins), sizes, capacity, evening_loads(records, baseline)
        )
        if rule is not None and not all(
            rule.is_allowed(tuple((item, 1) for item in one_bin)) for one_bin in bins
        ):
            bins = _expand(result.bins)  # evener, but with less kept than was asked
        price = (
            supply.entry.price_per_hour or 0.0
            if objective is Objective.MIN_COST
            else 1.0
        )
        found = _Found(
            bins=bins,
            value=len(bins) * price,
            bound=result.bound * price,
            gap=(len(bins) - result.bound) / len(bins),
            status=_status(result),
            method=result.method,
            found_by=result.found_by,
            proved_by=result.proved_by,
            warnings=result.warnings,
        )
    placed = [[records[item] for item in one_bin] for one_bin in found.bins]
    is_predicted = not supply.is_carried_over and all(
        has_readings(record) for record in records
    )
    placement = Placement(
        objective=objective,
        objective_unit=_unit(objective, maximize_predicted),
        status=found.status,
        num_gpus=len(placed),
        objective_value=found.value,
        bound=found.bound,
        gap=found.gap,
        method=found.method,
        found_by=found.found_by,
        proved_by=found.proved_by,
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
            _gpus_otherwise(problem, records, min_retention, deadline, seed),
        )
        if is_predicted and not is_trial
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
        warnings=question.warnings + contention.warnings + found.warnings,
        profiles=question.profiles.select(
            [record.model_name for record in records],
            gpu_type=supply.measured_on.name,
        ).records,
    )
    check_placement(placement, question)
    return placement


@dataclass(frozen=True, slots=True)
class _Found:
    """Records by index on each GPU, and what was proved of them."""

    bins: list[list[int]]
    value: float
    bound: float
    gap: float
    status: PlacementStatus
    method: str
    found_by: str
    proved_by: str
    warnings: tuple[str, ...] = ()


def _most_throughput(best: BestPartition) -> _Found | None:
    """Return the most predicted throughput, None where no GPUs for it were found."""
    if best.bins is None:
        return None
    return _Found(
        bins=_expand(best.bins),
        value=best.value,
        bound=best.bound,
        gap=(best.bound - best.value) / best.value if best.value else 0.0,
        status=_status(best),
        method=best.method,
        found_by=best.method,
        proved_by=best.proved_by,
    )


def _valued(
    problem: PackingProblem, rule: RetentionRule, packed: PackingResult
) -> _Found:
    """Return a packing at its predicted throughput, and at most that of all alone."""
    bins = packed.bins
    value = math.fsum(rule.throughput(one.counts) * one.multiplicity for one in bins)
    alone = math.fsum(
        rule.throughput(((item, 1),)) for item in range(problem.num_types)
    )
    return _Found(
        bins=_expand(bins),
        value=value,
        bound=max(value, alone),
        gap=max(0.0, alone - value) / value if value else 0.0,
        status=PlacementStatus.FEASIBLE,
        method=packed.method,
        found_by=packed.found_by,
        proved_by=ALONE,
        warnings=packed.warnings,
    )


def _gpus_otherwise(
    problem: PackingProblem,
    records: Sequence[ProfileRecord],
    min_retention: Mapping[str, float],
    deadline: Deadline,
    seed: int,
) -> Callable[[Contention], int | None]:
    """Return what counts the GPUs that another way of sharing would take.

    In what time is left; None where nothing was asked to be kept, or none is left.
    """

    def count(contention: Contention) -> int | None:
        limit_s = min(_OTHERWISE_LIMIT_S, deadline.remaining_s)
        if not min_retention or limit_s == 0:
            return None
        rule = RetentionRule(records, contention, min_retention)
        return solve_allowed(
            problem, rule.is_allowed, time_limit_s=limit_s, seed=seed
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


def _expand(bins: Sequence[Bin]) -> list[list[int]]:
    """Return item indices per bin; every item type here has one copy."""
    return [
        [item for item, count in one_bin.counts for _ in range(count)]
        for one_bin in bins
        for _ in range(one_bin.multiplicity)
    ]


def _status(result: PackingResult | BestPartition) -> PlacementStatus:
    if result.status is SolveStatus.OPTIMAL:
        return PlacementStatus.OPTIMAL
    return PlacementStatus.FEASIBLE
