"""What each resource alone would take, and why nothing better is possible."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.planning.lone_models import proof_by_lone_models
from gpupack.records.explanation import ResourceNeed
from gpupack.records.gpu import Headroom, Resource
from gpupack.records.placement import ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from gpupack.planning.what_if import WhatIf


@dataclass(frozen=True, slots=True)
class Proof:
    """Why nothing better is possible.

    Args:
        words: A sentence for a reader.
        is_by_retention: Whether it is ``min_retention`` that takes what it takes.
    """

    words: str
    is_by_retention: bool = False


def resource_needs(what_if: WhatIf) -> tuple[ResourceNeed, ...]:
    """Return what each resource alone would take or serve, the tightest first."""
    found = []
    for resource, share in what_if.question.headroom:
        only = replace(
            what_if.question,
            headroom=Headroom(**{resource.value: share}),
            min_retention={},
            maximizes_predicted=False,
        )
        outcome = (
            None if what_if.question.maximizes_predicted else (what_if.outcome(only))
        )
        if outcome is not None:
            found.append(
                ResourceNeed(
                    resource=resource, value=outcome.value, bound=outcome.bound
                )
            )
    sign = 1 if what_if.unit.is_maximized else -1
    return tuple(sorted(found, key=lambda one: (sign * one.bound, one.resource.value)))


def prove(what_if: WhatIf, needs: tuple[ResourceNeed, ...]) -> Proof:
    """Return in words why nothing better is possible."""
    placement = what_if.placement
    words = what_if.unit.told(placement.bound)
    method = placement.proof
    if what_if.serves_all:
        return Proof(f"all that is wanted is served: {words}.")
    by_retention = _proof_by_retention(what_if, words)
    if by_retention is not None:
        return by_retention
    if what_if.unit.is_maximized:
        return Proof(f"no placement serves more than {words}, by {method}.")
    if placement.status is not PlacementStatus.OPTIMAL:
        return Proof(
            f"less than {placement.bound:g} is impossible, by {method}; the placement "
            "itself is not proved."
        )
    return Proof(_proof_by_resources(what_if, needs, words))


def _proof_by_retention(what_if: WhatIf, words: str) -> Proof | None:
    """Return that ``min_retention`` is what is in the way, None if it need not be."""
    if not what_if.question.min_retention:
        return None
    placement = what_if.placement
    free = what_if.outcome(replace(what_if.question, min_retention={}))
    if free is None:
        return None
    slack = 1e-6 * max(1.0, abs(placement.bound))
    if what_if.unit.is_maximized:
        if free.value <= placement.bound + slack:
            return None
        return Proof(
            f"min_retention lets no more than {words} be served, by "
            f"{placement.proof}; without it {free.value:g} would be.",
            is_by_retention=True,
        )
    if free.value >= placement.bound - slack:
        return None
    least = "" if placement.status is PlacementStatus.OPTIMAL else "at least "
    return Proof(
        f"min_retention takes {least}{words}, proved by {placement.proof}; without "
        f"it {free.value:g} would do.",
        is_by_retention=True,
    )


def _proof_by_resources(
    what_if: WhatIf, needs: tuple[ResourceNeed, ...], words: str
) -> str:
    placement = what_if.placement
    volume = _volume(what_if, needs[0].resource) if needs else ""
    if volume:
        return f"{needs[0].resource.value} alone takes {words}{volume}."
    by_hand = (
        proof_by_lone_models(what_if.question, round(placement.bound))
        if what_if.unit is ObjectiveUnit.GPUS
        else None
    )
    if by_hand is not None:
        return by_hand
    if needs and needs[0].bound >= placement.bound:
        return (
            f"{needs[0].resource.value} alone takes {words}, proved by "
            f"{placement.proof}."
        )
    return (
        f"no resource alone takes {words}, all together do, proved by "
        f"{placement.proof}."
    )


def _volume(what_if: WhatIf, resource: Resource) -> str:
    """Return the sum that says it, where a sum is enough."""
    question = what_if.question
    if (
        len(question.supplies) > 1
        or what_if.unit is not ObjectiveUnit.GPUS
        or question.wishes.demand
    ):
        return ""
    only = Headroom(**{resource.value: question.headroom.share(resource)})
    problem = replace(question, headroom=only).translated().problem
    least = [
        min(problem.options[i].fixed[0] for i in options) * job.copies
        for job, options in zip(problem.jobs, problem.options_by_job, strict=True)
    ]
    capacity = problem.bin_types[0].capacity[0]
    if math.ceil(sum(least) / max(1, capacity)) < what_if.placement.bound:
        return ""
    unit = (2**20, "MiB") if resource is Resource.MEMORY else (10**6, "%")
    fewer = round(what_if.placement.bound) - 1
    offer = "GPU offers" if fewer == 1 else "GPUs offer"
    return (
        f": the models need {sum(least) / unit[0]:,.0f} {unit[1]}, and {fewer} "
        f"{offer} {fewer * capacity / unit[0]:,.0f}"
    )
