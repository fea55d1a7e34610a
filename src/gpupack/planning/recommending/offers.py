"""Plans that cost less than the one to buy, and the least that is given up for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, InfeasibleError
from gpupack.planning.placing import place
from gpupack.planning.recommending.questions import with_slow_downs, without_reserve
from gpupack.recommendation import BuyOption
from gpupack.records.placement import PlacementStatus
from gpupack.records.request import Billing, GpuSupply, Objective
from gpupack.report.cautions import lowest_kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.placement import Placement
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.recommending.questions import Wanted
    from gpupack.profile_set import ProfileSet
    from gpupack.records.request import Request

_PRICE_TOLERANCE = 1e-9


@dataclass
class LesserOffers:
    """What would do with less, asked from the most that is given up to the least.

    Args:
        slower: Where slow-downs are fine; None if that takes no less than what gives
            up less.
        slower_keeps_reserve: Whether the reserve need not be given up for it.
        is_less_ruled_out: Whether it is proved that slow-downs take no less.
        without_reserve: Where the reserve alone is given up; None if that takes no
            less.
        is_reserve_alone_ruled_out: Whether it is proved that giving up the reserve
            alone does not do what ``slower`` does.
    """

    slower: BuyOption | None = None
    slower_keeps_reserve: bool = False
    is_less_ruled_out: bool = False
    without_reserve: BuyOption | None = None
    is_reserve_alone_ruled_out: bool = True

    def ask_with_slow_downs(
        self, profiles: ProfileSet, request: Request, busy: Wanted, bought: BuyOption
    ) -> None:
        """Find what would do where slow-downs are fine, and the reserve is given up."""
        asked = with_slow_downs(profiles, request, busy)
        plan, self.is_less_ruled_out = plan_or_none(profiles, asked)
        self.slower = if_less(plan, bought)

    def ask_without_reserve(
        self,
        profiles: ProfileSet,
        request: Request,
        busy: Wanted,
        bought: BuyOption,
        question: CapacityQuestion,
    ) -> None:
        """Find what would do without the reserve, and what it is needed for besides."""
        if busy.has_demands and self.slower is None and self.is_less_ruled_out:
            return  # what is kept as predicted is kept by plain sums, too
        plan, _ = plan_or_none(profiles, without_reserve(request, question))
        self.without_reserve = if_less(plan, bought)
        if self.slower is None:
            return
        if plan is not None and not _is_less(self.slower, option_of(plan)):
            self.slower = None  # it would give up more for no less
            return
        self.is_reserve_alone_ruled_out = plan is not None and (
            _counted(self.slower) < plan.bound * (1 - _PRICE_TOLERANCE)
        )
        if busy.has_demands:
            asked = with_slow_downs(profiles, request, busy, keeps_reserve=True)
            kept, _ = plan_or_none(profiles, asked)
            if kept is not None and not _is_less(self.slower, option_of(kept)):
                self.slower, self.slower_keeps_reserve = option_of(kept), True


def plan_or_none(
    profiles: ProfileSet, request: Request
) -> tuple[Placement | None, bool]:
    """Return the plan for a request, if any, and whether it is proved the least.

    That there is none is a proof, too. The number to buy stands without the one beside
    it, which may need more time or readings than there are.
    """
    try:
        plan = place(profiles, request=request)
    except InfeasibleError:
        return None, True
    except GpupackError:
        return None, False
    return plan, plan.status is PlacementStatus.OPTIMAL


def if_less(plan: Placement | None, bought: BuyOption) -> BuyOption | None:
    """Return a plan's numbers if it costs less, or takes fewer GPUs, than another's."""
    if plan is None:
        return None
    option = option_of(plan)
    return option if _is_less(option, bought) else None


def _is_less(one: BuyOption, other: BuyOption) -> bool:
    return _counted(one) < _counted(other) - _PRICE_TOLERANCE


def _counted(one: BuyOption) -> float:
    """Return what was made small: the price that counts, or the number of GPUs."""
    if one.request.objective is not Objective.MIN_COST:
        return one.num_gpus
    is_reserved = one.request.billing is Billing.RESERVED
    price = one.reserved_price_per_hour if is_reserved else one.price_per_hour
    return math.inf if price is None else price


def option_of(plan: Placement) -> BuyOption:
    """Return a plan in the numbers that somebody decides by."""
    if plan.request is None:
        raise ValueError("a plan that place() made holds its request")
    counts = plan.gpus_by_type
    least = lowest_kept(plan)
    return BuyOption(
        num_gpus=plan.num_gpus,
        num_gpus_by_type=dict(counts),
        price_per_hour=_price(plan.request, counts, "price"),
        reserved_price_per_hour=_price(plan.request, counts, "reserved_price"),
        is_proved=plan.status is PlacementStatus.OPTIMAL,
        bound=plan.bound,
        lowest_kept_ratio=None if least is None else least[0],
        request=plan.request,
    )


def _price(request: Request, counts: Mapping[str, int], which: str) -> float | None:
    """Return what GPUs cost per hour, None if one of them has no such price."""
    supplies = request.gpus if isinstance(request.gpus, dict) else {}
    folded = {name.partition(":")[0].casefold(): one for name, one in supplies.items()}
    prices = [
        getattr(folded.get(name.casefold(), GpuSupply()), which) for name in counts
    ]
    if not prices or any(price is None for price in prices):
        return None
    return math.fsum(
        price * count for price, count in zip(prices, counts.values(), strict=True)
    )
