"""Why no placement exists: an irreducible infeasible subset of models and limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, NotFoundInTimeError
from gpupack.packing import Deadline
from gpupack.planning.infeasible.clashing_models import ClashingModels
from gpupack.planning.infeasible.limits import Limits
from gpupack.planning.infeasible.relaxed_question import (
    is_impossible,
    is_plainly_impossible,
    plan_relaxed,
)
from gpupack.quoting import listed, quoted_all
from gpupack.records.gpu import HOST_SHARES
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.packing import CapacityPlan
    from gpupack.planning.modeling import CapacityQuestion

DIAGNOSIS_LIMIT_S = 5.0
"""Wall time for finding the smallest clashing set; what is found by then is told."""
STEP_LIMIT_S = 1.0
"""For one proof, within that time; and for what would do, after it."""
PLAIN_SHARE = 0.15
"""Of both, where a quick count already proves that there is no placement."""
MODELS_SHARE = 0.6
"""Of the time, for finding the models; the rest is for their limits."""


def infeasible(
    question: CapacityQuestion,
    *,
    would_do: int | None = None,
) -> InfeasibleError:
    """Return the error for a question without a placement.

    The set it names is one from which nothing can be taken away: without any one of
    the models, or of the limits, there would be a placement. Small sets of models
    are tried first; beyond three models the set need not be the smallest.

    Args:
        question: What cannot be answered.
        would_do: GPUs that hold all models, of the only type, where that is known.
    """
    limits = Limits.of_question(question)
    required = tuple(
        name for name in question.model_names if name not in question.wishes.optional
    )
    is_plain = is_plainly_impossible(question, required, limits)
    share = PLAIN_SHARE if is_plain else 1.0
    step_limit_s = share * STEP_LIMIT_S
    deadline = Deadline.after(share * DIAGNOSIS_LIMIT_S)
    models = ClashingModels(
        question,
        required,
        limits,
        deadline=deadline.within(share * MODELS_SHARE * DIAGNOSIS_LIMIT_S),
        step_limit_s=step_limit_s,
    ).fewest()
    limits = _fewest_limits(question, models, limits, deadline, step_limit_s)
    suggestion = _way_out(question, required, would_do)
    held = limits.names(question)
    return InfeasibleError(
        f"no placement exists: {quoted_all(models)} "
        f"{'clashes' if len(models) == 1 else 'clash'} with "
        f"{listed(held) or 'the GPUs to plan for'}. {suggestion}",
        model_names=models,
        resource=limits.resources[0].value if len(limits.resources) == 1 else None,
        suggestion=suggestion,
        limits=held,
        fields=limits.fields(question),
    )


def not_found(
    question: CapacityQuestion, *, time_limit_s: float
) -> NotFoundInTimeError:
    """Return the error for a search that came to nothing, and proved nothing."""
    suggestion = f"raise {setting('time_limit_s')}, or the number of GPUs"
    return NotFoundInTimeError(
        f"no placement was found within {time_limit_s:g} s, and none is proved "
        f"impossible: {suggestion}",
        suggestion=suggestion,
        limits=(
            *Limits.of_question(question).names(question),
            f"{setting('time_limit_s')} {time_limit_s:g}",
        ),
    )


def _fewest_limits(
    question: CapacityQuestion,
    models: tuple[str, ...],
    limits: Limits,
    deadline: Deadline,
    step_limit_s: float,
) -> Limits:
    """Return limits of which none can be lifted; first those that a sum needs not."""

    def is_proved(limits: Limits) -> bool:
        return is_impossible(
            question, models, limits, deadline=deadline.within(step_limit_s)
        )

    limits = limits.of(models)
    limits = _without_needless(
        limits,
        lambda fewer: is_plainly_impossible(question, models, fewer),
        deadline,
    )
    return _without_needless(limits, is_proved, deadline)


def _without_needless(
    limits: Limits, is_proved: Callable[[Limits], bool], deadline: Deadline
) -> Limits:
    """Return the limits without those that a proof does without."""
    for kind in (
        "resources",
        "counted",
        "budgets",
        "demands",
        "replicas",
        "latencies",
        "retentions",
    ):
        for one in getattr(limits, kind):
            if deadline.has_passed:
                return limits
            rest = tuple(other for other in getattr(limits, kind) if other != one)
            without = replace(limits, **{kind: rest})
            if is_proved(without):
                limits = without
    return limits


def _way_out(
    question: CapacityQuestion, required: tuple[str, ...], would_do: int | None
) -> str:
    """Return in words what would do: more GPUs or money, or else more headroom."""
    if would_do is not None:
        return f"{would_do} {question.supplies[0].gpu_type.name} GPUs would do."
    limits = replace(Limits.of_question(question), counted=(), budgets=())
    plan = plan_relaxed(question, required, limits, time_limit_s=STEP_LIMIT_S)
    if plan is not None and plan.bins:
        parts = []
        for index, supply in enumerate(question.supplies):
            count = sum(one.multiplicity for one in plan.bins if one.bin_type == index)
            if count:
                parts.append(f"{count} {supply.gpu_type.name}")
        return f"{' and '.join(parts)} GPUs would do{_price(question, plan)}."
    shares = [
        setting(HOST_SHARES[resource])
        for resource, _ in question.headroom
        if resource.is_of_host
    ]
    more = f", {' or '.join(shares)}" if shares else ""
    return f"Raise the headroom{more}, lower batch sizes, or add a larger GPU type."


def _price(question: CapacityQuestion, plan: CapacityPlan) -> str:
    if question.max_price_per_hour is None:
        return ""
    entries = [supply.entry for supply in question.supplies]
    price = sum(
        (entries[one.bin_type].price_per_hour or 0.0) * one.multiplicity
        for one in plan.bins
    )
    return f" for {in_digits(price, 6)} per hour"
