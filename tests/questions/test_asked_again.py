"""What ``explain()`` says would help is asked again, as a person would ask it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gpupack import place
from gpupack.errors import GpupackError, NotFoundInTimeError
from gpupack.placement import Placement
from gpupack.records.explanation import ChangeKind, SavingChange
from gpupack.records.gpu import find_gpu_type
from gpupack.records.profile import LoadPoint, ProfileRecord
from gpupack.records.request import GpuSupply
from tests.factories import GPU, MIB, make_profiles, make_record
from tests.questions.composing_kinds import composing
from tests.questions.gpu_kinds import retention
from tests.questions.hosts import on_hosts
from tests.questions.kinds import choices, plain
from tests.questions.question import Question

CLOSE = 5e-6
NUM_SEEDS = 12


def cases(make: Callable[..., Question]) -> Iterator[tuple[Question, Placement]]:
    """Yield a few questions that have an answer, with it."""
    for seed in range(NUM_SEEDS):
        question = make(random.Random(12_000 + seed), make.__name__)
        question = replace(question, time_limit_s=2.0)
        try:
            placement = question.ask()
        except GpupackError:
            continue
        yield question, placement


def changed(question: Question, placement: Placement, one: SavingChange) -> Question:
    """Return the question with a change made as its words say it."""
    arguments = dict(question.arguments)
    memory = dict(question.gpu_memory_bytes)
    words = one.change
    if one.kind is ChangeKind.HEADROOM:
        # "headroom of memory, gpu_utilization from 0.8 to 0.85"
        names, share = _said(r"headroom of (.+) from \S+ to (\S+)", words)
        shares = {resource.value: now for resource, now in placement.headroom}
        raised = {name: max(shares[name], float(share)) for name in names.split(", ")}
        arguments["headroom"] = shares | raised
    elif one.kind is ChangeKind.MIN_RETENTION:
        _, share = _said(r"min_retention from (\S+) to (\S+)", words)
        arguments["min_retention"] = {
            name: min(now, float(share))
            for name, now in placement.min_retention.items()
        }
    elif one.kind is ChangeKind.SHARING:
        (arguments["sharing"],) = _said(r"GPUs shared through (\S+)", words)
    elif one.kind is ChangeKind.LOAD_POINT:
        name, point = _said(r"'(.+?)' at (\d+x\d+)", words)
        pins = arguments.get("load_point") or {}
        arguments["load_point"] = {**pins, name: point}
    elif one.kind is ChangeKind.NUM_GPUS:
        number, name = _said(r"(\d+) (\S+) GPUs instead of \d+", words)
        arguments["gpus"] = {**arguments["gpus"], name: int(number)}
    elif one.kind is ChangeKind.HOST:
        # "host_cpus_per_gpu from 4/8 to 9"
        share, more = _said(r"(\S+) from \S+ to (\S+)", words)
        least = GpuSupply.model_validate({share: more}).model_dump()[share]
        arguments[share] = {
            name: max(now, least)
            for entry in placement.fleet.entries
            if (now := getattr(entry.gpu_type, share)) is not None
            for name in [entry.gpu_type.name]
        }
    else:
        (name,) = _said(r"(.+) GPUs instead", words)
        measured = {
            record.gpu_type.name: record.gpu_type
            for record in question.profiles.records
        }
        gpu_type = measured.get(name) or find_gpu_type(name)
        arguments["gpus"] = {name: None}
        arguments.pop("prices", None)
        arguments["carry_memory_over"] = name not in measured
        memory[name] = gpu_type.known_memory_bytes()
    if one.unit is not None:
        # So many GPUs would serve as much.
        arguments["max_gpus"] = int(one.value)
    return replace(question, arguments=arguments, gpu_memory_bytes=memory)


def hosted(rng: random.Random, name: str) -> Question:
    """A question in which GPUs have a share of their host."""
    return on_hosts(rng, rng.choice([plain, choices, composing])(rng, name))


def _said(pattern: str, words: str) -> tuple[str, ...]:
    match = re.match(pattern, words)
    assert match, words
    return match.groups()


def assert_holds(question: Question, placement: Placement, one: SavingChange) -> None:
    """What the change is said to lead to is not beyond what is proved of it."""
    try:
        again = changed(question, placement, one).ask()
    except NotFoundInTimeError:
        return
    assert again.objective_unit == placement.objective_unit
    value = placement.objective_value if one.unit is not None else one.value
    sign = 1 if placement.objective_unit.is_maximized else -1
    assert one.request is not None
    by_request = place(question.profiles, request=one.request)
    assert sign * (by_request.objective_value - again.bound) <= CLOSE * abs(value)
    assert sign * (again.objective_value - by_request.bound) <= CLOSE * abs(value)
    slack = CLOSE * max(abs(value), abs(again.bound))
    assert sign * (value - again.bound) <= slack, f"{one}; then {again.bound}"


MAKERS: list[Callable[..., Question]] = [
    plain,
    choices,
    retention,
    hosted,
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda one: one.__name__)
def test_what_would_help_helps_when_asked(make: Callable[..., Question]) -> None:
    num_changes = 0
    for question, placement in cases(make):
        for one in placement.explain().changes:
            num_changes += 1
            assert_holds(question, placement, one)

    assert num_changes >= 3


def asked(*records: ProfileRecord, objective: str, **arguments: Any) -> Question:
    count = arguments.pop("count", None)
    return Question(
        make_profiles(*records),
        objective,
        {"gpus": {GPU.name: count}, **arguments},
        {GPU.name: GPU.known_memory_bytes()},
    )


def at(name: str, point: str, mib: int, **values: Any) -> ProfileRecord:
    batch_size, concurrency = map(int, point.split("x"))
    return make_record(
        name,
        load_point=LoadPoint(batch_size=batch_size, concurrency=concurrency),
        gpu_memory_used_bytes=mib * MIB,
        **values,
    )


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        # 600 + 600 of 1,000 MiB; 300 + 600 would do.
        (
            ChangeKind.LOAD_POINT,
            asked(
                at("a", "1x1", 300),
                at("a", "8x1", 600),
                at("b", "1x1", 600),
                objective="min_gpus",
                load_point={"a": "8x1"},
            ),
        ),
        # Two of 600 MiB: a larger type holds both.
        (
            ChangeKind.GPU_TYPE,
            asked(at("a", "1x1", 600), at("b", "1x1", 600), objective="min_gpus"),
        ),
        # 150/s are asked for, and one GPU, full, serves 100/s.
        (
            ChangeKind.NUM_GPUS,
            asked(
                at("a", "1x1", 600, gpu_utilization_percent=100.0),
                objective="max_throughput",
                count=1,
                demand={"a": 150.0},
            ),
        ),
        # Two that are busy for 60 % of the time keep less than nine tenths of it.
        (
            ChangeKind.MIN_RETENTION,
            asked(
                at("a", "1x1", 100, gpu_utilization_percent=60.0),
                at("b", "1x1", 100, gpu_utilization_percent=60.0),
                objective="min_gpus",
                min_retention=0.9,
            ),
        ),
        (
            ChangeKind.HEADROOM,
            asked(
                at("a", "1x1", 450),
                at("b", "1x1", 450),
                objective="min_gpus",
                headroom=0.8,
            ),
        ),
    ],
    ids=lambda one: str(one) if isinstance(one, ChangeKind) else "",
)
def test_every_kind_of_change_is_asked_again(
    kind: ChangeKind, question: Question
) -> None:
    placement = question.ask()

    changes = [one for one in placement.explain().changes if one.kind is kind]

    assert changes
    for one in changes:
        assert_holds(question, placement, one)


@pytest.mark.parametrize(("percent", "least"), [(50.0, 0.75), (40.0, 0.7), (60.0, 0.7)])
def test_another_way_of_sharing_is_asked_again(percent: float, least: float) -> None:
    # In turns three of them lose more than is allowed; side by side they lose less.
    question = asked(
        *(
            at(name, "1x4", 100, gpu_utilization_percent=percent)
            for name in ("a", "b", "c")
        ),
        objective="min_gpus",
        min_retention=least,
        sharing="time_slicing",
    )
    placement = question.ask()

    changes = [
        one for one in placement.explain().changes if one.kind is ChangeKind.SHARING
    ]

    assert changes
    for one in changes:
        assert one.value < placement.objective_value
        assert_holds(question, placement, one)
