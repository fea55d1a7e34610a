"""Which GPUs to buy: ``recommend()``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Unpack

from gpupack.packing import Deadline, passing_interrupts_on
from gpupack.planning.modeling import ask
from gpupack.planning.placing import place
from gpupack.planning.reasons import explain_question
from gpupack.planning.recommending.evidence import evidence_of
from gpupack.planning.recommending.offers import (
    LesserOffers,
    if_less,
    option_of,
    plan_or_none,
)
from gpupack.planning.recommending.questions import (
    Wanted,
    by_estimates,
    for_memory_alone,
    for_what_is_busy,
    on_measured_types,
    without_trade_offs,
)
from gpupack.planning.recommending.reserve import (
    KEPT_BASE,
    Reserve,
    asked_reserve,
    reserve_for,
)
from gpupack.planning.request import (
    ProfilesLike,
    profiles_of,
    request_of,
    takes_wishes,
    unpriced,
    wishes_beside,
)
from gpupack.quoting import listed, quoted_all
from gpupack.recommendation import Assumption, Recommendation
from gpupack.records.placement import ObjectiveUnit, PlacementRecord
from gpupack.records.request import Billing, Request, RequestArguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.placement import Placement
    from gpupack.planning.solving import StepProgress
    from gpupack.profile_set import ProfileSet
    from gpupack.records.explanation import SavingChange

_PRICE_TOLERANCE = 1e-9
CHANGES_LIMIT_S = 10.0
"""For trying what would save one more."""
_NUM_STEPS = 5


@takes_wishes
@passing_interrupts_on()
def recommend(
    profiles: ProfilesLike,
    request: Request | None = None,
    *,
    reserve: float | str | None = None,
    progress: StepProgress | None = None,
    **asked: Unpack[RequestArguments],
) -> Recommendation:
    """Return what to buy: one number, what it rests on, and the numbers beside it.

    With demands, every one of them is met as predicted, and a reserve above it.
    Without, all models may be busy at once: each is at the load point at which it
    yields most, and keeps a share of its throughput beside its neighbors. The cheapest
    GPUs where all have prices, else the fewest. Beside it stand the numbers that would
    do without the reserve and if slow-downs are fine, each where nothing less is given
    up for it, and the one that holds the models in memory alone.

    Takes up to six times the time limit, which is 10 s if left out. When interrupted
    after the plan to buy was found, that is returned, and what was not asked any more
    is left out.

    Args:
        profiles: As for ``place()``. Where the server's own memory was not, every
            model's memory counts in full.
        request: What is asked, or arguments as those of ``place()`` beside it.
        reserve: Planned for above every demand: 0.2 or "20%" is a fifth. Left out,
            5 % and as much again for every reason to doubt the data: nothing was
            measured together on the GPU, measurements never settled or are not known
            to have.
        progress: Called before every step with how many are done, of how many, and
            what is done next.

    Raises:
        InvalidInputError: If a wish cannot be used, or the reserve is below 0.
        MissingReadingError: If the prediction lacks a reading.
        InfeasibleError: If the GPUs that there are do not do.
        NotFoundInTimeError: If no plan was found within the time limit.
    """
    beside = wishes_beside(profiles)
    profiles = profiles_of(profiles)
    wanted_reserve = None if reserve is None else asked_reserve(reserve)
    wanted, notes = request_of(profiles, None, request, asked, beside=beside)
    wanted, not_counted = without_trade_offs(wanted, profiles.model_names)
    notes += not_counted
    measured = on_measured_types(profiles, wanted)
    question = ask(profiles, measured)
    found_reserve = wanted_reserve or reserve_for(question)
    busy = for_what_is_busy(measured, question, found_reserve)
    tell = progress or (lambda done, total, text: None)
    tell(0, _NUM_STEPS, "the plan to buy")
    plan = place(profiles, request=busy.request)
    if notes:
        plan = plan.model_copy(update={"warnings": (*plan.warnings, *notes)})
    bought = option_of(plan)
    offers = LesserOffers()
    memory_only = estimated = None
    changes: tuple[SavingChange, ...] = ()
    is_interrupted = False
    try:
        tell(1, _NUM_STEPS, "if slow-downs are fine")
        offers.ask_with_slow_downs(profiles, measured, busy, bought)
        if found_reserve.ratio:
            tell(2, _NUM_STEPS, "without the reserve")
            offers.ask_without_reserve(profiles, measured, busy, bought, question)
        tell(3, _NUM_STEPS, "memory alone")
        memory_only, _ = plan_or_none(profiles, for_memory_alone(measured, busy))
        if measured is not wanted:
            asked_of_all = by_estimates(profiles, wanted, busy)
            estimated, _ = plan_or_none(profiles, asked_of_all)
        tell(4, _NUM_STEPS, "what would save one more")
        changes = _changes(plan, profiles)
    except KeyboardInterrupt:
        is_interrupted = True  # what to buy is there, and all that counts
    return Recommendation(
        buy=bought,
        without_reserve=offers.without_reserve,
        is_reserve_alone_ruled_out=offers.is_reserve_alone_ruled_out,
        slower=offers.slower,
        slower_keeps_reserve=offers.slower_keeps_reserve,
        is_less_ruled_out=offers.is_less_ruled_out,
        memory_only=None if memory_only is None else option_of(memory_only),
        estimated=if_less(estimated, bought),
        has_demands=busy.has_demands,
        reserve_ratio=found_reserve.ratio,
        min_kept_ratio=busy.min_kept_ratio,
        changes=changes,
        is_interrupted=is_interrupted,
        assumptions=(
            *_assumptions(busy, found_reserve, plan),
            *(
                [_SERVER_MEMORY]
                if any(one.is_server_in_models for one in question.supplies)
                else []
            ),
        ),
        models=evidence_of(plan, profiles, wanted),
        currency=wanted.currency,
        placement=PlacementRecord.model_validate(
            # What does not bind has no share, and is no share that is asked for.
            plan.model_dump(exclude_none=True)
        ),
    )


_SERVER_MEMORY = Assumption(
    text="the server's own memory was not measured, so every model's memory counts in "
    "full, which is safe and may take a GPU more",
    argument="a row without a model name in the table, or profile()",
    flag="a row without a model name in the table, or gpupack profile",
)


def _changes(plan: Placement, profiles: ProfileSet) -> tuple[SavingChange, ...]:
    """Return the changes that give what is proved impossible without them.

    Of a plan that is not proved to be the least, a search that goes another way may
    find a cheaper one by chance; no change is to be credited with that.
    """
    if plan.request is None or plan.objective_unit is ObjectiveUnit.INFER_PER_SEC:
        return ()
    question = ask(profiles, plan.request)
    deadline = Deadline.after(min(CHANGES_LIMIT_S, plan.request.time_limit_s))
    changes = explain_question(plan, question, deadline=deadline).changes
    unit = plan.objective_unit
    return tuple(
        one.model_copy(update={"unit": one.unit or unit})
        for one in changes
        if one.value < plan.bound * (1 - _PRICE_TOLERANCE)
    )


def _assumptions(
    busy: Wanted, reserve: Reserve, plan: Placement
) -> tuple[Assumption, ...]:
    reasons = "; ".join(reserve.reasons)
    sharing = (plan.sharing_mode or "host").replace("_", " ")
    found: list[Assumption] = []
    if busy.has_demands:
        if len(busy.idle) < len(plan.served_infer_per_sec):
            found.append(_reserve_above(reserve, reasons))
        if busy.idle:
            found.append(_loaded(busy.idle))
        if busy.without_demand:
            found.append(
                Assumption(
                    text=f"no demand is known of {quoted_all(busy.without_demand)}: "
                    "each runs once, busy all the time, and reaches what its "
                    "neighbors leave it",
                    argument=f"demand={{{busy.without_demand[0]!r}: 20}}",
                    flag=f"--demand {shlex.quote(busy.without_demand[0])}=20",
                )
            )
    else:
        found += [
            Assumption(
                text="no demand is known: all models are busy at once, each at the "
                "load point at which it yields most",
                argument='demand={"resnet": 20}',
                flag="--demand resnet=20",
            ),
            Assumption(
                text=f"every model shall keep {busy.min_kept_ratio:.0%} of its "
                "throughput alone"
                + ("" if busy.is_kept_share_asked else _kept_because(busy, reasons)),
                argument="min_retention=0.7",
                flag="--min-retention 0.7",
            ),
        ]
    if plan.sharing_mode is not None:
        found.append(
            Assumption(
                text=f"models share a GPU through {sharing}",
                argument='sharing="mps"',
                flag="--sharing mps",
            )
        )
    if plan.objective_unit is not ObjectiveUnit.PRICE_PER_HOUR:
        found.append(_fewest_because(plan))
    return tuple(found)


def _reserve_above(reserve: Reserve, reasons: str) -> Assumption:
    return Assumption(
        text=f"a reserve of {reserve.ratio:.0%} above every demand: {reasons}",
        argument="reserve=0.2",
        flag="--reserve 0.2",
    )


def _loaded(idle: Sequence[str]) -> Assumption:
    """Return what a demand of 0 is taken for."""
    are = "is loaded and has" if len(idle) == 1 else "are loaded and have"
    return Assumption(
        text=f"{quoted_all(idle)} {are} no traffic to meet: a demand of 0",
        argument=f"demand={{{idle[0]!r}: 20}}",
        flag=f"--demand {shlex.quote(idle[0])}=20",
    )


def _fewest_because(plan: Placement) -> Assumption:
    """Return that no price counts, and which one would have to be known."""
    lacking = unpriced(plan.fleet)
    if plan.request is not None and plan.request.billing is Billing.RESERVED:
        return Assumption(
            text=f"no reserved price of {listed(lacking)} is known, so the fewest GPUs "
            "count",
            argument=f"reserved_prices={{{lacking[0]!r}: 0.22}}",
            flag=f"--reserved-price {shlex.quote(f'{lacking[0]}=0.22')}",
        )
    return Assumption(
        text=f"no price of {listed(lacking)} is known, so the fewest GPUs count",
        argument=f"prices={{{lacking[0]!r}: 0.35}}",
        flag=f"--price {shlex.quote(f'{lacking[0]}=0.35')}",
    )


def _kept_because(busy: Wanted, reasons: str) -> str:
    in_reserve = (busy.min_kept_ratio or KEPT_BASE) - KEPT_BASE
    return f", {KEPT_BASE:.0%} and a reserve of {in_reserve:.0%}: {reasons}"
