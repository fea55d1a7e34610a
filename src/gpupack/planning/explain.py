"""Why a placement is as it is: ``explain()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.planning.changes import saving_changes, serving_changes
from gpupack.planning.proof import prove, resource_needs
from gpupack.planning.question import CapacityQuestion, ask
from gpupack.planning.sharing import sharing_notes
from gpupack.planning.what_if import EXPLANATION_LIMIT_S, WhatIf
from gpupack.planning.wishes import resolve_wishes
from gpupack.records.explanation import BindingResource, Explanation
from gpupack.records.placement import PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet
    from gpupack.records.placement import PlacementRecord


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
    what_if = WhatIf(placement, question)
    is_serving = placement.objective_unit.is_maximized
    needs = resource_needs(what_if)
    proof = prove(what_if, needs)
    changes = tuple((serving_changes if is_serving else saving_changes)(what_if))
    notes = []
    if is_serving:
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
    value = f"{placement.objective_value:g} {placement.objective_unit.words}"
    if placement.status is PlacementStatus.OPTIMAL:
        return f"{placement.objective.value}: {value}, and nothing better is possible."
    return (
        f"{placement.objective.value}: {value}; nothing better than "
        f"{placement.bound:g} is possible, in between is not known."
    )
