"""Answers without a choice: one record per model, GPUs of one type."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

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
from gpupack.planning.contention import RetentionRule
from gpupack.planning.modeling import (
    capacity_for,
    evening_loads,
    packed_sizes,
    too_large_alone,
)
from gpupack.planning.solving.building import Clash, FilledGpu, Found, ModelInstance
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.errors import InfeasibleError
    from gpupack.packing import BestPartition, Bin, PackingResult
    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion, ServerNeeds
    from gpupack.records.profile import ProfileRecord

    SetRule = Callable[[tuple[tuple[int, int], ...]], bool]

MAX_SHARING_SETS = 5_000
"""Sets of models that share memory are listed up to so many: beyond, planning by prices
finds and proves more in the time."""
_OTHERWISE_LIMIT_S = 1.0
"""For counting the GPUs that another way of sharing would take."""


def pack_one_type(
    question: CapacityQuestion,
    records: Sequence[ProfileRecord],
    *,
    time_limit_s: float,
    seed: int,
    progress: Callable[[Found], None] | None = None,
) -> Found | Clash:
    """Return every record, once, on the fewest GPUs; or why that cannot be.

    Or, where the question wants the most predicted throughput, on those there are.

    Args:
        question: Of one GPU type; the fewest GPUs are also the cheapest.
        records: One of each model, sorted by name, with every binding resource.
        time_limit_s: Wall time of the search.
        seed: For every random choice.
        progress: Called with what is found while the search goes on: better answers,
            or the best at a tighter bound.
    """
    deadline = Deadline.after(time_limit_s)
    (supply,), (contention,) = question.supplies, question.contentions
    headroom, server = question.headroom, supply.server
    gpu_type, available = supply.entry.gpu_type, supply.entry.num_gpus
    shares = dict(headroom)
    sizes, room = packed_sizes(records, headroom, gpu_type, server)
    capacity = tuple(
        [
            capacity_for(column, gpu_type, headroom, resource, server)
            for resource, column in zip(shares, zip(*sizes, strict=True), strict=True)
        ]
    )
    if any(
        # Where the server leaves nothing, models that take nothing do not fit either.
        most < 1 or most < max(column)
        for most, column in zip(capacity, zip(*sizes, strict=True), strict=True)
    ):
        error = too_large_alone(records, gpu_type, headroom, server)
        if error is not None:
            return Clash(lambda: error)
    problem = PackingProblem(
        # A resource of which nothing is left binds no model that needs none of it.
        capacity=tuple([max(1, most) for most in capacity]),
        item_types=tuple([ItemType(sizes=size) for size in sizes]),
    )
    rule = (
        RetentionRule(
            records, contention, question.min_retention, question.wishes.weights
        )
        if question.min_retention or question.maximizes_predicted
        else None
    )
    fits = None if room is None else room.holds
    is_allowed = _both(fits, None if rule is None else rule.is_allowed)
    if available is not None and lower_bound(problem) > available:
        return Clash(lambda: _too_few(question, problem, is_allowed))
    found = None
    is_proved_impossible = False
    if question.maximizes_predicted and rule is not None and available is not None:
        best = maximize_value(
            problem,
            is_allowed or rule.is_allowed,
            rule.throughput,
            max_bins=available,
            time_limit_s=deadline.remaining_s,
            seed=seed,
            num_workers=question.num_workers,
        )
        found = _most_throughput(best, records)
        is_proved_impossible = found is None and best.status is SolveStatus.OPTIMAL
    if found is None:

        def told(packed: PackingResult) -> None:
            if progress is None or (
                available is not None and packed.num_bins > available
            ):
                return
            bins = _expand(packed.bins)
            progress(_counted(question, packed, bins, records))

        packed = _pack(
            question,
            problem,
            is_allowed,
            deadline,
            seed,
            told,
            max_sets=None if room is None else MAX_SHARING_SETS,
        )
        if available is not None and packed.num_bins > available:
            if packed.is_interrupted:
                raise KeyboardInterrupt  # there is nothing to hand back
            if is_proved_impossible:
                packed = replace(packed, bound=max(packed.bound, available + 1))
            # Needs all of planning by capacity, which no other packing does.
            from gpupack.planning.infeasible import shortage

            return Clash(
                lambda: shortage(
                    question,
                    records,
                    problem,
                    is_allowed if question.min_retention and room is None else None,
                    packed,
                    time_limit_s=time_limit_s,
                )
            )
        if question.maximizes_predicted and rule is not None:
            # Found late, by looking for the fewest GPUs.
            found = _valued(problem, rule, packed, records)
        else:
            bins = _evened(packed, is_allowed, sizes, capacity, records, server)
            found = _counted(question, packed, bins, records)
    return replace(
        found,
        warnings=contention.warnings + found.warnings,
        count_gpus=_gpus_otherwise(
            problem, records, question.min_retention, fits, deadline, seed
        ),
    )


def _both(first: SetRule | None, second: SetRule | None) -> SetRule | None:
    """Return what both rules allow, the first asked first; None without any."""
    if first is None or second is None:
        return first or second
    return lambda counts: first(counts) and second(counts)


def _pack(
    question: CapacityQuestion,
    problem: PackingProblem,
    is_allowed: SetRule | None,
    deadline: Deadline,
    seed: int,
    told: Callable[[PackingResult], None],
    *,
    max_sets: int | None,
) -> PackingResult:
    """Return a packing into few bins, of sets that the rule allows."""
    if is_allowed is None:
        return solve(
            problem,
            time_limit_s=deadline.remaining_s,
            seed=seed,
            num_workers=question.num_workers,
            progress=told,
        )
    return solve_allowed(
        problem,
        is_allowed,
        time_limit_s=deadline.remaining_s,
        seed=seed,
        num_workers=question.num_workers,
        max_sets=max_sets,
    )


def _too_few(
    question: CapacityQuestion, problem: PackingProblem, is_allowed: SetRule | None
) -> InfeasibleError:
    """Return the error for more models than the GPUs there are hold by sums alone."""
    from gpupack.planning.infeasible import infeasible

    # Heuristics alone: how many would do need not be proved to be the fewest.
    would_do = None if is_allowed else solve(problem, time_limit_s=0).num_bins
    return infeasible(question, would_do=would_do)


def _evened(
    packed: PackingResult,
    is_allowed: SetRule | None,
    sizes: Sequence[tuple[int, ...]],
    capacity: Sequence[int],
    records: Sequence[ProfileRecord],
    server: ServerNeeds,
) -> list[list[int]]:
    """Return the bins with what is used evened out, unless the rule forbids those."""
    bins = _expand(packed.bins)
    evened = even_out(bins, sizes, capacity, evening_loads(records, server))
    if is_allowed is not None and not all(
        is_allowed(tuple((item, 1) for item in one_bin)) for one_bin in evened
    ):
        return bins
    return evened


def _counted(
    question: CapacityQuestion,
    packed: PackingResult,
    bins: Sequence[Sequence[int]],
    records: Sequence[ProfileRecord],
) -> Found:
    """Return a packing at the number of its GPUs, or at their price."""
    is_priced = question.objective is Objective.MIN_COST
    price = question.supplies[0].entry.price_per_hour or 0.0 if is_priced else 1.0
    return Found(
        gpus=_filled(bins, records),
        value=len(bins) * price,
        bound=packed.bound * price,
        unit=ObjectiveUnit.PRICE_PER_HOUR if is_priced else ObjectiveUnit.GPUS,
        status=_status(packed.status),
        method=packed.method,
        found_by=packed.found_by,
        proved_by=packed.proved_by,
        warnings=packed.warnings,
    )


def _most_throughput(
    best: BestPartition, records: Sequence[ProfileRecord]
) -> Found | None:
    """Return the most predicted throughput, None where no GPUs for it were found."""
    if best.bins is None:
        return None
    return Found(
        gpus=_filled(_expand(best.bins), records),
        value=best.value,
        bound=best.bound,
        unit=ObjectiveUnit.INFER_PER_SEC,
        status=_status(best.status),
        method=best.method,
        found_by=best.method,
        proved_by=best.proved_by,
    )


def _valued(
    problem: PackingProblem,
    rule: RetentionRule,
    packed: PackingResult,
    records: Sequence[ProfileRecord],
) -> Found:
    """Return a packing at its predicted throughput, and at most that of all alone."""
    bins = packed.bins
    value = math.fsum(rule.throughput(one.counts) * one.multiplicity for one in bins)
    alone = math.fsum(
        rule.throughput(((item, 1),)) for item in range(problem.num_types)
    )
    return Found(
        gpus=_filled(_expand(bins), records),
        value=value,
        bound=max(value, alone),
        unit=ObjectiveUnit.INFER_PER_SEC,
        status=PlacementStatus.FEASIBLE,
        method=packed.method,
        found_by=packed.found_by,
        proved_by=ALONE,
        warnings=packed.warnings,
    )


def _filled(
    bins: Sequence[Sequence[int]], records: Sequence[ProfileRecord]
) -> tuple[FilledGpu, ...]:
    return tuple(
        [
            FilledGpu(0, tuple([ModelInstance(records[item]) for item in one_bin]))
            for one_bin in bins
        ]
    )


def _gpus_otherwise(
    problem: PackingProblem,
    records: Sequence[ProfileRecord],
    min_retention: Mapping[str, float],
    fits: SetRule | None,
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
        is_allowed = _both(fits, rule.is_allowed) or rule.is_allowed
        return solve_allowed(
            problem, is_allowed, time_limit_s=limit_s, seed=seed
        ).num_bins

    return count


def _expand(bins: Sequence[Bin]) -> list[list[int]]:
    """Return item indices per bin; every item type here has one copy."""
    return [
        [item for item, count in one_bin.counts for _ in range(count)]
        for one_bin in bins
        for _ in range(one_bin.multiplicity)
    ]


def _status(status: SolveStatus) -> PlacementStatus:
    if status is SolveStatus.OPTIMAL:
        return PlacementStatus.OPTIMAL
    return PlacementStatus.FEASIBLE
