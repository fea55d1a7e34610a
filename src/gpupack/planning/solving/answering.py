"""Answer a question: without a choice, by packing; with one, by planning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, InvalidInputError
from gpupack.planning.modeling import best_records
from gpupack.planning.solving.building import Clash
from gpupack.planning.solving.one_type import pack_one_type
from gpupack.records.placement import Objective
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.solving.building import Found
    from gpupack.records.profile import ProfileRecord

    Chosen = Mapping[str, tuple[ProfileRecord, ...]]


def answer(
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
        is_trial: Whether only value and bound are wanted, so that no time is spent on
            running as few copies as would do.
        progress: Called with what is found while the search goes on: better answers,
            or the best at a tighter bound.

    Raises:
        InvalidInputError: If the prediction cannot be followed through choices, or
            rests on what was measured on another GPU type.
        MissingReadingError: If a reading that is needed is missing.
    """
    _require_own_readings(question)
    # Each way to answer imports what it alone needs: a small plan takes less time.
    if question.keeps_demand_as_predicted:
        from gpupack.planning.solving.kept_demand import answer_keeping_demand

        return answer_keeping_demand(
            question,
            answer,
            time_limit_s=time_limit_s,
            seed=seed,
            progress=progress,
        )
    if question.wishes.min_traffic or question.wishes.one_load_point:
        from gpupack.planning.solving.runnable import answer_runnable

        return answer_runnable(
            question,
            answer,
            time_limit_s=time_limit_s,
            seed=seed,
            is_trial=is_trial,
            progress=progress,
        )
    chosen = None if question.has_choices else _without_choice(question)
    if isinstance(chosen, InfeasibleError):
        error = chosen
        return Clash(lambda: error)
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
        from gpupack.planning.solving.with_choices import plan_with_choices

        return plan_with_choices(
            question,
            time_limit_s=time_limit_s,
            seed=seed,
            is_trial=is_trial,
            progress=progress,
        )
    if all(len(records) == 1 for records in chosen.values()):
        records = [chosen[name][0] for name in sorted(chosen)]
        return pack_one_type(
            question,
            records,
            time_limit_s=time_limit_s,
            seed=seed,
            progress=progress,
        )
    from gpupack.planning.solving.with_choices import plan_with_choices

    # Each model yields the same at any of its load points: the fewest GPUs are best.
    return plan_with_choices(
        replace(
            question,
            objective=Objective.MIN_GPUS,
            supplies=(replace(question.supplies[0], records=chosen),),
        ),
        time_limit_s=time_limit_s,
        seed=seed,
        is_trial=is_trial,
        progress=progress,
    )


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


def _without_choice(question: CapacityQuestion) -> Chosen | InfeasibleError | None:
    """Return the records of each model if none yields more than another, or else None.

    Most often it is one of each, and nothing is to be chosen.
    """
    (supply,) = question.supplies
    if all(len(records) == 1 for records in supply.records.values()):
        return supply.records
    is_limited = supply.entry.num_gpus is not None
    if question.objective is not Objective.MAX_THROUGHPUT or is_limited:
        return None
    # What neighbors cost depends on more than what binds.
    return best_records(supply, question.headroom, by_sizes=not question.min_retention)
