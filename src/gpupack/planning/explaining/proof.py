"""What each resource alone would take, and why nothing better is possible.

Every number of a sentence is one that a reader can compute again: of what must run, and
so precise that the comparison holds with the numbers as they are printed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.planning.explaining.lone_models import proof_by_lone_models
from gpupack.planning.modeling import told_apart
from gpupack.records.explanation import ResourceNeed
from gpupack.records.gpu import Headroom
from gpupack.records.placement import ObjectiveUnit, PlacementStatus
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.explaining.what_if import WhatIf
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.gpu import Resource


@dataclass(frozen=True, slots=True)
class Proof:
    """Why nothing better is possible.

    Args:
        words: A sentence for a reader.
        is_by_retention: Whether it is ``min_retention`` that takes what it takes.
    """

    words: str
    is_by_retention: bool = False


def needs_and_proof(what_if: WhatIf) -> tuple[tuple[ResourceNeed, ...], Proof]:
    """Return what each resource alone would take, and why there is nothing better."""
    found = _needs(what_if)
    return tuple(need for need, _ in found), _prove(what_if, found)


def _needs(what_if: WhatIf) -> list[tuple[ResourceNeed, str]]:
    """Return what each resource alone would take, and what proves it."""
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
            need = ResourceNeed(
                resource=resource, value=outcome.value, bound=outcome.bound
            )
            found.append((need, outcome.proof))
    sign = 1 if what_if.unit.is_maximized else -1
    return sorted(found, key=lambda one: (sign * one[0].bound, one[0].resource.value))


def _prove(what_if: WhatIf, needs: Sequence[tuple[ResourceNeed, str]]) -> Proof:
    """Return in words why nothing better is possible.

    Args:
        what_if: The placement and its question.
        needs: What each resource alone takes and what proves it, the tightest first.
    """
    placement = what_if.placement
    words = what_if.unit.told(placement.bound)
    method = placement.proof
    if what_if.serves_all:
        return Proof(f"all that is wanted is served: {words}.")
    by_retention = _proof_by_retention(what_if, words)
    if by_retention is not None:
        return by_retention
    if not what_if.unit.is_maximized and placement.bound <= 0:
        return Proof("nothing has to run: every model is optional.")
    if what_if.unit.is_maximized:
        return Proof(f"no placement serves more than {words}, by {method}.")
    if placement.status is not PlacementStatus.OPTIMAL:
        return Proof(
            f"less than {in_digits(placement.bound, 6)} is impossible, by {method}; "
            "the placement itself is not proved."
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
            f"{setting('min_retention')} lets no more than {words} be served, by "
            f"{placement.proof}; without it {in_digits(free.value, 6)} would be.",
            is_by_retention=True,
        )
    if free.value >= placement.bound - slack:
        return None
    least = "" if placement.status is PlacementStatus.OPTIMAL else "at least "
    return Proof(
        f"{setting('min_retention')} takes {least}{words}, proved by "
        f"{placement.proof}; without it {in_digits(free.value, 6)} would do.",
        is_by_retention=True,
    )


def _proof_by_resources(
    what_if: WhatIf, needs: Sequence[tuple[ResourceNeed, str]], words: str
) -> str:
    placement = what_if.placement
    is_counted = what_if.unit is ObjectiveUnit.GPUS
    num_gpus = round(placement.bound)
    volume = (
        _volume(what_if.question, needs[0][0].resource, num_gpus)
        if needs and is_counted
        else ""
    )
    if volume:
        return f"{needs[0][0].resource.value} alone takes {words}{volume}."
    by_hand = proof_by_lone_models(what_if.question, num_gpus) if is_counted else None
    if by_hand is not None:
        return by_hand
    tightest = next((one for one in needs if one[0].bound >= placement.bound), None)
    if tightest is not None:
        need, proof = tightest
        return f"{need.resource.value} alone takes {words}, proved by {proof}."
    binding = [resource.value for resource, _ in what_if.question.headroom]
    if len(needs) == len(binding) > 1 and all(
        one.value < placement.bound for one, _ in needs
    ):
        return (
            f"no resource alone takes {words}, all together do, proved by "
            f"{placement.proof}."
        )
    verb = "takes" if len(binding) == 1 else "together take"
    return f"{' and '.join(binding)} {verb} {words}, proved by {placement.proof}."


def _volume(question: CapacityQuestion, resource: Resource, num_gpus: int) -> str:
    """Return the sum that says that fewer GPUs are not enough, where one does.

    Only what must run counts: of optional models nothing.
    """
    if len(question.supplies) > 1 or question.wishes.demand:
        return ""
    only = Headroom(**{resource.value: question.headroom.share(resource)})
    translation = replace(question, headroom=only, min_retention={}).translated()
    if translation.shares_memory:
        return ""
    problem = translation.problem
    needed = sum(
        min(problem.options[index].fixed[0] for index in options) * job.copies
        for job, options in zip(problem.jobs, problem.options_by_job, strict=True)
        if not job.is_optional
    )
    fewer = num_gpus - 1
    offered = fewer * problem.bin_types[0].capacity[0]
    if needed <= offered:
        return ""
    offer = "GPU offers" if fewer == 1 else "GPUs offer"
    need_told, offer_told = told_apart(resource, needed, offered)
    what = "models that must run" if question.wishes.optional else "models"
    return f": the {what} need {need_told}, and {fewer} {offer} {offer_told}"
