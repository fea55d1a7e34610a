"""Why a placement is as it is: ``explain()``."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME, find_gpu_type
from gpupack.packing.capacity.plan import CapacityPlan
from gpupack.packing.capacity.problem import Goal
from gpupack.packing.capacity.solve import plan_capacity
from gpupack.planning.lone_models import proof_by_lone_models
from gpupack.planning.question import CapacityQuestion, ask
from gpupack.planning.sharing import sharing_notes
from gpupack.planning.supply import Supply
from gpupack.planning.translation import PRICE_UNITS
from gpupack.planning.wishes import resolve_wishes
from gpupack.records.explanation import (
    BindingResource,
    ChangeKind,
    Explanation,
    ResourceNeed,
    SavingChange,
)
from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom, Resource
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet
    from gpupack.records.placement import PlacementRecord
    from gpupack.records.profile import ProfileRecord

EXPLANATION_LIMIT_S = 20.0
STEP_LIMIT_S = 2.0
MAX_UTILIZATION_HEADROOM = 3.0
"""Above three times what a GPU has, more headroom is no advice."""


def explain(placement: Placement, profiles: ProfileSet) -> Explanation:
    """Return why a placement is as it is, for one that was read from a file.

    Wishes that a placement does not record are taken from what it does: the demand of
    a model is what it serves, its replicas are those it has.

    Args:
        placement: What ``place()`` returned, then or now.
        profiles: What it was decided on.

    Raises:
        InvalidInputError: If the profiles are not those of the placement.
    """
    served = placement.served_infer_per_sec
    counts: dict[str, int] = {}
    points: dict[str, set[str]] = {}
    for gpu in placement.gpus:
        for one in gpu.assignments:
            counts[one.model_name] = counts.get(one.model_name, 0) + 1
            points.setdefault(one.model_name, set()).add(str(one.load_point))
    placed = profiles.select(sorted(counts))
    is_chosen = bool(served) or len(placement.fleet.entries) > 1
    question = ask(
        placed,
        placement.objective,
        gpus=placement.fleet,
        prices=None,
        headroom=placement.headroom,
        load_point=None
        if is_chosen
        else {name: min(point) for name, point in points.items() if len(point) == 1},
        wishes=resolve_wishes(
            placed.model_names,
            demand=served or None,
            replicas={
                name: count
                for name, count in counts.items()
                if name not in served and count > 1
            },
        ),
        carry_memory_over=True,
        sharing=placement.sharing_mode,
        allow_unstable=True,
    )
    return explain_question(placement, question)


def explain_question(
    placement: PlacementRecord, question: CapacityQuestion
) -> Explanation:
    """Return why the answer to a question is as it is."""
    binding = tuple(_binding(placement))
    unit = placement.objective_unit
    if unit.is_maximized:
        return Explanation(
            summary=_summary(placement),
            proof=f"no placement serves more than {placement.bound:g} "
            f"{_unit_words(unit)}, by {placement.method}.",
            binding=binding,
            needs=(),
            changes=(),
            notes=(
                "what more GPUs would serve is the frontier: gpupack.frontier()",
                *sharing_notes(placement),
            ),
        )
    reasons = _Reasons(placement, question)
    needs = reasons.needs()
    changes = tuple(reasons.changes())
    return Explanation(
        summary=_summary(placement),
        proof=reasons.proof(needs),
        binding=binding,
        needs=needs,
        changes=changes,
        notes=(*reasons.notes, *sharing_notes(placement)),
    )


def _binding(placement: PlacementRecord) -> Iterator[BindingResource]:
    for gpu in placement.gpus:
        ratios = [
            (use.used / use.limit, use.resource) for use in gpu.resources if use.limit
        ]
        if ratios:
            ratio, resource = max(ratios, key=lambda pair: pair[0])
            yield BindingResource(
                gpu_index=gpu.gpu_index, resource=resource, used_ratio=ratio
            )


def _summary(placement: PlacementRecord) -> str:
    value = f"{placement.objective_value:g} {_unit_words(placement.objective_unit)}"
    if placement.status is PlacementStatus.OPTIMAL:
        return f"{placement.objective.value}: {value}, and nothing better is possible."
    return (
        f"{placement.objective.value}: {value}; nothing better than "
        f"{placement.bound:g} is possible, in between is not known."
    )


def _unit_words(unit: ObjectiveUnit) -> str:
    return {
        ObjectiveUnit.GPUS: "GPUs",
        ObjectiveUnit.PRICE_PER_HOUR: "per hour",
        ObjectiveUnit.INFER_PER_SEC: "infer/sec",
        ObjectiveUnit.SERVED_SHARE: "of every demand",
    }[unit]


class _Reasons:
    """Asks the question again, with one thing changed at a time."""

    def __init__(self, placement: PlacementRecord, question: CapacityQuestion) -> None:
        self._placement = placement
        is_cost = placement.objective_unit is ObjectiveUnit.PRICE_PER_HOUR
        # No model loses throughput: the fewest GPUs at the records in use.
        self._question = replace(
            question,
            objective=Objective.MIN_COST if is_cost else Objective.MIN_GPUS,
            supplies=_as_placed(placement, question),
            wishes=replace(question.wishes, weights={}),
        )
        self._asked = question
        self._scale = PRICE_UNITS if is_cost else 1
        self._deadline = time.perf_counter() + EXPLANATION_LIMIT_S
        self.notes: list[str] = []

    def needs(self) -> tuple[ResourceNeed, ...]:
        """Return what each resource alone would take, the most demanding first."""
        found = []
        for resource, share in self._question.headroom:
            only = Headroom(**{resource.value: share})
            plan = self._plan(replace(self._question, headroom=only))
            if plan.is_found:
                found.append(
                    ResourceNeed(
                        resource=resource,
                        value=plan.value / self._scale,
                        bound=plan.bound / self._scale,
                    )
                )
        return tuple(sorted(found, key=lambda one: (-one.bound, one.resource.value)))

    def proof(self, needs: tuple[ResourceNeed, ...]) -> str:
        """Return in words why less is impossible."""
        bound = self._placement.bound
        if self._placement.status is not PlacementStatus.OPTIMAL:
            return (
                f"less than {bound:g} is impossible, by {self._placement.method}; the "
                "placement itself is not proved."
            )
        words = f"{bound:g} {_unit_words(self._placement.objective_unit)}"
        volume = self._volume(needs[0].resource) if needs else ""
        if volume:
            return f"{needs[0].resource.value} alone takes {words}{volume}."
        by_hand = proof_by_lone_models(self._question, round(bound))
        if by_hand is not None and self._scale == 1:
            return by_hand
        if needs and needs[0].bound >= bound:
            return (
                f"{needs[0].resource.value} alone takes {words}, proved by "
                f"{self._placement.method}."
            )
        return (
            f"no resource alone takes {words}, all together do, proved by "
            f"{self._placement.method}."
        )

    def _volume(self, resource: Resource) -> str:
        """Return the sum that says it, where a sum is enough."""
        question = self._question
        if len(question.supplies) > 1 or self._scale != 1 or question.wishes.demand:
            return ""
        only = Headroom(**{resource.value: question.headroom.share(resource)})
        problem = replace(question, headroom=only).translated().problem
        least = [
            min(problem.options[i].fixed[0] for i in options) * job.copies
            for job, options in zip(problem.jobs, problem.options_by_job, strict=True)
        ]
        capacity = problem.bin_types[0].capacity[0]
        if math.ceil(sum(least) / max(1, capacity)) < self._placement.bound:
            return ""
        unit = (2**20, "MiB") if resource is Resource.MEMORY else (10**6, "%")
        fewer = round(self._placement.bound) - 1
        return (
            f": the models need {sum(least) / unit[0]:,.0f} {unit[1]}, and {fewer} "
            f"GPUs offer {fewer * capacity / unit[0]:,.0f}"
        )

    def changes(self) -> Iterator[SavingChange]:
        """Yield the single changes that save something."""
        yield from self._headroom_changes()
        yield from self._load_point_changes()
        yield from self._gpu_type_changes()
        if time.perf_counter() > self._deadline:
            self.notes.append(
                f"not every change was tried within {EXPLANATION_LIMIT_S:g} s"
            )

    def _headroom_changes(self) -> Iterator[SavingChange]:
        for resource, share in self._question.headroom:
            most = 1.0 if resource is Resource.MEMORY else MAX_UTILIZATION_HEADROOM
            low, high = round(share * 100), round(most * 100)
            if high <= low or not self._saves(self._with_share(resource, high)):
                continue
            while high - low > 1 and time.perf_counter() < self._deadline:
                middle = (low + high) // 2
                if self._saves(self._with_share(resource, middle)):
                    high = middle
                else:
                    low = middle
            change = self._change(
                ChangeKind.HEADROOM,
                f"headroom of {resource.value} from {share:g} to {high / 100:g}",
                self._with_share(resource, high),
            )
            if change is not None:
                yield change

    def _with_share(self, resource: Resource, percent: int) -> CapacityQuestion:
        shares = {one.value: share for one, share in self._question.headroom}
        shares[resource.value] = percent / 100
        return replace(self._question, headroom=Headroom(**shares))

    def _load_point_changes(self) -> Iterator[SavingChange]:
        """Try every other measured load point of each model that has just one now."""
        allowed = self._question.supplies
        for name in self._question.model_names:
            now = {
                one.key for supply in allowed for one in supply.records.get(name, ())
            }
            others = [
                one
                for one in self._asked.profiles.records
                if one.model_name == name and one.key not in now
            ]
            for record in others:
                if time.perf_counter() > self._deadline:
                    return
                changed = replace(
                    self._question, supplies=_with_record(allowed, record)
                )
                if changed.supplies == allowed:
                    continue
                change = self._change(
                    ChangeKind.LOAD_POINT,
                    f"{name!r} at {record.load_point} on {record.gpu_type.name}",
                    changed,
                )
                if change is not None:
                    yield change

    def _gpu_type_changes(self) -> Iterator[SavingChange]:
        if self._scale != 1:
            return
        for gpu_type in self._other_types():
            if time.perf_counter() > self._deadline:
                return
            changed = self._on_type(gpu_type)
            if changed is None:
                continue
            change = self._change(
                ChangeKind.GPU_TYPE, f"{gpu_type.name} GPUs instead", changed
            )
            if change is not None:
                yield change

    def _other_types(self) -> list[GpuType]:
        used = {supply.gpu_type.name for supply in self._question.supplies}
        measured = [
            one for one in self._asked.profiles.gpu_types if one.name not in used
        ]
        binding = [resource for resource, _ in self._question.headroom]
        if binding != [Resource.MEMORY] or self._question.wishes.demand:
            return measured
        largest = max(
            supply.gpu_type.known_memory_bytes() for supply in self._question.supplies
        )
        larger = sorted(
            (mib, name)
            for name, mib in MEMORY_MIB_BY_NAME.items()
            if mib * 2**20 > largest
        )
        return measured + [find_gpu_type(name) for _, name in larger[:4]]

    def _on_type(self, gpu_type: GpuType) -> CapacityQuestion | None:
        profiles = self._asked.profiles
        measured = profiles.baseline(gpu_type.name)
        entry = FleetEntry(gpu_type=gpu_type)
        if measured is not None:
            records: dict[str, tuple[ProfileRecord, ...]] = {}
            for one in profiles.records:
                if one.gpu_type.name == gpu_type.name:
                    of_model = records.get(one.model_name, ())
                    records[one.model_name] = (*of_model, one)
            if set(records) < set(self._question.model_names):
                return None
            supply = Supply(
                entry, gpu_type, measured.gpu_memory_used_bytes or 0, records
            )
        else:
            supply = replace(self._question.supplies[0], entry=entry)
        return replace(
            self._question, supplies=(supply,), fleet=Fleet(entries=(entry,))
        )

    def _saves(self, question: CapacityQuestion) -> bool:
        return self._better_value(question) is not None

    def _change(
        self, kind: ChangeKind, words: str, question: CapacityQuestion
    ) -> SavingChange | None:
        """Return what a change saves, None if no better plan is found."""
        value = self._better_value(question)
        if value is None:
            return None
        saved = self._placement.objective_value - value
        return SavingChange(kind=kind, change=words, value=value, saved=saved)

    def _better_value(self, question: CapacityQuestion) -> float | None:
        """Return the value of the plan found, None if it is no better than now.

        A plan that stops at the time limit may be another the next time it is asked
        for, so that whoever needs the value must not ask twice.
        """
        plan = self._plan(question)
        value = plan.value / self._scale if plan.is_found else math.inf
        is_better = value < self._placement.objective_value * (1 - 1e-9)
        return value if is_better else None

    def _plan(self, question: CapacityQuestion) -> CapacityPlan:
        goal = Goal.MIN_COST if self._scale != 1 else Goal.MIN_BINS
        return plan_capacity(
            question.translated().problem,
            goal,
            time_limit_s=STEP_LIMIT_S,
            seed=self._placement.seed,
        )


def _as_placed(
    placement: PlacementRecord, question: CapacityQuestion
) -> tuple[Supply, ...]:
    """Return the supplies; of ``max_throughput``, with the records in use alone."""
    if placement.objective is not Objective.MAX_THROUGHPUT:
        return question.supplies
    used = {
        (one.model_name, one.load_point)
        for gpu in placement.gpus
        for one in gpu.assignments
    }
    return tuple(
        replace(
            supply,
            records={
                name: kept
                for name, records in supply.records.items()
                if (
                    kept := tuple(
                        one for one in records if (name, one.load_point) in used
                    )
                )
            },
        )
        for supply in question.supplies
    )


def _with_record(
    supplies: tuple[Supply, ...], record: ProfileRecord
) -> tuple[Supply, ...]:
    """Return the supplies with a model's records on a type replaced by this one."""
    return tuple(
        replace(supply, records=_replaced(supply.records, record))
        if supply.measured_on.name == record.gpu_type.name
        else supply
        for supply in supplies
    )


def _replaced(
    records: Mapping[str, tuple[ProfileRecord, ...]], record: ProfileRecord
) -> dict[str, tuple[ProfileRecord, ...]]:
    return {**records, record.model_name: (record,)}
