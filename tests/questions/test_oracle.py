"""The oracle on questions whose answers are known by hand, and planted faults."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from gpupack.packing.capacity.model.capacity_problem import Goal
from gpupack.planning.composing import SharedMemory
from gpupack.profile_set import ProfileSet
from gpupack.records.gpu import UNKNOWN_GPU_TYPE
from gpupack.records.profile import LoadPoint
from tests.factories import GPU, MIB, make_baseline, make_profiles, make_record
from tests.questions.composing_kinds import units
from tests.questions.fillings import TooLargeError
from tests.questions.judge import Fault, expect, judge
from tests.questions.kinds import brim, choices
from tests.questions.question import Question

PLANTED_SEEDS = range(80)
SERIOUS = (Fault.WRONG, Fault.CRASHED)


def asked(profiles: ProfileSet, objective: str = "min_gpus", **arguments: Any) -> Any:
    return Question(
        profiles, objective, arguments, {GPU.name: GPU.known_memory_bytes()}
    )


def value(question: Question) -> float | None:
    expected = expect(question)
    assert not expected.refused
    return None if expected.strict is None else expected.strict.value


def test_three_models_of_400_of_1000_mib_take_two_gpus() -> None:
    profiles = make_profiles(
        *(make_record(name, gpu_memory_used_bytes=400 * MIB) for name in "abc")
    )

    assert value(asked(profiles)) == 2.0
    assert value(asked(profiles, gpus={GPU.name: 1})) is None


def test_a_third_of_a_gpu_three_times_is_one_gpu() -> None:
    profiles = make_profiles(
        *(make_record(name, gpu_utilization_percent=100 / 3) for name in "abc")
    )

    assert value(asked(profiles, "max_throughput")) == 1.0


def test_one_gpu_serves_what_its_utilization_allows() -> None:
    # a: 100/s at 50 %; b: 300/s at 80 %. All of a's 100/s leaves 50 % for b: 187.5/s.
    profiles = make_profiles(
        make_record("a", gpu_utilization_percent=50.0, throughput_infer_per_sec=100.0),
        make_record("b", gpu_utilization_percent=80.0, throughput_infer_per_sec=300.0),
    )
    gpus = {GPU.name: 1}
    demand = {"a": 100.0, "b": 300.0}

    # All of b leaves 20 % for a, 40/s: 340/s in all, more than 287.5/s.
    by_sum = asked(profiles, "max_throughput", gpus=gpus, demand=demand)
    assert value(by_sum) == pytest.approx(340.0)
    # Both get the share s: 0.5 s + 0.8 s = 1.
    by_share = asked(
        profiles, "max_throughput", gpus=gpus, demand=demand, fairness="max_min"
    )
    assert value(by_share) == pytest.approx(1 / 1.3)
    # A GPU each would do, one would not.
    assert value(asked(profiles, gpus={GPU.name: None}, demand=demand)) == 2.0


def test_what_is_left_within_the_tolerance_of_readings_is_no_room() -> None:
    def question(percent: float) -> Question:
        profiles = make_profiles(
            make_record("a", gpu_utilization_percent=percent),
            make_record("b", gpu_utilization_percent=50.0),
        )
        return asked(
            profiles, "max_throughput", gpus={GPU.name: 1}, demand={"b": 100.0}
        )

    full, nearly_full = question(100 - 5e-8), question(100 - 2e-5)

    # Readings that fill a GPU but for 5e-10 of it fill it: a's 100/s are all.
    assert value(full) == 100.0
    assert not judge(full, expect(full))
    # 2e-7 of a GPU is more than that, and serves 2e-7 / 0.5 * 100.
    assert value(nearly_full) == pytest.approx(100.00004, abs=1e-6)


def test_an_optional_model_is_left_out_where_another_is_worth_more() -> None:
    profiles = make_profiles(
        make_record("a", throughput_infer_per_sec=10.0, gpu_utilization_percent=60.0),
        make_record("b", throughput_infer_per_sec=30.0, gpu_utilization_percent=60.0),
    )
    question = asked(
        profiles, "max_throughput", gpus={GPU.name: 1}, optional=["a", "b"]
    )

    assert value(question) == 30.0


def test_the_cheapest_gpus_may_be_more_of_them() -> None:
    profiles = make_profiles(
        *(make_record(name, gpu_memory_used_bytes=600 * MIB) for name in "ab")
    )
    question = asked(profiles, "min_cost", prices={GPU.name: 1.25})

    expected = expect(question)
    assert expected.strict is not None
    assert (expected.strict.value, expected.strict.price) == (2.5, Fraction(5, 2))


def test_records_of_an_unknown_type_are_of_the_named_one() -> None:
    profiles = ProfileSet(
        records=(make_record("a", gpu_type=UNKNOWN_GPU_TYPE),),
        baselines=(make_baseline(0, UNKNOWN_GPU_TYPE),),
    )
    gpus = {GPU.name: 1}

    assert value(asked(profiles, "max_throughput", gpus=gpus, optional=["a"])) == 100.0


def faults() -> int:
    """Return how many answers to a few questions are wrong."""
    wrong = 0
    for seed in PLANTED_SEEDS:
        rng = random.Random(seed)
        question = brim(rng, "brim") if seed % 2 else choices(rng, "choices")
        try:
            expected = expect(question)
        except TooLargeError:
            continue
        found = judge(question, expected)
        wrong += any(one.fault in {Fault.WRONG, Fault.CRASHED} for one in found)
    return wrong


@pytest.fixture(scope="module")
def known_faults() -> int:
    """How many of these answers are wrong without a planted fault."""
    return faults()


def plant(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable[..., Any]
) -> None:
    """Put a fault in the place of a function, wherever planning has imported it."""
    places = [
        module
        for path, module in sys.modules.items()
        if path.startswith("gpupack.planning") and hasattr(module, name)
    ]
    assert places
    true = getattr(places[0], name)
    for module in places:
        monkeypatch.setattr(module, name, functools.partial(fault, true))


def test_a_bound_one_too_good_is_caught(
    monkeypatch: pytest.MonkeyPatch, known_faults: int
) -> None:
    def proves_too_much(true: Any, *arguments: Any, **options: Any) -> Any:
        plan = true(*arguments, **options)
        is_more = arguments[1] in {Goal.MAX_SERVICE, Goal.MAX_MIN_SHARE}
        return dataclasses.replace(plan, bound=plan.bound + (-1 if is_more else 1))

    plant(monkeypatch, "plan_capacity", proves_too_much)

    assert faults() > known_faults + 5


def test_a_plan_called_optimal_that_is_one_gpu_short_is_caught(
    monkeypatch: pytest.MonkeyPatch, known_faults: int
) -> None:
    def overlooks_a_gpu(true: Any, problem: Any, goal: Any, **options: Any) -> Any:
        fewer = tuple(
            dataclasses.replace(one, count=one.count - 1)
            if one.count and one.count > 1
            else one
            for one in problem.bin_types
        )
        return true(dataclasses.replace(problem, bin_types=fewer), goal, **options)

    plant(monkeypatch, "plan_capacity", overlooks_a_gpu)

    assert faults() > known_faults + 1


def test_an_item_one_unit_too_large_is_caught(
    monkeypatch: pytest.MonkeyPatch, known_faults: int
) -> None:
    plant(monkeypatch, "item_size", lambda true, *arguments: true(*arguments) + 1)

    assert faults() > known_faults + 5


def test_a_capacity_one_unit_too_large_is_caught(
    monkeypatch: pytest.MonkeyPatch, known_faults: int
) -> None:
    plant(monkeypatch, "limit_of", lambda true, *arguments: true(*arguments) + 1)

    assert faults() > known_faults + 1


def test_bounds_that_count_shared_memory_with_each_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    for seed in range(40):
        question = units(random.Random(seed), "units")
        with contextlib.suppress(TooLargeError):
            asked.append((question, expect(question)))

    def wrong() -> int:
        return sum(
            any(one.fault in SERIOUS for one in judge(*question)) for question in asked
        )

    assert wrong() == 0
    # Each model with all that it takes alone: plans are right, bounds are too good.
    monkeypatch.setattr(
        SharedMemory,
        "least_bytes",
        lambda self, *_: [
            self.most_bytes([(i, 1)]) for i in range(len(self.own_bytes))
        ],
    )
    assert wrong() > 1


def test_copies_at_two_load_points_share_a_gpu() -> None:
    # 100/s of a: at the slow point alone they take 100 % of the GPU's time, at the fast
    # one all of the memory's; half and half they leave what b takes of both.
    profiles = make_profiles(
        make_record(
            "a",
            load_point=LoadPoint(batch_size=1, concurrency=1),
            throughput_infer_per_sec=100.0,
            gpu_utilization_percent=100.0,
            memory_utilization_percent=10.0,
        ),
        make_record(
            "a",
            load_point=LoadPoint(batch_size=2, concurrency=1),
            throughput_infer_per_sec=100.0,
            gpu_utilization_percent=10.0,
            memory_utilization_percent=100.0,
        ),
        make_record(
            "b",
            throughput_infer_per_sec=50.0,
            gpu_utilization_percent=40.0,
            memory_utilization_percent=40.0,
        ),
    )
    question = asked(profiles, demand={"a": 100.0, "b": 50.0})

    # 55 % and 40 % of either: 95 %.
    assert value(question) == 1.0
    assert not judge(question, expect(question))
