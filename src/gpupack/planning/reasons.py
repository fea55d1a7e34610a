"""Why a placement is as it is: ``explain()``."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError
from gpupack.packing import Deadline, passing_interrupts_on
from gpupack.planning.explaining import (
    EXPLANATION_LIMIT_S,
    WhatIf,
    needs_and_proof,
    saving_changes,
    serving_changes,
)
from gpupack.planning.modeling import CapacityQuestion, ask
from gpupack.planning.request import ProfilesLike, profiles_of, request_of
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.explanation import BindingResource, Explanation, SavingChange
from gpupack.records.placement import PlacementRecord, PlacementStatus
from gpupack.report.text import latency_ms, one_more_gpu_text
from gpupack.spelling import in_words_of
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpupack.placement import Placement
    from gpupack.records.request import Request


@passing_interrupts_on()
def explain(
    placement: Placement,
    profiles: ProfilesLike | None = None,
    *,
    request: Request | None = None,
    workers: int | None = None,
    time_limit_s: float = EXPLANATION_LIMIT_S,
    progress: Callable[[SavingChange], None] | None = None,
) -> Explanation:
    """Return why a placement is as it is; takes up to 25 s.

    Args:
        placement: What ``place()`` returned, then or now; it holds what was asked.
        profiles: What it was decided on; left out, those that it holds.
        request: What was asked, of a placement that an older gpupack wrote and that
            does not hold it.
        workers: Threads; left out, as many as were asked for.
        time_limit_s: For trying changes; what was found by then is told.
        progress: Called with every change that helps, as soon as it is found.

    Raises:
        InvalidInputError: If the placement holds no profiles and none are given, those
            given lack a model that it places, or it was written without its request
            and none is given.
    """
    require_kind(
        "placement",
        placement,
        PlacementRecord,
        "what place() or gpupack.read_placement(path) returns",
    )
    profiles = _profiles(placement, profiles)
    request = placement.request or request
    if request is None:
        raise InvalidInputError(
            "this placement was written by a gpupack that did not keep what was "
            "asked; "
            + in_words_of(
                python="give it: gpupack.explain(placement, request="
                "gpupack.Request(...))",
                shell="place again, and it keeps that",
            )
        )
    if placement.request is None:
        placement = placement.model_copy(update={"request": request})
    if workers is not None:
        request, _ = request_of(profiles, None, request, {"workers": workers})
    return explain_question(
        placement,
        ask(profiles, request),
        deadline=Deadline.after(time_limit_s),
        progress=progress,
    )


def _profiles(placement: Placement, given: ProfilesLike | None) -> ProfileSet:
    """Return the profiles that a placement was decided on.

    Raises:
        InvalidInputError: If they are not known, or lack a model that is placed.
    """
    if given is not None:
        profiles = profiles_of(given)
    else:
        profiles = ProfileSet(
            records=placement.profiles,
            baselines=placement.baselines,
            calibrations=placement.calibrations,
        )
        if not profiles.records:
            way_out = in_words_of(
                python="give them: gpupack.explain(placement, profiles)",
                shell="place again, and it keeps them",
            )
            raise InvalidInputError(
                "this placement was written without the profiles that it was decided "
                f"on; {way_out}"
            )
    placed = {name for gpu in placement.gpus.runs for name in gpu.models}
    lacking = sorted(placed - set(profiles.model_names))
    if lacking:
        raise InvalidInputError(
            f"the profiles are not those of the placement: {lacking[0]!r} is placed, "
            "but has no profile"
        )
    return profiles


@passing_interrupts_on()
def explain_question(
    placement: PlacementRecord,
    question: CapacityQuestion,
    *,
    deadline: Deadline | None = None,
    progress: Callable[[SavingChange], None] | None = None,
) -> Explanation:
    """Return why the answer to a question is as it is.

    Args:
        placement: The answer.
        question: What was asked.
        deadline: For trying changes; ``EXPLANATION_LIMIT_S`` from now if left out.
        progress: Called with every change that helps.
    """
    what_if = WhatIf(placement, question, deadline=deadline)
    is_serving = placement.objective_unit.is_maximized
    needs, proof = needs_and_proof(what_if)
    changes = []
    for change in (serving_changes if is_serving else saving_changes)(what_if):
        changes.append(change)
        if progress is not None:
            progress(change)
    notes = []
    if is_serving and not what_if.serves_all:
        how = in_words_of(python="gpupack.frontier()", shell="gpupack frontier")
        notes.append(f"what more GPUs would serve is the frontier: {how}")
    if what_if.is_out_of_time:
        notes.append("not every change was tried in the time there was")
    return Explanation(
        summary=_summary(placement),
        proof=proof.words,
        binding=tuple(_binding(placement)),
        is_bound_by_retention=proof.is_by_retention,
        needs=needs,
        changes=tuple(changes),
        notes=(*notes, *_latency_notes(placement), *_sharing_notes(placement)),
    )


def _binding(placement: PlacementRecord) -> Iterator[BindingResource]:
    for gpu in placement.gpus.runs:
        ratios = [
            (use.used / use.limit, use.resource) for use in gpu.resources if use.limit
        ]
        if ratios:
            ratio, resource = max(ratios, key=lambda pair: pair[0])
            yield BindingResource(
                gpu_index=gpu.gpu_index,
                num_gpus=gpu.num_gpus,
                resource=resource,
                used_ratio=ratio,
            )


def _summary(placement: PlacementRecord) -> str:
    value = placement.objective_unit.told(placement.objective_value)
    if placement.status is PlacementStatus.OPTIMAL:
        return f"{placement.objective.value}: {value}, and nothing better is possible."
    return (
        f"{placement.objective.value}: {value}; nothing better than "
        f"{in_digits(placement.bound, 6)} is possible, in between is not known."
    )


def _latency_notes(placement: PlacementRecord) -> tuple[str, ...]:
    """Return which predicted latency is nearest to its limit."""
    limited = [
        (one.predicted_latency_us / 1000 / one.latency_limit_ms, gpu, one)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.latency_limit_ms is not None and one.predicted_latency_us is not None
    ]
    if not limited or placement.request is None:
        return ()
    share, gpu, one = max(limited, key=lambda entry: entry[0])
    more = one_more_gpu_text(placement)
    number = sum(where.num_gpus for _, where, _ in limited)
    return (
        f"of {number} latency limits that of {quoted(one.model_name)} on GPU "
        f"{gpu.gpu_index} is nearest: its p{placement.request.latency_percentile} is "
        f"predicted to take {share:.0%} of {one.latency_limit_ms:g} ms "
        f"({latency_ms(one.predicted_latency_us, one.predicted_latency_p50_us)}) "
        "beside its neighbors, at its traffic",
        *([] if more is None else [f"one more GPU {more}"]),
    )


def _sharing_notes(placement: PlacementRecord) -> tuple[str, ...]:
    """Return in words what another way of sharing would save or cost."""
    kept = [
        (one.retention, gpu.num_gpus)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.retention is not None
    ]
    notes = []
    for other in placement.sharing_alternatives:
        if not kept:
            continue
        note = (
            f"shared through {other.sharing_mode}, the models of these GPUs would keep "
            f"{other.mean_retention:.0%} of their throughput on average, at least "
            f"{other.lowest_retention:.0%}; through {placement.sharing_mode} it is "
            f"{fmean(*zip(*kept, strict=True)):.0%} and {min(kept)[0]:.0%}"
        )
        if other.num_gpus is not None:
            note += f"; keeping what was asked would take {other.num_gpus} GPUs" + (
                f", not {placement.num_gpus}"
                if other.num_gpus != placement.num_gpus
                else ", just as many"
            )
        notes.append(note)
    return tuple(notes)
