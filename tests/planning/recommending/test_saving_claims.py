"""What a recommendation says would save one more, of every kind, asked again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import gpupack
from gpupack.records.explanation import ChangeKind, SavingChange
from gpupack.records.gpu import GpuType, Headroom
from gpupack.records.profile import LoadPoint
from gpupack.records.request import Request
from tests.factories import GPU, MIB, make_baseline, make_profiles, make_record

BIG = GpuType(name="big-gpu", memory_bytes=2000 * MIB)
QUICK: dict[str, Any] = {"time_limit_s": 1.5, "workers": 1}


def of_memory(name: str, mib: int, **values: Any) -> gpupack.ProfileRecord:
    return make_record(name, gpu_memory_used_bytes=mib * MIB, **values)


def tight_memory() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """Three models of 300 MiB: two fit into 80 % of a GPU, three into 90 %."""
    profiles = make_profiles(*(of_memory(name, 300) for name in "abc"))
    return profiles, {"headroom": 0.8}


def tight_memory_with_demands() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    profiles, asked = tight_memory()
    return profiles, asked | {"demand": dict.fromkeys("abc", 20.0)}


def a_larger_type() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """Three models of 400 MiB, measured on GPUs of 1,000 MiB and of 2,000."""
    records = [
        of_memory(name, 400, gpu_type=gpu_type)
        for name in "abc"
        for gpu_type in (GPU, BIG)
    ]
    baselines = (make_baseline(), make_baseline(gpu_type=BIG))
    profiles = gpupack.ProfileSet(records=tuple(records), baselines=baselines)
    return profiles, {"gpus": {GPU: None}}


def a_smaller_load_point() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """At batch size 2, where they yield most, two models take 600 MiB; at 1, 400."""
    records = [
        of_memory(
            name,
            200 + 200 * batch_size,
            load_point=LoadPoint(batch_size=batch_size, concurrency=1),
            throughput_infer_per_sec=80.0 + 20.0 * batch_size,
        )
        for name in "ab"
        for batch_size in (1, 2)
    ]
    return make_profiles(*records), {}


def busy_together() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """Two models that keep less beside each other than is asked for."""
    profiles = make_profiles(
        *(of_memory(name, 100, gpu_utilization_percent=45.0) for name in "ab")
    )
    return profiles, {"min_retention": 0.8}


def on_few_sms() -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """Two models that would run side by side under MPS, and take turns without it."""
    return make_profiles(
        *(
            of_memory(
                name, 100, gpu_utilization_percent=45.0, sm_utilization_percent=5.0
            )
            for name in "ab"
        )
    ), {"min_retention": 0.8}


def asked_with(change: SavingChange, now: gpupack.Recommendation) -> Request:
    """Return the request with what the change says in words."""
    request, words = now.buy.request, change.change
    readings: dict[ChangeKind, str] = {
        ChangeKind.HEADROOM: r"headroom of (.+) from [\d./]+ to ([\d.]+)",
        ChangeKind.MIN_RETENTION: r"min_retention from [\d.]+ to ([\d.]+)",
        ChangeKind.SHARING: r"GPUs shared through (\w+)",
        ChangeKind.LOAD_POINT: r"'(.+)' at (\S+)(?: on .+)?",
        ChangeKind.GPU_TYPE: r"(.+) GPUs instead",
    }
    match = re.fullmatch(readings[change.kind], words)
    assert match is not None, words
    given = match.groups()
    if change.kind is ChangeKind.SHARING:
        return request.model_copy(update={"sharing": given[0]})
    if change.kind is ChangeKind.GPU_TYPE:
        (chosen,) = (one for one in (GPU, BIG) if one.name == given[0])
        return gpupack.Request.model_validate(dict(request) | {"gpus": {chosen: None}})
    if change.kind is ChangeKind.HEADROOM:
        named = given[0].split(", ")
        shares = {
            resource.value: max(share, float(given[1]))
            if resource.value in named
            else share
            for resource, share in now.placement.headroom
        }
        return request.model_copy(update={"headroom": Headroom(**shares)})
    models = dict(request.models)
    if change.kind is ChangeKind.LOAD_POINT:
        update = {"load_point": LoadPoint.parse(given[1])}
        models[given[0]] = request.of_model(given[0]).model_copy(update=update)
    else:
        for name, one in request.models.items():
            kept = min(one.min_retention or 0.0, float(given[0]))
            models[name] = one.model_copy(update={"min_retention": kept})
    return request.model_copy(update={"models": models})


@pytest.mark.parametrize(
    ("fleet", "kind"),
    [
        (tight_memory, ChangeKind.HEADROOM),
        (tight_memory_with_demands, ChangeKind.HEADROOM),
        (a_larger_type, ChangeKind.GPU_TYPE),
        (a_smaller_load_point, ChangeKind.LOAD_POINT),
        (busy_together, ChangeKind.MIN_RETENTION),
        (on_few_sms, ChangeKind.SHARING),
    ],
)
def test_what_is_said_to_save_one_more_does_when_asked(
    fleet: Callable[[], tuple[gpupack.ProfileSet, dict[str, Any]]], kind: ChangeKind
) -> None:
    profiles, asked = fleet()

    found = gpupack.recommend(profiles, **asked, **QUICK)

    assert kind in {one.kind for one in found.changes}
    assert str(found.changes[0]) in found.lines[4]
    for change in found.changes:
        again = gpupack.place(profiles, request=asked_with(change, found))
        assert again.objective_value <= change.value + 1e-9
        # Proved impossible without it.
        assert change.value < found.placement.bound
        assert change.saved == pytest.approx(
            found.placement.objective_value - change.value
        )
