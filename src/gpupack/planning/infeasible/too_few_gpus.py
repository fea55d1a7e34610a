"""Why a counted supply of one GPU type is too small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, NotFoundInTimeError
from gpupack.packing import (
    Deadline,
    PackingProblem,
    items_apart,
    passing_interrupts_on,
    solve,
    solve_allowed,
)
from gpupack.planning.infeasible.clash import DIAGNOSIS_LIMIT_S, infeasible
from gpupack.quoting import quoted_all
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpupack.packing import PackingResult
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import ProfileRecord

    SetRule = Callable[[tuple[tuple[int, int], ...]], bool]

STEP_LIMIT_S = 1.0
"""For one proof."""


@passing_interrupts_on()
def shortage(
    question: CapacityQuestion,
    records: Sequence[ProfileRecord],
    problem: PackingProblem,
    is_allowed: SetRule | None,
    result: PackingResult,
    *,
    time_limit_s: float,
) -> InfeasibleError | NotFoundInTimeError:
    """Return the error for a supply that is too small, or not proved to do.

    Args:
        question: Of one GPU type, counted.
        records: Item i of the problem is record i.
        problem: Without the sets that ``min_retention`` forbids.
        is_allowed: What ``min_retention`` allows; None without it.
        result: More bins than there are GPUs.
        time_limit_s: What the search was given.
    """
    (supply,) = question.supplies
    available = supply.entry.num_gpus or 0
    name = supply.gpu_type.name
    found, bound = result.num_bins, result.bound
    there = f"{available} {name} GPU{'s' * (available != 1)}"
    if bound <= available:
        return NotFoundInTimeError(
            f"no placement on {there} was found within {time_limit_s:g} s, and none is "
            f"proved impossible: at least {bound} are needed (proved), {found} would "
            f"do. Raise {setting('time_limit_s')}, or the number of GPUs.",
            suggestion=f"{found} {name} GPUs",
            limits=(
                *(
                    f"{resource.value} {share:g}"
                    for resource, share in question.headroom
                ),
                *_asked(question, question.min_retention),
                there,
                f"{setting('time_limit_s')} {time_limit_s:g}",
            ),
        )
    deadline = Deadline.after(DIAGNOSIS_LIMIT_S)
    if is_allowed is None or (
        solve(problem, time_limit_s=STEP_LIMIT_S, max_bins=available).bound > available
    ):
        return infeasible(
            question,
            would_do=found if is_allowed is None else None,
        )
    # One more of those than there are GPUs, and none of them can be left out.
    apart = items_apart(problem, is_allowed, result.bins, deadline.within(STEP_LIMIT_S))
    items = (
        sorted(apart[: available + 1])
        if len(apart) > available
        else _fewest_items(problem, is_allowed, available, deadline)
    )
    models = [records[item].model_name for item in items]
    (asked,) = _asked(question, models)
    would_do = (
        f"{found} would do (proved)"
        if found == bound
        else f"at least {bound} are needed (proved), {found} would do"
    )
    return InfeasibleError(
        f"no placement exists: {quoted_all(models)} clash with {asked}, "
        f"{there}. For all models {would_do}. Raise the number of GPUs, or lower "
        f"{setting('min_retention')}.",
        model_names=models,
        suggestion=f"{found} {name} GPUs",
        limits=(asked, there),
    )


def _asked(question: CapacityQuestion, models: Iterable[str]) -> tuple[str, ...]:
    """Return what these models shall keep, in words; empty if nothing."""
    floors = sorted(
        {question.min_retention[one] for one in models if one in question.min_retention}
    )
    if not floors:
        return ()
    return (f"{setting('min_retention')} {'/'.join(f'{share:g}' for share in floors)}",)


def _fewest_items(
    problem: PackingProblem, is_allowed: SetRule, available: int, deadline: Deadline
) -> list[int]:
    """Return items of which none can be left out without there being enough GPUs.

    As far as that is proved before the deadline.
    """
    kept = list(range(len(problem.item_types)))
    for item in list(kept):
        if deadline.has_passed:
            break
        rest = [one for one in kept if one != item]

        def allows(counts: tuple[tuple[int, int], ...], rest: list[int] = rest) -> bool:
            return is_allowed(tuple((rest[index], copies) for index, copies in counts))

        smaller = replace(
            problem, item_types=tuple(problem.item_types[one] for one in rest)
        )
        bound = solve_allowed(
            smaller,
            allows,
            time_limit_s=deadline.within(STEP_LIMIT_S).remaining_s,
            max_bins=available,
        ).bound
        if rest and bound > available:
            kept = rest
    return kept
