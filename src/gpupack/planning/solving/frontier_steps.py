# Long because the steps, their budgets and their headrooms share one question.
"""The steps of a frontier: its budgets, and the placement for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.arguments import several
from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number
from gpupack.packing import most_bins, plan_capacity
from gpupack.planning.request import PRICE_UNITS, price_units, within_budget
from gpupack.planning.solving.building import Clash, build_placement
from gpupack.planning.solving.carried_plans import Step, carried
from gpupack.planning.solving.check import check_placement
from gpupack.planning.solving.step_clock import StepClock
from gpupack.planning.solving.with_choices import plan_with_choices
from gpupack.quoting import quoted
from gpupack.records.frontier import FrontierPoint
from gpupack.records.gpu import Headroom, ResourceUnit
from gpupack.records.placement import Objective, ObjectiveUnit
from gpupack.records.request import Fairness
from gpupack.report.cautions import type_text
from gpupack.report.summary import SERVED_TOLERANCE
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.placement import Placement
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.planning.request import Wishes
    from gpupack.records.request import Request

StepProgress = Callable[[int, int, str], None]
"""Told how many steps of how many are done (0 of 0: not known yet) and what is next."""

StepFound = Callable[["FrontierPoint", "Placement"], None]
"""Told a step of a frontier, and the placement behind it."""


def _tell_nobody(_: FrontierPoint, __: Placement) -> None:
    """Where the steps are wanted once all are there."""


HEADROOM_STEP = 0.01
MAX_HEADROOM = 100.0
"""Utilization headroom beyond which a step counts as never appearing."""


class FrontierSteps:
    """The budgets of one frontier, and the placement for each.

    Args:
        question: With a demand of every model.
        by: ``"gpus"`` or ``"price"``: what a budget counts.
        request: The same as it was asked, for the placements.
        clock: Says how long each step may take.
        progress: Told how many steps of how many are done, and what is done now.
        found: Told every step once it has a placement.

    Attributes:
        wanted: Weighted throughput of all that is asked for.
        not_tried: Budgets that ``walk()`` did not come to: time was up, or it was
            interrupted.
        clash: Why there is no placement for the last budget without one.
    """

    def __init__(
        self,
        question: CapacityQuestion,
        by: str,
        request: Request,
        *,
        clock: StepClock,
        progress: StepProgress,
        found: StepFound = _tell_nobody,
    ) -> None:
        self._question = question
        self._is_priced = by == "price"
        self._clock = clock
        self._request = request
        self._seed = request.seed
        self.clash: Clash | None = None
        self._progress = progress
        self._found = found
        self.not_tried: list[float] = []
        self._in_full = _served_in_full(question.wishes)
        self.wanted = math.fsum(
            demand * question.wishes.weights.get(name, 1.0)
            for name, demand in question.wishes.demand.items()
        )

    def budgets(
        self, given: Sequence[float] | None, max_points: int
    ) -> list[float] | Clash:
        """Return the budgets to plan for, ascending, or why no budget would do."""
        if given is not None:
            return self._checked(given)
        self._progress(0, 0, "looking for the range")
        wishes = self._question.wishes
        idle = replace(wishes, demand=dict.fromkeys(wishes.demand, 0.0))
        lowest = self._least(idle)
        if isinstance(lowest, Clash):
            return lowest
        too_large = _too_large(self._question)
        optional = self._in_full.optional | too_large
        highest = self._least(replace(self._in_full, optional=optional))
        if isinstance(highest, Clash):
            highest = self._all_of_any_use()
        highest = max(lowest, highest)
        if self._is_priced:
            step = (highest - lowest) / (max_points - 1)
            if step == 0:
                return [lowest]
            between = [lowest + step * index for index in range(1, max_points - 1)]
            # Prices are counted in millionths.
            return [lowest, *(round(one, 6) for one in between), highest]
        numbers = range(int(lowest), int(highest) + 1)
        if len(numbers) <= max_points:
            return [float(number) for number in numbers]
        stride = (len(numbers) - 1) / (max_points - 1)
        return [float(numbers[round(index * stride)]) for index in range(max_points)]

    def _checked(self, given: Sequence[float]) -> list[float]:
        """Return the caller's budgets, ascending.

        Raises:
            InvalidInputError: If there is none, or one cannot be meant.
        """
        found = set()
        for one in several("budgets", given, "[1, 2, 4]"):
            budget = real_number(one)
            if budget is None or not math.isfinite(budget) or budget <= 0:
                raise InvalidInputError(
                    f"a budget of {quoted(one)} is no number of GPUs or price > 0"
                )
            if not self._is_priced and budget != math.floor(budget):
                raise InvalidInputError(
                    f"a budget of {quoted(one)} is no whole number of GPUs; round it, "
                    f"or give {setting('by', 'price')} if it is a price per hour"
                )
            found.add(budget)
        if not found:
            raise InvalidInputError(
                f"{setting('budgets')} is empty: nothing to plan for; name some, such "
                "as [1, 2, 4], or leave it out for the whole range"
            )
        return sorted(found)

    def _least(self, wishes: Wishes) -> float | Clash:
        """Return the least budget that serves these demands, or why there is none."""
        asked = replace(
            self._question,
            wishes=replace(wishes, weights={}),
            objective=Objective.MIN_COST if self._is_priced else Objective.MIN_GPUS,
        )
        found = plan_with_choices(
            asked,
            time_limit_s=self._clock.for_end_of_range(),
            seed=self._seed,
            is_trial=True,
        )
        return found if isinstance(found, Clash) else found.value

    def _all_of_any_use(self) -> float:
        """Return the budget of every GPU there is, or one for each replica."""
        counts = most_bins(self._question.translated().problem)
        entries = [supply.entry for supply in self._question.supplies]
        each = [
            (entry.price_per_hour or 0.0) if self._is_priced else 1.0
            for entry in entries
        ]
        return sum(count * one for count, one in zip(counts, each, strict=True))

    def walk(
        self, budgets: Sequence[float]
    ) -> tuple[list[tuple[float, Placement]], list[float]]:
        """Return the best placement of each budget, up to the one that serves all.

        Budgets that buy nothing more than the one before are left out. When
        interrupted, what was found so far is returned, if anything was.

        Returns:
            The placements by budget, ascending, and the budgets for which none was
            found.
        """
        steps: list[Step] = []
        try:
            for index, budget in enumerate(budgets):
                time_limit_s = self._clock.for_step(len(budgets) - index)
                is_any = any(one.placement is not None for one in steps)
                if not time_limit_s and is_any:
                    break
                self._progress(index, len(budgets), self._in_words(budget))
                steps.append(self._step(budget, time_limit_s))
                placed = steps[-1].placement
                if placed is not None:
                    self._found(self._point(budget, placed, None), placed)
                if placed is not None and self._serves_all_of(placed):
                    budgets = budgets[: index + 1]
                    break
        except KeyboardInterrupt:
            if not any(one.placement is not None for one in steps):
                raise
        self.not_tried = list(budgets[len(steps) :])
        rows, without = carried(
            steps,
            is_within=self._is_within,
            rank=lambda one: (
                one.objective_value,
                self.served(one),
                -self._spent(one),
            ),
        )
        return [
            (budget, one.model_copy(update={"request": self._within(budget)[1]}))
            for budget, one in rows
        ], without

    def _step(self, budget: float, time_limit_s: float) -> Step:
        """Return what the search for one budget came to."""
        started = self._clock.now()
        question, request = self._within(budget)
        found = plan_with_choices(question, time_limit_s=time_limit_s, seed=self._seed)
        if isinstance(found, Clash):
            self.clash = found
            return Step(budget, None, self._most, "everything being served")
        placement = build_placement(found, question, request)
        check_placement(placement, question)
        placement = placement.model_copy(
            update={"seconds": self._clock.now() - started}
        )
        return Step(budget, placement, placement.bound, placement.proof)

    @property
    def _most(self) -> float:
        """The objective's value where everything is served."""
        is_share = self._question.wishes.fairness is Fairness.MAX_MIN
        return 1.0 if is_share else self.wanted

    def _serves_all_of(self, placement: Placement) -> bool:
        return self.served(placement) >= self.wanted * (1 - SERVED_TOLERANCE)

    def _is_within(self, placement: Placement, budget: float) -> bool:
        """Return whether the engine would take a placement for within a budget."""
        if not self._is_priced:
            return placement.num_gpus <= budget
        prices = [supply.entry.price_per_hour or 0.0 for supply in self._supplies]
        costs, most = within_budget(prices, budget)
        cost_of = {
            supply.entry.gpu_type.name: cost
            for supply, cost in zip(self._supplies, costs, strict=True)
        }
        used = placement.gpus_by_type
        return sum(cost_of[name] * count for name, count in used.items()) <= most

    @property
    def _supplies(self) -> Sequence[Supply]:
        return self._question.supplies

    def _in_words(self, budget: float) -> str:
        return f"{in_digits(budget, 6)} {'per hour' if self._is_priced else 'GPUs'}"

    def points(
        self, found: Sequence[tuple[float, Placement]], *, find_headroom: bool
    ) -> list[FrontierPoint]:
        """Return the record of each step, with its headroom while there is time."""
        points = []
        for index, (budget, placement) in enumerate(found):
            headroom = None
            if find_headroom:
                self._progress(index, len(found), "headroom")
                time_limit_s = self._clock.for_headroom(len(found) - index)
                try:
                    headroom = self._headroom(self._spent(placement), time_limit_s)
                except KeyboardInterrupt:
                    find_headroom = False  # the steps themselves are there
            points.append(self._point(budget, placement, headroom))
        return points

    def served(self, placement: Placement) -> float:
        """Return the weighted throughput that a placement serves."""
        if placement.objective_unit is ObjectiveUnit.INFER_PER_SEC:
            return placement.objective_value
        weights = self._question.wishes.weights
        return math.fsum(
            served * weights.get(name, 1.0)
            for name, served in placement.served_infer_per_sec.items()
        )

    def _bound(self, placement: Placement) -> float:
        """Return what no placement serves more than, in the unit of ``served``."""
        if placement.objective_unit is ObjectiveUnit.INFER_PER_SEC:
            return placement.bound
        return self.wanted  # the smallest share is bounded, not the sum

    def _within(self, budget: float) -> tuple[CapacityQuestion, Request]:
        """Return what is asked within a budget: resolved, and as it was asked."""
        if self._is_priced:
            return (
                replace(self._question, max_price_per_hour=budget),
                self._request.model_copy(update={"max_price_per_hour": budget}),
            )
        most = math.floor(budget)
        return (
            replace(self._question, max_gpus=most),
            self._request.model_copy(update={"max_gpus": most}),
        )

    def served_share(self, placement: Placement) -> dict[str, float]:
        """Return the share of its demand that each model gets, the worst first."""
        served = placement.served_infer_per_sec
        shares = {
            name: min(1.0, served.get(name, 0.0) / demand)
            for name, demand in self._question.wishes.demand.items()
            if demand > 0
        }
        return dict(sorted(shares.items(), key=lambda one: (one[1], one[0])))

    def _point(
        self, budget: float, placement: Placement, headroom: Headroom | None
    ) -> FrontierPoint:
        """Return the record of one step."""
        counts = placement.gpus_by_type
        prices = {
            entry.gpu_type.name: entry.price_per_hour
            for entry in self._question.fleet.entries
        }
        spent = [
            price * count
            for name, count in counts.items()
            if (price := prices[name]) is not None
        ]
        is_priced = len(spent) == len(counts) and any(prices.values())
        shares = self.served_share(placement)
        return FrontierPoint(
            num_gpus=placement.num_gpus,
            price_per_hour=math.fsum(spent) if is_priced else None,
            budget_per_hour=budget if self._is_priced else None,
            throughput_infer_per_sec=self.served(placement),
            bound_infer_per_sec=self._bound(placement),
            status=placement.status,
            served_share=shares,
            worst_served_share=min(shares.values(), default=None),
            headroom=headroom,
            label=" + ".join(
                f"{count} × {type_text(placement, name)}"
                for name, count in counts.items()
            )
            if len(self._question.supplies) > 1
            else None,
        )

    def _spent(self, placement: Placement) -> float:
        """Return what a placement takes of its budget, as the engine counts it."""
        if not self._is_priced:
            return float(placement.num_gpus)
        costs = {
            entry.gpu_type.name: price_units(entry.price_per_hour or 0.0)
            for entry in self._question.fleet.entries
        }
        used = placement.gpus_by_type
        return sum(costs[name] * count for name, count in used.items()) / PRICE_UNITS

    def _headroom(self, budget: float, time_limit_s: float) -> Headroom | None:
        """Return the lowest utilization headroom at which a budget serves all."""
        deadline = self._clock.now() + time_limit_s
        if not time_limit_s or not self._scaled(1.0):
            return None
        low, high = 0, round(MAX_HEADROOM / HEADROOM_STEP)
        trial = round(1.0 / HEADROOM_STEP)
        if not self._serves_all(budget, MAX_HEADROOM, deadline):
            return None
        while high - low > 1:
            if self._clock.now() > deadline:
                # What is not known to be lowest is no answer.
                return None
            if self._serves_all(budget, trial * HEADROOM_STEP, deadline):
                high = trial
            else:
                low = trial
            # Doubling first: most steps appear not far above 1.
            trial = min(2 * low, (low + high) // 2) if low else (low + high) // 2
            trial = max(low + 1, trial)
        return self._scaled(round(high * HEADROOM_STEP, 2))

    def _scaled(self, share: float) -> Headroom | None:
        """Return the headroom with this share of every utilization that binds."""
        shares = {
            resource.value: share if resource.unit is ResourceUnit.PERCENT else own
            for resource, own in self._question.headroom
        }
        has_utilization = any(
            resource.unit is ResourceUnit.PERCENT
            for resource, _ in self._question.headroom
        )
        return Headroom(**shares) if has_utilization else None

    def _serves_all(self, budget: float, share: float, deadline: float) -> bool:
        headroom = self._scaled(share)
        if headroom is None:
            return False
        asked = replace(
            self._question,
            headroom=headroom,
            objective=Objective.MIN_COST if self._is_priced else Objective.MIN_GPUS,
            wishes=replace(self._in_full, weights={}),
        )
        translation = asked.translated()
        plan = plan_capacity(
            translation.problem,
            asked.goal,
            time_limit_s=min(2.0, max(0.0, deadline - self._clock.now())),
            seed=self._seed,
            num_workers=asked.num_workers,
        )
        return plan.is_found and plan.value <= asked.in_units(budget) * (1 + 1e-9)


def _served_in_full(wishes: Wishes) -> Wishes:
    """Return the wishes without leave to drop a model of which anything is wanted."""
    unwanted = frozenset(name for name in wishes.optional if not wishes.demand[name])
    return replace(wishes, optional=unwanted)


def _too_large(question: CapacityQuestion) -> frozenset[str]:
    """Return the optional models that no GPU holds even alone."""
    translation = question.translated()
    problem = translation.problem
    return frozenset(
        name
        for name, options in zip(
            translation.model_names, problem.options_by_job, strict=True
        )
        if name in question.wishes.optional
        and not any(problem.fits_alone(problem.options[one]) for one in options)
    )
