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

from gpupack.errors import GpupackError, NotFoundInTimeError
from gpupack.packing import Deadline
from gpupack.planning.contention import RetentionRule, has_all_readings
from gpupack.planning.solving.check import PROVED_TOLERANCE
from gpupack.planning.solving.found import Clash
from gpupack.records.gpu import Headroom, Resource
from gpupack.records.placement import PlacementStatus

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.solving.found import FilledGpu, Found

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
    ) -> Found | Clash:
        """Return what is best, or why there is nothing."""
        ...


def answer_keeping_demand(
    question: CapacityQuestion,
    answer: Answerer,
    *,
    time_limit_s: float,
    seed: int,
) -> Found | Clash:
    """Return the best that was found which keeps every demand as predicted.

    Args:
        question: Its ``min_retention`` asks for all of every demand.
        answer: Answers questions without this condition.
        time_limit_s: Wall time of all searches together.
        seed: For every random choice.

    Returns:
        A clash if there is nothing even without the condition, or nothing was found
        that keeps every demand.

    Raises:
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
    # As a trial: with copies to spare each has less to serve, and keeps it sooner.
    first = answer(free, time_limit_s=first_s, seed=seed, is_trial=True)
    if isinstance(first, Clash):
        return first
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
                continue
            if isinstance(found, Clash):
                continue  # too little room in this one; another leaves more
            is_new = best is None or found.is_better_than(best)
            if is_new and _keeps_all(found, question):
                best = found
            if number == 1 and best is found:
                break  # the emptier GPUs are, the more of them it takes
    if best is None:
        return Clash(_not_found)
    return replace(
        best,
        bound=first.bound,
        status=PlacementStatus.OPTIMAL
        if _is_as_good(best, first.bound)
        else PlacementStatus.FEASIBLE,
        proved_by=first.proved_by or first.method,
    )


def _not_found() -> NotFoundInTimeError:
    return NotFoundInTimeError(
        "no placement was found that meets every demand as predicted, and none is "
        "proved impossible; add GPUs or lower the demands, or let demands be met "
        "as measured alone (demand_met plain), which warns of those that are then "
        "predicted to be missed"
    )


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


def _keeps_all(found: Found, question: CapacityQuestion) -> bool:
    """Return whether every model keeps, with the margin, what the question asks."""
    distinct = {id(one): one for one in found.gpus}
    return all(_keeps(one, question) for one in distinct.values())


def _keeps(gpu: FilledGpu, question: CapacityQuestion) -> bool:
    records = [one.record for one in gpu.instances]
    if len(records) > 1 and not has_all_readings(records):
        return False
    rule = RetentionRule(
        records,
        question.contentions[gpu.supply],
        question.min_retention,
        loads=[one.load_ratio for one in gpu.instances],
    )
    return rule.is_allowed(tuple((item, 1) for item in range(len(records))))


def _is_as_good(found: Found, bound: float) -> bool:
    value = found.value
    if found.unit.is_maximized:
        return value >= bound * (1 - PROVED_TOLERANCE)
    return value <= bound
