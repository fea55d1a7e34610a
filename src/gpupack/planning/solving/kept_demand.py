"""Placements in which every demand is met as predicted, not only as measured alone.

What a replica reaches beside its neighbors depends on the traffic that all of them
take, which the packing engine shares out freely. So plans are sought among those that
leave replicas room: where a replica runs at one of several levels of traffic and is
judged by the most of its level, or where utilizations may sum to less than the headroom
allows. Every plan is judged by the traffic that its replicas take in the end.

The bound is that of plans without this condition, of which those with it are some, or
that of plans in which every replica is judged by the least traffic of its level: what
may share a GPU with more traffic may do so with less.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from gpupack.errors import GpupackError, NotFoundInTimeError
from gpupack.packing import Deadline
from gpupack.planning.contention import RetentionRule, has_all_readings
from gpupack.planning.modeling import levels_above, levels_up_to
from gpupack.planning.solving.building import Clash
from gpupack.planning.solving.check import PROVED_TOLERANCE
from gpupack.records.gpu import Headroom
from gpupack.records.placement import PlacementStatus
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.solving.building import FilledGpu, Found

_FIRST_SHARE = 0.2
"""Of the time: for the plan without the condition, whose bound is the bound."""
_BOUND_SHARE = 0.2
"""Of the time that is left: for a better bound, where one is missing."""
_FILLED_SHARES = (0.9, 0.8, 0.7, 0.6)
"""Of the headroom of utilizations."""
_FILLED_LOAD = 0.7
"""Of a replica's throughput, where GPUs are filled less."""
_LEVELS = ((0.5, 0.7, 0.85), (0.2, 0.4, 0.6, 0.8), (0.35, 0.6, 0.75, 0.9))
"""Of a replica's throughput: where its levels of traffic end, beside all of it."""
_LATENCY_LEVELS = ((0.1, 0.2, 0.3, 0.45, 0.6, 0.8), (0.03, 0.06, 0.1, 0.15))
"""The same where a latency limit may want replicas that are idle most of the time."""
_BOUND_LEVELS = (0.2, 0.4, 0.6, 0.8, 0.9)
"""The same where every replica is judged by the least of its level."""
_LOAD_RATIOS = (0.6, 0.7, 0.5)
"""Of a replica's throughput: the only level, where several are too many to search."""


class Answerer(Protocol):
    """What answers a question."""

    def __call__(
        self,
        question: CapacityQuestion,
        *,
        time_limit_s: float,
        seed: int,
        is_trial: bool = False,
        progress: Callable[[Found], None] | None = None,
    ) -> Found | Clash:
        """Return what is best, or why there is nothing."""
        ...


