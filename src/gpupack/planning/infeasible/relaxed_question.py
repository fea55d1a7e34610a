"""A question with some of its models and some of its limits only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import MissingReadingError
from gpupack.packing import (
    Goal,
    PlanStatus,
    fits_apart,
    fits_together,
    has_plan,
    is_overloaded,
    is_ruled_out,
    plan_capacity,
)
from gpupack.planning.infeasible.limits import Limits
from gpupack.records.gpu import Fleet, Headroom, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.packing import CapacityPlan, CapacityProblem, Deadline
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.records.profile import ProfileRecord


ANY_GAP = 1e6
"""Relative: any plan will do where the question is whether there is one."""


def is_impossible(
    question: CapacityQuestion,
    models: tuple[str, ...],
    limits: Limits,
    *,
    deadline: Deadline,
) -> bool:
    """Return whether these models under these limits are proved to fit nowhere.

    Args:
        question: What was asked.
        models: Names of those that are to be placed; the others are left out.
        limits: That bind; the others are lifted.
        deadline: Once it has passed, quick counts alone prove it.
    """
    problem = relaxed_problem(question, models, limits)
    if problem is None or fits_apart(problem) or fits_together(problem):
        return False
    exists = has_plan(problem)
    if exists is not None:
        return not exists
    if deadline.has_passed:
        return is_overloaded(problem)
    is_proved = is_ruled_out(
        problem, _goal(question), time_limit_s=deadline.remaining_s
    )
    if is_proved is not None:
        return is_proved
    plan = plan_capacity(
        problem,
        _goal(question),
        time_limit_s=deadline.remaining_s,
        num_workers=question.num_workers,
        target_gap=ANY_GAP,
    )
    return plan.status is PlanStatus.INFEASIBLE


def is_plainly_impossible(
    question: CapacityQuestion, models: tuple[str, ...], limits: Limits
) -> bool:
    """Return whether a quick count proves it; False says nothing."""
    problem = relaxed_problem(question, models, limits)
    return problem is not None and is_overloaded(problem)


def plan_relaxed(
    question: CapacityQuestion,
    models: tuple[str, ...],
    limits: Limits,
    *,
    time_limit_s: float,
) -> CapacityPlan | None:
    """Return the plan with the fewest GPUs, or the cheapest, of a part of a question.

    Args:
        question: What was asked.
        models: Names of those that are to be placed; the others are left out.
        limits: That bind; the others are lifted.
        time_limit_s: Wall time of the search.

    Returns:
        None where a model has no load point left, so that there is no problem to solve.
    """
    problem = relaxed_problem(question, models, limits)
    if problem is None:
        return None
    return plan_capacity(
        problem,
        _goal(question),
        time_limit_s=time_limit_s,
        num_workers=question.num_workers,
    )


def _goal(question: CapacityQuestion) -> Goal:
    is_priced = question.max_price_per_hour is not None
    return Goal.MIN_COST if is_priced else Goal.MIN_BINS


def relaxed_problem(
    question: CapacityQuestion, models: tuple[str, ...], limits: Limits
) -> CapacityProblem | None:
    """Return the problem of these models, by name, under these limits.

    None if a record that a lifted limit lets in lacks a reading.
    """
    # Where no resource binds, one stands in for all, of which nothing is taken.
    binding = limits.resources or Limits.of_question(question).resources[:1]
    headroom = Headroom(**{one.value: question.headroom.share(one) for one in binding})
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
        # What is shared of memory matters no more than the memory itself.
        counts_shared_once=Resource.MEMORY in limits.resources,
    )
    try:
        problem = asked.translated().problem
    except MissingReadingError:
        # Only of records that a latency limit keeps out.
        return None
    if limits.resources:
        return problem
    nothing = (0,) * problem.num_dimensions
    free = (
        replace(one, fixed=nothing, proportional=nothing) for one in problem.options
    )
    return replace(problem, options=tuple(free))


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
