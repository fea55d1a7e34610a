"""Answer a question: without a choice, by packing; with one, by planning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, InvalidInputError
from gpupack.packing import Deadline
from gpupack.planning.modeling import best_records
from gpupack.planning.solving.building import Clash, Found
from gpupack.planning.solving.one_type import pack_one_type
from gpupack.records.placement import Objective, PlacementStatus
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpupack.errors import NotFoundInTimeError
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import ProfileRecord

    Chosen = Mapping[str, tuple[ProfileRecord, ...]]

PACKING_SHARE = 0.2
"""Of the time, for packing by sets where models share memory; planning has the rest."""


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
        if question.maximizes_predicted or not any(
            one.helper_memory for one in records
        ):
            return pack_one_type(
                question,
                records,
                time_limit_s=time_limit_s,
                seed=seed,
                progress=progress,
            )
        return _pack_sharing(
            question,
            chosen,
            time_limit_s=time_limit_s,
            seed=seed,
            is_trial=is_trial,
            progress=progress,
        )
    return _plan_fewest(
        question,
        chosen,
        time_limit_s=time_limit_s,
        seed=seed,
        is_trial=is_trial,
        progress=progress,
    )


def _plan_fewest(
    question: CapacityQuestion,
    chosen: Chosen,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool,
    progress: Callable[[Found], None] | None,
) -> Found | Clash:
    """Return the fewest GPUs, or the lowest price, by planning.

    Each model yields the same at any of its load points: the fewest GPUs are best.
    """
    from gpupack.planning.solving.with_choices import plan_with_choices

    is_priced = question.objective is Objective.MIN_COST
    return plan_with_choices(
        replace(
            question,
            objective=Objective.MIN_COST if is_priced else Objective.MIN_GPUS,
            supplies=(replace(question.supplies[0], records=chosen),),
        ),
        time_limit_s=time_limit_s,
        seed=seed,
        is_trial=is_trial,
        progress=progress,
    )


def _pack_sharing(
    question: CapacityQuestion,
    chosen: Chosen,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool,
    progress: Callable[[Found], None] | None,
) -> Found | Clash:
    """Return every record once where some may share memory, on the fewest GPUs.

    Packing lists the sets that fit; where those are too many, planning prices them.
    """
    deadline = Deadline.after(time_limit_s)
    records = [chosen[name][0] for name in sorted(chosen)]
    packed = pack_one_type(
        question,
        records,
        time_limit_s=PACKING_SHARE * time_limit_s,
        seed=seed,
        progress=progress,
    )
    if isinstance(packed, Found) and packed.status is PlacementStatus.OPTIMAL:
        return packed
    planned = _plan_fewest(
        question,
        chosen,
        time_limit_s=deadline.remaining_s,
        seed=seed,
        is_trial=is_trial,
        progress=progress,
    )
    if isinstance(packed, Clash):
        return _clash_of(packed, planned) if isinstance(planned, Clash) else planned
    if isinstance(planned, Clash):
        return packed
    better = planned if planned.is_better_than(packed) else packed
    prover = planned if planned.bound > packed.bound else packed
    is_proved = better.value <= prover.bound
    return replace(
        packed,
        gpus=better.gpus,
        value=better.value,
        bound=min(better.value, prover.bound),
        status=PlacementStatus.OPTIMAL if is_proved else PlacementStatus.FEASIBLE,
        method=planned.method,
        found_by=better.found_by,
        proved_by=prover.proved_by,
    )


def _clash_of(packed: Clash, planned: Clash) -> Clash:
    """Return why there is nothing: what packing says, if it proves that."""

    def error() -> InfeasibleError | NotFoundInTimeError:
        told = packed.error()
        return told if isinstance(told, InfeasibleError) else planned.error()

    return Clash(error)


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