def answer_keeping_demand(
    question: CapacityQuestion,
    answer: Answerer,
    *,
    time_limit_s: float,
    seed: int,
    progress: Callable[[Found], None] | None = None,
) -> Found | Clash:
    """Return the best that was found which keeps every demand as predicted.

    Args:
        question: Its ``min_retention`` asks for all of every demand.
        answer: Answers questions without this condition.
        time_limit_s: Wall time of all searches together.
        seed: For every random choice.
        progress: Called with what is found while the search goes on: better answers,
            or the best at a tighter bound.

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
        latency_limits=None,
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
    bound, proved_by = first.bound, first.proved_by or first.method
    best = first if _keeps_all(first, question) else None
    trials = _trials(question, free)
    for index, trial in enumerate(trials):
        if best is not None and (deadline.has_passed or _is_as_good(best, bound)):
            break
        share = (1 - _BOUND_SHARE) / (len(trials) - index)
        found = _found(answer, trial, share * deadline.remaining_s, seed)
        is_new = found is not None and (best is None or found.is_better_than(best))
        if found is not None and is_new and _keeps_all(found, question):
            best = found
            if progress is not None:
                progress(_with_bound(best, bound, proved_by))
    if best is None:
        return Clash(lambda: _not_found(question))
    if not _is_as_good(best, bound) and not deadline.has_passed:
        relaxed = _judged_by_the_least(question)
        other = _found(answer, relaxed, deadline.remaining_s, seed)
        if other is not None and _is_tighter(other, bound):
            bound, proved_by = other.bound, other.proved_by or other.method
            # A plan found this way may keep it all.
            if other.is_better_than(best) and _keeps_all(other, question):
                best = other
    return _with_bound(best, bound, proved_by)


def _with_bound(best: Found, bound: float, proved_by: str) -> Found:
    return replace(
        best,
        bound=bound,
        status=PlacementStatus.OPTIMAL
        if _is_as_good(best, bound)
        else PlacementStatus.FEASIBLE,
        proved_by=proved_by,
    )


def _found(
    answer: Answerer, trial: CapacityQuestion, time_limit_s: float, seed: int
) -> Found | None:
    """Return what a trial comes to, None if it leaves too little room."""
    try:
        found = answer(trial, time_limit_s=time_limit_s, seed=seed, is_trial=True)
    except GpupackError:
        return None
    return None if isinstance(found, Clash) else found


def _is_tighter(found: Found, bound: float) -> bool:
    if found.unit.is_maximized:
        return found.bound < bound
    return found.bound > bound


def _not_found(question: CapacityQuestion) -> NotFoundInTimeError:
    limits = question.latency_limits
    if limits is not None:
        return NotFoundInTimeError(
            f"no placement was found in which every model keeps its latency limit as "
            f"predicted (p{limits.percentile:g}, at its traffic, beside neighbors), "
            "and none is proved impossible: raise the limits, lower the demands, add "
            "GPUs, or let limits be about models alone "
            f"({setting('latency', 'alone')})"
        )
    return NotFoundInTimeError(
        "no placement was found that meets every demand as predicted, and none is "
        "proved impossible; add GPUs or lower the demands, or let demands be met "
        f"as measured alone ({setting('demand_met', 'plain')}), which warns of those "
        "that are then predicted to be missed"
    )


def _trials(
    question: CapacityQuestion, free: CapacityQuestion
) -> list[CapacityQuestion]:
    """Return questions whose answers leave replicas room, in the order to be asked.

    Args:
        question: What is asked.
        free: Without the condition.
    """
    judged = replace(question, keeps_demand_as_predicted=False)
    ends_of_levels: tuple[tuple[float, ...], ...] = _LEVELS
    if question.latency_limits is not None:
        ends_of_levels = (*_LEVELS, *_LATENCY_LEVELS)
    finest, *other_levels = (
        replace(judged, load_levels=levels_up_to(*ends, 1.0)) for ends in ends_of_levels
    )
    single = (
        replace(judged, load_levels=levels_up_to(ratio)) for ratio in _LOAD_RATIOS
    )
    return [finest, *_less_filled(question, free), *other_levels, *single]


def _judged_by_the_least(question: CapacityQuestion) -> CapacityQuestion:
    """Return the question in which all that is possible may share a GPU, and more."""
    limits = question.latency_limits
    if limits is not None and limits.gap_cv2 < 1:
        # Even arrivals are the less even the less of them a replica gets: as even as
        # they can be is what is possible.
        limits = replace(limits, demand={})
    return replace(
        question,
        keeps_demand_as_predicted=False,
        load_levels=levels_above(*_BOUND_LEVELS),
        latency_limits=limits,
    )


def _less_filled(
    question: CapacityQuestion, free: CapacityQuestion
) -> list[CapacityQuestion]:
    """Return questions in which less of the utilizations may be used, fullest first."""
    utilizations = [one for one, _ in question.headroom if not one.is_held]
    if not utilizations:
        return []
    return [
        replace(
            free,
            load_levels=levels_up_to(_FILLED_LOAD),
            headroom=Headroom(
                **{
                    one.value: share * filled if one in utilizations else share
                    for one, share in question.headroom
                }
            ),
        )
        for filled in _FILLED_SHARES
    ]


def _keeps_all(found: Found, question: CapacityQuestion) -> bool:
    """Return whether every model keeps, with the margin, what the question asks."""
    return all(_keeps(one, question) for one in found.gpus)


def _keeps(gpu: FilledGpu, question: CapacityQuestion) -> bool:
    records = [one.record for one in gpu.instances]
    is_predicted = len(records) > 1 or question.latency_limits is not None
    if is_predicted and not has_all_readings(records):
        return False
    rule = RetentionRule(
        records,
        question.contentions[gpu.supply],
        question.min_retention,
        loads=[one.load_ratio for one in gpu.instances],
        latency=question.latency_limits,
    )
    return rule.is_allowed(tuple((item, 1) for item in range(len(records))))


def _is_as_good(found: Found, bound: float) -> bool:
    value = found.value
    if found.unit.is_maximized:
        return value >= bound * (1 - PROVED_TOLERANCE)
    return value <= bound
