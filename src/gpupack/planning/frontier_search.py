"""The trade-off between hardware and throughput: ``frontier()``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number, whole_number
from gpupack.packing import passing_interrupts_on
from gpupack.planning.modeling import CapacityQuestion, ask
from gpupack.planning.request import (
    ProfilesLike,
    Wishes,
    named_setting,
    profiles_of,
    request_of,
    require_prices,
    takes_wishes,
    told_where,
    wishes_beside,
)
from gpupack.planning.solving import (
    Clash,
    FrontierSteps,
    StepClock,
    StepFound,
    StepProgress,
)
from gpupack.quoting import quoted
from gpupack.records.request import (
    ContentionRule,
    Fairness,
    ModelWishes,
    Objective,
    Request,
    RequestArguments,
)
from gpupack.spelling import setting
from gpupack.trade_off import Frontier

if TYPE_CHECKING:
    from collections.abc import Sequence


@takes_wishes
@passing_interrupts_on()
def frontier(
    profiles: ProfilesLike,
    request: Request | None = None,
    *,
    by: str = "gpus",
    budgets: Sequence[float] | None = None,
    max_points: int = 20,
    find_headroom: bool = True,
    total_time_limit_s: float = 60.0,
    progress: StepProgress | None = None,
    found: StepFound | None = None,
    **asked: Unpack[RequestArguments],
) -> Frontier:
    """Return the most throughput for each number of GPUs, or for each budget.

    From the fewest GPUs that hold every model to the fewest on which nothing more is
    gained: every demand is met. A model without a demand is taken to want what its
    instances yield at their best load point; in between it is slowed down, and never
    gets more instances than ``replicas``.

    Args:
        profiles: As for ``place()``.
        request: As for ``place()``, which says what is asked in ``asked``; the
            objective is ``max_throughput`` in any case, and ``time_limit_s`` holds for
            each step, within ``total_time_limit_s``.
        by: ``"gpus"`` for numbers of GPUs, ``"price"`` for budgets per hour.
        budgets: The numbers of GPUs, or the prices per hour, to plan for; left out,
            at most ``max_points`` of them, evenly spread over the whole range, less
            those that yield no more than the one before. What costs at most a
            thousand-millionth of a price more than it is within it.
        max_points: See ``budgets``.
        find_headroom: Also search, for each step, the lowest headroom of the
            utilizations (in whole percent) at which as many GPUs
            as it uses, or as much money as it spends, serve everything: what the step
            takes from the models, in the terms of ``headroom``. None where memory is
            in the way.
        total_time_limit_s: For the whole frontier: its steps share it, each taking
            ``time_limit_s`` at most. Steps that it did not suffice for are among
            ``budgets_not_tried``.
        progress: Called before every step with how many are done, of how many (0 of 0
            while that is not known), and what is done next.
        found: Called with every step as soon as its placement is found, before it is
            known whether it yields more than the others.
        **asked: Everything that ``place()`` takes. Optional models are left out while
            GPUs are few, but wanted all the same, so that the last step serves them.

    Returns:
        The steps, in the order of the budget, each with its placement and bound. More
        money is never worse, and no bound falls with it: what was found for one budget
        holds for the others, too. A budget that buys nothing more than the one before
        has no step, so that all fleets differ; one for which no placement was found
        within the time limit is among its ``budgets_not_placed``. When interrupted,
        the steps found so far are returned; without any, the interrupt is raised.

    Raises:
        InvalidInputError: If an argument cannot be used, prices are missing, or
            ``contention="predicted"`` is asked for, which no step can count.
            ``max_gpus`` and ``max_price_per_hour`` are refused: ``budgets`` are those.
        InfeasibleError: If the models do not even fit when idle, or a budget is too
            small for that.
    """
    if not isinstance(by, str) or by not in ("gpus", "price"):
        raise InvalidInputError(
            f'{setting("by")} is {quoted(by)}; it must be "gpus" or "price"'
        )
    most_points = whole_number(max_points)
    if most_points is None or most_points < 2:
        raise InvalidInputError(
            f"{setting('max_points')} is {quoted(max_points)}; it must be a whole "
            "number ≥ 2"
        )
    most_s = real_number(total_time_limit_s)
    if most_s is None or not most_s >= 0:
        raise InvalidInputError(
            f"{setting('total_time_limit_s')} is {quoted(total_time_limit_s)}; it must "
            "be seconds ≥ 0"
        )
    beside = wishes_beside(profiles)
    profiles = profiles_of(profiles)
    wanted, warnings = request_of(profiles, None, request, asked, beside=beside)
    clock = StepClock(most_s, wanted.time_limit_s)
    if wanted.contention is ContentionRule.PREDICTED:
        raise InvalidInputError(
            "a frontier counts what models reach alone, not "
            f"{named_setting(wanted, 'contention', 'predicted')}; "
            f"{setting('min_retention')} says "
            "what they shall keep beside each other"
        )
    given = [
        named_setting(wanted, one)
        for one in ("max_gpus", "max_price_per_hour")
        if getattr(wanted, one) is not None
    ]
    if given:
        raise InvalidInputError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} what the "
            f"steps of a frontier differ in: give {setting('budgets')}, and "
            f"{setting('by', 'gpus')} or {setting('by', 'price')}"
        )
    plain = wanted.model_copy(
        update={"objective": Objective.MAX_THROUGHPUT, "fairness": Fairness.SUM}
    )
    question = ask(profiles, plain, warnings=warnings)
    if by == "price":
        with told_where(wanted, ("gpus",)):
            require_prices(question.fleet, wanted.billing)
    wishes = _demand_of_all(question)
    question = replace(question, wishes=replace(wishes, fairness=wanted.fairness))
    wanted = _asked_in_full(plain, question.wishes)
    steps = FrontierSteps(
        question,
        by,
        wanted,
        clock=clock,
        progress=progress or (lambda done, total, text: None),
        found=found or (lambda point, placement: None),
    )
    planned = steps.budgets(budgets, most_points)
    if isinstance(planned, Clash):
        raise planned.error()
    placed, not_placed = steps.walk(planned)
    if not placed and steps.clash is not None:
        raise steps.clash.error()
    return Frontier(
        steps=tuple(steps.points(placed, find_headroom=find_headroom)),
        placements=tuple(placement for _, placement in placed),
        wanted_infer_per_sec=steps.wanted,
        budgets_not_placed=tuple(not_placed),
        budgets_not_tried=tuple(steps.not_tried),
    )


def _asked_in_full(request: Request, wishes: Wishes) -> Request:
    """Return the request with the demand of every model, as each step is asked it."""
    models = dict(request.models)
    for name, demand in wishes.demand.items():
        models[name] = models.get(name, ModelWishes()).model_copy(
            update={"demand": demand, "max_replicas": wishes.most_replicas.get(name)}
        )
    return request.model_copy(
        # The demands are those after all growth.
        update={"models": models, "fairness": wishes.fairness, "growth": 1.0}
    )


def _demand_of_all(question: CapacityQuestion) -> Wishes:
    """Return the wishes with a demand of every model; else what its instances yield."""
    wishes = question.wishes
    demand = dict(wishes.demand)
    most = dict(wishes.most_replicas)
    for name in question.model_names:
        if name in demand:
            continue
        best = max(
            record.throughput_infer_per_sec or 0.0
            for supply in question.supplies
            for record in supply.records.get(name, ())
        )
        # Without a demand there are exactly so many instances.
        most[name] = wishes.replicas.get(name, 1)
        demand[name] = best * most[name]
    return replace(wishes, demand=demand, most_replicas=most)
