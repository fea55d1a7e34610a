"""Answers that choose: load points, replicas, GPU types, how traffic is shared."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.packing import (
    Goal,
    PlanStatus,
    even_out,
    most_service,
    plan_capacity,
    with_fewer_copies,
)
from gpupack.planning.infeasible import infeasible, not_found
from gpupack.planning.modeling import evening_loads
from gpupack.planning.request import PRICE_UNITS
from gpupack.planning.solving.building import Clash, FilledGpu, Found, ModelInstance
from gpupack.records.placement import ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.packing import CapacityPlan, CapacityProblem, FilledBin
    from gpupack.planning.modeling import CapacityQuestion, Translation

SHARING_SHARE = 0.7
"""Of the time, for plans that count shared memory once; the rest is for those that
count it with each, if need be."""
PROVED = 1e-6
"""Relative distance of value and bound that is none: so closely is traffic shared."""
_PROVED = {PlanStatus.OPTIMAL, PlanStatus.INFEASIBLE}


ROUNDING = 4e-6
"""By which service may exceed a demand: less than what the check allows."""
MOST_EVENED = 20_000
"""Model instances that are evened out one by one. Of more the fullest GPU is one of
very many, which the steps that evening takes would not change."""


def plan_with_choices(
    question: CapacityQuestion,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool = False,
    progress: Callable[[Found], None] | None = None,
) -> Found | Clash:
    """Return what is best, or why there is nothing.

    Args:
        question: What is asked.
        time_limit_s: Wall time of the search.
        seed: For every random choice.
        is_trial: Whether only value and bound are wanted.
        progress: Called with what is found while the search goes on: better answers,
            or the best at a tighter bound.

    Raises:
        MissingReadingError: If a reading that is needed is missing.
    """
    started = time.perf_counter()
    translation = question.translated()

    def told(plan: CapacityPlan) -> None:
        if progress is not None:
            progress(_found(question, translation, plan))

    def left_s() -> float:
        return max(0.0, time_limit_s - (time.perf_counter() - started))

    def planned(
        problem: CapacityProblem, limit_s: float, *, is_bounding: bool = True
    ) -> CapacityPlan:
        return plan_capacity(
            problem,
            question.goal,
            time_limit_s=limit_s,
            seed=seed,
            num_workers=question.num_workers,
            progress=None if progress is None or not is_bounding else told,
        )

    plan = planned(
        translation.problem,
        left_s() * (SHARING_SHARE if translation.shares_memory else 1.0),
    )
    if translation.shares_memory and plan.status not in _PROVED:
        # Who counts shared memory with each asks no rule, and finds more in time.
        alone = replace(question, counts_shared_once=False).translated()
        other = planned(alone.problem, left_s(), is_bounding=False)
        plan = _better(plan, other, translation.problem, question.goal)
    if plan.status is PlanStatus.UNKNOWN:
        return Clash(lambda: not_found(question, time_limit_s=time_limit_s))
    if plan.status is PlanStatus.INFEASIBLE:
        return Clash(lambda: infeasible(question))
    if not is_trial or translation.problem.rule is not None:
        # A trial is judged by its value; or by what its copies keep, of which those
        # that a rule let share a GPU keep as much without one of them.
        plan = with_fewer_copies(
            translation.problem,
            question.goal,
            plan,
            time_limit_s=left_s(),
            seed=seed,
            num_workers=question.num_workers,
        )
    return _found(question, translation, plan)


def _found(
    question: CapacityQuestion, translation: Translation, plan: CapacityPlan
) -> Found:
    """Return a plan as filled GPUs, with what it is worth and what was proved."""
    gpus = _filled(translation, plan, question.wishes.demand)
    value, bound, unit = _value(question, translation, plan)
    return Found(
        gpus=gpus,
        value=value,
        bound=bound,
        unit=unit,
        status=PlacementStatus.OPTIMAL
        if plan.status is PlanStatus.OPTIMAL
        else PlacementStatus.FEASIBLE,
        method=plan.method,
        found_by=plan.found_by,
        proved_by=plan.proved_by,
        warnings=(*plan.warnings, *_warnings(question, gpus)),
    )


def _better(
    plan: CapacityPlan, other: CapacityPlan, problem: CapacityProblem, goal: Goal
) -> CapacityPlan:
    """Return the better of two plans with the bound of the first.

    Args:
        plan: Of the problem.
        other: Of one that allows less.
        problem: The first one's.
        goal: Of both.
    """
    if not other.is_found:
        return plan
    if plan.is_found:
        is_better = (
            other.value < plan.value if goal.is_in_full else other.value > plan.value
        )
        if not is_better:
            return plan
        bound, proved_by = plan.bound, plan.proved_by
    elif goal.is_in_full:
        bound, proved_by = 0.0, "nothing"
    else:
        bound = 1.0 if goal is Goal.MAX_MIN_SHARE else most_service(problem)
        proved_by = "everything being served"
    is_proved = abs(bound - other.value) <= PROVED * abs(other.value)
    return replace(
        other,
        bound=bound,
        status=PlanStatus.OPTIMAL if is_proved else PlanStatus.FEASIBLE,
        proved_by=proved_by,
    )


def _warnings(question: CapacityQuestion, gpus: Sequence[FilledGpu]) -> tuple[str, ...]:
    """Return what the promises rest on, and which optional models are left out."""
    warnings: tuple[str, ...] = ()
    if question.min_retention:
        warnings = tuple(
            dict.fromkeys(text for one in question.contentions for text in one.warnings)
        )
    placed = {one.record.model_name for gpu in gpus for one in gpu.instances}
    left_out = sorted(set(question.model_names) - placed)
    if left_out:
        warnings += (f"optional models left out: {', '.join(left_out)}",)
    return warnings


def _value(
    question: CapacityQuestion,
    translation: Translation,
    plan: CapacityPlan,
) -> tuple[float, float, ObjectiveUnit]:
    """Return value, bound and what they count."""
    if question.goal is Goal.MIN_BINS:
        return plan.num_bins, plan.bound, ObjectiveUnit.GPUS
    if question.goal is Goal.MIN_COST:
        return (
            plan.value / PRICE_UNITS,
            plan.bound / PRICE_UNITS,
            ObjectiveUnit.PRICE_PER_HOUR,
        )
    if question.goal is Goal.MAX_MIN_SHARE:
        return plan.value, plan.bound, ObjectiveUnit.SERVED_SHARE
    return (
        translation.weighted_infer_per_sec(plan.value),
        translation.weighted_infer_per_sec(plan.bound),
        ObjectiveUnit.INFER_PER_SEC,
    )


_Filling = tuple[tuple[int, float], ...]
"""Option and service of each instance on a GPU, by model name."""


def _filled(
    translation: Translation, plan: CapacityPlan, demands: Mapping[str, float]
) -> tuple[FilledGpu, ...]:
    """Return what GPUs hold, by GPU type and then by model name."""
    shares = _shares_of_units(translation, plan, demands)
    filled: list[FilledGpu] = []
    for bin_type in range(len(translation.supplies)):
        bins = [one for one in plan.bins if one.bin_type == bin_type]
        fillings = sorted(
            _fillings(translation, bin_type, bins).items(),
            key=lambda one: (
                [
                    (translation.records[option].model_name, option)
                    for option, _ in one[0]
                ],
                [-service for _, service in one[0]],
            ),
        )
        filled += [
            FilledGpu(
                bin_type,
                tuple(
                    ModelInstance(
                        translation.records[option],
                        _served(translation, option, service, shares),
                    )
                    for option, service in filling
                ),
                num_gpus,
            )
            for filling, num_gpus in fillings
        ]
    return tuple(filled)


def _shares_of_units(
    translation: Translation, plan: CapacityPlan, demands: Mapping[str, float]
) -> dict[int, float]:
    """Return, by job, the share of the service planned that is the whole demand.

    Of those whose demand is less than the units count that it is planned in.
    """
    problem = translation.problem
    totals: dict[int, float] = {}
    for one in plan.bins:
        for group in one.copies:
            job = problem.options[group.option].job
            if not problem.jobs[job].is_whole:
                each = group.service / group.num_copies
                total = group.num_copies * translation.infer_per_sec(group.option, each)
                totals[job] = totals.get(job, 0.0) + total * one.multiplicity
    return {
        job: demand / total
        for job, total in totals.items()
        if total > (demand := demands[translation.model_names[job]]) * (1 + ROUNDING)
    }


def _served(
    translation: Translation, option: int, service: float, shares: Mapping[int, float]
) -> float | None:
    job = translation.problem.jobs[translation.problem.options[option].job]
    # Nine digits: many replicas of little traffic must still sum up to the demand.
    if job.is_whole:
        return None
    share = shares.get(translation.problem.options[option].job, 1.0)
    return float(f"{share * translation.infer_per_sec(option, service):.9g}")


def _fillings(
    translation: Translation, bin_type: int, bins: Sequence[FilledBin]
) -> dict[_Filling, int]:
    """Return what GPUs of a type hold, and how many hold each."""
    problem = translation.problem
    is_whole = all(
        problem.jobs[problem.options[group.option].job].is_whole
        for one in bins
        for group in one.copies
    )
    num_instances = sum(
        group.num_copies * one.multiplicity for one in bins for group in one.copies
    )
    if is_whole and bins and num_instances <= MOST_EVENED:
        fillings = _evened(translation, bin_type, bins)
    else:
        fillings = {}
        for one in bins:
            filling = tuple(
                (group.option, group.service / group.num_copies)
                for group in one.copies
                for _ in range(group.num_copies)
            )
            fillings[filling] = fillings.get(filling, 0) + one.multiplicity
    by_name: dict[_Filling, int] = {}
    for filling, num_gpus in fillings.items():
        in_order = tuple(
            sorted(
                filling,
                key=lambda one: (
                    translation.records[one[0]].model_name,
                    translation.records[one[0]].load_point.sort_key,
                    -one[1],
                ),
            )
        )
        by_name[in_order] = by_name.get(in_order, 0) + num_gpus
    return by_name


def _evened(
    translation: Translation, bin_type: int, bins: Sequence[FilledBin]
) -> dict[_Filling, int]:
    """Return what GPUs hold, evened out, unless less is then kept than was asked."""
    problem = translation.problem
    instances = sorted(
        (
            (group.option, group.service / group.num_copies, number)
            for number, one in enumerate(
                one for one in bins for _ in range(one.multiplicity)
            )
            for group in one.copies
            for _ in range(group.num_copies)
        ),
        key=lambda one: (translation.records[one[0]].model_name, one),
    )
    positions: list[list[int]] = [[] for _ in range(sum(b.multiplicity for b in bins))]
    for position, (_, _, number) in enumerate(instances):
        positions[number].append(position)
    records = [translation.records[option] for option, _, _ in instances]
    server = translation.supplies[bin_type].server
    evened = even_out(
        positions,
        [problem.options[option].fixed for option, _, _ in instances],
        problem.bin_types[bin_type].capacity,
        evening_loads(records, server),
    )
    if all(
        problem.is_allowed(
            bin_type, tuple(sorted(Counter(instances[one][0] for one in here).items()))
        )
        for here in evened
    ):
        positions = evened  # or else evener, but less kept than was asked
    return Counter(
        tuple(instances[position][:2] for position in here) for here in positions
    )
