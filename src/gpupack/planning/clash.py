"""Why no placement exists: the smallest set of models and limits that clash."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, MissingReadingError
from gpupack.packing.capacity.plan import PlanStatus
from gpupack.packing.capacity.problem import Goal
from gpupack.packing.capacity.solve import plan_capacity
from gpupack.planning.limits import Limits
from gpupack.records.gpu import Fleet, Headroom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.packing.capacity.plan import CapacityPlan
    from gpupack.planning.question import CapacityQuestion
    from gpupack.planning.supply import Supply
    from gpupack.records.profile import ProfileRecord

DIAGNOSIS_LIMIT_S = 5.0
"""Wall time for finding the smallest clashing set; what is found by then is told."""
MAX_SMALL_SET = 3
"""Sets of models up to this size are tried one by one."""


def infeasible(
    question: CapacityQuestion,
    plan: CapacityPlan | None = None,
    *,
    time_limit_s: float,
) -> InfeasibleError:
    """Return the error for a question without a placement.

    The set it names is one from which nothing can be taken away: without any one of
    the models, or of the limits, there would be a placement. Small sets of models
    are tried first; beyond ``MAX_SMALL_SET`` models the set need not be the smallest.

    Args:
        question: What cannot be answered.
        plan: What the search returned; None if it proved that there is none.
        time_limit_s: What the search was given.
    """
    if plan is not None and plan.status is PlanStatus.UNKNOWN:
        return InfeasibleError(
            f"no placement was found within {time_limit_s:g} s, and none is proved "
            "impossible. Raise time_limit_s, or the number of GPUs.",
            suggestion="raise time_limit_s",
        )
    deadline = time.perf_counter() + DIAGNOSIS_LIMIT_S
    limits = Limits.of_question(question)
    required = tuple(
        name for name in question.model_names if name not in question.wishes.optional
    )
    models = _fewest_models(question, required, limits, deadline)
    limits = _fewest_limits(question, models, limits, deadline)
    suggestion = _way_out(question, deadline)
    held = limits.names(question)
    return InfeasibleError(
        f"no placement exists: {', '.join(map(repr, models))} "
        f"{'clashes' if len(models) == 1 else 'clash'} with "
        f"{', '.join(held) or 'the GPUs to plan for'}. {suggestion}",
        model_names=models,
        resource=limits.resources[0].value if len(limits.resources) == 1 else None,
        suggestion=suggestion,
        limits=held,
    )


def _fewest_models(
    question: CapacityQuestion,
    models: tuple[str, ...],
    limits: Limits,
    deadline: float,
) -> tuple[str, ...]:
    for size in range(1, min(MAX_SMALL_SET, len(models) - 1) + 1):
        for some in combinations(models, size):
            if time.perf_counter() > deadline - DIAGNOSIS_LIMIT_S / 2:
                break
            if _is_impossible(question, some, limits):
                return some
    kept = list(models)
    for name in models:
        if time.perf_counter() > deadline:
            break
        without = tuple(one for one in kept if one != name)
        if without and _is_impossible(question, without, limits):
            kept.remove(name)
    return tuple(kept)


def _fewest_limits(
    question: CapacityQuestion,
    models: tuple[str, ...],
    limits: Limits,
    deadline: float,
) -> Limits:
    limits = limits.of(models)
    for kind in (
        "resources",
        "counted",
        "budgets",
        "demands",
        "replicas",
        "latencies",
        "retentions",
    ):
        for one in getattr(limits, kind):
            if time.perf_counter() > deadline:
                return limits
            rest = tuple(other for other in getattr(limits, kind) if other != one)
            without = replace(limits, **{kind: rest})
            if _is_impossible(question, models, without):
                limits = without
    return limits


def _is_impossible(
    question: CapacityQuestion, models: tuple[str, ...], limits: Limits
) -> bool:
    """Return whether these models under these limits are proved to fit nowhere."""
    plan = _plan(question, models, limits)
    return plan is not None and plan.status is PlanStatus.INFEASIBLE


def _plan(
    question: CapacityQuestion, models: tuple[str, ...], limits: Limits
) -> CapacityPlan | None:
    if not limits.resources:
        # Nothing binds: only a model that was profiled nowhere could not be placed.
        return None
    headroom = Headroom(
        **{one.value: question.headroom.share(one) for one in limits.resources}
    )
    wishes = replace(
        question.wishes,
        demand={
            name: demand if name in limits.demands else 0.0
            for name, demand in question.wishes.demand.items()
            if name in models
        },
        replicas={name: question.wishes.replicas[name] for name in limits.replicas},
        optional=frozenset(),
    )
    supplies = tuple(
        replace(
            supply,
            entry=supply.entry
            if supply.gpu_type.name in limits.counted
            else supply.entry.model_copy(update={"num_gpus": None}),
            records=_records(question, supply, limits),
        )
        for supply in question.supplies
    )
    asked = replace(
        question,
        headroom=headroom,
        wishes=wishes,
        supplies=supplies,
        model_names=models,
        min_retention={
            name: question.min_retention[name]
            for name in limits.retentions
            if name in models
        },
        fleet=Fleet(entries=tuple(supply.entry for supply in supplies)),
        max_gpus=question.max_gpus if limits.budgets else None,
        max_price_per_hour=question.max_price_per_hour if limits.budgets else None,
    )
    try:
        problem = asked.translated().problem
    except MissingReadingError:
        # Only of records that a latency limit keeps out.
        return None
    is_priced = question.max_price_per_hour is not None
    goal = Goal.MIN_COST if is_priced else Goal.MIN_BINS
    return plan_capacity(problem, goal, time_limit_s=1.0)


def _records(
    question: CapacityQuestion, supply: Supply, limits: Limits
) -> Mapping[str, tuple[ProfileRecord, ...]]:
    """Return what may be planned with where only these latency limits hold."""
    records = dict(supply.records)
    for name in question.wishes.latency_limit_ms:
        if name not in limits.latencies:
            of_type = tuple(
                one
                for one in question.records_in_any_time[name]
                if one.gpu_type.name == supply.measured_on.name
            )
            if of_type:
                records[name] = of_type
    return records


def _way_out(question: CapacityQuestion, deadline: float) -> str:
    """Return in words what would do: more GPUs or money, or else more headroom."""
    required = tuple(
        name for name in question.model_names if name not in question.wishes.optional
    )
    if time.perf_counter() < deadline:
        limits = replace(Limits.of_question(question), counted=(), budgets=())
        plan = _plan(question, required, limits)
        if plan is not None and plan.bins:
            parts = []
            for index, supply in enumerate(question.supplies):
                count = sum(
                    one.multiplicity for one in plan.bins if one.bin_type == index
                )
                if count:
                    parts.append(f"{count} {supply.gpu_type.name}")
            return f"{' and '.join(parts)} GPUs would do{_price(question, plan)}."
    return "Raise the headroom, lower batch sizes, or add a larger GPU type."


def _price(question: CapacityQuestion, plan: CapacityPlan) -> str:
    if question.max_price_per_hour is None:
        return ""
    entries = [supply.entry for supply in question.supplies]
    price = sum(
        (entries[one.bin_type].price_per_hour or 0.0) * one.multiplicity
        for one in plan.bins
    )
    return f" for {price:g} per hour"
