"""Ask a placement's question again, with something changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, InfeasibleError
from gpupack.packing import Deadline, most_service, plan_capacity
from gpupack.planning.modeling import best_records
from gpupack.planning.request import PRICE_UNITS
from gpupack.planning.solving import Clash, answer
from gpupack.records.gpu import HOST_SHARES, Fleet
from gpupack.records.placement import Objective, ObjectiveUnit
from gpupack.report.summary import SERVED_TOLERANCE

if TYPE_CHECKING:
    from gpupack.planning.modeling import CapacityQuestion, Supply
    from gpupack.records.gpu import FleetEntry, Headroom, Resource
    from gpupack.records.placement import PlacementRecord

EXPLANATION_LIMIT_S = 20.0
STEP_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The objective of a changed question, in the placement's unit.

    Args:
        value: Of the plan found.
        bound: Proven: none is better.
        proof: What proved the bound.
    """

    value: float
    bound: float
    proof: str


class WhatIf:
    """A placement, the question it answers, and the time left for asking again.

    Where the number of GPUs or their price is what counts, ``question`` asks for the
    fewest, or the cheapest, at the records in use.
    """

    def __init__(
        self,
        placement: PlacementRecord,
        question: CapacityQuestion,
        *,
        deadline: Deadline | None = None,
        must_serve: float | None = None,
        serves_as_now: bool = False,
    ) -> None:
        self.placement = placement
        self.asked = question
        self.must_serve = must_serve
        """Weighted infer/sec that fewer GPUs must serve as well; None for no such."""
        self._serves_as_now = serves_as_now
        self.unit = placement.objective_unit
        self.question = (
            question
            if self.unit.is_maximized
            else replace(
                question,
                objective=Objective.MIN_COST
                if self.unit is ObjectiveUnit.PRICE_PER_HOUR
                else Objective.MIN_GPUS,
                supplies=_as_placed(placement, question),
                wishes=replace(question.wishes, weights={}),
            )
        )
        self._deadline = deadline or Deadline.after(EXPLANATION_LIMIT_S)

    @property
    def is_out_of_time(self) -> bool:
        """Whether no more should be asked."""
        return self._deadline.has_passed

    @cached_property
    def serves_all(self) -> bool:
        """Whether everything that is wanted is served, so that less would do, too."""
        value = self.placement.objective_value
        if self.unit is ObjectiveUnit.SERVED_SHARE:
            return value >= 1 - SERVED_TOLERANCE
        if self.unit is not ObjectiveUnit.INFER_PER_SEC:
            return False
        if self.question.maximizes_predicted:
            return False
        translation = self.question.translated()
        most = most_service(translation.problem)
        wanted = translation.weighted_infer_per_sec(most)
        return value >= wanted * (1 - SERVED_TOLERANCE)

    def counting_gpus(self) -> WhatIf:
        """Return what asks for the fewest GPUs that serve what is served now."""
        placed = {name for gpu in self.placement.gpus.runs for name in gpu.models}
        wishes = replace(
            self.asked.wishes, optional=self.asked.wishes.optional - placed
        )
        counted = {
            "objective_unit": ObjectiveUnit.GPUS,
            "objective_value": float(self.placement.num_gpus),
        }
        return WhatIf(
            self.placement.model_copy(update=counted),
            replace(self.asked, wishes=wishes),
            deadline=self._deadline,
            must_serve=self.placement.objective_value
            if self.unit is ObjectiveUnit.INFER_PER_SEC
            else None,
            serves_as_now=True,
        )

    @property
    def takes_best_records(self) -> bool:
        """Whether every model runs at its best load point, on the fewest GPUs."""
        return (
            self.asked.objective is Objective.MAX_THROUGHPUT
            and not self.unit.is_maximized
            and self.must_serve is None
        )

    def with_headroom(self, headroom: Headroom) -> CapacityQuestion:
        """Return the question with another headroom; best load points follow it.

        Raises:
            InfeasibleError: If a model fits on no GPU then.
        """
        return self._at_best_records(replace(self.question, headroom=headroom))

    def with_host(self, resource: Resource, least: float) -> CapacityQuestion:
        """Return the question where GPUs that have less of their host have so much.

        Those of which nobody said it are as they were; best load points follow.

        Raises:
            InfeasibleError: If a model fits on no GPU then.
        """

        def grown(entry: FleetEntry) -> FleetEntry:
            share = entry.gpu_type.capacity_of(resource)
            if share is None or share >= least:
                return entry
            more = entry.gpu_type.model_copy(update={HOST_SHARES[resource]: least})
            return entry.model_copy(update={"gpu_type": more})

        entries = self.question.fleet.entries
        return self._at_best_records(
            replace(
                self.question,
                supplies=tuple(
                    replace(one, entry=grown(one.entry))
                    for one in self.question.supplies
                ),
                fleet=Fleet(entries=tuple(map(grown, entries))),
            )
        )

    def _at_best_records(self, question: CapacityQuestion) -> CapacityQuestion:
        """Return a changed question with the load points that are the best then."""
        if not self.takes_best_records:
            return question
        supplies = []
        for one, changed in zip(self.asked.supplies, question.supplies, strict=True):
            of_all = replace(changed, records=one.records)
            best = best_records(
                of_all, question.headroom, by_sizes=not self.asked.min_retention
            )
            if isinstance(best, InfeasibleError):
                if self._serves_as_now:
                    return question  # Not every type need hold what runs on some.
                raise best
            supplies.append(replace(of_all, records=best))
        return replace(question, supplies=tuple(supplies))

    def serves_as_much(self, question: CapacityQuestion) -> bool:
        """Return whether a question in full serves all that must be served."""
        if self.must_serve is None:
            return True
        wishes = self.asked.wishes
        most = math.fsum(
            wishes.weights.get(name, 1.0)
            * (
                wishes.demand[name]
                if name in wishes.demand
                else wishes.replicas.get(name, 1) * _least_throughput(question, name)
            )
            for name in question.model_names
            if name not in question.wishes.optional
        )
        return most >= self.must_serve * (1 - SERVED_TOLERANCE)

    def outcome(self, question: CapacityQuestion) -> Outcome | None:
        """Return what a changed question yields, None if no plan is found for it."""
        if question.min_retention or question.maximizes_predicted:
            return self._answered(question)
        translation = question.translated()
        plan = plan_capacity(
            translation.problem,
            question.goal,
            time_limit_s=min(STEP_LIMIT_S, self._deadline.remaining_s),
            seed=self.placement.seed,
            num_workers=question.num_workers,
        )
        if not plan.is_found:
            return None
        value, bound = plan.value, plan.bound
        if self.unit is ObjectiveUnit.PRICE_PER_HOUR:
            value, bound = value / PRICE_UNITS, bound / PRICE_UNITS
        elif self.unit is ObjectiveUnit.INFER_PER_SEC:
            value = translation.weighted_infer_per_sec(value)
            bound = translation.weighted_infer_per_sec(bound)
        return Outcome(value, bound, plan.proved_by)

    def better_value(self, question: CapacityQuestion) -> float | None:
        """Return the value of the plan found, None if it is no better than now.

        A plan that stops at the time limit may be another the next time it is asked
        for, so that whoever needs the value must not ask twice.
        """
        found = self.outcome(question)
        if found is None:
            return None
        now = self.placement.objective_value
        sign = -1 if self.unit.is_maximized else 1
        is_better = sign * (now - found.value) > 1e-9 * max(1.0, math.fabs(now))
        return found.value if is_better else None

    def _answered(self, question: CapacityQuestion) -> Outcome | None:
        """Return the outcome where sets of models are judged, not only sums."""
        try:
            found = answer(
                question,
                time_limit_s=min(STEP_LIMIT_S, self._deadline.remaining_s),
                seed=self.placement.seed,
                is_trial=True,
            )
        except GpupackError:
            # A change for which the prediction lacks a reading.
            return None
        if isinstance(found, Clash):
            return None
        return Outcome(found.value, found.bound, found.proved_by or found.method)


def _least_throughput(question: CapacityQuestion, name: str) -> float:
    return min(
        (
            record.throughput_infer_per_sec or 0.0
            for supply in question.supplies
            for record in supply.records.get(name, ())
        ),
        default=0.0,
    )


def _as_placed(
    placement: PlacementRecord, question: CapacityQuestion
) -> tuple[Supply, ...]:
    """Return the supplies; of ``max_throughput``, with the records in use alone."""
    if placement.objective is not Objective.MAX_THROUGHPUT:
        return question.supplies
    used = {
        (one.model_name, one.load_point)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
    }
    return tuple(
        supply.with_records(lambda one: (one.model_name, one.load_point) in used)
        for supply in question.supplies
    )
