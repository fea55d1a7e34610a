"""Placements in which every demand is met as predicted, not only as measured alone.

What a replica reaches beside its neighbors depends on the traffic that all of them
take, which the packing engine shares out freely. So plans are sought among those that
leave replicas room: where utilizations may sum to less than the headroom allows, or
where a replica serves at most a share of its throughput. Every plan is judged by the
traffic that its replicas take in the end. The bound is that of plans without this
condition, of which those with it are some.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from gpupack.errors import GpupackError, InfeasibleError, NotFoundInTimeError
from gpupack.packing import Deadline
from gpupack.planning.contention import RetentionRule, has_readings, resolve_contention
from gpupack.planning.solving.check import PROVED_TOLERANCE, check_placement
from gpupack.records.gpu import Headroom, Resource
from gpupack.records.placement import PlacementStatus

if TYPE_CHECKING:
    from gpupack.placement import Placement
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.records.placement import Assignment, GpuPlacement
    from gpupack.records.profile import ProfileRecord

_FIRST_SHARE = 0.2
"""Of the time: for the plan without the condition, whose bound is the bound."""
_FILLED_SHARES = (0.9, 0.8, 0.7, 0.6)
"""Of the headroom of utilizations."""
_FILLED_LOAD = 0.7
"""Of a replica's throughput, where GPUs are filled less."""
_LOAD_RATIOS = (0.6, 0.7, 0.5, 0.8, 0.9, 1.0)
"""Of a replica's throughput."""


class Answerer(Protocol):
    """What answers a question."""

    def __call__(
        self,
        question: CapacityQuestion,
        *,
        time_limit_s: float,
        seed: int,
        is_trial: bool = False,
    ) -> Placement:
        """Return the best placement."""
        ...


def place_keeping_demand(
    question: CapacityQuestion,
    answer: Answerer,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool,
) -> Placement:
    """Return the best placement found that keeps every demand as predicted.

    Args:
        question: Its ``min_retention`` asks for all of every demand.
        answer: Answers questions without this condition.
        time_limit_s: Wall time of all searches together.
        seed: For every random choice.
        is_trial: Whether only value and bound are wanted.

    Raises:
        InfeasibleError: If there is none even without the condition.
        NotFoundInTimeError: If none was found that keeps every demand.
        MissingReadingError: If a reading that the prediction needs is missing.
    """
    deadline = Deadline.after(time_limit_s)
    free = replace(
        question,
        keeps_demand_as_predicted=False,
        min_retention={
            name: share
            for name, share in question.min_retention.items()
            if name not in question.wishes.demand
        },
    )
    first_s = _FIRST_SHARE * time_limit_s
    try:
        # As a trial: with copies to spare each has less to serve, and keeps it sooner.
        first = answer(free, time_limit_s=first_s, seed=seed, is_trial=True)
    except InfeasibleError:
        if not is_trial:
            answer(free, time_limit_s=first_s, seed=seed)  # says what clashes
        raise
    best = first if _keeps_all(first, question) else None
    families = [_less_loaded(question), _less_filled(question, free)]
    for number, family in enumerate(families):
        for index, trial in enumerate(family):
            if best is not None and (
                deadline.has_passed or _is_as_good(best, first.bound)
            ):
                break
            left = len(family) - index + sum(map(len, families[number + 1 :]))
            try:
                found = answer(
                    trial,
                    time_limit_s=deadline.remaining_s / left,
                    seed=seed,
                    is_trial=True,
                )
            except GpupackError:
                continue  # too little room in this one; another leaves more
            is_new = best is None or _is_better(found, best)
            if is_new and _keeps_all(found, question):
                best = found
            if number == 1 and best is found:
                break  # the emptier GPUs are, the more of them it takes
    if best is None:
        raise NotFoundInTimeError(
            "no placement was found that meets every demand as predicted, and none is "
            "proved impossible; add GPUs or lower the demands, or let demands be met "
            "as measured alone (demand_met plain), which warns of those that are then "
            "predicted to be missed"
        )
    return _concluded(best, first, question)


