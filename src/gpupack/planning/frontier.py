"""The trade-off between hardware and throughput: ``frontier()``."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, InvalidInputError
from gpupack.packing.capacity.solve import plan_capacity
from gpupack.planning.capacity import place_with_choices
from gpupack.planning.fleet import GpusLike, require_prices
from gpupack.planning.headroom import HeadroomLike
from gpupack.planning.load_points import LoadPointLike
from gpupack.planning.place import require_valid_search
from gpupack.planning.question import CapacityQuestion, ask
from gpupack.planning.trade_off import SERVED_TOLERANCE, Frontier
from gpupack.planning.translation import PRICE_UNITS, price_units
from gpupack.planning.wishes import (
    LatencyLimitLike,
    ReplicasLike,
    Wishes,
    resolve_wishes,
)
from gpupack.records.frontier import FrontierPoint
from gpupack.records.gpu import Headroom, Resource
from gpupack.records.placement import Objective, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet

HEADROOM_STEP = 0.01
MAX_HEADROOM = 100.0
"""Utilization headroom beyond which a step counts as never appearing."""


def frontier(
    profiles: ProfileSet,
    *,
    by: str = "gpus",
    budgets: Sequence[float] | None = None,
    max_points: int = 20,
    gpus: GpusLike | None = None,
    prices: Mapping[str, float] | None = None,
    headroom: HeadroomLike = 1.0,
    load_point: LoadPointLike | None = None,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    replicas: ReplicasLike | None = None,
    weights: Mapping[str, float] | None = None,
    optional: Sequence[str] = (),
    find_headroom: bool = True,
    time_limit_s: float = 10.0,
    seed: int = 0,
    allow_unstable: bool = False,
) -> Frontier:
    """Return the most throughput for each number of GPUs, or for each budget.

    From the fewest GPUs that hold every model to the fewest on which nothing more is
    gained: every demand is met. A model without a demand is taken to want what its
    instances yield at their best load point; in between it is slowed down, and never
    gets more instances than ``replicas``.

    Args:
        profiles: As for ``place()``, and so are the arguments not listed here.
        by: ``"gpus"`` for numbers of GPUs, ``"price"`` for budgets per hour.
        budgets: The numbers of GPUs, or the prices per hour, to plan for; left out,
            at most ``max_points`` of them, evenly spread over the whole range, less
            those that yield no more than the one before.
        max_points: See ``budgets``.
        gpus: As for ``place()``.
        prices: As for ``place()``; needed for ``by="price"``.
        headroom: Memory and both utilizations bind, as for ``max_throughput``.
        load_point: As for ``place()``.
        demand: As for ``place()``.
        latency_limit_ms: As for ``place()``.
        latency_percentile: As for ``place()``.
        replicas: As for ``place()``.
        weights: As for ``place()``; the throughput is then a weighted one.
        optional: As for ``place()``: left out while GPUs are few, but wanted all the
            same, so that the last step serves them, too.
        find_headroom: Also search, for each step, the lowest headroom of the
            utilizations (in whole percent) at which as many GPUs
            as it uses, or as much money as it spends, serve everything: what the step
            takes from the models, in the terms of ``headroom``. None where memory is
            in the way.
        time_limit_s: For each step.
        seed: For every random choice.
        allow_unstable: As for ``place()``.

    Returns:
        The steps, in the order of the budget, each with its placement and bound. A
        budget for which no placement was found within the time limit has no step, but
        is among its ``budgets_not_placed``.

    Raises:
        InvalidInputError: If an argument cannot be used, or prices are missing.
        InfeasibleError: If the models do not even fit when idle, or a budget is too
            small for that.
    """
    require_valid_search(time_limit_s, seed)
    if by not in {"gpus", "price"}:
        raise InvalidInputError(f'by is {by!r}; it must be "gpus" or "price"')
    if max_points < 2:
        raise InvalidInputError(f"max_points is {max_points}; it must be at least 2")
    question = ask(
        profiles,
        Objective.MAX_THROUGHPUT,
        gpus=gpus,
        prices=prices,
        headroom=headroom,
        load_point=load_point,
        wishes=resolve_wishes(
            profiles.model_names,
            demand=demand,
            latency_limit_ms=latency_limit_ms,
            latency_percentile=latency_percentile,
            replicas=replicas,
            weights=weights,
            optional=optional,
        ),
        carry_memory_over=False,
        sharing=None,
        allow_unstable=allow_unstable,
    )
    if by == "price":
        require_prices(question.fleet)
    question = replace(question, wishes=_demand_of_all(question))
    steps = _Steps(question, by, time_limit_s=time_limit_s, seed=seed)
    found = list(steps.walk(steps.budgets(budgets, max_points)))
    if budgets is None:
        found = _steps_up(found)
    return Frontier(
        points=tuple(
            steps.point(budget, placement, find_headroom=find_headroom)
            for budget, placement in found
        ),
        placements=tuple(placement for _, placement in found),
        wanted_infer_per_sec=steps.wanted,
        budgets_not_placed=tuple(steps.not_placed),
    )


def _steps_up(
    found: Sequence[tuple[float, Placement]],
) -> list[tuple[float, Placement]]:
    """Leave out budgets for which more money buys nothing more."""
    kept: list[tuple[float, Placement]] = []
    for budget, placement in found:
        if kept and placement.objective_value <= kept[-1][1].objective_value:
            continue
        kept.append((budget, placement))
    return kept


def _demand_of_all(question: CapacityQuestion) -> Wishes:
    """Return the wishes with a demand of every model; else what its instances yield."""
    wishes = question.wishes
    demand = dict(wishes.demand)
    most = {}
    for name in question.model_names:
        if name in demand:
            continue
        best = max(
            record.throughput_infer_per_sec or 0.0
            for supply in question.supplies
            for record in supply.records.get(name, ())
        )
        most[name] = wishes.replicas.get(name, 1)
        demand[name] = best * most[name]
    return replace(wishes, demand=demand, most_replicas=most)


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


class _Steps:
    """The budgets of one frontier, and the placement for each."""

    def __init__(
        self, question: CapacityQuestion, by: str, *, time_limit_s: float, seed: int
    ) -> None:
        self._question = question
        self._is_priced = by == "price"
        self._time_limit_s = time_limit_s
        self._seed = seed
        self.not_placed: list[float] = []
        self._in_full = _served_in_full(question.wishes)
        self.wanted = math.fsum(
            demand * question.wishes.weights.get(name, 1.0)
            for name, demand in question.wishes.demand.items()
        )

    def budgets(self, given: Sequence[float] | None, max_points: int) -> list[float]:
        """Return the budgets to plan for, ascending."""
        if given is not None:
            for budget in given:
                if not math.isfinite(budget) or budget <= 0:
                    raise InvalidInputError(
                        f"a budget of {budget} is no number of GPUs or price > 0"
                    )
                if not self._is_priced and budget != math.floor(budget):
                    raise InvalidInputError(
                        f"a budget of {budget} is no whole number of GPUs; round it, "
                        'or give by="price" if it is a price per hour'
                    )
            return sorted(set(given))
        wishes = self._question.wishes
        idle = replace(wishes, demand=dict.fromkeys(wishes.demand, 0.0))
        lowest = self._least(idle)
        if lowest is None:
            # Says which models clash with what.
            place_with_choices(
                replace(self._question, objective=Objective.MIN_GPUS, wishes=idle),
                time_limit_s=self._time_limit_s,
                seed=self._seed,
            )
            raise InfeasibleError("no placement holds the models")
        too_large = _too_large(self._question)
        optional = self._in_full.optional | too_large
        highest = self._least(replace(self._in_full, optional=optional))
        if highest is None:
            highest = self._everything_there_is()
        highest = max(lowest, highest)
        if self._is_priced:
            step = (highest - lowest) / (max_points - 1)
            if step == 0:
                return [lowest]
            between = [lowest + step * index for index in range(1, max_points - 1)]
            return [lowest, *(round(one, 4) for one in between), highest]
        numbers = range(int(lowest), int(highest) + 1)
        if len(numbers) <= max_points:
            return [float(number) for number in numbers]
        stride = (len(numbers) - 1) / (max_points - 1)
        return [float(numbers[round(index * stride)]) for index in range(max_points)]

    def _least(self, wishes: Wishes) -> float | None:
        """Return the least budget that serves these demands; None if none is found."""
        asked = replace(
            self._question,
            wishes=replace(wishes, weights={}),
            objective=Objective.MIN_COST if self._is_priced else Objective.MIN_GPUS,
        )
        try:
            placement = place_with_choices(
                asked, time_limit_s=self._time_limit_s, seed=self._seed, diagnose=False
            )
        except InfeasibleError:
            return None
        return placement.objective_value

    def _everything_there_is(self) -> float:
        total = 0.0
        for entry in self._question.fleet.entries:
            each = (entry.price_per_hour or 0.0) if self._is_priced else 1.0
            total += (entry.num_gpus or 0) * each
        return total

    def walk(self, budgets: Sequence[float]) -> Iterator[tuple[float, Placement]]:
        """Yield the best placement of each budget, up to the one that serves all.

        A budget for which none was found in time is left out.
        """
        previous: Placement | None = None
        for budget in budgets:
            try:
                placement = place_with_choices(
                    self._within(self._question, budget),
                    time_limit_s=self._time_limit_s,
                    seed=self._seed,
                    diagnose=budget == budgets[-1],
                )
            except InfeasibleError:
                if budget == budgets[-1] and previous is None:
                    raise
                self.not_placed.append(budget)
                continue
            if (
                previous is not None
                and previous.objective_value > placement.objective_value
            ):
                # Cut short by the time limit: what did for less does for more.
                bound = max(placement.bound, previous.objective_value)
                placement = previous.model_copy(
                    update={
                        "bound": bound,
                        "gap": (bound - previous.objective_value)
                        / previous.objective_value,
                        "status": PlacementStatus.FEASIBLE,
                    }
                )
            yield budget, placement
            previous = placement
            if placement.objective_value >= self.wanted * (1 - SERVED_TOLERANCE):
                return

    def _within(self, question: CapacityQuestion, budget: float) -> CapacityQuestion:
        if self._is_priced:
            return replace(question, max_price_per_hour=budget)
        return replace(question, max_gpus=math.floor(budget))

    def point(
        self, budget: float, placement: Placement, *, find_headroom: bool
    ) -> FrontierPoint:
        """Return the record of one step."""
        counts: dict[str, int] = {}
        for gpu in placement.gpus:
            name = gpu.gpu_type.name
            counts[name] = counts.get(name, 0) + 1
        prices = {
            entry.gpu_type.name: entry.price_per_hour
            for entry in self._question.fleet.entries
        }
        each = [prices[gpu.gpu_type.name] for gpu in placement.gpus]
        known = [price for price in each if price is not None]
        return FrontierPoint(
            num_gpus=placement.num_gpus,
            price_per_hour=math.fsum(known) if len(known) == len(each) else None,
            budget_per_hour=budget if self._is_priced else None,
            throughput_infer_per_sec=placement.objective_value,
            bound_infer_per_sec=placement.bound,
            status=placement.status,
            headroom=self._headroom(self._spent(placement)) if find_headroom else None,
            label=" + ".join(f"{count} × {name}" for name, count in counts.items())
            if len(self._question.supplies) > 1
            else None,
        )

    def _spent(self, placement: Placement) -> float:
        """Return what a placement takes of its budget, as the engine counts it."""
        if not self._is_priced:
            return float(placement.num_gpus)
        costs = {
            entry.gpu_type.name: price_units(entry)
            for entry in self._question.fleet.entries
        }
        return sum(costs[gpu.gpu_type.name] for gpu in placement.gpus) / PRICE_UNITS

    def _headroom(self, budget: float) -> Headroom | None:
        """Return the lowest utilization headroom at which a budget serves all."""
        if not self._scaled(1.0):
            return None
        deadline = time.perf_counter() + self._time_limit_s
        low, high = 0, round(MAX_HEADROOM / HEADROOM_STEP)
        trial = round(1.0 / HEADROOM_STEP)
        if not self._serves_all(budget, MAX_HEADROOM):
            return None
        while high - low > 1:
            if time.perf_counter() > deadline:
                # What is not known to be lowest is no answer.
                return None
            if self._serves_all(budget, trial * HEADROOM_STEP):
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
            resource.value: own if resource is Resource.MEMORY else share
            for resource, own in self._question.headroom
        }
        is_memory_only = set(shares) <= {Resource.MEMORY.value}
        return None if is_memory_only else Headroom(**shares)

    def _serves_all(self, budget: float, share: float) -> bool:
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
            time_limit_s=min(2.0, self._time_limit_s),
            seed=self._seed,
        )
        return plan.is_found and plan.value <= asked.in_units(budget) * (1 + 1e-9)
