"""Why a placement is as it is: ``explain()``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind
from gpupack.planning.changes import saving_changes, serving_changes
from gpupack.planning.load_points import LoadPointLike
from gpupack.planning.proof import needs_and_proof
from gpupack.planning.question import CapacityQuestion, ask
from gpupack.planning.sharing import sharing_notes
from gpupack.planning.what_if import EXPLANATION_LIMIT_S, WhatIf
from gpupack.planning.wishes import Fairness, LatencyLimitLike, resolve_wishes
from gpupack.profile_set import ProfileSet
from gpupack.records.explanation import BindingResource, Explanation
from gpupack.records.placement import ObjectiveUnit, PlacementRecord, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpupack.placement import Placement


def explain(
    placement: Placement,
    profiles: ProfileSet,
    *,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    load_point: LoadPointLike | None = None,
    weights: Mapping[str, float] | None = None,
) -> Explanation:
    """Return why a placement is as it is, for one that was read from a file.

    A file holds the answer and not every wish. Those given here are used; the demand
    of a model is otherwise what it serves, its replicas are those it has, and nothing
    else was asked. Where that cannot have been the question, or what is left of a
    demand is not known, no changes are named, and a note says why.

    Args:
        placement: What ``place()`` returned, then or now.
        profiles: What it was decided on.
        demand: As it was given to ``place()``.
        latency_limit_ms: As it was given to ``place()``.
        latency_percentile: Of the limit.
        load_point: As it was given to ``place()``.
        weights: As they were given to ``place()``.

    Raises:
        InvalidInputError: If the profiles are not those of the placement.
    """
    require_kind(
        "placement",
        placement,
        PlacementRecord,
        "what place() or gpupack.read_placement(path) returns",
    )
    require_kind(
        "profiles", profiles, ProfileSet, "what gpupack.read_profiles(path) returns"
    )
    served = placement.served_infer_per_sec
    counts: dict[str, int] = {}
    points: dict[str, set[str]] = {}
    for gpu in placement.gpus:
        for one in gpu.assignments:
            counts[one.model_name] = counts.get(one.model_name, 0) + 1
            points.setdefault(one.model_name, set()).add(str(one.load_point))
    placed = profiles.select(sorted(counts))
    if load_point is None and not served and len(placement.fleet.entries) == 1:
        load_point = {
            name: min(point) for name, point in points.items() if len(point) == 1
        }
    wanted = served if demand is None else demand
    is_share = placement.objective_unit is ObjectiveUnit.SERVED_SHARE
    question = ask(
        placed,
        placement.objective,
        gpus=placement.fleet,
        prices=None,
        headroom=placement.headroom,
        load_point=load_point,
        wishes=resolve_wishes(
            placed.model_names,
            demand=wanted or None,
            latency_limit_ms=latency_limit_ms,
            latency_percentile=latency_percentile,
            replicas={
                name: count
                for name, count in counts.items()
                if name not in served and count > 1
            },
            weights=weights,
            fairness=Fairness.MAX_MIN if is_share and any(wanted.values()) else None,
        ),
        carry_memory_over=True,
        sharing=placement.sharing_mode,
        allow_unstable=any(
            one.is_stable is False
            and str(one.load_point) in points.get(one.model_name, ())
            for one in placed.records
        ),
    )
    kept = {
        name: share for name, share in placement.min_retention.items() if name in counts
    }
    question = replace(question, min_retention=kept)
    doubt = ""
    if served and demand is None and placement.objective_unit.is_maximized:
        doubt = "the file says what is served, not what was asked for: give demand="
    elif not _is_question_of(placement, WhatIf(placement, question)):
        doubt = (
            "the wishes that the file holds, and those given, do not lead to this "
            "placement: something else was asked for, too"
        )
    notes: tuple[str, ...] = (
        "read from a file, which does not hold latency limits, weights, contention "
        "or optional models; what was not given to explain() is taken as not asked",
    )
    if doubt:
        explanation = _doubtful(placement)
        notes = (f"{doubt}; no changes were tried", *notes)
    else:
        explanation = explain_question(placement, question)
    return explanation.model_copy(update={"notes": (*notes, *explanation.notes)})


def _is_question_of(placement: PlacementRecord, what_if: WhatIf) -> bool:
    """Return whether value and bound of the placement can be those of a question."""
    found = what_if.outcome(what_if.question)
    if found is None:
        return True  # Not answered in time: nothing speaks against it.
    sign = 1 if what_if.unit.is_maximized else -1
    slack = 1e-6 * max(1.0, abs(placement.objective_value))
    return (
        sign * (found.value - placement.bound) <= slack
        and sign * (placement.objective_value - found.bound) <= slack
    )


def _doubtful(placement: PlacementRecord) -> Explanation:
    """Return what can be said of a placement whose question is not known."""
    extreme = "more" if placement.objective_unit.is_maximized else "less"
    return Explanation(
        summary=_summary(placement),
        proof=f"{extreme} than {placement.objective_unit.told(placement.bound)} is "
        f"impossible, by {placement.proof}.",
        binding=tuple(_binding(placement)),
        needs=(),
        changes=(),
        notes=sharing_notes(placement),
    )


def explain_question(
    placement: PlacementRecord, question: CapacityQuestion
) -> Explanation:
    """Return why the answer to a question is as it is."""
    what_if = WhatIf(placement, question)
    is_serving = placement.objective_unit.is_maximized
    needs, proof = needs_and_proof(what_if)
    changes = tuple((serving_changes if is_serving else saving_changes)(what_if))
    notes = []
    if is_serving and not what_if.serves_all:
        notes.append("what more GPUs would serve is the frontier: gpupack.frontier()")
    if what_if.is_out_of_time:
        notes.append(f"not every change was tried within {EXPLANATION_LIMIT_S:g} s")
    return Explanation(
        summary=_summary(placement),
        proof=proof.words,
        binding=tuple(_binding(placement)),
        is_bound_by_retention=proof.is_by_retention,
        needs=needs,
        changes=changes,
        notes=(*notes, *sharing_notes(placement)),
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
    value = placement.objective_unit.told(placement.objective_value)
    if placement.status is PlacementStatus.OPTIMAL:
        return f"{placement.objective.value}: {value}, and nothing better is possible."
    return (
        f"{placement.objective.value}: {value}; nothing better than "
        f"{placement.bound:g} is possible, in between is not known."
    )
