"""Answer a question: without a choice, by packing; with one, by planning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.planning.best_load_points import best_records
from gpupack.planning.capacity import place_with_choices
from gpupack.planning.one_type import place_on_one_type
from gpupack.planning.wishes import Fairness
from gpupack.records.placement import Objective

if TYPE_CHECKING:
    from gpupack.placement import Placement
    from gpupack.planning.question import CapacityQuestion
    from gpupack.records.profile import ProfileRecord


def answer(question: CapacityQuestion, *, time_limit_s: float, seed: int) -> Placement:
    """Return the best placement.

    Raises:
        InvalidInputError: If the prediction cannot be followed through choices, or
            rests on what was measured on another GPU type.
        MissingReadingError: If a reading that is needed is missing.
        InfeasibleError: If there is none.
        NotFoundInTimeError: If none was found in time, and none is proved impossible.
    """
    _require_own_readings(question)
    chosen = _without_choice(question)
    if question.maximizes_predicted and (
        chosen is None or question.supplies[0].entry.num_gpus is None
    ):
        raise InvalidInputError(
            "contention='predicted' needs one load point per model and a counted "
            "supply of one GPU type, such as gpus={'T4': 4}, load_point='2x4', without "
            "demand, replicas or optional models"
        )
    if chosen is not None:
        return place_on_one_type(question, chosen, time_limit_s=time_limit_s, seed=seed)
    return place_with_choices(question, time_limit_s=time_limit_s, seed=seed)


def _require_own_readings(question: CapacityQuestion) -> None:
    """Check that what neighbors cost is predicted where it was measured.

    Raises:
        InvalidInputError: If ``min_retention`` is asked for where only memory holds.
    """
    elsewhere = [one.gpu_type.name for one in question.supplies if one.is_carried_over]
    if question.min_retention and elsewhere:
        raise InvalidInputError(
            "min_retention is predicted from utilizations and throughput, which do not "
            f"carry over to {', '.join(elsewhere)}; profile there, or leave it out"
        )


def _without_choice(question: CapacityQuestion) -> tuple[ProfileRecord, ...] | None:
    """Return the one record of each model if nothing is to be chosen, or else None."""
    wishes = question.wishes
    if (
        len(question.supplies) > 1
        or not wishes.is_plain
        or wishes.fairness is not Fairness.SUM
    ):
        return None
    (supply,) = question.supplies
    by_name = supply.records
    if any(len(records) > 1 for records in by_name.values()):
        is_limited = supply.entry.num_gpus is not None
        if question.objective is not Objective.MAX_THROUGHPUT or is_limited:
            return None
        by_name = best_records(supply, question.headroom)
    return tuple(by_name[name][0] for name in sorted(by_name))
