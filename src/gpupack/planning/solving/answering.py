"""Answer a question: without a choice, by packing; with one, by planning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.planning.modeling import best_records
from gpupack.planning.solving.kept_demand import place_keeping_demand
from gpupack.planning.solving.one_type import place_on_one_type
from gpupack.planning.solving.with_choices import place_with_choices
from gpupack.records.placement import Objective
from gpupack.records.request import Fairness
from gpupack.report.cautions import cautions_of
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.placement import Placement
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request


def answer(
    question: CapacityQuestion,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool = False,
) -> Placement:
    """Return the best placement.

    Args:
        question: What is asked.
        time_limit_s: Wall time of the search.
        seed: For every random choice.
        is_trial: Whether only value and bound are wanted: no time is then spent on what
            else a placement, or an error, could tell.

    Raises:
        InvalidInputError: If the prediction cannot be followed through choices, or
            rests on what was measured on another GPU type.
        MissingReadingError: If a reading that is needed is missing.
        InfeasibleError: If there is none.
        NotFoundInTimeError: If none was found in time, and none is proved impossible.
    """
    _require_own_readings(question)
    if question.keeps_demand_as_predicted:
        return place_keeping_demand(
            question,
            answer,
            time_limit_s=time_limit_s,
            seed=seed,
            is_trial=is_trial,
        )
    chosen = _without_choice(question)
    if question.maximizes_predicted and (
        chosen is None or question.supplies[0].entry.num_gpus is None
    ):
        raise InvalidInputError(
            f"{setting('contention', 'predicted')} needs one load point per model and "
            "a counted supply of one GPU type, such as "
            f"{setting('gpus', {'T4': 4}, shell='T4=4')}, "
            f"{setting('load_point', '2x4')}, without demand, replicas or optional "
            "models"
        )
    if chosen is None:
        return place_with_choices(
            question, time_limit_s=time_limit_s, seed=seed, diagnose=not is_trial
        )
    if all(len(records) == 1 for records in chosen.values()):
        return place_on_one_type(
            question,
            tuple(chosen[name][0] for name in sorted(chosen)),
            time_limit_s=time_limit_s,
            seed=seed,
            is_trial=is_trial,
        )
    # Each model yields the same at any of its load points: the fewest GPUs are best.
    placement = place_with_choices(
        replace(
            question,
            objective=Objective.MIN_GPUS,
            supplies=(replace(question.supplies[0], records=chosen),),
        ),
        time_limit_s=time_limit_s,
        seed=seed,
        diagnose=not is_trial,
    )
    return placement.model_copy(update={"objective": question.objective})


def _require_own_readings(question: CapacityQuestion) -> None:
    """Check that what neighbors cost is predicted where it was measured.

    Raises:
        InvalidInputError: If ``min_retention`` is asked for where only memory holds.
    """
    elsewhere = [one.gpu_type.name for one in question.supplies if one.is_carried_over]
    if question.min_retention and elsewhere:
        raise InvalidInputError(
            f"{setting('min_retention')} is predicted from utilizations and "
            "throughput, which do not "
            f"carry over to {', '.join(elsewhere)}; profile there, or leave it out"
        )


def decided_on(
    placement: Placement, request: Request, profiles: ProfileSet
) -> Placement:
    """Return the placement with what was asked, and what it was decided on.

    What must be known before all else is the first of its warnings.
    """
    cautions = cautions_of(placement)
    return placement.model_copy(
        update={
            "warnings": tuple(dict.fromkeys((*cautions, *placement.warnings))),
            "request": request,
            "profiles": profiles.records,
            "baselines": profiles.baselines,
            "calibrations": profiles.calibrations,
        }
    )


def _without_choice(
    question: CapacityQuestion,
) -> Mapping[str, tuple[ProfileRecord, ...]] | None:
    """Return the records of each model if none yields more than another, or else None.

    Most often it is one of each, and nothing is to be chosen.
    """
    wishes = question.wishes
    if (
        len(question.supplies) > 1
        or question.max_gpus is not None
        or question.max_price_per_hour is not None
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
        # What neighbors cost depends on more than what binds.
        return best_records(
            supply, question.headroom, by_sizes=not question.min_retention
        )
    return by_name
