"""Laws that answers keep whatever is asked: no oracle needed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import gpupack
from gpupack.errors import InfeasibleError, InvalidInputError, NotFoundInTimeError
from gpupack.placement import Placement
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import GpuType
from gpupack.records.profile import ProfileRecord
from tests.questions import draw
from tests.questions.question import Question

SEEDS = range(40)
CLOSE = 5e-6
MAKERS: list[Callable[..., Question]] = [
    draw.plain,
    draw.choices,
    draw.choices,
    draw.many_types,
]


def question_of(seed: int) -> Question:
    """Return a question that may be of any size; it is never tried exhaustively."""
    make = MAKERS[seed % len(MAKERS)]
    question = make(random.Random(7_000 + seed), make.__name__)
    # Two seconds are plenty, and a limit is not what these laws are about.
    return replace(question, time_limit_s=2.0)


def answer(question: Question) -> Placement | None:
    """Return the answer, None if there is none; skip what cannot be asked."""
    try:
        return question.ask()
    except InfeasibleError:
        return None
    except (InvalidInputError, NotFoundInTimeError) as err:
        pytest.skip(f"no answer: {err}")


def with_records(
    question: Question, change: Callable[[ProfileRecord], ProfileRecord]
) -> Question:
    profiles = question.profiles
    return replace(
        question,
        profiles=profiles.model_copy(
            update={"records": tuple(change(one) for one in profiles.records)}
        ),
    )


def assert_as_good(one: Placement | None, other: Placement | None) -> None:
    """Neither answer beats what is proved of the other."""
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.objective_unit == other.objective_unit
        assert_no_better(one, other)
        assert_no_better(other, one)


def assert_no_better(one: Placement, other: Placement, factor: float = 1.0) -> None:
    """A value, times a factor, does not beat the bound of another answer."""
    sign = 1 if one.objective_unit.is_maximized else -1
    value = one.objective_value * factor
    slack = CLOSE * max(abs(value), abs(other.bound)) + 1e-5 * max(1.0, factor)
    assert sign * (value - other.bound) <= slack


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_records_does_not_matter(seed: int) -> None:
    question = question_of(seed)
    records = list(question.profiles.records)
    random.Random(seed).shuffle(records)
    shuffled = replace(
        question,
        profiles=question.profiles.model_copy(update={"records": tuple(records)}),
    )

    assert_as_good(answer(question), answer(shuffled))


@pytest.mark.parametrize("seed", SEEDS)
def test_twice_the_bytes_everywhere_change_nothing(seed: int) -> None:
    question = question_of(seed)
    # 80 % of twice an odd number of bytes may hold a byte more.
    if question.arguments.get("headroom", 1.0) != 1.0:
        question = replace(question, arguments={**question.arguments, "headroom": 1.0})

    def larger(gpu_type: GpuType) -> GpuType:
        memory = gpu_type.known_memory_bytes()
        return gpu_type.model_copy(update={"memory_bytes": 2 * memory})

    def doubled(record: Any) -> Any:
        return record.model_copy(
            update={
                "gpu_memory_used_bytes": 2 * record.gpu_memory_used_bytes,
                "gpu_type": larger(record.gpu_type),
            }
        )

    profiles = ProfileSet(
        records=tuple(doubled(one) for one in question.profiles.records),
        baselines=tuple(doubled(one) for one in question.profiles.baselines),
    )
    memory = {name: 2 * size for name, size in question.gpu_memory_bytes.items()}
    twice = replace(question, profiles=profiles, gpu_memory_bytes=memory)

    assert_as_good(answer(question), answer(twice))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_times_the_traffic_is_another_unit(seed: int) -> None:
    question = question_of(seed)
    more = with_records(
        question,
        lambda one: one.model_copy(
            update={
                "throughput_infer_per_sec": 1000 * (one.throughput_infer_per_sec or 0)
            }
        ),
    )
    if "demand" in question.arguments:
        demand = {n: 1000 * v for n, v in question.arguments["demand"].items()}
        more = replace(more, arguments={**question.arguments, "demand": demand})

    small, large = answer(question), answer(more)

    assert (small is None) == (large is None)
    if small is not None and large is not None:
        factor = 1000.0 if small.objective_unit == "infer_per_sec" else 1.0
        assert_no_better(small, large, factor)
        assert_no_better(large, small, 1 / factor)


@pytest.mark.parametrize("seed", SEEDS)
def test_gpus_on_which_nothing_fits_change_nothing(seed: int) -> None:
    question = question_of(seed)
    if question.objective == "max_throughput":
        # With a second type there is a choice, and GPUs may no longer be counted.
        question = replace(question, objective="min_gpus")
        arguments = dict(question.arguments)
        arguments.pop("weights", None)
        arguments.pop("fairness", None)
        question = replace(question, arguments=arguments)
    small = GpuType(name="too small", memory_bytes=2**20)
    first = question.profiles.records[0]
    profiles = ProfileSet(
        records=(
            *question.profiles.records,
            first.model_copy(
                update={"gpu_type": small, "gpu_memory_used_bytes": 2**40}
            ),
        ),
        baselines=(
            *question.profiles.baselines,
            question.profiles.baselines[0].model_copy(
                update={"gpu_type": small, "gpu_memory_used_bytes": 0}
            ),
        ),
    )
    arguments = dict(question.arguments)
    arguments["gpus"] = {**arguments["gpus"], small.name: None}
    if "prices" in arguments:
        arguments["prices"] = {**arguments["prices"], small.name: 0.01}
    more = replace(
        question,
        profiles=profiles,
        arguments=arguments,
        gpu_memory_bytes={**question.gpu_memory_bytes, small.name: 2**20},
    )

    assert_as_good(answer(question), answer(more))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_copy_of_a_model_never_takes_less(seed: int) -> None:
    question = question_of(seed)
    if question.objective == "max_throughput":
        pytest.skip("a copy serves, too")
    name = question.profiles.records[0].model_name
    copies = tuple(
        one.model_copy(update={"model_name": "copy"})
        for one in question.profiles.records
        if one.model_name == name
    )
    arguments = dict(question.arguments)
    for wish in ("demand", "replicas", "latency_limit_ms", "load_point"):
        given = arguments.get(wish)
        if isinstance(given, dict) and name in given:
            arguments[wish] = {**given, "copy": given[name]}
    if name in arguments.get("optional", ()):
        arguments["optional"] = [*arguments["optional"], "copy"]
    records = (*question.profiles.records, *copies)
    twice = replace(
        question,
        profiles=question.profiles.model_copy(update={"records": records}),
        arguments=arguments,
    )

    one, both = answer(question), answer(twice)

    if both is not None:
        assert one is not None
        assert both.objective_value >= one.bound * (1 - CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_gpus_and_more_headroom_are_never_worse(seed: int) -> None:
    question = question_of(seed)
    arguments = dict(question.arguments)
    arguments["gpus"] = {
        name: None if count is None else count + 1
        for name, count in arguments["gpus"].items()
    }
    headroom = arguments.get("headroom", 1.0)
    tight = replace(question, arguments={**question.arguments, "headroom": 0.6})
    if isinstance(headroom, dict):
        tight = replace(
            question,
            arguments={
                **question.arguments,
                "headroom": {name: 0.9 * share for name, share in headroom.items()},
            },
        )
    elif headroom < 0.6:
        tight = question

    base = answer(question)
    for less, more in (
        (base, answer(replace(question, arguments=arguments))),
        (answer(tight), base),
    ):
        if less is not None:
            assert more is not None
            if less.objective_unit == more.objective_unit:
                assert_no_better(less, more)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_of_a_frontier_is_what_place_answers(seed: int) -> None:
    question = draw.choices(random.Random(9_000 + seed), "choices")
    names = question.profiles.model_names
    demand = question.arguments.get("demand", {})
    if len(question.arguments["gpus"]) > 1 or not any(demand.values()):
        pytest.skip("place() has no budget over several types, nor for no traffic")
    # A model without a demand would be slowed down by a frontier.
    arguments = {
        "demand": dict.fromkeys(names, max(demand.values())) | demand,
        "headroom": question.arguments.get("headroom", 1.0),
        "optional": question.arguments.get("optional", []),
    }
    ((type_name, _),) = question.arguments["gpus"].items()
    gpu_type = GpuType(
        name=type_name, memory_bytes=question.gpu_memory_bytes[type_name]
    )
    try:
        frontier = gpupack.frontier(
            question.profiles,
            gpus={gpu_type: None},
            find_headroom=False,
            max_points=4,
            time_limit_s=2.0,
            **arguments,
        )
    except (InfeasibleError, InvalidInputError) as err:
        pytest.skip(str(err))
    for point in frontier.points:
        if not point.num_gpus:
            continue
        try:
            placement = gpupack.place(
                question.profiles,
                "max_throughput",
                gpus={gpu_type: point.num_gpus},
                time_limit_s=2.0,
                **arguments,
            )
        except NotFoundInTimeError:
            continue
        slack = CLOSE * placement.bound + 1e-5
        assert point.throughput_infer_per_sec <= placement.bound + slack
        assert placement.objective_value <= point.bound_infer_per_sec + slack