def _less_filled(
    question: CapacityQuestion, free: CapacityQuestion
) -> list[CapacityQuestion]:
    """Return questions in which less of the utilizations may be used, fullest first."""
    utilizations = [one for one, _ in question.headroom if one is not Resource.MEMORY]
    if not utilizations:
        return []
    return [
        replace(
            free,
            max_load_ratio=_FILLED_LOAD,
            headroom=Headroom(
                **{
                    one.value: share * filled if one in utilizations else share
                    for one, share in question.headroom
                }
            ),
        )
        for filled in _FILLED_SHARES
    ]


def _less_loaded(question: CapacityQuestion) -> list[CapacityQuestion]:
    """Return questions in which a replica serves a share of its throughput at most.

    What may share a GPU is judged as if all of them served that much.
    """
    return [
        replace(question, keeps_demand_as_predicted=False, max_load_ratio=load)
        for load in _LOAD_RATIOS
    ]


def _keeps_all(placement: Placement, question: CapacityQuestion) -> bool:
    """Return whether every model keeps, with the margin, what the question asks."""
    known: dict[tuple[str, tuple[Assignment, ...]], bool] = {}
    for gpu in placement.gpus:
        key = gpu.gpu_type.name, gpu.assignments
        if key not in known:
            known[key] = _keeps(gpu, question)
        if not known[key]:
            return False
    return True


def _keeps(gpu: GpuPlacement, question: CapacityQuestion) -> bool:
    supply = next(
        one for one in question.supplies if one.gpu_type.name == gpu.gpu_type.name
    )
    records = [_record_of(supply, one) for one in gpu.assignments]
    if len(records) > 1 and not all(map(has_readings, records)):
        return False
    rule = RetentionRule(
        records,
        resolve_contention(question.profiles, supply.measured_on, question.sharing),
        question.min_retention,
        loads=[
            1.0
            if one.served_infer_per_sec is None
            else min(
                1.0, one.served_infer_per_sec / (record.throughput_infer_per_sec or 1.0)
            )
            for one, record in zip(gpu.assignments, records, strict=True)
        ],
    )
    return rule.is_allowed(tuple((item, 1) for item in range(len(records))))


def _record_of(supply: Supply, one: Assignment) -> ProfileRecord:
    return next(
        record
        for record in supply.records[one.model_name]
        if record.load_point == one.load_point
    )


def _is_as_good(placement: Placement, bound: float) -> bool:
    value = placement.objective_value
    if placement.objective_unit.is_maximized:
        return value >= bound * (1 - PROVED_TOLERANCE)
    return value <= bound


def _is_better(one: Placement, other: Placement) -> bool:
    sign = -1 if one.objective_unit.is_maximized else 1
    return sign * one.objective_value < sign * other.objective_value


def _concluded(
    best: Placement, first: Placement, question: CapacityQuestion
) -> Placement:
    """Return the best placement with the bound of those without the condition."""
    value, bound = best.objective_value, first.bound
    is_proved = _is_as_good(best, bound)
    placement = best.model_copy(
        update={
            "status": PlacementStatus.OPTIMAL
            if is_proved
            else PlacementStatus.FEASIBLE,
            "bound": bound,
            "gap": abs(value - bound) / value if value else 0.0,
            "proved_by": first.proof,
            "headroom": question.headroom,
            "min_retention": dict(question.min_retention),
            "gpus": tuple(_limited_by(gpu, question.headroom) for gpu in best.gpus),
        }
    )
    check_placement(placement, question)
    return placement


def _limited_by(gpu: GpuPlacement, headroom: Headroom) -> GpuPlacement:
    """Return a GPU with the limits of a headroom, in place of those of a trial."""
    return gpu.model_copy(
        update={
            "resources": tuple(
                use.model_copy(
                    update={
                        "limit": None
                        if (share := headroom.share(use.resource)) is None
                        else round(share * use.capacity, 6)
                    }
                )
                for use in gpu.resources
            )
        }
    )
