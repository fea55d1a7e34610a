"""Kinds of questions about GPU types, and about models that share one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint
from tests.factories import MIB, make_record
from tests.questions.question import Question
from tests.questions.sketch import (
    Sketch,
    draw_arguments,
    draw_headroom,
    draw_rate,
    draw_types,
    measure,
    with_choices,
)

if TYPE_CHECKING:
    pass


def unknown_type(rng: random.Random, drawn_as: str) -> Question:
    """Records that do not say their GPU type; the caller names it."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.6))
    memory = sketch.types[0][0].known_memory_bytes()
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 4))]
    for name in sketch.names:
        measure(
            sketch, name, UNKNOWN_GPU_TYPE, rng.choice([1, 1, 2]), memory_bytes=memory
        )
    return _with_choices_on_named_type(sketch, drawn_as)


def _with_choices_on_named_type(sketch: Sketch, drawn_as: str) -> Question:
    named = list(sketch.types)
    question = with_choices(sketch, drawn_as)
    prices = question.arguments.get("prices")
    if prices is not None:
        question.arguments["prices"] = {
            named[0][0].name: next(iter(prices.values()), 1.0)
        }
    elif question.objective == "min_cost":
        question.arguments["prices"] = {named[0][0].name: 1.5}
    question.arguments["gpus"] = {one.name: count for one, count in named}
    for one, _ in named:
        question.gpu_memory_bytes[one.name] = one.known_memory_bytes()
    return question


def other_type(rng: random.Random, drawn_as: str) -> Question:
    """Records of a known type, while another one is planned for."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=rng.random() < 0.4))
    measured = GpuType(name="H0", memory_bytes=2400 * MIB)
    sketch.names = [f"m{index}" for index in range(rng.randint(1, 3))]
    for name in sketch.names:
        measure(
            sketch,
            name,
            measured,
            rng.choice([1, 1, 2]),
            memory_bytes=sketch.types[0][0].known_memory_bytes(),
        )
    question = _with_choices_on_named_type(sketch, drawn_as)
    if rng.random() < 0.7:
        question.arguments["carry_memory_over"] = True
        if rng.random() < 0.7:
            question.arguments.pop("demand", None)
            question.arguments.pop("fairness", None)
            question.arguments.pop("weights", None)
            question.arguments["headroom"] = 1.0
            return Question(
                question.profiles,
                rng.choice(["min_gpus", "min_cost"])
                if question.arguments.get("prices")
                else "min_gpus",
                question.arguments,
                question.gpu_memory_bytes,
                question.time_limit_s,
                drawn_as,
            )
    return question


def retention(rng: random.Random, drawn_as: str) -> Question:
    """What models keep beside each other, under every way of sharing."""
    is_counted = rng.random() < 0.5
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=is_counted))
    gpu_type = sketch.types[0][0]
    has_choices = rng.random() < 0.4
    sketch.names = [f"m{i}" for i in range(rng.randint(1, 3 if has_choices else 6))]
    baseline = rng.choice([0, 50])
    sketch.baselines[gpu_type.name] = baseline
    for name in sketch.names:
        for concurrency in range(1, rng.choice([2, 3]) if has_choices else 2):
            sketch.records.append(
                make_record(
                    name,
                    load_point=LoadPoint(
                        batch_size=rng.choice([1, 2, 8]), concurrency=concurrency
                    ),
                    gpu_type=gpu_type,
                    throughput_infer_per_sec=draw_rate(rng),
                    gpu_utilization_percent=float(rng.randint(1, 70)),
                    memory_utilization_percent=float(rng.randint(0, 50)),
                    gpu_utilization_mean_percent=rng.choice(
                        [None, float(rng.randint(1, 60))]
                    ),
                    sm_utilization_percent=rng.choice(
                        [None, float(rng.randint(1, 40))]
                    ),
                    dram_bandwidth_percent=rng.choice(
                        [None, float(rng.randint(1, 30))]
                    ),
                    num_model_instances=rng.choice([None, 1, 2]),
                    gpu_memory_used_bytes=(baseline + rng.choice([20, 100, 250])) * MIB,
                )
            )
    if has_choices:
        question = with_choices(sketch, drawn_as)
        question.arguments.pop("latency_limit_ms", None)
    else:
        objective = rng.choice(["min_gpus", "max_throughput", "min_cost"])
        arguments = draw_arguments(sketch, objective)
        arguments.pop("latency_limit_ms", None)
        question = sketch.question(drawn_as, objective, arguments)
    question.arguments["min_retention"] = rng.choice(
        [
            rng.choice([0.5, 0.8, 0.9, 0.95]),
            {rng.choice(sketch.names): rng.choice([0.6, 0.9])},
        ]
    )
    if rng.random() < 0.7:
        question.arguments["sharing"] = rng.choice(["time_slicing", "mps", "streams"])
    return question


def predicted(rng: random.Random, drawn_as: str) -> Question:
    """The most predicted throughput on counted GPUs."""
    sketch = Sketch(rng, types=draw_types(rng, 1, is_counted=True))
    gpu_type = sketch.types[0][0]
    sketch.names = [f"m{i}" for i in range(rng.randint(1, 6))]
    for name in sketch.names:
        sketch.records.append(
            make_record(
                name,
                gpu_type=gpu_type,
                throughput_infer_per_sec=draw_rate(rng),
                gpu_utilization_percent=float(rng.randint(1, 100)),
                memory_utilization_percent=float(rng.randint(0, 50)),
                gpu_memory_used_bytes=rng.choice([100, 200, 250, 333, 500]) * MIB,
            )
        )
    arguments: dict[str, Any] = {"contention": "predicted"}
    if rng.random() < 0.4:
        arguments["headroom"] = draw_headroom(rng)
    if rng.random() < 0.3:
        arguments["weights"] = {rng.choice(sketch.names): rng.choice([0.1, 3.0])}
    if rng.random() < 0.3:
        arguments["min_retention"] = rng.choice([0.3, 0.7, 0.9])
    if rng.random() < 0.6:
        arguments["sharing"] = rng.choice(["time_slicing", "mps", "streams"])
    return sketch.question(drawn_as, "max_throughput", arguments)
