"""Placements that choose: load points, replicas, GPU types, how traffic is shared."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError
from gpupack.packing import Goal, PlanStatus, even_out, plan_capacity, with_fewer_copies
from gpupack.placement import Placement
from gpupack.planning.contention import (
    SharedGpu,
    alternatives_of,
    has_readings,
    resolve_contention,
)
from gpupack.planning.infeasible import infeasible, not_found
from gpupack.planning.modeling import evening_loads
from gpupack.planning.request import PRICE_UNITS
from gpupack.planning.solving.check import check_placement
from gpupack.planning.solving.gpu_placement import ModelInstance, gpu_placement
from gpupack.records.placement import ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing import CapacityPlan, FilledBin
    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion, Translation
    from gpupack.records.placement import GpuPlacement


def place_with_choices(
    question: CapacityQuestion,
    *,
    time_limit_s: float,
    seed: int,
    diagnose: bool = True,
) -> Placement:
    """Return the best placement.

    Args:
        question: What is asked.
        time_limit_s: Wall time of the search.
        seed: For every random choice.
        diagnose: Whether the error should name what clashes, which takes searching.

    Raises:
        InfeasibleError: If there is none; names the smallest set that clashes.
        NotFoundInTimeError: If none was found in time, and none is proved impossible.
        MissingReadingError: If a reading that is needed is missing.
    """
    started = time.perf_counter()
    translation = question.translated()
    plan = plan_capacity(
        translation.problem,
        question.goal,
        time_limit_s=max(0.0, time_limit_s - (time.perf_counter() - started)),
        seed=seed,
        num_workers=question.num_workers,
    )
    if plan.status is PlanStatus.UNKNOWN:
        raise not_found(question, time_limit_s=time_limit_s)
    if plan.status is PlanStatus.INFEASIBLE:
        if not diagnose:
            raise InfeasibleError("no placement exists")
        raise infeasible(question)
    if diagnose or translation.problem.rule is not None:
        # A trial is judged by its value; or by what its copies keep, of which those
        # that a rule let share a GPU keep as much without one of them.
        plan = with_fewer_copies(
            translation.problem,
            question.goal,
            plan,
            time_limit_s=time_limit_s,
            seed=seed,
            num_workers=question.num_workers,
        )
    contentions = [
        resolve_contention(question.profiles, one.measured_on, question.sharing)
        for one in question.supplies
    ]
    filled = _filled(translation, plan)
    gpus = _gpus(question, translation, filled, contentions)
    value, bound, unit = _value(question, translation, plan, len(gpus))
    warnings = question.warnings + plan.warnings
    if question.min_retention:
        warnings += tuple(
            dict.fromkeys(text for one in contentions for text in one.warnings)
        )
    left_out = sorted(
        set(question.model_names) - {name for gpu in gpus for name in gpu.models}
    )
    if left_out:
        warnings += (f"optional models left out: {', '.join(left_out)}",)
    shared = _shared(translation, filled)
    predicted_by = _predicted_by(question, shared)
    placement = Placement(
        objective=question.objective,
        objective_unit=unit,
        status=PlacementStatus.OPTIMAL
        if plan.status is PlanStatus.OPTIMAL
        else PlacementStatus.FEASIBLE,
        num_gpus=len(gpus),
        objective_value=value,
        bound=bound,
        gap=abs(value - bound) / value if value else 0.0,
        method=plan.method,
        found_by=plan.found_by,
        proved_by=plan.proved_by,
        seconds=time.perf_counter() - started,
        seed=seed,
        headroom=question.headroom,
        fleet=question.fleet,
        sharing_mode=contentions[0].sharing_mode,
        contention_factor=None if predicted_by is None else predicted_by.factor,
        num_calibration_sets=0 if predicted_by is None else predicted_by.num_sets,
        sharing_alternatives=alternatives_of(
            question.profiles, shared, contentions[0].sharing_mode
        ),
        min_retention=dict(question.min_retention),
        gpus=gpus,
        warnings=warnings,
        profiles=tuple({one.key: one for one in translation.records}.values()),
    )
    check_placement(placement, question)
    return placement


def _value(
    question: CapacityQuestion,
    translation: Translation,
    plan: CapacityPlan,
    num_gpus: int,
) -> tuple[float, float, ObjectiveUnit]:
    """Return value, bound and what they count."""
    if question.goal is Goal.MIN_BINS:
        return num_gpus, plan.bound, ObjectiveUnit.GPUS
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


_Filling = tuple[int, tuple[tuple[int, float], ...]]
"""A bin type, and option and service of each instance on a GPU of it."""


def _filled(translation: Translation, plan: CapacityPlan) -> list[_Filling]:
    """Return what each GPU holds, by GPU type and then by model name."""
    filled: list[_Filling] = []
    for bin_type in range(len(translation.supplies)):
        bins = [one for one in plan.bins if one.bin_type == bin_type]
        for instances in _instances(translation, bin_type, bins):
            filled.append((bin_type, tuple(instances)))
    return sorted(
        filled,
        key=lambda one: (
            one[0],
            [(translation.records[option].model_name, option) for option, _ in one[1]],
            [-service for _, service in one[1]],
        ),
    )


def _gpus(
    question: CapacityQuestion,
    translation: Translation,
    filled: Sequence[_Filling],
    contentions: Sequence[Contention],
) -> tuple[GpuPlacement, ...]:
    gpus: list[GpuPlacement] = []
    # Of thousands of GPUs most hold the same; what they keep is predicted once.
    known: dict[_Filling, GpuPlacement] = {}
    for index, filling in enumerate(filled):
        if filling not in known:
            bin_type, instances = filling
            known[filling] = _gpu(
                question, translation, bin_type, instances, contentions[bin_type]
            )
        gpus.append(known[filling].model_copy(update={"gpu_index": index}))
    return tuple(gpus)


def _shared(
    translation: Translation, filled: Sequence[_Filling]
) -> tuple[SharedGpu, ...]:
    """Return what shares each GPU of which something can be predicted."""
    return tuple(
        SharedGpu(
            translation.supplies[bin_type].measured_on,
            tuple(translation.records[option] for option, _ in instances),
            tuple(
                _instance(
                    translation, option, service, is_carried_over=False
                ).load_ratio
                for option, service in instances
            ),
            num_gpus,
        )
        for (bin_type, instances), num_gpus in Counter(filled).items()
        if not translation.supplies[bin_type].is_carried_over
    )


def _predicted_by(
    question: CapacityQuestion, shared: Sequence[SharedGpu]
) -> Contention | None:
    """Return what the predictions rest on; None where GPU types differ in that."""
    used = {
        resolve_contention(question.profiles, one.measured_on, question.sharing)
        for one in shared
        if all(map(has_readings, one.records))
    }
    factors = {(one.factor, one.num_sets) for one in used}
    return used.pop() if len(factors) == 1 else None


def _instance(
    translation: Translation, option: int, service: float, *, is_carried_over: bool
) -> ModelInstance:
    return ModelInstance(
        translation.records[option],
        _served(translation, option, service),
        is_carried_over=is_carried_over,
    )


def _gpu(
    question: CapacityQuestion,
    translation: Translation,
    bin_type: int,
    instances: Sequence[tuple[int, float]],
    contention: Contention,
) -> GpuPlacement:
    supply = translation.supplies[bin_type]
    return gpu_placement(
        0,
        supply.gpu_type,
        [
            _instance(
                translation, option, service, is_carried_over=supply.is_carried_over
            )
            for option, service in instances
        ],
        baseline_bytes=supply.baseline_bytes,
        headroom=question.headroom,
        contention=contention,
    )


def _served(translation: Translation, option: int, service: float) -> float | None:
    job = translation.problem.jobs[translation.problem.options[option].job]
    # Nine digits: many replicas of little traffic must still sum up to the demand.
    if job.is_whole:
        return None
    return float(f"{translation.infer_per_sec(option, service):.9g}")


def _instances(
    translation: Translation, bin_type: int, bins: Sequence[FilledBin]
) -> list[list[tuple[int, float]]]:
    """Return option and service of every instance, bin by bin, by model name."""
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
    if not instances:
        return []
    num_bins = sum(one.multiplicity for one in bins)
    positions: list[list[int]] = [[] for _ in range(num_bins)]
    for position, (_, _, number) in enumerate(instances):
        positions[number].append(position)
    if all(problem.jobs[problem.options[one].job].is_whole for one, _, _ in instances):
        records = [translation.records[option] for option, _, _ in instances]
        baseline = translation.supplies[bin_type].baseline_bytes
        evened = even_out(
            positions,
            [problem.options[option].fixed for option, _, _ in instances],
            problem.bin_types[bin_type].capacity,
            evening_loads(records, baseline),
        )
        if all(
            problem.is_allowed(
                bin_type,
                tuple(sorted(Counter(instances[one][0] for one in here).items())),
            )
            for here in evened
        ):
            positions = evened  # or else evener, but less kept than was asked
    expanded = [[instances[position][:2] for position in one] for one in positions]
    return [
        sorted(
            filled,
            key=lambda one: (
                translation.records[one[0]].model_name,
                translation.records[one[0]].load_point.sort_key,
                -one[1],
            ),
        )
        for filled in expanded
    ]
